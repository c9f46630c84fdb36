"""The correlator against an API server in memory: what ends up stored, whatever dies, lags or is deleted in between."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from opsloop.api.incident import Incident
from opsloop.core.alerts import ledger as ledgers
from opsloop.core.alerts.ledger import counts, merge
from opsloop.core.codec import encode_entries
from opsloop.core.facts import Alert, Ledger, ReleaseView, Ticket
from opsloop.core.tickets.queue import decode_queue
from opsloop.errors import Conflict, Unavailable
from opsloop.names import INBOX, ledger_name
from opsloop.shell.intake.correlator import Correlator, Key
from opsloop.shell.intake.inbox import Inbox
from opsloop.shell.intake.ledger_store import QUEUE
from opsloop.shell.ports import CONFIGMAPS, INCIDENTS
from tests.builders.correlation import NOW, NS, alert, shop, ticket
from tests.fakes.clock import FakeClock
from tests.fakes.cluster import FakeCluster, FakeDeath

BURNING = shop("burning", "burning")
STORM = [alert("PodWrongAnswers", s, pod=f"{s}-{n}") for s in ("web", "answers") for n in range(20)]
STALE = alert("CatalogIndexStale", "catalog", severity="info")
COMPLAINT = ticket("Wrong answers since this morning", "Your help answers are wrong today.", id="HD-1")
WISH = ticket("Dark mode", "It would be lovely to have a dark mode.", id="HD-2")


class Shop:
    """A World whose cache lags behind the cluster when told to."""

    def __init__(self, cluster: FakeCluster, releases: Sequence[ReleaseView] = BURNING) -> None:
        self.cluster, self.views, self.lagging = cluster, tuple(releases), False
        self.woken: list[Key] = []
        self.reads: list[str] = []
        self._seen: list[Incident] = []

    @property
    def reader(self) -> "Shop":
        return self

    @property
    def writer(self) -> FakeCluster:
        return self.cluster

    @property
    def clock(self) -> FakeClock:
        return self.cluster.clock

    async def get(self, resource, namespace, name):  # type: ignore[no-untyped-def]
        self.reads.append(f"get {name}")
        return await self.cluster.get(resource, namespace, name)

    async def list(self, resource, namespace, labels=None):  # type: ignore[no-untyped-def]
        self.reads.append(f"list {resource.plural}")
        return await self.cluster.list(resource, namespace, labels)

    def releases(self, namespace: str) -> Sequence[ReleaseView]:
        return self.views

    def incidents(self, namespace: str) -> Sequence[Incident]:
        if not self.lagging:
            items = [item for (plural, _, _), item in self.cluster._objects.items() if plural == "incidents"]
            self._seen = [Incident.model_validate(item) for item in items]
        return self._seen

    def owners(self, namespace: str) -> Mapping[str, str]:
        return {}

    def wake(self, key: Key) -> None:
        self.woken.append(key)


def fill(cluster: FakeCluster, alerts: Sequence[Alert] = (), tickets: Sequence[Ticket] = (), name: str = "one") -> None:
    for part, data in enumerate(encode_entries(alerts, tickets)):
        meta = {"name": f"opsloop-inbox-{name}-{part}", "namespace": NS, "labels": {INBOX: "true"}}
        cluster.seed({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "binaryData": data})


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(clock=FakeClock(NOW))


def stored(cluster: FakeCluster) -> dict[str, Ledger]:
    """Incident → its ledger, as the API server holds it."""
    names = [name for (plural, _, name) in cluster._objects if plural == "incidents"]
    found = {name: cluster.find(CONFIGMAPS, NS, ledger_name(name)) for name in names}
    return {name: ledgers.decode(item["binaryData"]) for name, item in found.items() if item}


def inbox_left(cluster: FakeCluster) -> int:
    return sum(INBOX in item["metadata"].get("labels", {}) for item in cluster._objects.values())


def queue(cluster: FakeCluster) -> list[str]:
    item = cluster.find(CONFIGMAPS, NS, QUEUE)
    return [q.ticket.id for q in decode_queue(item["binaryData"])] if item else []


async def test_a_storm_becomes_two_incidents_with_exact_ledgers_and_an_empty_inbox(cluster: FakeCluster) -> None:
    fill(cluster, [*STORM, STALE], [COMPLAINT, WISH])
    world = Shop(cluster)
    assert await Correlator(world).reconcile_namespace(NS) is None
    assert {name: counts(found).count for name, found in stored(cluster).items()} == {"answers-1": 40, "catalog-1": 1}
    assert [t["id"] for t in stored(cluster)["answers-1"].tickets] == ["HD-1"] and queue(cluster) == ["HD-2"]
    assert inbox_left(cluster) == 0
    assert {("Incident", NS, "answers-1"), ("Incident", NS, "catalog-1")} == set(world.woken)


async def test_a_ledger_is_owned_by_its_incident(cluster: FakeCluster) -> None:
    fill(cluster, [STALE])
    await Correlator(Shop(cluster)).reconcile_namespace(NS)
    owner, held = cluster.find(INCIDENTS, NS, "catalog-1"), cluster.find(CONFIGMAPS, NS, "catalog-1-ledger")
    assert owner and held
    assert [o["uid"] for o in held["metadata"]["ownerReferences"]] == [owner["metadata"]["uid"]]


async def test_inbox_entries_are_deleted_only_after_all_else_is_written(cluster: FakeCluster) -> None:
    fill(cluster, [STALE], [WISH])
    await Correlator(Shop(cluster)).reconcile_namespace(NS)
    assert [(w.verb, w.name) for w in cluster.writes] == [
        ("create", "catalog-1"),
        ("create", "catalog-1-ledger"),
        ("create", QUEUE),
        ("delete", "opsloop-inbox-one-0"),
    ]


async def test_what_is_filed_twice_is_counted_once(cluster: FakeCluster) -> None:
    correlator = Correlator(Shop(cluster))
    for name in ("one", "two"):
        fill(cluster, STORM, [COMPLAINT, WISH], name)
        correlator.hint(NS)
        await correlator.reconcile_namespace(NS)
    assert counts(stored(cluster)["answers-1"]).count == 40
    assert len(cluster.written("replace")) == 0, "and nothing is written for what is there already"


async def test_a_held_alert_keeps_its_entry_until_it_is_filed(cluster: FakeCluster) -> None:
    fill(cluster, [alert("ServiceErrorRatioHigh", "web")], name="web")
    fill(cluster, [STALE], name="catalog")
    world = Shop(cluster, shop())
    correlator = Correlator(world)
    assert await correlator.reconcile_namespace(NS) == timedelta(seconds=10)
    assert inbox_left(cluster) == 1 and list(stored(cluster)) == ["catalog-1"]
    cluster.clock.advance(4)
    world.views = shop(answers="burning")
    assert await correlator.reconcile_namespace(NS) is None
    assert inbox_left(cluster) == 0 and set(stored(cluster)) == {"catalog-1", "answers-1"}


async def test_a_burn_alone_needs_no_read_after_the_first_look(cluster: FakeCluster) -> None:
    world = Shop(cluster, shop())
    correlator = Correlator(world)
    await correlator.reconcile_namespace(NS)
    world.reads.clear()
    world.views = shop(answers="fired")
    await correlator.reconcile_namespace(NS)
    assert world.reads == [] and [(w.verb, w.name) for w in cluster.writes] == [("create", "answers-1")]


async def test_at_rest_nothing_is_asked(cluster: FakeCluster) -> None:
    world = Shop(cluster, shop())
    correlator = Correlator(world)
    for _ in range(5):
        await correlator.reconcile_namespace(NS)
    assert world.reads == ["list configmaps", f"get {QUEUE}"]


async def test_what_a_dead_process_had_stored_is_found_at_the_resync(cluster: FakeCluster) -> None:
    correlator = Correlator(Shop(cluster, shop()))
    await correlator.reconcile_namespace(NS)
    fill(cluster, [STALE])  # nobody hinted
    assert await correlator.leftovers() == {NS} == await correlator.leftovers([NS, "other"])
    await correlator.reconcile_namespace(NS)
    assert list(stored(cluster)) == ["catalog-1"] and await correlator.leftovers() == set()


async def test_a_cache_that_lags_never_makes_a_second_incident(cluster: FakeCluster) -> None:
    world = Shop(cluster, shop(answers="fired"))
    world.lagging = True
    correlator = Correlator(world)
    await correlator.reconcile_namespace(NS)
    fill(cluster, STORM)
    correlator.hint(NS)
    await correlator.reconcile_namespace(NS)
    assert set(stored(cluster)) == {"answers-1"} and len(cluster.written("create", "incidents")) == 1


async def test_a_new_process_with_a_lagging_cache_gets_a_conflict_and_looks_again(cluster: FakeCluster) -> None:
    await Correlator(Shop(cluster, shop(answers="fired"))).reconcile_namespace(NS)
    world = Shop(cluster, shop(answers="fired"))
    world.lagging = True
    second = Correlator(world)
    with pytest.raises(Conflict):
        await second.reconcile_namespace(NS)
    world.lagging = False
    await second.reconcile_namespace(NS)
    assert len(cluster.written("create", "incidents")) == 1


async def test_a_ledger_written_by_another_is_a_conflict_and_then_merged(cluster: FakeCluster) -> None:
    world = Shop(cluster)
    correlator = Correlator(world)
    fill(cluster, STORM[:1])
    await correlator.reconcile_namespace(NS)
    held = cluster.find(CONFIGMAPS, NS, "answers-1-ledger")
    assert held
    cluster.seed(held | {"binaryData": ledgers.encode(merge(Ledger(), STORM[:2]))})
    fill(cluster, STORM[2:3])
    correlator.hint(NS)
    with pytest.raises(Conflict):
        await correlator.reconcile_namespace(NS)
    await correlator.reconcile_namespace(NS)
    assert counts(stored(cluster)["answers-1"]).count == 3 and inbox_left(cluster) == 0


async def test_unreadable_config_maps_do_not_stop_the_intake(cluster: FakeCluster) -> None:
    for name, labels in (("opsloop-inbox-bad", {INBOX: "true"}), (QUEUE, {})):
        meta = {"name": name, "namespace": NS, "labels": labels}
        cluster.seed({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "binaryData": {}})
    fill(cluster, [STALE], [WISH])
    await Correlator(Shop(cluster)).reconcile_namespace(NS)
    assert list(stored(cluster)) == ["catalog-1"] and queue(cluster) == ["HD-2"]


async def test_a_ticket_in_the_queue_is_linked_when_its_incident_opens(cluster: FakeCluster) -> None:
    world = Shop(cluster, shop())
    correlator = Correlator(world)
    fill(cluster, [], [COMPLAINT, WISH])
    await correlator.reconcile_namespace(NS)
    assert queue(cluster) == ["HD-1", "HD-2"]
    world.views = shop(answers="fired")
    cluster.clock.advance(30)
    await correlator.reconcile_namespace(NS)
    assert [t["id"] for t in stored(cluster)["answers-1"].tickets] == ["HD-1"] and queue(cluster) == ["HD-2"]


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
async def test_dying_at_any_write_ends_in_the_same_ledgers_and_counts(after: bool) -> None:
    async def live(deaths: int) -> tuple[FakeCluster, bool]:
        cluster = FakeCluster(clock=FakeClock(NOW))
        fill(cluster, STORM[:25], [COMPLAINT], "a")
        fill(cluster, [*STORM[15:], STALE, STORM[0]], [WISH, COMPLAINT], "b")
        cluster.die_at(deaths, after)
        died = False
        try:
            await Correlator(Shop(cluster)).reconcile_namespace(NS)
        except FakeDeath:
            died = True
        cluster.revive()
        restarted = Correlator(Shop(cluster, shop("unread", "unread", "unread")))  # no reading yet
        await restarted.reconcile_namespace(NS)
        cluster.clock.advance(3)
        again = Shop(cluster)
        await Correlator(again).reconcile_namespace(NS)
        return cluster, died

    untouched, _ = await live(1000)
    wanted = stored(untouched)
    assert {name: counts(found).count for name, found in wanted.items()} == {"answers-1": 40, "catalog-1": 1}
    died, n = True, 0
    while died:
        n += 1
        cluster, died = await live(n)
        assert (stored(cluster), queue(cluster), inbox_left(cluster)) == (wanted, ["HD-2"], 0), f"died at write {n}"
    assert n > 6


# the inbox


async def test_what_comes_within_the_window_is_one_config_map(cluster: FakeCluster) -> None:
    import asyncio

    hints: list[str] = []
    inbox = Inbox(cluster, hints.append, window=0.0)
    await asyncio.gather(inbox.put_alerts(NS, STORM), inbox.put_ticket(NS, WISH), inbox.put_alerts(NS, [STALE]))
    assert len(cluster.writes) == 1 and hints == [NS]
    await Correlator(Shop(cluster)).reconcile_namespace(NS)
    assert sum(counts(found).count for found in stored(cluster).values()) == 41


async def test_nobody_is_told_it_is_stored_when_the_write_failed(cluster: FakeCluster) -> None:
    import asyncio

    hints: list[str] = []
    inbox = Inbox(cluster, hints.append, window=0.0)
    cluster.fail_next = [Unavailable("apiserver is away", after=7)]
    results = await asyncio.gather(inbox.put_alerts(NS, STORM), inbox.put_ticket(NS, WISH), return_exceptions=True)
    assert [type(r) for r in results] == [Unavailable, Unavailable] and hints == []
    assert isinstance(results[0], Unavailable) and results[0].after == 7
    await inbox.put_alerts(NS, STORM)
    assert inbox_left(cluster) == 1, "the next one is stored"


async def test_overload_is_refused_at_once_and_passes(cluster: FakeCluster) -> None:
    import asyncio

    inbox = Inbox(cluster, lambda _: None, window=0.0, max_pending=40)
    first = asyncio.create_task(inbox.put_alerts(NS, STORM))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="wait to be stored"):
        await inbox.put_ticket(NS, WISH)
    await first
    await inbox.put_ticket(NS, WISH)


async def test_a_caller_that_hangs_up_takes_nobody_with_it(cluster: FakeCluster) -> None:
    import asyncio

    inbox = Inbox(cluster, lambda _: None, window=0.0)
    gone, stays = (asyncio.create_task(inbox.put_ticket(NS, t)) for t in (WISH, COMPLAINT))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert inbox_left(cluster) == 1
    await inbox.close()


async def test_an_empty_body_stores_nothing(cluster: FakeCluster) -> None:
    await Inbox(cluster, lambda _: None).put_alerts(NS, [])
    assert cluster.writes == []
