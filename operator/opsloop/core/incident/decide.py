"""The Incident's decision: what was seen, what is done, when it is over, what was learnt.

Each part is a function over `Sheet`; the order is the order of the loop: see, page, mitigate, recover, learn, ship.
"""

from datetime import datetime, timedelta

from opsloop.api.incident import BurnSignal, IncidentStatus
from opsloop.core.alerts import ledger
from opsloop.core.alerts.labels import alert_severity
from opsloop.core.decision import Decision
from opsloop.core.facts import IncidentFacts, ReleaseView, Value
from opsloop.core.incident import cause as causes
from opsloop.core.incident import followup as incident_learn
from opsloop.core.incident import merge as incident_merge
from opsloop.core.incident import paging as incident_page
from opsloop.core.incident import plays as incident_plays
from opsloop.core.incident import recover as incident_recover
from opsloop.core.incident import reopen as incident_reopen
from opsloop.core.incident.state import Sheet, burn_signal, worse

REOPEN_GRACE = timedelta(minutes=30)
MOST_AFFECTED = 64


def decide(facts: IncidentFacts, now: datetime, grace: timedelta = REOPEN_GRACE) -> Decision:
    """What follows for one Incident."""
    sheet = Sheet(facts, now)
    _open(sheet)
    _evidence(sheet)
    if sheet.status.merged_into or incident_merge.merge(sheet):
        return _finish(sheet)
    incident_reopen.reopen(sheet, grace)
    _burn(sheet)
    _onset(sheet)
    incident_page.page(sheet)
    _affected(sheet)
    _cause(sheet)
    incident_plays.play(sheet)
    incident_recover.recover(sheet)
    incident_learn.learn(sheet)
    return _finish(sheet)


def _finish(sheet: Sheet) -> Decision:
    generation = sheet.facts.incident.metadata.generation
    sheet.set(observed_generation=generation)
    incident_learn.postmortem(sheet)
    return sheet.decision()


def _open(sheet: Sheet) -> None:
    signal, status = sheet.facts.incident.spec.signal, sheet.status
    if status.detected_at is not None:
        return
    severity = worse(status.severity, signal.severity)
    sheet.set(detected_at=signal.at, severity=severity, burn=signal.burn, title=_title(sheet, signal.burn))
    sheet.note("detected", signal.at, "Detected", "opsloop", signal.message or sheet.facts.incident.spec.title)
    sheet.event("Opened", f"{signal.severity}: {sheet.facts.incident.spec.title}", "Warning")


def _title(sheet: Sheet, burn: BurnSignal | None) -> str:
    """The harm in one line; what opened it says less once an SLO shows what users feel."""
    spec = sheet.facts.incident.spec
    if burn is None:
        return spec.title
    return f"{spec.service}: {burn.error_ratio:.0%} of events bad, error budget burning {burn.burn_short:.0f}x"[:256]


def _evidence(sheet: Sheet) -> None:
    """Alerts and tickets of the ledger: counts are derived, so filing twice changes nothing."""
    counts = ledger.counts(sheet.facts.ledger)
    sheet.set(alerts=counts)
    _louder(sheet)
    if counts.first_at is not None and counts.sample:
        first = counts.sample[0]
        about = f" on {first.service}" if first.service else ""
        sheet.note("first-alert", counts.first_at, "Alerts", "alertmanager", f"first alert: {first.name}{about}")
    tickets = ledger.tickets_of(sheet.facts.ledger)[:100]
    sheet.set(tickets=tickets)
    for ticket in tickets:
        said = f'ticket {ticket.id} "{ticket.subject}" linked with score {ticket.score:.2f}'
        sheet.note(f"ticket-{ticket.id}", ticket.received_at, "Ticket", "intake", said, ticket.evidence)


def _louder(sheet: Sheet) -> None:
    """Where no SLO decides, a critical alert that comes after a warning makes it page. Severity only rises."""
    root, firing = sheet.facts.root, [a for a in sheet.facts.ledger.alerts if a.status == "firing"]
    has_slo = root is not None and root.release.spec.slo is not None
    if firing and sheet.status.phase != "Resolved":
        sheet.set(severity=worse(sheet.status.severity, alert_severity(firing, has_slo)))


def _burn(sheet: Sheet) -> None:
    """A tier that fires on the root: evidence, and the severity that goes with it. Severity only rises.

    While what it depends on is harmed, the dependency's Incident pages and this one waits to be merged.
    """
    root, status = sheet.facts.root, sheet.status
    verdict = root.readings.verdict if root else None
    if verdict is None or verdict.firing is None or status.phase == "Resolved":
        return
    if status.burn is None and incident_merge.harmed_dependencies(sheet):
        return
    tier = verdict.firing.tier
    signal = burn_signal(verdict)
    if status.burn is None:
        sheet.set(burn=signal, detected_at=verdict.at, title=_title(sheet, signal))
        text = f"burn rate {signal.burn_long:.1f} over {signal.long} and {signal.burn_short:.1f} over {signal.short}"
        sheet.note("burn", verdict.at, "Detected", "opsloop", f"{text}, both above {signal.factor:g}", burn=signal)
        sheet.event("BurnRate", f"{tier.severity}: {text}", "Warning")
    sheet.set(severity=worse(sheet.status.severity, tier.severity))


def _onset(sheet: Sheet) -> None:
    root, status = sheet.facts.root, sheet.status
    if status.onset_at is not None or status.burn is None or root is None or root.readings.onset is None:
        return
    if status.resolved_at is not None:
        return
    sheet.set(onset_at=root.readings.onset)
    text = f"{sheet.facts.incident.spec.service}: error ratio rose above the error budget"
    sheet.note("onset", root.readings.onset, "Onset", "prometheus", text)


def _affected(sheet: Sheet) -> None:
    root = sheet.facts.root
    if root is None or sheet.status.phase == "Resolved":
        return
    views = {v.release.metadata.name: v for v in sheet.facts.releases}
    mine = root.release.metadata.name
    for name, view in sorted(views.items()):
        verdict = view.readings.verdict
        harmed = name != mine and verdict is not None and verdict.firing is not None
        if (
            harmed
            and verdict is not None
            and mine in causes.dependencies(name, views)
            and name not in sheet.status.affected
            and len(sheet.status.affected) < MOST_AFFECTED
        ):
            sheet.set(affected=[*sheet.status.affected, name])
            sheet.note(
                f"affected-{name}", verdict.at, "Affected", "opsloop", f"{name} depends on {mine} and breaches too"
            )


def _cause(sheet: Sheet) -> None:
    root, status = sheet.facts.root, sheet.status
    if root is None or status.burn is None or status.phase == "Resolved":
        return
    settled = status.cause is not None and (status.cause.kind != "unknown") and status.cause.confidence >= 0.9
    if settled or (status.plays and status.cause is not None and not _better_known(status, root)):
        return
    began = (root.readings.onset or sheet.now) if status.reopened else (status.onset_at or status.detected_at)
    cause = causes.explain(root, sheet.facts.releases, began or sheet.now)
    if status.cause is None or cause.confidence > status.cause.confidence:
        sheet.set(cause=cause)
    if cause.kind == "bad_release":
        at = _live_since(root, cause.revision)
        text = f"{cause.version} became live{', without a canary' if _uncanaried(root, cause.revision) else ''}"
        sheet.note(f"change-{cause.revision}", at or sheet.now, "Change", "opsloop", text, cause.evidence[:4])


def _better_known(status: IncidentStatus, root: ReleaseView) -> bool:
    """The split by version came in after the play was chosen on nearness in time alone."""
    blamed = status.cause.version if status.cause else ""
    return isinstance(root.readings.by_version.get(blamed), Value) and len(root.readings.by_version) > 1


def _live_since(root: ReleaseView, digest: str) -> datetime | None:
    return next((r.live_since for r in root.release.status.revisions if r.digest == digest), None)


def _uncanaried(root: ReleaseView, digest: str) -> bool:
    return any(r.digest == digest and r.shipped_without_canary for r in root.release.status.revisions)
