"""What the code says of itself, for whoever compares deploy/ with it."""

import functools
import glob
import json
import os
import re
import subprocess

from stack import SERVICES, TOP, program

DEPLOY = os.path.join(TOP, "deploy")
# What has no default that works outside of one machine.
REQUIRED = {
    "gateway": {"HOST", "PORT", "YYCHAT_PORT", "CONTACT_PORT", "LANGBOT_PORT", "MINIMAL_PORT"},
    "router": set(), "agent": {"OPENAI_BASE_URL", "OPENAI_MODEL", "OPENAI_API_KEY"}, "tools": set(),
    "demo-model": {"HOST", "PORT"},
}
BROKER_SETTINGS = {"NATS_URL", "NATS_USER", "NATS_PASSWORD"}


def required(service):
    common = {"OPS_HOST", "OPS_PORT", "LOG_FORMAT"}
    return REQUIRED[service] | common | (set() if service == "demo-model" else BROKER_SETTINGS)


@functools.cache
def settings(service):
    """{name: its row}, those of every service too."""
    printed = subprocess.run([program(service), "--settings-json"], check=True, capture_output=True, text=True).stdout
    tables = json.loads(printed)
    return {row["name"]: row for row in tables["common"] + tables["settings"]}


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


@functools.cache
def metrics():
    names = set()
    for path in glob.glob(os.path.join(TOP, "services", "**", "*.c"), recursive=True):
        with open(path, encoding="utf-8") as file:
            names.update(re.findall(r'"((?:parley|process)_[a-z_]+)"', file.read()))
    return names


@functools.cache
def probe_paths():
    return set(re.findall(r'\{"(/\w+)", on_', read("services/common/ops.c")))


@functools.cache
def subjects():
    """{"STREAM_JOBS": "JOBS", …}"""
    return dict(re.findall(r'^#define (\w+)\s+"([^"]+)"', read("services/common/subjects.h"), re.M))


@functools.cache
def image_targets():
    """{target: its stage and those under it, as one text}"""
    stages = {}
    for match in re.finditer(r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM|\Z)", read("deploy/docker/Dockerfile"), re.M | re.S):
        stages[match[2]] = stages.get(match[1], "") + match[3]
    return {name: text for name, text in stages.items() if "ENTRYPOINT" in text}


def image_environment(target):
    """What ENV says."""
    lines = re.findall(r"^ENV ((?:.*\\\n)*.*)", image_targets()[target], re.M)
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(lines).replace("\\\n", " ")))


def value_fault(row, value):
    """Why the service would refuse it, or None."""
    if row["type"] == "integer":
        good = re.fullmatch(r"-?\d+", value) and row["min"] <= int(value) <= row["max"]
    elif row["type"] == "choice":
        good = value in row["unit"].split("|")
    elif row["type"] == "boolean":
        good = value in ("true", "false", "1", "0", "yes", "no", "on", "off")
    else:
        good = row["min"] <= len(value.encode()) <= row["max"]
    return None if good else f"{row['name']} takes no {value!r}"


def environment_faults(service, environment):
    """`environment`: {variable: value, or None where it is known only later}."""
    rows = settings(service)
    secrets = {f"{name}_FILE": name for name, row in rows.items() if row["secret"]}
    for name, value in environment.items():
        if name not in rows and name not in secrets:
            yield f"{service} has no setting {name}"
        elif name in rows and value and value_fault(rows[name], value):
            yield f"{service}: {value_fault(rows[name], value)}"
    given = {secrets.get(name, name) for name in environment}
    yield from (f"{service} is not given {name}" for name in sorted(required(service) - given))
    drain = int(environment.get("DRAIN_SECONDS") or rows["DRAIN_SECONDS"]["default"])
    if int(environment.get("AGENT_DRAIN_GRACE_SECONDS") or 0) > drain - 5:
        yield f"{service}: AGENT_DRAIN_GRACE_SECONDS does not fit into DRAIN_SECONDS"


def listening(service, environment):
    """The ports on which it listens with these settings."""
    return {int(environment[name]) for name in required(service)
            if name.endswith("PORT") and environment.get(name, "0") not in ("0", "", None)}


def broker_variables(configuration):
    """The variables that a file in deploy/nats takes from the environment, with those of the files that it includes."""
    text = read(f"deploy/nats/{configuration}")
    text = re.sub(r"#.*", "", text)
    names = set(re.findall(r"\$(\w+)", text))
    for included in re.findall(r'^include "([^"]+)"', text, re.M):
        names |= broker_variables(included)
    return names


def bytes_of(text):
    """4GB, 10Gi, 512 → bytes"""
    number, unit = re.fullmatch(r"(\d+)([KMGT]?i?)B?", text).groups()
    power = "KMGT".find(unit[0]) + 1 if unit else 0
    return int(number) * 1024**power


def stored_bytes(environment):
    """What all streams and buckets may hold together."""
    rows = settings("router")
    return sum(int(environment.get(name) or row["default"]) for name, row in rows.items()
               if re.fullmatch(r"(JOBS|TURNS|CONVERSATIONS|CONTACTS)_MAX_BYTES", name))


def metric_faults(expression):
    """Names in a PromQL expression that no service has."""
    known = metrics()
    for name in re.findall(r"\b(?:parley|process)_\w+", re.sub(r'"[^"]*"', "", expression)):
        if re.sub(r"_(bucket|sum|count)$", "", name) not in known and name not in known:
            yield f"there is no metric {name}"
    for jobs in re.findall(r'job=~?"([^"]+)"', expression):
        yield from (f"there is no service {job}" for job in jobs.split("|") if job not in SERVICES)
