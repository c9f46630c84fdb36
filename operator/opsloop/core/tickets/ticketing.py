"""The tickets of one correlator pass: which are linked to which Incident, and which wait on."""

from collections.abc import Callable, Mapping, Sequence

from opsloop.api.incident import Incident, IncidentSpec, LinkedTicket
from opsloop.core.facts import Alert, Ledger, ReleaseView, Ticket
from opsloop.core.tickets.linking import Candidate, link, linked
from opsloop.core.tickets.triage import Queued, triage

Links = dict[str, tuple[LinkedTicket, ...]]  # Incident → newly linked


def sort_tickets(
    tickets: Sequence[Ticket],
    queue: Sequence[Queued],
    ledgers: Mapping[str, Ledger],
    candidates: Sequence[Candidate],
    views: Mapping[str, ReleaseView],
) -> tuple[Links, tuple[Queued, ...]]:
    """New links, and the whole queue afterwards. A ticket that some ledger holds is settled."""
    settled = {str(t["id"]) for ledger in ledgers.values() for t in ledger.tickets}
    waiting = {q.ticket.id: q for q in queue}
    for ticket in tickets:
        waiting.setdefault(ticket.id, Queued(ticket, triage(ticket)))
    found: dict[str, list[LinkedTicket]] = {}
    for identity in sorted(waiting.keys() - settled):
        if match := link(waiting[identity].ticket, waiting[identity].triage, candidates):
            view = views.get(match.candidate.root)
            team = view.release.metadata.labels.get("team", "") if view else ""
            found.setdefault(match.candidate.incident, []).append(linked(waiting[identity], match, team))
    gone = settled | {t.id for new in found.values() for t in new}
    left = tuple(q for q in waiting.values() if q.ticket.id not in gone)
    return {name: tuple(new) for name, new in found.items()}, left


def candidate(
    name: str,
    spec: IncidentSpec,
    incident: Incident | None,
    alerts: Sequence[Alert],
    view: ReleaseView | None,
    service_of: Callable[[Alert], str],
) -> Candidate:
    """An Incident as tickets see it; `incident` None = it is about to be created."""
    burned = spec.signal.kind == "burn" or (incident is not None and incident.status.burn is not None)
    starts = [spec.signal.at, *(a.starts_at for a in alerts)]
    starts += [incident.status.onset_at] if incident and incident.status.onset_at else []
    starts += [view.readings.onset] if view and view.readings.onset and burned else []
    root = spec.release or spec.service
    return Candidate(
        incident=name,
        root=root,
        services=frozenset({root, *map(service_of, alerts)} - {""}),
        alerts=alerts,
        burned=burned,
        onset=min(starts),
        ended=incident.status.resolved_at if incident and not incident.is_open else None,
        severity=min(spec.signal.severity, incident.status.severity) if incident else spec.signal.severity,
    )
