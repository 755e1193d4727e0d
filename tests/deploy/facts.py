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
    "router": set(), "agent": {"OPENAI_API_KEY"}, "tools": set(), "demo-model": {"HOST", "PORT"},
}
# What one process may hold, which has to fit into its container.
BUDGETS = {"gateway": {"WS_MAX_BUFFERED_BYTES"}, "tools": {"TOOL_REMEMBERED_BYTES"}}
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


def value_of(service, environment, name):
    """A number's value with this environment."""
    return int(environment.get(name) or settings(service)[name]["default"])


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
    if int(environment.get("AGENT_DRAIN_GRACE_SECONDS") or 0) > value_of(service, environment, "DRAIN_SECONDS") - 5:
        yield f"{service}: AGENT_DRAIN_GRACE_SECONDS does not fit into DRAIN_SECONDS"


def model_faults(environment):
    """An agent asks a provider where it is given one, else the demo model; each has models of its own names."""
    provider = environment.get("OPENAI_BASE_URL")
    if not provider and not environment.get("DEMO_MODEL_URL"):
        yield "agent is given neither DEMO_MODEL_URL nor OPENAI_BASE_URL"
    if "demo-model" in (provider or ""):
        yield "agent's OPENAI_BASE_URL is the demo model, which would be told the key"
    if environment.get("OPENAI_MODEL") and not provider:
        yield "agent has an OPENAI_MODEL for whichever model is asked"


def memory_faults(service, environment, limit_bytes):
    """A quarter is left for what no budget counts."""
    budgets = BUDGETS.get(service, set()) | (set() if service == "demo-model" else {"BUS_QUEUE_BYTES"})
    held = sum(value_of(service, environment, name) for name in budgets)
    if held > 0.75 * limit_bytes:
        yield f"{service} may hold {held >> 20} MiB ({', '.join(sorted(budgets))}), which is too much for {limit_bytes >> 20} MiB"


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
    """4GB, 10Gi, 512m, 512 → bytes"""
    number, unit = re.fullmatch(r"(\d+)([KMGTkmgt]?i?)B?", text).groups()
    power = "KMGT".find(unit[0].upper()) + 1 if unit else 0
    return int(number) * 1024**power


@functools.cache
def stores():
    """The settings that limit the streams and buckets, one for each of these: two may have the same."""
    table = read("services/common/stores.c")
    limits = re.findall(r"^    \{(?:STREAM|BUCKET)_\w+, \w+, FIELD\((\w+_max_bytes)\)", table, re.M)
    assert len(limits) == len(re.findall(r"^    \{.*FIELD\(", table, re.M)) > 3
    return [limit.upper() for limit in limits]


def stored_bytes(environment):
    """What all streams and buckets may hold together."""
    return sum(value_of("router", environment, limit) for limit in stores())


def metric_faults(expression):
    """Names in a PromQL expression that no service has."""
    known = metrics()
    for name in re.findall(r"\b(?:parley|process)_\w+", re.sub(r'"[^"]*"', "", expression)):
        if re.sub(r"_(bucket|sum|count)$", "", name) not in known and name not in known:
            yield f"there is no metric {name}"
    for jobs in re.findall(r'job=~?"([^"]+)"', expression):
        yield from (f"there is no service {job}" for job in jobs.split("|") if job not in SERVICES)
