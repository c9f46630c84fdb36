"""Incidents whose cause is unknown, or no release: a Runbook acts on them only where its `match` names such a cause."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.runbook import Runbook
from opsloop.core.facts import Deployed, Errand, IncidentFacts
from opsloop.core.incident.decide import decide as decide_at
from opsloop.core.reported import Ledger
from tests.builders.incidents import (
    NOW,
    after,
    alert,
    alerts_only,
    book,
    burnt,
    condition_of,
    facts,
    play,
    plays,
    service,
    sli,
)
from tests.builders.objects import V1, at, readings, release, view
from tests.builders.rollouts import ADOPTED
from tests.core.incident.test_paging import message, thread_of

RESTART: dict[str, Any] = {"type": "restart", "timeout": "30s"}
FOR_UNKNOWN: dict[str, Any] = {"match": {"causes": ["unknown"]}, "steps": [RESTART]}
ANY: dict[str, Any] = {"match": {}, "steps": [RESTART]}
UNKNOWN = {"kind": "unknown", "confidence": 0.4}
DEPENDENCY = {"kind": "dependency", "release": "catalog", "confidence": 0.97}
FIRES = Ledger((alert("firing"),))
OVER = Ledger((alert("resolved"),))
UNCHANGED = service(live=V1, known=(ADOPTED,))  # nothing changed for long, so nothing is to blame
CALM = readings(0.0, NOW)


def by_alerts(*books: Runbook, ledger: Ledger = FIRES, **status: Any) -> IncidentFacts:
    """Critical alerts have called a person; the SLI of the service shows nothing."""
    item = alerts_only(**{**thread_of(message(severity="sev2", state="Sent")), "severity": "sev2", **status})
    return replace(facts(item, seen=CALM, runbooks=books, ledger=ledger), deployed=Deployed("answers", 4))


def last(seen: IncidentFacts) -> tuple[str, str, str]:
    status = after(seen)
    newest = status.plays[-1] if status.plays else None
    return (newest.type, newest.state, newest.reason) if newest else ("", *condition_of(status, "Acting"))


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        pytest.param(by_alerts(book(**FOR_UNKNOWN)), ("restart", "Requested", ""), id="a Runbook that names the unknown cause acts on alerts"),
        pytest.param(by_alerts(book(**ANY)), ("", "False", "LeftToAPerson"), id="one that is for every Incident does not"),
        pytest.param(by_alerts(book(match={"causes": ["bad_release"]})), ("", "False", "LeftToAPerson"), id="nor one for bad releases"),
        pytest.param(by_alerts(), ("", "False", "LeftToAPerson"), id="nor is a person called twice where there is none"),
        pytest.param(by_alerts(book(**FOR_UNKNOWN), severity="sev3"), ("", "False", "PagesNobody"), id="nothing is done below what pages"),
        pytest.param(by_alerts(book(**{**FOR_UNKNOWN, "steps": [{"type": "wait", "timeout": "30s"}]}), plays=[play("NotProven", "wait")]), ("escalate", "Done", "Escalated"), id="after its last step a person is called"),
        pytest.param(by_alerts(book(True, **{**FOR_UNKNOWN, "steps": [{"type": "rollback"}]}), plays=[play("Requested")]), ("rollback", "Refused", "CauseNotARelease"), id="a rollback still needs a revision to blame"),
        pytest.param(by_alerts(book(True, **FOR_UNKNOWN), plays=[play("Requested", "restart")]), ("restart", "Running", ""), id="granted, it runs"),
        pytest.param(by_alerts(book(True, **FOR_UNKNOWN), plays=[play("Requested", "restart")], cause=UNKNOWN), ("restart", "Running", ""), id="and rests on no cause that would have to be sure"),
        pytest.param(by_alerts(plays=[play("Running", "restart", started_at=at(20))]), ("restart", "NotProven", "NotInEffect"), id="what runs is watched to its end, also where the Runbook is gone"),
    ],
)  # fmt: skip
def test_alerts_that_no_sli_explains(seen: IncidentFacts, found: tuple[str, str, str]) -> None:
    assert last(seen) == found


def test_a_burn_whose_cause_is_unknown_waits_a_minute_for_it_to_be_found() -> None:
    calm = sli(0.5, onset=at(-5))
    early = facts(burnt(cause=UNKNOWN, detectedAt=at(70)), UNCHANGED, calm, runbooks=(book(**FOR_UNKNOWN),))
    status = after(early)
    assert status.plays == [] and condition_of(status, "Acting") == ("False", "CauseOpen")
    decision = decide_at(early, NOW)
    assert decision.look_again is not None and decision.look_again <= timedelta(seconds=5)
    late = facts(burnt(cause=UNKNOWN, detectedAt=at(30)), UNCHANGED, calm, runbooks=(book(**FOR_UNKNOWN),))
    assert plays(late) == [("restart", 1, "Requested", "")]


@pytest.mark.parametrize(
    ("ledger", "effect", "end"),
    [
        pytest.param(FIRES, 65, ("NotProven", "TimedOut"), id="the alerts still fire after its timeout"),
        pytest.param(FIRES, 95, ("Running", ""), id="not before"),
        pytest.param(OVER, 80, ("Helped", "AlertsResolved"), id="they are resolved since it is in effect"),
        pytest.param(OVER, None, ("NotProven", "BackBeforeEffect"), id="they were resolved before it was"),
    ],
)  # fmt: skip
def test_what_opened_it_says_whether_it_helped_and_not_an_sli_that_was_never_harmed(
    ledger: Ledger, effect: float | None, end: tuple[str, str]
) -> None:
    step = play("Running", "webhook", effect_at=at(effect) if effect else None, called_at=at(61))
    hook = {"type": "webhook", "timeout": "30s", "webhook": {"url": "https://hooks.example.com/x"}}
    seen = by_alerts(book(True, **{**FOR_UNKNOWN, "steps": [hook]}), ledger=ledger, plays=[step], phase="Mitigating")
    seen = replace(seen, errand=Errand("Going"))
    found = after(seen).plays[0]
    assert (found.state, found.reason) == end
    assert end[0] == "Running" or "SLI" not in found.message


def while_catalog_breaches(item: Runbook) -> IncidentFacts:
    root = view(release(status=service().status, dependsOn=["catalog"]), sli(0.5))
    catalog = view(release("catalog", dependsOn=[]), readings(0.5, NOW))
    return facts(burnt(cause=DEPENDENCY), releases=(root, catalog), runbooks=(item,))


def test_a_dependency_that_breaches_waits_for_nothing_where_the_runbook_is_for_that() -> None:
    hook = {"type": "webhook", "webhook": {"url": "https://hooks.example.com/x"}}
    waits = while_catalog_breaches(book(**ANY))
    assert condition_of(after(waits), "Acting") == ("False", "DependencyBreaching")
    acts = while_catalog_breaches(book(match={"causes": ["dependency"]}, steps=[hook]))
    assert [p[:3] for p in plays(acts)] == [("webhook", 1, "Requested")]
