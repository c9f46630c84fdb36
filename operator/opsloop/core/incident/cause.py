"""Causes: rank the changes before the onset by nearness in time, topology, and the SLI split by version.

`bad_release` is a conclusion with evidence; `unknown` is a good answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import Cause, Evidence
from opsloop.api.release import Revision
from opsloop.core.facts import Reading, ReleaseView, Value
from opsloop.core.release import revisions

# Named reasons
NEAR_CHANGE = "ChangedJustBefore"  # a revision became live shortly before the onset
VERSION_IS_BAD = "VersionIsBad"  # and the SLI split by version shows the harm on that revision
NOTHING_CHANGED = "NothingChanged"  # no revision became live in the time before the onset
OTHER_VERSION_BAD = "OtherVersionBad"  # the split by version shows the harm elsewhere

LOOKBACK = timedelta(hours=1)
SLACK = timedelta(seconds=30)  # the watch may tell of the change a moment after the first bad event


@dataclass(frozen=True, slots=True)
class Suspect:
    """A revision that became live around the onset."""

    release: str
    revision: Revision
    before: timedelta
    hops: int


def dependencies(name: str, views: Mapping[str, ReleaseView]) -> dict[str, int]:
    """Releases that `name` depends on, with their distance; `name` itself is 0. Cycles end."""
    found, front = {name: 0}, [name]
    while front:
        at = front.pop(0)
        for following in views[at].release.spec.depends_on if at in views else []:
            if following not in found:
                found[following] = found[at] + 1
                front.append(following)
    return found


def explain(root: ReleaseView, views: Sequence[ReleaseView], onset: datetime) -> Cause:
    """The best explanation for harm on `root` that began at `onset`."""
    by_name = {v.release.metadata.name: v for v in views} | {root.release.metadata.name: root}
    near = dependencies(root.release.metadata.name, by_name)
    suspects = [s for n, hops in near.items() if n in by_name for s in _suspects(by_name[n], hops, onset)]
    ranked = sorted(suspects, key=lambda s: (s.hops, abs(s.before)))
    if not ranked:
        return Cause(kind="unknown", reason=NOTHING_CHANGED, evidence=[])
    return _conclude(ranked[0], by_name[ranked[0].release].readings.by_version, onset)


def _suspects(view: ReleaseView, hops: int, onset: datetime) -> list[Suspect]:
    live = revisions.find(view.release.status.revisions, view.release.status.live)
    if live is None or live.live_since is None or (live.number == 1 and live.blocked is None):
        return []
    before = onset - live.live_since
    if not -SLACK <= before <= LOOKBACK:
        return []
    return [Suspect(view.release.metadata.name, live, before, hops)]


def _conclude(suspect: Suspect, split: Mapping[str, Reading], onset: datetime) -> Cause:
    revision = suspect.revision
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
    mine = split.get(revision.version)
    others = [r for v, r in split.items() if v != revision.version and isinstance(r, Value)]
    evidence += _split_evidence(split)
    if isinstance(mine, Value) and others:
        worst = max(others, key=lambda r: r.lower)
        if worst.lower > mine.upper:
            return Cause(kind="unknown", reason=OTHER_VERSION_BAD, confidence=0.3, evidence=evidence)
        if mine.lower > worst.upper:
            return Cause(kind="bad_release", reason=VERSION_IS_BAD, confidence=0.95, evidence=evidence, **base)
    confidence = 0.8 if suspect.hops == 0 else 0.5
    return Cause(kind="bad_release", reason=NEAR_CHANGE, confidence=confidence, evidence=evidence, **base)


def _split_evidence(split: Mapping[str, Reading]) -> list[Evidence]:
    return [
        Evidence(
            name=f"error ratio of {version}", value=f"{r.error_ratio:.1%} of {r.total:.0f}", source="SLI by version"
        )
        for version, r in sorted(split.items())
        if isinstance(r, Value)
    ]
