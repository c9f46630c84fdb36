"""The switch as a process knows it: for all, for one namespace, and while it cannot be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, cast

import pytest

from opsloop.errors import Forbidden, Unavailable
from opsloop.shell.ports import STOPS, Object, Resource
from opsloop.shell.watch.stops import Stops
from opsloop.simulator.fakes.cluster import FakeCluster

OWN = "opsloop-system"


def seed(cluster: FakeCluster, namespace: str, reason: object = "alice") -> None:
    spec: Object = {"reason": reason} if reason is not None else {}
    cluster.seed({"kind": "Stop", "metadata": {"name": "now", "namespace": namespace}, "spec": spec})


def stops(cluster: FakeCluster, *namespaces: str, changed: Any = lambda: None) -> Stops:
    return Stops(cluster, cluster, OWN, namespaces, timedelta(seconds=5), changed)


@pytest.mark.parametrize("namespaces", [pytest.param((), id="all"), pytest.param(("shop", "billing"), id="two")])
@pytest.mark.parametrize(
    ("where", "stopped"),
    [
        pytest.param(OWN, ["shop", "billing"], id="one in opsloop's own namespace stops all"),
        pytest.param("shop", ["shop"], id="one in a namespace stops that one"),
        pytest.param("elsewhere", [], id="one in a namespace that nobody looks after stops none"),
    ],
)
async def test_whom_a_stop_stops(namespaces: tuple[str, ...], where: str, stopped: list[str]) -> None:
    cluster = FakeCluster()
    seed(cluster, where)
    seen = stops(cluster, *namespaces)
    await seen.refresh()
    assert [n for n in ("shop", "billing") if seen.of(n)] == stopped


async def test_a_stop_whose_reason_cannot_be_read_stops_all_the_same() -> None:
    cluster = FakeCluster()
    seed(cluster, "shop", None)
    seen = stops(cluster)
    await seen.refresh()
    found = seen.of("shop")
    assert found is not None and found.named_reason == "Stopped" and "cannot be read" in found.sentence


async def test_what_was_never_read_stops_and_says_why() -> None:
    cluster = FakeCluster()
    seen = stops(cluster)
    cluster.fail_next = [Forbidden("stops.opsloop.dev is forbidden")]
    await seen.refresh()
    found = seen.of("shop")
    assert found is not None and found.named_reason == "StopUnreadable" and "is forbidden" in found.sentence
    await seen.refresh()
    assert seen.of("shop") is None


@pytest.mark.parametrize("there", [pytest.param(True, id="a Stop"), pytest.param(False, id="none")])
async def test_while_it_cannot_be_read_what_was_read_last_holds(there: bool) -> None:
    cluster = FakeCluster()
    if there:
        seed(cluster, "shop")
    seen = stops(cluster)
    await seen.refresh()
    cluster.remove(STOPS, "shop", "now")
    if not there:
        seed(cluster, "shop")
    cluster.fail_next = [Unavailable("no answer")]
    assert await seen.stands("shop") is there
    assert await seen.stands("shop") is not there


async def test_one_namespace_that_cannot_be_read_stops_no_other() -> None:
    cluster = FakeCluster()
    seen = stops(cluster, "shop", "billing")
    cluster.fail_next = [Unavailable("no answer")]  # of the first: opsloop's own
    await seen.refresh()
    assert seen.of("shop") is not None and seen.of("billing") is not None, "its own is for all"
    seen = stops(cluster, OWN, "shop", "billing")
    await seen.refresh()
    assert seen.of("shop") is None


async def test_a_change_is_told_once() -> None:
    cluster, told = FakeCluster(), list[str]()
    seen = stops(cluster, changed=lambda: told.append("changed"))
    await seen.refresh()
    seed(cluster, "shop")
    for _ in range(2):
        await seen.refresh()
    cluster.remove(STOPS, "shop", "now")
    for _ in range(2):
        await seen.refresh()
    assert len(told) == 3, "the first read, the Stop, and its end"


@asynccontextmanager
async def running(seen: Stops) -> AsyncIterator[None]:
    """Reads once, as a new leader does, and follows."""
    await seen.refresh()
    task = asyncio.create_task(seen.run())
    await asyncio.sleep(1)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Counted(FakeCluster):
    """Counts the reads of the switch: each is one request."""

    lists = 0

    async def list(self, resource: Resource, namespace: str, labels: Any = None) -> list[Object]:
        self.lists += resource is STOPS
        return await super().list(resource, namespace, labels)


@pytest.mark.looptime
async def test_at_rest_it_is_read_once_a_minute_and_a_stop_is_known_at_once_and_gone_at_a_tick() -> None:
    cluster = Counted()
    seen = stops(cluster)
    async with running(seen):
        before = cluster.lists
        await asyncio.sleep(300)
        assert cluster.lists - before <= 5
        seed(cluster, "shop")
        await asyncio.sleep(0.1)
        assert seen.of("shop") is not None, "not a tick later"
        cluster.remove(STOPS, "shop", "now")
        await asyncio.sleep(6)
        assert seen.of("shop") is None, "while one stands, all are read at each tick"


@pytest.mark.looptime
@pytest.mark.parametrize("ends", [pytest.param(True, id="ends"), pytest.param(False, id="is refused")])
async def test_where_a_watch_does_not_stand_it_is_read_at_each_tick(
    ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster()

    async def watch(*_: object) -> AsyncIterator[list[Object]]:
        if not ends:
            raise Forbidden("stops.opsloop.dev is forbidden: cannot watch")
        yield []

    monkeypatch.setattr(cluster, "watch", watch)
    seen = stops(cluster)
    async with running(seen):
        seed(cluster, "shop")
        await asyncio.sleep(6)
        assert seen.of("shop") is not None


@pytest.mark.looptime
async def test_a_watch_that_hangs_delays_no_read_before_an_act(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()

    async def watch(*_: object) -> AsyncIterator[list[Object]]:
        yield []
        await asyncio.sleep(10**6)

    monkeypatch.setattr(cluster, "watch", watch)
    seen = stops(cluster)
    async with running(seen):
        seed(cluster, "shop")
        assert await seen.stands("shop"), "every act reads first"
        cluster.remove(STOPS, "shop", "now")
        await seen.refresh()
        seed(cluster, "shop")
        await asyncio.sleep(61)
        assert seen.of("shop") is not None, "and without an act it is known within a minute"


async def test_an_older_answer_does_not_replace_a_newer_one() -> None:
    answers: list[asyncio.Future[list[Object]]] = []

    class Reader:
        async def list(self, resource: Resource, namespace: str, labels: object = None) -> list[Object]:
            answers.append(asyncio.get_running_loop().create_future())
            return await answers[-1]

    stops = Stops(cast(Any, Reader()), cast(Any, None), "opsloop", (), timedelta(seconds=2), lambda: None)
    older = asyncio.create_task(stops.stands("shop"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    newer = asyncio.create_task(stops.refresh())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    answers[1].set_result([{"metadata": {"name": "now", "namespace": "opsloop"}, "spec": {"reason": "x"}}])
    await newer
    answers[0].set_result([])
    await older
    assert stops.of("shop") is not None
