"""What one write of an Incident's status is counted as: that it is open, and how long the harm lasted until it was mitigated and over."""

from datetime import timedelta
from typing import Literal

from opsloop.api.incident import Incident, IncidentStatus

Until = Literal["mitigated", "resolved"]


def reached(incident: Incident, after: IncidentStatus) -> list[tuple[Until, timedelta]]:
    """What the Incident reached with this write, and the time since the harm began; nothing for one that was merged.

    `incident` is as it was observed before. Where nobody knows the onset, its signal's time stands for it.
    """
    before, zero = incident.status, after.onset_at or incident.spec.signal.at
    if after.merged_into:
        return []
    steps: tuple[tuple[Until, bool], ...] = (
        ("mitigated", before.mitigated_at is None), ("resolved", before.resolved_at is None),
    )  # fmt: skip
    times = {"mitigated": after.mitigated_at, "resolved": after.resolved_at}
    return [(until, at - zero) for until, is_new in steps if is_new and (at := times[until]) is not None]
