"""Weights: laws."""

from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.release.weights import pods_for, refusal, share

WEIGHTS, STABLE, CANARY = st.integers(1, 99), st.integers(0, 500), st.integers(0, 500)


@given(STABLE, CANARY, CANARY)
def test_more_canary_pods_never_have_a_smaller_share(stable: int, a: int, b: int) -> None:
    assert share(min(a, b), stable) <= share(max(a, b), stable)


@given(CANARY, STABLE, STABLE)
def test_more_live_pods_never_make_the_share_larger(canary: int, a: int, b: int) -> None:
    assert share(canary, max(a, b)) <= share(canary, min(a, b))


@given(STABLE, WEIGHTS, WEIGHTS)
def test_a_higher_weight_never_needs_fewer_pods(stable: int, a: int, b: int) -> None:
    assert 1 <= pods_for(min(a, b), stable) <= pods_for(max(a, b), stable)


@given(WEIGHTS, STABLE, st.none() | st.integers(1, 1000))
def test_what_is_not_refused_keeps_to_the_limit(weight: int, stable: int, most: int | None) -> None:
    limit = stable if most is None else most
    assert (refusal(weight, stable, most) == "") == (pods_for(weight, stable) <= limit)


@given(WEIGHTS, st.integers(1, 500))
def test_no_other_number_of_pods_comes_nearer_to_the_wanted_number(weight: int, stable: int) -> None:
    exact, pods = weight * stable / (100 - weight), pods_for(weight, stable)
    assert pods == 1 or abs(pods - exact) <= 0.5


@given(WEIGHTS, st.integers(1, 500))
def test_by_default_a_canary_gets_at_most_half_of_the_traffic(weight: int, stable: int) -> None:
    if refusal(weight, stable, None) == "":
        assert share(pods_for(weight, stable), stable) <= 50
