"""Assignments and notes by people: each is told once, with who wrote it as far as that is known."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.incident import Incident, Note
from opsloop.api.records import Command
from opsloop.core.decision import Decision
from opsloop.core.facts import FieldWrite
from opsloop.core.incident import decide as decisions
from opsloop.core.incident.people import MOST_TOLD
from opsloop.core.reported import Correction, Ledger
from tests.builders.incidents import NOW, after, burnt, facts, sli
from tests.builders.objects import V2, at
from tests.builders.postmortems import Episode

BURNS = sli(0.5)


def with_spec(item: Incident, generation: int = 2, **spec: Any) -> Incident:
    meta = item.metadata.model_copy(update={"generation": generation})
    return item.model_copy(update={"metadata": meta, "spec": item.spec.model_copy(update=spec)})


def told(item: Incident, **writes: FieldWrite) -> list[tuple[str, str, str, float]]:
    """(type, actor, message, second) of what people did, as the timeline has it after one look."""
    status = after(facts(item, seen=BURNS, writes=writes))
    kinds = ("Assigned", "Note")
    return [(e.type, e.actor, e.message, (e.at - at(0)).total_seconds()) for e in status.timeline if e.type in kinds]


def test_a_correction_of_a_ticket_is_told_with_who_when_from_and_to() -> None:
    moved = Correction("HD-1", 1, "unlink", "cart-1", "", "alice", at(3), "a")
    sorted_ = Correction("HD-1", 2, "route", "support", "billing", "bob", at(5), "b")
    status = after(facts(burnt(), seen=BURNS, ledger=Ledger(corrections=(moved, sorted_))))
    assert [(e.actor, e.message) for e in status.timeline if e.type == "Corrected"] == [
        ("alice", "ticket HD-1 taken out of cart-1, now in the queue"),
        ("bob", "ticket HD-1 route support → billing"),
    ]


def test_a_ticket_that_left_and_came_back_is_told_of_once_each_way() -> None:
    left = Correction("HD-1", 1, "unlink", "cart-1", "web-1", "alice", at(3), "a")
    item = burnt()
    item = item.model_copy(update={"status": after(facts(item, seen=BURNS, ledger=Ledger(corrections=(left,))))})
    back = Correction("HD-1", 2, "link", "web-1", "cart-1", "bob", at(5), "b")
    went = Correction("HD-1", 1, "link", "cart-1", "web-1", "alice", at(3), "a")  # comes with the ticket
    status = after(facts(item, seen=BURNS, ledger=Ledger(corrections=(left, went, back))))
    assert [(e.actor, e.message) for e in status.timeline if e.type == "Corrected"] == [
        ("alice", "ticket HD-1 taken out of cart-1, now in web-1"),
        ("bob", "ticket HD-1 linked to cart-1, before in web-1"),
    ]


def again(item: Incident) -> Incident:
    return item.model_copy(update={"status": after(facts(item, seen=BURNS))})


@pytest.mark.parametrize(
    ("spec", "writes", "expected"),
    [
        pytest.param({}, {}, [], id="nobody said anything"),
        pytest.param(
            {"assignee": "alice"},
            {"assignee": FieldWrite("kubectl-edit", at(70))},
            [("Assigned", "kubectl-edit", "assigned to alice", 70.0)],
            id="assigned: by the field manager, at the time of the write",
        ),
        pytest.param(
            {"assignee": "alice"},
            {},
            [("Assigned", "an unknown manager", "assigned to alice", 100.0)],
            id="nobody noted who wrote it: at the time of the look",
        ),
        pytest.param(
            {"notes": [Note(text="the cache was cold", author="team-search", at=at(60))]},
            {"notes": FieldWrite("opsloop-cli", at(61))},
            [("Note", "team-search", "the cache was cold", 60.0)],
            id="a note says who wrote it and when",
        ),
        pytest.param(
            {"notes": [Note(text="the cache was cold")]},
            {"notes": FieldWrite("kubectl-patch", at(61))},
            [("Note", "kubectl-patch", "the cache was cold", 61.0)],
            id="a note that says neither: the field manager and the time of the write",
        ),
        pytest.param(
            {"notes": [Note(text="x", at=at(60)), Note(text="x", at=at(60)), Note(text="x", at=at(65))]},
            {},
            [("Note", "an unknown manager", "x", 60.0), ("Note", "an unknown manager", "x", 65.0)],
            id="the same note twice is one, at another time it is another",
        ),
    ],
)
def test_told(spec: dict[str, Any], writes: dict[str, FieldWrite], expected: list[tuple[str, str, str, float]]) -> None:
    assert told(with_spec(burnt(), **spec), **writes) == expected


def test_each_change_of_the_assignee_is_told_once() -> None:
    item = again(again(with_spec(burnt(), 2, assignee="alice")))
    item = again(again(with_spec(item, 3, assignee="bob")))
    item = again(again(with_spec(item, 4, assignee="")))
    told_of = [e.message for e in item.status.timeline if e.type == "Assigned"]
    assert told_of == ["assigned to alice", "assigned to bob", "assigned to nobody any more, before to bob"]
    assert item.status.assignee == ""


def test_an_assignment_is_an_event() -> None:
    decision: Decision = decisions.decide(facts(with_spec(burnt(), assignee="alice"), seen=BURNS), NOW)
    assert ("Assigned", "assigned to alice") in [(e.reason, e.message) for e in decision.events]


def test_an_act_on_the_release_is_told_once_and_only_one_that_was_obeyed_since() -> None:
    obeyed = Command(name="undo", value="v2", digest=V2, reason="Obeyed", message="v2 is replaced by v1", at=at(70))
    before = obeyed.model_copy(update={"name": "promote", "at": at(-500)})
    refused = obeyed.model_copy(update={"name": "restart", "reason": "NothingToRestart"})
    seen = facts(burnt(), seen=BURNS)
    assert seen.root is not None
    status = seen.root.release.status.model_copy(update={"commands": [obeyed, before, refused]})
    root = replace(seen.root, release=seen.root.release.model_copy(update={"status": status}))
    once = after(replace(seen, root=root))
    again_ = after(replace(seen, root=root, incident=burnt().model_copy(update={"status": once})))
    for told_of in (once, again_):
        acts = [(e.message, e.actor, e.at) for e in told_of.timeline if e.type == "Acted"]
        assert acts == [("undo: v2 is replaced by v1", "a person", at(70))]


def test_many_notes_leave_room_in_the_timeline_for_what_happens() -> None:
    notes = [Note(text=f"note {n}", at=at(n)) for n in range(100)]
    status = again(with_spec(burnt(), notes=notes)).status
    assert sum(e.type == "Note" for e in status.timeline) == MOST_TOLD


def test_the_postmortem_has_notes_once_without_their_authors_or_the_assignee() -> None:
    note = Note(text="the cache was cold", author="mallory", at=at(60))
    item = again(with_spec(burnt("Resolved"), assignee="team-search", notes=[note]))
    text = Episode(item, None, None).markdown
    assert text.count("the cache was cold") == 1 and "mallory" not in text
    assert "team-search" not in text
