"""Acts on the Deployment that a Release carries out for a Runbook: each look on what it finds."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.incident import Incident
from opsloop.api.meta import format_time
from opsloop.api.play import ActDecision
from opsloop.api.records import ActRecord
from opsloop.api.release import ReleaseStatus
from opsloop.core.actions import ScaleDeployment, SetTemplate
from opsloop.core.facts import Refusal, RolloutState, WorkloadFacts
from opsloop.core.release import decide as decisions
from opsloop.core.release.restart import stamped as with_stamp
from opsloop.core.stop import Stop
from tests.builders.objects import V1, V2, at, incident, release, release_facts, template, workload
from tests.builders.rollouts import ADOPTED, BAD, NOW, TEMPLATES, target

WHEN = at(95)
STAMP = {"kubectl.kubernetes.io/restartedAt": format_time(WHEN)}
OBSERVED = RolloutState(observed=True, replaced=True, percent=100, deadline=timedelta(minutes=10))


def asks(
    type_: str = "scale", digest: str = V2, state: str = "Running", phase: str = "Mitigating", attempt: int = 1
) -> Incident:
    act = ActDecision.model_validate(
        {"type": type_, "release": "answers", "attempt": attempt, "digest": digest, "fromReplicas": 4, "toReplicas": 6, "at": WHEN}
    )  # fmt: skip
    play = {"runbook": "b", "step": 0, "type": type_, "attempt": attempt, "state": state, "requestedAt": at(90)}
    over = {"resolvedAt": at(96)} if phase == "Resolved" else {}
    return incident("answers-1", {"phase": phase, "act": act.dump(), "plays": [play], **over})


def record(state: str = "Recorded", type_: str = "scale", **more: Any) -> ActRecord:
    base = {
        "incident": "answers-1",
        "type": type_,
        "attempt": 1,
        "state": state,
        "fromReplicas": 4,
        "toReplicas": 6,
        "at": WHEN,
    }
    return ActRecord.model_validate({**base, **more})


def stamped(percent: int = 100) -> WorkloadFacts:
    base = template("shop:v2")
    live = {**base, "metadata": {**base["metadata"], "annotations": STAMP}}
    state = replace(OBSERVED, percent=percent, replaced=percent == 100)
    return replace(workload("shop:v2", settled=percent == 100), template=live, rollout=state)


def pods(replicas: int, available: int) -> WorkloadFacts:
    return replace(
        workload("shop:v2", settled=replicas == available, replicas=replicas, available=available), rollout=OBSERVED
    )


def look(
    seen: WorkloadFacts, item: Incident | None, before: ActRecord | None = None, after: float = 100, **facts: Any
) -> tuple[str, str, list[Any]]:
    """(state, reason, writes to the Deployment) after a look."""
    status = ReleaseStatus(live=V2, revisions=[ADOPTED, BAD], target=target("Promoted", "v2"), act=before)
    held = release_facts(
        release(version="v2", status=status),
        workload=seen,
        templates=TEMPLATES,
        incidents=(item,) if item else (),
        **facts,
    )
    decision = decisions.decide(held, at(after))
    found = (decision.status or status).act  # type: ignore[attr-defined]
    return (
        found.state if found else "",
        found.reason if found else "",
        [a for a in decision.actions if isinstance(a, ScaleDeployment | SetTemplate)],
    )


WRITE = ScaleDeployment("answers", 4, 6, "answers-1/1")
RESTARTS = SetTemplate("answers", V2, with_stamp(template("shop:v2"), format_time(WHEN)), V2)
STOP = Stop("opsloop", "now", "fire", NOW, True)
REFUSED = Refusal("scale", "answers-1/1", "exceeded quota", at(200))


@pytest.mark.parametrize(
    ("seen", "item", "before", "found"),
    [
        pytest.param(pods(4, 4), asks(), None, ("Recorded", "", [WRITE]), id="decided: recorded, and written after that"),
        pytest.param(workload("shop:v2"), asks("restart"), None, ("Recorded", "", [RESTARTS]), id="so is a restart"),
        pytest.param(pods(4, 4), asks(state="Refused"), None, ("", "", []), id="a play that is over asks for nothing"),
        pytest.param(pods(4, 4), asks(phase="Resolved"), None, ("", "", []), id="nor does an Incident that is over"),
        pytest.param(pods(4, 4), asks(digest=V1), None, ("Refused", "LiveMoved", []), id="another revision is live"),
        pytest.param(pods(5, 5), asks(), None, ("Refused", "ReplicasChanged", []), id="somebody scaled meanwhile"),
        pytest.param(pods(4, 4), asks(), record(), ("Recorded", "", [WRITE]), id="it died before the write: written now"),
        pytest.param(pods(6, 4), asks(), record(), ("Written", "", []), id="it died after the write: not written again"),
        pytest.param(pods(4, 4), asks(attempt=2), record(), ("Refused", "DecisionOver", []), id="the Incident wants another one by now"),
        pytest.param(pods(4, 4), None, record(), ("Refused", "DecisionOver", []), id="the Incident is gone before it was written"),
        pytest.param(pods(6, 5), asks(), record("Written"), ("Written", "", []), id="a pod is missing"),
        pytest.param(pods(6, 6), asks(), record("Written"), ("Done", "", []), id="all pods are there"),
        pytest.param(pods(4, 4), asks(), record("Written"), ("Failed", "ReplicasChanged", []), id="an autoscaler set it back"),
        pytest.param(pods(6, 6), asks(), record("Done"), ("Done", "", []), id="done once"),
        pytest.param(stamped(50), asks("restart"), record("Written", "restart"), ("Written", "", []), id="old pods are left"),
        pytest.param(stamped(), asks("restart"), record("Recorded", "restart"), ("Done", "", []), id="the stamp is there: no second restart"),
        pytest.param(workload("shop:v2"), asks("restart"), record("Written", "restart"), ("Failed", "LiveMoved", []), id="the stamp was taken away"),
    ],
)  # fmt: skip
def test_a_look(seen: WorkloadFacts, item: Incident | None, before: ActRecord | None, found: Any) -> None:
    assert look(seen, item, before) == found


def test_a_paused_deployment_is_not_restarted_as_no_pod_would_start() -> None:
    paused = replace(workload("shop:v2"), rollout=replace(OBSERVED, paused=True))
    assert look(paused, asks("restart")) == ("Refused", "DeploymentPaused", [])


def test_a_stop_refuses_what_is_not_written_and_waits_for_what_is() -> None:
    assert look(pods(4, 4), asks(), record(), stop=STOP) == ("Refused", "Stopped", [])
    assert look(pods(6, 4), asks(), record("Written"), after=5000, stop=STOP)[0] == "Written"


def test_pods_that_never_come_end_it_by_the_deployments_own_deadline() -> None:
    assert look(pods(6, 4), asks(), record("Written"), after=95 + 600)[0] == "Written"
    assert look(pods(6, 4), asks(), record("Written"), after=95 + 601) == ("Failed", "PodsMissing", [])


def of(number: int, second: float, state: str = "Running") -> Incident:
    """Incident answers-NUMBER wants a restart that it decided at this second."""
    item = asks("restart", state=state)
    act = item.status.act.model_copy(update={"at": at(second)})  # type: ignore[union-attr]
    meta = item.metadata.model_copy(update={"name": f"answers-{number}"})
    return item.model_copy(update={"metadata": meta, "status": item.status.model_copy(update={"act": act})})


def restarted_by(*incidents: Incident, before: ActRecord | None = None) -> str:
    """Whose restart a look begins; "" = none."""
    status = ReleaseStatus(live=V2, revisions=[ADOPTED, BAD], target=target("Promoted", "v2"), act=before)
    seen = replace(workload("shop:v2"), rollout=OBSERVED)
    held = release_facts(release(version="v2", status=status), workload=seen, templates=TEMPLATES, incidents=incidents)
    decision = decisions.decide(held, at(200))
    found = (decision.status or status).act  # type: ignore[attr-defined]
    return found.incident if found is not None and found != before else ""


def test_of_two_incidents_that_act_at_once_each_acts_once() -> None:
    """One record is kept: what it says of the second one must not let the first one begin anew."""
    first, second = of(1, 95), of(2, 95)
    assert restarted_by(second, first) == "answers-1"
    done = record("Done", "restart", incident="answers-1", at=at(95))
    assert restarted_by(first, second, before=done) == "answers-2"
    both = record("Done", "restart", incident="answers-2", at=at(95))
    assert restarted_by(first, second, before=both) == ""
    assert restarted_by(of(1, 120), second, before=both) == "answers-1", "but what it decides later"


def test_what_the_api_server_refuses_is_refused() -> None:
    assert look(pods(4, 4), asks(), record(), refusals=(REFUSED,)) == ("Refused", "WriteRefused", [])
