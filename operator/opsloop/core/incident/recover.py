"""When an Incident is over: mitigated, resolved, or harmed again."""

from datetime import datetime, timedelta

from opsloop.core.incident import plays as incident_plays
from opsloop.core.incident import rollback as incident_rollback
from opsloop.core.incident.state import Sheet
from opsloop.core.slo.burn_rate import TELEMETRY_UNKNOWN
from opsloop.names import MITIGATED

# Named reasons
SLI_BACK = "SliBack"  # the SLI that opened it is surely (upper bound) back within its objective
ALERTS_RESOLVED = "AlertsResolved"  # it has no burn, and all its alerts are resolved
PERSON_SAID_SO = "PersonSaidSo"  # annotation opsloop.dev/mitigated
NOT_BACK = "NotBack"  # the harm goes on

ALERTS_QUIET = timedelta(minutes=1)


def recover(sheet: Sheet) -> None:
    """Mitigated when the SLI is surely back, Resolved when that held; unknown ends nothing."""
    status = sheet.status
    if status.phase == "Resolved":
        return
    back, reason = _is_back(sheet)
    at = _seen_at(sheet)
    if back is True and not incident_rollback.rollback_pending(sheet):
        sheet.set(back_since=status.back_since or at)
        if status.phase != "Mitigated":
            sheet.set(phase="Mitigated", mitigated_at=sheet.status.back_since)
            incident_plays.helped(sheet)
            sheet.note(f"mitigated-{status.reopened}", at, "Mitigated", "opsloop", _mitigated_text(sheet, reason))
            sheet.event("Mitigated", _mitigated_text(sheet, reason))
        sheet.condition("Mitigated", True, reason, _mitigated_text(sheet, reason))
        _resolve(sheet)
        return
    sheet.set(back_since=None)
    sheet.condition("Mitigated", None if back is None else False, reason, "the harm is not surely over")
    if status.phase == "Mitigated" and back is False:
        sheet.set(phase="Mitigating" if status.plays else "Open", mitigated_at=None)
        sheet.note(
            f"relapse-{at.timestamp():.0f}",
            at,
            "Relapse",
            "opsloop",
            "its alerts fire again" if status.burn is None else "the SLI left its objective again",
        )
    sheet.look(timedelta(seconds=30))


def _mitigated_text(sheet: Sheet, reason: str) -> str:
    if reason != SLI_BACK:
        return {ALERTS_RESOLVED: "all its alerts are resolved"}.get(reason, "a person said that it is over")
    root = sheet.facts.root
    objective = root.release.spec.slo.objective if root and root.release.spec.slo else 0
    return f"the SLI is back within its objective of {objective:.4g}"


def _seen_at(sheet: Sheet) -> datetime:
    root = sheet.facts.root
    return root.readings.verdict.at if root and root.readings.verdict else sheet.now


def _is_back(sheet: Sheet) -> tuple[bool | None, str]:
    no_sli = sheet.status.burn is None or sheet.facts.root is None  # the Release may have been deleted
    if sheet.facts.incident.metadata.annotations.get(MITIGATED) == "true" and no_sli:
        return True, PERSON_SAID_SO
    if sheet.status.burn is None:
        counts = sheet.status.alerts
        if counts.count:
            return counts.firing == 0, ALERTS_RESOLVED if counts.firing == 0 else NOT_BACK
        return False, NOT_BACK
    root = sheet.facts.root
    verdict = root.readings.verdict if root else None
    if verdict is None or verdict.back is None:
        return None, TELEMETRY_UNKNOWN
    return verdict.back, SLI_BACK if verdict.back else NOT_BACK


def _resolve(sheet: Sheet) -> None:
    status, root = sheet.status, sheet.facts.root
    assert status.back_since is not None
    spec = root.release.spec.slo if root else None
    hold = spec.resolve_after if spec and status.burn else ALERTS_QUIET
    left = hold - (sheet.now - status.back_since)
    if left > timedelta(0):
        sheet.look(left)
        return
    sheet.set(phase="Resolved", resolved_at=sheet.now)
    held = f"held for {hold.total_seconds():.0f} s"
    sheet.note(f"resolved-{status.reopened}", sheet.now, "Resolved", "opsloop", held)
    sheet.event("Resolved", held)
