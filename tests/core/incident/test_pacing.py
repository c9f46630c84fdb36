"""Counts of alerts wait in a storm; nothing that an on-call engineer acts on does."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.incident import IncidentStatus
from opsloop.core.decision import Decision
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident.pacing import LONGEST, RATE, SHORTEST, pause
from opsloop.core.reported import Alert, Ledger
from tests.builders.incidents import NOW, alert, alerts_only, decide, facts, sli
from tests.builders.objects import at

BUSY = 50


def known(*alerts: Alert) -> IncidentFacts:
    """An Incident whose stored status counts these alerts and is at rest."""
    seen = facts(alerts_only(), seen=sli(0.0, silent=timedelta(minutes=2)), ledger=Ledger(alerts))
    for _ in range(5):
        status = decide(seen).status
        if status is None:
            return seen
        assert isinstance(status, IncidentStatus)
        seen = replace(seen, incident=seen.incident.model_copy(update={"status": status}))
    raise AssertionError("it does not come to rest")


def later(seen: IncidentFacts, *alerts: Alert, since: float = 1, busy: int = BUSY, **changes: Any) -> Decision:
    """The look at these alerts, so many seconds after the status was stored."""
    stored = NOW - timedelta(seconds=since)
    return decide(replace(seen, ledger=Ledger(alerts), stored_at=stored, busy=busy, **changes))


MANY = tuple(alert("firing", n) for n in range(20))


def test_further_alerts_are_counted_when_the_pause_is_over() -> None:
    seen = known(*MANY[:15])
    held = later(seen, *MANY)
    assert held.status is None and held.look_again is not None and held.look_again <= timedelta(seconds=4)
    written = later(seen, *MANY, since=5).status
    assert isinstance(written, IncidentStatus) and written.alerts.count == 20


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        pytest.param((), MANY[:1], {}, id="the first alert"),
        pytest.param(MANY[:3], MANY[:4], {}, id="one of the ten that are named"),
        pytest.param(
            MANY[:15], (*MANY[:15], replace(MANY[15], labels={**MANY[15].labels, "service": "cart"})), {}, id="a service that was not named"
        ),
        pytest.param(
            MANY[:15], tuple(replace(a, status="resolved", ends_at=at(90)) for a in MANY[:15]), {}, id="nothing fires any more"
        ),
        pytest.param(
            MANY[:15], (*MANY[:15], replace(MANY[15], labels={**MANY[15].labels, "severity": "critical"})), {}, id="a critical one, which pages"
        ),
        pytest.param(MANY[:15], MANY, {"stored_at": None}, id="a process that stored nothing yet"),
        pytest.param(MANY[:15], MANY, {"busy": 1, "stored_at": at(99)}, id="no storm, and the last write was a second ago"),
    ],
)  # fmt: skip
def test_what_tells_something_new_waits_for_nothing(
    before: tuple[Alert, ...], after: tuple[Alert, ...], changes: dict[str, Any]
) -> None:
    decision = decide(replace(known(*before), ledger=Ledger(after), **{"stored_at": at(99.5), "busy": BUSY, **changes}))
    assert isinstance(decision.status, IncidentStatus) and decision.status.alerts.count == len(after)


def test_what_is_at_rest_asks_for_no_look() -> None:
    seen = known(*MANY)
    assert later(seen, *MANY) == decide(seen)


@given(st.integers(0, 10**6))
def test_the_rate_of_all_incidents_is_bounded(busy: int) -> None:
    assert SHORTEST <= pause(busy) <= LONGEST
    if pause(busy) < LONGEST:
        assert busy / pause(busy).total_seconds() <= RATE
