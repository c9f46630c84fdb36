"""The age of what was read: a decision on readings older than three of their intervals is a decision on Unknown."""

from dataclasses import replace
from datetime import datetime

from opsloop.core.facts import ReleaseView
from opsloop.core.readings import Readings, TierVerdict, Unknown, Verdict
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo.merged import merged

MOST_INTERVALS = 3


def as_of(readings: Readings, now: datetime) -> Readings:
    """The readings where they are young enough, else as many Unknown ones. What the SLI tells apart has no age.

    Each of several objectives has an age of its own.
    """
    if readings.each:
        aged = {name: as_of(each, now) for name, each in readings.each.items()}
        return readings if all(aged[name] is each for name, each in readings.each.items()) else merged(aged)
    verdict = readings.verdict
    if verdict is None or now - verdict.at <= MOST_INTERVALS * readings.interval:
        return readings
    seconds = (now - verdict.at).total_seconds()
    stale = Unknown(
        slo.STALE, f"last read {seconds:.0f} s ago, at intervals of {readings.interval.total_seconds():g} s"
    )
    return replace(
        readings,
        verdict=_unknown(verdict, stale),
        bake=None if readings.bake is None else stale,
        by_revision=dict.fromkeys(readings.by_revision, stale),
        silent=max(readings.silent, now - verdict.at),
    )


def view_as_of(view: ReleaseView, now: datetime) -> ReleaseView:
    """A Release's view with its readings as of now."""
    readings = as_of(view.readings, now)
    return view if readings is view.readings else replace(view, readings=readings)


def _unknown(verdict: Verdict, stale: Unknown) -> Verdict:
    tiers = tuple(TierVerdict(v.tier, None, stale, stale, None, None) for v in verdict.tiers)
    return Verdict(verdict.at, verdict.objective, tiers, "unknown", None, None, slo.STALE, name=verdict.name)
