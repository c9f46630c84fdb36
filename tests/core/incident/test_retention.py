"""When an Incident is deleted: long after its resolution, never while anybody may still need it."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.incident import Incident
from opsloop.core.actions import DeleteIncident
from opsloop.core.decision import Decision
from opsloop.core.incident import decide as decisions
from opsloop.core.incident.retention import FOR_EVER, RETENTION_OVER, RETRY, expire
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.stop import Stop
from opsloop.names import KEEP
from tests.builders.incidents import burnt, facts, sli
from tests.builders.objects import at

KEPT_FOR = timedelta(days=90)
LONG_AFTER = at(50) + KEPT_FOR + timedelta(seconds=1)


def look(item: Incident, now: Any = LONG_AFTER, retention: timedelta = KEPT_FOR, **changes: Any) -> Decision:
    """What the retention adds to a look at which everything else is done."""
    builder = IncidentBuilder(facts(item, **changes), item.status, now)
    expire(builder, retention)
    return builder.build()


def deletions(decision: Decision) -> list[str]:
    return [action.name for action in decision.actions if isinstance(action, DeleteIncident)]


def test_its_retention_is_over() -> None:
    decision = look(burnt("Resolved", meta={"resource_version": "7"}))
    assert [a for a in decision.actions if isinstance(a, DeleteIncident)] == [
        DeleteIncident("answers-1", "uid-answers-1", "7")
    ], "that very version: who keeps or reopens it meanwhile wins"
    assert [e.reason for e in decision.events] == [RETENTION_OVER] and "kept for 90d" in decision.events[0].message


@pytest.mark.parametrize(
    ("item", "changes"),
    [
        pytest.param(burnt("Open"), {}, id="it is open"),
        pytest.param(burnt("Mitigating"), {}, id="it is being mitigated"),
        pytest.param(burnt("Mitigated"), {}, id="it is mitigated and not yet resolved"),
        pytest.param(burnt("Resolved", meta={"annotations": {KEEP: "true"}}), {}, id="a person keeps it"),
        pytest.param(burnt("Resolved"), {"retention": FOR_EVER}, id="Incidents are kept for ever"),
        pytest.param(burnt("Resolved"), {"stop": Stop(namespace="shop", reason="fire")}, id="a Stop stands"),
        pytest.param(burnt("Resolved"), {"now": LONG_AFTER - timedelta(seconds=2)}, id="its time is not over"),
        pytest.param(
            burnt("Resolved", mergedInto="catalog-1"),
            {"incidents": (burnt("Open", "catalog-1"),)},
            id="it was merged into one that is open, which counts its alerts",
        ),
        pytest.param(
            burnt("Resolved", mergedInto="catalog-1"),
            {"incidents": (burnt("Resolved", "catalog-1"),)},
            id="it was merged into one that is not deleted yet",
        ),
    ],
)
def test_kept(item: Incident, changes: dict[str, Any]) -> None:
    assert deletions(look(item, **changes)) == []


def test_a_merged_one_goes_after_the_one_that_counts_its_alerts() -> None:
    item = burnt("Resolved", mergedInto="catalog-1")
    assert look(item, incidents=(burnt("Resolved", "catalog-1"),)).look_again == RETRY
    assert deletions(look(item)) == ["answers-1"]


def test_it_is_looked_at_when_its_time_is_over() -> None:
    decision = look(burnt("Resolved"), now=at(60))
    assert decision.look_again == KEPT_FOR - timedelta(seconds=10) and not decision.actions


def test_one_that_reopens_in_the_same_look_is_kept() -> None:
    """Its retention is shorter than the grace time, and the harm is back."""
    burns_again = sli(0.5, when=at(100), onset=at(95))
    decision = decisions.decide(facts(burnt("Resolved"), seen=burns_again), at(100), retention=timedelta(seconds=1))
    assert decision.status is not None and decision.status.phase == "Mitigating"  # type: ignore[attr-defined]
    assert deletions(decision) == []
