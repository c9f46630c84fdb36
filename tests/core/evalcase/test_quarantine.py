from typing import Any

import pytest

from opsloop import names
from opsloop.core.evalcase.quarantine import (
    is_name,
    label_value,
    labels,
    pod_from_template,
    pod_name,
    refusal,
    selected_by,
)
from opsloop.errors import Invalid
from tests.builders.evalcases import BAD, CASE, template


def made(**spec: Any) -> dict[str, Any]:
    return pod_from_template(CASE, "answers", BAD, "pod-1", "shop", template(**spec), [{"app": "answers"}, {}])


def test_nothing_of_the_templates_metadata_reaches_the_pod() -> None:
    assert made()["metadata"] == {
        "name": "pod-1",
        "namespace": "shop",
        "labels": {
            names.QUARANTINE: CASE,
            names.REVISION: BAD,
            names.RELEASE: "answers",
            "app.kubernetes.io/managed-by": "opsloop",
        },
    }


def test_the_pod_behaves_as_the_revision_did() -> None:
    container = made()["spec"]["containers"][0]
    of_template = template()["spec"]["containers"][0]
    for kept in ("image", "env", "livenessProbe", "readinessProbe"):
        assert container[kept] == of_template[kept]


def test_the_pod_ends_by_itself_and_has_no_token() -> None:
    spec = made(serviceAccountName="answers", restartPolicy="Always", terminationGracePeriodSeconds=600)["spec"]
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] == 300
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == "answers"
    assert spec["terminationGracePeriodSeconds"] == 5


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(
            {"readinessGates": [{"conditionType": names.GATE}]}, id="a readiness gate, which nobody would open"
        ),
        pytest.param({"schedulingGates": [{"name": "x"}]}, id="a scheduling gate, which nobody would lift"),
        pytest.param({"topologySpreadConstraints": [{"maxSkew": 1}]}, id="spreading with the live pods"),
        pytest.param({"nodeName": "n1"}, id="a fixed node"),
        pytest.param({"hostname": "a", "subdomain": "b"}, id="a DNS name of its own"),
        pytest.param({"affinity": {"podAntiAffinity": {"x": []}}}, id="keeping away from the live pods"),
    ],
)
def test_is_dropped(field: dict[str, Any]) -> None:
    assert not field.keys() & made(**field)["spec"].keys()


def test_affinity_to_nodes_stays() -> None:
    affinity = {"nodeAffinity": {"x": 1}, "podAffinity": {"y": 2}}
    assert made(affinity=affinity)["spec"]["affinity"] == {"nodeAffinity": {"x": 1}}


def test_a_host_port_is_not_taken_from_a_live_pod() -> None:
    assert made()["spec"]["containers"][0]["ports"] == [{"containerPort": 8080}]


def test_the_stored_template_is_not_changed() -> None:
    stored = template()
    pod_from_template(CASE, "answers", BAD, "pod-1", "shop", stored)
    assert stored == template()


@pytest.mark.parametrize(
    ("spec", "selectors", "why"),
    [
        pytest.param({}, [{"app.kubernetes.io/managed-by": "opsloop"}], "narrow that selector", id="a Service selects what opsloop manages"),
        pytest.param({"hostNetwork": True}, [], "hostNetwork", id="it would listen on the node"),
        pytest.param(
            {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "orders"}}]}, [], "orders", id="it would write to live data"
        ),
    ],
)  # fmt: skip
def test_is_refused(spec: dict[str, Any], selectors: list[dict[str, str]], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        pod_from_template(CASE, "answers", BAD, "pod-1", "shop", template(**spec), selectors)


@pytest.mark.parametrize(
    "selectors",
    [
        pytest.param([{}], id="a Service without selector selects nothing"),
        pytest.param([{"app": "answers"}], id="the live Service asks for a label that the pod has not"),
        pytest.param([{names.RELEASE: "answers", "app": "answers"}], id="half of a selector is not enough"),
    ],
)
def test_is_not_selected(selectors: list[dict[str, str]]) -> None:
    assert selected_by(labels(CASE, "answers", BAD), selectors) is None


def test_a_claim_that_is_only_read_is_no_reason_to_refuse() -> None:
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "orders", "readOnly": True}}]
    assert refusal(template(volumes=volumes), {}, []) == ""


@pytest.mark.parametrize(
    ("case", "name"),
    [
        pytest.param(
            "answers-1-regression", "answers-1-regression-badbadbadbadbad2-1", id="a short name stays readable"
        ),
        pytest.param("c" * 253, "c" * 35 + "-", id="a long name is cut and told apart by a hash"),
        pytest.param("a.b", "a-b-", id="a name with dots cannot be mistaken for the one with dashes"),
    ],
)
def test_pod_names(case: str, name: str) -> None:
    made_name = pod_name(case, BAD, 1)
    assert made_name.startswith(name)
    assert len(made_name) <= 63
    assert is_name(made_name) and "." not in made_name
    assert len(label_value(case)) <= 63


def test_long_names_with_the_same_beginning_give_different_pods() -> None:
    assert pod_name("c" * 80 + "a", BAD, 1) != pod_name("c" * 80 + "b", BAD, 1)
    assert label_value("c" * 80 + "a") != label_value("c" * 80 + "b")


@pytest.mark.parametrize("text", ["", "..", "a/b", "A", "a..b/../c", "-a", "a" * 254, "a\n"])
def test_is_no_name_of_a_pod(text: str) -> None:
    assert not is_name(text)
