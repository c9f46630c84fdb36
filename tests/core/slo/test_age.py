"""What is too old to decide on."""

from dataclasses import replace
from datetime import timedelta

import pytest

from opsloop.core.readings import Readings, Told, Unknown
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo.age import as_of
from tests.builders.objects import at, readings, value
from tests.builders.rollouts import canary, facts, status_after, status_with, target

TOLD = Told(True, "ToldByPods", "")
READ = readings(0.0, at(0), bake=value(0.0), by_revision={"1": value(0.0)}, told=TOLD, onset=at(-9), interval=timedelta(seconds=5))  # fmt: skip


@pytest.mark.parametrize("seconds", [0, 5, 15])
def test_readings_of_three_intervals_stand(seconds: float) -> None:
    assert as_of(READ, at(seconds)) is READ


def test_older_ones_are_unknown_in_every_part() -> None:
    old = as_of(READ, at(16))
    stale = Unknown(slo.STALE, "last read 16 s ago, at intervals of 5 s")
    assert old.verdict is not None
    assert (old.verdict.band, old.verdict.back, old.verdict.firing, old.verdict.burning) == (
        "unknown",
        None,
        None,
        False,
    )
    assert {(t.firing, t.long, t.short, t.burn_long, t.burn_short) for t in old.verdict.tiers} == {(None, stale, stale, None, None)}  # fmt: skip
    assert (old.bake, old.by_revision) == (stale, {"1": stale})
    assert slo.unknown_because(old.verdict) == "5s: Stale: last read 16 s ago, at intervals of 5 s"


def test_a_release_that_is_read_seldom_ages_slowly() -> None:
    assert as_of(replace(READ, interval=timedelta(minutes=1)), at(170)).bake == value(0.0)


def test_what_is_no_reading_has_no_age() -> None:
    old = as_of(READ, at(999))
    assert (old.told, old.onset) == (TOLD, at(-9))
    assert as_of(Readings(), at(999)) == Readings()


def test_a_canary_takes_no_step_on_old_readings() -> None:
    """All that it needs is there, and was read a minute ago."""
    stepping = target("Stepping", reached_at=at(80))
    ready = facts(status=status_with(stepping), canary=canary(1, 1))
    old = replace(ready, readings=replace(ready.readings, verdict=replace(ready.readings.verdict, at=at(40))))  # type: ignore[type-var]
    steps = [after.step for situation in (ready, old) if (after := status_after(situation).target)]
    assert steps == [1, 0], "the same readings, read now, take it on"
