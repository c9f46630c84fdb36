"""Corrections of tickets by people, against an API server in memory: the stored end, whatever dies in between."""

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.core.alerts import corrections
from opsloop.core.alerts.ledger import tickets_of
from opsloop.core.codec import decode_entry, decode_ledger, decode_queue, encode_entries, encode_ledger
from opsloop.core.reported import Answer, Asked, Correction, QueuedTicket
from opsloop.core.tickets import taught
from opsloop.core.tickets.correcting import CORRECTED, REFUSED
from opsloop.names import CORRECTIONS, INBOX, TICKET_QUEUE
from opsloop.shell.ports import CONFIGMAPS
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster, FakeDeath
from tests.builders.correlation import NOW, NS, read_at, shop
from tests.shell.intake.test_correlation import COMPLAINT, STALE, STORM, WISH, Process, fill, inbox_left, stored

NUMBER = itertools.count()


def ask(cluster: FakeCluster, by: str = "alice", name: str = "", **data: str) -> str:
    """A ConfigMap as `opsloop tickets` and kubectl write it; its uid."""
    name = name or f"opsloop-inbox-asked-{next(NUMBER)}"
    meta = {"name": name, "namespace": NS, "labels": {INBOX: "true"}}
    cluster.seed({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"by": by, **data}})
    return name


async def look(process: Process) -> None:
    process.runtime.inbox.expect(NS)
    await process.look()


def linked(cluster: FakeCluster) -> dict[str, list[str]]:
    return {name: [t.id for t in tickets_of(found)] for name, found in stored(cluster).items()}


def queued(cluster: FakeCluster) -> dict[str, QueuedTicket]:
    held = cluster.find(CONFIGMAPS, NS, TICKET_QUEUE)
    return {q.ticket.id: q for q in decode_queue(held["binaryData"])} if held else {}


def answers(cluster: FakeCluster) -> list[Answer]:
    held = cluster.find(CONFIGMAPS, NS, CORRECTIONS)
    return list(taught.load(held["data"]).answers) if held else []


@pytest.fixture
async def cluster() -> FakeCluster:
    """Two Incidents, answers-1 with ticket HD-1 and catalog-1, and HD-2 in the queue."""
    cluster = FakeCluster(clock=FakeClock(NOW))
    fill(cluster, [*STORM, STALE], [COMPLAINT, WISH])
    await Process(cluster).look()
    assert linked(cluster) == {"answers-1": ["HD-1"], "catalog-1": []} and list(queued(cluster)) == ["HD-2"]
    return cluster


async def test_a_ticket_that_a_person_takes_out_is_in_the_queue_whole_and_not_linked_again(
    cluster: FakeCluster,
) -> None:
    process = Process(cluster)
    ask(cluster, ticket="HD-1", unlink="true")
    for _ in range(3):  # the machine would link it at each look
        await look(process)
    assert linked(cluster)["answers-1"] == [] and queued(cluster)["HD-1"].ticket == COMPLAINT
    restarted = Process(cluster)
    fill(cluster, [], [COMPLAINT], "again")  # sent again by its desk
    await look(restarted)
    assert linked(cluster)["answers-1"] == [] and inbox_left(cluster) == 0
    assert [a.text for a in answers(cluster)] == ["ticket HD-1 taken out of answers-1, now in the queue, by alice"]


async def test_a_ticket_goes_from_one_incident_to_another_and_back(cluster: FakeCluster) -> None:
    process = Process(cluster)
    for incident, holds in (
        ("catalog-1", {"answers-1": [], "catalog-1": ["HD-1"]}),
        ("answers-1", {"answers-1": ["HD-1"], "catalog-1": []}),
    ):
        ask(cluster, ticket="HD-1", link=incident)
        await look(process)
        assert linked(cluster) == holds
    assert inbox_left(cluster) == 0 and list(queued(cluster)) == ["HD-2"]


async def test_what_people_chose_wins_over_what_is_judged_when_a_ticket_is_linked_later() -> None:
    cluster = FakeCluster(clock=FakeClock(NOW))
    fill(cluster, [], [COMPLAINT])
    process = Process(cluster, shop())
    await process.look()
    ask(cluster, ticket="HD-1", route="billing", severity="sev3")
    ask(cluster, ticket="HD-1", category="performance")
    await look(process)
    cluster.clock.advance(30)
    process.show(read_at(cluster.clock.now(), shop(answers="fired")))
    await process.look()
    ask(cluster, ticket="HD-1", link="answers-1")
    await look(process)
    (found,) = tickets_of(stored(cluster)["answers-1"])
    assert (found.category, found.severity, found.route, found.corrected and found.corrected.fields) == (
        "performance",
        "sev3",
        "billing",
        ["category", "link", "route", "severity"],
    )


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param({"ticket": "HD-7", "unlink": "true"}, "ticket: there is no ticket HD-7 in this namespace, linked or in the queue; there is HD-", id="an unknown ticket"),
        pytest.param({"ticket": "HD-1", "link": "answers-9"}, "link: there is no Incident answers-9 in this namespace; those that take tickets are answers-1, catalog-1", id="an Incident that is not there, or in another namespace"),
        pytest.param({"ticket": "HD-1", "link": "old-1"}, "link: old-1 is over; those that take", id="an Incident that is over"),
        pytest.param({"ticket": "HD-1", "link": "gone-1"}, "link: gone-1 was merged into answers-1; link to that one", id="an Incident that was merged"),
        pytest.param({"ticket": "HD-1", "route": "nobody"}, "route: there is no nobody; there are accounts, billing,", id="a route that there is not"),
        pytest.param({"ticket": "HD-1", "category": "money"}, "category: there is no money; there are account, billing,", id="a category that there is not"),
        pytest.param({"ticket": "HD-1", "severity": "high"}, 'severity: "high" is no severity; there are sev1, sev2,', id="a severity that there is not"),
        pytest.param({"ticket": "HD-1", "catgory": "bug"}, "catgory: there is no such field; did you mean category?", id="a misspelt field"),
        pytest.param({"ticket": "HD-1"}, "link, unlink, route, category, severity: none is there; say what to correct", id="nothing to correct"),
        pytest.param({"link": "answers-1"}, "ticket: missing; name the ticket by its id", id="no ticket"),
        pytest.param({"ticket": "HD-1", "link": "answers-1", "unlink": "true"}, "unlink: link names an Incident too;", id="linked and not linked"),
        pytest.param({"forget": "cart trolley"}, "forget: 'cart trolley' was not learnt; nothing is", id="what was not learnt"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_answered_by_its_field_and_what_is_right(
    cluster: FakeCluster, data: dict[str, str], says: str
) -> None:
    over = {"phase": "Resolved", "resolvedAt": (NOW - timedelta(hours=2)).isoformat()}
    for name, status in (("old-1", over), ("gone-1", {**over, "mergedInto": "answers-1"})):
        item = {"kind": "Incident", "metadata": {"name": name, "namespace": NS, "uid": name}}
        signal = {"kind": "alerts", "at": NOW.isoformat(), "severity": "sev3"}
        spec = {"service": "x", "title": "x", "signal": signal}
        cluster.seed(
            {"apiVersion": "opsloop.dev/v1alpha1", **item, "spec": spec, "status": {"severity": "sev3", **status}}
        )
    process = Process(cluster)
    before = (linked(cluster), queued(cluster))
    ask(cluster, **data)
    await look(process)
    (answer,) = answers(cluster)
    assert (answer.done, answer.text[: len(says)]) == (False, says)
    assert inbox_left(cluster) == 0 and (linked(cluster)["answers-1"], queued(cluster)) == (
        before[0]["answers-1"],
        before[1],
    )


async def test_an_answer_is_an_event_and_counted(cluster: FakeCluster) -> None:
    process = Process(cluster)
    ask(cluster, ticket="HD-2", route="billing")
    ask(cluster, ticket="HD-8", route="billing")
    await look(process)
    events, counts = process.runtime.events, process.runtime.instruments
    assert events.posted[-2:] == [(NS, CORRECTED), (NS, REFUSED)]  # type: ignore[attr-defined]
    assert counts.corrections == {"done": 1, "refused": 1}  # type: ignore[attr-defined]
    assert [a.text[:58] for a in answers(cluster)] == [
        "ticket HD-2 route product → billing, by alice",
        "ticket: there is no ticket HD-8 in this namespace, linked ",
    ]


async def test_a_ticket_whose_text_a_full_ledger_did_not_keep_goes_to_the_queue_with_its_subject(
    cluster: FakeCluster,
) -> None:
    held = cluster.find(CONFIGMAPS, NS, "answers-1-ledger")
    assert held
    cluster.seed(held | {"binaryData": encode_ledger(replace(decode_ledger(held["binaryData"]), originals=()))})
    ask(cluster, ticket="HD-1", unlink="true")
    await look(Process(cluster))
    assert (queued(cluster)["HD-1"].ticket.subject, queued(cluster)["HD-1"].ticket.body) == (COMPLAINT.subject, "")


ASKED = (
    {"ticket": "HD-1", "link": "catalog-1"},
    {"ticket": "HD-1", "route": "billing", "severity": "sev3"},
    {"ticket": "HD-2", "link": "answers-1"},
    {"ticket": "HD-2", "category": "outage"},
    {"ticket": "HD-1", "unlink": "true"},
)


@pytest.mark.parametrize("together", [True, False], ids=["asked at once", "one after the other"])
@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
async def test_dying_at_any_write_of_a_correction_ends_the_same(after: bool, together: bool) -> None:
    async def live(deaths: int) -> tuple[Any, bool]:
        cluster = FakeCluster(clock=FakeClock(NOW))
        fill(cluster, [*STORM, STALE], [COMPLAINT, WISH])
        process = Process(cluster)
        await process.look()
        died = False
        cluster.die_at(deaths, after)
        for n, data in enumerate(ASKED):
            cluster.clock.advance(1)
            ask(cluster, name=f"opsloop-inbox-c{n}", **data)
            if together and n < len(ASKED) - 1:
                continue
            try:
                await look(process)
            except FakeDeath:
                died = True
                cluster.revive()
                process = Process(cluster)
                await process.look()
        await Process(cluster).look()
        end = {name: (tickets_of(book), book.originals) for name, book in stored(cluster).items()}
        records = {
            name: [(r.ticket, r.turn, r.what, r.before, r.after) for r in book.corrections]
            for name, book in stored(cluster).items()
        }
        texts = [(a.done, a.text) for a in answers(cluster)]
        queue = {
            i: (q.ticket, q.triage, [(r.turn, r.what, r.after) for r in q.corrections])
            for i, q in queued(cluster).items()
        }
        return (end, records, queue, texts, inbox_left(cluster)), died

    expected, _ = await live(1000)
    end, _, queue, texts, left = expected
    assert {name: [t.id for t in found] for name, (found, _) in end.items()} == {"answers-1": ["HD-2"], "catalog-1": []}
    assert list(queue) == ["HD-1"] and left == 0 and [done for done, _ in texts] == [True] * 5, texts
    died, n = True, 0
    while died:
        n += 1
        got, died = await live(n)
        for part, wanted in zip(got, expected, strict=True):
            assert part == wanted, f"died at write {n}"
    assert n > 6


def test_a_correction_that_the_intake_stored_is_read_as_it_was() -> None:
    asked = Asked("id", NOW, "alice", "HD-1", link="cart-1", severity="sev2")
    (data,) = encode_entries([], [], [asked])
    assert decode_entry(data).asked == (asked,)


def test_records_merge_in_any_order_and_twice() -> None:
    some = [Correction("T", n % 3, w, "a", "b", "x", NOW, f"id{n}") for n, w in enumerate(("link", "unlink", "route"))]  # type: ignore[arg-type]
    for order in itertools.permutations(some):
        assert corrections.merged(order[:2], order[1:], order) == corrections.merged(some)
