"""Deploys of the past, by what Prometheus saw of the pods: which ReplicaSets, or version labels, were there when.

A deploy is the first sight of another ReplicaSet than the one that was live. The pods of ReplicaSet web-7d9f8c6b5d are called
web-7d9f8c6b5d-x2x4z (`core.slo.pods`); kube-state-metrics also says their images. Where nothing names pods, the SLI's version
label tells deploys, and where there is none either nobody can say.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from opsloop.api.release import Release, ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.api.slo import Sli
from opsloop.core.release.revisions import version_of
from opsloop.core.slo import promql
from opsloop.core.slo.counts import Points
from opsloop.core.slo.pods import Scope, joined, matcher

LABEL = "opsloop"
BY_IMAGES = "kube_pod_container_info"
BY_PODS = "the SLI's pod label"
BY_VERSION = "the SLI's version label"
MOST_DEPLOYS = 200  # the latest ones are told
MOST_REVISIONS = 50  # that a Release knows of
GONE = timedelta(minutes=5)  # Prometheus shows a series for so long after its last sample
_PLACED = r"([a-zA-Z_][a-zA-Z0-9_]*)\s*=~\s*(?:\"[^\"]*|'[^']*|`[^`]*)\{\{\s*NAME\s*\}\}"


@dataclass(frozen=True, slots=True)
class Way:
    """A way to see deploys: the PromQL that counts pods (or series) by what they run, as label LABEL."""

    how: str
    query: str


@dataclass(frozen=True, slots=True)
class Deploy:
    """A ReplicaSet (its hash) or version label `name` that became live at `at`; of the first one `at` is when it was seen first.

    `before` is what was live then; `replaced_at` is when the last of it was seen, None where it is there to the end.
    `pods`: as many as were there at once, 0 where only versions are told.
    """

    name: str
    version: str
    at: datetime
    before: str = ""
    replaced_at: datetime | None = None
    until: datetime | None = None  # the next deploy
    images: Mapping[str, str] | None = None
    pods: int = 0


@dataclass(frozen=True, slots=True)
class Deploys:
    """All of a history, the one that was there first at index 0. `how` they were seen; empty where nothing tells them."""

    how: str = ""
    found: tuple[Deploy, ...] = ()

    @property
    def new(self) -> tuple[Deploy, ...]:
        """Without the one that was there first."""
        return self.found[1:]


def ways(release: Release, scope: Scope) -> list[Way]:
    """How to see deploys, the best first. `scope`: with the labels of a structured SLI, where they were found."""
    workload, namespace = release.spec.workload_ref.name, release.metadata.namespace
    own = f"{workload.replace('.', '[.]')}-([a-z0-9]{{1,10}})-[a-z0-9]{{5}}"
    containers = f"{BY_IMAGES}{{{joined(f'namespace={json.dumps(namespace)}', matcher('pod', own))}}}"
    found = [Way(BY_IMAGES, _count(containers, "pod", own, "container", "image"))]
    if (spec := release.spec.slo) is None:
        return found
    every = promql.bases(promql.expressions(spec.sli, scope).total, scope)[:1]
    for how, label, pattern in (
        (BY_PODS, pod_label(spec.sli, scope), own),
        (BY_VERSION, placed(spec.sli, "version"), "(.+)"),
    ):
        found += [Way(how, _count(one, label, pattern)) for one in every if label]
    return found


def pod_label(sli: Sli, scope: Scope) -> str:
    """The label of the SLI's series that holds the names of pods; empty where none is known to."""
    if scope.labels is not None:
        return "" if scope.by_address else scope.labels.pod
    return placed(sli, "pods")


def placed(sli: Sli, placeholder: str) -> str:
    """The label that a person compares with {{pods}} or {{version}} in the expression of all events; empty without one."""
    found = re.search(_PLACED.replace("NAME", placeholder), sli.total or "")
    return found[1] if found else ""


def _count(selector: str, label: str, pattern: str, *by: str) -> str:
    """PromQL: how many series there are by what the pattern's group finds in a label."""
    named = f'label_replace({selector}, "{LABEL}", "$1", "{label}", {json.dumps(pattern)})'
    return f"count by ({', '.join((LABEL, *by))}) ({named})"


# --- from what was seen


def deploys_of(answer: Iterable[Points], way: Way, workload: str, step: timedelta) -> Deploys:
    """The deploys of a history, by the answer to the way's query over all of it in steps of `step`."""
    seen: dict[str, dict[datetime, float]] = {}
    images: dict[str, dict[str, str]] = {}
    for series in answer:
        if not (name := series.labels.get(LABEL, "")):
            continue
        counted = seen.setdefault(name, {})
        for at, number in series.points:
            counted[at] = max(counted.get(at, 0.0), number)
        if image := series.labels.get("image"):
            images.setdefault(name, {})[series.labels.get("container", "")] = image
    stretches = sorted(
        (begin, end, name) for name, counted in seen.items() for begin, end in _stretches(sorted(counted), GONE + step)
    )
    found: list[Deploy] = []
    for begin, end, name in stretches:
        if found and found[-1].name == name:
            continue
        of = images.get(name, {})
        most = max(number for at, number in seen[name].items() if begin <= at <= end)
        pods = 0 if way.how == BY_VERSION else max(1, round(most))
        version = name if way.how == BY_VERSION or not of else version_of(_main_first(of, workload), {}, "")
        before = found[-1].name if found else ""
        found.append(Deploy(name, version, begin, before, images=of or {workload: name}, pods=pods))
    ends = {(begin, name): end for begin, end, name in stretches}
    return Deploys(way.how, tuple(_ended(found, ends)[-MOST_DEPLOYS:])) if found else Deploys()


def _stretches(times: Sequence[datetime], gap: timedelta) -> Iterable[tuple[datetime, datetime]]:
    """(first, last) time of each stretch in which something was there without a longer gap."""
    begin = last = times[0]
    for at in times[1:]:
        if at - last > gap:
            yield begin, last
            begin = at
        last = at
    yield begin, last


def _main_first(images: Mapping[str, str], workload: str) -> dict[str, str]:
    """The images, that of the container with the workload's name first."""
    return {name: images[name] for name in sorted(images, key=lambda n: (n != workload, n))}


def _ended(found: Sequence[Deploy], ends: Mapping[tuple[datetime, str], datetime]) -> list[Deploy]:
    """Each with the time at which the one before was seen last, and at which the next one came."""
    told = []
    for number, one in enumerate(found):
        until = found[number + 1].at if number + 1 < len(found) else None
        before = found[number - 1] if number else None
        gone = ends[before.at, before.name] if before is not None else None
        told.append(replace(one, until=until, replaced_at=max(gone, one.at) if gone is not None else None))
    return told


def dated(deploys: Deploys, first: Mapping[int, datetime], resolution: timedelta) -> Deploys:
    """The deploys with the time of each one's first sample, by its place, as it was looked up more finely. A pod serves for up to
    a scrape before that: as in the operator, a deploy is not later than the harm that it brings."""
    found = [
        replace(one, at=first[number] - resolution) if number in first else one
        for number, one in enumerate(deploys.found)
    ]
    ends = [*(one.at for one in found[1:]), None]
    return replace(deploys, found=tuple(replace(one, until=end) for one, end in zip(found, ends, strict=True)))


# --- as a Release would know them


def status_as_of(deploys: Deploys, at: datetime, workload: str, proven: Mapping[str, datetime]) -> ReleaseStatus:
    """What the status of the Release would say of live and of its revisions; each was shipped past the Release.

    `proven`: name → since when it is known to meet the SLO.
    """
    revisions: dict[str, Revision] = {}
    live = ""
    for one in deploys.found:
        if one.at > at:
            break
        digest, before = digest_of(one.name), revisions.pop(one.name, None)
        live, first = digest, one.before == ""
        revisions[one.name] = Revision(
            digest=digest,
            number=before.number if before else 1 + max((r.number for r in revisions.values()), default=0),
            version=one.version[:128],
            images=dict(one.images or {}),
            replica_sets=[f"{workload}-{one.name}"] if deploys.how != BY_VERSION else [],
            reason="Adopted" if first else "Drifted",
            shipped_without_canary=not first,
            live_since=one.at,
            exposed_since=one.at,
            rolled_out_at=one.replaced_at if one.replaced_at is not None and one.replaced_at <= at else None,
            first_seen=before.first_seen if before else one.at,
            proven_at=proven.get(one.name),
        )
    return ReleaseStatus(live=live, revisions=list(revisions.values())[-MOST_REVISIONS:])


def digest_of(name: str) -> str:
    """A digest in place of that of the template, which Prometheus does not know."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]
