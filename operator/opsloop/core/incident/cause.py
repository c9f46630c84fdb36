"""Causes: rank the changes before the onset by nearness in time, topology, and the SLI split by version.

`bad_release` is a conclusion with evidence; `unknown` is a good answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import Cause, Evidence, IncidentStatus
from opsloop.api.release import Revision
from opsloop.core.facts import Reading, ReleaseView, Value
from opsloop.core.release import revisions
from opsloop.core.topology import Topology

# Named reasons
NEAR_CHANGE = "ChangedJustBefore"  # a revision became live shortly before the onset
VERSION_IS_BAD = "VersionIsBad"  # and the SLI split by version shows the harm on that revision
NOTHING_CHANGED = "NothingChanged"  # no revision became live in the time before the onset
OTHER_VERSION_BAD = "OtherVersionBad"  # the split by version shows the harm elsewhere

LOOKBACK = timedelta(hours=1)
SURE = 0.9  # confidence from which a cause is not looked for any more
SLACK = timedelta(seconds=30)  # the watch may tell of the change a moment after the first bad event


@dataclass(frozen=True, slots=True)
class Suspect:
    """A revision that became live around the onset."""

    release: str
    revision: Revision
    before: timedelta
    hops: int


def explain(root: ReleaseView, topology: Topology, onset: datetime) -> Cause:
    """The best explanation for harm on `root` that began at `onset`: the nearest change, by hops and then in time."""
    name = root.release.metadata.name
    views, near = topology.views | {name: root}, {name: 0} | topology.dependencies(name)
    suspects = [s for n, hops in near.items() if n in views for s in _suspects(views[n], hops, onset)]
    nearest = min(suspects, key=lambda s: (s.hops, abs(s.before)), default=None)
    if nearest is None:
        return Cause(kind="unknown", reason=NOTHING_CHANGED, evidence=[])
    return _conclude(nearest, views[nearest.release])


def is_settled(status: IncidentStatus, root: ReleaseView) -> bool:
    """True if the cause is sure, or a play was chosen on it and no split by version came in since."""
    cause = status.cause
    if cause is None:
        return False
    if cause.kind != "unknown" and cause.confidence >= SURE:
        return True
    split = root.readings.by_revision
    return bool(status.plays) and not (isinstance(split.get(cause.revision), Value) and len(split) > 1)


def began(status: IncidentStatus, root: ReleaseView, now: datetime) -> datetime:
    """When the harm to explain began; after a reopening that is the present stretch of it."""
    if status.reopened:
        return root.readings.onset or now
    return status.onset_at or status.detected_at or now


def _suspects(view: ReleaseView, hops: int, onset: datetime) -> list[Suspect]:
    live = revisions.find(view.release.status.revisions, view.release.status.live)
    if live is None or live.live_since is None or (live.number == 1 and live.blocked is None):
        return []
    before = onset - live.live_since
    if not -SLACK <= before <= LOOKBACK:
        return []
    return [Suspect(view.release.metadata.name, live, before, hops)]


def _conclude(suspect: Suspect, view: ReleaseView) -> Cause:
    """Blames the suspect, unless the split by version shows the harm on another version."""
    revision, split = suspect.revision, view.readings.by_revision
    evidence = [
        Evidence(
            name="became live before onset",
            value=f"{revision.version} {suspect.before.total_seconds():.0f} s before",
            source=f"Release {suspect.release}",
        )
    ]
    if revision.shipped_without_canary:
        by = revision.manager or "an unknown manager"
        evidence.append(Evidence(name="shipped without a canary", value=f"by {by}", source="field manager"))
    base = {"release": suspect.release, "revision": revision.digest, "version": revision.version}
    own = split.get(revision.digest)
    others = [r for d, r in split.items() if d != revision.digest and isinstance(r, Value)]
    evidence += _split_evidence(split, {r.digest: r.version for r in view.release.status.revisions})
    if isinstance(own, Value) and others:
        worst = max(others, key=lambda r: r.lower)
        if worst.lower > own.upper:
            return Cause(kind="unknown", reason=OTHER_VERSION_BAD, confidence=0.3, evidence=evidence)
        if own.lower > worst.upper:
            return Cause(kind="bad_release", reason=VERSION_IS_BAD, confidence=0.95, evidence=evidence, **base)
    confidence = 0.8 if suspect.hops == 0 else 0.5
    return Cause(kind="bad_release", reason=NEAR_CHANGE, confidence=confidence, evidence=evidence, **base)


def _split_evidence(split: Mapping[str, Reading], labels: Mapping[str, str]) -> list[Evidence]:
    return [
        Evidence(
            name=f"error ratio of {labels.get(digest, digest)}",
            value=f"{r.error_ratio:.1%} of {r.total:.0f}",
            source="SLI by version",
        )
        for digest, r in sorted(split.items())
        if isinstance(r, Value)
    ]
