"""Correlation against an API server in memory: the stored end, whatever dies, lags or is deleted in between."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from opsloop.api.meta import format_time
from opsloop.core.alerts.ledger import counts, merge
from opsloop.core.codec import decode_ledger, decode_queue, encode_entries, encode_ledger
from opsloop.core.correlation.experience import KEY, load
from opsloop.core.correlation.method import Method
from opsloop.core.facts import Experience, ReleaseView
from opsloop.core.reported import Alert, HouseWords, Ledger, Ticket
from opsloop.entry.settings import Settings
from opsloop.entry.wiring import Operator
from opsloop.errors import Conflict
from opsloop.names import INBOX, LAGS, TICKET_QUEUE, ledger_name
from opsloop.shell.ports import CONFIGMAPS, INCIDENTS, ObjectKey
from opsloop.shell.reconcile.reconciler import reconcile
from opsloop.shell.watch.mapping import requests_for_object
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster, FakeDeath
from opsloop.simulator.fakes.ports import FakePorts
from tests.builders.correlation import NOW, NS, alert, read_at, shop, ticket, view
from tests.fakes.runtime import CountingCluster
from tests.fakes.telemetry import FakeTelemetry

BURNING = shop("burning", "burning")
STORM = [alert("PodWrongAnswers", s, pod=f"{s}-{n}") for s in ("web", "answers") for n in range(20)]
STALE = alert("CatalogIndexStale", "catalog", severity="info")
COMPLAINT = ticket("Wrong answers since this morning", "Your help answers are wrong today.", id="HD-1")
WISH = ticket("Dark mode", "It would be lovely to have a dark mode.", id="HD-2")


class Process:
    """One process over the cluster; while it is `lagging` its watches bring nothing."""

    def __init__(self, cluster: FakeCluster, releases: Sequence[ReleaseView] = BURNING, lagging: bool = False) -> None:
        self.cluster, self.lagging = cluster, lagging
        self.runtime = Operator(FakePorts(cluster, FakeTelemetry(), cluster.clock).ports(), Settings()).runtime
        self.requested: list[ObjectKey] = []
        self.runtime.enqueue = self.requested.append
        self.show(releases)

    def show(self, releases: Sequence[ReleaseView]) -> None:
        """The Releases with these readings from now on."""
        for shown in releases:
            self.runtime.cache.put("Release", {"kind": "Release", **shown.release.dump()})
            self.runtime.readings.set(shown.release.key, shown.readings)

    async def look(self) -> timedelta | None:
        """One reconcile of the namespace."""
        if not self.lagging:
            for (plural, _, _), item in self.cluster._objects.items():
                if plural == "incidents":
                    self.runtime.cache.put("Incident", item)
        return await reconcile(self.runtime, ("Namespace", NS, NS))


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
    return {name: decode_ledger(item["binaryData"]) for name, item in found.items() if item}


def inbox_left(cluster: FakeCluster) -> int:
    return sum(INBOX in item["metadata"].get("labels", {}) for item in cluster._objects.values())


def queue(cluster: FakeCluster) -> list[str]:
    item = cluster.find(CONFIGMAPS, NS, TICKET_QUEUE)
    return [q.ticket.id for q in decode_queue(item["binaryData"])] if item else []


async def test_a_storm_becomes_two_incidents_with_exact_ledgers(cluster: FakeCluster) -> None:
    fill(cluster, [*STORM, STALE], [COMPLAINT, WISH])
    process = Process(cluster)
    assert await process.look() is None
    assert {name: counts(found).count for name, found in stored(cluster).items()} == {"answers-1": 40, "catalog-1": 1}
    assert [t["id"] for t in stored(cluster)["answers-1"].tickets] == ["HD-1"] and queue(cluster) == ["HD-2"]
    assert inbox_left(cluster) == 0
    assert {("Incident", NS, "answers-1"), ("Incident", NS, "catalog-1")} == set(process.requested)


async def test_routes_and_names_of_the_house_hold(cluster: FakeCluster) -> None:
    fill(cluster, STORM, [ticket("The oracle desk is broken since this morning", id="HD-9"), WISH])
    process = Process(cluster)
    process.runtime.house = HouseWords({"feature_request": "ideas"}, {"answers": ("oracle desk",)})
    await process.look()
    (linked,) = stored(cluster)["answers-1"].tickets
    assert linked["id"] == "HD-9" and any("“oracle desk” means answers" in e["value"] for e in linked["evidence"])
    held = cluster.find(CONFIGMAPS, NS, TICKET_QUEUE)
    assert held and [q.triage.route for q in decode_queue(held["binaryData"])] == ["ideas"]


async def test_words_of_grouping_that_the_house_adds_hold(cluster: FakeCluster) -> None:
    fill(cluster, [alert("LicenceUsage", "catalog", severity="critical")])
    process = Process(cluster, shop())
    process.runtime.method = replace(Method(), words={**Method().words, "hygiene": ("licence*",)})
    await process.look()
    (opened,) = (item for (plural, _, _), item in cluster._objects.items() if plural == "incidents")
    assert opened["spec"]["signal"]["kind"] == "housekeeping", "of itself it would be an alert of the catalog"


async def test_a_ledger_is_owned_by_its_incident(cluster: FakeCluster) -> None:
    fill(cluster, [STALE])
    await Process(cluster).look()
    owner, held = cluster.find(INCIDENTS, NS, "catalog-1"), cluster.find(CONFIGMAPS, NS, "catalog-1-ledger")
    assert owner and held
    assert [o["uid"] for o in held["metadata"]["ownerReferences"]] == [owner["metadata"]["uid"]]


async def test_inbox_entries_are_deleted_after_everything_else_is_written(cluster: FakeCluster) -> None:
    fill(cluster, [STALE], [WISH])
    await Process(cluster).look()
    assert [(w.verb, w.name) for w in cluster.writes] == [
        ("create", "catalog-1"),
        ("create", "catalog-1-ledger"),
        ("create", TICKET_QUEUE),
        ("delete", "opsloop-inbox-one-0"),
    ]


async def test_alerts_that_are_filed_twice_count_once(cluster: FakeCluster) -> None:
    process = Process(cluster)
    for name in ("one", "two"):
        fill(cluster, STORM, [COMPLAINT, WISH], name)
        process.runtime.inbox.expect(NS)
        await process.look()
    assert counts(stored(cluster)["answers-1"]).count == 40
    assert len(cluster.written("replace")) == 0, "a ledger that has it all is not written"


async def test_a_held_alert_keeps_its_entry_until_it_is_filed(cluster: FakeCluster) -> None:
    fill(cluster, [alert("ServiceErrorRatioHigh", "web")], name="web")
    fill(cluster, [STALE], name="catalog")
    process = Process(cluster, shop())
    assert await process.look() == timedelta(seconds=10)
    assert inbox_left(cluster) == 1 and list(stored(cluster)) == ["catalog-1"]
    cluster.clock.advance(4)
    process.show(shop(answers="burning"))
    assert await process.look() is None
    assert inbox_left(cluster) == 0 and set(stored(cluster)) == {"catalog-1", "answers-1"}


async def test_a_burn_alone_needs_no_read_after_the_first_look() -> None:
    cluster = CountingCluster()
    process = Process(cluster, shop())
    await process.look()
    cluster.reads.clear()
    process.show(shop(answers="fired"))
    await process.look()
    assert cluster.reads == [] and [(w.verb, w.name) for w in cluster.writes] == [("create", "answers-1")]


async def test_at_rest_nothing_is_read() -> None:
    cluster = CountingCluster()
    process = Process(cluster, shop())
    for _ in range(5):
        await process.look()
    assert cluster.reads == ["list configmaps", f"get configmaps {TICKET_QUEUE}"]


async def test_a_cache_that_lags_never_makes_a_second_incident(cluster: FakeCluster) -> None:
    process = Process(cluster, shop(answers="fired"), lagging=True)
    await process.look()
    fill(cluster, STORM)
    process.runtime.inbox.expect(NS)
    await process.look()
    assert set(stored(cluster)) == {"answers-1"} and len(cluster.written("create", "incidents")) == 1


async def test_a_new_process_with_a_lagging_cache_gets_a_conflict_and_looks_again(cluster: FakeCluster) -> None:
    await Process(cluster, shop(answers="fired")).look()
    process = Process(cluster, shop(answers="fired"), lagging=True)
    with pytest.raises(Conflict):
        await process.look()
    process.lagging = False
    await process.look()
    assert len(cluster.written("create", "incidents")) == 1


async def test_a_ledger_written_by_another_is_a_conflict_and_then_merged(cluster: FakeCluster) -> None:
    process = Process(cluster)
    fill(cluster, STORM[:1])
    await process.look()
    held = cluster.find(CONFIGMAPS, NS, "answers-1-ledger")
    assert held
    cluster.seed(held | {"binaryData": encode_ledger(merge(Ledger(), STORM[:2]))})
    fill(cluster, STORM[2:3])
    process.runtime.inbox.expect(NS)
    with pytest.raises(Conflict):
        await process.look()
    await process.look()
    assert counts(stored(cluster)["answers-1"]).count == 3 and inbox_left(cluster) == 0


async def test_unreadable_config_maps_do_not_stop_the_intake(cluster: FakeCluster) -> None:
    for name, labels in (("opsloop-inbox-bad", {INBOX: "true"}), (TICKET_QUEUE, {})):
        meta = {"name": name, "namespace": NS, "labels": labels}
        cluster.seed({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "binaryData": {}})
    fill(cluster, [STALE], [WISH])
    await Process(cluster).look()
    assert list(stored(cluster)) == ["catalog-1"] and queue(cluster) == ["HD-2"]


async def test_a_ticket_in_the_queue_is_linked_when_its_incident_opens(cluster: FakeCluster) -> None:
    process = Process(cluster, shop())
    fill(cluster, [], [COMPLAINT, WISH])
    await process.look()
    assert queue(cluster) == ["HD-1", "HD-2"]
    cluster.clock.advance(30)
    process.show(read_at(cluster.clock.now(), shop(answers="fired")))
    await process.look()
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
            await Process(cluster).look()
        except FakeDeath:
            died = True
        cluster.revive()
        await Process(cluster, shop("unread", "unread", "unread")).look()  # restarted, without a reading yet
        cluster.clock.advance(3)
        await Process(cluster).look()
        return cluster, died

    untouched, _ = await live(1000)
    expected = stored(untouched)
    assert {name: counts(found).count for name, found in expected.items()} == {"answers-1": 40, "catalog-1": 1}
    died, n = True, 0
    while died:
        n += 1
        cluster, died = await live(n)
        assert (stored(cluster), queue(cluster), inbox_left(cluster)) == (expected, ["HD-2"], 0), f"died at write {n}"
    assert n > 6


async def test_a_held_alert_is_listed_again_without_a_new_commit(cluster: FakeCluster) -> None:
    process = Process(cluster, shop())
    fill(cluster, [alert("ServiceErrorRatioHigh", "web")])
    assert await process.look() == timedelta(seconds=10)
    cluster.clock.advance(10)
    assert await process.look() is None and inbox_left(cluster) == 0


async def test_an_incident_deleted_with_its_ledger_is_opened_anew(cluster: FakeCluster) -> None:
    process = Process(cluster)
    fill(cluster, STORM[:3])
    await process.look()
    cluster.remove(INCIDENTS, NS, "answers-1")
    cluster.remove(CONFIGMAPS, NS, "answers-1-ledger")
    process.runtime.cache.drop("Incident", NS, "answers-1")
    await reconcile(process.runtime, ("Incident", NS, "answers-1"))
    fill(cluster, STORM[:2], name="two")
    process.runtime.inbox.expect(NS)
    await process.look()
    assert counts(stored(cluster)["answers-1"]).count == 2


async def test_a_look_for_another_reason_leaves_the_inbox_for_when_it_is_due(cluster: FakeCluster) -> None:
    process = Process(cluster)
    fill(cluster, STORM)
    process.runtime.intake_due_in = lambda key: 0.4 if key == ("Namespace", NS, NS) else 0.0
    again = await reconcile(process.runtime, ("Namespace", NS, NS))
    assert again == timedelta(seconds=0.4) and stored(cluster) == {}
    process.runtime.intake_due_in = lambda _: 0.0
    await process.look()
    assert sum(counts(ledger).count for ledger in stored(cluster).values()) > 0


# moves between ledgers

LOOSE = (view("web", "no-slo"), view("search", "no-slo"), view("db", "no-slo"))
TIED = (view("web", "no-slo", ("db",)), view("search", "no-slo", ("db",)), view("db", "no-slo"))
FAILING = [alert("Errors", "web", pod=f"web-{n}", seen=-20) for n in range(3)]
FAILING += [alert("Errors", "search", pod=f"search-{n}", start=-900, seen=-20) for n in range(3)]
CULPRIT = alert("Errors", "db", start=-450, seen=-20)


async def two_incidents() -> FakeCluster:
    """web-1 and search-1, opened before anybody said that both depend on db; now db fails too."""
    cluster = FakeCluster(clock=FakeClock(NOW))
    cluster.clock.advance(20)
    fill(cluster, FAILING)
    process = Process(cluster, LOOSE)
    await process.look()
    cluster.clock.advance(10)
    await process.look()
    assert {name: len(found.alerts) for name, found in stored(cluster).items()} == {"web-1": 3, "search-1": 3}
    fill(cluster, [CULPRIT], name="two")
    return cluster


def whereabouts(cluster: FakeCluster) -> dict[str, set[str]]:
    """Fingerprint → Incidents in whose ledger it is."""
    found: dict[str, set[str]] = {}
    for name, held in stored(cluster).items():
        for item in held.alerts:
            found.setdefault(item.fingerprint, set()).add(name)
    return found


async def test_alerts_move_to_the_incident_that_explains_them_and_the_emptied_one_is_merged(
    cluster: FakeCluster,
) -> None:
    cluster = await two_incidents()
    process = Process(cluster, TIED)
    await process.look()
    after = stored(cluster)
    (kept,) = (name for name, held in after.items() if held.alerts)
    (left,) = after.keys() - {kept}
    assert len(after[kept].alerts) == 7 and len(after[left].gone) == 3 and not after[left].alerts
    await process.look()
    for name in (left, kept):
        await reconcile(process.runtime, ("Incident", NS, name))
    told = {name: cluster.find(INCIDENTS, NS, name)["status"] for name in (left, kept)}  # type: ignore[index]
    assert (told[left]["mergedInto"], told[left]["phase"]) == (kept, "Resolved")
    assert told[kept]["alerts"]["count"] == 7 and told[left]["alerts"].get("count", 0) == 0
    entries = {
        name: [e["message"] for e in status["timeline"] if e["type"] == "Moved"] for name, status in told.items()
    }
    assert entries[left][0].startswith(f"3 alerts moved to {kept}: db explains that")
    assert entries[kept][0].startswith(f"3 alerts moved here from {left}: db explains that")


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
async def test_dying_at_any_write_of_a_move_loses_no_alert_and_ends_in_the_same_ledgers(after: bool) -> None:
    async def live(deaths: int) -> tuple[FakeCluster, bool]:
        cluster = await two_incidents()
        cluster.die_at(deaths, after)
        died = False
        try:
            await Process(cluster, TIED).look()
        except FakeDeath:
            died = True
        cluster.revive()
        places = whereabouts(cluster)
        assert {a.fingerprint for a in FAILING} <= places.keys(), "nothing is lost in between"
        assert CULPRIT.fingerprint in places or inbox_left(cluster)
        await Process(cluster, TIED).look()
        assert all(len(names) == 1 for names in whereabouts(cluster).values()), "nothing is counted twice"
        return cluster, died

    untouched, _ = await live(1000)
    died, n = True, 0
    while died:
        n += 1
        cluster, died = await live(n)
        found, expected = stored(cluster), stored(untouched)
        assert {k: (v.alerts, v.gone) for k, v in found.items()} == {k: (v.alerts, v.gone) for k, v in expected.items()}
        assert inbox_left(cluster) == 0, f"died at write {n}"
    assert n > 3


async def test_what_an_incident_taught_is_stored_once_and_known_after_a_restart(cluster: FakeCluster) -> None:
    fill(cluster, [alert(rule, "answers") for rule in ("RequestErrors", "RequestLatency", "ProbeFailed")])
    process = Process(cluster, shop())
    await process.look()
    cluster.clock.advance(11)
    await process.look()
    [name] = [n for (plural, _, n) in cluster._objects if plural == "incidents"]
    item = cluster.find(INCIDENTS, NS, name)
    assert item is not None
    item["status"] = {"phase": "Resolved", "resolvedAt": format_time(cluster.clock.now()), "alerts": {"count": 3}}
    cluster.seed(item)
    for _ in range(2):
        await process.look()
    written = cluster.find(CONFIGMAPS, NS, LAGS)
    assert written is not None and set(load(written["data"]).past) == {"RequestErrors", "RequestLatency", "ProbeFailed"}
    assert await Process(cluster, shop()).runtime.experience.of(NS) == load(written["data"])
    assert "Namespace" in {kind for kind, _, _ in requests_for_object("Incident", item, process.runtime.cache)}


async def test_lags_that_somebody_edited_are_learnt_anew_and_a_rival_write_is_a_conflict(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.seed({"kind": "ConfigMap", "metadata": {"name": LAGS, "namespace": NS}, "data": {KEY: "{"}})
    store = Process(cluster).runtime.experience
    assert await store.of(NS) == Experience() and "corrupt" in caplog.text
    await store.store(NS, Experience({"A": (1.0,)}))
    other = Process(cluster).runtime.experience
    await other.store(NS, Experience({"B": (1.0,)}))
    with pytest.raises(Conflict):
        await store.store(NS, Experience({"C": (1.0,)}))
    assert set((await store.of(NS)).past) == {"B"}
