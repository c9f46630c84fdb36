"""A request handed on to the replica that leads, over real sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession

from opsloop.entry.console.leader import Leader
from opsloop.errors import NotFound
from opsloop.shell.ports import Object, Resource
from tests.builders.console import World, served, shop


class Pods:
    """The pods of the operator's namespace; only get is asked for."""

    def __init__(self, address: str) -> None:
        self.address, self.asked = address, list[str]()
        self.uid, self.phase = "uid", "Running"

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self.asked.append(f"{namespace}/{name}")
        if not self.address:
            raise NotFound(name)
        return {"metadata": {"uid": self.uid}, "status": {"podIP": self.address, "phase": self.phase}}


@asynccontextmanager
async def two(address: str = "127.0.0.1") -> AsyncIterator[tuple[str, World, Pods]]:
    """The address of a replica that does not lead, and the world of the one that does."""
    leading, standby, pods = shop(), World(), Pods(address)
    standby.leads = False
    async with served(leading) as (listening, _), ClientSession() as session:
        leader = Leader(pods, session, "ops", listening.port, lambda: False, lambda: "opsloop-1_uid")  # type: ignore[arg-type]
        async with served(standby, leader) as (_, base):
            yield base, leading, pods


async def test_the_page_is_that_of_the_one_that_leads_by_the_viewers_own_token() -> None:
    async with two() as (base, leading, pods), ClientSession() as session:
        for _ in range(2):
            async with session.get(f"{base}/namespaces/shop/releases/answers?hours=1", headers={"Authorization": "Bearer ann-token"}) as answer:  # fmt: skip
                html = await answer.text()
                assert answer.status == 200 and "3.0×" in html and "does not lead" not in html
        unchanged = {"Cookie": "opsloop-console=ann-token", "If-None-Match": answer.headers["ETag"]}
        async with session.get(f"{base}/namespaces/shop/releases/answers?hours=1", headers=unchanged) as answer:
            assert answer.status == 304
        async with session.get(f"{base}/namespaces/bank", headers={"Authorization": "Bearer bob-token"}) as answer:
            assert answer.status == 403
    assert leading.api.reviewed == ["ann-token", "bob-token"] and pods.asked == ["ops/opsloop-1"]


@pytest.mark.parametrize(
    ("uid", "phase"),
    [
        pytest.param("another", "Running", id="another pod has its name"),
        pytest.param("uid", "Failed", id="it has ended, and its address may be somebody else's"),
    ],
)
async def test_a_viewers_token_goes_to_no_other_pod(uid: str, phase: str) -> None:
    async with two() as (base, leading, pods), ClientSession() as session:
        pods.uid, pods.phase = uid, phase
        async with session.get(base, headers={"Authorization": "Bearer ann-token"}) as answer:
            assert answer.status == 200 and "does not lead" in await answer.text()
        assert leading.api.reviewed == []


async def test_where_its_pod_is_gone_this_replica_shows_what_it_has() -> None:
    async with two(address="") as (base, _, pods), ClientSession() as session:
        async with session.get(base, headers={"Authorization": "Bearer ann-token"}) as answer:
            assert answer.status == 200 and "does not lead" in await answer.text()
        assert pods.asked == ["ops/opsloop-1"]
