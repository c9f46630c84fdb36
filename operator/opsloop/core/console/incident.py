"""One Incident: what is known of it while it lasts, as its postmortem will tell it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core.console import words
from opsloop.core.console.words import Fact, Mark
from opsloop.core.postmortem.document import Document, document
from opsloop.core.text import line

MOST_SERVICES = 50  # of alerts by service; the rest is summed up
_PLAYS: dict[str, words.Tone] = {"Helped": "good", "Done": "good", "Refused": "bad", "DidNotHelp": "bad", "NotProven": "watch", "Running": "watch"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServiceAlerts:
    """Distinct alerts of one service; `share`: of those of the service with the most."""

    service: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class PlayRow:
    """One Runbook step."""

    runbook: str
    type: str
    state: Mark
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A user's ticket."""

    id: str
    subject: str
    severity: Mark
    route: str
    score: str


@dataclass(frozen=True, slots=True)
class IncidentView:
    """A page. `told`: the postmortem so far, without its curve."""

    namespace: str
    name: str
    title: str
    severity: Mark
    phase: Mark
    said: str
    release: str
    facts: tuple[Fact, ...]
    alerts: tuple[ServiceAlerts, ...]
    alerts_said: str
    plays: tuple[PlayRow, ...]
    tickets: tuple[TicketRow, ...]
    told: Document
    postmortem: bool


def incident_view(incident: Incident, release: Release | None, case: EvalCase | None) -> IncidentView:
    """The page of one Incident; `release`: its root, `case`: the regression case made of it."""
    spec, status, meta = incident.spec, incident.status, incident.metadata
    return IncidentView(
        namespace=meta.namespace,
        name=meta.name,
        title=line(status.title or spec.title),
        severity=words.severity(status.severity),
        phase=words.phase(status.phase),
        said=f"{meta.name} is {status.phase}, {status.severity}; {words.count(len(status.timeline), 'entry')} in its timeline".replace("entrys", "entries"),
        release=spec.release,
        facts=tuple(_facts(incident)),
        alerts=_by_service(incident),
        alerts_said=_alerts_said(incident),
        plays=tuple(
            PlayRow(line(p.runbook), p.type, Mark(p.state, _PLAYS.get(p.state, "plain")), line(p.message or p.reason), p.requested_at)
            for p in reversed(status.plays)
        ),
        tickets=tuple(
            TicketRow(line(t.id), line(t.subject), words.severity(t.severity), line(t.route), words.percent(t.score)) for t in status.tickets
        ),
        told=document(incident, release, case),
        postmortem=bool(status.postmortem),
    )  # fmt: skip


def _facts(incident: Incident) -> Iterable[Fact]:
    spec, status = incident.spec, incident.status
    yield Fact("Service", line(spec.service))
    yield Fact("Owner", line(spec.owner) or "nobody named")
    yield Fact("Assignee", line(spec.assignee) or "nobody")
    if spec.signal.message:
        yield Fact("Opened by", line(f"{spec.signal.kind}: {spec.signal.message}"))
    if status.affected:
        yield Fact("Also affected", ", ".join(line(name) for name in status.affected))
    if status.page is not None:
        sent = sum(1 for m in status.page.messages if m.state == "Sent")
        yield Fact("Paged", f"{words.count(sent, 'message')} sent of {len(status.page.messages)}")
    if status.merged_into:
        yield Fact("Merged into", status.merged_into)
    if spec.previous:
        yield Fact("Before it", spec.previous)
    if status.eval_case:
        yield Fact("Regression case", status.eval_case)
    if status.fix is not None:
        yield Fact("Fixed by", line(status.fix.version))
    for condition in status.conditions:
        yield Fact(condition.type, line(f"{condition.status}, {condition.reason}: {condition.message}"))


def _by_service(incident: Incident) -> tuple[ServiceAlerts, ...]:
    counts = sorted(incident.status.alerts.by_service.items(), key=lambda one: (-one[1], one[0]))
    most = max((n for _, n in counts), default=0)
    rows = [ServiceAlerts(line(s), n, n / most) for s, n in counts[:MOST_SERVICES] if most]
    rest = sum(n for _, n in counts[MOST_SERVICES:])
    other = (
        [ServiceAlerts(f"{len(counts) - MOST_SERVICES} other services", rest, min(1.0, rest / most))] if rest else []
    )
    return (*rows, *other)


def _alerts_said(incident: Incident) -> str:
    alerts = incident.status.alerts
    if not alerts.count:
        return "No alert came in."
    return (
        f"{words.count(alerts.count, 'alert')}, {alerts.firing} firing"
        + (f", {alerts.stale} stale" if alerts.stale else "")
        + "."
    )
