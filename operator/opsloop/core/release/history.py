"""What became of a Release's versions, noted with the write that it happened in: `opsloop report` counts it.

An entry tells of systems only: no order of a person, no author of a commit. The oldest go where there are too many, and
`historySince` says from when on none is missing.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from opsloop.api.history import MOST_FAILED_CASES, MOST_HISTORY, HistoryEntry
from opsloop.api.meta import parse_time
from opsloop.api.release import ReleaseStatus
from opsloop.api.target import Target
from opsloop.core.evalcase import gating
from opsloop.core.release import ReleaseBuilder, counted, live, revisions
from opsloop.core.release.analysis import EVAL_FAILED
from opsloop.core.release.asked import answers, asked
from opsloop.names import COMMITTED

# Named reasons
COMMITTED_AT_UNREADABLE = "CommittedAtUnreadable"  # opsloop.dev/committed-at is no time, or one that is still to come: the lead time is unknown

FAST_CLOCK = timedelta(minutes=5)  # by which a committer's clock may go ahead of the cluster's


def note(builder: ReleaseBuilder) -> None:
    """Adds what this Decision changes. The history of a Release begins with its adoption, or with the first entry after an upgrade."""
    before, after = builder.facts.release.status, builder.status
    entries = [*_by_hand(builder, before, after), *_rolled_back(before, after), *_rollout(builder, before, after)]
    since = after.history_since
    if since is None and (entries or not before.live) and after.live:
        since = min([builder.now, *(entry.at for entry in entries)])
    kept = [*after.history, *entries]
    if len(kept) > MOST_HISTORY:
        since, kept = kept[-MOST_HISTORY - 1].at, kept[-MOST_HISTORY:]
    if (kept, since) != (after.history, after.history_since):
        builder.set(history=kept, history_since=since)


def _rollout(builder: ReleaseBuilder, before: ReleaseStatus, after: ReleaseStatus) -> Iterator[HistoryEntry]:
    """The end of a canary. One that was refused never began."""
    end, target = counted.ended(before, after), after.target
    if end is None or target is None or end.result == "refused":
        return
    assert target.state in ("Promoted", "Rejected", "Cancelled") and target.ended_at is not None
    yield HistoryEntry(
        what=target.state,
        at=target.ended_at,
        version=target.version,
        digest=target.digest,
        began_at=target.started_at,
        served_since=target.traffic_since or _live_since(after, target),
        committed_at=_committed(builder, target.digest, target) if target.state == "Promoted" else None,
        reason="" if target.state == "Promoted" else target.reason,
        cases=_failed_cases(target),
    )


def _live_since(status: ReleaseStatus, target: Target) -> datetime | None:
    """Since when a version that was shipped without a canary served everybody; None where it never did."""
    shipped = revisions.find(status.revisions, target.digest) if target.direct else None
    since = shipped.live_since if shipped is not None else None
    return since if since is not None and since >= target.started_at else None


def _failed_cases(target: Target) -> list[str]:
    """Names of the EvalCases that a target was rejected for; of those that are not must-pass the ones that the canary answered worse."""
    if (target.state, target.reason) != ("Rejected", EVAL_FAILED):
        return []
    failed = [r for r in target.evals if r.must_pass and gating.on_canary(r) == "failed"]
    must = [r.case for r in failed if not r.flaky] or [r.case for r in failed if r.worse > r.better]
    return (must or [r.case for r in target.evals if not r.must_pass and r.worse > r.better])[:MOST_FAILED_CASES]


def _by_hand(builder: ReleaseBuilder, before: ReleaseStatus, after: ReleaseStatus) -> Iterator[HistoryEntry]:
    """A template that opsloop did not write: a new one is pushed, one from before puts an end to what was live."""
    new, left = revisions.find(after.revisions, after.live), revisions.find(before.revisions, before.live)
    if new is None or left is None or after.live == before.live:
        return
    if any(revision.digest == after.live for revision in live.written_revisions(before)):
        return
    known, at = revisions.find(before.revisions, after.live), new.live_since or builder.now
    if known is not None and known.live_since is not None and known.number < left.number:
        yield HistoryEntry(what="Reverted", at=at, version=left.version, digest=left.digest)
    else:
        committed = _committed(builder, new.digest, None)
        yield HistoryEntry(what="Pushed", at=at, version=new.version, digest=new.digest, committed_at=committed)


def _rolled_back(before: ReleaseStatus, after: ReleaseStatus) -> Iterator[HistoryEntry]:
    """A rollback that put its template on the Deployment, whether or not all of its pods came up."""
    end, record = counted.rolled_back(before, after), after.rollback
    if end is None or record is None or end.result == "refused" or after.live != record.to_digest:
        return
    left = revisions.find(after.revisions, record.from_digest)
    yield HistoryEntry(
        what="RolledBack" if record.incident or record.case else "Undone",
        at=record.done_at or record.effect_at or record.at,
        version=left.version if left else "",
        digest=record.from_digest,
        incident=record.incident,
    )


def _committed(builder: ReleaseBuilder, digest: str, target: Target | None) -> datetime | None:
    """The time of the commit, as the revision's pod template says it, else as the Release does for what it asks for.

    A time on the Release that an earlier version had was not changed with the version: unknown.
    """
    facts, workload = builder.facts, builder.facts.workload
    template = workload.template if workload and workload.digest == digest else facts.templates.get(digest)
    text = str(((template or {}).get("metadata", {}).get("annotations") or {}).get(COMMITTED, ""))
    by_release = not text and target is not None and answers(target, asked(facts, builder.status))
    text = text or (facts.release.metadata.annotations.get(COMMITTED, "") if by_release else "")
    if not text:
        return None
    try:
        found = parse_time(text.strip())
    except ValueError:
        found = None
    if found is None or found > builder.now + FAST_CLOCK:
        wrong = f"{COMMITTED}: {text[:64]!r} is no time before now; write the commit's, for example 2026-11-28T09:30:00Z (git log -1 --format=%cI)"
        builder.event(COMMITTED_AT_UNREADABLE, wrong, "Warning")
        return None
    stale = by_release and any(
        (entry.committed_at, entry.digest != digest) == (found, True) for entry in builder.status.history
    )
    return None if stale else min(found, builder.now)
