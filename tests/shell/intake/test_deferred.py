"""Ledgers that wait in a storm: what waits lies in the inbox, whatever dies, and is filed once when it is due."""

from datetime import timedelta

import pytest

from opsloop.core.alerts.ledger import counts
from opsloop.shell.reconcile.reconciler import reconcile
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster, FakeDeath
from tests.builders.correlation import NOW, NS, alert, view
from tests.shell.intake.test_correlation import Process, fill, inbox_left, stored

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

NAMES = tuple(f"svc-{n:02d}" for n in range(15))
# a quiet one calls them all: nobody waits for what others may say
SERVICES = (view("front", "no-slo", (*NAMES, "elsewhere")), *(view(name, "no-slo") for name in (*NAMES, "elsewhere")))


def storm(process: Process) -> None:
    """Each of fifteen services has twelve alerts filed, and as many again in one body, with one on another service."""
    fill(process.cluster, [alert("Errors", name, pod=f"{name}-{n}") for name in NAMES for n in range(12)], name="first")


def further(process: Process) -> None:
    more = [alert("Errors", name, pod=f"{name}-{n}") for name in NAMES for n in range(12, 24)]
    fill(process.cluster, [*more, alert("DiskFull", "elsewhere")], name="further")
    process.runtime.inbox.expect(NS)


async def look(process: Process) -> timedelta | None:
    """The namespace, and then each Incident, so that its status counts what was filed."""
    again = await process.look()
    for name in stored(process.cluster):
        await reconcile(process.runtime, ("Incident", NS, name))
    return again


async def live(deaths: int) -> tuple[FakeCluster, bool]:
    cluster, died = FakeCluster(clock=FakeClock(NOW)), False
    process = Process(cluster, SERVICES)
    try:
        storm(process)
        cluster.die_at(deaths)
        await look(process)
        further(process)
        for _ in range(10):
            cluster.clock.advance(1)
            await look(process)
    except FakeDeath:
        died = True
        cluster.revive()
    process = Process(cluster, SERVICES)
    if died and not any("further" in name for _, _, name in cluster._objects):
        further(process)
    for _ in range(10):
        cluster.clock.advance(1)
        await look(process)
    return cluster, died


async def test_what_waits_is_in_the_inbox_and_what_is_new_is_filed_at_once() -> None:
    process = Process(FakeCluster(clock=FakeClock(NOW)), SERVICES)
    storm(process)
    await look(process)
    assert inbox_left(process.cluster) == 0, "what opens an Incident waits for nothing"
    further(process)
    process.cluster.clock.advance(1)
    again = await look(process)
    held = {name: counts(ledger).count for name, ledger in stored(process.cluster).items()}
    assert {held[f"{name}-1"] for name in NAMES} == {12} and sum(held.values()) == 15 * 12 + 1
    assert inbox_left(process.cluster) == 1 and again is not None and again <= timedelta(seconds=1.5)
    for _ in range(8):
        process.cluster.clock.advance(1)
        await look(process)
    assert {counts(stored(process.cluster)[f"{name}-1"]).count for name in NAMES} == {24}
    assert inbox_left(process.cluster) == 0


@pytest.mark.simulation
async def test_dying_at_any_write_of_a_storm_ends_with_every_alert_filed_once() -> None:
    untouched, _ = await live(10_000)
    expected = {name: ledger.alerts for name, ledger in stored(untouched).items()}
    assert sum(map(len, expected.values())) == 15 * 24 + 1
    for number in range(1, 120, 7):
        cluster, _ = await live(number)
        assert {name: ledger.alerts for name, ledger in stored(cluster).items()} == expected, f"died at write {number}"
        assert inbox_left(cluster) == 0
