"""When a breach is visible and when the SLI is back, on windows as Prometheus gives them."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.harness import sli
from e2e.harness.sli import Objective, Tier

TIER = Tier("1m", "5s", 14.4, "sev1")
SLO = Objective(0.99, "good{{window}}", "total{{window}}", (TIER, Tier("6m", "30s", 6, "sev2")), 5)


def series(*bad_percent: float, total: float = 100) -> dict[float, tuple[float, float]]:
    return {float(second): (share * total / 100, total) for second, share in enumerate(bad_percent)}


@pytest.mark.parametrize(
    ("long", "short", "since", "at"),
    [
        pytest.param(
            series(0, 5, 10, 15, 20), series(0, 20, 20, 20, 20), 0, 3, id="from when the long window is above it too"
        ),
        pytest.param(series(20, 20, 20), series(0, 0, 15), 0, 2, id="from when the short window is above it too"),
        pytest.param(series(14.4, 14.4), series(20, 20), 0, None, id="the factor itself is not above it"),
        pytest.param(series(20, 20, 20), series(20, 20, 20), 1, 1, id="not before the push"),
        pytest.param(series(20, 20, total=20), series(20, 20), 0, None, id="four bad events are too few"),
        pytest.param(series(20, 20, total=25), series(20, 20), 0, 0, id="five bad events are enough"),
        pytest.param({0.0: (20, 100)}, {1.0: (20, 100)}, 0, None, id="both windows at one and the same second"),
        pytest.param({}, {}, 0, None, id="no data is no breach"),
    ],
)
def test_a_breach_is_visible(long: Any, short: Any, since: float, at: float | None) -> None:
    assert sli.visible(SLO, TIER, long, short, since) == at


@pytest.mark.parametrize(
    ("head", "at"),
    [
        pytest.param(
            series(20, 5, *[0] * 12), 2, id="from the first second within the objective that is followed by ten more"
        ),
        pytest.param(series(20, 0, 0, 20, *[0] * 12), 4, id="a relapse begins it anew"),
        pytest.param(series(20, *[0] * 9), None, id="not held long enough"),
        pytest.param(series(20, *[1] * 12), 1, id="at the objective is within it"),
        pytest.param({**series(0, 0, 0), **{9.0 + i: (0.0, 9.0) for i in range(12)}}, 9, id="silence is not health"),
        pytest.param({}, None, id="no data is not back"),
    ],
)
def test_the_sli_is_back(head: Any, at: float | None) -> None:
    assert sli.back(SLO, head, 0) == at


def test_points_are_what_two_range_queries_say() -> None:
    queries = []

    def span(query: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        queries.append((query, start, end, step))
        if "good" in query:
            return [{"values": [[1, "90"], [2, "NaN"], [3, "101"]]}]
        return [{"values": [[1, "100"], [2, "100"], [3, "100"], [4, "0"]]}]

    slo = Objective(0.99, 'good{v=~"{{ version }}"}[{{window}}]', "total[{{window}}]", (TIER,), 5)
    assert sli.points(span, slo, "5s", 1, 4) == {1: (10, 100), 2: (100, 100), 3: (0, 100)}
    assert [query for query, *_ in queries] == ['sum(good{v=~".*"}[5s])', "sum(total[5s])"]
    assert sli.points(lambda *_: [], slo, "5s", 1, 4) == {}


def test_the_objective_is_read_from_the_release() -> None:
    tiers = [
        {"long": "6m", "short": "30s", "factor": 6, "severity": "sev2"},
        {"long": "1m", "short": "5s", "factor": 14.4, "severity": "sev1"},
    ]
    read = sli.objective_of({"spec": {"slo": {"objective": 0.99, "sli": {"good": "g", "total": "t"}, "tiers": tiers}}})
    assert (read.budget, read.head, read.min_bad) == (0.01, "5s", 5)
    assert read.tiers[1] == TIER
