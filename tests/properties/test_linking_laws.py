"""A look that spares what the last one compared links exactly what a look at everything would."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.reported import Candidate, Looked, QueuedTicket, Triage
from opsloop.core.tickets.linking import FAILING, ROOT, SLOW, link_tickets
from tests.builders.correlation import at, ticket

TEXTS = ("The cart is broken", "Payment fails since this morning", "Everything is slow", "I love the new colours")
SERVICES = ("cart", "payment", "search")
HOURS = st.integers(-1, 5).map(lambda hour: hour * 3600)


@st.composite
def queues(draw: st.DrawFn) -> list[QueuedTicket]:
    found = []
    for number in range(draw(st.integers(0, 6))):
        item = ticket(draw(st.sampled_from(TEXTS)), id=f"T-{number}", created=draw(HOURS))
        category: Any = draw(st.sampled_from(["outage", "performance", "question"]))
        found.append(QueuedTicket(item, Triage(category, "sev2", "on-call")))
    return found


CANDIDATES = st.lists(
    st.builds(
        lambda n, root, more, slow, onset, ended, severity: Candidate(
            f"i-{n}", root, {root: ROOT, **({more: 1.4} if more != root else {})}, frozenset({SLOW if slow else FAILING}),
            at(onset), at(ended) if ended > onset else None, severity,
        ),
        st.integers(0, 3), st.sampled_from(SERVICES), st.sampled_from(SERVICES), st.booleans(), HOURS, HOURS,
        st.sampled_from(["sev1", "sev4"]),
    ),
    max_size=4, unique_by=lambda c: c.incident,
)  # fmt: skip


@given(queues(), st.lists(CANDIDATES, min_size=1, max_size=4))
def test_what_the_last_look_compared_is_spared_without_a_difference(
    queue: list[QueuedTicket], looks: list[list[Candidate]]
) -> None:
    spared, everything, looked = tuple(queue), tuple(queue), Looked()
    for candidates in looks:
        found = link_tickets((), spared, {}, candidates, looked=looked)
        full = link_tickets((), everything, {}, candidates)
        assert (found.links, found.queue) == (full.links, full.queue)
        assert found.judged <= full.judged
        spared, everything, looked = found.queue, full.queue, found.looked
        assert link_tickets((), spared, {}, candidates, looked=looked).judged == 0, "nothing changed"


@given(queues(), CANDIDATES, st.integers(1, 3))
def test_a_long_queue_is_compared_in_parts_to_the_same_end(
    queue: list[QueuedTicket], candidates: list[Candidate], most: int
) -> None:
    full = link_tickets((), queue, {}, candidates)
    rest, looked, links, looks = tuple(queue), Looked(), list[str](), 0
    while True:
        found = link_tickets((), rest, {}, candidates, looked=looked, most=most)
        links += [ticket.id for new in found.links.values() for ticket in new]
        rest, looked, looks = found.queue, found.looked, looks + 1
        assert found.judged <= most and looks <= len(queue) + 1
        if not found.more:
            break
    assert (sorted(links), rest) == (sorted(t.id for new in full.links.values() for t in new), full.queue)
