"""What holds of every verdict, whatever the readings are."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from opsloop.api.meta import PAGING
from opsloop.api.slo import Sli, Slo, Tier
from opsloop.api.strategy import Analysis
from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo.canary import judge, limit_of, terms_of
from opsloop.core.slo.tiers import budget_of, default_tiers, reachable
from opsloop.core.statistics.evidence import Evidence, Interval

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
WINDOWS = [timedelta(seconds=n) for n in (5, 30, 60, 360)]
SLI = Sli(good="g[{{window}}]", total="t[{{window}}]")

shares = st.floats(0, 1)
values = st.builds(
    lambda bad, total, coverage: Value(bad * total, total, coverage), shares, st.floats(1, 1e6), shares | st.just(1.0)
)
unknowns = st.sampled_from([Unknown(slo.NO_SERIES), Unknown(slo.TIMEOUT), Unknown(slo.NAN)])
readings = st.dictionaries(st.sampled_from(WINDOWS), values | unknowns)
tiers = st.builds(
    Tier,
    long=st.sampled_from(WINDOWS[2:]),
    short=st.sampled_from(WINDOWS[:2]),
    factor=st.floats(1, 50),
    severity=st.sampled_from(["sev1", "sev2", "sev3", "sev4"]),
)
objectives = st.builds(
    Slo, objective=st.floats(0.5, 0.9999), sli=st.just(SLI), tiers=st.lists(tiers, min_size=1, max_size=4)
)


@given(objectives, readings)
def test_a_verdict_never_contradicts_itself(objective: Slo, known: dict[timedelta, Reading]) -> None:
    verdict = slo.judge(objective, known, AT)
    pages = [v for v in verdict.tiers if v.firing and v.tier.severity in PAGING]
    assert (verdict.firing is None) == (not any(v.firing for v in verdict.tiers))
    assert (verdict.band == "fast") == bool(pages)
    assert not (verdict.back and pages)
    assert not (verdict.back and verdict.burning)
    assert verdict.reason


@given(objectives, readings, st.sampled_from(WINDOWS))
def test_losing_a_reading_opens_nothing_and_clears_nothing(
    objective: Slo, known: dict[timedelta, Reading], lost: timedelta
) -> None:
    """Unknown is neither healthy nor failing: without one window no tier fires and none is back that was not before."""
    before = slo.judge(objective, known, AT)
    after = slo.judge(objective, {w: r for w, r in known.items() if w != lost}, AT)
    for old, new in zip(before.tiers, after.tiers, strict=True):
        assert new.firing is None or new.firing == old.firing
    paging = any(v.firing for v in before.tiers if v.tier.severity in PAGING)
    assert not after.back or before.back or paging


@given(objectives, readings, shares)
def test_less_coverage_never_decides_what_more_did_not(
    objective: Slo, known: dict[timedelta, Reading], share: float
) -> None:
    thinner = {w: replace(r, coverage=r.coverage * share) if isinstance(r, Value) else r for w, r in known.items()}
    before, after = slo.judge(objective, known, AT), slo.judge(objective, thinner, AT)
    for old, new in zip(before.tiers, after.tiers, strict=True):
        assert not new.firing or old.firing
    assert not after.burning or before.burning


@given(objectives, values, values)
def test_what_fires_truly_burns_and_what_is_quiet_truly_does_not(objective: Slo, long: Value, short: Value) -> None:
    """Fill the missing seconds in the way that contradicts the verdict most: it stands."""
    budget = budget_of(objective.objective)
    for tier in slo.judge(objective, {w: long if w in WINDOWS[2:] else short for w in WINDOWS}, AT).tiers:
        limit = tier.tier.factor * budget
        if tier.firing:
            assert min(long.lower, short.lower) > limit
            assert long.bad >= objective.min_bad_events
        if tier.firing is False:
            assert min(long.upper, short.upper) <= limit or long.bad < objective.min_bad_events


@given(st.floats(0.01, 0.999999), st.integers(1, 400))
def test_default_tiers_are_reachable_and_in_order(objective: float, days: int) -> None:
    chosen, dropped = default_tiers(objective, timedelta(days=days))
    assert len(chosen) + len(dropped) == 4
    assert all(reachable(t.factor, objective) and t.short < t.long for t in chosen)
    assert [t.factor for t in chosen] == sorted((t.factor for t in chosen), reverse=True)


@given(st.floats(0.5, 0.999), st.integers(1, 365))
def test_a_tier_that_fires_for_its_whole_long_window_spends_its_share_of_the_budget(
    objective: float, days: int
) -> None:
    shares_spent = [t.factor * (t.long / timedelta(days=days)) for t in default_tiers(0.9999, timedelta(days=days))[0]]
    for spent, share in zip(shares_spent, (0.02, 0.05, 0.10, 0.10), strict=True):
        assert abs(spent - share) < 0.002


CANARY = st.tuples(st.integers(1, 400), st.integers(0, 30), st.integers(0, 3))
"""Events of an interval, bad ones of the canary, bad ones of live."""


def evidence_of(intervals: list[tuple[int, int, int]], more: int = 0) -> Evidence:
    evidence = Evidence(terms_of(Analysis(warm_up=timedelta(0)), 0.99, compared=True))
    for total, bad, live_bad in intervals:
        counts = (min(total, bad + more), total, min(4 * total, live_bad), 4 * total)
        evidence = evidence.after(Interval(evidence.until, evidence.until + 60, *counts))
    return evidence


@given(st.lists(CANARY, min_size=1, max_size=10), st.integers(1, 30))
def test_a_canary_that_is_worse_is_never_judged_better(intervals: list[tuple[int, int, int]], more: int) -> None:
    order = ["reject", "inconclusive", "good"]
    objective = Slo(objective=0.99, sli=SLI)
    first = judge(objective, 1, evidence_of(intervals)).verdict
    second = judge(objective, 1, evidence_of(intervals, more)).verdict
    assert order.index(second) <= order.index(first)


NEARLY_GOOD = st.tuples(st.integers(1, 400), st.integers(0, 4), st.integers(0, 3))
"""The same, with so few bad ones that many of the canaries are judged good."""


@given(st.lists(NEARLY_GOOD, min_size=1, max_size=10), st.integers(1, 800))
def test_a_good_canary_served_enough_and_its_own_ratio_is_below_what_pages(
    intervals: list[tuple[int, int, int]], least: int
) -> None:
    objective, evidence = Slo(objective=0.99, sli=SLI), evidence_of(intervals)
    assume(judge(objective, least, evidence).verdict == "good")
    assert evidence.total >= least
    assert min(evidence.bad / evidence.total, evidence.calm_bad / max(1, evidence.calm_total)) < limit_of(objective)


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans()), max_size=30))
def test_the_onset_is_a_point_that_burns_and_no_later_stretch_begins(series: list[tuple[int, bool]]) -> None:
    points = [(AT + timedelta(seconds=n), float("nan") if gap else float(bad)) for n, (bad, gap) in enumerate(series)]
    found = slo.onset(points, 0.99)
    seen = [(at, ratio) for at, ratio in points if ratio == ratio]
    if found is None:
        assert not any(ratio for _, ratio in seen)
    else:
        tail = [ratio for at, ratio in seen if at >= found]
        assert tail[0] == 1
        assert tail == sorted(tail, reverse=True)
