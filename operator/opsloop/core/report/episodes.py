"""Incidents within a window, counted: how many, how severe, how long until each was noticed, mitigated and resolved."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from opsloop.api.incident import Incident
from opsloop.core.report.figures import Figures, Times


def began(incident: Incident) -> datetime | None:
    """The time by which an Incident belongs to a window: its detection, which every one has soon."""
    status = incident.status
    return status.detected_at or incident.metadata.creation_timestamp or incident.spec.signal.at


def figures(incidents: Iterable[Incident]) -> Figures:
    """Of these Incidents. Those that were merged into another are told by that one."""
    every = list(incidents)
    own = [i for i in every if not i.status.merged_into]
    harmed = [i for i in own if i.burned or i.had_outage]
    return Figures(
        incidents=len(own),
        severities=Counter(i.status.severity for i in own),
        causes=Counter(i.status.cause.kind if i.status.cause else "unknown" for i in own),
        open=sum(i.status.phase != "Resolved" for i in own),
        reopened=sum(i.status.reopened for i in own),
        merged=len(every) - len(own),
        detect=_times((i.status.onset_at, i.status.detected_at, False) for i in own),
        mitigate=_times(
            (i.status.onset_at, i.status.mitigated_at, i.status.phase in ("Open", "Mitigating")) for i in own
        ),
        resolve=_times((i.status.onset_at, i.status.resolved_at, i.status.phase != "Resolved") for i in own),
        restore=_times(
            (i.status.onset_at or i.status.detected_at, i.status.mitigated_at, i.status.phase in ("Open", "Mitigating"))
            for i in harmed
        ),
    )


def _times(spans: Iterable[tuple[datetime | None, datetime | None, bool]]) -> Times:
    """Of (start, end, is it still going on?); a start or an end that nobody knows is unknown, one before its start as well."""
    seconds, unknown, ongoing = [], 0, 0
    for start, end, goes_on in spans:
        if goes_on:
            ongoing += 1
        elif start is None or end is None or end < start:
            unknown += 1
        else:
            seconds.append((end - start).total_seconds())
    return Times(tuple(sorted(seconds)), unknown, ongoing)
