"""The Incident's decision: its signal, evidence, severity, cause and dependents; when it comes to rest."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.incident import IncidentStatus
from opsloop.core.facts import IncidentFacts
from opsloop.core.reported import Ledger
from tests.builders.incidents import (
    DONE,
    NOW,
    ROLLED_BACK,
    after,
    burnt,
    decide,
    facts,
    service,
    sli,
    timeline_keys,
    written,
)
from tests.builders.objects import BURN, T0, V1, at, incident, readings, release, view
from tests.builders.rollouts import ADOPTED

BACK = sli(0.0)


def test_the_opening_signal_gives_severity_burn_and_first_entry() -> None:
    status = after(facts(incident()))
    assert (status.severity, status.detected_at, status.burn) == ("sev1", T0, BURN)
    assert status.onset_at == at(-5) and {"detected", "onset"} <= set(timeline_keys(status))


@pytest.mark.parametrize(
    ("old", "tier", "severity"),
    [
        pytest.param("sev3", 0.5, "sev1", id="a burn raises it"),
        pytest.param("sev1", 0.0, "sev1", id="nothing lowers it"),
        pytest.param("sev3", None, "sev3", id="unknown raises nothing"),
    ],
)
def test_severity_only_rises(old: Any, tier: float | None, severity: str) -> None:
    assert after(facts(burnt(severity=old, burn=None, cause=None), seen=sli(tier))).severity == severity


@pytest.mark.parametrize(
    ("severity", "reason"),
    [
        pytest.param("sev3", "PagesNobody", id="alerts below what pages"),
        pytest.param("sev2", "LeftToAPerson", id="alerts that paged, and no change is to blame"),
    ],
)
def test_an_incident_that_waits_without_a_play_says_why(severity: str, reason: str) -> None:
    status = after(facts(burnt(severity=severity, burn=None, cause=None), seen=sli(None)))
    assert status.phase == "Open"
    assert [(c.status, c.reason) for c in status.conditions if c.type == "Acting"] == [("False", reason)]


def test_the_blamed_revision_is_told_with_its_missing_canary() -> None:
    status = after(facts(burnt(cause=None, onsetAt=None, detectedAt=at(80)), seen=sli(0.5, onset=at(70))))
    assert status.cause is not None and (status.cause.kind, status.cause.version) == ("bad_release", "v2")
    assert "without a canary" in next(e.message for e in status.timeline if e.type == "Change")


def test_a_sure_cause_stays() -> None:
    calm = service(known=(ADOPTED,), live=V1)
    assert after(facts(burnt(), calm)).cause == burnt().status.cause


def test_a_harmed_dependent_is_named_once() -> None:
    web = view(release("web", dependsOn=["answers"]), readings(0.5, NOW))
    root = facts(burnt())
    seen = IncidentFacts(root.incident, root.root, (*root.releases, web), (), (), (), Ledger(), None)
    assert after(seen).affected == ["web"]
    again = burnt(affected=["web"])
    assert after(IncidentFacts(again, root.root, (*root.releases, web), (), (), (), Ledger(), None)).affected == ["web"]


def test_tickets_and_dependents_are_bounded() -> None:
    many = tuple(
        {
            "id": f"T-{n}",
            "subject": "s",
            "category": "outage",
            "severity": "sev3",
            "route": "r",
            "score": 1.0,
            "receivedAt": at(5).isoformat(),
        }
        for n in range(150)
    )
    root = facts(burnt())
    webs = tuple(view(release(f"web{n}", dependsOn=["answers"]), readings(0.5, NOW)) for n in range(70))
    status = after(IncidentFacts(burnt(), root.root, (*root.releases, *webs), (), (), (), Ledger(tickets=many), None))
    assert (len(status.tickets), len(status.affected)) == (100, 64)


def test_nothing_is_stored_when_nothing_changed() -> None:
    item, text = burnt("Mitigated", **ROLLED_BACK), None
    root = service(rollback=DONE, live=V1)
    for _ in range(5):
        seen = facts(item, root, BACK, postmortem=text)
        text = written(seen) or text
        item = item.model_copy(update={"status": IncidentStatus.model_validate(after(seen).dump())})
    last = decide(facts(item, root, BACK, postmortem=text))
    assert (last.status, last.actions, last.events) == (None, (), ())


def test_a_look_is_asked_for_while_it_is_open() -> None:
    assert decide(facts(burnt())).look_again is not None
    assert decide(facts(burnt("Mitigated"), seen=BACK)).look_again <= timedelta(seconds=15)  # type: ignore[operator]
