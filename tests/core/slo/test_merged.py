"""Several objectives as one: the worst decides, and an unknown one neither hides harm nor counts as healthy."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.meta import Severity
from opsloop.api.slo import Sli, Slo, Tier
from opsloop.core.readings import Reading, Readings, Remark, Told, Unknown, Value, Verdict
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo.age import as_of
from opsloop.core.slo.merged import about, each_of, is_quiet, merged, readings_of, unread

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
FAST = Tier(long=timedelta(minutes=1), short=timedelta(seconds=5), factor=14.4, severity="sev1")
TICKET = Tier(long=timedelta(hours=1), short=timedelta(seconds=5), factor=3, severity="sev3")
OBJECTIVE = Slo(objective=0.99, sli=Sli(bad="b[{{window}}]", total="t[{{window}}]"), tiers=[FAST, TICKET])


def verdict(now: Reading, hour: Reading | None = None) -> Verdict:
    minute = timedelta(minutes=1)
    return slo.judge(OBJECTIVE, {timedelta(seconds=5): now, minute: now, timedelta(hours=1): hour or now}, AT)


def of(ratio: float) -> Value:
    return Value(bad=ratio * 10_000, total=10_000)


WELL, OUT, WORSE = verdict(of(0.001)), verdict(of(0.3)), verdict(of(0.9))
SMOULDER, TICKETED = verdict(of(0.02)), verdict(of(0.05))
BLIND, GONE = verdict(Unknown(slo.TIMEOUT)), verdict(Unknown(slo.TRAFFIC_GONE))
QUIET = verdict(Unknown(slo.NO_EVENTS))
HARMED_AND_QUIET = verdict(Unknown(slo.NO_EVENTS), of(0.2))


def both(availability: Verdict | None, latency: Verdict | None) -> Readings:
    return merged({"availability": Readings(availability), "latency": Readings(latency)})


@pytest.mark.parametrize(
    ("availability", "latency", "decides", "band", "severity", "back"),
    [
        pytest.param(WELL, WELL, "availability", "ok", "", True, id="both are well"),
        pytest.param(WELL, OUT, "latency", "fast", "sev1", False, id="latency burns while availability is well"),
        pytest.param(OUT, WORSE, "latency", "fast", "sev1", False, id="of two that fire at one severity the one that burns more"),
        pytest.param(OUT, TICKETED, "availability", "fast", "sev1", False, id="the higher severity decides"),
        pytest.param(BLIND, OUT, "latency", "fast", "sev1", False, id="an unknown one hides no other that fires"),
        pytest.param(BLIND, TICKETED, "latency", "slow", "sev3", False, id="nor one that only opens a ticket"),
        pytest.param(BLIND, SMOULDER, "latency", "slow", "", False, id="nor one that smoulders"),
        pytest.param(WELL, BLIND, "latency", "unknown", "", None, id="an unknown one is not healthy"),
        pytest.param(BLIND, GONE, "latency", "unknown", "", None, id="traffic that is gone is named before other silence"),
        pytest.param(WELL, QUIET, "availability", "ok", "", True, id="a rare kind of request may be quiet"),
        pytest.param(QUIET, QUIET, "availability", "unknown", "", None, id="where all are quiet nobody can say"),
        pytest.param(WELL, HARMED_AND_QUIET, "latency", "unknown", "", None, id="one that falls silent after harm is not quiet"),
    ],
)  # fmt: skip
def test_the_worst_decides(
    availability: Verdict, latency: Verdict, decides: str, band: str, severity: Severity, back: bool | None
) -> None:
    found = both(availability, latency).verdict
    assert found is not None
    firing = found.firing.tier.severity if found.firing else ""
    assert (found.name, found.band, firing, found.back) == (decides, band, severity, back)
    assert [v.name for v in found.each] == ["availability", "latency"]


@pytest.mark.parametrize(
    ("availability", "latency", "name"),
    [
        pytest.param(WELL, WELL, "", id="all are known"),
        pytest.param(BLIND, OUT, "availability", id="also while another one fires"),
        pytest.param(WELL, QUIET, "", id="a quiet one is read"),
        pytest.param(QUIET, QUIET, "availability", id="all are quiet"),
        pytest.param(QUIET, BLIND, "latency", id="silence is named, not quiet"),
    ],
)
def test_which_one_is_unread(availability: Verdict, latency: Verdict, name: str) -> None:
    found = both(availability, latency).verdict
    assert found is not None
    left = unread(found)
    assert (left.name if left else "") == name


def test_one_that_was_not_read_yet_makes_all_unread_but_hides_no_harm() -> None:
    assert both(WELL, None).verdict is None
    assert (found := both(None, OUT).verdict) is not None
    assert (found.name, found.band) == ("latency", "fast")


def test_the_readings_are_those_of_the_one_that_decides() -> None:
    early, late = AT - timedelta(minutes=9), AT - timedelta(minutes=3)
    told, untold = Told(True, "ToldByPods", "by pods"), Told(False, "LiveNotFound", "no events of live")
    availability = Readings(WELL, bake=of(0.1), onset=early, told=told, remarks=(Remark("LateData", "late"),))
    latency = Readings(OUT, bake=of(0.2), onset=late, told=untold, silent=timedelta(seconds=9))
    all_ = merged({"availability": availability, "latency": latency})
    assert (all_.bake, all_.onset, all_.silent) == (of(0.2), late, timedelta(seconds=9))
    assert all_.told == Told(False, "LiveNotFound", "latency: no events of live")
    assert all_.remarks == (Remark("LateData", "availability: late"),)
    assert readings_of(all_, "availability").onset == early
    assert (readings_of(all_, "new"), about(all_, "gone")) == (Readings(), all_), (
        "one that was not read is not like the others"
    )
    assert about(all_, "latency").onset == late
    assert list(each_of(all_)) == ["availability", "latency"]


def test_a_single_objective_is_left_as_it_is() -> None:
    alone = Readings(OUT)
    assert merged({"sli": alone}) is alone
    named = merged({"latency": alone}).verdict
    assert named is not None and (named.name, named.each) == ("latency", ())
    assert (readings_of(Readings(named), "latency"), readings_of(Readings(named), "new")) == (
        Readings(named),
        Readings(),
    )


def test_each_objective_ages_alone() -> None:
    """A fresh one that fires is not hidden by an old one, and an old one is not healthy."""
    old = replace(WELL, at=AT - timedelta(minutes=5))
    now = both(old, WELL)
    assert now.verdict is not None and now.verdict.band == "ok"
    aged = as_of(now, AT).verdict
    assert aged is not None
    assert (aged.name, aged.band, aged.reason, aged.back) == ("availability", "unknown", slo.STALE, None)
    firing = as_of(both(old, OUT), AT).verdict
    assert firing is not None and (firing.name, firing.band) == ("latency", "fast")
    assert as_of(both(WELL, OUT), AT) == both(WELL, OUT)


ANY = st.sampled_from([WELL, OUT, WORSE, SMOULDER, TICKETED, BLIND, GONE, QUIET, HARMED_AND_QUIET])


@given(st.lists(ANY, min_size=1, max_size=4), ANY)
def test_another_objective_never_makes_a_release_look_better(some: list[Verdict], more: Verdict) -> None:
    """Firing stays firing, at that severity or worse; what was not back is not back; unknown stays unless it was quiet."""
    before = merged({str(n): Readings(v) for n, v in enumerate(some)}).verdict
    after = merged({str(n): Readings(v) for n, v in enumerate([*some, more])}).verdict
    assert before is not None and after is not None
    if before.firing is not None:
        assert after.firing is not None and after.firing.tier.severity <= before.firing.tier.severity
    if before.back is False:
        assert after.back is False
    if before.back is None and not all(is_quiet(v) for v in some):
        assert not after.back
    if (left := unread(before)) is not None and not is_quiet(left):
        assert unread(after) is not None
    assert after.burning >= before.burning
