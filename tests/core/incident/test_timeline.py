"""The Incident: its cause, where it is merged into, who else suffers, what its timeline tells."""

import pytest

from opsloop.api.incident import IncidentStatus
from opsloop.core.incident import decide as decisions
from opsloop.core.reported import Ledger
from tests.builders.incidents import NOW, after, burnt, entry, facts, sli, timeline_keys, written
from tests.builders.objects import at, incident

BACK = sli(0.0)


def test_the_timeline_is_in_order_with_one_entry_per_key() -> None:
    item = incident()
    for _ in range(3):
        status = after(facts(item, seen=sli(0.5, onset=at(-5))))
        item = item.model_copy(update={"status": status})
    times = [e.at for e in item.status.timeline]
    assert times == sorted(times) and len(timeline_keys(item.status)) == len(set(timeline_keys(item.status)))


@pytest.mark.parametrize("type_", ["Relapse", "Ticket"])
def test_a_full_timeline_is_folded_in_the_middle_and_comes_to_rest(type_: str) -> None:
    item = burnt("Mitigated", timeline=[entry(type_, n) for n in range(-199, 1)], backSince=at(10))
    status = after(facts(item, seen=BACK))
    assert len(status.timeline) == 200 and (status.folded > 0) == (type_ == "Relapse")
    again = item.model_copy(update={"status": IncidentStatus.model_validate(status.dump())})
    stored = decisions.decide(facts(again, seen=BACK, postmortem=written(facts(again, seen=BACK))), NOW).status
    assert stored is None or len(stored.timeline) == 200  # type: ignore[attr-defined]


def test_a_ticket_with_the_longest_id_has_one_entry() -> None:
    long = {
        "id": "T" * 128,
        "subject": "s",
        "category": "outage",
        "severity": "sev3",
        "route": "r",
        "score": 1.0,
        "receivedAt": at(5).isoformat(),
    }
    item = burnt()
    for _ in range(3):
        item = item.model_copy(update={"status": after(facts(item, ledger=Ledger(tickets=(long,))))})
    assert sum(e.type == "Ticket" for e in item.status.timeline) == 1
