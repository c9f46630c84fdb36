"""When the present harm began, on counts, and how well a change explains it."""

from math import inf, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.statistics import changepoint
from opsloop.core.statistics.changepoint import Delay, Exposure, Series, Span

DELAY, LOOKBACK = Delay(prompt=0.8, soon=120, late=1200, slack=30), 3600.0


def series(*stretches: tuple[int, int], total: int = 1000) -> list[Span]:
    """(minutes, bad events in each of them)."""
    bad = [count for minutes, count in stretches for _ in range(minutes)]
    return [Span(60.0 * n, 60.0 * (n + 1), count, total) for n, count in enumerate(bad)]


@pytest.mark.parametrize(
    ("counts", "first"),
    [
        pytest.param(series((60, 1), (2, 900)), 60, id="a step"),
        pytest.param(series((60, 11), (2, 900)), 60, id="a smoulder above the budget is the usual level: the step after it counts"),
        pytest.param(series((60, 2), (15, 11), (2, 400)), 75, id="so it is where it began a quarter of an hour ago"),
        pytest.param(series((60, 16), (15, 105), (1, 1250), total=9540), 75, id="and where a rollout has only begun to make it far worse"),
        pytest.param(series((60, 2), (30, 25), (2, 400)), 90, id="a smoulder of a sixteenth of the harm, for half an hour"),
        pytest.param(series((50, 1), (45, 1000)), 50, id="harm that lasts for half of the time that was read"),
        pytest.param(series((50, 6), (40, 1500), total=1500), 50, id="and brings more requests than usual"),
        pytest.param(series((60, 0), (30, 5), total=8), 60, id="a quiet service: in most of its minutes nothing fails"),
        pytest.param(series((60, 1), *((1, 45 * n) for n in range(1, 21))), 60, id="what rises evenly into the harm is its beginning"),
        pytest.param(series((20, 1), (10, 1000), (30, 1), (2, 900)), 60, id="an earlier outage that was over in between is not the beginning"),
        pytest.param(series((60, 1), (1, 300), (1, 600), (1, 900)), 60, id="a rollout that goes on has part of the harm"),
        pytest.param(series((59, 0), (1, 100), (2, 0), (2, 900)), 62, id="a burst before it is not the beginning"),
        pytest.param(series((60, 0), (1, 60), total=60), 60, id="a service of one request per second"),
    ],
)  # fmt: skip
def test_the_likeliest_beginning(counts: list[Span], first: int) -> None:
    began = Series(counts).beginnings()
    assert isclose(sum(began), 1)
    assert began.index(max(began)) == first and began[first] > 0.5


@pytest.mark.parametrize(
    ("counts", "name"),
    [
        pytest.param([], "none", id="no counts"),
        pytest.param(series((10, 5)), "alike", id="nothing differs"),
        pytest.param(series((10, 0), total=0), "alike", id="nobody came"),
    ],
)
def test_where_nothing_tells_the_beginning(counts: list[Span], name: str) -> None:
    assert Series(counts).beginnings() == ([] if name == "none" else [1 / len(counts)] * len(counts))


@pytest.mark.parametrize(
    ("changed", "likely"),
    [
        pytest.param(3595.0, True, id="seconds before"),
        pytest.param(3480.0, True, id="two minutes before: a rollout takes that long"),
        pytest.param(2400.0, False, id="twenty minutes before"),
        pytest.param(300.0, False, id="an hour before"),
        pytest.param(3700.0, False, id="after it had begun"),
    ],
)
def test_a_change_explains_what_begins_shortly_after_it(changed: float, likely: bool) -> None:
    counts = series((60, 1), (2, 900))
    assert (Series(counts).bayes_factor(Exposure(changed, changed), DELAY, LOOKBACK) > 1) == likely


@pytest.mark.parametrize(
    "smoulder", [pytest.param(5, id="five times the usual errors"), pytest.param(15, id="fifteen")]
)
def test_a_change_into_a_smoulder_that_goes_on_explains_nothing(smoulder: int) -> None:
    counts = series((60, 2), (20, 2 * smoulder))
    assert Series(counts).bayes_factor(Exposure(4200.0, 4200.0), DELAY, LOOKBACK) < 0.1


@given(minutes=st.integers(5, 40), smoulder=st.integers(10, 100), usual=st.integers(0, 8))
def test_a_smoulder_is_not_the_beginning_however_long_and_high_it_is(minutes: int, smoulder: int, usual: int) -> None:
    """A ninth of the harm for a whole minute is as much as all of it for its last seconds."""
    began = Series(series((45, usual), (minutes, smoulder), (2, 900))).beginnings()
    assert began.index(max(began)) in (44 + minutes, 45 + minutes)


@pytest.mark.simulation
@given(minutes=st.integers(20, 45), usual=st.integers(0, 5), bad=st.integers(200, 1000))
def test_what_rises_evenly_until_now_is_explained_by_the_change_with_which_it_began(
    minutes: int, usual: int, bad: int
) -> None:
    counts = series((60, usual), *((1, usual + round(bad * (n + 0.5) / minutes) - usual) for n in range(minutes)))
    at, before = (Series(counts).bayes_factor(Exposure(c, c), DELAY, LOOKBACK) for c in (3600.0, 3600.0 - 1500))
    assert at > 2 > before


@given(start=st.floats(-100, 5000), length=st.floats(1, 500))
def test_a_density_is_never_negative_and_its_parts_make_the_whole(start: float, length: float) -> None:
    middle = start + length / 2
    halves = DELAY.density(start, middle) + DELAY.density(middle, start + length)
    assert DELAY.density(start, start + length) >= 0
    assert isclose(halves / 2, DELAY.density(start, start + length), rel_tol=1e-6, abs_tol=1e-12)


@given(near=st.floats(0, 3000), further=st.floats(1, 600))
def test_the_longer_ago_the_less_it_explains(near: float, further: float) -> None:
    assert DELAY.density(near + further, near + further + 60) <= DELAY.density(near, near + 60)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(50, 5000)), min_size=1, max_size=90))
def test_beginnings_are_probabilities_whatever_the_counts(pairs: list[tuple[int, int]]) -> None:
    began = Series([Span(60.0 * n, 60.0 * (n + 1), bad, total) for n, (bad, total) in enumerate(pairs)]).beginnings()
    assert isclose(sum(began), 1) and all(0 <= p <= 1 for p in began)


@pytest.mark.simulation
@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from([0, 10, 300, 3000])), min_size=40, max_size=90))
def test_a_beginning_that_is_not_worked_out_has_no_share(counted: list[tuple[int, int]]) -> None:
    spans = [Span(60.0 * n, 60.0 * (n + 1), min(bad, total), total) for n, (bad, total) in enumerate(counted)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changepoint, "UNSEEN", inf)
        worked_out = Series(spans).beginnings()
    assert Series(spans).beginnings() == pytest.approx(worked_out, rel=1e-12, abs=1e-20)
