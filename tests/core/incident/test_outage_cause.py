"""An outage that no SLI shows: which change, if any, is to blame, and what follows from it."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.api.release import ReleaseStatus
from opsloop.core.facts import IncidentFacts, ReleaseView
from opsloop.core.incident import decide as decisions
from tests.builders.incidents import NOW, service
from tests.builders.objects import V1, V2, at, incident_facts, readings, release, view
from tests.builders.rollouts import ADOPTED, BAD


def out(seconds: float, reason: str = "NoPodAvailable", **status: Any) -> dict[str, Any]:
    """A condition: no pod is available since then."""
    return {
        "type": "Available",
        "status": "False",
        "reason": reason,
        "message": "0 of 4",
        "lastTransitionTime": at(seconds),
    }


def root(since: float, **status: Any) -> ReleaseView:
    """v2 was put on the Deployment by hand at 60 s; its pods are gone since; the SLI is unknown."""
    item = service()
    held = ReleaseStatus.model_validate({**item.status.dump(), "conditions": [out(since)]})
    return view(item.model_copy(update={"status": held}), readings(None, NOW))


def elsewhere(needs: tuple[str, ...] = ()) -> ReleaseView:
    status = ReleaseStatus.model_validate({"conditions": [out(61)]})
    return view(release("search", status=status, dependsOn=list(needs)))


def situation(held: ReleaseView, *others: ReleaseView, **status: Any) -> IncidentFacts:
    signal = {"kind": "workload", "at": at(70), "severity": "sev1"}
    base = {"phase": "Open", "severity": "sev1", "detectedAt": at(70), "outageAt": at(61)}
    spec = {"release": "answers", "service": "answers", "title": "answers: no pod is available", "signal": signal}
    meta = {"name": "answers-1", "namespace": "shop", "uid": "uid-answers-1"}
    item = Incident.model_validate({"metadata": meta, "spec": spec, "status": {**base, **status}})
    return replace(incident_facts(item, held), releases=(held, *others))


def after(seen: IncidentFacts) -> IncidentStatus:
    found = decisions.decide(seen, NOW).status
    assert isinstance(found, IncidentStatus)
    return found


@pytest.mark.parametrize(
    ("held", "others", "blamed"),
    [
        pytest.param(root(62), (), V2, id="with the change the pods went away, and none came back"),
        pytest.param(root(59), (), V2, id="also where the watch told of the pods first"),
        pytest.param(root(106), (), "", id="what served for a while and died is no evidence against it"),
        pytest.param(root(10), (), "", id="an outage from before the change is not its doing"),
        pytest.param(root(62), (elsewhere(),), "", id="another service is out as well: something common"),
        pytest.param(root(62), (elsewhere(("answers",)),), V2, id="unless it depends on this one"),
    ],
)
def test_which_change_is_blamed(held: ReleaseView, others: tuple[ReleaseView, ...], blamed: str) -> None:
    status = after(situation(held, *others, outageAt=None))
    cause = status.cause
    assert (cause.revision if cause else "") == blamed
    assert [p.type for p in status.plays] == (["rollback"] if blamed else [])
    if cause:
        assert cause.kind == "bad_release" and cause.confidence >= 0.8
        assert cause.evidence[0].name == "no pod since"


def test_an_exonerated_revision_is_not_blamed_once_more() -> None:
    status = after(situation(root(62), exonerated=[V2]))
    assert status.cause is None or status.cause.confidence < 0.8


def test_an_outage_that_paged_has_a_postmortem() -> None:
    held = view(service(), readings(None, NOW))
    over = situation(held, phase="Resolved", resolvedAt=at(90), mitigatedAt=at(80), backSince=at(80))
    assert [a for a in decisions.decide(over, NOW).actions if type(a).__name__ == "StorePostmortem"]


def test_one_that_paged_nobody_has_none() -> None:
    held = view(service(), readings(None, NOW))
    over = situation(held, phase="Resolved", resolvedAt=at(90), severity="sev3")
    assert not [a for a in decisions.decide(over, NOW).actions if type(a).__name__ == "StorePostmortem"]


def test_the_builders_tell_of_a_change_at_sixty_seconds() -> None:
    assert BAD.live_since == at(60) and ADOPTED.digest == V1
