"""What a person should know about readings besides their values.

Data that come late, a series that was never there, a canary that is counted in windows.
"""

from collections.abc import Sequence
from datetime import timedelta
from math import ceil

from opsloop.api.meta import format_duration
from opsloop.core.readings import CanaryReading, Remark, Unknown

# Named reasons
LATE_DATA = "LateData"  # the newest sample is always old: the SLI must be evaluated at an earlier time
NEVER_MATCHED = "NeverMatched"  # good (or bad) events have no series: a mistyped label, or nothing such happened
APPROXIMATE = "Approximate"  # canaries are counted in windows, not by each pod's counters: harm is seen later

LOOKS = 3  # in a row, before data are called late
_ROUND = 30  # seconds


def late(lags: Sequence[float], resolution: timedelta) -> Remark | None:
    """A remark where the newest sample was older than two scrapes at each of the last looks (its ages in seconds)."""
    if len(lags) < LOOKS or min(lags[-LOOKS:]) < 2 * resolution.total_seconds():
        return None
    enough = timedelta(seconds=_ROUND * ceil((max(lags) + resolution.total_seconds()) / _ROUND))
    write = f"write spec.slo.delay: {format_duration(enough)} (or prometheus.delay of the operator)"
    return Remark(LATE_DATA, f"the newest sample is always older than two scrapes; {write}")


def never_matched(field: str, longest: timedelta) -> Remark:
    """A remark on good or bad events that have no series while there are events."""
    text = f"{field} matched no series in {format_duration(longest)}: nothing such happened, or a label is mistyped"
    return Remark(NEVER_MATCHED, text)


def approximate(reading: CanaryReading | Unknown | None) -> Remark | None:
    """A remark where the canary in traffic is not counted exactly."""
    if not isinstance(reading, CanaryReading) or not reading.approximate:
        return None
    windows = f"in windows of {format_duration(reading.step)}"
    return Remark(APPROXIMATE, f"canary and live are counted {windows}, approximately: {reading.approximate}")
