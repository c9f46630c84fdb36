"""The way of one process to the API server, which goes wrong in ways that the real one's does."""

import asyncio
from random import Random
from typing import Any

import pytest

from opsloop.errors import Conflict, LeadershipLost, TimedOut, Unavailable
from opsloop.shell.ports import CONFIGMAPS
from opsloop.simulator.fakes.cluster import FakeCluster
from opsloop.simulator.fakes.gateway import Gateway, Weak
from opsloop.simulator.loop import LeapLoop, run


def body() -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}}


async def written(gateway: Gateway) -> None:
    await gateway.create(CONFIGMAPS, "shop", body())


@pytest.mark.parametrize(
    ("weak", "error", "stored"),
    [
        pytest.param(Weak(refused=1.0), Unavailable, False, id="a refused write has no effect"),
        pytest.param(Weak(conflicts=1.0), Conflict, False, id="a write after another one's is a conflict"),
        pytest.param(Weak(lost=1.0), TimedOut, True, id="a write whose answer is lost has taken effect"),
    ],
)
def test_a_weak_api_server(weak: Weak, error: type[Exception], stored: bool) -> None:
    cluster = FakeCluster()
    with pytest.raises(error):
        asyncio.run(written(Gateway(cluster, weak, Random(1))))
    assert (cluster.find(CONFIGMAPS, "shop", "a") is not None) == stored


def test_a_slow_answer_comes() -> None:
    async def play() -> float:
        await written(Gateway(FakeCluster(), Weak(slow=1.0, delay=7.0), Random(1)))
        return asyncio.get_running_loop().time()

    assert run(play(), LeapLoop()) == 7.0


def test_who_lost_the_lease_while_its_call_was_slow_writes_nothing() -> None:
    cluster = FakeCluster()
    gateway = Gateway(cluster, Weak(slow=1.0), Random(1))

    async def play() -> None:
        call = asyncio.create_task(written(gateway))
        await asyncio.sleep(1)
        gateway.fenced = True
        await call

    with pytest.raises(LeadershipLost):
        run(play(), LeapLoop())
    assert cluster.find(CONFIGMAPS, "shop", "a") is None
