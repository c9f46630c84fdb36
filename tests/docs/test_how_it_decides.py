"""docs/how-it-decides.md has the constants and defaults of the code."""

import re
from datetime import timedelta

import pytest

from opsloop.api.meta import format_duration
from opsloop.api.strategy import Analysis
from opsloop.core.incident import dependencies
from opsloop.core.release import outages
from opsloop.core.slo.tiers import budget_of, default_tiers
from opsloop.core.statistics import evidence, sequential
from tests.docs.test_architecture import ROOT, missing, quoted

PAGE = ROOT / "docs" / "how-it-decides.md"
TEXT = PAGE.read_text()
MONTH = timedelta(days=30)
CAMEL = re.compile(r"_([a-z])")


def rows(heading: str) -> list[list[str]]:
    """Cells of the table whose first heading is this, without its two heading rows."""
    after = TEXT.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in after]


def test_it_names_files_that_exist() -> None:
    assert [gone for text in quoted(PAGE) if (gone := missing(text))] == []


def test_the_default_tiers() -> None:
    tiers, dropped = default_tiers(0.999, MONTH)
    assert not dropped
    shown = [(row[0], float(row[1]), row[2].split(",")[0], row[3]) for row in rows("default tier")]
    assert shown == [
        (
            f"{format_duration(tier.long)} & {format_duration(tier.short)}",
            tier.factor,
            tier.severity,
            f"{tier.factor * (tier.long / MONTH):.0%}".replace("%", " %"),
        )
        for tier in tiers
    ]


def closed_form(ratio: float, objective: float) -> str:
    """The first tier that fires, the worst severity first, and when."""
    budget = budget_of(objective)
    tiers = [tier for tier in default_tiers(objective, MONTH)[0] if ratio > tier.factor * budget]
    tier = min(tiers, key=lambda tier: (tier.severity, tier.long * tier.factor))
    after = tier.long * (tier.factor * budget / ratio)
    return f"{tier.severity} after {spelled(after)}"


def spelled(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    parts = ((seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s"))
    return " ".join(f"{number}{unit}" for number, unit in parts if number)


@pytest.mark.parametrize(("words", "ratio"), [("all", 1.0), ("half", 0.5), ("20 %", 0.2), ("5 %", 0.05), ("2 %", 0.02)])
def test_the_times_in_closed_form(words: str, ratio: float) -> None:
    (row,) = [row for row in rows("requests that fail") if row[0] == words]
    assert row[1:] == [closed_form(ratio, objective) for objective in (0.99, 0.995, 0.999)]


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ("margin", "1.5"), ("false_rejects", "0.01"), ("warm_up", "1m"), ("min_events", "20"), ("patience", "1h"), ("inconclusive", "hold"),
    ],
)  # fmt: skip
def test_the_defaults_of_the_analysis(field: str, shown: str) -> None:
    default = Analysis.model_fields[field].default
    assert (format_duration(default) if isinstance(default, timedelta) else str(default)) == shown
    name = CAMEL.sub(lambda letter: letter[1].upper(), field)
    (row,) = [row for row in rows("field of `analysis`") if f"`{name}`" in row[0]]
    assert shown in row[1]


def test_the_constants_of_the_tests() -> None:
    assert f"r = {sequential.RATE_RATIOS[0]} … {sequential.RATE_RATIOS[-1]:.0f}" in TEXT
    assert sequential.CUT == 0.5 and "α^−½" in TEXT
    assert evidence.RESTART == 600 and "every 10 minutes" in TEXT


def test_the_constants_of_outages_and_dependencies() -> None:
    assert f"at {dependencies.NEARLY:.0%} of it".replace("%", " %") in TEXT
    assert f"for {outages.OUTAGE_AFTER.total_seconds():.0f} s" in TEXT
