"""Burn-rate tiers, the verdict of a tick, the bake, the canary, the onset: each row is a situation."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from opsloop.api.meta import format_duration, parse_duration
from opsloop.api.slo import Sli, Slo, Tier
from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import promql
from opsloop.core.slo.tiers import windows_of

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
SLI = Sli(good="g[{{window}}]", total="t[{{window}}]")
FAST = Tier(long=timedelta(minutes=1), short=timedelta(seconds=5), factor=14.4, severity="sev1")
SLOW = Tier(long=timedelta(minutes=6), short=timedelta(seconds=30), factor=6, severity="sev2")
TICKET = Tier(long=timedelta(hours=1), short=timedelta(minutes=2), factor=1, severity="sev3")
NOTHING = Unknown(slo.NO_SERIES)


def objective(*tiers: Tier, **kwargs: Any) -> Slo:
    return Slo(objective=0.99, sli=SLI, tiers=list(tiers), **kwargs)


def errors(ratio: float, total: float = 1000, coverage: float = 1.0) -> Value:
    return Value(bad=ratio * total, total=total, coverage=coverage)


def reads(**windows: Reading) -> dict[timedelta, Reading]:
    return {parse_duration(name.removeprefix("w")): reading for name, reading in windows.items()}


@pytest.mark.parametrize(
    ("long", "short", "firing"),
    [
        pytest.param(errors(0.2), errors(0.2), True, id="80 % good on 99 % burns 20 times in both windows"),
        pytest.param(errors(0.144), errors(0.2), False, id="exactly the factor does not exceed it"),
        pytest.param(errors(0.01), errors(0.2), False, id="a short burst that the long window does not bear out"),
        pytest.param(errors(0.2), errors(0.01), False, id="it is over: only the long window still remembers"),
        pytest.param(errors(0.4, 10), errors(0.4), False, id="4 bad events are fewer than minBadEvents"),
        pytest.param(errors(0.5, 10), errors(0.5), True, id="5 bad events are enough"),
        pytest.param(
            errors(0.4, 10, 0.5), errors(0.5), None, id="4 were seen, but half of the window was not looked at"
        ),
        pytest.param(
            errors(0.2, 1000, 0.75), errors(0.2), True, id="harm in 75 % of the window is enough for 15 times"
        ),
        pytest.param(
            errors(0.2, 1000, 0.7), errors(0.2), None, id="harm in 70 % of the window is sure for 14 times only"
        ),
        pytest.param(errors(0.0, 1000, 0.9), errors(0.2), False, id="10 % missing cannot hide more than burn 10"),
        pytest.param(errors(0.0, 1000, 0.8), errors(0.2), None, id="20 % missing could hide burn 20"),
        pytest.param(NOTHING, errors(0.2), None, id="no long window, a burning short one"),
        pytest.param(errors(0.2), NOTHING, None, id="no short window, a burning long one"),
        pytest.param(NOTHING, errors(0.0), False, id="no long window, but the short one is surely quiet"),
        pytest.param(errors(0.0), NOTHING, False, id="no short window, but the long one is surely quiet"),
        pytest.param(NOTHING, NOTHING, None, id="nothing is known"),
    ],
)
def test_a_tier(long: Reading, short: Reading, firing: bool | None) -> None:
    verdict = slo.judge(objective(FAST), reads(w1m=long, w5s=short), AT)
    assert verdict.tiers[0].firing is firing
    assert (verdict.firing is not None) is (firing is True)


class Part(NamedTuple):
    labels: dict[str, str]
    value: float


def outage(minutes: float) -> dict[timedelta, Reading]:
    """What Prometheus answers for the default tiers at one event a second, while none was answered well for that long.

    The new version never answers well, so that a window without an older event has no `good` series at all.
    """
    item = Slo(objective=0.99, sli=SLI)
    windows, parts = windows_of(item), list[Part]()
    for window in windows:
        name, seconds = format_duration(window), window.total_seconds()
        counts = {"total": seconds, "covered": 1.0}
        counts |= {"good": seconds - minutes * 60} if seconds > minutes * 60 else {}
        parts += [Part({promql.LABEL: f"{kind}:{name}"}, value) for kind, value in counts.items()]
    return dict(promql.parse(parts, SLI, windows, {}).windows)


@pytest.mark.parametrize(
    ("minutes", "fires"),
    [
        pytest.param(8.5, None, id="before the closed form: 8m 38s"),
        pytest.param(9, "sev1", id="then at once, though the short window has no good series"),
        pytest.param(61, "sev1", id="and still when none of the windows of an hour has"),
    ],
)
def test_nothing_is_answered_well_and_good_has_no_series(minutes: float, fires: str | None) -> None:
    firing = slo.judge(Slo(objective=0.99, sli=SLI), outage(minutes), AT).firing
    assert (firing.tier.severity if firing else None) == fires


def test_the_worst_firing_tier_is_named_by_severity_and_then_by_factor() -> None:
    other = FAST.model_copy(update={"factor": 10.0})
    bad = errors(0.2)
    everywhere = reads(w1m=bad, w5s=bad, w6m=bad, w30s=bad, w1h=bad, w2m=bad)
    verdict = slo.judge(objective(TICKET, SLOW, other, FAST), everywhere, AT)
    assert verdict.firing is not None
    assert verdict.firing.tier == FAST
    assert verdict.firing.burn_long == pytest.approx(20)
    assert (verdict.at, verdict.objective, len(verdict.tiers)) == (AT, 0.99, 4)


def test_each_tier_decides_alone() -> None:
    known = reads(w1m=errors(0.2), w5s=errors(0.2))
    verdict = slo.judge(objective(FAST, SLOW), known, AT)
    assert [t.firing for t in verdict.tiers] == [True, None]
    assert verdict.tiers[1].long == Unknown(slo.NOT_READ)


@pytest.mark.parametrize(
    ("short", "middle", "band", "reason", "back", "burning"),
    [
        pytest.param(errors(0), errors(0), "ok", slo.WITHIN_OBJECTIVE, True, False, id="all is well"),
        pytest.param(errors(0.2), errors(0.2), "fast", slo.TIER_FIRING, False, True, id="a page tier fires"),
        pytest.param(errors(0.02, 9000), errors(0.02), "slow", slo.BURNING, False, False, id="burning twice as fast as allowed"),
        pytest.param(errors(0.02), errors(0.02), "slow", slo.BURNING, None, False, id="20 bad events where 10 are allowed may be chance"),
        pytest.param(errors(0), errors(0.2), "fast", slo.TIER_FIRING, False, False, id="clean for 5 s, but a page tier still fires"),
        pytest.param(errors(0), errors(0.03), "slow", slo.BURNING, True, False, id="back, while the longer short window drains"),
        pytest.param(errors(0.01), errors(0.01), "ok", slo.WITHIN_OBJECTIVE, None, False, id="exactly burn 1 is neither below nor surely above 1"),
        pytest.param(errors(0.005, 100, 0.995), errors(0), "ok", slo.WITHIN_OBJECTIVE, True, False, id="a hair of missing data"),
        pytest.param(errors(0, 100, 0.9), errors(0), "unknown", slo.LOW_COVERAGE, None, False, id="10 % of the seconds missing"),
        pytest.param(NOTHING, errors(0), "unknown", slo.NO_SERIES, None, False, id="nothing is known of the last seconds"),
        pytest.param(Unknown(slo.NO_EVENTS), NOTHING, "unknown", slo.NO_EVENTS, None, False, id="nothing happens"),
    ],
)  # fmt: skip
def test_the_verdict_at_a_glance(
    short: Reading, middle: Reading, band: str, reason: str, back: bool | None, burning: bool
) -> None:
    known = reads(w1m=errors(0.144), w5s=short, w6m=errors(0.1), w30s=middle)
    verdict = slo.judge(objective(FAST, SLOW), known, AT)
    assert (verdict.band, verdict.reason, verdict.back, verdict.burning) == (band, reason, back, burning)


@pytest.mark.parametrize(
    ("short", "hours", "band", "silent"),
    [
        pytest.param(errors(0), errors(0), "ok", False, id="all is well"),
        pytest.param(errors(0.05), errors(0.02), "slow", False, id="a slow burn, read now"),
        pytest.param(NOTHING, errors(0), "unknown", True, id="nothing is known of the last seconds"),
        pytest.param(NOTHING, errors(0.02), "slow", True, id="a slow burn of the hours before hides no silence"),
        pytest.param(NOTHING, errors(0.2), "slow", True, id="nor does a tier that makes a ticket"),
        pytest.param(errors(0.3), errors(0.2), "fast", False, id="what is read pages"),
    ],
)
def test_an_sli_is_silent_where_it_does_not_say_whether_to_page(
    short: Reading, hours: Reading, band: str, silent: bool
) -> None:
    known = reads(w1m=short, w5s=short, w1h=hours, w2m=hours)
    verdict = slo.judge(objective(FAST, TICKET.model_copy(update={"factor": 3.0})), known, AT)
    assert (verdict.band, slo.is_silent(verdict)) == (band, silent)


@pytest.mark.parametrize(
    ("short", "long", "sentence"),
    [
        pytest.param(errors(0), errors(0), "", id="a known verdict has nothing to excuse"),
        pytest.param(
            Unknown(slo.QUERY_FAILED, "spec.slo.sli.good: parse error"),
            NOTHING,
            "5s: QueryFailed: spec.slo.sli.good: parse error",
            id="a refused query names the field",
        ),
        pytest.param(errors(0.02), NOTHING, "1m: NoSeries", id="the long window is missing"),
        pytest.param(
            errors(0, 9, 0.5),
            errors(0, 9, 0.25),
            "data exist for a part of the window only (5s 50%, 1m 25%)",
            id="gaps are shown in per cent",
        ),
    ],
)
def test_why_a_verdict_is_unknown(short: Reading, long: Reading, sentence: str) -> None:
    assert slo.unknown_because(slo.judge(objective(FAST), reads(w1m=long, w5s=short), AT)) == sentence


def test_one_stray_error_is_no_burn() -> None:
    quiet = reads(w1m=errors(0.001, 1000), w5s=errors(0.05, 20), w6m=errors(0.0001, 10_000), w30s=errors(0.01, 100))
    verdict = slo.judge(objective(FAST, SLOW), quiet, AT)
    assert (verdict.band, verdict.reason) == ("ok", slo.TOO_FEW_BAD_EVENTS)


def test_a_ticket_tier_is_a_slow_burn_and_does_not_keep_the_sli_from_being_back() -> None:
    known = reads(w1m=errors(0), w5s=errors(0), w1h=errors(0.02), w2m=errors(0.02))
    verdict = slo.judge(objective(FAST, TICKET), known, AT)
    assert verdict.firing is not None
    assert (verdict.firing.tier, verdict.band, verdict.back) == (TICKET, "slow", True)


def test_a_fresh_prometheus_pages_for_real_harm_and_does_not_clear_on_silence() -> None:
    """One hour of default windows, ten minutes of data."""
    fresh = reads(
        w1h=errors(0.95, 6000, 1 / 6), w5m=errors(0.95), w6h=errors(0.95, 6000, 1 / 36), w30m=errors(0.95, 6000, 1 / 3)
    )
    assert slo.judge(objective(), fresh, AT).firing is not None
    silent = reads(w5m=errors(0, 10, 0.1))
    assert slo.judge(objective(), silent, AT).back is None


@pytest.mark.parametrize(
    ("reading", "meets"),
    [
        pytest.param(errors(0.01), True, id="exactly the objective meets it"),
        pytest.param(
            errors(0.0, 23),
            None,
            id="23 good events say nothing about a burn of 14.4: with 24 it would have been noticed",
        ),
        pytest.param(errors(0.011), False, id="a little more does not"),
        pytest.param(errors(0.0, 19), None, id="19 events of the wanted 20 say nothing"),
        pytest.param(
            errors(0.0, 1000, 0.98), None, id="two per cent of the seconds unknown could hide the whole budget"
        ),
        pytest.param(
            errors(0.005, 1000, 0.996), True, id="even if all unknown seconds were bad it meets the objective"
        ),
        pytest.param(errors(0.2, 1000, 0.5), False, id="half of the window is enough to know better"),
        pytest.param(Unknown(slo.TIMEOUT), None, id="no answer is no proof"),
    ],
)
def test_the_bake(reading: Reading, meets: bool | None) -> None:
    assert slo.meets(objective(), reading, 20) is meets


def test_rounding_does_not_refuse_exactly_the_objective() -> None:
    assert slo.meets(Slo(objective=0.9, sli=SLI), Value(10, 100), 1) is True


NAN = float("nan")


@pytest.mark.parametrize(
    ("ratios", "second"),
    [
        pytest.param([0, 0, 0.2, 0.2, 0.2], 2, id="the first instant above burn 1"),
        pytest.param([0.2, 0, 0.2, 0.2], 2, id="an earlier stretch does not count"),
        pytest.param([0, 0.2, 0.2, 0], 1, id="a stretch that is over just now"),
        pytest.param([0, 0.2, NAN, 0.2], 1, id="a second without events does not end the stretch"),
        pytest.param([0, NAN, 0.2], 2, id="a second without events does not begin one"),
        pytest.param([0.2, 0.2], 0, id="it began before the series does"),
        pytest.param([0, 0.01, 0], None, id="burn 1 is not above 1"),
        pytest.param([], None, id="no points"),
    ],
)
def test_the_onset(ratios: list[float], second: int | None) -> None:
    points = [(AT + timedelta(seconds=n), ratio) for n, ratio in enumerate(ratios)]
    assert slo.onset(points, 0.99) == (None if second is None else AT + timedelta(seconds=second))
