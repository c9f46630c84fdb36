"""The inbox: 2xx only for stored alerts and tickets, and no LIST where nothing is expected."""

import asyncio
import base64
import gzip
import json
from datetime import timedelta

import pytest

from opsloop.core.codec import ENTRY, MAX_UNPACKED, decode_entry, dump_alert
from opsloop.errors import Unavailable
from opsloop.names import INBOX
from opsloop.shell.intake.inbox import FEW, MOST_ALERTS, MOST_ENTRIES, Inbox, InboxReader
from opsloop.shell.ports import CONFIGMAPS
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from tests.builders.correlation import NOW, NS, alert, ticket
from tests.fakes.runtime import CountingCluster

STORM = [alert("PodWrongAnswers", s, pod=f"{s}-{n}") for s in ("web", "answers") for n in range(20)]
STALE = alert("CatalogIndexStale", "catalog", severity="info")
COMPLAINT = ticket("Wrong answers since this morning", "Your help answers are wrong today.", id="HD-1")
WISH = ticket("Dark mode", "It would be lovely to have a dark mode.", id="HD-2")


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(clock=FakeClock(NOW))


def inbox_left(cluster: FakeCluster) -> int:
    return sum(INBOX in item["metadata"].get("labels", {}) for item in cluster._objects.values())


async def test_everything_within_the_window_is_one_config_map(cluster: FakeCluster) -> None:
    commits: list[tuple[str, int]] = []
    inbox = Inbox(cluster, lambda namespace, names: commits.append((namespace, len(names))), window=0.0)
    await asyncio.gather(inbox.put_alerts(NS, STORM), inbox.put_ticket(NS, WISH), inbox.put_alerts(NS, [STALE]))
    assert len(cluster.writes) == 1 and commits == [(NS, 1)]
    (entry,) = await InboxReader(cluster, cluster, cluster.clock).entries(NS)
    assert len(entry.alerts) == 41 and entry.tickets == (WISH,)


async def test_a_failed_write_is_unavailable_to_every_caller(cluster: FakeCluster) -> None:
    commits: list[tuple[str, int]] = []
    inbox = Inbox(cluster, lambda namespace, names: commits.append((namespace, len(names))), window=0.0)
    cluster.fail_next = [Unavailable("apiserver is away", after=7)]
    results = await asyncio.gather(inbox.put_alerts(NS, STORM), inbox.put_ticket(NS, WISH), return_exceptions=True)
    assert [type(r) for r in results] == [Unavailable, Unavailable] and commits == []
    assert isinstance(results[0], Unavailable) and results[0].after == 7
    await inbox.put_alerts(NS, STORM)
    assert inbox_left(cluster) == 1, "the next one is stored"


async def test_overload_is_refused_at_once_and_passes(cluster: FakeCluster) -> None:
    inbox = Inbox(cluster, lambda _, __: None, window=0.0, max_pending=40)
    first = asyncio.create_task(inbox.put_alerts(NS, STORM))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="wait to be stored"):
        await inbox.put_ticket(NS, WISH)
    await first
    await inbox.put_ticket(NS, WISH)


async def test_a_caller_that_hangs_up_does_not_cancel_the_others(cluster: FakeCluster) -> None:
    inbox = Inbox(cluster, lambda _, __: None, window=0.0)
    gone, stays = (asyncio.create_task(inbox.put_ticket(NS, t)) for t in (WISH, COMPLAINT))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert inbox_left(cluster) == 1
    await inbox.close()


async def test_an_empty_body_stores_nothing(cluster: FakeCluster) -> None:
    await Inbox(cluster, lambda _, __: None).put_alerts(NS, [])
    assert cluster.writes == []


def packed(content: bytes) -> dict[str, str]:
    return {ENTRY: base64.b64encode(gzip.compress(content, mtime=0)).decode()}


GOOD = dump_alert(STALE)


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        pytest.param("opsloop-inbox-x", {}, "not gzip of JSON", id="empty"),
        pytest.param("opsloop-inbox-x", {ENTRY: "x"}, "not gzip of JSON", id="no base64"),
        pytest.param("opsloop-inbox-x", {ENTRY: packed(b"{}")[ENTRY][:16]}, "not gzip", id="half of it"),
        pytest.param("opsloop-inbox-x", packed(b"[" * 100_000), "not gzip of JSON", id="deep"),
        pytest.param("opsloop-inbox-x", packed(b'{"alerts":[' + b"[" * 5000 + b"]" * 5000 + b"]}"), "not gzip of JSON", id="deep inside"),
        pytest.param("opsloop-inbox-x", packed(b" " * (MAX_UNPACKED + 1)), "more than", id="a bomb"),
        pytest.param("opsloop-inbox-x", packed(b'{"alerts":[' + b"{}," * 300_000 + b"{}]}"), "too many", id="a bomb of objects"),
        pytest.param("opsloop-inbox-x", packed(b'{"alerts":7}'), "not an inbox entry", id="a number as alerts"),
        pytest.param("opsloop-inbox-x", packed(json.dumps({"alerts": [GOOD | {"labels": [1]}]}).encode()), "not an inbox entry", id="labels as a list"),
        pytest.param("opsloop-inbox-x", packed(json.dumps({"alerts": [GOOD | {"labels": {"a": 1}}]}).encode()), "not an inbox entry", id="a label as a number"),
        pytest.param("opsloop-inbox-x", packed(json.dumps({"alerts": [GOOD | {"status": "x"}]}).encode()), "not an inbox entry", id="another status"),
        pytest.param("opsloop-inbox-x", packed(json.dumps({"alerts": [GOOD | {"start": "2026-01-05T08:59:00"}]}).encode()), "not an inbox entry", id="a time without a zone"),
        pytest.param("settings", packed(json.dumps({"alerts": [GOOD]}).encode()), "its name does not begin", id="another name"),
    ],
)  # fmt: skip
async def test_what_a_tenant_labels_as_an_inbox_is_set_aside_and_said(
    cluster: FakeCluster, name: str, data: dict[str, str], why: str
) -> None:
    told: list[tuple[str, str, int, str]] = []
    reader = InboxReader(cluster, cluster, cluster.clock, lambda *what: told.append(what))
    meta = {"name": name, "namespace": NS, "labels": {INBOX: "true"}}
    cluster.seed({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "binaryData": data})
    inbox = Inbox(cluster, lambda _namespace, _names: None, window=0.0)
    await inbox.put_alerts(NS, STORM)
    (entry,) = await reader.entries(NS)
    assert len(entry.alerts) == 40
    ((namespace, reason, count, text),) = told
    assert (namespace, reason, count) == (NS, "InboxEntrySetAside", 1) and name in text and why in text
    await reader.entries(NS)
    assert len(told) == 1 and not reader.expect(NS, name), "it is said once, and not read again"
    assert cluster.find(CONFIGMAPS, NS, name) is not None, "it is left where it is"


async def test_one_look_takes_a_part_and_the_next_one_the_next(cluster: FakeCluster) -> None:
    inbox = Inbox(cluster, lambda _namespace, _names: None, window=0.0)
    for n in range(MOST_ENTRIES + 6):
        await inbox.put_alerts(NS, [alert("A", f"s{n}")])
    reader = InboxReader(cluster, cluster, cluster.clock)
    first = await reader.entries(NS)
    assert len(first) == MOST_ENTRIES and reader.has_more(NS)
    second = await reader.entries(NS)
    assert {e.name for e in second[:6]}.isdisjoint({e.name for e in first}), (
        "what nobody files keeps nothing else waiting"
    )


async def test_a_small_body_is_read_before_a_storm_that_was_stored_earlier(cluster: FakeCluster) -> None:
    inbox = Inbox(cluster, lambda _namespace, _names: None, window=0.0)
    storm = [alert("A", f"s{n}") for n in range(2 * MOST_ALERTS)]
    await inbox.put_alerts(NS, storm)
    await inbox.put_alerts(NS, [alert("B", "web")])
    reader = InboxReader(cluster, cluster, cluster.clock)
    first = await reader.entries(NS)
    assert [a.labels["alertname"] for a in first[0].alerts] == ["B"] and reader.has_more(NS)
    assert MOST_ALERTS <= sum(len(entry.alerts) for entry in first) <= MOST_ALERTS + 1000, "a look takes a bounded part"
    for entry in first:
        reader.deleted(NS, entry.name)
    second = await reader.entries(NS)
    assert not reader.has_more(NS)
    assert {a.fingerprint for e in (*first, *second) for a in e.alerts} == {a.fingerprint for a in storm} | {
        "B-warning-web"
    }


async def test_a_big_body_is_stored_apart_from_the_small_ones_of_its_time(cluster: FakeCluster) -> None:
    inbox = Inbox(cluster, lambda _namespace, _names: None, window=0.0)
    few, many = STORM[:3], [alert("A", f"s{n}") for n in range(FEW + 1)]
    await asyncio.gather(inbox.put_alerts(NS, few), inbox.put_alerts(NS, many))
    sizes = {name: len(decode_entry(o["binaryData"]).alerts) for (_, _, name), o in cluster._objects.items()}
    assert sorted(sizes.values()) == [3, FEW + 1]


async def test_what_is_not_filed_yet_is_read_once(cluster: FakeCluster) -> None:
    counted = CountingCluster()
    inbox = Inbox(counted, lambda _namespace, _names: None, window=0.0)
    await inbox.put_alerts(NS, [alert("A", "web")])
    reader = InboxReader(counted, counted, counted.clock)
    first = await reader.entries(NS)
    reads = list(counted.reads)
    assert reads and await reader.entries(NS) == first and counted.reads == reads
    assert reader.deleted(NS, first[0].name) == timedelta(0)
    assert await reader.entries(NS) == () and reader.deleted(NS, first[0].name) is None


async def test_more_than_a_look_takes_is_not_kept_in_memory(cluster: FakeCluster) -> None:
    inbox = Inbox(cluster, lambda _namespace, _names: None, window=0.0)
    await inbox.put_alerts(NS, [alert("A", f"s{n}") for n in range(3 * MOST_ALERTS)])
    reader = InboxReader(cluster, cluster, cluster.clock)
    for _ in range(4):
        await reader.entries(NS)
    assert sum(len(entry.alerts) for entry in reader._of(NS).known.values()) <= MOST_ALERTS
