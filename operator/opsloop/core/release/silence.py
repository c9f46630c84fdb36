"""Silence: time for which the SLI of a Release has been unknown, as its condition TelemetryKnown remembers it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.core.release.outages import BELOW_MINIMUM
from opsloop.core.slo.burn_rate import NO_EVENTS, PARTIAL, STALE, TIMEOUT, TRAFFIC_GONE, UNREACHABLE

AWAY = (UNREACHABLE, TIMEOUT, PARTIAL, STALE)  # it is Prometheus that does not answer, and not this SLI
MOST_ALONE = 5  # silent Releases of a namespace that are told of one by one, whatever the reasons
READ = (NO_EVENTS, TRAFFIC_GONE)  # the SLI can be read: nothing happens in it


def silent_since(release: Release) -> datetime | None:
    """Time since which nobody can read the SLI; None where it is read, or where merely nothing happens in it."""
    known = conditions.get(release.status.conditions, "TelemetryKnown")
    if release.spec.slo is None or known is None or known.status != "False" or known.reason in READ:
        return None
    return known.last_transition_time


def told_in(release: Release, now: datetime) -> timedelta | None:
    """Time until the silence has lasted for slo.tellUnknownAfter, 0 from then on; None where the SLI is read."""
    since, slo = silent_since(release), release.spec.slo
    if since is None or slo is None:
        return None
    return max(timedelta(0), slo.tell_unknown_after - (now - since))


def starved_since(release: Release) -> datetime | None:
    """Time since which its traffic is gone while pods are missing: neither alone is an outage, both together are.

    None otherwise. The time is that of the SLI, which may have been unknown for another reason before.
    """
    known = conditions.get(release.status.conditions, "TelemetryKnown")
    available = conditions.get(release.status.conditions, "Available")
    if known is None or available is None or available.reason != BELOW_MINIMUM:
        return None
    return known.last_transition_time if (known.status, known.reason) == ("False", TRAFFIC_GONE) else None


def silent_together(releases: Sequence[Release]) -> list[str]:
    """Names of the Releases whose SLIs are unknown for one reason that is not theirs: Prometheus is away, or they are many."""
    silent = {r.metadata.name: r for r in releases if silent_since(r) is not None}
    away = [name for name, release in silent.items() if _reason(release) in AWAY]
    return away if len(away) > 1 else sorted(silent) if len(silent) > MOST_ALONE else []


def _reason(release: Release) -> str:
    known = conditions.get(release.status.conditions, "TelemetryKnown")
    return known.reason if known else ""
