"""The judgement of a canary on its evidence: good enough, rejected, inconclusive, and what is said about it."""

from dataclasses import replace
from datetime import timedelta
from math import inf

import pytest

from opsloop.api.slo import Sli, Slo, Tier
from opsloop.api.strategy import Analysis
from opsloop.core.slo import canary
from opsloop.core.statistics.evidence import Evidence, Interval
from tests.builders.objects import verdict

SLI = Sli(good="g[{{window}}]", total="t[{{window}}]")
SLO = Slo(objective=0.99, sli=SLI)
ANALYSIS = Analysis(warm_up=timedelta(0))
Counts = tuple[float, float]


def seen(canary_: Counts, live: Counts, intervals: int = 5, analysis: Analysis = ANALYSIS, more: Evidence | None = None,
         compared: bool = True) -> Evidence:  # fmt: skip
    """The evidence of equal intervals of a minute: (bad, total) of both."""
    evidence = more or Evidence(canary.terms_of(analysis, SLO.objective, compared))
    for _ in range(intervals):
        evidence = evidence.after(Interval(evidence.until, evidence.until + 60, *canary_, *live))
    return evidence


SHARED_OUTAGE = seen((30, 100), (120, 400), 3, more=seen((0, 100), (1, 400)))


@pytest.mark.parametrize(
    ("evidence", "verdict", "reason"),
    [
        pytest.param(seen((0, 100), (1, 400)), "good", "GoodEnough", id="no bad event of 500"),
        pytest.param(seen((1, 100), (4, 400)), "good", "GoodEnough", id="just at the objective, as live is: no reason to hold"),
        pytest.param(seen((20, 100), (0, 400)), "reject", "WorseThanLive", id="every fifth answer is wrong, live's are right"),
        pytest.param(seen((20, 100), (0, 0), compared=False), "reject", "BelowAbortBelow", id="no live to compare with: the floor decides"),
        pytest.param(seen((20, 100), (80, 400)), "inconclusive", "LiveUnhealthy", id="both suffer alike: nobody is blamed"),
        pytest.param(seen((0, 100), (200, 400)), "good", "GoodEnough", id="a fix goes on while live fails"),
        pytest.param(seen((2, 100), (200, 400)), "good", "GoodEnough", id="so does one that helps, though not enough"),
        pytest.param(SHARED_OUTAGE, "good", "GoodEnough", id="an outage that both shared holds nobody who was good before"),
        pytest.param(seen((0, 4), (0, 16)), "inconclusive", "TooFewEvents", id="20 events rule nothing out"),
        pytest.param(seen((0, 4), (0, 16), 20), "good", "GoodEnough", id="however slowly they come, enough are enough"),
        pytest.param(seen((13, 100), (30, 400), analysis=Analysis(margin=3, abort_below=0.5)), "inconclusive", "Undecided", id="many bad events, within a wide margin"),
        pytest.param(seen((0.2, 100), (0, 400), 500), "good", "GoodEnough", id="surely worse than live, but below a quarter of the budget"),
        pytest.param(seen((9, 100), (0, 400), analysis=Analysis(ignore_below=0.2)), "good", "GoodEnough", id="a written ignoreBelow excuses more, up to what pages"),
        pytest.param(seen((50, 100), (0, 400), 1), "inconclusive", "Undecided", id="one interval rejects nobody, and passes nobody who is bad in it"),
    ],
)  # fmt: skip
def test_a_canary(evidence: Evidence, verdict: str, reason: str) -> None:
    judged = canary.judge(SLO, 20, evidence)
    assert (judged.verdict, judged.reason) == (verdict, reason)


def test_min_events_count_since_the_canary_took_traffic() -> None:
    assert canary.judge(SLO, 500, seen((0, 100), (0, 400), 4)).reason == "TooFewEvents"
    assert canary.judge(SLO, 500, seen((0, 100), (0, 400), 5)).reason == "GoodEnough"


@pytest.mark.parametrize(
    ("slo", "limit"),
    [
        pytest.param(SLO, 0.144, id="the fastest tier that pages: 14.4 x 1 %"),
        pytest.param(Slo(objective=0.999, sli=SLI), 0.0144, id="a tighter objective"),
        pytest.param(Slo(objective=0.9, sli=SLI), 0.5, id="a loose one: 6 x 10 % says little, a half is the most"),
        pytest.param(Slo(objective=0.99, sli=SLI, tiers=[Tier(long="1h", short="5m", factor=3, severity="sev3")]), 0.03, id="no tier pages: the fastest of all"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_the_error_ratio_that_must_be_ruled_out(slo: Slo, limit: float) -> None:
    assert canary.limit_of(slo) == pytest.approx(limit)


def test_the_events_that_a_good_canary_needs_are_those_after_which_it_is_good() -> None:
    terms = canary.terms_of(ANALYSIS, SLO.objective, compared=True)
    needed = canary.events_needed(1, canary.limit_of(SLO), SLO, terms)
    assert 20 < needed < 100
    within = canary.judge(SLO, 1, seen((0.005 * 1.01 * needed, 1.01 * needed), (0, 400), 1))
    short = canary.judge(SLO, 1, seen((0.005 * 0.9 * needed, 0.9 * needed), (0, 400), 1))
    assert (within.reason, short.reason) == ("GoodEnough", "TooFewEvents")


def test_the_time_that_is_missing_goes_by_the_canarys_own_rate() -> None:
    slow = seen((0, 4), (0, 16))
    missing = canary.seconds_missing(SLO, 20, slow)
    needed = canary.events_needed(20, canary.limit_of(SLO), SLO, slow.terms)
    assert missing == pytest.approx((needed - 20) * 15 * 20 / 21)  # as if the next event came now
    assert canary.seconds_missing(SLO, 20, seen((0, 100), (0, 400))) == 0
    assert canary.seconds_missing(SLO, 20, seen((0, 0), (0, 400))) < 3 * 3600  # none in five minutes is not "never"


def test_traffic_is_read_from_the_longest_known_window() -> None:
    assert canary.traffic(verdict(0.0)) == pytest.approx(1000 / 60)
    assert canary.traffic(verdict(None)) is None and canary.traffic(None) is None


def test_a_reject_shows_both_sides() -> None:
    judged = canary.judge(SLO, 20, seen((20, 100), (1, 400)))
    assert judged.message == "WorseThanLive: canary 20.00% bad of 500 events, live 0.25% of 2000"


def test_a_message_that_waits_changes_once_per_tenth_only() -> None:
    terms = seen((0, 1), (0, 4), 1)
    messages = {canary.judge(SLO, 1000, replace(terms, total=n)).message for n in range(400, 499)}
    assert messages == {"about 400 events of the canary, 1000 would rule out 14.4% bad"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0.2, "1s", id="a moment"),
        pytest.param(59, "50s", id="below a minute"),
        pytest.param(95, "1m", id="a minute and a half"),
        pytest.param(3500, "50m", id="nearly an hour"),
        pytest.param(100_000, "1d", id="more than a day"),
        pytest.param(2e6, "20d", id="weeks"),
        pytest.param(inf, "more than a year", id="for ever"),
    ],
)
def test_rough_durations(seconds: float, text: str) -> None:
    assert canary.rough_duration(seconds) == text
