"""PromQL made of a structured SLI. What it reads is in tests/shell/slo/test_structured.py."""

import re

import pytest

from opsloop.core.slo import structured
from opsloop.core.slo.expression import form


@pytest.mark.parametrize(
    ("bound", "spelled", "others"),
    [
        pytest.param(1, ["1", "1.0", "1.00", "1e+00", "1e0"], ["10", "0.1", "11", "1.5", "1e+01"], id="a whole number"),
        pytest.param(0.3, ["0.3", "0.30", "3e-01"], ["3", "0.03", "0.35", "10.3"], id="a fraction"),
        pytest.param(0.005, ["0.005", "0.0050", "5e-03"], ["0.05", "0.0051"], id="a small one"),
        pytest.param(2.5, ["2.5", "2.50", "2.5e+00"], ["25", "2.55", "12.5"], id="more than one"),
        pytest.param(2_500_000, ["2500000", "2500000.0", "2.5e+06", "2.5e6"], ["250000", "2.5e+05", "2.5e+60"], id="as Go prints large ones"),
    ],
)  # fmt: skip
def test_spellings_of_a_bound(bound: float, spelled: list[str], others: list[str]) -> None:
    pattern = re.compile(structured.spellings(bound))
    assert [text for text in spelled if not pattern.fullmatch(text)] == []
    assert [text for text in others if pattern.fullmatch(text)] == []


def test_every_increase_of_an_expression_counts_births() -> None:
    query = 'sum(increase(a{v="{{version}}"}[{{window}}])) - sum(increase(b[{{window}}]))'
    found = form(query)
    assert found is not None
    made = structured.with_births(query, found.increases, "all")
    known = "count(count_over_time(all[1h] offset {{window}}))"
    for name in ('a{v="{{version}}"}', "b"):
        increase, most = f"increase({name}[{{{{window}}}}])", f"max_over_time({name}[{{{{window}}}}])"
        before = f"count_over_time({name}[1h] offset {{{{window}}}})"
        assert (
            f"(((({most} > {increase} or {increase} or {most}) unless {before}) and on() {known}) or {increase})"
            in made
        )
    assert made.startswith("sum((((") and made.endswith("))")
