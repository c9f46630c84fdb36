"""Which Runbook is run for an Incident, and which were passed over and why: the most specific one that fits, then by name.

Where no SLI shows the harm and no revision is to blame, only a Runbook acts that names the cause of the Incident (also `unknown`)
in `match.causes`: one that is for every Incident was not written for what nobody measures.
"""

from opsloop.api.incident import IncidentStatus
from opsloop.api.runbook import Runbook
from opsloop.core import conditions
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import outage_cause, timeline
from opsloop.core.incident.state import IncidentBuilder

MOST_TOLD = 8  # Runbooks that were passed over, in one entry of the timeline


def cause_of(status: IncidentStatus) -> str:
    """Kind of the Incident's cause, as Runbooks name it."""
    return status.cause.kind if status.cause else "unknown"


def must_be_named(status: IncidentStatus) -> bool:
    """True where neither an SLI shows the harm nor a revision is to blame: alerts, telemetry, or pods say that there is one."""
    return status.burn is None and not outage_cause.is_explained(status)


def names(book: Runbook | None, status: IncidentStatus, kind: str) -> bool:
    """True where this is the cause, and the Runbook was written for it."""
    return book is not None and kind in book.spec.match.causes and cause_of(status) == kind


def matching(facts: IncidentFacts, status: IncidentStatus) -> Runbook | None:
    """The Runbook that fits cause, severity and labels: the most specific one, then by name."""
    fitting = (book for book in facts.runbooks if not misfit(facts, status, book))
    return min(fitting, key=lambda book: (-_asks_for(book), book.metadata.name), default=None)


def misfit(facts: IncidentFacts, status: IncidentStatus, book: Runbook) -> str:
    """Why a Runbook is not for this Incident; empty where it is."""
    match = book.spec.match
    cause = cause_of(status)
    labels = facts.root.release.metadata.labels if facts.root else {}
    if match.causes and cause not in match.causes:
        return f"it is for {' and '.join(match.causes)}, the cause is {cause}"
    if match.severities and status.severity not in match.severities:
        return f"it is for {' and '.join(match.severities)}, this is {status.severity}"
    if must_be_named(status) and cause not in match.causes:
        return f"no SLI shows the harm and no revision is to blame, and it does not name the cause {cause}"
    missing = [f"{k}={v}" for k, v in sorted(match.release_labels.items()) if labels.get(k) != v]
    return f"the Release has no label {', '.join(missing)}" if missing else ""


def record(decision: IncidentBuilder, chosen: Runbook | None) -> None:
    """The choice in the timeline, once per Runbook and reopening: what it was chosen by, and what was passed over and why."""
    facts, status = decision.facts, decision.status
    if not facts.runbooks:
        return
    name = chosen.metadata.name if chosen else ""
    key = f"runbook-{status.reopened}-{name}"
    text = f"{name}: {_by(facts, status, chosen)}" if chosen else "no Runbook fits"
    if over := [_passed_over(facts, status, book, chosen) for book in facts.runbooks if book is not chosen]:
        more = f"; and {len(over) - MOST_TOLD} more" if len(over) > MOST_TOLD else ""
        text += f". Passed over: {'; '.join(over[:MOST_TOLD])}{more}"
    timeline.record(decision, key, decision.now, "Runbook", text)


def _asks_for(book: Runbook) -> int:
    match = book.spec.match
    return sum(map(bool, (match.causes, match.severities, match.release_labels)))


def _by(facts: IncidentFacts, status: IncidentStatus, book: Runbook) -> str:
    """What it was chosen by, with its mode, and that it cannot act as things stand."""
    match, cause = book.spec.match, cause_of(status)
    asked = [
        *([f"cause {cause}"] if match.causes else []),
        *([f"severity {status.severity}"] if match.severities else []),
        *([f"label {k}={v}" for k, v in sorted(match.release_labels.items())]),
    ]
    text = f"chosen by {', '.join(asked) or 'name, as it is for every Incident'}; mode {book.spec.safety.mode}"
    said = conditions.get(book.status.conditions, "Ready")
    return f"{text}; not ready: {said.message}" if said is not None and said.status == "False" else text


def _passed_over(facts: IncidentFacts, status: IncidentStatus, book: Runbook, chosen: Runbook | None) -> str:
    why = misfit(facts, status, book)
    if not why and chosen is not None:
        less = _asks_for(book) < _asks_for(chosen)
        why = "it fits too, and asks for less" if less else "it fits as well, and comes later by name"
    return f"{book.metadata.name} ({why})"
