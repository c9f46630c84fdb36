"""Objects that opsloop owns."""

from opsloop.core.actions import EnsureCanary, EnsureRevision
from opsloop.names import CANARY, GATE, REVISION
from opsloop.shell.reconcile import manifests as owned
from tests.builders.objects import V1, V4, template
from tests.sim.shop import NS

RELEASE = {"kind": "Release", "metadata": {"name": "answers", "namespace": NS, "uid": "uid-r"}, "spec": {}}


def canary(**changes: object) -> dict[str, object]:
    base = {**template("shop:v4"), **changes}
    return owned.canary_deployment(RELEASE, EnsureCanary("answers", "web", V4, base, 3))


def test_the_service_selects_canary_pods_and_the_live_deployment_does_not() -> None:
    spec: dict = canary()["spec"]  # type: ignore[type-arg,assignment]
    labels = spec["template"]["metadata"]["labels"]
    assert labels["app"] == "answers" and labels[CANARY] == "answers" and labels[REVISION] == V4
    assert spec["selector"] == {"matchLabels": {CANARY: "answers"}}, "the live pods do not carry it"


def test_every_canary_pod_is_dark_until_its_gate_is_opened() -> None:
    gates = canary()["spec"]["template"]["spec"]["readinessGates"]  # type: ignore[index]
    assert gates == [{"conditionType": GATE}]


def test_gates_of_the_users_own_stay_and_ours_is_there_once() -> None:
    spec = {**template()["spec"], "readinessGates": [{"conditionType": "lb"}, {"conditionType": GATE}]}
    gates = canary(spec=spec)["spec"]["template"]["spec"]["readinessGates"]  # type: ignore[index]
    assert gates == [{"conditionType": "lb"}, {"conditionType": GATE}]


def test_it_goes_with_its_release() -> None:
    meta: dict = canary()["metadata"]  # type: ignore[type-arg,assignment]
    assert meta["ownerReferences"] == [
        {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "name": "answers", "uid": "uid-r"}
    ]
    assert meta["name"] == "web-canary"


def test_the_stored_template_is_not_the_one_that_is_changed() -> None:
    base = template("shop:v4")
    owned.canary_deployment(RELEASE, EnsureCanary("answers", "web", V4, base, 1))
    assert base == template("shop:v4")


def test_a_revision_holds_the_template_as_it_is() -> None:
    body = owned.controller_revision(NS, EnsureRevision("answers", V1, 7, template()))
    assert (body["metadata"]["name"], body["revision"], body["data"]) == (f"answers-{V1}", 7, template())
