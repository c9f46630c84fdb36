"""The Job of a step: whatever a Runbook asks for, it is restricted, and has no other account than the Runbook's."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.errand import Job
from opsloop.core.errands.job import LONGEST_NAME, job_name
from opsloop.core.incident.errands import manifest
from tests.builders.objects import incident

texts = st.text(max_size=20)
fields = st.fixed_dictionaries(
    {"image": st.text(min_size=1, max_size=20)},
    optional={
        "command": st.lists(texts, max_size=3),
        "args": st.lists(texts, max_size=3),
        "token": st.booleans(),
        "env": st.lists(st.fixed_dictionaries({"name": st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True), "value": texts}), max_size=3),
        # what other tools' Jobs have, and this one must not
        "serviceAccountName": st.just("admin"),
        "hostNetwork": st.just(True),
        "volumes": st.just([{"hostPath": {"path": "/"}}]),
        "securityContext": st.just({"privileged": True}),
    },
)  # fmt: skip


@given(fields)
def test_no_field_of_a_step_leads_out_of_the_restrictions(asked: dict[str, Any]) -> None:
    body = manifest("j", incident(), "runbook", Job.model_validate(asked), {"OPSLOOP_INCIDENT": "answers-1"})
    spec = body["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert set(spec) == {
        "activeDeadlineSeconds",
        "terminationGracePeriodSeconds",
        "restartPolicy",
        "serviceAccountName",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "securityContext",
        "containers",
        "volumes",
    }
    assert spec["serviceAccountName"] == "runbook" and spec["automountServiceAccountToken"] == asked.get("token", False)
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65534,
        "runAsGroup": 65534,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [set(v) for v in spec["volumes"]] == [{"name", "emptyDir"}] and container["resources"]["limits"]
    assert body["spec"]["activeDeadlineSeconds"] >= 1 and body["spec"]["backoffLimit"] == 0
    assert {e["name"]: e["value"] for e in container["env"]}["OPSLOOP_INCIDENT"] == "answers-1", (
        "no variable of the step hides ours"
    )


@given(st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?", fullmatch=True), st.integers(0, 15), st.integers(1, 32))
def test_a_name_is_one_of_a_pod_and_the_same_in_every_process(name: str, step: int, attempt: int) -> None:
    found = job_name(name, step, attempt)
    assert len(found) <= LONGEST_NAME and found == job_name(name, step, attempt) and "." not in found
    assert found != job_name(name, step, attempt + 1)


def test_it_is_owned_by_its_incident() -> None:
    body = manifest("j", incident(), "runbook", Job(image="x"), {})
    (owner,) = body["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Incident", "uid-answers-1") and body["metadata"]["namespace"] == "shop"
