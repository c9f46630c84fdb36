"""What `opsloop lint` says to a templatePatch by itself, as people make mistakes in one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.client import V1Container, V1PodSpec

from opsloop.entry.cli import patches
from opsloop.entry.cli.checks import Document, of_expressions, of_patch
from opsloop.entry.cli.patches import mistakes


def pod(**container: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "answers", **container}]}}


def replaced(**container: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"$patch": "replace"}, {"name": "answers", **container}]}}


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        pytest.param({}, "spec.templatePatch: is empty", id="nothing"),
        pytest.param({"spec": {"template": {"spec": {}}}}, "spec.templatePatch.spec.template: is a field of the Deployment", id="the whole Deployment"),
        pytest.param({"spec": {"replicas": 3}}, "spec.replicas: is a field of the Deployment", id="replicas of the Deployment"),
        pytest.param({"metadata": {"name": "answers"}}, "metadata.name: a pod template has labels and annotations only", id="a name"),
        pytest.param({"metadata": {"labels": {"tier": 1}}}, 'metadata.labels.tier: must be a text: write "1"', id="a label that YAML reads as a number"),
        pytest.param({"metadata": {"annotations": {"scrape": True}}}, 'annotations.scrape: must be a text: write "true"', id="an annotation that YAML reads as a yes"),
        pytest.param({"spec": {"containers": [{"image": "x:1"}]}}, "spec.templatePatch.spec.containers[0]", id="a container without its name"),
        pytest.param({"spec": {"containers": {"answers": {"image": "x:1"}}}}, "spec.templatePatch.spec.containers", id="containers by name, as Compose has them"),
        pytest.param(pod(env={"A": "b"}), "spec.containers[0].env", id="variables by name"),
        pytest.param(pod(env=[{"name": "A", "value": 1}]), 'env[0].value: must be a text: write "1"', id="a variable that YAML reads as a number"),
        pytest.param(pod(ports=[{"containerPort": "8080"}]), "containerPort: must be a number", id="a port as a text"),
        pytest.param(pod(image="https://registry/answers:v2"), "image: write an image without blanks or https://", id="an image as a URL"),
        pytest.param(pod(resources={"limits": {"memory": "512 MB"}}), "limits.memory: '512 MB' is no quantity; write for example", id="memory in words"),
        pytest.param(pod(recources={}), "spec.containers[0].recources: there is no such field; did you mean resources?", id="a field of a container misspelt"),
        pytest.param({"spec": {"nodeselector": {}}}, "spec.nodeselector: there is no such field; did you mean nodeSelector?", id="a field of the pod misspelt"),
        pytest.param({"spec": {"$patch": "remove"}}, "spec.$patch: 'remove' is none of replace, delete", id="a directive that there is none of"),
        pytest.param({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "a", "$setElementOrder/args": ["x"], "args": ["y"]}]}}, "$setElementOrder/args: an item of args is not in this list", id="an order that leaves out what is new"),
        pytest.param({"metadata": {"labels": {1: "a"}}}, 'spec.templatePatch.metadata.labels.1: must be a text: write "1"', id="a name that YAML reads as a number"),
        pytest.param({True: {}}, 'spec.templatePatch.true: must be a text: write "true"', id="a name that YAML reads as a yes"),
        pytest.param(pod(env=[{"name": "A", "valueFrom": {7: 8}}]), 'containers[0].env[0].valueFrom.7: must be a text', id="one deep inside"),
        pytest.param(replaced(env=["A=b"]), "spec.containers[1].env[0]: must be an item with name", id="variables as Compose has them, in a list that replaces"),
        pytest.param(replaced(env={"A": "b"}), "spec.containers[1].env: must be a list of items with name", id="variables by name, in a list that replaces"),
        pytest.param(replaced(ports=[8080]), "spec.containers[1].ports[0]: must be an item with containerPort", id="ports as numbers, in a list that replaces"),
        pytest.param(replaced(ports=8080), "spec.containers[1].ports: must be a list of items with containerPort", id="a port as a number, in a list that replaces"),
        pytest.param({"spec": {"$patch": "replace", "containers": ["answers"]}}, "spec.containers[0]: must be an item with name", id="a plain container, in a spec that replaces"),
        pytest.param({"spec": {"$patch": "replace", "containers": 5}}, "spec.containers: must be a list of items with name", id="no containers, in a spec that replaces"),
        pytest.param({"spec": {"containers": [{"name": ["a"]}]}}, "spec.containers[0].name: must be a text", id="a name that is a list"),
        pytest.param(pod(env=[{"name": 1, "value": "b"}]), "spec.containers[0].env[0].name: must be a text", id="a variable whose name YAML reads as a number"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_field(patch: dict[str, Any], says: str) -> None:
    found = list(mistakes(patch))
    assert len(found) == 1 and says in found[0], found


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param(pod(env=[{"name": "MODE", "value": "fast"}, {"name": "OLD", "$patch": "delete"}]), id="variables, one of them taken out"),
        pytest.param({"metadata": {"annotations": {"a": None}}}, id="an annotation taken away"),
        pytest.param({"spec": {"containers": [{"name": "old", "$patch": "delete"}]}}, id="a container taken out"),
        pytest.param({"spec": {"nodeSelector": None, "someNewField": {"a": 1}}}, id="a field of a newer Kubernetes"),
        pytest.param(pod(resources={"limits": {"cpu": 1, "memory": "1.5Gi"}, "requests": {"cpu": "250m", "memory": "1e3"}}), id="quantities"),
        pytest.param({"spec": {"serviceAccount": "answers", "serviceAccountName": "answers"}}, id="the former name of a field"),
        pytest.param(pod(restartPolicyRules=[{"action": "Restart"}]), id="rules of restarts"),
        pytest.param(replaced(env=[{"name": "A", "value": "b"}], ports=[{"containerPort": 8080}]), id="containers that replace the others"),
        pytest.param({"spec": {"$setElementOrder/containers": [{"name": "answers"}], "containers": [{"name": "answers", "tty": True}]}}, id="as kubectl writes one"),
    ],
)  # fmt: skip
def test_what_is_fine_is_left_alone(patch: dict[str, Any]) -> None:
    assert list(mistakes(patch)) == []


@pytest.mark.parametrize(
    ("model", "listed"), [(V1PodSpec, patches.OF_POD), (V1Container, patches.OF_CONTAINER)], ids=["pod", "container"]
)
def test_all_fields_that_the_client_knows_are_listed(model: Any, listed: tuple[str, ...]) -> None:
    assert set(model.attribute_map.values()) == set(listed) and list(listed) == sorted(listed)


NAMES = ("spec", "metadata", "labels", "containers", "initContainers", "name", "env", "ports", "value", "containerPort", "resources", "limits", "image", "volumes", "$patch", "$retainKeys", "$setElementOrder/containers", "$setElementOrder/env", "$deleteFromPrimitiveList/args", "args")  # fmt: skip
PLAIN = st.sampled_from([None, True, 1, 0.5, "", "replace", "delete", "a"])
ANYTHING = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.integers(0, 1), inner, max_size=4)
    ),
    max_leaves=12,
)
ITEMS = st.lists(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=3) | ANYTHING, max_size=3) | ANYTHING
SPECS = st.dictionaries(st.sampled_from(NAMES), ITEMS, max_size=3) | ANYTHING


@given(st.dictionaries(st.sampled_from(["spec", "metadata", "$patch"]), SPECS, max_size=3))
def test_no_patch_ends_in_a_traceback(patch: dict[str, Any]) -> None:
    assert all(text.startswith("spec.templatePatch") for text in mistakes(patch))


def test_of_a_file_each_is_a_finding_and_a_release_without_a_patch_has_none() -> None:
    place, spec = "a.yaml: Release answers", {"workloadRef": {"name": "answers"}, "version": "v2"}
    assert of_patch(Document(place, {"kind": "Release", "spec": spec})) == []
    [found] = of_patch(Document(place, {"kind": "Release", "spec": {**spec, "templatePatch": {}}}))
    assert found.place == place and found.fatal


def test_a_measure_that_gives_samples_and_no_number_is_told() -> None:
    load = {
        "requestsPerSecond": 20,
        "duration": "30s",
        "measured": [{"name": "m", "query": 'rss{pod="{{pod}}"}[{{window}}]', "max": "1"}],
    }
    spec = {
        "release": "answers",
        "request": {"path": "/", "port": 80},
        "expect": {"status": 200},
        "mustPass": True,
        "load": load,
    }
    [found] = of_expressions(Document("a", {"kind": "EvalCase", "metadata": {"name": "a"}, "spec": spec}))
    assert (
        "spec.load.measured[0].query: gives all samples of a time, not one number; write for example max_over_time("
        in found.text
    )
