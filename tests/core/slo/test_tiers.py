"""Burn-rate tiers: those of the spec, the defaults of a period, the defaults that are left out."""

from datetime import timedelta

import pytest

from opsloop.api.meta import format_duration
from opsloop.api.slo import Sli, Slo, Tier
from opsloop.core.slo.tiers import default_tiers, dropped_tiers, tiers_of, windows_of

SLI = Sli(good="g[{{window}}]", total="t[{{window}}]")
FAST = Tier(long=timedelta(minutes=1), short=timedelta(seconds=5), factor=14.4, severity="sev1")


def objective(*tiers: Tier, share: float = 0.99) -> Slo:
    return Slo(objective=share, sli=SLI, tiers=list(tiers))


def described(tiers: list[Tier]) -> list[tuple[str, str, float, str]]:
    return [(format_duration(t.long), format_duration(t.short), t.factor, t.severity) for t in tiers]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        pytest.param(
            30,
            [
                ("1h", "5m", 14.4, "sev1"),
                ("6h", "30m", 6, "sev2"),
                ("1d", "2h", 3, "sev3"),
                ("3d", "6h", 1, "sev3"),
            ],
            id="thirty days have the four tiers that the SRE workbook names",
        ),
        pytest.param(
            28,
            [
                ("1h", "5m", 13.44, "sev1"),
                ("6h", "30m", 5.6, "sev2"),
                ("1d", "2h", 2.8, "sev3"),
                ("3d", "6h", 0.933333, "sev3"),
            ],
            id="four weeks keep the windows and scale the factors, so that the share of the budget is the same",
        ),
        pytest.param(
            90,
            [
                ("1h", "5m", 43.2, "sev1"),
                ("6h", "30m", 18, "sev2"),
                ("1d", "2h", 9, "sev3"),
                ("3d", "6h", 3, "sev3"),
            ],
            id="a quarter lets the same share of a larger budget go in the same windows",
        ),
        pytest.param(
            7,
            [
                ("14m", "1m10s", 14.4, "sev1"),
                ("1h24m", "7m", 6, "sev2"),
                ("5h36m", "28m", 3, "sev3"),
                ("16h48m", "1h24m", 1, "sev3"),
            ],
            id="a week shrinks the windows, because a factor below 1 would fire within the budget",
        ),
    ],
)
def test_default_tiers_of_a_period(days: int, expected: list[tuple[str, str, float, str]]) -> None:
    tiers, dropped = default_tiers(0.999, timedelta(days=days))
    assert described(tiers) == expected
    assert dropped == []


@pytest.mark.parametrize(
    ("target", "factors"),
    [
        pytest.param(0.99, [14.4, 6, 3, 1], id="99 % can burn 100 times and reaches every tier"),
        pytest.param(0.93, [6, 3, 1], id="93 % burns at most 14.29 times and cannot reach 14.4"),
        pytest.param(0.8, [3, 1], id="80 % burns at most 5 times"),
        pytest.param(0.6, [1], id="60 % burns at most 2.5 times and keeps the slowest tier"),
    ],
)
def test_default_tiers_that_the_objective_cannot_reach_are_dropped(target: float, factors: list[float]) -> None:
    tiers, dropped = default_tiers(target, timedelta(days=30))
    assert [t.factor for t in tiers] == factors
    assert len(dropped) == 4 - len(factors)


def test_a_dropped_tier_says_why() -> None:
    _, dropped = default_tiers(0.93, timedelta(days=30))
    assert dropped == [
        "The default tier 1h & 5m at 14.4 is left out: with an objective of 0.93 the burn rate is at most 14.29"
        " and never exceeds 14.4"
    ]


def test_written_tiers_replace_the_defaults() -> None:
    assert tiers_of(objective(FAST)) == [FAST]
    assert windows_of(objective(FAST)) == {FAST.long, FAST.short}
    assert len(tiers_of(objective())) == 4


def test_only_default_tiers_are_left_out() -> None:
    assert len(dropped_tiers(objective(share=0.93))) == 1
    assert dropped_tiers(objective()) == dropped_tiers(objective(FAST, share=0.93)) == []
