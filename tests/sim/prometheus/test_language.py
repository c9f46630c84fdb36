"""The text of expressions: what they mean, what Prometheus refuses, what the model does not support."""

from datetime import UTC, datetime, timedelta
from math import inf, nan

import pytest

from opsloop.errors import Invalid
from opsloop.shell.ports import Sample
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.prometheus.arithmetic import divide, larger, modulo, power, smaller
from opsloop.simulator.prometheus.buckets import quantile, upper_bound
from opsloop.simulator.prometheus.engine import Engine
from opsloop.simulator.prometheus.parser import parse
from opsloop.simulator.prometheus.regex import translated
from opsloop.simulator.prometheus.store import Store
from opsloop.simulator.prometheus.syntax import Dialect, QueryError, Unsupported
from opsloop.simulator.prometheus.telemetry import ModelTelemetry


def computed(query: str, dialect: Dialect = Dialect.V2_53) -> float:
    store = Store()
    store.advance(600_000)
    for at in (0, 60_000, 120_000):
        store.append({"__name__": "x"}, at, at / 1000)
    _, vector = Engine(store, dialect).instant(query, 120_000)
    return vector[0][1]


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("1 + 2 * 3 ^ 2", 19),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("-2 * 3 - -1", -5),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("1 > bool 2 == bool 0", 1),
        ("7 % 4 + 0x10 + 1e1 + .5", 29.5),
        ("SUM(x) BY (a)", 120),
        ("sum by (a,) (x{})", 120),
        ("x offset 1m + x @ 60 # + 1000", 120),
        ("x offset -1m @ 0", 60),
        ("count_over_time(x[2m]) # both ends", 3),
        ("count_over_time(x[2m:1m])", 3),
        ("last_over_time(x[1m] offset 1m)", 60),
        ("{__name__=`x`, a='', b!='c\\n\\u00e4'}", 120),
        ("x or y unless x and y", 120),
        ("scalar(x) + scalar(y or x)", 240),
        ("time()", 120),
    ],
)
def test_an_expression_means(query: str, value: float) -> None:
    assert computed(query) == value


def test_in_prometheus_3_the_older_end_of_a_range_is_left_out() -> None:
    assert computed("count_over_time(x[2m])", Dialect.V3) == 2
    assert computed("count_over_time(x[2m:1m])", Dialect.V3) == 2


@pytest.mark.parametrize(
    "query",
    [
        "", "sum(", "x)", "x{", 'x{a="b}', "x{a==1}", "1 > 2", "x and 1", "sum(1)", "rate(x)", "x[5m", "x[0s]", "x[5q]",
        "sum(x)[5m]", "x offset 5m offset 5m", "1 offset 5m", "nothing(x)", "rate(x[5m], 1)", "sum(x, x)", "{}", '{a=~".*"}',
        'x{a=~"("}', 'x{__name__="y"}', "x + on(a) group_left(a) y", "x and on(a) group_left y", "1 + on(a) 2", "x +", "- 'a'",
        "x bool y", "on", "'a\\q'", "x $", "x[5m:1m", 'label_replace(x, "0", "", "", "")', "clamp(x, 1)", "x @ inf",
    ],
)  # fmt: skip
def test_what_prometheus_refuses_is_refused(query: str) -> None:
    with pytest.raises(QueryError):
        computed(query)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("topk(3, x)", "aggregation topk"),
        ("quantile by (a) (0.9, x)", "aggregation quantile"),
        ("predict_linear(x[5m], 3600)", "predict_linear()"),
        ("histogram_count(x)", "histogram_count()"),
        ("x atan2 y", "atan2"),
        ('{"a.b"}', "quoted name"),
        ("x[300]", "a number as a duration"),
        ("5m + 1", "the duration 5m as a number"),
        (r'x{a=~"\\p{Greek}"}', r"\p"),
        ('x{a=~"(?U)a"}', "(?U)a"),
        ('x{a=~"(?i)ä"}', "beyond ASCII"),
        ("010", "leading zero"),
    ],
)
def test_what_the_model_does_not_support_is_named(query: str, named: str) -> None:
    with pytest.raises(Unsupported) as caught:
        computed(query)
    assert named in str(caught.value)
    assert "does not support" in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("5..", ["500", "5xx"], ["50", "5000", "a500", "5\n0"]),
        ("a|bc", ["a", "bc"], ["ac", "abc", ""]),
        ("", [""], ["a"]),
        ("a$|^b", ["a", "b"], ["a\n"]),
        ("a{,2}", ["a{,2}"], ["aa"]),
        ("a{2}", ["aa"], ["a"]),
        ("a{2,}?b", ["aab", "aaab"], ["ab"]),
        ("[[:digit:]x-]+", ["1x-2"], ["a", ":"]),
        (r"[\]a[&&b]+", ["]a[&b"], ["c"]),
        (r"[^\s.]+", ["abc\v"], ["a b", "a.b"]),
        (r"v1[.]2\.3\-rc", ["v1.2.3-rc"], ["v1a2.3-rc"]),
        (r"(?i)OK|(?:fine)", ["ok", "FINE"], ["o"]),
        (r"(?P<x>a)(?<y>b)", ["ab"], ["a"]),
        (r"web-[a-z0-9]{5}\z", ["web-7f9c6"], ["web-7f9c6d"]),
        (r"\d\w\s#", ["1_ #"], ["٣_ #"]),
    ],
)
def test_a_pattern_matches_as_in_re2(pattern: str, yes: list[str], no: list[str]) -> None:
    compiled = translated(pattern, dot_matches_newline=False)
    assert [text for text in yes if not compiled.fullmatch(text)] == []
    assert [text for text in no if compiled.fullmatch(text)] == []


def test_the_dot_matches_a_line_break_in_prometheus_3() -> None:
    assert translated("a.b", dot_matches_newline=True).fullmatch("a\nb")


@pytest.mark.parametrize(
    "pattern", ["(", "a)", "[a", "*a", "a**", "a++", "a{3,2}", "a{1001}", r"\k", r"(?=a)", r"(?!a)", r"(?<=a)", "(?P=a)", "[[:no:]]"]
)  # fmt: skip
def test_a_pattern_that_re2_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(QueryError, match="error parsing regexp"):
        translated(pattern, dot_matches_newline=False)


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (divide(1, 0), inf),
        (divide(-1, 0.0), -inf),
        (divide(1, -0.0), -inf),
        (divide(0, 0), nan),
        (modulo(5, 0), nan),
        (modulo(-5, 3), -2),
        (power(0, -1), inf),
        (power(-8, 1 / 3), nan),
        (power(10, 999), inf),
        (power(-10, 999), -inf),
        (smaller(nan, -inf), -inf),
        (smaller(nan, 1), nan),
        (larger(inf, nan), inf),
        (larger(2, 1), 2),
        (quantile(0.5, [(1, 10), (2, 20), (inf, 20)]), 1),
        (quantile(0.75, [(1, 10), (2, 20), (inf, 20)]), 1.5),
        (quantile(0.99, [(1, 10), (inf, 20)]), 1),
        (quantile(0.5, [(1, 10), (2, 20)]), nan),
        (quantile(0.5, [(1, 0), (inf, 0)]), nan),
        (quantile(2, [(inf, 1)]), inf),
        (quantile(0.5, [(1.0, 10), (1.0, 10), (inf, 20)]), 0.5),
    ],
)
def test_numbers_are_as_in_go(result: float, value: float) -> None:
    assert repr(float(result)) == repr(float(value))


def test_a_bucket_without_a_number_is_left_out() -> None:
    assert [upper_bound(label) for label in ("0.5", "+Inf", "", "1_0", "x")] == [0.5, inf, None, None, None]


def test_trees_of_equal_text_are_shared() -> None:
    assert parse("sum(rate(x[5m]))") is parse("sum(rate(x[5m]))")


def test_two_metrics_that_end_with_the_same_labels_are_refused_even_if_they_never_meet() -> None:
    store = Store()
    store.advance(900_000)
    store.append({"__name__": "a_total", "pod": "1"}, 0, 1.0)
    store.append({"__name__": "b_total", "pod": "1"}, 600_000, 1.0)
    with pytest.raises(QueryError, match="same labelset"):
        Engine(store).range('count_over_time({pod="1"}[1m])', 0, 600_000, 60_000)


def telemetry() -> tuple[ModelTelemetry, Store, FakeClock]:
    store, clock = Store(), FakeClock()
    return ModelTelemetry(store, clock), store, clock


async def test_the_port_sees_what_was_ingested_by_the_clock() -> None:
    model, store, clock = telemetry()
    at = clock.now()
    moment = round(at.timestamp() * 1000)
    store.append({"__name__": "x", "a": "b"}, moment, 3.0, visible=moment + 2000)
    assert await model.instant("x") == []
    clock.advance(2)
    assert await model.instant("x", at) == [Sample({"__name__": "x", "a": "b"}, 3.0, at)]
    (series,) = await model.range("x", at, at + timedelta(seconds=2), 1)
    assert series.points == tuple((at + timedelta(seconds=n), 3.0) for n in range(3))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sum(", "Prometheus refuses the query: .*parse error"),
        ("x[5m]", "The query gives a matrix, not a vector"),
        ("'x'", "The query gives a string, not a vector"),
    ],
)
async def test_a_bad_query_is_invalid_at_the_port(query: str, says: str) -> None:
    model, _, _ = telemetry()
    with pytest.raises(Invalid, match=says):
        await model.instant(query)
    assert model.unsupported == []


async def test_a_gap_of_the_model_is_no_answer_of_prometheus() -> None:
    model, _, _ = telemetry()
    with pytest.raises(Unsupported, match="topk"):
        await model.instant("topk(1, x)")
    assert model.unsupported == ["the model of Prometheus does not support the aggregation topk"]


@pytest.mark.parametrize(
    ("seconds", "step", "says"),
    [(-1, 1, "end timestamp"), (1, 0, "zero or negative"), (11_001, 1, "11,000 points")],
)
async def test_a_bad_range_is_invalid_at_the_port(seconds: int, step: float, says: str) -> None:
    model, _, _ = telemetry()
    start = datetime(2026, 1, 5, tzinfo=UTC)
    with pytest.raises(Invalid, match=says):
        await model.range("vector(1)", start, start + timedelta(seconds=seconds), step)
