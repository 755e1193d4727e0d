#!/usr/bin/python3
"""A machine that is busy elsewhere: stops processes of the tests that run below this one's parent, now one, now several,
now all, for a part of a second each. What a test or a service takes for granted about time shows under it.

    tests/run --stutter [CTEST_ARGUMENT...]

What a test freezes itself is left alone; unless it does so just while we do, which thaws it: such a test may fail.
"""

import contextlib
import os
import random
import signal
import sys
import time

PAUSE_SECONDS = 0.25  # between two stops, on average
STOP_SECONDS = 0.1    # on average …
STOP_MAX_SECONDS = 0.7
ALL_SHARE = 0.15      # of the stops are everybody's


def processes():
    """Of all: pid → (parent, name, state)."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
            name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
            state, parent = rest.split()[:2]
            found[int(entry)] = int(parent), name, state
    return found


def running_tests(root):
    """All below a ctest that is below `root`, except what stands still already."""
    found = processes()

    def ancestors(pid):
        while pid in found:
            pid = found[pid][0]
            yield pid

    for pid, (_parent, _name, state) in found.items():
        above = list(ancestors(pid))
        if state != "T" and root in above and any(found[one][1] == "ctest" for one in above if one in found):
            yield pid


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def main():
    root = os.getppid()
    while os.getppid() == root:
        time.sleep(random.expovariate(1 / PAUSE_SECONDS))
        pids = list(running_tests(root))
        if random.random() >= ALL_SHARE:
            pids = random.sample(pids, min(len(pids), random.choice((1, 1, 2, 4))))
        send(pids, signal.SIGSTOP)
        try:
            time.sleep(min(STOP_MAX_SECONDS, random.expovariate(1 / STOP_SECONDS)))
        finally:
            send(pids, signal.SIGCONT)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with contextlib.suppress(KeyboardInterrupt):
        main()
