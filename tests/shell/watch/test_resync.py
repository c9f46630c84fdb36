import asyncio

import pytest

from opsloop.errors import Unavailable
from opsloop.shell.ports import DEPLOYMENTS, INCIDENTS, RELEASES, Object
from opsloop.shell.watch.cache import Cache
from opsloop.shell.watch.resync import PERIOD, SETTLE, Resync, resync
from opsloop.simulator.fakes.cluster import FakeCluster


def incident(name: str = "web-1", version: str = "1", uid: str = "u1", namespace: str = "shop") -> Object:
    signal = {"kind": "alerts", "at": "2026-01-05T09:00:00Z", "severity": "sev3"}
    meta = {"name": name, "namespace": namespace, "resourceVersion": version, "uid": uid}
    spec = {"service": "s", "title": "t", "signal": signal}
    return {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Incident", "metadata": meta, "spec": spec}


class Changes:
    """Lists (kind, name) of the reported objects."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, str]] = []

    def __call__(self, kind: str, obj: Object) -> None:
        self.reported.append((kind, obj["metadata"]["name"]))


async def test_a_resync_stores_prunes_and_reports_both() -> None:
    changes, cache, cluster = (
        Changes(),
        Cache(),
        FakeCluster(incident("here"), incident("elsewhere", namespace="other")),
    )
    cache.put("Incident", incident("ghost", uid="u2"))
    assert await resync(cluster, cache, changes) == 1
    assert [o["metadata"]["name"] for o in cache.list("Incident")] == ["elsewhere", "here"]
    assert sorted(changes.reported) == [("Incident", "elsewhere"), ("Incident", "ghost"), ("Incident", "here")]
    assert cluster.writes == []


async def test_a_resync_of_chosen_namespaces_leaves_the_others_out() -> None:
    changes, cache = Changes(), Cache()
    cluster = FakeCluster(incident("a"), incident("b", namespace="other"), incident("c", namespace="third"))
    await resync(cluster, cache, changes, ["shop", "third"])
    assert [o["metadata"]["name"] for o in cache.list("Incident")] == ["a", "c"]


async def test_a_list_that_fails_prunes_nothing_and_delays_no_other_kind() -> None:
    changes, cache, cluster = Changes(), Cache(), FakeCluster(incident("here"))
    cache.put("Release", {"metadata": {"name": "kept", "namespace": "shop", "uid": "u9"}})
    cluster.fail_next = [Unavailable("releases")]
    with pytest.raises(Unavailable):
        await resync(cluster, cache, changes, kinds=(RELEASES, INCIDENTS, DEPLOYMENTS))
    assert cache.get("Release", "shop", "kept")
    assert cache.get("Incident", "shop", "here")


class Lists:
    """Notes when it was called; the first `failures` calls fail."""

    def __init__(self, failures: int = 0) -> None:
        self.at: list[float] = []
        self.failures = failures

    async def __call__(self) -> int:
        self.at.append(round(asyncio.get_running_loop().time(), 3))
        if len(self.at) <= self.failures:
            raise Unavailable("x")
        return 0


@pytest.mark.looptime
async def test_a_list_at_the_start_then_every_ten_minutes() -> None:
    lists, succeeded = Lists(), []
    again = Resync(lists, lambda: succeeded.append(1))
    task = asyncio.create_task(again.run())
    await asyncio.sleep(2 * PERIOD + 1)
    task.cancel()
    assert lists.at == [0, PERIOD, 2 * PERIOD]
    assert len(succeeded) == 3


@pytest.mark.looptime
async def test_a_burst_of_requests_is_one_list() -> None:
    lists = Lists()
    again = Resync(lists)
    task = asyncio.create_task(again.run())
    await asyncio.sleep(10)
    for _ in range(100):
        again.request()
        await asyncio.sleep(0.01)
    await asyncio.sleep(20)
    task.cancel()
    assert lists.at == [0, 10 + SETTLE]


@pytest.mark.looptime
async def test_a_request_shortly_before_the_ten_minutes_end_is_not_lost() -> None:
    lists = Lists()
    again = Resync(lists)
    task = asyncio.create_task(again.run())
    await asyncio.sleep(PERIOD - 0.5)
    again.request()
    await asyncio.sleep(10)
    task.cancel()
    assert len(lists.at) == 2


@pytest.mark.looptime
async def test_it_is_not_done_before_a_list_succeeded() -> None:
    lists = Lists(failures=2)
    again = Resync(lists, retry=5.0)
    task = asyncio.create_task(again.run())
    await asyncio.sleep(6)
    assert not again.done.is_set()
    await asyncio.sleep(6)
    assert again.done.is_set()
    task.cancel()
    assert lists.at == [0, 5, 10]
