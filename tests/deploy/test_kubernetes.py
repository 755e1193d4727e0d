"""deploy/k8s: renders, is what Kubernetes and KEDA take, and agrees with the code; and the checks find what is wrong."""

import base64
import copy
import json
import os
import re
import shutil
import subprocess
import textwrap

import pytest

import facts
from manifests import KUBERNETES, Manifests, container_of, kubectl, render
from stack import BUILD

pytestmark = pytest.mark.skipif(kubectl()[0] is None, reason=str(kubectl()[1]))

OVERLAYS = ("single", "cluster")
SCHEMAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schemas")


@pytest.fixture(scope="module")
def rendered():
    return {name: render(os.path.join(KUBERNETES, "overlays", name)) for name in OVERLAYS}


@pytest.fixture(scope="module")
def schemas():
    """A directory that holds validate.mjs and the schemas, installed once."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed: the manifests can't be compared with Kubernetes' schemas")
    directory = os.path.join(BUILD, "deploy-schemas")
    os.makedirs(directory, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc", "validate.mjs"):
        shutil.copy(os.path.join(SCHEMAS, name), directory)
    if not os.path.isdir(os.path.join(directory, "node_modules", "kubernetes-models")):
        done = subprocess.run(["npm", "ci"], cwd=directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return directory


def schema_faults(directory, objects):
    # kustomize folds long secrets, which Kubernetes reads, but not whoever is strict about base64.
    objects = [{**item, "data": {key: value.replace("\n", "") for key, value in item["data"].items()}}
               if item["kind"] == "Secret" else item for item in objects]
    done = subprocess.run(["node", "validate.mjs"], cwd=directory, input=json.dumps(objects), capture_output=True, text=True,
                          check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines() + done.stderr.splitlines()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_it_is_what_kubernetes_takes(rendered, schemas, overlay):
    assert len(rendered[overlay]) > 25
    assert schema_faults(schemas, rendered[overlay]) == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_it_agrees_with_the_code(rendered, overlay):
    assert list(Manifests(rendered[overlay]).faults()) == []


def test_the_alternative_to_keda(tmp_path, schemas):
    text = "\n".join(["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", "namespace: parley",
                      f"resources: [{os.path.relpath(KUBERNETES, tmp_path)}/base]",
                      f"components: [{os.path.relpath(KUBERNETES, tmp_path)}/components/hpa]"])
    (tmp_path / "kustomization.yaml").write_text(text, encoding="utf-8")
    objects = render(str(tmp_path))
    assert schema_faults(schemas, objects) == []
    assert list(Manifests(objects).faults()) == []
    assert Manifests(objects).of("HorizontalPodAutoscaler")


def test_what_the_cluster_has_more(rendered):
    single, cluster = Manifests(rendered["single"]), Manifests(rendered["cluster"])
    assert single.find("StatefulSet", "nats")["spec"]["replicas"] == 1
    assert cluster.find("StatefulSet", "nats")["spec"]["replicas"] == 3
    assert [cluster.find("Deployment", name)["spec"]["replicas"] for name in ("gateway", "router")] == [2, 2]
    assert cluster.of("ScaledObject") and not single.of("ScaledObject")
    assert not cluster.find("Deployment", "demo-model") and single.find("Deployment", "demo-model")
    for name in ("gateway", "router", "agent", "tools"):
        assert cluster.environment(cluster.find("Deployment", name))[0]["STORE_REPLICAS"] == "3"


def test_a_node_takes_the_images_that_it_was_given(rendered):
    """Of `single`. An image without a tag would be looked for in a registry each time."""
    containers = [container_of(workload) for workload in Manifests(rendered["single"]).workloads]
    assert all(container["imagePullPolicy"] == "IfNotPresent" for container in containers)


def test_nobody_has_a_token_of_the_example(rendered):
    secret = next(item for item in Manifests(rendered["single"]).of("Secret") if "tokens.json" in item["data"])
    tokens = json.loads(base64.b64decode(secret["data"]["tokens.json"]))["tokens"]
    assert [token["sha256"] for token in tokens] == ["0" * 64]


def test_the_overlay_in_the_documents(tmp_path):
    """deploy/README.md's own overlay: complete, and as consistent as ours."""
    block = re.search(r"^    # deploy/k8s/overlays/mine/kustomization.yaml\n((?:    .*\n)+)", facts.read("deploy/README.md"), re.M)
    cluster = os.path.relpath(os.path.join(KUBERNETES, "overlays", "cluster"), tmp_path)
    text = textwrap.dedent(block[1]).replace("../cluster", cluster)
    (tmp_path / "kustomization.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "secrets.env").write_text("NATS_PASSWORD=a\nOPENAI_API_KEY=b\n", encoding="utf-8")
    (tmp_path / "tokens.json").write_text('{"tokens": []}', encoding="utf-8")
    manifests = Manifests(render(str(tmp_path)))
    assert [fault for fault in manifests.faults() if not fault.endswith("0.1.0")] == []
    assert manifests.of("Ingress")[0]["spec"]["rules"][0]["host"] == "chat.your.domain"


# ---- The checks themselves: each of these faults must be found.

def variable(manifests, workload, name):
    container = container_of(manifests.find("Deployment", workload))
    return next(entry for entry in container["env"] if entry["name"] == name)


def rename_setting(manifests):
    variable(manifests, "agent", "AGENT_MAX_TURNS")["name"] = "AGENT_MAXIMUM_TURNS"


def bad_value(manifests):
    variable(manifests, "agent", "AGENT_MAX_TURNS")["value"] = "0"


def drop_setting(manifests):
    container_of(manifests.find("Deployment", "gateway"))["env"].remove(variable(manifests, "gateway", "HOST"))


def wrong_port(manifests):
    variable(manifests, "gateway", "YYCHAT_PORT")["value"] = "9801"


def wrong_probe(manifests):
    container_of(manifests.find("Deployment", "router"))["livenessProbe"]["httpGet"]["path"] = "/alive"


def wrong_secret_key(manifests):
    manifests.find("Deployment", "agent")["spec"]["template"]["spec"]["volumes"][0]["secret"]["items"][0]["key"] = "PASSWORD"


def wrong_stream(manifests):
    manifests.of("ScaledObject")[0]["spec"]["triggers"][0]["metadata"]["stream"] = "WORK"


def short_grace(manifests):
    manifests.find("Deployment", "agent")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 30


def broker_at_start(manifests):
    container_of(manifests.find("Deployment", "router"))["startupProbe"]["httpGet"]["path"] = "/readyz"


def streams_at_start(manifests):
    container_of(manifests.find("StatefulSet", "nats"))["startupProbe"]["httpGet"]["path"] = "/healthz"


def open_gateway(manifests):
    container_of(manifests.find("Deployment", "gateway"))["env"].remove(variable(manifests, "gateway", "TOKENS_FILE"))


def other_host(manifests):
    manifests.of("Ingress")[0]["spec"]["rules"][0]["host"] = "chat.example.com"


def logged_tokens(manifests):
    del manifests.of("Ingress")[0]["metadata"]["annotations"]["nginx.ingress.kubernetes.io/enable-access-log"]


def small_container(manifests):
    container_of(manifests.find("Deployment", "gateway"))["resources"]["limits"]["memory"] = "256Mi"


def no_model(manifests):
    variable(manifests, "agent", "OPENAI_BASE_URL")["value"] = "http://demo-model:8090/v1"


def contacts_twice(manifests):
    next(item for item in manifests.of("ConfigMap") if "NATS_URL" in item["data"])["data"]["CONTACTS_MAX_BYTES"] = str(2 << 30)


def metadata_address(manifests):
    del manifests.find("NetworkPolicy", "outside")["spec"]["egress"][0]["to"][0]["ipBlock"]["except"]


def broker_variable(manifests):
    entries = container_of(manifests.find("StatefulSet", "nats"))["env"]
    entries.remove(next(entry for entry in entries if entry["name"] == "NATS_ROUTE_3"))


def late_variable(manifests):
    container_of(manifests.find("StatefulSet", "nats"))["env"].reverse()


def full_disk(manifests):
    claim = manifests.find("StatefulSet", "nats")["spec"]["volumeClaimTemplates"][0]
    claim["spec"]["resources"]["requests"]["storage"] = "6Gi"


def writable(manifests):
    del container_of(manifests.find("Deployment", "tools"))["securityContext"]["readOnlyRootFilesystem"]


FAULTS = {
    rename_setting: "agent has no setting AGENT_MAXIMUM_TURNS", bad_value: "takes no '0'",
    drop_setting: "gateway is not given HOST", wrong_port: "listens on 9801, which is not named",
    wrong_probe: "livenessProbe should ask /healthz", wrong_secret_key: "no key PASSWORD",
    wrong_stream: "no consumer agents on stream WORK", short_grace: "too short for preStop",
    metadata_address: "metadata address", broker_variable: "cluster.conf wants NATS_ROUTE_3",
    late_variable: "stands before what it means", full_disk: "too close to the volume's size",
    writable: "file system can be written", broker_at_start: "startupProbe should ask /healthz",
    streams_at_start: "the broker's startupProbe should ask", open_gateway: "gateway has no TOKENS_FILE",
    other_host: "does not name chat.example.com", logged_tokens: "log would hold tokens",
    small_container: "gateway may hold 320 MiB", no_model: "names demo-model, which is not there",
    contacts_twice: "more than NATS_MAX_FILE_STORE",
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__)
def test_a_fault_is_found(rendered, spoil):
    manifests = Manifests(copy.deepcopy(rendered["cluster"]))
    spoil(manifests)
    found = list(manifests.faults())
    assert any(FAULTS[spoil] in fault for fault in found), found


def test_an_unknown_field_and_a_wrong_type_are_found(rendered, schemas):
    manifests = Manifests(copy.deepcopy(rendered["cluster"]))
    pod = manifests.find("Deployment", "agent")["spec"]["template"]["spec"]
    pod["terminationGraceSeconds"] = pod.pop("terminationGracePeriodSeconds")
    manifests.find("Deployment", "router")["spec"]["replicas"] = "two"
    found = schema_faults(schemas, manifests.objects)
    assert len(found) == 2, found
    assert any("terminationGraceSeconds: no such field" in fault for fault in found), found
    assert any("replicas" in fault and "integer" in fault for fault in found), found
