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
from opsloop.core.incident.pacing import (
    LONGEST,
    LONGEST_FILING,
    RATE,
    SHORTEST,
    filings_that_wait,
    is_storm,
    more_of_the_same,
    pause,
)
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


def _labelled(alert: Alert, **labels: str) -> Alert:
    return replace(alert, labels={**alert.labels, **labels})


FURTHER = alert("firing", 90)


@pytest.mark.parametrize(
    ("before", "further", "same"),
    [
        pytest.param(MANY, [FURTHER], True, id="one more of what is known"),
        pytest.param(MANY[:9], [FURTHER], False, id="one of the ten that are named"),
        pytest.param(MANY, [_labelled(FURTHER, service="cart")], False, id="a service that was not named"),
        pytest.param(MANY, [_labelled(FURTHER, severity="critical")], False, id="a severity that is new there"),
        pytest.param(MANY, [_labelled(FURTHER, alertname="DiskFull")], False, id="an alert of another name"),
        pytest.param(MANY, [FURTHER, replace(MANY[0], status="resolved", ends_at=at(90))], False, id="one that ends"),
    ],
)  # fmt: skip
def test_further_alerts_that_tell_nothing_new(before: tuple[Alert, ...], further: list[Alert], same: bool) -> None:
    assert more_of_the_same(known(*before).incident, Ledger(before), further) is same


@pytest.mark.parametrize(
    ("since", "busy", "waits"),
    [
        pytest.param([1], BUSY, [4], id="the rest of the pause"),
        pytest.param([1], 1000, [4], id="however many Incidents there are, no longer than this"),
        pytest.param([5], BUSY, [], id="the pause is over"),
        pytest.param([5] * 9 + [7] * 5, BUSY, [1] * 4, id="of those that are due the longest waiting, and the others at the next look"),
        pytest.param([6] * 40, 100, [1] * 20, id="as many at each look as let none wait much longer than the pause"),
    ],
)  # fmt: skip
def test_the_filing_of_further_alerts_waits_in_a_storm(since: list[float], busy: int, waits: list[float]) -> None:
    may_wait = {f"web-{n}": NOW - timedelta(seconds=seconds) for n, seconds in enumerate(since)}
    found = filings_that_wait(may_wait, busy, NOW)
    assert sorted(found.values()) == [timedelta(seconds=seconds) for seconds in waits]
    assert not found.keys() & {name for name, at_ in may_wait.items() if NOW - at_ > timedelta(seconds=6)}


def test_it_is_a_storm_where_more_incidents_get_alerts_than_ledgers_are_written_a_second() -> None:
    assert not is_storm(RATE) and is_storm(RATE + 1)


@given(st.integers(11, 500), st.integers(0, 20))
def test_however_they_fall_due_nothing_waits_for_much_longer_than_the_pause(incidents: int, seed: int) -> None:
    """A look a second, every Incident gets an alert in each: the oldest filing, and the most at one look."""
    written = {f"i-{n}": NOW - timedelta(seconds=(n * 7 + seed) % 3) for n in range(incidents)}
    now = NOW
    for _ in range(40):
        now += timedelta(seconds=1)
        waits = filings_that_wait(written, incidents, now)
        filed = written.keys() - waits.keys()
        assert len(filed) <= max(RATE, -(-incidents // 5))
        written |= dict.fromkeys(filed, now)
    assert max(now - at_ for at_ in written.values()) <= LONGEST_FILING + timedelta(seconds=2)
