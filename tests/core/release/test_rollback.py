"""Rollbacks for Incidents: recorded and blocked first, then written, then watched until available."""

from typing import Any

import pytest

from opsloop.core.actions import EnsureCanary, SetTemplate
from opsloop.core.facts import ReleaseFacts, TemplateWrite
from opsloop.core.release.revisions import images_of
from tests.builders.objects import V1, V2, V4, at, incident, readings, release, workload
from tests.builders.rollouts import (
    ADOPTED,
    BAD,
    BLOCK,
    NOW,
    TEMPLATES,
    TRIED,
    V2_LIVE,
    actions_of,
    bad_live,
    canary,
    decide,
    facts,
    gates_closed,
    incident_with_rollback,
    record,
    revision,
    status_after,
    status_with,
    target,
)


def test_a_rollback_is_recorded_blocked_and_written_in_this_order() -> None:
    situation = bad_live(incident_with_rollback())
    decision, status = decide(situation), status_after(situation)
    assert status.rollback is not None and (status.rollback.state, status.rollback.attempt) == ("Recorded", 1)
    assert status.revisions[1].blocked is not None and status.revisions[1].blocked.incident == "answers-1"
    assert [a for a in decision.actions if isinstance(a, SetTemplate)] == [
        SetTemplate("answers", V2, TEMPLATES[V1], V1)
    ]
    assert decision.safety == (), "a rollback is no safety write: it is stored first"


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(bad_live(incident_with_rollback("Resolved")), id="never for a Resolved Incident"),
        pytest.param(bad_live(incident_with_rollback(from_=V4)), id="only while live is what the decision speaks of"),
        pytest.param(bad_live(incident_with_rollback(), status={"rollback": record("Done")}), id="an attempt that was carried out is not carried out again"),
        pytest.param(bad_live(incident_with_rollback(), status={"rollback": record("Refused")}), id="nor one that was refused"),
        pytest.param(bad_live(incident()), id="not without a decision"),
        pytest.param(bad_live(), id="not without an Incident, however bad live is"),
    ],
)  # fmt: skip
def test_no_rollback(situation: ReleaseFacts) -> None:
    assert (
        actions_of(situation, SetTemplate) == []
        and status_after(situation).rollback == situation.release.status.rollback
    )


@pytest.mark.parametrize(
    ("situation", "reason"),
    [
        pytest.param(bad_live(incident_with_rollback(), templates={V2: TEMPLATES[V2]}), "TemplateMissing", id="the template to go back to is not stored"),
        pytest.param(bad_live(incident_with_rollback(to=V4)), "TemplateMissing", id="the revision to go back to is not known"),
        pytest.param(bad_live(incident_with_rollback(), known=(revision(live_since=at(0), blocked=BLOCK), BAD)), "TargetBlocked", id="the revision to go back to is blocked itself"),
    ],
)  # fmt: skip
def test_a_rollback_is_refused(situation: ReleaseFacts, reason: str) -> None:
    rollback = status_after(situation).rollback
    assert rollback is not None and (rollback.state, rollback.reason) == ("Refused", reason)
    assert actions_of(situation, SetTemplate) == [] and status_after(situation).revisions[-1].blocked is None


def test_the_next_attempt_and_another_incident_are_other_decisions() -> None:
    done = {"rollback": record("Done")}
    for other in (incident_with_rollback(attempt=2), incident_with_rollback(name="answers-2")):
        assert len(actions_of(bad_live(other, status=done), SetTemplate)) == 1


def test_a_void_decision_does_not_hide_a_valid_one() -> None:
    situation = bad_live(incident_with_rollback(from_=V4), incident_with_rollback(name="answers-2"))
    rollback = status_after(situation).rollback
    assert rollback is not None and rollback.incident == "answers-2"


@pytest.mark.parametrize(
    ("state", "image", "settled", "then", "writes"),
    [
        pytest.param("Recorded", "shop:v2", True, "Recorded", 1, id="died before the write: it is written"),
        pytest.param("Recorded", "shop:v1", False, "Written", 0, id="the write was situation: its pods are waited for"),
        pytest.param("Written", "shop:v1", False, "Written", 0, id="and waited for"),
        pytest.param("Written", "shop:v1", True, "Done", 0, id="and available: it is done"),
        pytest.param("Recorded", "shop:v1", True, "Done", 0, id="at once where nothing had to start"),
        pytest.param("Recorded", "shop:v3", True, "Refused", 0, id="somebody pushed a third one meanwhile: hands off"),
        pytest.param("Written", "shop:v3", True, "Refused", 0, id="also after the write"),
        pytest.param("Written", "shop:v2", True, "Refused", 0, id="pushed again after the write: another attempt is to be decided"),
    ],
)  # fmt: skip
def test_a_rollback_in_progress(state: str, image: str, settled: bool, then: str, writes: int) -> None:
    blocked = BAD.model_copy(update={"blocked": BLOCK})
    situation = bad_live(
        incident_with_rollback(), known=(ADOPTED, blocked), status={"rollback": record(state)}, workload=workload(image, settled)
    )  # fmt: skip
    rollback = status_after(situation).rollback
    assert rollback is not None and (rollback.state, len(actions_of(situation, SetTemplate))) == (then, writes)
    assert (rollback.done_at == NOW) == (then == "Done")


@pytest.mark.parametrize(
    ("incidents", "templates", "reason"),
    [
        pytest.param((incident_with_rollback("Resolved"),), TEMPLATES, "IncidentOver", id="its Incident was resolved meanwhile"),
        pytest.param((), TEMPLATES, "IncidentOver", id="its Incident was deleted"),
        pytest.param((incident_with_rollback(),), {V2: TEMPLATES[V2]}, "TemplateMissing", id="somebody deleted the stored template"),
    ],
)  # fmt: skip
def test_a_rollback_that_was_never_written_leaves_no_block(incidents: Any, templates: Any, reason: str) -> None:
    of_this = BLOCK.model_copy(update={"at": record().at})
    known = (ADOPTED, BAD.model_copy(update={"blocked": of_this}))
    situation = bad_live(*incidents, known=known, status={"rollback": record()}, templates=templates)
    status = status_after(situation)
    assert status.rollback is not None and (status.rollback.state, status.rollback.reason) == ("Refused", reason)
    assert actions_of(situation, SetTemplate) == [] and status.revisions[1].blocked is None


@pytest.mark.parametrize(
    ("written", "again"),
    [
        pytest.param(TemplateWrite(V1, V2, NOW), False, id="the answer to the write was what had been there: it is not repeated"),
        pytest.param(TemplateWrite(V1, V2, at(10)), True, id="of an earlier rollback: it is written"),
        pytest.param(TemplateWrite(V4, V2, NOW), True, id="of another revision: it is written"),
        pytest.param(TemplateWrite(V1, V1, NOW), True, id="it was stored, and somebody put the other one back: it is written"),
    ],
)  # fmt: skip
def test_a_rollback_that_the_api_server_does_not_store(written: TemplateWrite, again: bool) -> None:
    situation = bad_live(incident_with_rollback(), status={"rollback": record()}, written=written)
    rollback = status_after(situation).rollback
    assert rollback is not None and bool(actions_of(situation, SetTemplate)) == again
    end = ("Recorded", "") if again else ("Refused", "AdmissionChanged")
    assert (rollback.state, rollback.reason) == end


def test_what_a_revision_ran_with_is_written_back() -> None:
    ran = ADOPTED.model_copy(update={"images": {"answers": "shop@sha256:11"}})
    (write,) = actions_of(bad_live(incident_with_rollback(), known=(ran, BAD)), SetTemplate)
    assert images_of(write.template) == {"answers": "shop@sha256:11"} and write.digest == V1


def test_a_rollback_ends_the_canary_first_with_weight_0() -> None:
    status = status_with(target("Stepping"), ADOPTED, BAD, TRIED, live=V2)
    situation = facts(status=status, workload=V2_LIVE, incidents=(incident_with_rollback(),), canary=canary(1, 1))
    new_target = status_after(situation).target
    assert gates_closed(situation) == {"c0"} and new_target is not None and new_target.reason == "RolledBack"


def test_neither_paused_nor_unknown_telemetry_stops_a_rollback() -> None:
    situation = bad_live(incident_with_rollback(), spec={"paused": True}, readings=readings(None, NOW))
    assert len(actions_of(situation, SetTemplate)) == 1


def test_no_new_target_while_a_rollback_is_in_progress() -> None:
    item = release(version="v4", dependsOn=[])
    status = status_with(target("Promoted", "v1"), ADOPTED, BAD, live=V2, rollback=record())
    situation = facts(item, status, workload=V2_LIVE, incidents=(incident_with_rollback(),))
    assert status_after(situation).target == status.target and actions_of(situation, EnsureCanary) == []


@pytest.mark.parametrize(
    ("situation", "event"),
    [
        pytest.param(bad_live(incident_with_rollback()), "RollbackStarted", id="a rollback begins"),
        pytest.param(bad_live(incident_with_rollback(to=V4)), "RollbackRefused", id="one is refused"),
        pytest.param(bad_live(status={"rollback": record()}), "RollbackRefused", id="one is given up"),
        pytest.param(bad_live(incident_with_rollback(), status={"rollback": record("Written")}, workload=workload()), "RolledBack", id="one is done"),
    ],
)  # fmt: skip
def test_events_of_a_rollback(situation: ReleaseFacts, event: str) -> None:
    assert event in {e.reason for e in decide(situation).events}


def test_what_a_person_went_back_to_afterwards_is_not_rolled_back_by_the_old_decision() -> None:
    undone = record("Done", name="", from_digest=V1, to_digest=V2, at=at(95))
    status = status_with(target("Promoted", "v2", ended_at=at(1)), ADOPTED, BAD, live=V2, rollback=undone)
    item = release(version="v2", images={"answers": "shop:v2"}, dependsOn=[])
    seen = facts(item, status, workload=workload("shop:v2"), incidents=(incident_with_rollback(),))
    assert not actions_of(seen, SetTemplate)
    assert not [one for one in status_after(seen).revisions if one.blocked]
