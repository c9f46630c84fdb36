"""Counts by windows of PromQL: which windows are asked for, and what an answer says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from opsloop.api.slo import Sli
from opsloop.core.slo.counts import Grid, Pair, counts_query, grid, intervals
from opsloop.core.slo.promql import Split
from opsloop.core.statistics.evidence import Interval

T0 = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
BY = '{version=~"{{version}}"}[{{window}}]'
GOOD = Sli(good=f"good{BY}", total=f"total{BY}")
BAD = Sli(bad=f"bad{BY}", total=f"total{BY}")
LATENCY = Sli.model_validate({"latency": {"histogram": "seconds", "threshold": 0.5}})
GRID = Grid(T0, timedelta(seconds=60))
NAN = float("nan")
CANARY, LIVE = Split("v4", GRID.step), Split("v1", GRID.step)
PAIR = Pair("v4", "v1", {"v4": CANARY, "v1": LIVE})
ALONE = Pair("v4", "", {"v4": CANARY})


@dataclass
class Line:
    labels: Mapping[str, str]
    points: Sequence[tuple[datetime, float]]


def answer(**numbers: float) -> list[Line]:
    """The answer for window 1: kind_version = number."""
    names = {name: name.split("_") for name in numbers}
    return [
        Line({"opsloop": f"{kind}:1m:{version}"}, [(GRID.end(1), numbers[name])])
        for name, (kind, version) in names.items()
    ]


def test_windows_begin_with_the_traffic_and_are_disjoint() -> None:
    windows = grid(T0, timedelta(seconds=15))
    assert windows.step == timedelta(seconds=60)
    assert [windows.end(n) - T0 for n in (1, 2)] == [timedelta(seconds=60), timedelta(seconds=120)]


@pytest.mark.parametrize(
    ("done", "seconds", "numbers"),
    [
        pytest.param(0, 59, [], id="none has ended"),
        pytest.param(0, 60, [1], id="one has ended just now"),
        pytest.param(2, 305, [3, 4, 5], id="those since the last one that was counted"),
        pytest.param(5, 305, [], id="all are counted"),
    ],
)
def test_the_windows_that_have_ended(done: int, seconds: float, numbers: list[int]) -> None:
    assert list(GRID.after(done, T0 + timedelta(seconds=seconds))) == numbers


def test_a_query_asks_for_a_bounded_number_of_windows() -> None:
    assert len(GRID.after(7, T0 + timedelta(days=30))) == 500


def test_the_query_names_each_revision_and_leaves_out_one_that_is_not_known() -> None:
    both = counts_query(GOOD, PAIR)
    assert both.count("label_replace") == 4 and '"total:1m:v1"' in both and '"good:1m:v4"' in both
    assert counts_query(GOOD, ALONE).count("label_replace") == 2


def test_revisions_are_told_by_their_pods_where_the_sli_says_so() -> None:
    sli = Sli(good='good{pod=~"{{pods}}"}[{{window}}]', total='total{pod=~"{{pods}}"}[{{window}}]')
    splits = {"v4": Split("v4", GRID.step, ("web-canary-7d9f",)), "v1": Split("v1", GRID.step, ("web-5c8b",))}
    query = counts_query(sli, Pair("v4", "v1", splits))
    assert (
        'total{pod=~"(web-canary-7d9f-)[a-z0-9]{5}"}[1m]' in query
        and 'good{pod=~"(web-5c8b-)[a-z0-9]{5}"}[1m]' in query
    )


def test_a_constant_in_the_place_of_missing_series_is_no_total() -> None:
    sli = Sli(bad=f"bad{BY}", total=f"sum(increase(total{BY})) or vector(0)")
    total = next(part for part in counts_query(sli, ALONE).split("label_replace") if "total:1m:v4" in part)
    assert total.count('total{version=~"v4"}[1m]') == 2, "once for the count, once for whether there are any series"


@pytest.mark.parametrize(
    ("sli", "numbers", "counts"),
    [
        pytest.param(GOOD, {"good_v4": 9, "total_v4": 10, "good_v1": 40, "total_v1": 40}, (1, 10, 0, 40), id="good events"),
        pytest.param(BAD, {"bad_v4": 1, "total_v4": 10, "bad_v1": 2, "total_v1": 40}, (1, 10, 2, 40), id="bad events"),
        pytest.param(GOOD, {"total_v4": 10, "good_v1": 40, "total_v1": 40}, (10, 10, 0, 40), id="no good series: all are bad"),
        pytest.param(BAD, {"total_v4": 10, "total_v1": 40}, (0, 10, 0, 40), id="no bad series: none is bad"),
        pytest.param(GOOD, {"good_v1": 40, "total_v1": 40}, (0, 0, 0, 40), id="the canary served nothing yet"),
        pytest.param(GOOD, {"good_v4": 9, "total_v4": 10}, (1, 10, 0, 0), id="live served nothing"),
        pytest.param(GOOD, {"good_v4": 10.2, "total_v4": 10, "total_v1": 0}, (0, 10, 0, 0), id="an extrapolated part above the whole is cut"),
        pytest.param(BAD, {"bad_v4": 10.2, "total_v4": 10, "total_v1": 0}, (10, 10, 0, 0), id="also among bad events"),
        pytest.param(LATENCY, {"total_v4": 10, "good_v4": 7}, (3, 10, 0, 0), id="fast events of a histogram"),
        pytest.param(LATENCY, {"total_v4": 10, "total_v1": 40}, None, id="a histogram without the bucket: a gap"),
        pytest.param(GOOD, {}, None, id="no series at all: a gap, not zero"),
        pytest.param(GOOD, {"total_v4": NAN, "good_v4": 1}, None, id="NaN: a gap"),
        pytest.param(GOOD, {"total_v4": 5, "good_v4": -1}, None, id="a negative count: a gap"),
    ],
)  # fmt: skip
def test_an_answer(sli: Sli, numbers: dict[str, float], counts: tuple[float, ...] | None) -> None:
    (found,) = intervals(answer(**numbers), sli, GRID, range(1, 2), PAIR)
    assert found == (None if counts is None else Interval(0, 60, *counts))


def test_windows_without_a_point_are_gaps_between_the_others() -> None:
    lines = [Line({"opsloop": f"{kind}:1m:v4"}, [(GRID.end(n), 10.0) for n in (1, 3)]) for kind in ("good", "total")]
    found = intervals(lines, GOOD, GRID, range(1, 4), PAIR)
    assert found == [Interval(0, 60, 0, 10), None, Interval(120, 180, 0, 10)]
