"""A shift that keeps last-good warm: v4 passes its canary, and turns bad when it is live."""

from collections.abc import Awaitable, Callable
from typing import Any

from opsloop.core import conditions
from opsloop.names import WARM
from opsloop.shell.ports import DEPLOYMENTS, Object
from tests.sim.shift import Shift, release_object, runbook_object
from tests.sim.shop import NS, Shop, version_of

KEEP = {"for": "60s", "replicas": 2, "wait": "10s"}


def warm_release(keep: Object | None = None, **strategy: Any) -> Object:
    release = release_object()
    release["spec"].pop("evals")
    release["spec"]["strategy"]["canary"]["steps"] = [{"weight": 50}, {"weight": 100}]
    release["spec"]["strategy"] |= {"keepWarm": KEEP if keep is None else keep, **strategy}
    return release


class Warm(Shift):
    """`pods()` are those that are kept warm."""

    def __init__(self, keep: Object | None = None, shop: Shop | None = None, **strategy: Any) -> None:
        super().__init__(shop=shop or Shop(warm_release(keep, **strategy), runbook_object()))

    def pods(self) -> list[Object]:
        return [p for p in self.shop.objects("pods") if WARM in p["metadata"]["labels"]]

    def dark(self) -> bool:
        """None has a label by which live pods are found, and none has its gate open."""
        return not self.shop.open_warm() and not any("app" in p["metadata"]["labels"] for p in self.pods())

    def state(self) -> tuple[str, str]:
        warm = self.release().status.warm
        return (warm.state, warm.reason) if warm else ("", "")

    def condition(self, kind: str = "LastGoodWarm") -> tuple[str, str]:
        found = conditions.get(self.release().status.conditions, kind)
        return (found.status, found.reason) if found else ("", "")

    def gone(self) -> bool:
        return self._find(DEPLOYMENTS, "answers-warm") is None and not self.pods()

    def share(self, version: str) -> float:
        pods = [version_of(p) for p in self.shop.in_traffic()]
        return pods.count(version) / len(pods)

    async def promote(self) -> None:
        """v4 is live, and pods of v1 are kept beside it."""
        self.shop.ship("v4")
        await self.until("v4 is promoted", lambda: self.target() == ("v4", "Promoted"))
        await self.until("v1 is warm", lambda: self.state()[0] == "Warm")

    async def turn_bad(self) -> None:
        self.shop.errors["v4"] = 0.8
        await self.until("an Incident is open", lambda: self.incident() is not None)

    def edit(self, **spec: Any) -> None:
        stored = self.release_object()
        stored["spec"] = {k: v for k, v in (stored["spec"] | spec).items() if v is not None}
        self.shop.cluster.seed(stored)

    def deployment(self, name: str = "answers") -> Object:
        stored = self.shop.cluster.find(DEPLOYMENTS, NS, name)
        assert stored is not None
        return stored


def story(play: Callable[[Warm], Awaitable[None]], **how: Any) -> Callable[[], Awaitable[None]]:
    """A test that starts with v4 promoted and v1 warm."""

    async def test() -> None:
        shift = Warm(**how)
        try:
            await shift.adopt()
            await shift.promote()
            await play(shift)
        finally:
            await shift.operator.stop()

    test.__name__ = play.__name__
    return test
