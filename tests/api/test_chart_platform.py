"""What a platform team sets in the chart: images, accounts, rights, CRDs, monitoring, networks, and objects of its own."""

import json
import re
import subprocess
from typing import Any

import promql_parser
import pytest
import yaml

from opsloop.api.crd import crds
from opsloop.entry.settings import Settings, variable
from tests.api.test_chart import HELM, Object, needs_helm, objects, of_kind, one, render, rendered, verbs
from tests.builders import yamls
from tools import chart_readme, generate

DIGEST = "sha256:" + "a" * 64
ALERTS = yamls.load((generate.CHART / "files" / "alerts.yaml").read_text())


def values(text: str) -> subprocess.CompletedProcess[str]:
    """The chart with these values, as YAML."""
    command = [str(HELM), "template", "opsloop", str(generate.CHART), "-n", "ops", "--kube-version", "1.34.0"]
    base = ["--set", "image.repository=r.example/opsloop", "--set", "crds.install=false", "-f", "-"]
    return subprocess.run([*command, *base], input=text, capture_output=True, text=True, check=False)


def with_values(text: str) -> list[Object]:
    run = values(text)
    assert run.returncode == 0, run.stderr
    return [document for document in yamls.load_all(run.stdout) if document]


def pod_of(documents: list[Object]) -> Object:
    spec: Object = one(documents, "Deployment")["spec"]["template"]["spec"]
    return spec


@needs_helm
def test_there_is_no_image_that_a_stranger_could_own() -> None:
    command = [str(HELM), "template", "opsloop", str(generate.CHART), "--kube-version", "1.34.0"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode != 0 and "image.repository is not set" in run.stderr
    image = pod_of(rendered())["containers"][0]["image"]
    assert image.startswith("opsloop.invalid/"), "a name that no registry can have"


@needs_helm
def test_a_digest_replaces_the_tag_wherever_the_image_is_named() -> None:
    documents = objects(f"image.digest={DIGEST}", "image.tag=v9")
    specs = [pod_of(documents), one(documents, "Pod")["spec"], one(documents, "Job")["spec"]["template"]["spec"]]
    assert {spec["containers"][0]["image"] for spec in specs} == {f"r.example/opsloop@{DIGEST}"}


@needs_helm
@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        pytest.param("image.digest=abc", "/image/digest", id="a digest that is none"),
        pytest.param("serviceAccount.create=false", "serviceAccount.name is not set", id="an account of nobody"),
        pytest.param("rbac.cluster=false", "name the namespaces in watchNamespaces", id="all namespaces, by no cluster right"),
        pytest.param("extraEnv[0].name=OPSLOOP_TICK", "/extraEnv/0/name", id="a setting that has a value of its own"),
        pytest.param("prometheusRule.disabled={OpsloopNoLeadr}", "/prometheusRule/disabled/0", id="an alert that is misspelt"),
        pytest.param("serviceMonitor.interval=often", "/serviceMonitor/interval", id="an interval that is none"),
        pytest.param("networkPolicy.intakeFrom=x", "/networkPolicy/intakeFrom", id="peers that are no list"),
        pytest.param("workers=0", "/workers", id="nobody who works"),
        pytest.param("crds.keeep=true", "'keeep' not allowed", id="a misspelt switch"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(setting: str, sentence: str) -> None:
    run = render(setting)
    assert run.returncode != 0
    assert sentence in run.stderr


@needs_helm
def test_the_account_of_somebody_else_is_used_bound_and_known_to_the_policies() -> None:
    documents = objects("serviceAccount.create=false", "serviceAccount.name=robot", "unguardOnUninstall=false")
    assert of_kind(documents, "ServiceAccount") == []
    assert pod_of(documents)["serviceAccountName"] == "robot"
    bindings = [b for b in documents if b["kind"].endswith("Binding") and "roleRef" in b]
    assert {subject["name"] for binding in bindings for subject in binding["subjects"]} == {"robot"}
    policies = json.dumps(of_kind(documents, "ValidatingAdmissionPolicy"))
    assert "system:serviceaccount:ops:robot" in policies and "ops:opsloop'" not in policies


@needs_helm
def test_without_rbac_no_right_is_made() -> None:
    kinds = {document["kind"] for document in objects("rbac.create=false")}
    assert not kinds & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "Job"}


@needs_helm
def test_in_chosen_namespaces_it_can_do_without_any_object_of_the_cluster() -> None:
    documents = objects("rbac.cluster=false", "watchNamespaces={shop,billing}")
    wide = [d for d in documents if "namespace" not in d["metadata"]]
    assert wide == []
    roles = {(r["metadata"]["namespace"], r["metadata"]["name"]) for r in of_kind(documents, "Role")}
    assert {("shop", "opsloop-ops-on-call"), ("billing", "opsloop-ops-intake-client"), ("shop", "opsloop-ops")} <= roles


@needs_helm
@pytest.mark.parametrize(
    ("role", "resource", "wanted"),
    [
        pytest.param("view", "incidents", {"get", "list", "watch"}, id="who views sees all kinds"),
        pytest.param("view", "alerts", set(), id="and sends nothing"),
        pytest.param("edit", "runbooks", {"create", "patch", "update", "delete"}, id="who edits writes Runbooks"),
        pytest.param("edit", "alerts", set(), id="and does not send in the team's name"),
        pytest.param("admin", "alerts", {"create"}, id="which an admin may"),
    ],
)
def test_the_roles_of_kubernetes_get_their_part(role: str, resource: str, wanted: set[str]) -> None:
    (found,) = (r for r in of_kind(objects(), "ClusterRole") if r["metadata"]["name"] == f"opsloop-ops-{role}")
    assert found["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{role}"] == "true"
    assert verbs(found["rules"], resource) == wanted
    names = {r["metadata"]["name"] for r in of_kind(objects("rbac.aggregate=false"), "ClusterRole")}
    assert f"opsloop-ops-{role}" not in names


@needs_helm
def test_on_openshift_nobody_says_which_user_it_is() -> None:
    documents = objects("openshift=true")
    for spec in (pod_of(documents), one(documents, "Pod")["spec"], one(documents, "Job")["spec"]["template"]["spec"]):
        assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


@needs_helm
@pytest.mark.parametrize(("keep", "annotation"), [("true", "keep"), ("false", None)])
def test_the_crds_come_with_the_chart_and_stay_where_that_is_asked(keep: str, annotation: str | None) -> None:
    found = of_kind([d for d in yamls.load_all(render(f"crds.keep={keep}").stdout) if d], "CustomResourceDefinition")
    generated = {document["metadata"]["name"]: document for document in crds().values()}
    assert {crd["metadata"]["name"] for crd in found} == generated.keys()
    for crd in found:
        assert crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == annotation
        assert crd["spec"] == json.loads(json.dumps(generated[crd["metadata"]["name"]]["spec"]))


@needs_helm
@pytest.mark.parametrize(("value", "kind", "endpoints"), [
    ("serviceMonitor", "ServiceMonitor", "endpoints"),
    ("podMonitor", "PodMonitor", "podMetricsEndpoints"),
])  # fmt: skip
def test_a_monitor_selects_what_serves_the_metrics(value: str, kind: str, endpoints: str) -> None:
    documents = objects(f"{value}.enabled=true", f"{value}.namespace=monitoring", f"{value}.labels.release=prom")
    monitor = one(documents, kind)
    assert monitor["metadata"]["namespace"] == "monitoring" and monitor["metadata"]["labels"]["release"] == "prom"
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["ops"]}
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (endpoint,) = monitor["spec"][endpoints]
    assert endpoint["honorLabels"] is True, "the label `namespace` is that of the Release"
    if kind == "ServiceMonitor":
        (chosen,) = (s for s in of_kind(documents, "Service") if wanted <= s["metadata"]["labels"].items())
        assert [port["name"] for port in chosen["spec"]["ports"]] == [endpoint["port"]]
    else:
        template = one(documents, "Deployment")["spec"]["template"]
        assert wanted <= template["metadata"]["labels"].items()
        assert endpoint["port"] in {port["name"] for port in template["spec"]["containers"][0]["ports"]}


@needs_helm
def test_alerts_about_opsloop_are_those_of_the_file_without_those_that_nobody_wants() -> None:
    text = """
prometheusRule:
  enabled: true
  disabled: [OpsloopStopped]
  alertLabels: {team: platform, severity: page}
  additionalRules: [{alert: Mine, expr: "vector(1)"}]
"""
    (group,) = one(with_values(text), "PrometheusRule")["spec"]["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert names == [a["alert"] for a in ALERTS if a["alert"] != "OpsloopStopped"] + ["Mine"]
    assert {(rule["labels"]["team"], rule["labels"]["severity"]) for rule in group["rules"][:-1]} == {
        ("platform", "page")
    }
    assert group["rules"][0]["expr"] == ALERTS[0]["expr"]


def test_each_alert_about_opsloop_asks_for_metrics_that_it_has() -> None:
    page = (generate.ROOT / "docs" / "operations.md").read_text()
    for alert in ALERTS:
        asked = set(re.findall(r"opsloop_\w+", alert["expr"]))
        assert asked and all(f"`{name}`" in page for name in asked), alert["alert"]
        assert promql_parser.parse(alert["expr"]), alert["alert"]


def test_the_schema_knows_the_names_of_all_alerts() -> None:
    schema = json.loads((generate.CHART / "values.schema.json").read_text())
    names = schema["properties"]["prometheusRule"]["properties"]["disabled"]["items"]["enum"]
    assert names == [alert["alert"] for alert in ALERTS]


@needs_helm
def test_a_network_policy_lets_in_who_sends_who_scrapes_and_the_test() -> None:
    text = """
networkPolicy:
  enabled: true
  intakeFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
"""
    spec = one(with_values(text), "NetworkPolicy")["spec"]
    intake, metrics = spec["ingress"]
    assert spec["policyTypes"] == ["Ingress"], "what goes out is free until somebody says more"
    assert intake["ports"] == [{"port": "intake"}] and len(intake["from"]) == 2
    assert metrics == {"ports": [{"port": "metrics"}]}, "nobody was named: all may scrape"
    tester = one(with_values(text), "Pod")["metadata"]["labels"]
    assert intake["from"][1]["podSelector"]["matchLabels"].items() <= tester.items()
    closed = one(with_values(text + "  egress: [{ports: [{port: 443}]}]\n"), "NetworkPolicy")["spec"]
    assert closed["policyTypes"] == ["Ingress", "Egress"] and closed["egress"] == [{"ports": [{"port": 443}]}]


@needs_helm
def test_what_is_added_to_the_pod_stands_beside_what_the_chart_puts_there() -> None:
    text = """
commonLabels: {cost-centre: "7"}
priorityClassName: system-cluster-critical
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
hostAliases: [{ip: 10.0.0.1, hostnames: [prom]}]
extraEnv: [{name: HTTPS_PROXY, value: "http://proxy.{{ .Release.Namespace }}"}]
extraEnvFrom: [{configMapRef: {name: proxies}}]
extraVolumes: [{name: ca, configMap: {name: ca}}]
extraVolumeMounts: [{name: ca, mountPath: /etc/ca}]
extraInitContainers: [{name: first, image: i}]
extraContainers: [{name: beside, image: i}]
extraObjects:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: mine}}
  - "apiVersion: v1\\nkind: Secret\\nmetadata: {name: '{{ .Release.Name }}-more'}"
"""
    documents, plain = with_values(text), objects()
    pod, before = pod_of(documents), pod_of(plain)
    assert (pod["priorityClassName"], pod["hostAliases"][0]["ip"]) == ("system-cluster-critical", "10.0.0.1")
    assert pod["topologySpreadConstraints"][0]["topologyKey"] == "zone"
    assert [c["name"] for c in pod["containers"]] == ["operator", "beside"]
    assert [c["name"] for c in pod["initContainers"]] == ["first"]
    container, old = pod["containers"][0], before["containers"][0]
    assert container["env"] == [*old["env"], {"name": "HTTPS_PROXY", "value": "http://proxy.ops"}]
    assert container["envFrom"] == [{"configMapRef": {"name": "proxies"}}]
    assert container["volumeMounts"] == [*old["volumeMounts"], {"name": "ca", "mountPath": "/etc/ca"}]
    assert pod["volumes"] == [*before["volumes"], {"name": "ca", "configMap": {"name": "ca"}}]
    assert one(documents, "ConfigMap")["metadata"]["name"] == "mine"
    assert one(documents, "Secret")["metadata"]["name"] == "opsloop-more"
    unlabelled = [
        d["metadata"]["name"]
        for d in documents
        if d["metadata"].get("labels", {}).get("cost-centre") != "7"
        and d["kind"] not in ("ConfigMap", "Secret", "Pod", "Job")
    ]
    assert [name for name in unlabelled if not name.endswith("-unguard")] == []


@needs_helm
def test_every_setting_of_the_process_is_a_value_of_the_chart() -> None:
    text = """
pager: {url: "http://pager", tokenSecret: {name: pager}}
prometheus: {tokenSecret: {name: t}}
notifications: {receivers: {am: {format: json, url: "http://am"}}}
runbooks: {webhooks: [{url: "https://hooks.example/"}]}
correlation: {lags: {error: 3}}
console: {enabled: true}
tickets: {routes: {billing: accounts}}
"""
    set_ = {item["name"] for item in pod_of(with_values(text))["containers"][0]["env"]}
    assert {variable(name) for name in Settings.__dataclass_fields__} == set_


def test_the_readme_has_a_row_for_each_value() -> None:
    page = chart_readme.page(generate.CHART)

    def leaves(table: dict[str, Any], path: str = "") -> list[str]:
        return [
            leaf
            for name, value in table.items()
            for leaf in (leaves(value, f"{path}{name}.") if isinstance(value, dict) and value else [f"{path}{name}"])
        ]

    told = re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    for leaf in leaves(yamls.load((generate.CHART / "values.yaml").read_text())):
        assert any(leaf == name or leaf.startswith(f"{name}.") for name in told), leaf
    for link in re.findall(r"\]\(([^)#]+)", page):
        assert (generate.CHART / link).exists(), link


@needs_helm
def test_the_console_is_off_and_where_it_is_on_it_has_its_service_and_the_rights_to_ask() -> None:
    off, on = with_values("networkPolicy: {enabled: true}"), with_values("console: {enabled: true}")
    assert not [o for o in off if "console" in yaml.safe_dump(o)]
    port = one([o for o in on if o["metadata"]["name"] == "opsloop-console"], "Service")["spec"]["ports"][0]
    container = pod_of(on)["containers"][0]
    assert {"name": "console", "containerPort": 8082} in container["ports"] and port["targetPort"] == "console"
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert (env["OPSLOOP_CONSOLE_PORT"], env["OPSLOOP_CONSOLE_AUDIENCE"]) == ("8082", "opsloop-console")
    reviews = next(o for o in of_kind(on, "ClusterRole") if o["metadata"]["name"].endswith("-reviews"))
    assert "subjectaccessreviews" in {resource for rule in reviews["rules"] for resource in rule["resources"]}
    own = next(o for o in of_kind(on, "Role") if o["metadata"]["name"] == "opsloop-lease")
    assert {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]} in own["rules"]


@needs_helm
def test_a_network_policy_lets_the_replicas_reach_each_others_console() -> None:
    on = with_values("console: {enabled: true}\nnetworkPolicy: {enabled: true, consoleFrom: [{podSelector: {}}]}")
    rule = next(r for r in one(on, "NetworkPolicy")["spec"]["ingress"] if r["ports"] == [{"port": "console"}])
    pod = one(on, "Deployment")["spec"]["template"]["metadata"]["labels"]
    wanted = rule["from"][1]["podSelector"]["matchLabels"]
    assert rule["from"][0] == {"podSelector": {}} and wanted.items() <= pod.items()
