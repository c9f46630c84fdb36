"""The Incident: its cause, where it is merged into, who else suffers, what its timeline tells."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.incident import IncidentStatus, TimelineEntry
from opsloop.core.actions import StorePostmortem
from opsloop.core.facts import IncidentFacts, Ledger
from opsloop.core.incident import decide as decisions
from tests.builders.incidents import (
    DONE,
    NOW,
    ROLLED_BACK,
    WANTED,
    acts,
    after,
    burnt,
    decide,
    facts,
    play,
    service,
    sli,
    told,
)
from tests.builders.objects import V1, at, incident, readings, release, view
from tests.builders.rollouts import ADOPTED

BACK = sli(0.0)


def test_the_blamed_revision_and_how_it_got_there() -> None:
    status = after(facts(incident(), seen=sli(0.5, onset=at(70))))
    assert status.cause is not None and (status.cause.kind, status.cause.version) == ("bad_release", "v2")
    assert "without a canary" in next(e.message for e in status.timeline if e.type == "Change")


def test_a_sure_cause_stays() -> None:
    calm = service(known=(ADOPTED,), live=V1)
    assert after(facts(burnt(), calm)).cause == burnt().status.cause


def needing(*names: str) -> Any:
    return release(status=service().status, dependsOn=list(names))


@pytest.mark.parametrize(
    ("item", "merged"),
    [
        pytest.param(burnt(), "catalog-1", id="what it depends on burns: it is merged into that"),
        pytest.param(burnt("Mitigating", plays=[play()], rollback=WANTED), "", id="not when it already acts"),
        pytest.param(burnt("Resolved"), "", id="nor when it is over"),
    ],
)
def test_merging(item: Any, merged: str) -> None:
    root = view(needing("catalog"), sli(0.5))
    catalog = view(release("catalog", dependsOn=[]), readings(0.5, NOW))
    status = after(_with(item, root, catalog))
    assert status.merged_into == merged and (not merged or status.phase == "Resolved")


def _with(item: Any, root: Any, catalog: Any) -> IncidentFacts:
    other = burnt(name="catalog-1")
    return IncidentFacts(item, root, (root, catalog), (other,), (), (), Ledger(), None)


def test_who_else_suffers_is_named_once() -> None:
    web = view(release("web", dependsOn=["answers"]), readings(0.5, NOW))
    root = facts(burnt())
    seen = IncidentFacts(root.incident, root.root, (*root.releases, web), (), (), (), Ledger(), None)
    assert after(seen).affected == ["web"]
    again = burnt(affected=["web"])
    assert after(IncidentFacts(again, root.root, (*root.releases, web), (), (), (), Ledger(), None)).affected == ["web"]


def test_the_timeline_is_in_order_each_thing_once() -> None:
    item = incident()
    for _ in range(3):
        status = after(facts(item, seen=sli(0.5, onset=at(-5))))
        item = item.model_copy(update={"status": status})
    times = [e.at for e in item.status.timeline]
    assert times == sorted(times) and len(told(item.status)) == len(set(told(item.status)))


def entry(n: int, type_: str) -> dict[str, Any]:
    return TimelineEntry(key=f"{type_}-{n}", at=at(n), type=type_, actor="opsloop", message="x").dump()


@pytest.mark.parametrize("type_", ["Relapse", "Ticket"])
def test_a_full_timeline_is_folded_in_the_middle_and_comes_to_rest(type_: str) -> None:
    item = burnt("Mitigated", timeline=[entry(n, type_) for n in range(-199, 1)], backSince=at(10))
    status = after(facts(item, seen=BACK))
    assert len(status.timeline) == 200 and (status.folded > 0) == (type_ == "Relapse")
    again = item.model_copy(update={"status": IncidentStatus.model_validate(status.dump())})
    stored = decisions.decide(facts(again, seen=BACK, postmortem=_written(facts(again, seen=BACK))), NOW).status
    assert stored is None or len(stored.timeline) == 200  # type: ignore[attr-defined]


def _written(seen: IncidentFacts) -> str | None:
    found = acts(seen, StorePostmortem)
    return found[0].digest if found else None


def test_a_ticket_whose_id_is_as_long_as_may_be_is_told_once() -> None:
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


def test_more_tickets_and_dependents_than_the_status_holds_are_no_error() -> None:
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
        text = _written(seen) or text
        item = item.model_copy(update={"status": IncidentStatus.model_validate(after(seen).dump())})
    last = decide(facts(item, root, BACK, postmortem=text))
    assert (last.status, last.actions, last.events) == (None, (), ())


def test_a_look_is_asked_for_while_it_is_open() -> None:
    assert decide(facts(burnt())).look_again is not None
    assert decide(facts(burnt("Mitigated"), seen=BACK)).look_again <= timedelta(seconds=15)  # type: ignore[operator]
