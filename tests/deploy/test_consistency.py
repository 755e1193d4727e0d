"""docker-compose.yml, the Dockerfile, nginx's files, Prometheus' rules and the dashboard agree with the code; and the checks
find what is wrong. deploy/k8s is compared in test_kubernetes.py."""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

import facts
from stack import SERVICES, TOP

GATEWAY_PORTS = {8003, 9800, 8080, 8000, 8001}


def compose():
    return yaml.safe_load(facts.read("docker-compose.yml"))["services"]


def defaults(text):
    """${NAME:-value} and ${NAME-value} as if nothing were set."""
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", text)


def compose_environment(service):
    return {name: None if value is None else defaults(str(value)) for name, value in service.get("environment", {}).items()}


# ---- docker-compose.yml and the images

def test_the_lists_of_settings_are_up_to_date():
    done = subprocess.run([os.path.join(facts.DEPLOY, "settings"), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_gets_its_settings(name):
    given = {**facts.image_environment(name), **compose_environment(compose()[name])}
    assert list(facts.environment_faults(name, given)) == []


def test_everything_has_its_image():
    built = {name: service["build"]["target"] for name, service in compose().items()}
    assert built == {name: name for name in facts.image_targets()}
    assert set(SERVICES) | {"nats", "nginx"} == set(built)


@pytest.mark.parametrize("name", sorted(facts.image_targets()))
def test_an_image(name):
    text = facts.image_targets()[name]
    assert re.findall(r"^USER (.*)", text, re.M)[-1] == "10001:10001"
    assert re.findall(r"^STOPSIGNAL (\w+)", text, re.M)[-1] == ("SIGQUIT" if name == "nginx" else "SIGTERM")
    assert len(re.findall(r"^HEALTHCHECK", text, re.M)) == 1
    exposed = {int(port) for line in re.findall(r"^EXPOSE (.*)", text, re.M) for port in line.split()}
    if name in SERVICES:
        assert f'CMD ["parley-{name}", "--check"]' in text and '"--check"' in facts.read("services/common/service_cli.c")
        assert exposed == facts.listening(name, facts.image_environment(name)) | {9090}
        assert list(facts.environment_faults(name, {**dict.fromkeys(facts.required(name)),
                                                    **facts.image_environment(name)})) == []
    elif name == "nginx":
        assert exposed == GATEWAY_PORTS


def test_containers_are_confined():
    for name, service in compose().items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["mem_limit"], name
        assert service["security_opt"] == ["no-new-privileges:true"] and service["restart"] == "unless-stopped", name
        for dependency, condition in service.get("depends_on", {}).items():
            assert dependency in compose() and condition == {"condition": "service_healthy"}, name
        for port in service.get("ports", []):
            outside = defaults(port)
            assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", outside), f"{name}: {outside}"
    published = {int(defaults(port).rsplit(":", 1)[1]) for port in compose()["gateway"]["ports"]}
    assert published == GATEWAY_PORTS == facts.listening("gateway", compose_environment(compose()["gateway"]))


def test_there_is_time_to_drain():
    grace = int(defaults(compose()["agent"]["stop_grace_period"]).rstrip("s"))
    assert grace >= int(facts.settings("agent")["DRAIN_SECONDS"]["default"]) + 5


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_holds_fits_into_its_container(name):
    service = compose()[name]
    assert list(facts.memory_faults(name, compose_environment(service), facts.bytes_of(service["mem_limit"]))) == []


def test_only_pages_of_this_machine_may_connect():
    """Compose's gateway listens on all its container's addresses, so that it can't tell by itself."""
    assert compose_environment(compose()["gateway"])["WS_ALLOWED_ORIGINS"] == "127.0.0.1,localhost,null"


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")
@pytest.mark.parametrize("given", [
    {}, {"OPENAI_BASE_URL": "https://llm.example/v1", "OPENAI_API_KEY": "k"}])
def test_two_variables_are_enough_for_a_real_model(given, tmp_path):
    """The agent gets those and no name of a model, so that it takes one that fits."""
    assert list(facts.model_faults(compose_environment(compose()["agent"]))) == []
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in given.items()), encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "COMPOSE_"))}
    files = ["--env-file", str(tmp_path / ".env"), "--file", os.path.join(TOP, "docker-compose.yml")]
    done = subprocess.run(["docker-compose", *files, "config"], env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    environment = yaml.safe_load(done.stdout)["services"]["agent"]["environment"]
    assert {name: value for name, value in environment.items() if name.startswith("OPENAI_") and value} == given
    assert environment["DEMO_MODEL_URL"] == "http://demo-model:8090/v1"


def test_the_broker_gets_its_variables():
    given = {**facts.image_environment("nats"), **compose_environment(compose()["nats"])}
    assert facts.broker_variables("server.conf") <= set(given)
    assert facts.stored_bytes({}) <= facts.bytes_of(given["NATS_MAX_FILE_STORE"])


def test_the_example_names_what_is_used():
    used = set(re.findall(r"\$\{(\w+)", facts.read("docker-compose.yml"))) | {"COMPOSE_PROFILES"}
    passed_on = {name for service in compose().values() for name, value in compose_environment(service).items()
                 if value is None}
    named = set(re.findall(r"^#([A-Z_]+)=", facts.read(".env.example"), re.M))
    assert named - used - passed_on == set()
    assert passed_on - named == set()


# ---- nginx

def test_nginx_takes_the_five_ports():
    text = facts.read("deploy/nginx/compose.conf")
    assert {int(port) for port in re.findall(r"listen (\d+);", text)} == GATEWAY_PORTS
    timeouts = re.findall(r"proxy_(?:read|send)_timeout (\d+)s", facts.read("deploy/nginx/proxy.conf"))
    heartbeat = int(facts.settings("gateway")["WS_HEARTBEAT_INTERVAL"]["default"])
    assert len(timeouts) == 2 and all(int(seconds) >= 2 * heartbeat for seconds in timeouts)


@pytest.mark.parametrize("name", ["site.conf", "compose.conf"])
def test_nginx_logs_no_query(name):
    text = re.sub(r"#.*", "", facts.read(f"deploy/nginx/{name}"))
    assert not re.search(r"\$(request|request_uri|args|query_string|http_referer|arg_\w+)\b", text)
    formats = set(re.findall(r"log_format (\w+)", text))
    logs = re.findall(r"access_log (.*);", text)
    assert logs and all(log == "off" or log.split()[-1] in formats for log in logs)
    assert re.search(r"server \{[^}]*error_log \S+ crit;", text)


# ---- Prometheus and Grafana

def rules():
    groups = yaml.safe_load(facts.read("deploy/prometheus/rules.yml"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels():
    return [panel for panel in json.loads(facts.read("deploy/grafana/parley.json"))["panels"] if panel["type"] != "row"]


def queries():
    return [rule["expr"] for rule in rules()] + [target["expr"] for panel in panels() for target in panel["targets"]]


def test_every_metric_exists():
    assert len(queries()) > 30
    assert [fault for query in queries() for fault in facts.metric_faults(query)] == []


def test_every_metric_of_the_unit_tests_is_used():
    series = re.findall(r"series: '(\w+)\{", facts.read("deploy/prometheus/rules_test.yml"))
    assert series and all(any(name in rule["expr"] for rule in rules()) for name in series)


def test_prometheus_asks_every_service_on_its_port():
    jobs = yaml.safe_load(facts.read("deploy/prometheus/prometheus.yml"))["scrape_configs"]
    assert {job["job_name"] for job in jobs} == set(SERVICES) - {"demo-model"}
    for job in jobs:
        assert {str(found["port"]) for found in job["dns_sd_configs"]} == {facts.image_environment(job["job_name"])["OPS_PORT"]}


# ---- The checks themselves

def test_faults_are_found():
    good = dict.fromkeys(facts.required("gateway"))
    assert list(facts.environment_faults("gateway", good)) == []
    assert list(facts.environment_faults("gateway", {**good, "WS_HEARTBEAT": "30"})) == ["gateway has no setting WS_HEARTBEAT"]
    assert "takes no '99999'" in list(facts.environment_faults("gateway", {**good, "PORT": "99999"}))[0]
    assert "takes no 'loud'" in list(facts.environment_faults("gateway", {**good, "LOG_LEVEL": "loud"}))[0]
    del good["NATS_URL"]
    assert list(facts.environment_faults("gateway", good)) == ["gateway is not given NATS_URL"]
    assert list(facts.metric_faults('rate(parley_turn_total{job="agents"}[5m])')) == [
        "there is no metric parley_turn_total", "there is no service agents"]
    assert list(facts.metric_faults('rate(parley_turn_seconds_bucket{job="agent"}[5m])')) == []


def test_too_large_budgets_and_wrong_models_are_found():
    assert list(facts.memory_faults("gateway", {"WS_MAX_BUFFERED_BYTES": str(512 << 20)}, 512 << 20))
    assert list(facts.memory_faults("gateway", {"WS_MAX_BUFFERED_BYTES": str(256 << 20)}, 512 << 20)) == []
    assert list(facts.model_faults({"OPENAI_BASE_URL": "http://demo-model:8090/v1"}))
    assert list(facts.model_faults({"DEMO_MODEL_URL": "http://demo-model:8090/v1", "OPENAI_MODEL": "demo"}))
    assert list(facts.model_faults({}))


def test_the_limit_of_two_stores_counts_twice():
    assert facts.stored_bytes({"CONTACTS_MAX_BYTES": str(300 << 20)}) - facts.stored_bytes({}) == 2 * (44 << 20)


def test_a_list_of_settings_out_of_date_is_found(tmp_path):
    """A copy of the tree with one setting less in docker-compose.yml."""
    (tmp_path / "deploy").mkdir()
    for path in ("docker-compose.yml", ".env.example", "deploy/README.md", "deploy/settings"):
        text = facts.read(path)
        if path == "docker-compose.yml":
            text = text.replace("      AGENT_MAX_TURNS:\n", "")
        (tmp_path / path).write_text(text, encoding="utf-8")
    environment = dict(os.environ, PARLEY_BUILD=os.environ.get("PARLEY_BUILD", os.path.join(TOP, "build")))
    done = subprocess.run(["/usr/bin/python3", str(tmp_path / "deploy" / "settings"), "--check"], env=environment,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "docker-compose.yml" in done.stderr
