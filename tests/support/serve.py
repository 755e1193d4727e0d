#!/usr/bin/python3
"""Serves a whole parley for tests that are not written in Python, with the demo model unless OPENAI_BASE_URL is given.

    tests/support/serve.py [SETTING=value …]

Starts a broker and one of each service on free ports, prints one line {"url": "http://127.0.0.1:…"}, and ends everything
when its standard input is closed. On the way each line of input is a command: "stop SERVICE" (kills it), "end SERVICE" (asks it to end,
and waits) or "start SERVICE" (again, where it was), answered with {"done": line}.
"""

import json
import sys

from stack import Stack, free_port


def say(value):
    print(json.dumps(value), flush=True)


def obey(stack, line):
    verb, service = line.split()
    process = stack.of(service)[0]
    if verb == "stop":
        process.kill()
    elif verb == "end":
        stack.remove(process)
    elif verb == "start":
        stack.restart(process)
    else:
        raise ValueError(f"no such command: {verb}")


def main():
    settings = dict(word.split("=", 1) for word in sys.argv[1:])
    demo_port = None if "OPENAI_BASE_URL" in settings else free_port()
    if demo_port:
        settings["OPENAI_BASE_URL"] = f"http://127.0.0.1:{demo_port}/v1"
    with Stack(**settings) as stack:
        if demo_port:
            stack.add("demo-model", PORT=demo_port)
        stack.start(router=1, agent=1, tools=1, gateway=1)
        say({"url": f"http://127.0.0.1:{stack.gateway.port}"})
        for line in sys.stdin:
            obey(stack, line)
            say({"done": line.strip()})


if __name__ == "__main__":
    main()
