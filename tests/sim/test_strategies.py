"""Each strategy of docs/strategies.md, as its example has it, played in fake time: a good version is promoted by its steps, a bad one rejected.

The holds are a second each and the analysis asks for five events, as everywhere here; the steps, their approvals and the traffic are the example's.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.builders import yamls
from tests.builders.objects import V4
from tests.sim.routed import Routed
from tests.sim.shift import Shift, release_object, runbook_object
from tests.sim.shop import Shop
from tests.sim.test_guard import Guarded

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def unevaluated() -> Shift:
    """A shop whose canaries no EvalCase stops in the dark: what serves badly is seen in traffic."""
    release = release_object()
    release["spec"].pop("evals")
    return Shift(shop=Shop(release, runbook_object()))


KINDS = {"release": unevaluated, "release-route": Routed, "release-guarded": Guarded}


def strategy_of(example: str) -> dict[str, Any]:
    strategy: dict[str, Any] = yamls.load((EXAMPLES / f"{example}.yaml").read_text())["spec"]["strategy"]
    return strategy


def quickened(strategy: dict[str, Any]) -> dict[str, Any]:
    canary = strategy["canary"]
    steps = [{**step, **({"hold": "1s"} if "hold" in step else {})} for step in canary["steps"]]
    return {**strategy, "canary": {**canary, "steps": steps, "analysis": {"window": "2s", "minEvents": 5}}}


def ship(shift: Shift, version: str) -> None:
    """By the Release, or by whoever writes the Deployment where that is guarded."""
    if isinstance(shift, Guarded):
        shift.shop.set_image(version, manager="helm")
    else:
        shift.shop.ship(version)


def approve(shift: Shift, words: str) -> None:
    stored = shift.release_object()
    stored["metadata"].setdefault("annotations", {})["opsloop.dev/approve"] = words
    shift.shop.cluster.seed(stored)


@pytest.mark.parametrize("example", KINDS)
async def test_an_example_is_promoted_by_its_steps_and_rejected_where_it_serves_badly(example: str) -> None:
    strategy = quickened(strategy_of(example))
    shift = KINDS[example]()
    stored = shift.release_object()
    stored["spec"]["strategy"] = strategy
    shift.shop.cluster.seed(stored)
    try:
        await shift.adopt()
        if isinstance(shift, Guarded):
            await shift.until_guarded()
        ship(shift, "v4")
        seen: list[int] = []

        def promoted() -> bool:
            weight = shift.release().status.weight.wanted
            if weight not in seen:
                seen.append(weight)
            for step in strategy["canary"]["steps"]:
                if step.get("approve"):
                    approve(shift, f"v4/{step['weight']}")
            return shift.target() == ("v4", "Promoted")

        await shift.until("v4 is promoted", promoted)
        assert seen[: len(strategy["canary"]["steps"])] == [0, *(s["weight"] for s in strategy["canary"]["steps"][:-1])]
        await shift.until("all is quiet", shift.quiet)
        assert shift.release().status.live == V4
        ship(shift, "v3")
        await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
        assert shift.release().status.live == V4 and shift.live in ("v4", "v3" if isinstance(shift, Guarded) else "v4")
    finally:
        await shift.operator.stop()
