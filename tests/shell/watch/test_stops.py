"""The switch as a process knows it: for all, for one namespace, and while it cannot be read."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.errors import Forbidden, Unavailable
from opsloop.shell.ports import STOPS, Object
from opsloop.shell.watch.stops import Stops
from opsloop.simulator.fakes.cluster import FakeCluster

OWN = "opsloop-system"


def seed(cluster: FakeCluster, namespace: str, reason: object = "alice") -> None:
    spec: Object = {"reason": reason} if reason is not None else {}
    cluster.seed({"kind": "Stop", "metadata": {"name": "now", "namespace": namespace}, "spec": spec})


def stops(cluster: FakeCluster, *namespaces: str, changed: Any = lambda: None) -> Stops:
    return Stops(cluster, OWN, namespaces, timedelta(seconds=5), changed)


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
