"""A storm that fills pages, against an API server in memory: nothing is lost or counted twice, whatever dies in between."""

import contextlib
import itertools
from collections.abc import Iterable

import pytest

from opsloop.core.alerts import pages
from opsloop.core.alerts.ledger import counts
from opsloop.core.reported import Alert
from opsloop.names import LEDGER, LEDGER_PAGE, ledger_name, page_name
from opsloop.shell.evidence.intake import filings
from opsloop.shell.intake.ledger_store import LedgerStore
from opsloop.shell.ports import CONFIGMAPS
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster, FakeDeath
from tests.builders.correlation import NOW, NS, alert, shop
from tests.shell.intake.test_correlation import Process, fill, inbox_left

STORM = [alert("IndexStale", "catalog", severity="info", pod=f"catalog-{n}") for n in range(30)]
NUMBERS = itertools.count()
OTHER = alert("IndexStale", "answers", severity="info")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "WHOLE", 10)
    monkeypatch.setattr(pages, "PAGE", 8)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(clock=FakeClock(NOW))


async def held(cluster: FakeCluster) -> dict[str, tuple[int, int]]:
    """Incident → (distinct alerts, firing) as a process that knows nothing reads them."""
    store = LedgerStore(cluster, cluster)
    names = [name for (plural, _, name) in cluster._objects if plural == "incidents"]
    found = {name: counts(await store.ledger(NS, name)) for name in names}
    return {name: (told.count, told.firing) for name, told in found.items()}


async def look(cluster: FakeCluster, alerts: Iterable[Alert], process: Process | None = None) -> Process:
    fill(cluster, list(alerts), name=f"n{next(NUMBERS)}")
    process = process or Process(cluster, shop())
    process.runtime.inbox.expect(NS)
    await process.look()
    return process


async def test_a_storm_fills_pages_of_which_each_filing_writes_only_the_last(cluster: FakeCluster) -> None:
    process = await look(cluster, STORM[:12])
    cluster.writes.clear()
    await look(cluster, [*STORM[12:16], OTHER], process)
    written = {w.name for w in cluster.written(plural="configmaps") if w.verb != "delete"}
    assert written == {page_name("catalog-1", 1), ledger_name("answers-1")}
    await look(cluster, STORM, process)
    assert await held(cluster) == {"catalog-1": (30, 30), "answers-1": (1, 1)} and inbox_left(cluster) == 0
    told = await filings(cluster, NS)
    assert counts(told.ledgers["catalog-1"]).count == 30
    labels = [
        set(o["metadata"]["labels"]) & {LEDGER, LEDGER_PAGE} for o in cluster._objects.values() if "binaryData" in o
    ]
    assert labels.count({LEDGER_PAGE}) == 3 and labels.count({LEDGER}) == 2


async def test_what_is_repeated_is_no_write_and_what_ends_or_fires_again_stays_in_its_incident(
    cluster: FakeCluster,
) -> None:
    process = await look(cluster, STORM)
    cluster.writes.clear()
    await look(cluster, STORM, process)
    assert [w.verb for w in cluster.writes] == ["delete"]
    ends = [alert("IndexStale", "catalog", "resolved", severity="info", pod=f"catalog-{n}", seen=60) for n in range(20)]
    await look(cluster, ends, process)
    assert await held(cluster) == {"catalog-1": (30, 10)}
    again = [
        alert("IndexStale", "catalog", severity="info", pod=f"catalog-{n}", start=90, seen=91) for n in range(15, 20)
    ]
    cluster.clock.advance(100)
    await look(cluster, again, process)
    assert await held(cluster) == {"catalog-1": (30, 15)}


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
@pytest.mark.parametrize("write", range(1, 9))
async def test_dying_at_any_write_of_a_storm_ends_in_the_same_counts(
    cluster: FakeCluster, write: int, after: bool
) -> None:
    process = await look(cluster, STORM[:5])
    cluster.die_at(write, after)
    with contextlib.suppress(FakeDeath):
        await look(cluster, [*STORM[3:], OTHER], process)
    cluster.revive()
    await look(cluster, STORM[:1])
    assert await held(cluster) == {"catalog-1": (30, 30), "answers-1": (1, 1)} and inbox_left(cluster) == 0


async def test_a_page_that_somebody_deletes_or_spoils_stops_nothing(cluster: FakeCluster) -> None:
    await look(cluster, STORM)
    cluster.remove(CONFIGMAPS, NS, page_name("catalog-1", 1))
    cluster.seed(
        {"kind": "ConfigMap", "metadata": {"name": page_name("catalog-1", 2), "namespace": NS}, "binaryData": {}}
    )
    await look(cluster, STORM)
    assert await held(cluster) == {"catalog-1": (30, 30)}


async def test_a_ledger_that_is_corrupt_finds_its_pages(cluster: FakeCluster) -> None:
    await look(cluster, STORM)
    cluster.seed(
        {"kind": "ConfigMap", "metadata": {"name": ledger_name("catalog-1"), "namespace": NS}, "binaryData": {}}
    )
    await look(cluster, STORM)
    assert await held(cluster) == {"catalog-1": (30, 30)} and inbox_left(cluster) == 0
