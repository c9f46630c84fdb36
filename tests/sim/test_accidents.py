"""Accidents in mid-canary, in fake time, asserted on the world: what pods run and serve, what the status says.

Each plays from v4 taking traffic. Each ends the same whenever the operator dies on the way, at any of its writes. What else
can happen to a canary is tested by its subject; `docs/accidents.md` says where.
"""

import copy
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.entry.cli import unguard
from opsloop.entry.cli.commands import parser
from opsloop.names import CANARY
from opsloop.shell.ports import DEPLOYMENTS, SERVICES
from opsloop.simulator.fakes.cluster import FakeDeath
from tests.sim import deaths
from tests.sim.shift import Shift, seconds
from tests.sim.shop import NS, version_of

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

Play = Callable[[Any], Awaitable[None]]


class Accident(Shift):
    """A shift in which the operator may die: it is back after two seconds, and sees what happened a second later."""

    within = 2  # seconds in which a canary is out of traffic
    adopted = 0  # writes until v1 was adopted


async def in_traffic(shift: Accident, version: str = "v4") -> None:
    """v1 is adopted, and the first canary pods of this version serve."""
    await shift.adopt()
    shift.adopted = len(shift.shop.cluster.writes)
    shift.shop.ship(version, evals=None)
    await shift.until(f"{version} serves", lambda: bool(shift.shop.open_canaries()))


def live_pods(shift: Accident) -> list[str]:
    """Versions of the Deployment's own pods."""
    pods = shift.shop.objects("pods")
    return sorted(version_of(p) for p in pods if p["metadata"]["labels"].get("deployment") == "answers")


def serving(shift: Accident) -> set[str]:
    return {version_of(p) for p in shift.shop.in_traffic()}


def condition(shift: Accident, name: str) -> tuple[str, str]:
    found = conditions.get(shift.release().status.conditions, name)
    return (found.status, found.reason) if found else ("", "")


async def out_of_traffic(shift: Accident) -> None:
    """Weight 0 within two looks, and then no canary pod."""
    await shift.until("no canary serves", lambda: not shift.shop.open_canaries(), most=shift.within)
    await shift.until("no canary is left", shift.quiet)


async def back_to_live(shift: Accident) -> None:
    await in_traffic(shift)
    shift.shop.ship("v1", evals=None)
    await out_of_traffic(shift)
    assert shift.target() == ("v1", "Promoted") and shift.wrote() == []


async def third_version(shift: Accident) -> None:
    await in_traffic(shift, "v3")
    shift.shop.ship("v4", evals=None)
    await shift.until("v3 is out", lambda: "v3" not in serving(shift), most=shift.within)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("no canary is left", shift.quiet)


async def by_hand(shift: Accident) -> None:
    await in_traffic(shift)
    shift.shop.set_image("v5")
    await out_of_traffic(shift)
    await shift.until("what was written rolls out", lambda: live_pods(shift) == ["v5"] * 4)
    assert shift.target() == ("v4", "Cancelled") and condition(shift, "Drifted") == ("True", "ChangedByHand")


async def resources(shift: Accident) -> None:
    await in_traffic(shift)
    stored = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored is not None
    stored["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "50m"}}
    shift.shop.cluster.seed(stored)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=120)
    await shift.until("no canary is left", shift.quiet)
    stored = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored is not None and "resources" in stored["spec"]["template"]["spec"]["containers"][0]


async def to_0_and_back(shift: Accident) -> None:
    await in_traffic(shift)
    shift.shop.change(replicas=0)
    await shift.until("no canary serves alone", lambda: not serving(shift), most=shift.within)
    await shift.until("no pod of it is left", shift.quiet)
    assert condition(shift, "Held") == ("True", "LiveAtZero")
    await seconds(shift, 10)
    shift.shop.change(replicas=4)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=150)
    await shift.until("no canary is left", shift.quiet)


async def service_deleted(shift: Accident) -> None:
    await in_traffic(shift)
    service = shift.shop.cluster.find(SERVICES, NS, "answers")
    assert service is not None
    shift.shop.cluster.remove(SERVICES, NS, "answers")
    await seconds(shift, 10)
    shift.shop.cluster.seed(service)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=150)
    await shift.until("no canary is left", shift.quiet)


async def deployment_deleted(shift: Accident) -> None:
    await in_traffic(shift)
    stored = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored is not None
    shift.shop.cluster.remove(DEPLOYMENTS, NS, "answers")
    await out_of_traffic(shift)
    assert condition(shift, "WorkloadMissing") == ("True", "WorkloadMissing")
    again = {k: v for k, v in copy.deepcopy(stored).items() if k != "status"} | {"metadata": {"name": "answers", "namespace": NS}}  # fmt: skip
    shift.shop.cluster.seed(again)
    await shift.until("it is promoted, from the dark", lambda: shift.target() == ("v4", "Promoted"), most=150)
    await shift.until("no canary is left", shift.quiet)


async def uninstalled(shift: Accident) -> None:
    """What the chart's Job does after `helm uninstall`; then opsloop is installed again."""
    await in_traffic(shift)
    await shift.operator.stop()
    arguments = parser().parse_args(["unguard", "--force", "--canaries"])
    with suppress(FakeDeath):  # the Job is started again
        await unguard.unguard(arguments, shift.shop.cluster)  # type: ignore[arg-type]
    shift.shop.cluster.revive()
    assert await unguard.unguard(arguments, shift.shop.cluster) == 0  # type: ignore[arg-type]
    shift.shop.tick()
    assert serving(shift) == {"v1"} and live_pods(shift) == ["v1"] * 4
    for _ in range(30):
        shift.shop.tick()
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=150)
    await shift.until("no canary is left", shift.quiet)


PLAYS: list[tuple[str, Play, tuple[Any, ...]]] = [
    ("the spec goes back to live", back_to_live, ("v1", [])),
    ("a third version is shipped", third_version, ("v4", [])),
    ("live is changed by hand", by_hand, ("v5", [])),
    ("resources of live are changed", resources, ("v4", [])),
    ("live is scaled to 0 and back", to_0_and_back, ("v4", [])),
    ("the Service is deleted and comes back", service_deleted, ("v4", [])),
    ("the Deployment is deleted and comes back", deployment_deleted, ("v4", [])),
    ("opsloop is uninstalled, and installed again", uninstalled, ("v4", [])),
]


async def _played(play: Play, die_at: int | None) -> tuple[Accident, int]:
    shift = Accident()
    if die_at is not None:
        shift.within = 5
        shift.shop.cluster.die_at(die_at)
    try:
        await play(shift)
        await seconds(shift, 2)
    finally:
        await shift.operator.stop()
    return shift, len(shift.shop.cluster.writes)


def _end(shift: Accident) -> tuple[Any, ...]:
    status = shift.release().status
    blocked = sorted(r.version for r in status.revisions if r.blocked)
    assert live_pods(shift) == [shift.live] * 4 and serving(shift) == {shift.live}
    assert status.weight.wanted == 0 and not [
        p for p in shift.shop.objects("pods") if CANARY in p["metadata"]["labels"]
    ]
    return shift.live, blocked


@pytest.mark.parametrize(("play", "ends"), [pytest.param(p, e, id=name) for name, p, e in PLAYS])
async def test_in_mid_canary(play: Play, ends: tuple[Any, ...]) -> None:
    shift, _ = await _played(play, None)
    assert _end(shift) == ends and shift.operator.pager.pages == []


@pytest.mark.simulation
@pytest.mark.soak
@pytest.mark.parametrize(("play", "ends"), [pytest.param(p, e, id=name) for name, p, e in PLAYS])
async def test_dying_at_any_write_on_the_way_it_ends_the_same(play: Play, ends: tuple[Any, ...]) -> None:
    calm, writes = await _played(play, None)
    begin = [one for _, one, _ in PLAYS].index(play)
    for n in deaths.tried(
        calm.adopted + 1, writes, begin
    ):  # adoption is the same in all of them: test_shift dies there
        shift, _ = await _played(play, n)
        assert _end(shift) == ends, f"died at write {n}: {shift.shop.cluster.writes[n - 2 : n]}"
