"""What counters carried over a gap in the telemetry: asked of the model of Prometheus, on samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from opsloop.api.slo import Latency, Requests, Sli, Slo, Tier
from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo import burn_rate, carried
from opsloop.core.slo.pods import Scope
from opsloop.simulator.prometheus.engine import Engine
from opsloop.simulator.prometheus.store import Store

SCRAPE, MINUTE, HOUR = timedelta(seconds=15), timedelta(minutes=1), timedelta(hours=1)
NOW = 180  # minutes; the window of an hour begins at 120
SCOPE = Scope("shop", "web")
RAW = Sli(bad="sum(increase(errors_total[{{window}}]))", total="sum(increase(requests_total[{{window}}]))")


@dataclass(frozen=True)
class Pod:
    """Counts 4 events a second from `born` until `gone`, and from zero again at `anew`; all in minutes."""

    born: float = 0
    gone: float = NOW
    anew: float = float("inf")


def share(*pods: Pod, gap: tuple[float, float]) -> float:
    """What is carried in the last hour, where Prometheus was away in the gap."""
    store = Store()
    store.advance(10**12)
    for number, pod in enumerate(pods):
        for scrape in range(NOW * 4 + 1):
            at = scrape / 4
            if pod.born <= at <= pod.gone and not gap[0] < at < gap[1]:
                counted = 240.0 * (at - (pod.anew if at >= pod.anew else pod.born))
                store.append({"__name__": "requests_total", "pod": f"web-{number}"}, round(at * 60_000), counted)
    _, answer = Engine(store).instant(carried.query(RAW, SCOPE, [HOUR], SCRAPE), NOW * 60_000)
    assert len(answer) <= 1
    return round(answer[0][1], 2) if answer else 0.0


@pytest.mark.parametrize(
    ("pods", "gap", "expected"),
    [
        pytest.param([Pod(), Pod()], (140, 160), 1.0, id="all pods were there before the gap and are there after it"),
        pytest.param([Pod(), Pod(gone=150)], (140, 160), 0.75, id="one died in the gap: what it counted there went with it"),
        pytest.param([Pod(anew=150)], (140, 160), 0.0, id="its counter began again in the gap"),
        pytest.param([Pod(), Pod(anew=170)], (140, 160), 0.5, id="one began again after the gap: nobody knows what it did in it"),
        pytest.param([Pod(gone=130), Pod(born=130)], (140, 160), 0.83, id="born in the window before the gap"),
        pytest.param([Pod(gone=150), Pod(born=150)], (140, 160), 0.5, id="rolled out in the gap: the old pods' last events are lost"),
        pytest.param([Pod(), Pod()], (110, 130), 0.0, id="the window begins in the gap: what came before it is not in the increase"),
        pytest.param([Pod(), Pod()], (140, 179.5), 1.0, id="Prometheus is back for two scrapes"),
        pytest.param([Pod(gone=139), Pod(gone=139)], (140, 160), 0.0, id="nobody is there any more"),
        pytest.param([Pod(born=125)], (140, 160), 0.0, id="the service itself is new: nobody can tell a birth from a first scrape"),
    ],
)  # fmt: skip
def test_events_are_carried_by_who_was_there_all_the_time(
    pods: list[Pod], gap: tuple[float, float], expected: float
) -> None:
    assert share(*pods, gap=gap) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("sli", "series"),
    [
        pytest.param(RAW, "requests_total", id="PromQL that is the increase of one counter"),
        pytest.param(
            Sli(requests=Requests(counter="http_total", selector='job="web"', bad='code="500"')),
            'http_total{job="web"}',
            id="a structured SLI of requests",
        ),
        pytest.param(
            Sli(latency=Latency(histogram="took", selector='job="web"', threshold=1)),
            'took_count{job="web"}',
            id="a classic histogram, by what counts all durations",
        ),
        pytest.param(
            Sli(latency=Latency(histogram="took", selector='job="web"', threshold=1, native=True)),
            "",
            id="a native histogram is not asked",
        ),
        pytest.param(
            Sli(bad="sum(sum_over_time(e[{{window}}]))", total="sum(sum_over_time(r[{{window}}]))"),
            "",
            id="gauges carry nothing over a gap",
        ),
        pytest.param(
            Sli(bad="sum(increase(e[{{window}}]))", total="sum(increase(a[{{window}}])) + sum(increase(b[{{window}}]))"),
            "",
            id="two counters are not asked",
        ),
    ],
)  # fmt: skip
def test_it_is_asked_of_one_counter(sli: Sli, series: str) -> None:
    query = carried.query(sli, SCOPE, [HOUR], SCRAPE)
    assert bool(query) == bool(series)
    assert f"increase({series}[1h])" in query or not series


def test_a_window_that_a_few_scrapes_fill_is_not_asked() -> None:
    assert carried.query(RAW, SCOPE, [8 * SCRAPE], SCRAPE) == ""
    assert carried.query(RAW, SCOPE, [HOUR, 5 * MINUTE], SCRAPE).count("carried:") == 2


TIER = Tier(long=HOUR, short=5 * MINUTE, factor=14.4, severity="sev1")
SLO = Slo(objective=0.99, sli=RAW, tiers=[TIER])
AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        pytest.param({HOUR: Value(160, 1000, 0.7), 5 * MINUTE: Value(16, 100)}, {HOUR}, id="only the gap keeps it from firing"),
        pytest.param({HOUR: Value(160, 1000, 0.7), 5 * MINUTE: Value(16, 100, 0.8)}, {HOUR, 5 * MINUTE}, id="both windows have one"),
        pytest.param({HOUR: Value(130, 1000, 0.7), 5 * MINUTE: Value(16, 100)}, set(), id="below the factor also without a gap"),
        pytest.param({HOUR: Value(160, 1000, 0.7), 5 * MINUTE: Value(1, 100)}, set(), id="it is over"),
        pytest.param({HOUR: Value(300, 1000, 0.7), 5 * MINUTE: Value(30, 100)}, set(), id="it fires with the gap"),
        pytest.param({HOUR: Value(4, 20, 0.7), 5 * MINUTE: Value(4, 20)}, set(), id="too few bad events"),
        pytest.param({HOUR: Value(160, 1000, 0.7), 5 * MINUTE: Unknown("NoSeries")}, set(), id="the short window is not known"),
    ],
)  # fmt: skip
def test_a_window_is_doubtful_where_its_gap_alone_keeps_a_tier_from_firing(
    readings: Mapping[timedelta, Reading], expected: set[timedelta]
) -> None:
    assert carried.doubtful(SLO, burn_rate.judge(SLO, readings, AT)) == expected


@dataclass(frozen=True)
class Answer:
    labels: Mapping[str, str]
    value: float


@pytest.mark.parametrize(
    ("value", "coverage"),
    [
        pytest.param(1.0, 1.0, id="all carried: nothing is missing"),
        pytest.param(0.5, 0.8, id="half of it"),
        pytest.param(0.0, 0.6, id="nothing"),
        pytest.param(float("nan"), 0.6, id="no events at all"),
        pytest.param(1.0000001, 1.0, id="rounding gives no coverage above 1"),
    ],
)
def test_the_coverage_rises_with_what_was_carried(value: float, coverage: float) -> None:
    standing: dict[timedelta, Reading] = {HOUR: Value(1, 10, 0.6), MINUTE: Value(1, 10, 0.5), SCRAPE: Unknown("x")}
    raised = carried.raised(standing, carried.shares([Answer({"opsloop": "carried:1h"}, value)], {HOUR, SCRAPE}))
    hour = raised.pop(HOUR)
    assert isinstance(hour, Value)
    assert hour.coverage == pytest.approx(coverage)
    assert raised == {MINUTE: standing[MINUTE], SCRAPE: standing[SCRAPE]}
