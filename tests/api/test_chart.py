"""The chart and its rendered manifests: permissions, the pod's restrictions, settings and refused values."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from opsloop.core.facts import Address
from opsloop.entry.settings import load
from tests.builders import yamls
from tools import generate

Object = dict[str, Any]
HELM = generate.helm()
needs_helm = pytest.mark.skipif(not HELM, reason="no helm: $HELM, ~/.cache/opsloop/bin or the PATH")


def rendered() -> list[Object]:
    return list(yamls.load_all((generate.MANIFESTS / "opsloop.yaml").read_text()))


def render(*settings: str) -> subprocess.CompletedProcess[str]:
    sets = [word for setting in ("image.repository=r.example/opsloop", *settings) for word in ("--set", setting)]
    command = [str(HELM), "template", "opsloop", str(generate.CHART), "-n", "ops", "--kube-version", "1.34.0", *sets]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def objects(*settings: str) -> list[Object]:
    run = render("crds.install=false", *settings)
    assert run.returncode == 0, run.stderr
    return [document for document in yamls.load_all(run.stdout) if document]


def of_kind(documents: list[Object], kind: str) -> list[Object]:
    return [document for document in documents if document["kind"] == kind]


def one(documents: list[Object], kind: str) -> Object:
    (document,) = of_kind(documents, kind)
    return document


def verbs(rules: list[Object], resource: str) -> set[str]:
    return {verb for rule in rules if resource in rule["resources"] for verb in rule["verbs"]}


def rules_of_the_operator() -> list[Object]:
    documents = rendered()
    roles = {role["metadata"]["name"]: role for role in documents if role["kind"] in ("ClusterRole", "Role")}
    bindings = [document for document in documents if document["kind"].endswith("Binding") and "roleRef" in document]
    return [rule for binding in bindings for rule in roles[binding["roleRef"]["name"]]["rules"]]


@pytest.mark.parametrize(
    "resource", ["secrets", "nodes", "serviceaccounts/token", "pods/exec", "roles", "clusterroles", "*"]
)
def test_the_operator_has_no_permission_on(resource: str) -> None:
    assert verbs(rules_of_the_operator(), resource) == set()


def test_of_accounts_the_operator_sees_only_whether_they_exist() -> None:
    assert verbs(rules_of_the_operator(), "serviceaccounts") == {"get"}


@pytest.mark.parametrize("resource", ["releases", "incidents", "runbooks", "evalcases"])
def test_the_operator_cannot_write_specs(resource: str) -> None:
    writes = {"update", "patch", "delete", "*"} & verbs(rules_of_the_operator(), resource)
    assert writes == ({"delete"} if resource == "incidents" else set()), (
        "an Incident is deleted when its retention is over"
    )


def test_no_rule_uses_a_wildcard() -> None:
    assert [
        rule for rule in rules_of_the_operator() if "*" in rule["verbs"] + rule["resources"] + rule["apiGroups"]
    ] == []


def test_the_pod_is_restricted() -> None:
    pod = one(rendered(), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] >= 60


def test_every_variable_of_the_pod_is_a_setting_of_the_operator() -> None:
    settings = pytest.importorskip("opsloop.entry.settings")
    known = {settings.variable(item) for item in settings.Settings.__dataclass_fields__}
    (container,) = one(rendered(), "Deployment")["spec"]["template"]["spec"]["containers"]
    variables = {item["name"]: item.get("value", "x") for item in container["env"]}
    assert variables.keys() <= known
    assert settings.load(variables).tick.total_seconds() == 5


def test_services_select_the_pod_and_its_named_ports() -> None:
    template = one(rendered(), "Deployment")["spec"]["template"]
    named = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
    services = {service["metadata"]["name"]: service["spec"] for service in of_kind(rendered(), "Service")}
    assert services.keys() == {"opsloop-intake", "opsloop-metrics"}
    for spec in services.values():
        assert spec["selector"].items() <= template["metadata"]["labels"].items()
        assert named[spec["ports"][0]["targetPort"]] == spec["ports"][0]["port"]


@needs_helm
def test_in_chosen_namespaces_nothing_namespaced_is_granted_cluster_wide() -> None:
    documents = objects("watchNamespaces={shop,billing}")
    bound = {binding["roleRef"]["name"] for binding in of_kind(documents, "ClusterRoleBinding")}
    wide = [
        rule
        for role in of_kind(documents, "ClusterRole")
        if role["metadata"]["name"] in bound
        for rule in role["rules"]
    ]
    assert {name for rule in wide for name in rule["resources"]} == {
        "tokenreviews", "namespaces", "customresourcedefinitions", "gatewayclasses",
    }  # fmt: skip
    assert {role["metadata"]["namespace"] for role in of_kind(documents, "Role")} == {"shop", "billing", "ops"}
    bindings = of_kind(documents, "ValidatingAdmissionPolicyBinding")
    policies = {policy["metadata"]["name"] for policy in of_kind(documents, "ValidatingAdmissionPolicy")}
    assert policies and {binding["spec"]["policyName"] for binding in bindings} == policies
    for binding in bindings:
        where = binding["spec"]["matchResources"]["namespaceSelector"]
        assert where["matchExpressions"][0]["values"] == ["shop", "billing"]


def test_only_the_account_of_the_pod_opens_what_pages() -> None:
    pod, (account,) = one(rendered(), "Deployment"), of_kind(rendered(), "ServiceAccount")
    assert pod["spec"]["template"]["spec"]["serviceAccountName"] == account["metadata"]["name"]
    policy = next(
        p for p in of_kind(rendered(), "ValidatingAdmissionPolicy") if p["metadata"]["name"].endswith("-incidents")
    )
    user = f"system:serviceaccount:{account['metadata']['namespace']}:{account['metadata']['name']}"
    (variable,) = policy["spec"]["variables"]
    assert variable["expression"] == f"request.userInfo.username == '{user}'"


@pytest.mark.parametrize(
    ("role", "resource", "wanted"),
    [
        pytest.param("intake-client", "incidents", set(), id="who sends alerts cannot write an Incident"),
        pytest.param("intake-client", "alerts", {"create"}, id="who sends alerts may send alerts"),
        pytest.param("intake-client", "tickets", {"create"}, id="and tickets"),
        pytest.param("on-call", "runbooks", {"get", "list", "watch", "patch", "update"}, id="people on call may stop plays"),
        pytest.param("on-call", "deployments", set(), id="the role on call lends nobody a right on Deployments"),
    ],
)  # fmt: skip
def test_a_teams_role_can_do(role: str, resource: str, wanted: set[str]) -> None:
    (found,) = (r for r in of_kind(rendered(), "ClusterRole") if r["metadata"]["name"].endswith(f"-{role}"))
    assert verbs(found["rules"], resource) == wanted


@needs_helm
def test_two_installs_do_not_share_a_cluster_scoped_name() -> None:
    command = [str(HELM), "template", "opsloop", str(generate.CHART), "-n", "other", "--kube-version", "1.34.0"]
    command += ["--set", "image.repository=r.example/opsloop", "--set", "crds.install=false"]
    other = list(yamls.load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout))

    def wide(documents: list[Object]) -> set[str]:
        return {document["metadata"]["name"] for document in documents if "namespace" not in document["metadata"]}

    assert wide(other) and not wide(other) & wide(objects())


@needs_helm
@pytest.mark.parametrize(("replicas", "budgets"), [(1, 0), (2, 1)])
def test_a_disruption_budget_exists_with_two_pods_only(replicas: int, budgets: int) -> None:
    assert len(of_kind(objects(f"replicas={replicas}"), "PodDisruptionBudget")) == budgets


@needs_helm
def test_the_token_file_of_the_pager_is_mounted_from_its_secret() -> None:
    pod = one(objects("pager.tokenSecret.name=page"), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    named = {item["name"]: item.get("value") for item in container["env"]}["OPSLOOP_PAGER_TOKEN_FILE"]
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "pager-token")
    (volume,) = (volume["secret"] for volume in pod["volumes"] if volume["name"] == "pager-token")
    assert named == str(Path(mount["mountPath"]) / volume["items"][0]["path"])


@needs_helm
@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        pytest.param("tick=soon", "/tick", id="a duration that is none"),
        pytest.param("replica=2", "'replica' not allowed", id="a value that does not exist"),
        pytest.param("prometheus.url=prometheus:9090", "/prometheus/url", id="an address without a scheme"),
        pytest.param("prometheus.url=http://u:p@x", "/prometheus/url", id="a password in an address"),
        pytest.param(
            "prometheus.sources.default.url=http://x", "'default'", id="a source with the name of the default"
        ),
        pytest.param("prometheus.sources.mimir.delay=1m", "missing property 'url'", id="a source without an address"),
        pytest.param("prometheus.headers.authorization=x", "'authorization'", id="a credential as a header"),
        pytest.param("prometheus.tokenSecrt.name=x", "'tokenSecrt' not allowed", id="a misspelt Secret"),
        pytest.param(
            "tickets.desks.help.subjct=$.a", "'subjct' not allowed", id="a field of a desk that does not exist"
        ),
        pytest.param("correlation.lag.error=120", "'lag' not allowed", id="a table of grouping that does not exist"),
        pytest.param("correlation.lags.error=soon", "/correlation/lags/error", id="a lag that is no number"),
        pytest.param("watchNamespaces={Shop}", "/watchNamespaces/0", id="a namespace that cannot be one"),
    ],
)
def test_wrong_values_are_refused_by_name(setting: str, sentence: str) -> None:
    run = render(setting)
    assert run.returncode != 0
    assert sentence in run.stderr


@needs_helm
def test_what_is_changed_of_grouping_is_mounted_as_the_operator_reads_it(tmp_path: Path) -> None:
    settings = pytest.importorskip("opsloop.entry.settings")
    documents = objects(
        "correlation.words.hygiene={licence*}", "correlation.lags.error=120", "correlation.prices.hop=1"
    )
    template = one(documents, "Deployment")["spec"]["template"]
    (container,) = template["spec"]["containers"]
    named = {item["name"]: item.get("value") for item in container["env"]}["OPSLOOP_CORRELATION"]
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "correlation")
    (config,) = (d for d in of_kind(documents, "ConfigMap") if d["metadata"]["name"] == "opsloop-correlation")
    ((file, content),) = config["data"].items()
    assert (
        named == f"{mount['mountPath']}/{file}"
        and template["metadata"]["annotations"]["opsloop.dev/correlation-digest"]
    )
    (path := tmp_path / file).write_text(content)
    method = settings.load_method(str(path))
    assert (method.words["hygiene"], method.lags.error, method.prices.hop) == (("licence*",), 120.0, 1.0)


@needs_helm
def test_what_the_house_says_of_its_tickets_is_mounted_as_the_operator_reads_it(tmp_path: Path) -> None:
    house = pytest.importorskip("opsloop.entry.settings")
    documents = objects("tickets.desks.help.like=jira", "tickets.desks.help.id=$.key")
    template = one(documents, "Deployment")["spec"]["template"]
    (container,) = template["spec"]["containers"]
    named = {item["name"]: item.get("value") for item in container["env"]}["OPSLOOP_TICKETS_FILE"]
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "tickets")
    (config,) = (d for d in of_kind(documents, "ConfigMap") if d["metadata"]["name"] == "opsloop-tickets")
    ((file, content),) = config["data"].items()
    assert named == f"{mount['mountPath']}/{file}" and template["metadata"]["annotations"]["opsloop.dev/tickets-digest"]
    (path := tmp_path / file).write_text(content)
    assert [p.text for p in house.load_house(house.Settings(tickets_file=str(path))).desks["help"].fields["id"]] == [
        "$.key"
    ]
    assert not of_kind(objects(), "ConfigMap"), "nothing is said, nothing is mounted"


@needs_helm
def test_sources_and_their_secrets_are_mounted_as_the_operator_reads_them(tmp_path: Path) -> None:
    """Each file that the sources name is a path of the projected volume, which follows a rotation without a restart."""
    sources = pytest.importorskip("opsloop.entry.sources")
    documents = objects(
        "prometheus.tokenSecret.name=tok", "prometheus.headers.X-Scope-OrgID=shop",
        "prometheus.sources.thanos.url=https://thanos", "prometheus.sources.thanos.tls.caConfigMap.name=ca",
        "prometheus.sources.thanos.tls.certSecret.name=client", "prometheus.sources.thanos.basicAuthSecret.name=user",
        "prometheus.sources.thanos.basicAuthSecret.passwordKey=pw", "prometheus.sources.thanos.resolution=1m",
    )  # fmt: skip
    template = one(documents, "Deployment")["spec"]["template"]
    (container,) = template["spec"]["containers"]
    env = {item["name"]: item.get("value") for item in container["env"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (config,) = (d for d in of_kind(documents, "ConfigMap") if d["metadata"]["name"] == "opsloop-prometheus")
    ((file, content),) = config["data"].items()
    assert env["OPSLOOP_PROMETHEUS_FILE"] == f"{mounts['prometheus']}/{file}"
    assert template["metadata"]["annotations"]["opsloop.dev/sources-digest"]
    (path := tmp_path / file).write_text(content)
    read = sources.load_sources(sources.Settings(prometheus_file=str(path), prometheus_url="http://prom"))
    (volume,) = (v for v in template["spec"]["volumes"] if v["name"] == "prometheus-access")
    projected = [next(iter(each.values())) for each in volume["projected"]["sources"]]
    mounted = {
        f"{mounts['prometheus-access']}/{item['path']}": (p["name"], item["key"])
        for p in projected
        for item in p["items"]
    }
    assert {path for each in read.values() for path in each.files.values()} == mounted.keys()
    thanos = read["thanos"]
    assert mounted[thanos.basic_auth.password_file] == ("user", "pw") and mounted[thanos.tls.ca_file] == (
        "ca",
        "ca.crt",
    )
    assert read["default"].headers == {"X-Scope-OrgID": "shop"} and thanos.resolution.total_seconds() == 60
    assert not of_kind(objects(), "ConfigMap"), "nothing is said, nothing is mounted"


@needs_helm
def test_the_budgets_of_queries_are_a_setting_that_the_operator_reads() -> None:
    settings = pytest.importorskip("opsloop.entry.settings")
    documents = objects("prometheus.queryBudget.perNamespace=600", "prometheus.queryBudget.namespaces.shop=100000")
    (container,) = one(documents, "Deployment")["spec"]["template"]["spec"]["containers"]
    env = {item["name"]: item.get("value") for item in container["env"]}
    budget = settings.load({"OPSLOOP_QUERY_BUDGET": env["OPSLOOP_QUERY_BUDGET"]}).query_budget
    assert (budget.of("other"), budget.of("shop")) == (600, 100000)


@needs_helm
def test_jobs_and_their_logs_are_rights_that_an_administrator_gives() -> None:
    def of(documents: list[Object]) -> tuple[set[str], set[str]]:
        rules = [rule for role in documents if role["kind"] in ("ClusterRole", "Role") for rule in role["rules"]]
        return verbs(rules, "jobs"), verbs(rules, "pods/log")

    assert of(rendered()) == (set(), set())
    assert of(objects("runbooks.jobs=true")) == ({"get", "create", "delete"}, {"get"})


@needs_helm
def test_webhooks_reach_the_operator_as_it_reads_them() -> None:
    said = objects("runbooks.webhooks[0].url=https://hooks.example.com/x/", "runbooks.webhooks[0].namespaces={shop}")
    (container,) = one(said, "Deployment")["spec"]["template"]["spec"]["containers"]
    text = next(e["value"] for e in container["env"] if e["name"] == "OPSLOOP_WEBHOOKS")
    assert load({"OPSLOOP_WEBHOOKS": text}).webhooks == (Address("https://hooks.example.com/x/", ("shop",)),)
    assert render("runbooks.webhooks[0].url=https://me@hooks.example.com/").returncode != 0
