"""How a Deployment moves, as Kubernetes does it."""

from typing import Any

import pytest

from opsloop.simulator.kube.rollout import Member, Moves, bounds, moves, scaled


def members(text: str) -> list[Member]:
    """`N` new and available, `n` new, `O` old and available, `o` old; named by place."""
    return [Member(f"{letter}{place}", letter in "Nn", letter.isupper()) for place, letter in enumerate(text)]


def spec(replicas: int = 4, **more: Any) -> dict[str, Any]:
    return {"replicas": replicas, **more}


ROLLING = {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


@pytest.mark.parametrize(
    ("wanted", "present", "then"),
    [
        pytest.param(spec(), "NNNN", Moves(), id="complete"),
        pytest.param(spec(), "", Moves(4), id="from nothing"),
        pytest.param(spec(), "OOOO", Moves(1, ("O0",)), id="the first new pod surges, one old may go"),
        pytest.param(spec(), "OOOn", Moves(1), id="an old pod waits for the new one, within the surge"),
        pytest.param(spec(), "OOONN", Moves(0, ("O0", "O1")), id="old pods go for ready new ones"),
        pytest.param(spec(), "oOOO", Moves(1, ("o0",)), id="a sick old pod goes first"),
        pytest.param(spec(4, strategy=ROLLING), "OOOO", Moves(0, ("O0",)), id="without surge an old pod goes first"),
        pytest.param(spec(4, strategy=ROLLING), "OOO", Moves(1), id="and then a new one comes"),
        pytest.param(spec(2), "NNNN", Moves(0, ("N0", "N1")), id="scaled down"),
        pytest.param(spec(2), "Nnn", Moves(0, ("n1",)), id="scaled down by the pod that is not available"),
        pytest.param(spec(4, strategy={"type": "Recreate"}), "OOOO", Moves(0, ("O0", "O1", "O2", "O3")), id="recreate"),
        pytest.param(spec(4, strategy={"type": "Recreate"}), "", Moves(4), id="recreate, when all are gone"),
    ],
)
def test_the_next_moves(wanted: dict[str, Any], present: str, then: Moves) -> None:
    assert moves(wanted, members(present)) == then


def test_a_paused_deployment_is_scaled_only() -> None:
    assert scaled(spec(4, paused=True), members("OOO")) == Moves(1)
    assert scaled(spec(2, paused=True), members("OOo")) == Moves(0, ("o2",))


@pytest.mark.parametrize(
    ("replicas", "strategy", "then"),
    [(4, {}, (1, 1)), (10, {}, (3, 2)), (1, {}, (1, 0)), (4, {"maxSurge": 0, "maxUnavailable": 0}, (0, 1))],
)
def test_percents_round_as_kubernetes_rounds(replicas: int, strategy: dict[str, Any], then: tuple[int, int]) -> None:
    assert bounds(spec(replicas, strategy={"rollingUpdate": strategy})) == then
