"""A rollback as an Incident decides it: `{from, to}` on its status; the Release carries it out."""

from datetime import timedelta

from opsloop.api.incident import RollbackDecision
from opsloop.core.incident.state import Sheet
from opsloop.core.release import revisions

STANDING_GRANT = "StandingGrant"  # a blocked revision came back: the earlier grant of this Incident stands


def decide_rollback(sheet: Sheet, from_digest: str, to_digest: str, attempt: int, proven: bool) -> None:
    """Store the decision; it holds only while live is `from_digest` and this Incident is not Resolved."""
    root = sheet.facts.root
    assert root is not None
    known = root.release.status.revisions
    bad, good = revisions.find(known, from_digest), revisions.find(known, to_digest)
    wanted = RollbackDecision(
        release=root.release.metadata.name, from_digest=from_digest, to_digest=to_digest, attempt=attempt, at=sheet.now
    )
    sheet.set(rollback=wanted, phase="Mitigating", back_since=None)
    kind = "last-good" if proven else "adopted and unproven"
    text = f"roll back {bad.version if bad else from_digest} to {good.version if good else to_digest} ({kind})"
    sheet.note(f"rollback-{attempt}", sheet.now, "Play", "opsloop", text)
    sheet.event("Rollback", text, "Warning")
    sheet.look(timedelta(seconds=5))


def next_attempt(sheet: Sheet, type_: str = "rollback") -> int:
    """Attempts only go up, so that each is carried out at most once."""
    return 1 + max((p.attempt for p in sheet.status.plays if p.type == type_), default=0)


def rollback_pending(sheet: Sheet) -> bool:
    """A decided rollback that the Release has not finished or refused yet, or whose effect has not been read yet.

    A reading from before the end of the rollback says nothing about it: the SLI must have been read since.
    """
    wanted, root = sheet.status.rollback, sheet.facts.root
    current = sheet.status.plays[-1] if sheet.status.plays else None
    if wanted is None or root is None or current is None or current.type != "rollback" or current.state != "Running":
        return False
    record = root.release.status.rollback
    if record is None or (record.incident, record.attempt) != (sheet.name, wanted.attempt):
        return root.release.status.live == wanted.from_digest
    if record.state == "Done" and record.done_at is not None:
        verdict = root.readings.verdict
        return verdict is None or verdict.at < record.done_at
    return record.state in ("Recorded", "Written")
