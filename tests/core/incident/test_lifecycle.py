"""The life of an Incident: merged, reopened, mitigated, resolved, harmed again."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.api.revision import Blocked
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import decide as decisions
from opsloop.core.readings import Readings
from opsloop.core.reported import Alert, Ledger
from tests.builders.incidents import (
    BAD_CAUSE,
    BLOCKED_BAD,
    DONE,
    NOW,
    ORDERED,
    ROLLED_BACK,
    after,
    aftermath,
    alert,
    alerts_only,
    burnt,
    condition_of,
    entry,
    facts,
    play,
    service,
    sli,
    timeline_keys,
)
from tests.builders.objects import T0, V1, V2, V3, at, readings, release, view
from tests.builders.rollouts import ADOPTED, record, revision

# --- merged


def needing(*names: str) -> Any:
    return release(status=service().status, dependsOn=list(names))


@pytest.mark.parametrize(
    ("item", "merged"),
    [
        pytest.param(burnt(), "catalog-1", id="what it depends on burns: it is merged into that"),
        pytest.param(burnt("Mitigating", plays=[play()], rollback=ORDERED), "", id="not when it already acts"),
        pytest.param(burnt("Resolved"), "", id="nor when it is over"),
    ],
)
def test_merging(item: Any, merged: str) -> None:
    root = view(needing("catalog"), sli(0.5))
    catalog = view(release("catalog", dependsOn=[]), readings(0.5, NOW))
    status = after(_with(item, root, catalog))
    assert status.merged_into == merged and (not merged or status.phase == "Resolved")


@pytest.mark.parametrize(
    ("seconds", "merged"),
    [
        pytest.param(3, "catalog-1", id="within the window of 5 s after its recovery it explains the breach"),
        pytest.param(8, "", id="later its open Incident explains nothing"),
    ],
)
def test_merging_after_the_dependency_recovered(seconds: float, merged: str) -> None:
    root = view(needing("catalog"), sli(0.5))
    catalog = view(release("catalog", dependsOn=[]), readings(0.0, NOW))
    other = burnt("Mitigated", "catalog-1", backSince=at(100 - seconds))
    status = after(_with(burnt(), root, catalog, other))
    assert status.merged_into == merged
    assert merged or condition_of(status, "Acting")[1] != "DependencyBreaching"


def test_of_two_that_need_each_other_the_later_one_is_merged() -> None:
    root = view(needing("catalog"), sli(0.5))
    catalog = view(release("catalog", dependsOn=["answers"]), readings(0.5, NOW))
    later, earlier = burnt(name="catalog-1"), burnt()  # by name, as both began at T0
    assert after(_with(earlier, root, catalog, later)).merged_into == ""
    assert after(_with(later, catalog, root, earlier)).merged_into == "answers-1"


def _with(item: Any, root: Any, catalog: Any, other: Any = None) -> IncidentFacts:
    other = other or burnt(name="catalog-1")
    return IncidentFacts(item, root, (root, catalog), (other,), (), (), Ledger(), None)


def smoulder() -> Readings:
    """A ticket tier fires and the SLI is not back: above its objective, below what pages."""
    held = aftermath()
    assert held.verdict is not None and held.verdict.firing is not None
    return replace(held, verdict=replace(held.verdict, tiers=(held.verdict.firing,), back=False))


@pytest.mark.parametrize(
    ("seen", "severity", "reopened"),
    [
        pytest.param(sli(0.5), "sev1", 1, id="a tier that pages fires again"),
        pytest.param(aftermath(), "sev1", 0, id="a ticket tier's windows are still full of the harm that is over"),
        pytest.param(smoulder(), "sev1", 0, id="a smoulder calls nobody at the severity of the outage before it"),
        pytest.param(smoulder(), "sev3", 1, id="it reopens what had paged nobody"),
        pytest.param(aftermath(), "sev3", 0, id="but not while the short windows are back"),
    ],
)
def test_what_reopens_within_the_grace(seen: Readings, severity: str, reopened: int) -> None:
    over = burnt("Resolved", resolvedAt=at(90), severity=severity)
    assert after(facts(over, service(live=V1), seen)).reopened == reopened


def test_a_breach_reopens_nothing_while_another_incident_of_the_root_is_open() -> None:
    over = burnt("Resolved", resolvedAt=at(90))
    seen = facts(over, service(live=V1), sli(0.5), incidents=(burnt(name="answers-2"),))
    assert after(seen).reopened == 0 and after(replace(seen, incidents=())).reopened == 1


# --- reopened

RUNNING = play("Running")
AGAIN = service(known=(ADOPTED, BLOCKED_BAD), rollback=DONE)


def test_a_blocked_revision_pushed_again_reopens_and_is_rolled_back_at_once() -> None:
    status = after(facts(burnt("Resolved", **ROLLED_BACK), AGAIN))
    assert (status.phase, status.reopened) == ("Mitigating", 1)
    assert status.rollback is not None and (status.rollback.attempt, status.rollback.from_digest) == (2, V2)
    assert [p.reason for p in status.plays] == ["", "StandingGrant"] and "reopened-1" in timeline_keys(status)


def test_a_push_reopens_however_long_ago_and_before_any_harm() -> None:
    old = burnt("Resolved", resolvedAt=at(-90_000), **ROLLED_BACK)
    assert after(facts(old, AGAIN, sli(0.0))).reopened == 1


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        pytest.param(facts(burnt("Resolved", **ROLLED_BACK), service(known=(ADOPTED, BLOCKED_BAD), live=V1, rollback=DONE), sli(0.0)), "it is not live", id="what is blocked is not live"),
        pytest.param(facts(burnt("Resolved", "answers-2", **ROLLED_BACK), AGAIN, sli(0.0)), "another Incident's", id="another Incident blocked it"),
        pytest.param(facts(burnt("Mitigating", plays=[RUNNING], rollback=ORDERED), service(known=(ADOPTED, BLOCKED_BAD), rollback=record())), "in hand", id="its rollback is in hand"),
        pytest.param(facts(burnt("Mitigating", plays=[RUNNING], rollback=ORDERED), service(known=(ADOPTED, BLOCKED_BAD))), "on its way", id="its rollback was decided a moment ago"),
    ],
)  # fmt: skip
def test_no_reopening(seen: IncidentFacts, why: str) -> None:
    assert after(seen).reopened == 0, why


def fought(times: int) -> dict[str, Any]:
    again = [play("Helped", attempt=n + 2, reason="StandingGrant") for n in range(times)]
    return {"plays": [play("Helped"), *again], "rollback": {**ORDERED, "attempt": times + 1}, "reopened": times}


@pytest.mark.parametrize(
    ("times", "contested"),
    [
        pytest.param(0, False, id="the first time it is rolled back"),
        pytest.param(1, False, id="the second time as well"),
        pytest.param(2, True, id="the third time opsloop stops writing"),
    ],
)
def test_at_most_twice_then_contested(times: int, contested: bool) -> None:
    root = service(
        known=(ADOPTED, BLOCKED_BAD.model_copy(update={"manager": "argocd"})),
        rollback=record("Done", attempt=times + 1),
    )
    status = after(facts(burnt("Resolved", **fought(times)), root))
    assert (condition_of(status, "Contested")[0] == "True") == contested
    assert status.plays[-1].type == ("escalate" if contested else "rollback")
    assert not contested or "argocd" in status.plays[-1].message


def test_contested_it_waits_until_the_revision_is_not_live() -> None:
    conditions = [
        {"type": "Contested", "status": "True", "reason": "Contested", "lastTransitionTime": at(90).isoformat()}
    ]
    item = burnt("Mitigating", **fought(2), conditions=conditions)
    still = after(facts(item, AGAIN))
    assert still.plays == item.status.plays and still.rollback == item.status.rollback
    gone = service(known=(ADOPTED, BLOCKED_BAD), live=V1, rollback=DONE)
    assert condition_of(after(facts(item, gone)), "Contested") == ("False", "NotLive")


def test_a_push_without_an_earlier_grant_calls_a_person() -> None:
    status = after(facts(burnt("Resolved", plays=[], rollback=None), AGAIN))
    assert condition_of(status, "Contested")[0] == "True" and status.rollback is None


def test_a_push_during_the_rollback_ends_that_play_and_begins_another() -> None:
    item = burnt("Mitigating", plays=[RUNNING], rollback=ORDERED)
    status = after(facts(item, service(known=(ADOPTED, BLOCKED_BAD), rollback=record("Refused", reason="LiveChanged"))))
    assert [(p.attempt, p.state) for p in status.plays] == [(1, "DidNotHelp"), (2, "Running")]


LATER: dict[str, Any] = {"cause": BAD_CAUSE, **ROLLED_BACK}
THIRD = revision("v3", "Drifted", live_since=at(96), shipped_without_canary=True)


@pytest.mark.parametrize(
    ("resolved", "seen", "reopened"),
    [
        pytest.param(50, sli(0.5, onset=at(97)), 1, id="a breach within the grace time"),
        pytest.param(-2000, sli(0.5, onset=at(97)), 0, id="a breach after it is another Incident's"),
        pytest.param(50, sli(0.0), 0, id="no breach"),
        pytest.param(50, sli(None), 0, id="unknown opens nothing"),
        pytest.param(101, sli(0.5), 0, id="a reading from before the end says nothing"),
    ],
)
def test_a_new_breach(resolved: float, seen: Any, reopened: int) -> None:
    known = (ADOPTED, BLOCKED_BAD, THIRD)
    status = after(facts(burnt("Resolved", resolvedAt=at(resolved), **LATER), service(V3, known, rollback=DONE), seen))
    assert status.reopened == reopened


def test_a_new_breach_has_its_own_cause_and_begins_the_runbook_anew() -> None:
    known = (ADOPTED, BLOCKED_BAD, THIRD)
    status = after(facts(burnt("Resolved", **LATER), service(V3, known, rollback=DONE), sli(0.5, onset=at(97))))
    assert status.cause is not None and status.cause.version == "v3"
    assert [(p.type, p.attempt, p.step, p.state) for p in status.plays][-1] == ("rollback", 2, 0, "Requested")


def test_blocked_revisions_are_bounded() -> None:
    why = Blocked(reason="EvalFailed", incident="answers-1", at=at(9))
    many = [revision(f"v{n}", "Canaried", blocked=why) for n in range(10, 40)]
    assert len(after(facts(burnt("Resolved", **ROLLED_BACK), service(V1, (ADOPTED, *many)), sli(0.0))).blocked) == 20


# --- mitigated, resolved


BACK = sli(0.0)


@pytest.mark.parametrize(
    ("seen", "phase", "reason"),
    [
        pytest.param(facts(burnt(), seen=sli(0.5)), "Open", "NotBack", id="the harm goes on"),
        pytest.param(facts(burnt(), seen=sli(None)), "Open", "TelemetryUnknown", id="unknown ends nothing"),
        pytest.param(facts(burnt(), seen=BACK), "Mitigated", "SliBack", id="the SLI is back"),
        pytest.param(facts(burnt("Mitigating", plays=[play()], rollback=ORDERED), seen=BACK), "Mitigating", "SliBack", id="not while a decided rollback is pending"),
        pytest.param(facts(burnt("Mitigating", plays=[play()], rollback=ORDERED), service(rollback=DONE, live=V1), BACK), "Mitigated", "SliBack", id="but when it is done"),
        pytest.param(facts(burnt("Mitigating", plays=[play()], rollback=ORDERED), service(rollback=DONE, live=V1), sli(0.0, at(79))), "Mitigating", "SliBack", id="and was read since"),
        pytest.param(facts(burnt("Mitigated"), seen=sli(None)), "Mitigated", "TelemetryUnknown", id="unknown does not resolve"),
        pytest.param(facts(burnt("Mitigated"), seen=sli(0.5)), "Open", "NotBack", id="a relapse"),
        pytest.param(facts(alerts_only(), seen=BACK), "Open", "NotBack", id="without a burn and without alerts a person must say so"),
    ],
)  # fmt: skip
def test_mitigated(seen: IncidentFacts, phase: str, reason: str) -> None:
    status = after(seen)
    assert status.phase == phase
    assert phase == "Mitigating" or condition_of(status, "Mitigated")[1] == reason


@pytest.mark.parametrize(
    ("since", "seen", "phase"),
    [
        pytest.param(86, BACK, "Mitigated", id="back for less than resolveAfter"),
        pytest.param(85, BACK, "Resolved", id="back for resolveAfter"),
        pytest.param(10, sli(None), "Mitigated", id="unknown at the end of it"),
    ],
)
def test_resolved_when_that_held(since: float, seen: Any, phase: str) -> None:
    status = after(facts(burnt("Mitigated", backSince=at(since)), seen=seen))
    assert status.phase == phase and (status.resolved_at == NOW) == (phase == "Resolved")


def test_unknown_telemetry_begins_the_hold_anew() -> None:
    silent = after(facts(burnt("Mitigated", backSince=at(10)), seen=sli(None)))
    assert silent.back_since is None
    again = burnt("Mitigated").model_copy(update={"status": silent})
    assert after(facts(again, seen=BACK)).phase == "Mitigated"


@pytest.mark.parametrize(
    ("alerts", "meta", "phase"),
    [
        pytest.param((alert("firing"),), {}, "Open", id="an alert still fires"),
        pytest.param((alert("resolved"), alert("firing", 2)), {}, "Open", id="one of two still fires"),
        pytest.param((alert("resolved"),), {}, "Mitigated", id="all are resolved"),
        pytest.param((alert("firing"),), {"annotations": {"opsloop.dev/mitigated": "true"}}, "Mitigated", id="a person said that it is over"),
    ],
)  # fmt: skip
def test_without_a_burn_its_alerts_or_a_person_end_it(alerts: Any, meta: Any, phase: str) -> None:
    item = alerts_only()
    item = item.model_copy(update={"metadata": item.metadata.model_copy(update=meta)})
    assert after(facts(item, seen=BACK, ledger=Ledger(alerts=alerts))).phase == phase


def test_a_person_ends_a_burn_only_where_its_release_is_gone() -> None:
    ended_by_person = burnt(meta={"annotations": {"opsloop.dev/mitigated": "true"}})
    assert after(facts(ended_by_person)).phase == "Open"
    assert after(IncidentFacts(ended_by_person, None, (), (), (), (), Ledger(), None)).phase == "Mitigated"


def test_four_timestamps() -> None:
    status = after(facts(burnt("Mitigated", backSince=at(80), mitigatedAt=at(80)), seen=BACK))
    assert [status.onset_at, status.detected_at, status.mitigated_at, status.resolved_at] == [at(-5), T0, at(80), NOW]


# --- its times speak of the present harm


def looks(item: Incident, *steps: tuple[float, Readings, tuple[Alert, ...]]) -> IncidentStatus:
    """The status after one look per (second, readings, alerts)."""
    for second, readings_, alerts in steps:
        seen = facts(item, seen=readings_, ledger=Ledger(alerts=alerts))
        item = item.model_copy(update={"status": decisions.decide(seen, at(second)).status or item.status})
    return item.status


FIRING, QUIET = (alert("firing"),), (alert("resolved"),)
BY_ALERTS = ((5, sli(0.0, at(5)), FIRING), (10, sli(0.0, at(10)), QUIET))  # opened while healthy, and mitigated


@pytest.mark.parametrize(
    ("later", "phase", "detected", "mitigated"),
    [
        pytest.param([(20, sli(0.0, at(20)), QUIET)], "Mitigated", 0, 10, id="without a burn, its alerts tell of its end"),
        pytest.param([(100, sli(0.5, at(100)), QUIET)], "Open", 100, None, id="a burn begins: it is not mitigated"),
        pytest.param([(100, sli(0.5, at(100)), QUIET), (130, sli(None, at(130)), QUIET)], "Open", 100, None, id="nor while nobody can say"),
        pytest.param([(100, sli(0.5, at(100)), QUIET), (160, sli(0.0, at(160)), QUIET)], "Mitigated", 100, 160, id="but when the SLI is back"),
        pytest.param([(50, aftermath(at(50)), QUIET)], "Mitigated", 50, 50, id="a ticket tier fires after the harm: not mitigated before detected"),
        pytest.param([(50, aftermath(at(50)), QUIET), (64, sli(0.0, at(64)), QUIET)], "Mitigated", 50, 50, id="and it holds from then on"),
    ],
)  # fmt: skip
def test_a_burn_after_its_alerts_begins_the_times_anew(
    later: list[Any], phase: str, detected: float, mitigated: float | None
) -> None:
    status = looks(alerts_only(), *BY_ALERTS, *later)
    assert (status.phase, status.detected_at) == (phase, at(detected))
    assert status.mitigated_at == (None if mitigated is None else at(mitigated))
    recorded_last = [e.at for e in status.timeline if e.type == "Mitigated"][-1]
    assert mitigated is None or recorded_last == at(mitigated)


def test_mitigated_again_after_a_relapse_is_a_second_entry() -> None:
    ratios = {10: 0.0, 15: 0.5, 20: 0.0}
    status = looks(burnt(cause={"kind": "unknown"}), *((s, sli(ratio, at(s)), ()) for s, ratio in ratios.items()))
    assert status.mitigated_at == at(20)
    assert [e.at for e in status.timeline if e.type in ("Mitigated", "Relapse")] == [at(10), at(15), at(20)]


@pytest.mark.parametrize(
    ("item", "read"),
    [
        pytest.param(burnt(detectedAt=at(90)), 85, id="before the detection"),
        pytest.param(burnt("Mitigating", reopened=1, timeline=[entry("Reopened", 90)]), 85, id="before the reopening"),
    ],
)
def test_a_reading_from_before_the_harm_ends_nothing(item: Incident, read: float) -> None:
    status = after(facts(item, seen=sli(0.0, at(read))))
    assert status.mitigated_at is None and condition_of(status, "Mitigated") == ("Unknown", "TelemetryUnknown")


def test_an_onset_after_the_detection_is_another_stretch_of_burn() -> None:
    later = burnt(onsetAt=None, detectedAt=at(80))
    assert after(facts(later, seen=sli(0.5, onset=at(90)))).onset_at is None
    assert after(facts(later, seen=sli(0.5, onset=at(80)))).onset_at == at(80)
