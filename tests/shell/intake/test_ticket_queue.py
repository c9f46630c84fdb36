"""The ticket queue in the API server: thousands of tickets, none lost without a word."""

import random

import pytest

from opsloop.core.codec import decode_queue
from opsloop.core.reported import QueuedTicket, Triage
from opsloop.core.tickets import queue as segments
from opsloop.errors import Conflict, OpsloopError, Unavailable
from opsloop.names import TICKET_QUEUE
from opsloop.shell.intake.ledger_store import LedgerStore
from opsloop.shell.ports import CONFIGMAPS
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from tests.builders.correlation import NOW, NS, ticket

JUDGED = Triage("question", "sev4", "support", "the strongest terms")
WORDS = [
    "the",
    "parcel",
    "has",
    "not",
    "come",
    "and",
    "nobody",
    "answers",
    "when",
    "will",
    "my",
    "order",
    "of",
    "three",
    "lamps",
    "be",
    "here",
    "please",
    "help",
    "us",
    "today",
]


def waiting(count: int, words: int = 60, first: int = 0) -> tuple[QueuedTicket, ...]:
    dice = random.Random(count)
    texts = (" ".join(dice.choices(WORDS, k=words)) + f" {dice.random()}" for _ in range(count))
    return tuple(QueuedTicket(ticket(f"s {n}", text, id=f"T-{first + n}"), JUDGED) for n, text in enumerate(texts))


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(clock=FakeClock(NOW))


def store(cluster: FakeCluster, told: list[str] | None = None) -> LedgerStore:
    found = told if told is not None else []
    return LedgerStore(cluster, cluster, lambda _ns, reason, count, _text: found.append(f"{reason} {count}"))


def held(cluster: FakeCluster) -> dict[str, list[str]]:
    return {
        name: [q.ticket.id for q in decode_queue(o["binaryData"])]
        for (_, _, name), o in sorted(cluster._objects.items())
        if name.startswith(TICKET_QUEUE)
    }


async def test_nine_thousand_tickets_are_kept_whole(cluster: FakeCluster) -> None:
    told: list[str] = []
    queue = waiting(9000)
    await store(cluster, told).store_queue(NS, queue)
    assert await store(cluster).queue(NS) == queue and told == [], "read by the next process"
    assert 1 < len(held(cluster)) <= segments.MOST_SEGMENTS


async def test_what_is_full_is_cut_and_left_out_with_a_word(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsloop.shell.intake.ledger_store.SEGMENT", 4_000)
    told: list[str] = []
    await store(cluster, told).store_queue(NS, waiting(150))
    kept = await store(cluster).queue(NS)
    assert 0 < len(kept) < 150 and told == [f"TicketsCut {len(kept)}", f"TicketsLeftOut {150 - len(kept)}"]
    assert kept == tuple(q for q in kept if q.ticket.body == ""), "no ticket goes while another has a text"


async def test_a_new_ticket_writes_one_segment(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT", 10_000)
    process, queue = store(cluster), waiting(60)
    await process.store_queue(NS, queue)
    cluster.writes.clear()
    await process.store_queue(NS, (*queue[1:], *waiting(1, first=100)))
    assert len(cluster.writes) == 1, "the one that lost a ticket has room for the new one"


async def test_a_segment_that_compresses_badly_is_halved(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsloop.core.codec.MAX_OBJECT", 6_000)
    queue = waiting(60)
    process = store(cluster)
    await process.store_queue(NS, queue)
    assert len(held(cluster)) > 1 and set(await store(cluster).queue(NS)) == set(queue) == set(await process.queue(NS))


async def test_dying_between_two_writes_loses_no_ticket_and_counts_none_twice(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsloop.core.codec.MAX_OBJECT", 6_000)
    process, queue = store(cluster), waiting(20)
    await process.store_queue(NS, queue)
    more, write, left = (*queue, *waiting(40, first=100)), process._write, 1

    async def dies(*arguments: object) -> str:
        nonlocal left
        left -= 1
        if left < 0:
            raise Unavailable("gone")
        return await write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "_write", dies)
    with pytest.raises(OpsloopError):
        await process.store_queue(NS, more)
    assert set(queue) <= set(await store(cluster).queue(NS))
    after = store(cluster)
    await after.store_queue(NS, more)
    found = await store(cluster).queue(NS)
    assert sorted(q.ticket.id for q in found) == sorted(q.ticket.id for q in more)


async def test_somebody_elses_write_is_a_conflict_and_is_read_again(cluster: FakeCluster) -> None:
    one, other = store(cluster), store(cluster)
    await one.store_queue(NS, waiting(2))
    await other.store_queue(NS, waiting(3))
    with pytest.raises(Conflict):
        await one.store_queue(NS, waiting(4))
    assert len(await one.queue(NS)) == 3 and cluster.find(CONFIGMAPS, NS, TICKET_QUEUE)
