"""The ticket queue in segments: what stays where it is, and what goes when it is full."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.reported import QueuedTicket, Triage
from opsloop.core.tickets import queue
from opsloop.core.tickets.queue import EACH, SHORTER, arrange, fit, size
from tests.builders.correlation import ticket

JUDGED = Triage("question", "sev4", "support")


def waiting(number: int, text: str = "x" * 1000) -> QueuedTicket:
    return QueuedTicket(ticket("", text, id=f"T-{number}", created=number), JUDGED)


def ids(segments: Sequence[Sequence[QueuedTicket]]) -> list[list[str]]:
    return [[q.ticket.id for q in segment] for segment in segments]


@pytest.mark.parametrize(
    ("room", "cut", "left"),
    [
        pytest.param(14_000, 0, 0, id="all of it"),
        pytest.param(13_999, 1, 0, id="a letter too many: the oldest text is cut"),
        pytest.param(9_000, 10, 0, id="all texts are cut once"),
        pytest.param(5_600, 10, 0, id="and once more"),
        pytest.param(4_000, 10, 0, id="subjects alone"),
        pytest.param(3_999, 9, 1, id="then the oldest is left out"),
        pytest.param(0, 0, 10, id="no room at all"),
    ],
)
def test_texts_go_before_tickets_and_the_oldest_first(room: int, cut: int, left: int) -> None:
    tickets = [waiting(n) for n in range(10)]
    fitted = fit(tickets, room)
    assert (fitted.cut, fitted.left, len(fitted.queue)) == (cut, left, 10 - left)
    assert sum(map(size, fitted.queue)) <= room
    assert [q.ticket.id for q in fitted.queue] == [f"T-{n}" for n in range(left, 10)]


def test_a_ticket_stays_in_its_segment_and_new_ones_fill_the_first_with_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "SEGMENT", 3 * (EACH + 1000))
    old = [waiting(n) for n in range(7)]
    first = arrange(old, [])
    assert ids(first) == [["T-0", "T-1", "T-2"], ["T-3", "T-4", "T-5"], ["T-6"]]
    later = [q for q in old if q.ticket.id != "T-1"] + [waiting(8), waiting(9)]
    assert ids(arrange(later, first)) == [["T-0", "T-2", "T-8"], ["T-3", "T-4", "T-5"], ["T-6", "T-9"]]


def test_a_ticket_that_two_segments_have_stays_in_the_first() -> None:
    assert ids(arrange([waiting(1)], [[waiting(1)], [waiting(1)]])) == [["T-1"], []]


@given(st.lists(st.integers(0, 3000), max_size=30), st.integers(0, 40_000))
def test_nothing_is_lost_without_being_counted(lengths: list[int], room: int) -> None:
    tickets = [waiting(n, "y" * length) for n, length in enumerate(lengths)]
    fitted = fit(tickets, room)
    assert len(fitted.queue) + fitted.left == len(tickets) and sum(map(size, fitted.queue)) <= max(room, 0)
    shorter = sum(len(q.ticket.body) < lengths[int(q.ticket.id[2:])] for q in fitted.queue)
    assert shorter == fitted.cut
    assert not fitted.left or all(len(q.ticket.body) <= SHORTER[-1] for q in fitted.queue)
    kept = arrange(fitted.queue, [])
    assert sorted(i for segment in ids(kept) for i in segment) == sorted(q.ticket.id for q in fitted.queue)
