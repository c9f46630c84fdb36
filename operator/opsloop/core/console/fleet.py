"""The fleet: one row for each Release, the worst first, and the Incidents that are open."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.core.console import words
from opsloop.core.console.words import WORST, Mark
from opsloop.core.slo.standing import Standing
from opsloop.core.stop import Stop
from opsloop.core.text import line

MOST_ROWS = 100  # of each table; the rest is counted
LATELY = 5  # Incidents that are over and still shown


@dataclass(frozen=True, slots=True)
class Row:
    """One Release. `left`: share of the error budget that is left of the objective with the least, None while unknown."""

    namespace: str
    name: str
    phase: Mark
    version: str
    canary: str
    weight: str
    band: Mark
    burn: str
    budget: str
    left: float | None
    incident: str
    why: str


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One Incident."""

    namespace: str
    name: str
    severity: Mark
    phase: Mark
    title: str
    service: str
    since: datetime | None
    alerts: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """`scope`: the namespace, or "" for all that the viewer may see. `more`: Releases and Incidents that have no row here."""

    scope: str
    rows: tuple[Row, ...]
    open: tuple[IncidentRow, ...]
    over: tuple[IncidentRow, ...]
    said: str
    stops: tuple[str, ...] = ()
    more: tuple[int, int] = (0, 0)
    namespaces: tuple[str, ...] = ()


def fleet(
    scope: str,
    releases: Sequence[tuple[Release, tuple[Standing, ...]]],
    incidents: Iterable[Incident],
    stops: Iterable[Stop] = (),
) -> Fleet:
    """Of what the viewer may see."""
    rows = sorted((row(release, told) for release, told in releases), key=_worst)
    every = [(one, incident_row(one)) for one in incidents if not one.status.merged_into]
    standing = sorted((r for one, r in every if one.is_open), key=lambda r: (r.severity.word, r.namespace, r.name))
    ended = sorted(
        (one for one, _ in every if one.status.resolved_at),
        key=lambda one: one.status.resolved_at or datetime.min,
        reverse=True,
    )
    bad = sum(1 for r in rows if r.phase.tone != "good")
    return Fleet(
        scope=scope,
        rows=tuple(rows[:MOST_ROWS]),
        open=tuple(standing[:MOST_ROWS]),
        over=tuple(incident_row(one) for one in ended[:LATELY]),
        said=f"{words.count(len(rows), 'Release')}, {bad} not healthy; {words.count(len(standing), 'open Incident')}",
        stops=tuple(line(stop.sentence) for stop in stops),
        more=(max(0, len(rows) - MOST_ROWS), max(0, len(standing) - MOST_ROWS)),
        namespaces=tuple(sorted({r.namespace for r in rows} | {r.namespace for _, r in every})) if not scope else (),
    )


def row(release: Release, told: Sequence[Standing]) -> Row:
    """One Release as a row; of several objectives the highest burn rate and the least budget."""
    status, target = release.status, release.status.target
    active = target if target is not None and target.is_active else None
    burns = [one.burn for one in told if one.burn is not None]
    least = min((one for one in told if one.spent is not None), key=_left, default=None)
    held = conditions.get(status.conditions, "Held")
    return Row(
        namespace=release.metadata.namespace,
        name=release.metadata.name,
        phase=words.phase(status.phase),
        version=line(status.version),
        canary=line(active.version) if active else "",
        weight=weight(release) if active else "",
        band=words.band(status.burn_band) if release.spec.slo else Mark("no SLO"),
        burn=(words.burn(max(burns, default=None)) if release.spec.slo else ""),
        budget=(words.left(least) if least else words.UNKNOWN) if release.spec.slo else "",
        left=_left(least) if least else None,
        incident=status.incident,
        why=line(f"{held.reason}: {held.message}") if held is not None and held.status == "True" else "",
    )


def weight(release: Release) -> str:
    """Wanted and actual weight of the canary."""
    told = release.status.weight
    by = f", {told.requests} % of the requests" if told.requests is not None else ""
    return f"{told.wanted} % (actual {told.actual} %{by})"


def incident_row(incident: Incident) -> IncidentRow:
    """One Incident as a row."""
    status, spec = incident.status, incident.spec
    return IncidentRow(
        namespace=incident.metadata.namespace,
        name=incident.metadata.name,
        severity=words.severity(status.severity),
        phase=words.phase(status.phase),
        title=line(status.title or spec.title),
        service=line(spec.service),
        since=status.onset_at or status.detected_at,
        alerts=status.alerts.count,
    )


def _left(one: Standing) -> float:
    return one.spent.left if one.spent else 1.0


def _worst(one: Row) -> tuple[int, int, str, str]:
    return WORST.index(one.phase.tone), WORST.index(one.band.tone), one.namespace, one.name
