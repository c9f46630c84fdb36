"""The first call of a burn waits a moment while a dependency shows trouble of its own, and never longer than that."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.core import conditions
from opsloop.core.actions import SendPage
from opsloop.core.decision import Decision
from opsloop.core.facts import IncidentFacts, ReleaseView
from opsloop.core.incident.decide import decide
from opsloop.core.reported import Ledger
from tests.builders.correlation import FAST, alert, at, incident, ledger, read_at, view
from tests.builders.objects import BURN

CALLER = incident("web-1", burn=BURN.dump(), phase="Open", detectedAt=at(0).isoformat())
HELD = "DependencySuspected"


def tier_of(found: ReleaseView, short: float, long: float) -> ReleaseView:
    """With these burns in the windows of its tier that pages."""
    verdict = found.readings.verdict
    assert verdict is not None
    tiers = (replace(verdict.tiers[0], tier=FAST, burn_short=short, burn_long=long),)
    return replace(found, readings=replace(found.readings, verdict=replace(verdict, tiers=tiers)))


def condition(kind: str, status: str, reason: str, since: float) -> dict[str, Any]:
    known = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": at(since).isoformat(),
    }
    return {"conditions": [known]}


def look(
    catalog: ReleaseView | None, *others: Incident, own: Incident = CALLER, seconds: float = 1, needs: str = "catalog"
) -> tuple[IncidentStatus, Decision]:
    """The status and the decision of web's Incident so many seconds after its burn was detected."""
    views = read_at(at(seconds), (view("web", "fired", (needs,)), *([catalog] if catalog else [])))
    facts = IncidentFacts(own, views[0], views, others, (), (), Ledger(), None)
    decision = decide(facts, at(seconds))
    assert isinstance(decision.status, IncidentStatus)
    return decision.status, decision


def calls(decision: Decision) -> int:
    return sum(isinstance(action, SendPage) and action.message.action == "trigger" for action in decision.actions)


FIRING = ledger(alert("PoolFailing", "catalog", severity="critical", start=-30))
OLD = ledger(alert("PoolFailing", "catalog", severity="critical", start=-7200))


@pytest.mark.parametrize(
    ("catalog", "others", "sign"),
    [
        pytest.param(view("catalog", "healthy"), (), "", id="healthy: the caller is called for at once"),
        pytest.param(view("catalog", "unknown"), (), "", id="unknown: that is no sign, and delays nothing"),
        pytest.param(view("catalog", "unread"), (), "has an SLO that this process has not read yet", id="not read since the operator took over: the first read tells"),
        pytest.param(None, (), "", id="without a Release and without alerts nothing is known of it"),
        pytest.param(tier_of(view("catalog"), 3.0, 1.0), (), "errs more than it may", id="its SLI gets worse, below every tier"),
        pytest.param(tier_of(view("catalog"), 1.1, 1.1), (), "", id="it smoulders for hours: that tells nothing of now"),
        pytest.param(tier_of(view("catalog"), 0.9, 0.1), (), "", id="it errs more than before and within its objective"),
        pytest.param(view("catalog", "burning"), (), "is harmed as well", id="it burns: its Incident follows at once"),
        pytest.param(
            view("catalog", **condition("Available", "True", "BelowMinimum", -300)),
            (),
            "has too few pods",
            id="fewer of its pods are available than its strategy allows",
        ),
        pytest.param(
            view("catalog", **condition("BudgetMet", "False", "x", -30)), (), "has too few pods", id="fewer than its budget wants, lately"
        ),
        pytest.param(
            view("catalog", **condition("BudgetMet", "False", "x", -7200)), (), "", id="fewer than its budget wants for hours"
        ),
        pytest.param(
            view("catalog"),
            (incident("catalog-1", "alerts", FIRING),),
            "has alerts that fire",
            id="alerts fire on it, though its SLI is well",
        ),
        pytest.param(
            None,
            (incident("catalog-1", "alerts", FIRING, release=""),),
            "has alerts that fire",
            id="alerts of a service without a Release fire, and page nobody",
        ),
        pytest.param(
            view("catalog"), (incident("catalog-1", "alerts", OLD),), "", id="alerts whose end nobody sent fire for hours"
        ),
    ],
)  # fmt: skip
def test_signs_of_trouble(catalog: ReleaseView | None, others: tuple[Incident, ...], sign: str) -> None:
    status, decision = look(catalog, *others)
    paged = conditions.get(status.conditions, "Paged")
    assert calls(decision) == (0 if sign else 1)
    if sign:
        assert paged is not None and paged.reason == HELD and f"catalog, which it depends on, {sign}" in paged.message
        assert "09:00:30 UTC" in paged.message, "it says until when"
        assert any(e.type == "PageWaits" for e in status.timeline)
        assert not status.plays, "nobody is called by an escalation either"
        assert decision.look_again is not None and decision.look_again <= timedelta(seconds=5)


WORSENS = tier_of(view("catalog"), 3.0, 1.0)


@pytest.mark.parametrize(
    ("own", "seconds", "called"),
    [
        pytest.param(CALLER, 29, 0, id="two scrapes have not passed"),
        pytest.param(CALLER, 30, 1, id="two scrapes have passed: it may be its own fault"),
        pytest.param(
            incident("web-1", burn=BURN.dump(), phase="Mitigated", detectedAt=at(0).isoformat()), 1, 1, id="it is over: said at once"
        ),
    ],
)  # fmt: skip
def test_how_long_it_waits(own: Incident, seconds: float, called: int) -> None:
    assert calls(look(WORSENS, own=own, seconds=seconds)[1]) == called


MISSING = view("catalog", **condition("Available", "True", "BelowMinimum", -86_400))


@pytest.mark.parametrize(
    ("hours", "merged", "sign", "called"),
    [
        pytest.param(2, "", "has too few pods", 1, id="it waited for them in vain two hours ago: no second time"),
        pytest.param(2, "catalog-1", "has too few pods", 0, id="they proved to be the root two hours ago"),
        pytest.param(30, "", "has too few pods", 0, id="that was yesterday"),
        pytest.param(2, "", "is harmed as well", 0, id="it waited for another sign"),
    ],
)  # fmt: skip
def test_pods_that_are_missing_for_days_delay_one_call_of_a_day(
    hours: int, merged: str, sign: str, called: int
) -> None:
    entry = {
        "key": f"waits-{HELD}",
        "type": "PageWaits",
        "message": f"catalog, which it depends on, {sign}: the call waits",
    }
    entry |= {"actor": "opsloop", "at": at(-3600 * hours).isoformat()}
    before = incident(
        "web-0",
        phase="Resolved",
        mergedInto=merged,
        resolvedAt=at(-3500 * hours).isoformat(),
        timeline=[entry],
        release="web",
    )
    assert calls(look(MISSING, before)[1]) == called


def test_however_rarely_is_scraped_it_waits_a_minute_at_most() -> None:
    web = view("web", "fired", ("catalog",))
    web = replace(web, readings=replace(web.readings, scrape=timedelta(minutes=5)))
    for seconds, called in ((59, 0), (60, 1)):
        views = read_at(at(seconds), (web, WORSENS))
        facts = IncidentFacts(CALLER, views[0], views, (), (), (), Ledger(), None)
        assert calls(decide(facts, at(seconds))) == called


def test_of_two_that_need_each_other_neither_waits() -> None:
    catalog = view("catalog", needs=("web",))
    assert calls(look(tier_of(catalog, 3.0, 1.0))[1]) == 1


def test_harm_that_moved_here_from_another_incident_waits_no_second_time() -> None:
    merged = incident("shop-1", phase="Resolved", mergedInto="web-1", detectedAt=at(-25).isoformat())
    assert calls(look(WORSENS, merged, seconds=4)[1]) == 0
    assert calls(look(WORSENS, merged, seconds=5)[1]) == 1


def test_a_dependency_that_proves_to_be_the_root_calls_and_its_caller_never_does() -> None:
    status, decision = look(view("catalog", "fired"), incident("catalog-1", burn=BURN.dump()))
    assert (status.merged_into, status.page, calls(decision)) == ("catalog-1", None, 0)


def test_alerts_of_a_service_without_a_release_explain_its_caller() -> None:
    catalog = incident("catalog-1", "alerts", FIRING, release="", severity="sev1")
    status, decision = look(None, catalog)
    assert (status.merged_into, calls(decision)) == ("catalog-1", 0)


@pytest.mark.parametrize(
    ("state", "called"),
    [
        pytest.param("Requested", 0, id="a step that is only asked for ends no wait"),
        pytest.param("Refused", 0, id="nor one that was refused"),
        pytest.param("Running", 1, id="one that runs does: people hear of what is done"),
    ],
)
def test_the_call_waits_on_while_a_step_is_asked_for(state: str, called: int) -> None:
    play = {"runbook": "bad-release", "type": "rollback", "step": 0, "state": state, "requestedAt": at(1).isoformat()}
    own = incident("web-1", burn=BURN.dump(), phase="Open", detectedAt=at(0).isoformat(), plays=[play])
    _, decision = look(
        view("catalog"), incident("catalog-1", alerts={"count": 1, "firing": 1, "firstAt": at(-5).isoformat()}), own=own
    )
    assert calls(decision) == called
