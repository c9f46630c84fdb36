"""One expression per tick, and what its answer means."""

import re
from dataclasses import dataclass
from datetime import timedelta

import pytest

from opsloop.api.meta import parse_duration
from opsloop.api.slo import Sli
from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import promql

GOOD = 'increase(answers{verdict="good",version=~"{{version}}"}[{{window}}])'
BAD = 'increase(answers{verdict="bad",version=~"{{version}}"}[{{window}}])'
TOTAL = 'increase(answers{version=~"{{version}}"}[{{window}}])'
BY_GOOD = Sli(good=GOOD, total=TOTAL)
BY_BAD = Sli(bad=BAD, total=TOTAL)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
VERSIONS = {"v2": promql.Split("v2", MINUTE)}


@dataclass(frozen=True)
class Number:
    labels: dict[str, str]
    value: float


def numbers(**values: float) -> list[Number]:
    """good_1m_v2=3 is the sample labelled good:1m:v2."""
    return [Number({"opsloop": name.replace("_", ":")}, value) for name, value in values.items()]


def test_the_whole_expression_of_one_window() -> None:
    """Of sums over recorded counts: what a person wrote stands as it is."""
    recorded = Sli(
        good='sum(sum_over_time(answers{verdict="good",version=~"{{version}}"}[{{window}}]))',
        total='sum(sum_over_time(answers{version=~"{{version}}"}[{{window}}]))',
    )
    assert promql.window_query(recorded, [MINUTE], {}, SECOND) == (
        'label_replace(sum(sum(sum_over_time(answers{verdict="good",version=~".*"}[1m]))\n), "opsloop", "good:1m", "", "")\n'
        'or label_replace(sum(sum(sum_over_time(answers{version=~".*"}[1m]))\n), "opsloop", "total:1m", "", "")\n'
        'or label_replace(count_over_time((sum(sum(sum_over_time(answers{version=~".*"}[4s]))\n))[1m:1s])'
        ' / scalar(count_over_time(vector(1)[1m:1s])), "opsloop", "covered:1m", "", "")'
    )


def labels_of(query: str) -> list[str]:
    return re.findall(r'"opsloop", "([^"]*)"', query)


def test_every_part_is_asked_for_once() -> None:
    query = promql.window_query(BY_BAD, [MINUTE, MINUTE, 5 * SECOND], VERSIONS, SECOND)
    expected = "bad:5s total:5s covered:5s bad:1m total:1m covered:1m bad:1m:v2 total:1m:v2"
    assert labels_of(query) == expected.split()


def test_the_window_of_a_version_is_read_overall_too() -> None:
    query = promql.window_query(BY_GOOD, [], VERSIONS, SECOND)
    assert labels_of(query) == ["good:1m", "total:1m", "covered:1m", "good:1m:v2", "total:1m:v2"]


def test_nothing_asked_is_no_query() -> None:
    assert promql.window_query(BY_GOOD, [], {}, SECOND) == ""


@pytest.mark.parametrize(
    ("window", "resolution", "subquery", "inner"),
    [
        pytest.param("5s", "1s", "[5s:1s]", "[4s]", id="a short window is looked at in every scrape interval"),
        pytest.param("1h", "15s", "[1h:30s]", "[1m]", id="an hour is looked at in 120 points"),
        pytest.param("3d", "15s", "[3d:36m]", "[1m]", id="three days are looked at in 120 points"),
        pytest.param("5m", "1m", "[5m:1m]", "[4m]", id="a slow scrape is looked at in its own steps"),
    ],
)
def test_the_points_of_coverage(window: str, resolution: str, subquery: str, inner: str) -> None:
    expression = promql.coverage_expression(TOTAL, parse_duration(window), parse_duration(resolution))
    assert expression.count(subquery) == 2
    assert expression.count(inner) == 1


@pytest.mark.parametrize(
    ("version", "pattern"),
    [
        pytest.param("v2", "v2", id="plain"),
        pytest.param("1.2.3+build", "1[.]2[.]3[+]build", id="special characters stand for themselves"),
        pytest.param("a|b", "a[|]b", id="no second version by the back door"),
        pytest.param('v"2', "v.2", id="a quote cannot end the string"),
        pytest.param("v\\2", "v.2", id="a backslash means different things in different quotes"),
        pytest.param("v^2", "v.2", id="a caret cannot stand in a class"),
        pytest.param("v[2]", "v[[]2[]]", id="brackets"),
        pytest.param("$1", "[$]1", id="a dollar"),
    ],
)
def test_a_version_becomes_a_pattern_for_any_quotes(version: str, pattern: str) -> None:
    assert promql.version_pattern(version) == pattern


def test_a_version_with_a_dollar_survives_label_replace() -> None:
    assert '"good:1m:$$1"' in promql.window_query(BY_GOOD, [], {"$1": promql.Split("$1", MINUTE)}, SECOND)


def test_braces_inside_label_strings_are_left_alone() -> None:
    sli = Sli(good='g{path=~"/a{2}/.*",v="{{ version }}"}[{{ window }}]', total=TOTAL)
    query = promql.window_query(sli, [MINUTE], {}, SECOND)
    assert 'sum(g{path=~"/a{2}/.*",v=".*"}[1m]\n)' in query


def test_a_comment_in_an_expression_does_not_swallow_what_follows() -> None:
    sli = Sli(good=GOOD + " # all of them", total=TOTAL)
    assert "# all of them\n)" in promql.window_query(sli, [MINUTE], {}, SECOND)


@pytest.mark.parametrize(
    ("sli", "problem"),
    [
        pytest.param(BY_GOOD, "", id="good and total"),
        pytest.param(BY_BAD, "", id="bad and total"),
        pytest.param(Sli(good=GOOD, bad=BAD, total=TOTAL), "spec.slo.sli: give exactly one of good and bad", id="both"),
        pytest.param(Sli(total=TOTAL), "spec.slo.sli: give exactly one of good and bad", id="neither"),
        pytest.param(
            Sli(good="g", total=TOTAL),
            "spec.slo.sli.good does not hold {{window}}, so that it would say the same of every window",
            id="no window in good",
        ),
        pytest.param(
            Sli(bad=BAD, total="t[1m]"),
            "spec.slo.sli.total does not hold {{window}}, so that it would say the same of every window",
            id="no window in total",
        ),
    ],
)
def test_what_cannot_be_read_is_named(sli: Sli, problem: str) -> None:
    assert promql.problem(sli) == (Unknown(slo.QUERY_FAILED, problem) if problem else None)


def counted(bad: str, total: str = "sum(increase(t[{{window}}]))") -> Sli:
    return Sli(bad=bad, total=total)


@pytest.mark.parametrize(
    ("sli", "reason", "says"),
    [
        pytest.param(counted("sum(rate(b[{{window}}]))"), slo.NOT_A_COUNT, "spec.slo.sli.bad gives events per second; write increase() instead of rate()", id="events per second"),
        pytest.param(counted(BAD, "sum(irate(t[{{window}}]))"), slo.NOT_A_COUNT, "spec.slo.sli.total gives events per second; write increase() instead of irate()", id="of all events"),
        pytest.param(counted("sum(rate(b[{{window}}])) * 300"), slo.NOT_A_COUNT, "spec.slo.sli.bad gives events per second", id="scaled by a constant it is a count for one window only"),
        pytest.param(counted("sum(rate(b[{{window}}])) / sum(rate(t[{{window}}]))"), slo.NOT_A_COUNT, "spec.slo.sli.bad gives a ratio", id="a ratio"),
        pytest.param(counted("svc:errors:increase{{window}}"), slo.WINDOW_IN_NAME, "spec.slo.sli.bad asks for recorded series", id="the window in a series' name"),
        pytest.param(counted('errors{window="{{window}}"}'), slo.WINDOW_IN_NAME, "spec.slo.sli.bad asks for recorded series", id="the window in a label"),
    ],
)  # fmt: skip
def test_what_is_no_count_over_any_window_is_named(sli: Sli, reason: str, says: str) -> None:
    found = promql.problem(sli)
    assert found is not None
    assert found.reason == reason
    assert found.detail.startswith(says)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("sum(increase(b[{{window}}] offset 1m))", id="counts of an earlier time"),
        pytest.param("sum(rate(b[{{window}}])) * scalar(seconds)", id="a rate that may be scaled to the window"),
        pytest.param("sum(sum_over_time(b:rate1m[{{window}}:1m])) * 60", id="a sum of recorded values"),
        pytest.param("sum(increase(b[{{window}}])) / 0.1", id="a sampled count"),
        pytest.param("sum(b[{{window}}:{{window}}]", id="what nobody here can read is left to Prometheus"),
        pytest.param("sum(delta(b[{{ window }}]))", id="a gauge that goes up"),
        pytest.param("count_over_time((up == 0)[{{window}}:15s])", id="counted moments"),
    ],
)
def test_counts_are_no_problem(bad: str) -> None:
    assert promql.problem(counted(bad)) is None


@pytest.mark.parametrize(
    ("total", "covered"),
    [
        pytest.param("sum(increase(t[{{window}}])) or vector(0)", " and on() (count(count_over_time(t[4s])))", id="a constant instead of nothing"),
        pytest.param("sum((increase(a[{{window}}]) or vector(0)) + (increase(b{x=\"y\"}[{{window}}]) or vector(0)))", " and on() (count(count_over_time(a[4s])) or count(count_over_time(b{x=\"y\"}[4s])))", id="one of two series is data"),
        pytest.param("sum(increase(t[{{window}}]))", "", id="without a constant nothing is added"),
        pytest.param("vector(1) + 0 * count_over_time(vector(1)[{{window}}:])", "", id="without a series nothing is missing"),
    ],
)  # fmt: skip
def test_a_constant_in_place_of_missing_data_is_not_covered(total: str, covered: str) -> None:
    inner = f"sum({total.replace('{{window}}', '4s')}\n){covered}"
    assert promql.coverage_expression(total, MINUTE, SECOND).startswith(f"count_over_time(({inner})[1m:1s])")


NO_SERIES_TOTAL = Unknown(slo.NO_SERIES, "spec.slo.sli.total matches no series in the window")


@pytest.mark.parametrize(
    ("sli", "values", "reading"),
    [
        pytest.param(BY_GOOD, {"good_1m": 80, "total_1m": 100, "covered_1m": 1}, Value(20, 100, 1.0), id="80 good of 100"),
        pytest.param(BY_BAD, {"bad_1m": 20, "total_1m": 100, "covered_1m": 0.5}, Value(20, 100, 0.5), id="20 bad of 100, half seen"),
        pytest.param(BY_BAD, {"total_1m": 100, "covered_1m": 1}, Value(0, 100, 1.0), id="no bad series: nothing bad happened"),
        pytest.param(BY_GOOD, {"total_1m": 100, "covered_1m": 1}, Value(100, 100, 1.0), id="no good series at all: none of the events was good"),
        pytest.param(BY_GOOD, {"good_1m": 80}, NO_SERIES_TOTAL, id="no total"),
        pytest.param(BY_GOOD, {}, NO_SERIES_TOTAL, id="an empty answer"),
        pytest.param(BY_GOOD, {"good_1m": 0, "total_1m": 0, "covered_1m": 1}, Unknown(slo.NO_EVENTS, "spec.slo.sli.total is 0 in the window"), id="nothing happened"),
        pytest.param(BY_GOOD, {"good_1m": float("nan"), "total_1m": 1}, Unknown(slo.NAN, "spec.slo.sli gave NaN"), id="not a number"),
        pytest.param(BY_GOOD, {"good_1m": 1, "total_1m": float("inf")}, Unknown(slo.INFINITE, "spec.slo.sli gave an infinity"), id="infinite"),
        pytest.param(BY_BAD, {"bad_1m": -1, "total_1m": 2}, Unknown(slo.NEGATIVE, "spec.slo.sli gave -1; counts are never below zero"), id="negative"),
        pytest.param(BY_BAD, {"bad_1m": 100.2, "total_1m": 100, "covered_1m": 1}, Value(100, 100, 1.0), id="bad above total by extrapolation is cut"),
        pytest.param(BY_GOOD, {"good_1m": 100.2, "total_1m": 100, "covered_1m": 1}, Value(0, 100, 1.0), id="good above total by extrapolation is cut"),
        pytest.param(BY_GOOD, {"good_1m": 80, "total_1m": 100}, Value(20, 100, 0.0), id="no point of the window is covered"),
        pytest.param(BY_GOOD, {"good_1m": 80, "total_1m": 100, "covered_1m": 1.01}, Value(20, 100, 1.0), id="coverage is at most 1"),
    ],
)  # fmt: skip
def test_the_reading_of_a_window(sli: Sli, values: dict[str, float], reading: Reading) -> None:
    parsed = promql.parse(numbers(**values), sli, [MINUTE], {})
    assert parsed.windows == {MINUTE: reading}


WHOLE = {"good_1m": 90, "bad_1m": 10, "total_1m": 100, "covered_1m": 0.9}


@pytest.mark.parametrize(
    ("sli", "values", "reading"),
    [
        pytest.param(BY_GOOD, WHOLE | {"good_1m_v2": 8, "total_1m_v2": 10}, Value(2, 10, 0.9), id="its own counts, the coverage of all"),
        pytest.param(BY_GOOD, WHOLE | {"total_1m_v2": 10}, Value(10, 10, 0.9), id="no good series where others have one: all its events are bad"),
        pytest.param(BY_BAD, WHOLE | {"total_1m_v2": 10}, Value(0, 10, 0.9), id="no bad series: none of its events is bad"),
        pytest.param(BY_GOOD, WHOLE, NO_SERIES_TOTAL, id="this version is not there"),
        pytest.param(BY_GOOD, {"total_1m_v2": 10}, NO_SERIES_TOTAL, id="nothing overall: the telemetry is not there"),
        pytest.param(BY_GOOD, WHOLE | {"total_1m_v2": 0}, Unknown(slo.NO_EVENTS, "spec.slo.sli.total is 0 in the window"), id="it serves nobody"),
        pytest.param(Sli(good="g[{{window}}]", total=TOTAL), WHOLE | {"good_1m_v2": 8, "total_1m_v2": 10}, Unknown(slo.NOT_BY_VERSION, 'spec.slo.sli: write {{pods}} into both expressions, for example pod=~"{{pods}}"; or {{version}}'), id="an SLI without {{version}} says nothing of one"),
    ],
)  # fmt: skip
def test_the_reading_of_a_version(sli: Sli, values: dict[str, float], reading: Reading) -> None:
    parsed = promql.parse(numbers(**values), sli, [], VERSIONS)
    assert parsed.versions == {"v2": reading}


def test_everything_asked_has_a_reading() -> None:
    parsed = promql.parse([], BY_GOOD, [MINUTE, 5 * SECOND], VERSIONS)
    assert set(parsed.windows) == {MINUTE, 5 * SECOND}
    assert set(parsed.versions) == {"v2"}


@pytest.mark.parametrize(
    ("sli", "counts"),
    [
        pytest.param(BY_GOOD, True, id="increases of the window"),
        pytest.param(Sli(bad="sum(increase(b[{{window}}] offset 1m))", total=TOTAL), False, id="an increase of an earlier time"),
        pytest.param(Sli(bad="sum(sum_over_time(b[{{window}}]))", total=TOTAL), False, id="a sum of recorded values"),
        pytest.param(Sli(bad=BAD, total="sum(increase(t[{{window}}])) + sum(delta(u[{{window}}]))"), False, id="not of all parts"),
        pytest.param(Sli(bad="sum(increase(b[5m])) + 0 * sum(x[{{window}}:])", total=TOTAL), False, id="an increase of a fixed range"),
    ],
)  # fmt: skip
def test_births_are_counted_where_all_ranges_are_increases(sli: Sli, counts: bool) -> None:
    assert promql.counts_births(sli) is counts
    split = "\n".join(promql.split_parts(sli, "v2", promql.Split("v2", MINUTE)))
    for query in (split, promql.window_query(sli, [MINUTE], {}, SECOND), promql.counts_query(sli, MINUTE)):
        assert ("max_over_time" in query) is counts


def test_where_the_service_was_known_before_is_asked_of_all_versions() -> None:
    (good, _) = promql.split_parts(BY_GOOD, "v2", promql.Split("v2", MINUTE))
    assert 'count(count_over_time(answers{version=~".*"}[1h] offset 1m))' in good


@pytest.mark.parametrize(
    ("total", "query"),
    [
        pytest.param("sum(increase(t[{{window}}]))", "time() - max(max_over_time(timestamp(t)[10m:15s]))", id="one series"),
        pytest.param("sum(increase(t[{{window}}] offset 1m)) + sum(increase(u[{{window}}]))", "time() - max(max_over_time(timestamp(t)[10m:15s]) or max_over_time(timestamp(u)[10m:15s]))", id="two, without their offsets"),
        pytest.param("vector(1) + 0 * count_over_time(vector(1)[{{window}}:])", "", id="none"),
    ],
)  # fmt: skip
def test_the_age_of_the_newest_sample(total: str, query: str) -> None:
    assert promql.lag_query(Sli(bad=BAD, total=total), 15 * SECOND) == query


def test_the_error_ratio_over_time() -> None:
    assert promql.range_query(Sli(good="g[{{window}}]", total="t[{{window}}]"), 5 * SECOND) == (
        'label_replace(clamp_min(1 - sum(g[5s]\n) / sum(t[5s]\n), 0), "opsloop", "ratio:5s", "", "")'
    )
    assert promql.range_query(Sli(bad="b[{{window}}]", total="t[{{window}}]"), 5 * SECOND) == (
        'label_replace(clamp_max((sum(b[5s]\n) or 0 * sum(t[5s]\n)) / sum(t[5s]\n), 1), "opsloop", "ratio:5s", "", "")'
    )


def test_each_expression_alone_is_named_by_its_field() -> None:
    assert promql.single_queries(Sli(bad="b[{{window}}]", total="t[{{window}}]"), MINUTE) == {
        "spec.slo.sli.bad": "sum(b[1m]\n)",
        "spec.slo.sli.total": "sum(t[1m]\n)",
    }
