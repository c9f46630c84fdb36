"""Weights by pods: c / (N + c)."""

import pytest

from opsloop.core.release.weights import pods_for, refusal, share


@pytest.mark.parametrize(
    ("weight", "stable", "pods", "actual"),
    [
        pytest.param(20, 4, 1, 20, id="one canary beside four is exactly 20 %"),
        pytest.param(10, 3, 1, 25, id="10 % of three pods is one pod, which is 25 %"),
        pytest.param(50, 4, 4, 50, id="half of the traffic needs as many as live has"),
        pytest.param(1, 4, 1, 20, id="the least that can be reached is one pod"),
        pytest.param(20, 0, 1, 100, id="beside no live pod one canary is everything"),
        pytest.param(99, 1, 99, 99, id="99 % beside one pod takes 99"),
    ],
)
def test_pods_for_a_weight_and_the_share_that_they_have(weight: int, stable: int, pods: int, actual: int) -> None:
    assert (pods_for(weight, stable), share(pods, stable)) == (pods, actual)


@pytest.mark.parametrize("weight", [0, 100, -1])
def test_a_weight_that_pods_do_not_reach_is_an_error(weight: int) -> None:
    with pytest.raises(ValueError, match="100 is the promotion"):
        pods_for(weight, 4)


def test_no_pods_at_all_are_no_share() -> None:
    assert share(0, 0) == 0


@pytest.mark.parametrize(
    ("weight", "most", "refused"),
    [
        pytest.param(50, None, False, id="by default as many as live has"),
        pytest.param(60, None, True, id="more than half of the traffic is not reached by default"),
        pytest.param(60, 6, False, id="unless maxCanaryReplicas says so"),
        pytest.param(50, 3, True, id="maxCanaryReplicas also lowers"),
    ],
)
def test_a_step_beyond_the_limit_is_refused_with_the_arithmetic(weight: int, most: int | None, refused: bool) -> None:
    why = refusal(weight, 4, most)
    assert bool(why) == refused
    assert not refused or (f"{weight} x 4 / {100 - weight}" in why and "maxCanaryReplicas" in why)
