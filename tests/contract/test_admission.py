"""What a real API server says to objects that are not right: our sentence, which names the field and what would be.

Runs where OPSLOOP_CONTRACT_KUBECONFIG names a cluster (1.30 or later). Applies crds/ and, under names of its own and for
its own namespace only, the policies of manifests/.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.builders import yamls
from tests.contract.admission.objects import GOOD, LATENCY, LOOSE, ORDER, Object, at, named
from tests.contract.admission.server import GROUP, KUBECONFIG, PLURALS, Api, create, own_namespace, until

pytestmark = pytest.mark.skipif(not KUBECONFIG, reason="OPSLOOP_CONTRACT_KUBECONFIG names no cluster")

ROOT = Path(__file__).resolve().parents[2]
POLICIES = "/apis/admissionregistration.k8s.io/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="module")
def api() -> Api:
    return Api()


@pytest.fixture(scope="module")
def namespace(api: Api) -> Iterator[str]:
    with own_namespace(api) as name:
        yield name


def annotated(body: Object, **annotations: str) -> Object:
    keys = {f"opsloop.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {**body, "metadata": {**body["metadata"], "annotations": keys}}


@pytest.mark.parametrize(
    "body",
    [
        *(pytest.param(at(kind), id=f"a good {kind}") for kind in GOOD),
        pytest.param(at("Release", slo=None, evals=None, strategy=None), id="a Release of three lines"),
        pytest.param(at("Release", slo__name="up", slo__also=[LATENCY]), id="two objectives"),
        pytest.param(at("Release", slo__name="up", slo__also=[{**LOOSE, "tiers": [{"long": "1h", "short": "5m", "factor": 5, "severity": "sev1"}], "minBadEvents": 9}]), id="two objectives, the other with tiers of its own"),
        pytest.param(at("Release", slo__tiers=[]), id="a Release that takes the default tiers"),
        pytest.param(at("Release", slo__sli={"good": "a[{{window}}]", "total": "b[{{window}}]"}), id="good instead of bad"),
        pytest.param(at("Release", strategy__canary__steps=[{"weight": 100}]), id="one step, straight to 100"),
        pytest.param(at("Release", strategy__traffic="httpRoute", strategy__httpRoute={"name": "shop", "service": "answers", "rules": ["ask"]}), id="weights on an HTTPRoute"),
        pytest.param(at("Release", strategy__canary__canaryMetadata={"labels": {"track": "canary", "example.com/x": ""}, "annotations": {"a.b/c": "d e"}}, strategy__canary__liveMetadata={"labels": {"track": "live"}}), id="labels of one's own"),
        pytest.param(at("Release", slo__tiers__0__long="1d2h", slo__tiers__0__short="25h"), id="days against hours"),
        pytest.param(named("r" * 45, at("Release")), id="a Release with the longest name"),
        pytest.param(at("Runbook", steps=[{"type": "wait"}]), id="a Runbook that leaves escalate to us"),
        pytest.param(at("Runbook", steps=[{"type": "scale", "scale": {"percent": 150, "max": 9}, "verify": "none", "ifRefused": "escalate"}]), id="a Runbook that adds pods"),
        pytest.param(at("Runbook", steps=[{"type": "freeze", "freeze": {"reason": "hold still"}}, {"type": "restart"}, {"type": "abortCanary"}]), id="a Runbook that holds still"),
        pytest.param(at("Release", slo__sli={"requests": {"counter": "job:hits", "selector": 'a=~"/x{2}",b!="}",', "bad": "code=~'5..'"}}), id="an SLI of a counter"),
        pytest.param(at("Release", slo__sli={"latency": {"histogram": "took_seconds", "threshold": 0.3, "native": True, "podLabel": "pod"}}), id="an SLI of a histogram"),
        pytest.param(at("Release", evals={"port": 80, "ask": {"method": "POST", "path": "/chat", "body": '{"q": "{{asked}}"}', "answerPath": "$.text"}}), id="a Release that is asked by POST"),
        pytest.param(at("EvalCase", expect={"status": 404}), id="an EvalCase about the status alone"),
        pytest.param(at("EvalCase", expect={"contains": "30"}), id="an EvalCase about the whole body"),
        pytest.param(at("EvalCase", origin=None, proof=None), id="a manual EvalCase without proof"),
        pytest.param(at("EvalCase", **ORDER), id="an EvalCase that posts with a Secret over TLS and looks at all of the reply"),
        pytest.param(at("EvalCase", repeats=10, minShare=0.9), id="an EvalCase of a service whose answers vary"),
        pytest.param(at("EvalCase", mustPass=True, minShare=0.99, load={"requestsPerSecond": 20, "duration": "30s"}), id="an EvalCase that is a check under load"),
        pytest.param(at("EvalCase", expect={"jsonSchema": {"type": "object", "$defs": {"a": {"minimum": 1}}}}), id="an EvalCase with a schema alone"),
        pytest.param(at("Incident", signal={"kind": "ticket", "at": "2026-11-23T14:00:00Z", "severity": "sev4"}), id="an Incident from a ticket"),
    ],
)  # fmt: skip
def test_right_objects_are_taken(api: Api, namespace: str, body: Object) -> None:
    status, answer = create(api, namespace, body)
    assert status == 201, answer


TIER = "slo__tiers__0__"
STEPS = "strategy__canary__steps"
REFUSED = [
    pytest.param(at("Release", slo__also=[LATENCY]), "slo.name: where slo.also has others, name the first objective", id="two objectives, the first without a name"),
    pytest.param(at("Release", slo__name="latency", slo__also=[LATENCY]), "slo.also: each objective needs a name of its own", id="two objectives of one name"),
    pytest.param(at("Release", slo__name="up", slo__also=[LATENCY, LATENCY]), "Duplicate value", id="two others of one name"),
    pytest.param(at("Release", slo__name="up", slo__also=[{**LATENCY, "name": "Slow!"}]), "slo.also[0].name", id="a name that is no label"),
    pytest.param(at("Release", slo__name="up", slo__also=[LOOSE]), "slo.also: an objective cannot reach the factor of a tier", id="another objective that cannot reach the Slo's tiers"),
    pytest.param(at("Release", slo__name="up", slo__also=[{**LATENCY, "sli": {"bad": "a[5m]", "total": "b[{{window}}]"}}]), "spec.slo.also[0].sli.bad", id="a mistake in another objective's SLI"),
    pytest.param(at("Release", slo__name="up", slo__also=[{**LATENCY, "name": f"n{n}"} for n in range(5)]), "slo.also", id="six objectives"),
    pytest.param(at("Release", slo__sli__good="a[{{window}}]"), "slo.sli: give exactly one of good and bad", id="both good and bad"),
    pytest.param(at("Release", slo__sli__bad=None), "slo.sli: give exactly one of good and bad", id="neither good nor bad"),
    pytest.param(at("Release", slo__sli__bad="a[5m]"), "slo.sli.bad must contain {{window}}", id="a bad query over a fixed window"),
    pytest.param(at("Release", slo__sli={"good": "a", "total": "b[{{window}}]"}), "slo.sli.good must contain {{window}}", id="a good query without a window"),
    pytest.param(at("Release", slo__sli__total="a[5m]"), "slo.sli.total must contain {{window}}", id="a total query over a fixed window"),
    pytest.param(at("Release", slo__sli__requests={"counter": "hits", "bad": 'code="500"'}), "give exactly one of requests, latency, and total", id="two forms of an SLI"),
    pytest.param(at("Release", slo__sli={"good": "a[{{window}}]", "requests": {"counter": "hits", "bad": 'code="500"'}}), "give exactly one of good and bad beside total", id="good without total"),
    pytest.param(at("Release", slo__sli={"requests": {"counter": "hits{}", "bad": 'code="500"'}}), "slo.sli.requests.counter", id="a selector as a counter's name"),
    pytest.param(at("Release", slo__sli={"requests": {"counter": "hits", "bad": '{code="500"}'}}), "slo.sli.requests.bad", id="matchers in braces"),
    pytest.param(at("Release", slo__sli={"requests": {"counter": "hits", "bad": ""}}), "slo.sli.requests.bad", id="nothing is bad"),
    pytest.param(at("Release", slo__sli={"latency": {"histogram": "took", "threshold": 0}}), "slo.sli.latency.threshold", id="a threshold of nothing"),
    pytest.param(at("Release", slo__objective=1), "slo.objective", id="an objective of 1 leaves no budget"),
    pytest.param(at("Release", slo__objective=0.9), "the objective cannot reach this factor", id="14.4 times on an objective of 0.9"),
    pytest.param(at("Release", **{f"{TIER}factor": 100}), "the objective cannot reach this factor", id="100 times on an objective of 0.99"),
    pytest.param(at("Release", **{f"{TIER}short": "1m"}), "short must be longer than 0s and shorter than long", id="windows of one length"),
    pytest.param(at("Release", **{f"{TIER}short": "60001ms"}), "shorter than long", id="short longer by a millisecond"),
    pytest.param(at("Release", **{f"{TIER}long": "6d", f"{TIER}short": "1w"}), "shorter than long", id="a week against six days"),
    pytest.param(at("Release", **{f"{TIER}short": "0s"}), "short must be longer than 0s", id="a short window of nothing"),
    pytest.param(at("Release", **{f"{TIER}long": "1 hour"}), "slo.tiers[0].long", id="a duration in words"),
    pytest.param(at("Release", slo__period="0d"), "slo.period must be longer than 0s", id="a period of nothing"),
    pytest.param(at("Release", strategy__canary__analysis={"window": "0s"}), "analysis.window must be longer than 0s", id="an analysis of nothing"),
    pytest.param(at("Release", **{STEPS: [{"weight": 50}, {"weight": 20}, {"weight": 100}]}), "weights must rise from step to step", id="weights that fall"),
    pytest.param(at("Release", **{STEPS: [{"weight": 50}, {"weight": 50}, {"weight": 100}]}), "weights must rise from step to step", id="weights that stay"),
    pytest.param(at("Release", **{STEPS: [{"weight": 20}, {"weight": 50}]}), "the last weight must be 100", id="a canary that never ends"),
    pytest.param(at("Release", strategy__traffic="httpRoute"), "traffic: httpRoute and httpRoute go together", id="weights on no HTTPRoute"),
    pytest.param(at("Release", strategy__httpRoute={"name": "shop"}), "traffic: httpRoute and httpRoute go together", id="an HTTPRoute for weights by pods"),
    pytest.param(at("Release", strategy__traffic="httpRoute", strategy__httpRoute={"name": "shop/web"}), "write the name of the object alone", id="an HTTPRoute of another namespace"),
    pytest.param(at("Release", strategy__traffic="mesh"), "spec.strategy.traffic", id="a way of traffic that is none"),
    pytest.param(at("Release", **{STEPS: []}), "strategy.canary.steps", id="a canary without steps"),
    *(
        pytest.param(at("Release", **{f"strategy__canary__{field}": {kind: {key: "x"}}}), says, id=f"{field} with {kind} {key[:40]}")
        for field, kind, key, says in (
            ("canaryMetadata", "labels", "opsloop.dev/canary", "are not for you to set"),
            ("liveMetadata", "labels", "a.opsloop.dev/x", "are not for you to set"),
            ("liveMetadata", "labels", "app.kubernetes.io/name", "are not for you to set"),
            ("liveMetadata", "annotations", "prometheus.k8s.io/scrape", "are not for you to set"),
            ("liveMetadata", "labels", "pod-template-hash", "are not for you to set"),
            ("canaryMetadata", "labels", "a b", "is a name as Kubernetes takes it"),
            ("canaryMetadata", "annotations", "/x", "is a name as Kubernetes takes it"),
            ("canaryMetadata", "labels", "k" * 64, "is a name as Kubernetes takes it"),
        )
    ),
    pytest.param(at("Release", strategy__canary__liveMetadata={"labels": {"track": "a b"}}), "no label has this value", id="a value that no label has"),
    pytest.param(at("Release", dependsOn=["a", "a"]), "dependsOn[1]", id="a dependency twice"),
    pytest.param(at("Release", images={}), "spec.images", id="a version without images"),
    pytest.param(at("Release", weight=5), 'unknown field "spec.weight"', id="a field that is none"),
    pytest.param(named("r" * 46, at("Release")), "metadata.name must be at most 45 characters", id="a Release whose Incidents could not be named"),
    pytest.param(at("Runbook", steps=[]), "spec.steps", id="a Runbook without steps"),
    pytest.param(at("Runbook", steps=[{"type": "escalate"}, {"type": "rollback"}]), "may only be the last step", id="escalate before the rollback"),
    pytest.param(at("Runbook", steps=[{"type": "escalate"}, {"type": "escalate"}]), "may only be the last step", id="escalate twice"),
    pytest.param(at("Runbook", steps=[{"type": "reboot"}]), "spec.steps[0].type", id="a step that does not exist"),
    pytest.param(at("Runbook", serviceAccountName=None), "spec.serviceAccountName", id="a Runbook on nobody's behalf"),
    pytest.param(at("EvalCase", expect={}), "expect must say what a right reply looks like", id="an EvalCase that was emptied"),
    pytest.param(at("EvalCase", expect={"field": "answer", "status": 200}), "say with equals, contains or matches what must be there", id="a field without a value"),
    pytest.param(at("Release", evals={"port": 80, "ask": {"path": "/ask"}}), "ask must say where the question goes", id="a question that is not asked"),
    pytest.param(at("EvalCase", expect={"matches": "(a"}), "matches must be a regular expression in RE2 syntax", id="no regular expression"),
    pytest.param(at("EvalCase", expect={"matches": r"(a)\1"}), "matches must be a regular expression in RE2 syntax", id="a back-reference"),
    pytest.param(at("EvalCase", expect={"json": [{"path": "$.a"}]}), "say what must be there: equals, contains", id="a JSONPath without what must be there"),
    pytest.param(at("EvalCase", expect={"json": [{"path": "a.b", "exists": True}]}), "spec.expect.json[0].path", id="a path that is no JSONPath"),
    pytest.param(at("EvalCase", expect={"json": [{"path": "$.a", "exists": False, "equals": "x"}]}), "exists: false says that nothing is there", id="nothing that is equal"),
    pytest.param(at("EvalCase", expect={"json": [{"path": "$.a", "equals": "x", "tolerance": 0.1}]}), "tolerance belongs to number", id="a tolerance of nothing"),
    pytest.param(at("EvalCase", expect={"headers": [{"name": "a b", "exists": True}]}), "spec.expect.headers[0].name", id="a header's name with a blank"),
    pytest.param(at("EvalCase", expect={"maxLatency": "6s"}), "expect.maxLatency must not be longer than request.timeoutSeconds", id="a latency that nobody waits for"),
    pytest.param(at("EvalCase", minShare=0.9), "repeats must be at least 1 / (1 - minShare)", id="a share of how many"),
    pytest.param(at("EvalCase", minShare=0.9, repeats=9), "repeats must be at least 1 / (1 - minShare)", id="a share that no failure fits into"),
    pytest.param(at("EvalCase", minShare=0), "spec.minShare", id="a share of nothing"),
    pytest.param(at("EvalCase", mustPass=True, load={"requestsPerSecond": 51, "duration": "30s"}), "spec.load.requestsPerSecond", id="a load that is an attack"),
    pytest.param(at("EvalCase", mustPass=True, load={"requestsPerSecond": 20, "duration": "10m"}), "load.duration must be between 1s and 1m", id="a load that does not end"),
    pytest.param(at("EvalCase", mustPass=False, load={"requestsPerSecond": 20, "duration": "30s"}), "load needs mustPass: true", id="a load that nothing is compared with"),
    pytest.param(at("EvalCase", mustPass=True, repeats=3, load={"requestsPerSecond": 20, "duration": "30s"}), "repeats must not be given beside load", id="a load that is repeated"),
    pytest.param(at("EvalCase", mustPass=True, minShare=0.99, load={"requestsPerSecond": 1, "duration": "30s"}), "load.requestsPerSecond times load.duration must be at least", id="a load that no failure fits into"),
    pytest.param(at("EvalCase", mustPass=True, request__timeoutSeconds=10, load={"requestsPerSecond": 50, "duration": "30s"}), "must not exceed 200", id="a load of requests that pile up"),
    pytest.param(at("EvalCase", request__tls={}), "tls needs the name in the pods' certificate", id="TLS to nobody"),
    pytest.param(at("EvalCase", request__tls={"serverName": "a", "insecureSkipVerify": True}), "tls needs the name in the pods' certificate", id="TLS that checks a name and does not"),
    pytest.param(at("EvalCase", request__method="CONNECT"), "spec.request.method", id="a method that is none for pods"),
    pytest.param(at("EvalCase", request__headersFrom=[{"name": "A", "secretKeyRef": {"name": "kube-system/x", "key": "k"}}]), "secretKeyRef.name", id="a Secret of another namespace"),
    pytest.param(at("EvalCase", request__headers={"A": "x"}, request__headersFrom=[{"name": "A", "secretKeyRef": {"name": "x", "key": "k"}}]), "headersFrom names a header that headers has as well", id="a header twice"),
    pytest.param(at("EvalCase", expect={"contains": ""}), "expect.contains must not be empty", id="a text that is in every reply"),
    pytest.param(at("EvalCase", origin={"kind": "regression"}), "origin.incident must name the Incident", id="a regression from nowhere"),
    pytest.param(at("EvalCase", proof=None), "proof must name the bad and the good revision", id="a regression without proof"),
    pytest.param(at("EvalCase", request__path="http://elsewhere/"), "spec.request.path", id="a host in the path"),
    pytest.param(at("Incident", signal__severity="high"), "spec.signal.severity", id="a severity that is none"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "sentence"), REFUSED)
def test_wrong_objects_are_refused_with_a_sentence(api: Api, namespace: str, body: Object, sentence: str) -> None:
    status, answer = create(api, namespace, body)
    assert status in (400, 422), answer
    assert sentence in answer["message"]


FIXED = [
    pytest.param("Release", "workloadRef", {"name": "web"}, "workloadRef.name cannot be changed", id="another Deployment for a Release"),
    pytest.param("Incident", "signal", {"severity": "sev4"}, "signal cannot be changed", id="a milder signal afterwards"),
    pytest.param("Incident", "release", "web", "release cannot be changed", id="another root for an Incident"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "field", "value", "sentence"), FIXED)
def test_what_is_written_once_stays(api: Api, namespace: str, kind: str, field: str, value: Any, sentence: str) -> None:
    body = named(f"fixed-{field.lower()}", at(kind))
    assert create(api, namespace, body, dry=False)[0] == 201
    path = f"{GROUP}/namespaces/{namespace}/{PLURALS[kind]}/{body['metadata']['name']}"
    status, answer = api.call("PATCH", path, {"spec": {field: value}}, "merge-patch+json")
    assert (status, sentence in answer["message"]) == (422, True), answer
    assert api.call("PATCH", path, {"metadata": {"labels": {"team": "x"}}}, "merge-patch+json")[0] == 200


def test_the_api_server_fills_in_what_applies(api: Api, namespace: str) -> None:
    _, answer = create(api, namespace, at("Release", slo__tiers=None, strategy=None))
    spec = answer["spec"]
    assert [step["weight"] for step in spec["strategy"]["canary"]["steps"]] == [20, 50, 100]
    assert spec["slo"]["period"] == "30d"
    assert spec["unknownTelemetry"] == "hold"


POLICY_PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
MILD = {"kind": "alerts", "at": "2026-11-23T14:00:00Z", "severity": "sev3"}
OPERATOR = "system:serviceaccount:opsloop-system:opsloop"
WRITE_CONFIGMAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch", "delete"]}
EDIT = {"apiGroups": ["opsloop.dev"], "resources": ["*"], "verbs": ["get", "create", "patch", "update"]}
WRITE_RUNBOOKS = {
    "apiGroups": ["opsloop.dev"],
    "resources": ["runbooks"],
    "verbs": ["get", "create", "patch", "update"],
}
WRITE_RELEASES = {**WRITE_RUNBOOKS, "resources": ["releases"]}  # and no webhooks, which a * would have
LENT = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]},
    {"apiGroups": ["opsloop.dev"], "resources": ["webhooks"], "verbs": ["create"]},
]
PATCH_ANSWERS = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"], "resourceNames": ["answers"]}
PATCH_SHOP = {
    "apiGroups": ["gateway.networking.k8s.io"],
    "resources": ["httproutes"],
    "verbs": ["patch"],
    "resourceNames": ["shop"],
}

JOB_STEP: Object = {"type": "job", "job": {"image": "tools:1"}}
WEBHOOK_STEP: Object = {"type": "webhook", "webhook": {"url": "https://hooks.example.com/"}}


@pytest.fixture(scope="module")
def guarded(api: Api, namespace: str) -> Iterator[str]:
    """The policies of manifests/, for this namespace only.

    `editor` may edit everything of ours, `shipper` may patch Deployment answers as well, `on-call` has the chart's role and
    no more, `lead` has all of these; OPERATOR is who the chart says.
    """
    documents = list(yamls.load_all((ROOT / "manifests" / "opsloop.yaml").read_text()))
    on_call = next(found for found in documents if found["metadata"]["name"].endswith("-on-call"))["rules"]
    users = {
        "editor": [EDIT, WRITE_CONFIGMAPS],
        "shipper": [EDIT, PATCH_ANSWERS],
        "on-call": on_call,
        "lead": [EDIT, PATCH_ANSWERS, *on_call],
        "router": [EDIT, PATCH_ANSWERS, PATCH_SHOP],
        "keeper": [EDIT, {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["robot"], "verbs": ["get"]}],
        "author": [WRITE_RUNBOOKS],
        "lender": [WRITE_RUNBOOKS, *LENT],
        "releaser": [WRITE_RELEASES, PATCH_ANSWERS],
        OPERATOR: [EDIT, WRITE_CONFIGMAPS],
    }
    for user, rules in users.items():
        grant(api, namespace, user, rules)
    own = [found for found in documents if found["kind"].startswith("ValidatingAdmissionPolicy")]
    assert len(own) == 18
    where = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    for found in own:
        found["metadata"]["name"] = f"{namespace}{found['metadata']['name'].removeprefix('opsloop-opsloop-system')}"
        if found["kind"].endswith("Binding"):
            found["spec"] |= {"policyName": found["metadata"]["name"], "matchResources": {"namespaceSelector": where}}
        api.apply(f"{POLICIES}/{POLICY_PLURALS[found['kind']]}", found)
    probes = [  # one for each policy that guards a creation; edits come last to the API server, so they are asked last
        annotated(at("Incident", signal=MILD), approve="x"),
        at("Release"),
        at("Incident"),
        at("EvalCase", **ORDER),
        at("Runbook", steps=[JOB_STEP]),
    ]
    for probe in probes:
        until(partial(refused, api, namespace, probe))
    until(lambda: keep(api, namespace, record("probe", {"opsloop.dev/inbox": "true"}), "editor")[0] == 403)
    assert create(api, namespace, named("probe", at("Runbook")), dry=False)[0] == 201
    path = f"{GROUP}/namespaces/{namespace}/runbooks/probe"
    raised = {"spec": {"serviceAccountName": "other"}}
    until(lambda: api.call("PATCH", f"{path}?dryRun=All", raised, "merge-patch+json", user="on-call")[0] == 403)
    yield namespace
    for found in own:
        api.call("DELETE", f"{POLICIES}/{POLICY_PLURALS[found['kind']]}/{found['metadata']['name']}")


def refused(api: Api, namespace: str, body: Object) -> bool:
    return create(api, namespace, body, user="editor")[0] != 201


def grant(api: Api, namespace: str, user: str, rules: list[Object]) -> None:
    path, group = f"{RBAC}/namespaces/{namespace}", RBAC.removeprefix("/apis/")
    named_so = {"apiVersion": group, "metadata": {"name": user}}
    who = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
    to = {"kind": "Role", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
    api.apply(f"{path}/roles", {**named_so, "kind": "Role", "rules": rules})
    api.apply(f"{path}/rolebindings", {**named_so, "kind": "RoleBinding", "roleRef": to, "subjects": [who]})


DECISIONS = [
    ("Release", "approve"), ("Release", "unblock"), ("Release", "retry"),
    ("Release", "promote"), ("Release", "undo"), ("Release", "restart"),
    ("Incident", "approve"), ("Incident", "acknowledge"), ("Incident", "mitigated"), ("Incident", "waive_regression"),
    ("EvalCase", "approve"),
]  # fmt: skip


def mild(kind: str) -> Object:
    """A good object that everybody may create who may create its kind and patch Deployment answers."""
    return at(kind, signal=MILD) if kind == "Incident" else at(kind)


@pytest.mark.parametrize(("kind", "decision"), DECISIONS)
def test_a_decision_needs_the_verb_of_its_name(api: Api, guarded: str, kind: str, decision: str) -> None:
    body = annotated(
        mild(kind), **{decision: "lead: nothing that one request shows" if decision == "waive_regression" else "x"}
    )
    status, answer = create(api, guarded, body, user="shipper")
    verb = decision.replace("_", "-")
    assert status == 403, answer
    assert f"annotation opsloop.dev/{verb} may only be set by somebody with the verb {verb}" in answer["message"]
    assert create(api, guarded, body, user="lead")[0] == 201


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("true", id="without who and why"),
        pytest.param("alice: nothing that one request shows", id="in somebody else's name"),
        pytest.param("lead: no", id="without a reason"),
    ],
)
def test_a_waiver_says_who_and_why(api: Api, guarded: str, value: str) -> None:
    status, answer = create(api, guarded, annotated(mild("Incident"), waive_regression=value), user="lead")
    assert status == 403 and 'says who waives the case and why: "lead: WHY"' in answer["message"], answer


def test_only_a_changed_decision_is_guarded(api: Api, guarded: str) -> None:
    body = annotated(named("decided", at("Release")), approve="v1")
    assert create(api, guarded, body, dry=False, user="lead")[0] == 201

    def edit(change: Object) -> int:
        return patch(api, guarded, "releases/decided", change, "shipper")[0]

    assert edit({"spec": {"paused": True}}) == 200, "the annotation is there and stays the same"
    assert edit({"metadata": {"annotations": {"opsloop.dev/approve": "v2"}}}) == 403
    assert edit({"metadata": {"annotations": {"opsloop.dev/approve": None}}}) == 200, "taking it away is free"
    assert edit({"metadata": {"annotations": {"opsloop.dev/approve": "v1"}}}) == 403


def patch(api: Api, namespace: str, path: str, change: Object, user: str) -> tuple[int, Object]:
    """Merge patch by a user; nothing is stored that was not there before the next one."""
    return api.call("PATCH", f"{GROUP}/namespaces/{namespace}/{path}", change, "merge-patch+json", user=user)


BURN = GOOD["Incident"]["signal"]["burn"]  # type: ignore[index]
SIGNALS = [
    pytest.param({"severity": "sev1"}, "signal.severity", id="alerts at sev1, which page"),
    pytest.param({"severity": "sev2"}, "signal.severity", id="alerts at sev2, which page"),
    pytest.param({"kind": "burn", "burn": BURN}, "spec.signal: only opsloop", id="a burn that nobody measured"),
    pytest.param({"kind": "burn"}, "spec.signal: only opsloop", id="a burn without its numbers"),
    pytest.param(
        {"kind": "ticket", "burn": BURN}, "spec.signal: only opsloop", id="a ticket with the numbers of a burn"
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), SIGNALS)
def test_only_opsloop_opens_what_pages_or_rolls_back(api: Api, guarded: str, changes: Object, sentence: str) -> None:
    body = at("Incident", signal={**MILD, **changes})
    for user in ("lead", ""):  # "" is the administrator of the cluster
        status, answer = create(api, guarded, body, user=user)
        assert (status, sentence in answer["message"]) == (403, True), answer
    assert create(api, guarded, body, user=OPERATOR)[0] == 201
    assert create(api, guarded, at("Incident", signal=MILD), user="editor")[0] == 201


EVALS = {"port": 8080}
SHIPPING = [
    pytest.param({"spec": {"version": "v2"}}, id="another version"),
    pytest.param({"spec": {"images": {"answers": "evil/miner:v1"}}}, id="another image"),
    pytest.param({"spec": {"images": {"sidecar": "evil/miner:v1"}}}, id="one more image"),
    pytest.param({"spec": {"paused": False}}, id="going on after a stop"),
    pytest.param({"spec": {"paused": None}}, id="going on by leaving paused out"),
    pytest.param({"spec": {"evals": {"quarantine": "auto"}}}, id="pods of a known bad revision without being asked"),
    pytest.param({"spec": {"strategy": {"keepWarm": {"replicas": 1000}}}}, id="pods that are kept warm"),
    pytest.param(
        {"spec": {"strategy": {"canary": {"liveMetadata": {"labels": {"track": "live"}}}}}}, id="labels on live pods"
    ),
    pytest.param({"spec": {"strategy": {"type": "direct"}}}, id="no canary any more"),
    pytest.param({"metadata": {"annotations": {"opsloop.dev/retry": "2"}}}, id="a retry"),
    pytest.param({"metadata": {"annotations": {"opsloop.dev/approve": "v1"}}}, id="an approval"),
    pytest.param({"metadata": {"annotations": {"opsloop.dev/unblock": "0123456789abcdef"}}}, id="an unblock"),
    pytest.param({"metadata": {"annotations": {"opsloop.dev/promote": "v1/100"}}}, id="a promotion by order"),
    pytest.param({"metadata": {"annotations": {"opsloop.dev/undo": "v1"}}}, id="an undo"),
    pytest.param({"metadata": {"annotations": {"opsloop.dev/restart": "v1"}}}, id="a restart"),
]


@pytest.fixture(scope="module")
def paused(api: Api, guarded: str) -> str:
    """Path of a Release that somebody stopped, which once was retried."""
    body = annotated(named("paused", at("Release", paused=True, evals=EVALS)), retry="1")
    assert create(api, guarded, body, dry=False, user="lead")[0] == 201
    return "releases/paused"


@pytest.mark.parametrize("change", SHIPPING)
def test_shipping_needs_the_right_to_patch_that_deployment(api: Api, guarded: str, paused: str, change: Object) -> None:
    for user in ("editor", "on-call"):
        status, answer = patch(api, guarded, f"{paused}?dryRun=All", change, user)
        assert status == 403, answer
    assert "needs the right to patch its Deployment" in patch(api, guarded, paused, change, "on-call")[1]["message"]
    assert patch(api, guarded, f"{paused}?dryRun=All", change, "lead")[0] == 200


def routed(route: str) -> Object:
    return {"strategy": {"traffic": "httpRoute", "httpRoute": {"name": route}}}


def test_naming_a_route_needs_the_right_to_patch_that_route(api: Api, guarded: str) -> None:
    body = named("routed", at("Release", **routed("shop")))
    status, answer = create(api, guarded, body, user="shipper")
    assert status == 403 and "needs the right to patch that" in answer["message"], answer
    assert create(api, guarded, body, dry=False, user="router")[0] == 201

    def edit(spec: Object, user: str) -> int:
        return patch(api, guarded, "releases/routed?dryRun=All", {"spec": spec}, user)[0]

    assert edit({"version": "v2"}, "shipper") == 200, "the route stays the same"
    assert edit(routed("shop"), "shipper") == 200
    assert edit(routed("pay"), "router") == 403
    assert edit({"strategy": {"httpRoute": {"name": "shop", "service": "web"}}}, "shipper") == 403
    testers = {"match": {"headers": [{"name": "x-canary", "value": "yes"}]}}
    rules = {"strategy": {"canary": {"steps": [testers, {"weight": 100}]}}}
    assert (edit(rules, "shipper"), edit(rules, "router")) == (403, 200), "steps that add rules to the route"
    assert edit({"strategy": {"traffic": None, "httpRoute": None}}, "shipper") == 200, "weights by pods again"


LOWERING = [
    pytest.param({"spec": {"paused": True}}, id="a stop, again"),
    pytest.param({"spec": {"unknownTelemetry": "abort"}}, id="less patience with silence"),
    pytest.param({"spec": {"slo": {"objective": 0.995}}}, id="another objective"),
    pytest.param({"spec": {"evals": {"quarantine": "never"}}}, id="no quarantined pods"),
    pytest.param({"metadata": {"annotations": {"opsloop.dev/retry": None}}}, id="a retry taken away"),
    pytest.param({"metadata": {"annotations": {"opsloop.dev/abort": "v1"}}}, id="an abort"),
    pytest.param({"metadata": {"labels": {"team": "x"}}}, id="a label"),
    pytest.param({"spec": {"version": "v1", "images": {"answers": "opsloop/helpdesk:v1"}}}, id="the same file again"),
]


@pytest.mark.parametrize("change", LOWERING)
def test_what_ships_nothing_needs_the_verb_on_the_release_alone(
    api: Api, guarded: str, paused: str, change: Object
) -> None:
    for user in ("editor", "on-call"):
        status, answer = patch(api, guarded, f"{paused}?dryRun=All", change, user)
        assert status == 200, answer


def test_a_release_is_created_by_those_who_may_patch_its_deployment(api: Api, guarded: str) -> None:
    assert create(api, guarded, at("Release"), user="editor")[0] == 403
    assert create(api, guarded, at("Release"), user="shipper")[0] == 201
    other = at("Release", workloadRef={"name": "payments"})
    assert create(api, guarded, other, user="shipper")[0] == 403, "the right on answers is none on payments"


def test_people_on_call_stop_everything_and_cannot_start_it_again(api: Api, guarded: str) -> None:
    assert create(api, guarded, named("running", at("Release")), dry=False, user="lead")[0] == 201
    assert create(api, guarded, named("acting", at("Runbook")), dry=False, user="lead")[0] == 201

    def on_call(path: str, spec: Object) -> int:
        return patch(api, guarded, path, {"spec": spec}, "on-call")[0]

    assert on_call("releases/running", {"paused": True}) == 200
    assert on_call("releases/running", {"paused": False}) == 403
    assert on_call("runbooks/acting", {"safety": {"mode": "approve"}}) == 200
    assert on_call("runbooks/acting", {"safety": {"mode": "dryRun"}}) == 200
    assert on_call("runbooks/acting", {"safety": {"mode": "approve"}}) == 403
    assert on_call("runbooks/acting", {"safety": {"mode": "auto"}}) == 403
    assert patch(api, guarded, "runbooks/acting", {"spec": {"safety": {"mode": "auto"}}}, "editor")[0] == 200


def test_people_on_call_set_and_end_the_emergency_stop_and_shippers_do_not(api: Api, guarded: str) -> None:
    path = f"{GROUP}/namespaces/{guarded}/stops"
    body = {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Stop", "metadata": {"name": "now"}}
    grant(api, guarded, "deployer", [PATCH_ANSWERS])
    reason = {"spec": {"reason": "alice: the site is on fire"}}
    assert api.call("POST", path, body | reason, user="deployer")[0] == 403
    assert api.call("POST", path, body | reason, user="on-call")[0] == 201
    assert api.call("DELETE", f"{path}/now", user="deployer")[0] == 403
    assert api.call("DELETE", f"{path}/now", user="on-call")[0] == 200
    faults: list[Object] = [{}, {"spec": {}}, {"spec": {"reason": ""}}]
    for wrong in faults:
        status, answer = api.call("POST", path, body | wrong, user="on-call")
        assert status == 422 and "spec" in answer["message"], answer


BEYOND_A_STOP = [
    pytest.param("runbooks/edited", {"spec": {"serviceAccountName": "admin"}}, id="on whose behalf"),
    pytest.param("runbooks/edited", {"spec": {"safety": {"maxPerHour": 50}}}, id="how often"),
    pytest.param("runbooks/edited", {"spec": {"safety": {"mode": "dryRun", "cooldown": "1s"}}}, id="a stop with more in it"),
    pytest.param("runbooks/edited", {"spec": {"safety": {"mode": "dryRun"}, "steps": [{"type": "wait"}]}}, id="a stop with other steps"),
    pytest.param("runbooks/edited", {"spec": {"match": {"causes": ["unknown"]}}}, id="against what"),
    pytest.param("evalcases/edited", {"spec": {"expect": {"equals": "42"}}}, id="what an EvalCase expects"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "change"), BEYOND_A_STOP)
def test_people_on_call_change_nothing_else_of_runbooks_and_cases(
    api: Api, guarded: str, path: str, change: Object
) -> None:
    kind = "Runbook" if path.startswith("runbooks") else "EvalCase"
    assert create(api, guarded, named("edited", at(kind)), dry=False, user="lead")[0] in (201, 409)
    status, answer = patch(api, guarded, f"{path}?dryRun=All", change, "on-call")
    assert (status, "without the right to create this kind" in answer["message"]) == (403, True), answer
    assert patch(api, guarded, f"{path}?dryRun=All", change, "editor")[0] == 200
    note = {"metadata": {"annotations": {"team.example/note": "seen"}}}
    assert patch(api, guarded, f"{path}?dryRun=All", note, "on-call")[0] == 200


def test_a_secret_is_sent_for_those_only_who_may_read_it(api: Api, guarded: str) -> None:
    body = named("secretive", at("EvalCase", **ORDER))
    status, answer = create(api, guarded, body, user="editor")
    assert (status, "must be allowed to get that Secret" in answer["message"]) == (403, True), answer
    assert create(api, guarded, body, dry=False, user="keeper")[0] == 201
    path = "evalcases/secretive?dryRun=All"
    for change in ({"release": "other"}, {"request": {"path": "/echo"}}, {"request": {"tls": {"serverName": "b"}}}):
        assert patch(api, guarded, path, {"spec": change}, "editor")[0] == 403
        assert patch(api, guarded, path, {"spec": change}, "keeper")[0] == 200
    assert patch(api, guarded, path, {"spec": {"mustPass": False}}, "editor")[0] == 200
    others = [{"name": f"H{n}", "secretKeyRef": {"name": "robot" if n else "other", "key": "k"}} for n in range(2)]
    assert create(api, guarded, at("EvalCase", request__headersFrom=others), user="keeper")[0] == 403
    assert create(api, guarded, at("EvalCase"), user="editor")[0] == 201, "without a Secret nothing more is needed"


def record(name: str, labels: dict[str, str], **content: dict[str, str]) -> Object:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, **content}


def keep(api: Api, namespace: str, body: Object, user: str, dry: bool = True) -> tuple[int, Object]:
    """Creates a ConfigMap."""
    return api.call("POST", f"/api/v1/namespaces/{namespace}/configmaps{'?dryRun=All' if dry else ''}", body, user=user)


FORGED = [
    pytest.param(record("in", {"opsloop.dev/inbox": "true"}), id="an inbox entry"),
    pytest.param(record("one-ledger", {"opsloop.dev/ledger": "one-1"}), id="a ledger by its label"),
    pytest.param(record("one-ledger", {}, binaryData={"ledger.json.gz": "e30="}), id="a ledger by its content, which is read by name"),
    pytest.param(record("one-ledger-1", {}, binaryData={"page.json.gz": "e30="}), id="a page of a ledger, likewise"),
    pytest.param(record("opsloop-tickets", {}, binaryData={"tickets.json.gz": "e30="}), id="the ticket queue"),
    pytest.param(record("opsloop-tickets-3", {}, binaryData={"tickets.json.gz": "e30="}), id="a further segment of it"),
    pytest.param(record("opsloop-lags", {}, data={"lags.json": "{}"}), id="lags that nobody measured"),
    pytest.param(record("opsloop-corrections", {}, data={"taught.json": "{}"}), id="what nobody taught"),
    pytest.param(record("opsloop-inbox-c", {"opsloop.dev/inbox": "true"}, data={"ticket": "T", "by": "alice"}), id="a correction by somebody else"),
]  # fmt: skip


@pytest.mark.parametrize("body", FORGED)
def test_only_opsloop_writes_its_records(api: Api, guarded: str, body: Object) -> None:
    for user in ("editor", ""):  # "" is the administrator of the cluster
        status, answer = keep(api, guarded, body, user)
        assert (status, "only opsloop writes the ConfigMaps" in answer["message"]) == (403, True), answer
    assert keep(api, guarded, body, OPERATOR)[0] == 201


def test_people_on_call_correct_tickets_in_their_own_name(api: Api, guarded: str) -> None:
    name = api.call(
        "POST",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
        user="on-call",
    )[1]["status"]["userInfo"]["username"]
    label = {"opsloop.dev/inbox": "true"}

    def asked(by: str, labels: dict[str, str] = label, **more: dict[str, str]) -> int:
        body = record("opsloop-inbox-c", labels, data={"ticket": "HD-1", "unlink": "true", "by": by}, **more)
        return keep(api, guarded, body, "on-call")[0]

    assert asked(name) == 201
    assert asked("alice") == 403, "another name"
    assert asked(name, binaryData={"entry.json.gz": "e30="}) == 403, "alerts beside it"
    assert asked(name, {**label, "opsloop.dev/tickets": "true"}) == 403, "a queue as well"


def test_a_record_may_be_annotated_and_deleted_and_other_configmaps_are_free(api: Api, guarded: str) -> None:
    path = f"/api/v1/namespaces/{guarded}/configmaps/kept"
    assert (
        keep(api, guarded, record("kept", {"opsloop.dev/inbox": "true"}, data={"a": "1"}), OPERATOR, dry=False)[0]
        == 201
    )

    def edit(change: Object, user: str = "editor") -> int:
        return api.call("PATCH", f"{path}?dryRun=All", change, "merge-patch+json", user=user)[0]

    assert edit({"metadata": {"annotations": {"team": "shop"}, "labels": {"team": "shop"}}}) == 200
    assert edit({"data": {"a": "2"}}) == 403
    assert edit({"data": {"a": "2"}}, OPERATOR) == 200
    assert edit({"metadata": {"labels": {"opsloop.dev/inbox": "false"}}}) == 403
    assert api.call("DELETE", path, user="editor")[0] == 200
    assert keep(api, guarded, record("settings", {"app": "shop"}, data={"a": "1"}), "editor", dry=False)[0] == 201
    path = f"/api/v1/namespaces/{guarded}/configmaps/settings"
    assert edit({"data": {"a": "2"}}) == 200
    assert edit({"metadata": {"labels": {"opsloop.dev/inbox": "true"}}}) == 403, (
        "what was written before is none of ours"
    )


def test_of_two_installs_for_one_namespace_each_is_refused_by_the_name_of_the_other(api: Api, guarded: str) -> None:
    """The policies of a second install, elsewhere, for the same namespace: what it says is whom it lets write."""
    other = "system:serviceaccount:other-system:opsloop"
    grant(api, guarded, other, [EDIT, WRITE_CONFIGMAPS])
    text = (ROOT / "manifests" / "opsloop.yaml").read_text().replace(OPERATOR, other)
    second = [
        found
        for found in yamls.load_all(text)
        if found["kind"] in POLICY_PLURALS and found["metadata"]["name"].endswith(("-records", "-incidents"))
    ]
    where = {"matchLabels": {"kubernetes.io/metadata.name": guarded}}
    try:
        for found in second:
            found["metadata"]["name"] = f"{guarded}-second{found['metadata']['name'].removeprefix('opsloop-opsloop')}"
            if found["kind"].endswith("Binding"):
                found["spec"] |= {
                    "policyName": found["metadata"]["name"],
                    "matchResources": {"namespaceSelector": where},
                }
            api.apply(f"{POLICIES}/{POLICY_PLURALS[found['kind']]}", found)
        body = record("in", {"opsloop.dev/inbox": "true"})
        until(lambda: keep(api, guarded, body, OPERATOR)[0] == 403)
        for user, named_one in ((OPERATOR, other), (other, OPERATOR)):
            message = keep(api, guarded, body, user)[1]["message"]
            assert named_one in message and "a second install that looks after this namespace too" in message, message
        until(lambda: create(api, guarded, at("Incident"), user=OPERATOR)[0] == 403)
        assert other in create(api, guarded, at("Incident"), user=OPERATOR)[1]["message"]
    finally:
        for found in second:
            api.call("DELETE", f"{POLICIES}/{POLICY_PLURALS[found['kind']]}/{found['metadata']['name']}")
    until(lambda: keep(api, guarded, record("in", {"opsloop.dev/inbox": "true"}), OPERATOR)[0] == 201)


@pytest.mark.parametrize(
    ("check", "right"),
    [
        pytest.param({"name": "load", "job": {"image": "k6:1"}}, "batch/jobs", id="job"),
        pytest.param({"name": "ask", "webhook": {"url": "https://hooks.example.com/"}}, "webhooks.opsloop.dev", id="webhook"),
    ],
)  # fmt: skip
def test_a_check_that_opsloop_lends_its_rights_to_takes_the_same_right_of_who_writes_it(
    api: Api, guarded: str, check: Object, right: str
) -> None:
    strategy = {"canary": {"checks": [check]}}
    body = named(f"checked-{check['name']}", at("Release", serviceAccountName="checks", strategy=strategy))
    until(lambda: create(api, guarded, body, user="releaser")[0] == 403)
    assert right in create(api, guarded, body, user="releaser")[1]["message"]
    assert create(api, guarded, body, dry=False)[0] == 201
    path = f"releases/{body['metadata']['name']}"
    assert patch(api, guarded, path, {"spec": {"serviceAccountName": "admin"}}, "releaser")[0] == 403
    other = {**check, "at": [20]}
    steps = {"steps": [{"weight": 20}, {"weight": 100}], "checks": [other]}
    assert patch(api, guarded, path, {"spec": {"strategy": {"canary": steps}}}, "releaser")[0] == 403
    assert patch(api, guarded, path, {"spec": {"dependsOn": ["catalog"]}}, "releaser")[0] == 200, "it may stay"
    assert patch(api, guarded, path, {"spec": {"strategy": {"canary": {"checks": []}}}}, "releaser")[0] == 200, (
        "it may be taken out"
    )


@pytest.mark.parametrize(
    ("step", "right"),
    [pytest.param(JOB_STEP, "batch/jobs", id="job"), pytest.param(WEBHOOK_STEP, "webhooks.opsloop.dev", id="webhook")],
)
def test_a_step_that_opsloop_lends_its_rights_to_takes_the_same_right_of_who_writes_it(
    api: Api, guarded: str, step: Object, right: str
) -> None:
    body = named(f"lent-{step['type']}", at("Runbook", steps=[step]))
    status, answer = create(api, guarded, body, user="author")
    assert status == 403 and right in answer["message"]
    assert create(api, guarded, body, dry=False, user="lender")[0] == 201
    path = f"runbooks/{body['metadata']['name']}"
    assert patch(api, guarded, path, {"spec": {"serviceAccountName": "admin"}}, "author")[0] == 403
    assert patch(api, guarded, path, {"spec": {"steps": [step, {"type": "wait"}]}}, "author")[0] == 403
    assert patch(api, guarded, path, {"spec": {"safety": {"mode": "dryRun"}}}, "author")[0] == 200
    assert patch(api, guarded, path, {"spec": {"steps": [{"type": "wait"}]}}, "author")[0] == 200, "it may be taken out"
