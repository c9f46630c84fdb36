"""The Release's decision as a whole: rollbacks for Incidents, and what its status says."""

from typing import Any

import pytest

from opsloop.api.release import Release, ReleaseStatus
from opsloop.core import conditions
from opsloop.core.actions import EnsureCanary, SetTemplate
from opsloop.core.facts import ReleaseFacts
from tests.builders.objects import V1, V2, V4, at, incident, readings, release, release_spec, workload
from tests.builders.rollouts import (
    ADOPTED,
    BAD,
    BLOCK,
    NOW,
    TEMPLATES,
    TRIED,
    acts,
    after,
    canary,
    closes,
    decide,
    facts,
    going,
    record,
    revision,
    said,
    target,
    wanting_rollback,
)

V2_LIVE = workload("shop:v2")


def bad_live(*incidents: Any, known: Any = (ADOPTED, BAD), **more: Any) -> ReleaseFacts:
    """v2 is live, pushed by hand; the spec wants v1."""
    status = going(target("Promoted", "v1", ended_at=at(1)), *known, live=V2, **more.pop("status", {}))
    item = release(version="v1", dependsOn=[], **more.pop("spec", {}))
    return facts(item, status, **{"workload": V2_LIVE, "incidents": incidents, **more})


def test_a_rollback_is_recorded_blocked_and_written_in_this_order() -> None:
    seen = bad_live(wanting_rollback())
    decision, status = decide(seen), after(seen)
    assert status.rollback is not None and (status.rollback.state, status.rollback.attempt) == ("Recorded", 1)
    assert status.revisions[1].blocked is not None and status.revisions[1].blocked.incident == "answers-1"
    assert [a for a in decision.actions if isinstance(a, SetTemplate)] == [
        SetTemplate("answers", V2, TEMPLATES[V1], V1)
    ]
    assert decision.safety == (), "a rollback is no safety write: it is stored first"


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(bad_live(wanting_rollback("Resolved")), id="never for a Resolved Incident"),
        pytest.param(bad_live(wanting_rollback(from_=V4)), id="only while live is what the decision speaks of"),
        pytest.param(bad_live(wanting_rollback(), status={"rollback": record("Done")}), id="an attempt that was carried out is not carried out again"),
        pytest.param(bad_live(wanting_rollback(), status={"rollback": record("Refused")}), id="nor one that was refused"),
        pytest.param(bad_live(incident()), id="not without a decision"),
        pytest.param(bad_live(), id="not without an Incident, however bad live is"),
    ],
)  # fmt: skip
def test_no_rollback(seen: ReleaseFacts) -> None:
    assert acts(seen, SetTemplate) == [] and after(seen).rollback == seen.release.status.rollback


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        pytest.param(bad_live(wanting_rollback(), templates={V2: TEMPLATES[V2]}), "TemplateMissing", id="the template to go back to is not stored"),
        pytest.param(bad_live(wanting_rollback(to=V4)), "TemplateMissing", id="the revision to go back to is not known"),
        pytest.param(bad_live(wanting_rollback(), known=(revision(live_since=at(0), blocked=BLOCK), BAD)), "TargetBlocked", id="the revision to go back to is blocked itself"),
    ],
)  # fmt: skip
def test_a_rollback_is_refused(seen: ReleaseFacts, reason: str) -> None:
    found = after(seen).rollback
    assert found is not None and (found.state, found.reason) == ("Refused", reason)
    assert acts(seen, SetTemplate) == [] and after(seen).revisions[-1].blocked is None


def test_the_next_attempt_and_another_incident_are_other_decisions() -> None:
    done = {"rollback": record("Done")}
    for wanted in (wanting_rollback(attempt=2), wanting_rollback(name="answers-2")):
        assert len(acts(bad_live(wanted, status=done), SetTemplate)) == 1


def test_a_decision_that_does_not_hold_does_not_stand_in_the_way_of_one_that_does() -> None:
    seen = bad_live(wanting_rollback(from_=V4), wanting_rollback(name="answers-2"))
    found = after(seen).rollback
    assert found is not None and found.incident == "answers-2"


@pytest.mark.parametrize(
    ("state", "image", "settled", "then", "writes"),
    [
        pytest.param("Recorded", "shop:v2", True, "Recorded", 1, id="died before the write: it is written"),
        pytest.param("Recorded", "shop:v1", False, "Written", 0, id="the write was seen: its pods are waited for"),
        pytest.param("Written", "shop:v1", False, "Written", 0, id="and waited for"),
        pytest.param("Written", "shop:v1", True, "Done", 0, id="and available: it is done"),
        pytest.param("Recorded", "shop:v1", True, "Done", 0, id="at once where nothing had to start"),
        pytest.param("Recorded", "shop:v3", True, "Refused", 0, id="somebody pushed a third one meanwhile: hands off"),
        pytest.param("Written", "shop:v3", True, "Refused", 0, id="also after the write"),
        pytest.param("Written", "shop:v2", True, "Refused", 0, id="pushed again after the write: another attempt is to be decided"),
    ],
)  # fmt: skip
def test_a_rollback_in_hand(state: str, image: str, settled: bool, then: str, writes: int) -> None:
    blocked = BAD.model_copy(update={"blocked": BLOCK})
    seen = bad_live(
        wanting_rollback(), known=(ADOPTED, blocked), status={"rollback": record(state)}, workload=workload(image, settled)
    )  # fmt: skip
    found = after(seen).rollback
    assert found is not None and (found.state, len(acts(seen, SetTemplate))) == (then, writes)
    assert (found.done_at == NOW) == (then == "Done")


@pytest.mark.parametrize(
    ("incidents", "templates", "reason"),
    [
        pytest.param((wanting_rollback("Resolved"),), TEMPLATES, "IncidentOver", id="its Incident was resolved meanwhile"),
        pytest.param((), TEMPLATES, "IncidentOver", id="its Incident was deleted"),
        pytest.param((wanting_rollback(),), {V2: TEMPLATES[V2]}, "TemplateMissing", id="somebody deleted the stored template"),
    ],
)  # fmt: skip
def test_a_recorded_rollback_that_may_not_be_written_any_more_takes_its_block_with_it(
    incidents: Any, templates: Any, reason: str
) -> None:
    of_this = BLOCK.model_copy(update={"at": record().at})
    known = (ADOPTED, BAD.model_copy(update={"blocked": of_this}))
    seen = bad_live(*incidents, known=known, status={"rollback": record()}, templates=templates)
    found = after(seen)
    assert found.rollback is not None and (found.rollback.state, found.rollback.reason) == ("Refused", reason)
    assert acts(seen, SetTemplate) == [] and found.revisions[1].blocked is None


def test_a_rollback_ends_the_canary_first_with_weight_0() -> None:
    status = going(target("Stepping"), ADOPTED, BAD, TRIED, live=V2)
    seen = facts(status=status, workload=V2_LIVE, incidents=(wanting_rollback(),), canary=canary(1, 1))
    ended = after(seen).target
    assert closes(seen) == {"c0"} and ended is not None and ended.reason == "RolledBack"


def test_paused_does_not_stop_a_rollback_nor_does_unknown_telemetry() -> None:
    seen = bad_live(wanting_rollback(), spec={"paused": True}, readings=readings(None, NOW))
    assert len(acts(seen, SetTemplate)) == 1


def test_no_new_target_while_a_rollback_is_in_hand() -> None:
    item = release(version="v4", dependsOn=[])
    status = going(target("Promoted", "v1"), ADOPTED, BAD, live=V2, rollback=record())
    seen = facts(item, status, workload=V2_LIVE, incidents=(wanting_rollback(),))
    assert after(seen).target == status.target and acts(seen, EnsureCanary) == []


HEALTHY = going(target("Promoted", "v1", ended_at=at(1)), ADOPTED)


@pytest.mark.parametrize(
    ("seen", "phase"),
    [
        pytest.param(facts(release(), HEALTHY), "Healthy", id="within its objective"),
        pytest.param(facts(release(), HEALTHY, readings=readings(0.5, NOW)), "Breaching", id="a paging tier fires"),
        pytest.param(facts(release(), HEALTHY, readings=readings(0.05, NOW)), "Healthy", id="a slow burn is no breach"),
        pytest.param(facts(release(), HEALTHY, readings=readings(None, NOW)), "Unknown", id="unknown is neither"),
        pytest.param(facts(release(slo=None), HEALTHY, readings=readings(None, NOW)), "Healthy", id="without an SLO nothing is judged"),
        pytest.param(bad_live(wanting_rollback(), status={"rollback": record()}), "RollingBack", id="a rollback is in hand"),
        pytest.param(facts(release(), HEALTHY, workload=None), "Pending", id="there is no Deployment"),
    ],
)  # fmt: skip
def test_the_phase_at_a_glance(seen: ReleaseFacts, phase: str) -> None:
    assert after(seen).phase == phase


@pytest.mark.parametrize(
    ("seen", "known"),
    [
        pytest.param(readings(0.0, NOW), ("True", "Known"), id="read"),
        pytest.param(readings(0.5, NOW), ("True", "Known"), id="bad is known as well"),
        pytest.param(readings(None, NOW), ("False", "NoSeries"), id="unknown says why"),
    ],
)
def test_telemetry_known(seen: Any, known: tuple[str, str]) -> None:
    assert said(after(facts(release(), HEALTHY, readings=seen)), "TelemetryKnown") == known


def test_the_open_incident_and_the_highest_number_are_remembered() -> None:
    opened, old = incident("answers-7", {"phase": "Open"}), incident("answers-3", {"phase": "Resolved"})
    status = after(facts(release(), HEALTHY, incidents=(old, opened)))
    assert (status.incident, status.last_episode) == ("answers-7", 7)
    later = release().model_copy(update={"status": status})
    assert after(facts(later)).last_episode == 7, "also when the Incidents are gone"


def settled(item: Release) -> Release:
    """Looked at until nothing changes."""
    for _ in range(3):
        item = item.model_copy(update={"status": ReleaseStatus.model_validate(after(facts(item)).dump())})
    return item


def test_nothing_is_written_when_nothing_changed() -> None:
    decision = decide(facts(settled(release(dependsOn=[]))))
    assert (decision.status, decision.actions, decision.safety, decision.events) == (None, (), (), ())


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        pytest.param(bad_live(wanting_rollback()), "RollbackStarted", id="a rollback begins"),
        pytest.param(bad_live(wanting_rollback(to=V4)), "RollbackRefused", id="one is refused"),
        pytest.param(bad_live(status={"rollback": record()}), "RollbackRefused", id="one is given up"),
        pytest.param(bad_live(wanting_rollback(), status={"rollback": record("Written")}, workload=workload()), "RolledBack", id="one is done"),
    ],
)  # fmt: skip
def test_people_are_told_of_rollbacks(seen: ReleaseFacts, told: str) -> None:
    assert told in {e.reason for e in decide(seen).events}


@pytest.mark.parametrize(
    ("slo", "reachable", "message"),
    [
        pytest.param({"tiers": []}, ("True", "TiersComplete"), "the objective can reach the factor of every tier", id="99 % reaches all four defaults"),
        pytest.param({"tiers": [], "objective": 0.93}, ("False", "TiersDropped"), "The default tier 1h & 5m at 14.4 is left out: with an objective of 0.93 the burn rate is at most 14.29 and never exceeds 14.4", id="93 % does not reach the fastest default"),
        pytest.param({"objective": 0.93}, ("True", "TiersComplete"), "the objective can reach the factor of every tier", id="a spec with tiers of its own drops none"),
    ],
)  # fmt: skip
def test_default_tiers_left_out_are_named_in_a_condition(
    slo: dict[str, Any], reachable: tuple[str, str], message: str
) -> None:
    item = release(slo={**release_spec()["slo"], **slo})
    condition = conditions.get(after(facts(item, HEALTHY)).conditions, "TiersReachable")
    assert condition is not None and (condition.status, condition.reason) == reachable
    assert condition.message == message


def test_a_period_of_which_no_default_tier_is_left_says_so() -> None:
    item = release(slo={**release_spec()["slo"], "tiers": [], "objective": 0.6, "period": "90d"})
    condition = conditions.get(after(facts(item, HEALTHY)).conditions, "TiersReachable")
    assert condition is not None and condition.message.count("is left out") == 4
    assert condition.message.endswith("no tier is left to judge the SLI by")


def test_without_an_slo_there_are_no_conditions_on_it() -> None:
    types = {c.type for c in after(facts(release(slo=None), HEALTHY)).conditions}
    assert not types & {"TelemetryKnown", "TiersReachable"}
