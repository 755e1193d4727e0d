"""One process under test: started with a log of its own, and ended for sure, even where the test is killed."""

import itertools
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

# What a sanitizer or an assertion writes. None of it may stand in any log.
REPORT = re.compile(rb"(ERROR|WARNING): \w+Sanitizer|runtime error:|Assertion .* failed|SUMMARY: \w+Sanitizer")
REPORT_LINES = 60

# Starts all processes: they die with the thread that started them, so it must be one that lives as long as the tests.
LAUNCHER = ThreadPoolExecutor(1)


def wait_until(condition, timeout=15, what="the condition"):
    """Waits for a true value and returns it."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.02)


def cpu_seconds(pid):
    """What a process has taken so far, as a user and in the kernel."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Process:
    def __init__(self, name, argv, environment, log_path):
        self.name = name
        self.argv = argv
        self.environment = environment
        self.log_path = log_path
        self.popen = None
        self.log_start = 0
        self.killed = False

    def start(self):
        self.log_start = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            argv = ["setpriv", "--pdeathsig", "KILL", *self.argv]
            self.popen = LAUNCHER.submit(subprocess.Popen, argv, env=self.environment, stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log).result()
        self.killed = False

    @property
    def pid(self):
        return self.popen.pid

    @property
    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def log(self):
        """All that it has written since it was started last."""
        with open(self.log_path, "rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def memory_kb(self):
        """Memory of its own: without program and libraries, whose share depends on who else runs them."""
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as file:
            return int(re.search(r"^Anonymous:\s+(\d+) kB", file.read(), re.MULTILINE)[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def freeze(self):
        """SIGSTOP, and waits until the last of its threads stands still."""
        self.popen.send_signal(signal.SIGSTOP)
        wait_until(self._stands_still, what=f"{self.name} stands still")

    def _stands_still(self):
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/stat", encoding="utf-8", errors="replace") as file:
                if file.read().rsplit(")", 1)[1].split()[0] != "T":
                    return False
        return True

    def thaw(self):
        self.popen.send_signal(signal.SIGCONT)

    def kill(self):
        """SIGKILL: a sudden death."""
        self.killed = True
        self.popen.kill()
        self.popen.wait()

    def terminate(self):
        self.popen.send_signal(signal.SIGTERM)

    def wait(self, timeout):
        """The exit status; a process that does not end in time is killed, and an error."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {timeout} s") from None

    def stop(self, timeout=20):
        """SIGTERM, and the exit status."""
        self.terminate()
        return self.wait(timeout)

    def report(self):
        """What a sanitizer or an assertion says first, or None."""
        with open(self.log_path, "rb") as file:
            for line in file:
                if REPORT.search(line):
                    said = [line, *itertools.islice(file, REPORT_LINES)]
                    return b"".join(said).decode(errors="replace").strip()
        return None

    def log_tail(self, lines=40):
        with open(self.log_path, "rb") as file:
            return b"".join(file.readlines()[-lines:]).decode(errors="replace")
