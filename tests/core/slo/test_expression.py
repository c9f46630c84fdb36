"""What an expression's text says of its values."""

import pytest

from opsloop.core.slo.expression import Unit, form, in_a_name


@pytest.mark.parametrize(
    ("query", "unit"),
    [
        pytest.param("sum(increase(x[5m]))", Unit.COUNT, id="a count"),
        pytest.param("sum by (a, b) (rate(x[5m]))", Unit.RATE, id="a sum of rates is a rate"),
        pytest.param("sum(irate(x[5m])) without (a)", Unit.RATE, id="labels may follow"),
        pytest.param("-sum(deriv(x[5m]))", Unit.RATE, id="a sign changes nothing"),
        pytest.param("round(clamp_min(rate(x[5m]), 0))", Unit.RATE, id="nor does rounding"),
        pytest.param("rate(x[5m]) or vector(0)", Unit.RATE, id="nor does a constant in place of missing data"),
        pytest.param("rate(x[5m]) > 0", Unit.RATE, id="nor does a filter"),
        pytest.param("rate(x[5m]) unless on (pod) y", Unit.RATE, id="nor does another series that filters"),
        pytest.param("sum(rate(x[5m])) * 60", Unit.RATE, id="per minute is a rate"),
        pytest.param("60 * sum(rate(x[5m]))", Unit.RATE, id="from the left too"),
        pytest.param("sum(rate(x[5m])) - sum(rate(y[5m]))", Unit.RATE, id="a difference of rates"),
        pytest.param("rate(x[5m]) * on () group_left () y", Unit.OTHER, id="a rate times a series may be anything"),
        pytest.param("rate(x[5m]) * 5m", Unit.OTHER, id="a rate times a duration is what it says"),
        pytest.param("increase(x[5m]) / increase(y[5m])", Unit.RATIO, id="a ratio of counts"),
        pytest.param("1 - rate(x[5m]) / rate(y[5m])", Unit.RATIO, id="a ratio of rates, turned round"),
        pytest.param("increase(x[5m]) / increase(y[5m]) * increase(z[5m])", Unit.OTHER, id="a ratio of something"),
        pytest.param("increase(x[5m]) / 0.1", Unit.COUNT, id="a sampled count"),
        pytest.param("increase(x[5m]) / weight", Unit.OTHER, id="a count by a series may be anything"),
        pytest.param("count(rate(x[5m]) > 0)", Unit.OTHER, id="a number of series"),
        pytest.param("sum_over_time(rate(x[1m])[5m:1m])", Unit.COUNT, id="a sum of rates over time"),
        pytest.param('x{a="rate(y[5m])"} # rate(z[5m])', Unit.OTHER, id="strings and comments say nothing"),
        pytest.param("2 ^ 3", Unit.OTHER, id="a number is no count of anything"),
        pytest.param("histogram_fraction(0, 0.5, rate(x[5m]))", Unit.OTHER, id="a function of a rate is another thing"),
        pytest.param("rate", Unit.OTHER, id="a series may have a function's name"),
    ],
)
def test_the_unit_of_an_expression(query: str, unit: Unit) -> None:
    found = form(query)
    assert found is not None
    assert found.unit is unit


@pytest.mark.parametrize("query", ["", "sum(", "sum(x))", "x[5m", 'x{a="b}', "x y", "$", "(", "x[[5m]]", "sum by (a x"])
def test_what_is_no_promql_has_no_form(query: str) -> None:
    assert form(query) is None


@pytest.mark.parametrize(
    ("query", "selectors"),
    [
        pytest.param("x", [("x", False)], id="a name"),
        pytest.param('sum({__name__="x"})', [('{__name__="x"}', False)], id="a selector without a name"),
        pytest.param('increase(x{a="}"}[5m] offset -1m) - y @ end()', [('x{a="}"}[5m] offset -1m', True), ("y @ end()", False)], id="with range and modifiers"),
        pytest.param("x[5m] @ 1609746000", [("x[5m] @ 1609746000", True)], id="pinned"),
        pytest.param("max_over_time(sum(x)[1h:1m])", [("x", False)], id="within a subquery"),
        pytest.param("x[1h:]", [("x", False)], id="the range of a subquery is not its own"),
        pytest.param("vector(1)", [], id="none"),
    ],
)  # fmt: skip
def test_the_selectors_of_an_expression(query: str, selectors: list[tuple[str, bool]]) -> None:
    found = form(query)
    assert found is not None
    assert [(s.text, s.ranged) for s in found.selectors] == selectors


@pytest.mark.parametrize(
    ("query", "named"),
    [
        pytest.param("errors:increase7m", True, id="a part of a name"),
        pytest.param('errors{window="7m"}', True, id="a label's value"),
        pytest.param("increase(x[7m])", False, id="a range"),
        pytest.param("max_over_time(x[1h:7m])", False, id="a subquery's step"),
        pytest.param("x offset 7m", False, id="an offset"),
        pytest.param("x{ 7m $", False, id="nobody can say"),
    ],
)
def test_a_duration_in_a_name(query: str, named: bool) -> None:
    assert in_a_name(query, "7m") is named


@pytest.mark.parametrize(
    ("query", "increases"),
    [
        pytest.param('sum(increase(x{a="b"}[5m])) or vector(0)', [('x{a="b"}', "[5m]")], id="one"),
        pytest.param("sum(increase(x[5m])) - sum(increase( y [ 5m ] ))", [("x", "[5m]"), ("y", " [ 5m ]")], id="two"),
        pytest.param('sum(increase(x{v="{{version}}"}[{{window}}]))', [('x{v="{{version}}"}', "[{{window}}]")], id="with placeholders"),
        pytest.param("increase(x[5m] offset 1m)", [], id="of an earlier time"),
        pytest.param("increase(sum(x)[5m:1m])", [], id="of an expression"),
        pytest.param("increase((x[5m]))", [], id="in brackets of its own"),
        pytest.param("rate(x[5m])", [], id="another function"),
    ],
)  # fmt: skip
def test_the_increases_of_an_expression(query: str, increases: list[tuple[str, str]]) -> None:
    found = form(query)
    assert found is not None
    assert [(one.selector, one.range) for one in found.increases] == increases
    assert all(query[one.start : one.end].startswith("increase(") for one in found.increases)
