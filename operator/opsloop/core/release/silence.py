"""Silence: time for which the SLI of a Release has been unknown, as its condition TelemetryKnown remembers it."""

from datetime import datetime, timedelta

from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.core.slo.burn_rate import NO_EVENTS


def silent_since(release: Release) -> datetime | None:
    """Time since which nobody can read the SLI; None where it is read, or where merely nothing happens in it."""
    known = conditions.get(release.status.conditions, "TelemetryKnown")
    if release.spec.slo is None or known is None or known.status != "False" or known.reason == NO_EVENTS:
        return None
    return known.last_transition_time


def told_in(release: Release, now: datetime) -> timedelta | None:
    """Time until the silence has lasted for slo.tellUnknownAfter, 0 from then on; None where the SLI is read."""
    since, slo = silent_since(release), release.spec.slo
    if since is None or slo is None:
        return None
    return max(timedelta(0), slo.tell_unknown_after - (now - since))
