"""deploy/k8s: rendered, and compared with the code and with itself."""

import functools
import os
import re
import shutil
import subprocess

import yaml

import facts
from stack import SERVICES

KUBERNETES = os.path.join(facts.DEPLOY, "k8s")
NAME = "app.kubernetes.io/name"


@functools.cache
def kubectl():
    """The program, or why there is none that renders these files."""
    path = shutil.which("kubectl")
    if not path:
        return None, "kubectl is not installed"
    printed = subprocess.run([path, "version", "--client"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"Kustomize Version: v(\d+)", printed)
    if not version or int(version[1]) < 5:
        return None, "kubectl is too old: it has no kustomize 5"
    return path, None


def render(directory):
    done = subprocess.run([kubectl()[0], "kustomize", directory], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


class Manifests:
    """A rendering's objects, and what is wrong with them."""

    def __init__(self, objects):
        self.objects = objects

    def of(self, *kinds):
        return [item for item in self.objects if item["kind"] in kinds]

    def find(self, kind, name):
        return next((item for item in self.of(kind) if item["metadata"]["name"] == name), None)

    @property
    def workloads(self):
        return self.of("Deployment", "StatefulSet")

    def selected(self, selector):
        """The workloads whose pods a selector means."""
        return [item for item in self.workloads if matches(selector, item["spec"]["template"]["metadata"]["labels"])]

    # ---- environment

    def data(self, kind, name):
        item = self.find(kind, name)
        return None if item is None else item.get("data", {})

    def environment(self, workload):
        """{variable: value; None for secrets}, and what is wrong with it."""
        container = container_of(workload)
        values, faults = {}, []
        for source in container.get("envFrom", []):
            data = self.data("ConfigMap", source["configMapRef"]["name"])
            faults += [] if data is not None else [f"there is no ConfigMap {source['configMapRef']['name']}"]
            values.update(data or {})
        for entry in container.get("env", []):
            faults += [f"$({name}) stands before what it means" for name in re.findall(r"\$\((\w+)\)", entry.get("value", ""))
                       if name not in values]
            values[entry["name"]] = entry.get("value")
            faults += self._reference_faults(entry.get("valueFrom", {}))
        return values, faults

    def _reference_faults(self, source):
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if field in source and source[field]["key"] not in (self.data(kind, source[field]["name"]) or {}):
                yield f"there is no key {source[field]['key']} in {kind} {source[field]['name']}"

    def secret_files(self, workload):
        """Paths at which secrets are mounted, and what is wrong with them."""
        pod, paths, faults = workload["spec"]["template"]["spec"], set(), []
        mounts = {mount["name"]: mount["mountPath"] for mount in container_of(workload).get("volumeMounts", [])}
        for volume in pod.get("volumes", []):
            secret = volume.get("secret")
            for item in (secret or {}).get("items", []):
                paths.add(f"{mounts.get(volume['name'])}/{item['path']}")
                if item["key"] not in (self.data("Secret", secret["secretName"]) or {}):
                    faults.append(f"there is no key {item['key']} in Secret {secret['secretName']}")
        return paths, faults

    # ---- faults

    def faults(self):
        for workload in self.workloads:
            name = workload["metadata"]["name"]
            yield from (f"{name}: {fault}" for fault in self.workload_faults(workload))
        yield from self.selector_faults()
        yield from self.service_faults()
        yield from self.ingress_faults()
        yield from self.policy_faults()
        yield from self.scaling_faults()
        yield from self.broker_faults()

    def workload_faults(self, workload):
        name, container = workload["metadata"]["name"], container_of(workload)
        environment, faults = self.environment(workload)
        yield from faults
        files, faults = self.secret_files(workload)
        yield from faults
        yield from (f"{key} names no mounted secret" for key, value in environment.items()
                    if key.endswith("_FILE") and value not in files)
        if container["image"].split(":")[0] not in {f"parley-{target}" for target in facts.image_targets()}:
            yield f"there is no image {container['image']}"
        yield from hardening_faults(workload)
        if name in SERVICES:
            yield from facts.environment_faults(name, environment)
            yield from port_faults(container, facts.listening(name, environment))
            yield from probe_faults(container)
            yield from grace_faults(workload, int(environment["DRAIN_SECONDS"]))
            yield from facts.memory_faults(name, environment, facts.bytes_of(container["resources"]["limits"]["memory"]))
            yield from self.address_faults(environment)
            yield from facts.model_faults(environment) if name == "agent" else ()
        elif name == "nats":
            yield from broker_probe_faults(container)
            configuration = os.path.basename(container["command"][-1])
            yield from (f"{configuration} wants {missing}"
                        for missing in sorted(facts.broker_variables(configuration) - set(environment)))

    def selector_faults(self):
        for item in self.of("Service", "PodDisruptionBudget", "NetworkPolicy"):
            selector = item["spec"].get("selector", item["spec"].get("podSelector"))
            for name in selector_names(selector):
                if not self.selected({NAME: name}):
                    yield f"{item['kind']}/{item['metadata']['name']} selects {name}, which is not there"

    def service_faults(self):
        for service in self.of("Service"):
            names = {port["name"] for workload in self.selected(service["spec"]["selector"])
                     for port in container_of(workload)["ports"]}
            yield from (f"Service/{service['metadata']['name']}: no container has a port {port['targetPort']}"
                        for port in service["spec"]["ports"] if port["targetPort"] not in names)

    def ingress_faults(self):
        for ingress in self.of("Ingress"):
            if ingress["metadata"]["annotations"].get("nginx.ingress.kubernetes.io/enable-access-log") != "false":
                yield "Ingress: its log would hold tokens"
            for rule in ingress["spec"]["rules"]:
                for path in rule["http"]["paths"]:
                    yield from self._backend_faults(path["backend"]["service"], rule["host"])

    def _backend_faults(self, backend, host):
        service = self.find("Service", backend["name"])
        if not service or backend["port"]["name"] not in {port["name"] for port in service["spec"]["ports"]}:
            yield f"Ingress: there is no Service {backend['name']} with a port {backend['port']['name']}"
            return
        for workload in self.selected(service["spec"]["selector"]):
            environment, _ = self.environment(workload)
            if not environment.get("TOKENS_FILE"):
                yield f"Ingress: {workload['metadata']['name']} has no TOKENS_FILE, so everybody may do everything"
            if host not in re.split(r"[, ]+", (environment.get("WS_ALLOWED_ORIGINS") or "").replace("https://", "")):
                yield f"Ingress: {workload['metadata']['name']}'s WS_ALLOWED_ORIGINS does not name {host}"

    def address_faults(self, environment):
        """A bare name in an address is a Service of ours."""
        for name in ("OPENAI_BASE_URL", "DEMO_MODEL_URL"):
            host = re.match(r"https?://([^:/]+)", environment.get(name) or "")
            if host and "." not in host[1] and not self.find("Service", host[1]):
                yield f"{name} names {host[1]}, which is not there"

    def policy_faults(self):
        for policy in self.of("NetworkPolicy"):
            spec, name = policy["spec"], policy["metadata"]["name"]
            for rule in spec.get("ingress", []):
                yield from self._open_port_faults(name, spec["podSelector"], rule)
            for rule in spec.get("egress", []):
                for peer in rule.get("to", []):
                    if "podSelector" in peer and "namespaceSelector" not in peer:
                        yield from self._open_port_faults(name, peer["podSelector"], rule)
                    if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                        if "169.254.0.0/16" not in peer["ipBlock"].get("except", []):
                            yield f"NetworkPolicy/{name} lets through to the metadata address"
                        outside = set(selector_names(spec["podSelector"]))
                        if not outside or outside - {"agent", "tools"}:
                            yield f"NetworkPolicy/{name} lets others than agent and tools reach out"

    def _open_port_faults(self, policy, selector, rule):
        ports = {port["containerPort"] for workload in self.selected(selector) for port in container_of(workload)["ports"]}
        yield from (f"NetworkPolicy/{policy}: nobody selected listens on {port['port']}"
                    for port in rule.get("ports", []) if port["port"] not in ports)

    def scaling_faults(self):
        for item in self.of("ScaledObject", "HorizontalPodAutoscaler"):
            target = self.find("Deployment", item["spec"]["scaleTargetRef"]["name"])
            if not target:
                yield f"{item['kind']} scales nothing"
            elif "replicas" in target["spec"]:
                yield f"{item['kind']} and replicas contradict each other"
            for trigger in item["spec"].get("triggers", []):
                yield from self._trigger_faults(trigger["metadata"], target)

    def _trigger_faults(self, trigger, target):
        subjects = facts.subjects()
        if (trigger["stream"], trigger["consumer"]) != (subjects["STREAM_JOBS"], subjects["CONSUMER_AGENTS"]):
            yield f"there is no consumer {trigger['consumer']} on stream {trigger['stream']}"
        host, port = trigger["natsServerMonitoringEndpoint"].split(":")
        service = self.find("Service", host.split(".")[0])
        if not service or int(port) not in {open_port["port"] for open_port in service["spec"]["ports"]}:
            yield f"nobody answers at {host}:{port}"
        full = self.environment(target)[0].get("AGENT_MAX_TURNS") or facts.settings("agent")["AGENT_MAX_TURNS"]["default"]
        if int(trigger["lagThreshold"]) >= int(full):
            yield "lagThreshold is not below AGENT_MAX_TURNS: an agent would be full before there is another"

    def broker_faults(self):
        broker = self.find("StatefulSet", "nats")
        environment, _ = self.environment(broker)
        services = {item["metadata"]["name"] for item in self.of("Service")}
        kept = facts.bytes_of(environment["NATS_MAX_FILE_STORE"])
        volume = broker["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
        if kept > 0.8 * facts.bytes_of(volume):
            yield "NATS_MAX_FILE_STORE is too close to the volume's size"
        for workload in self.of("Deployment"):
            settings, _ = self.environment(workload)
            if facts.stored_bytes(settings) > kept:
                yield f"{workload['metadata']['name']}: the streams may hold more than NATS_MAX_FILE_STORE"
            if int(settings.get("STORE_REPLICAS", 1)) > broker["spec"]["replicas"]:
                yield f"{workload['metadata']['name']}: STORE_REPLICAS is more than there are brokers"
            for host in re.findall(r"nats://([^:,]+)", settings.get("NATS_URL", "")):
                if host.split(".")[-1] not in services:
                    yield f"{workload['metadata']['name']}: NATS_URL names {host}, which is not there"


def container_of(workload):
    return workload["spec"]["template"]["spec"]["containers"][0]


def selector_names(selector):
    """The names that a selector, in any of its forms, means; none where it means all."""
    labels = selector.get("matchLabels", selector)
    names = [labels[NAME]] if NAME in labels else []
    return names + [name for expression in selector.get("matchExpressions", []) for name in expression["values"]]


def matches(selector, labels):
    pairs = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
    if any(labels.get(key) != value for key, value in pairs.items()):
        return False
    return all((labels.get(expression["key"]) in expression["values"]) == (expression["operator"] == "In")
               for expression in selector.get("matchExpressions", []))


def port_faults(container, listening):
    named = {port["containerPort"] for port in container.get("ports", [])}
    yield from (f"a port {port} is named, but nobody listens there" for port in sorted(named - listening))
    yield from (f"it listens on {port}, which is not named" for port in sorted(listening - named))


def probe_faults(container):
    ops = next((port["name"] for port in container["ports"] if port["name"] == "ops"), None)
    # Only readiness may depend on the broker: who fails to start in time is killed, as one who fails to live.
    for probe, path in (("startupProbe", "/healthz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        asked = container.get(probe, {}).get("httpGet", {})
        if asked.get("path") != path or path not in facts.probe_paths() or asked.get("port") != ops:
            yield f"{probe} should ask {path} on port ops"


def broker_probe_faults(container):
    """What kills must depend neither on the amount of data nor on the other servers; readiness needs a leader."""
    for probe, path in (("startupProbe", "/healthz?js-enabled-only=true"), ("readinessProbe", "/healthz?js-server-only=true"),
                        ("livenessProbe", "/varz")):
        if container.get(probe, {}).get("httpGet") != {"path": path, "port": "monitor"}:
            yield f"the broker's {probe} should ask {path}"


def grace_faults(workload, drain_seconds):
    pod = workload["spec"]["template"]["spec"]
    pause = int(container_of(workload)["lifecycle"]["preStop"]["exec"]["command"][1])
    if pod.get("terminationGracePeriodSeconds", 30) < pause + drain_seconds + 5:
        yield "terminationGracePeriodSeconds is too short for preStop and DRAIN_SECONDS"


def hardening_faults(workload):
    pod, container = workload["spec"]["template"]["spec"], container_of(workload)
    context = container.get("securityContext", {})
    rules = {
        "a token is mounted": pod.get("automountServiceAccountToken") is False,
        "service links are on": pod.get("enableServiceLinks") is False,
        "it may run as root": pod.get("securityContext", {}).get("runAsNonRoot") is True,
        "there is no seccomp profile": pod.get("securityContext", {}).get("seccompProfile") == {"type": "RuntimeDefault"},
        "its file system can be written": context.get("readOnlyRootFilesystem") is True,
        "it may gain privileges": context.get("allowPrivilegeEscalation") is False,
        "it has capabilities": context.get("capabilities") == {"drop": ["ALL"]},
        "its memory has no limit": "memory" in container["resources"].get("limits", {}),
        "it is not spread": bool(pod.get("topologySpreadConstraints")),
    }
    yield from (fault for fault, holds in rules.items() if not holds)
