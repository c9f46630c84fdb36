"""The picture of one Release as a tree: live, canary and its pods, SLI, evals, Incident, earlier revisions, and what to do next."""

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.check import CheckResult
from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import format_duration
from opsloop.api.release import Release
from opsloop.api.revision import Revision
from opsloop.api.target import CaseResult, Target
from opsloop.core import conditions
from opsloop.core.evalcase import gating
from opsloop.core.release import revisions
from opsloop.core.release.advice import advice
from opsloop.core.release.asked import version_asked
from opsloop.core.release.outcome import step_of
from opsloop.core.text import line
from opsloop.entry.cli.listing import age
from opsloop.names import GATE
from opsloop.shell.ports import Object

MOST_PODS, MOST_EARLIER, MOST_CASES = 12, 5, 6  # of each are shown; the rest is counted
NARROWEST = 60


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read for one Release; a text in place of objects says why they could not be read."""

    release: Release
    deployment: Object | None = None
    pods: tuple[Object, ...] | str = ()
    incident: Incident | None = None
    cases: tuple[EvalCase, ...] | str = ()
    warm: tuple[Object, ...] | str = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of the tree, and what hangs on it."""

    label: str
    text: str
    leaves: tuple["Branch", ...] = ()


def picture(seen: Seen, now: datetime, width: int) -> list[str]:
    """The lines, none longer than `width` (at least NARROWEST) where words allow it."""
    release, width = seen.release, max(NARROWEST, width)
    status = release.status
    head = f"{release.metadata.name}  Release in {release.metadata.namespace}, {status.phase}"
    lines = [head, *_wrapped("", f"wants {_wants(release)}", width)]
    lines += list(_tree([b for b in _branches(seen, now) if b is not None], "", width))
    for text in advice(release):
        lines += _wrapped("→ ", text, width)
    return [line(text) for text in lines]


def _wants(release: Release) -> str:
    spec = release.spec
    steps = " → ".join(
        (str(step.weight) if step.weight else step.words) + ("?" if step.approve else "")
        for step in spec.strategy.steps
    )
    if spec.strategy.type == "direct":
        steps = "none, shipped directly"
    asks = " (? wants an approval)" if any(step.approve for step in spec.strategy.steps) else ""
    return f"{version_asked(release)}{', written on the guarded Deployment' if spec.guard else ''}; steps {steps}{asks}{'; paused' if spec.paused else ''}"


def _branches(seen: Seen, now: datetime) -> Iterator[Branch | None]:
    status = seen.release.status
    yield _live(seen, now)
    yield _canary(seen, now)
    yield _warm(seen, now)
    yield _rollback(seen, now)
    yield _sli(seen.release)
    yield _evals(seen)
    yield _checks(seen, now)
    yield _incident(seen, now)
    told = {status.live, status.target.digest if status.target and status.target.is_active else ""}
    rest = sorted((r for r in status.revisions if r.digest not in told), key=lambda r: -r.number)
    if rest:
        leaves = [Branch(r.version, _revision(r, now)) for r in rest[:MOST_EARLIER]]
        more = f", {len(rest) - MOST_EARLIER} more" if len(rest) > MOST_EARLIER else ""
        yield Branch("revisions", f"{len(rest)} others{more}", tuple(leaves))
    for command in status.commands:
        yield Branch(
            "command",
            f"{command.name} {age(command.at, now)} ago: {command.reason}{f', {command.message}' if command.message else ''}",
        )


def _live(seen: Seen, now: datetime) -> Branch:
    status = seen.release.status
    live = revisions.find(status.revisions, status.live)
    if live is None:
        missing = conditions.get(status.conditions, "WorkloadMissing")
        return Branch("live", missing.message if missing and missing.status == "True" else "nothing yet")
    deployed = ""
    if seen.deployment is not None:
        state = seen.deployment.get("status") or {}
        wanted = (seen.deployment.get("spec") or {}).get("replicas", 1)
        deployed = f", {state.get('availableReplicas', 0)} of {wanted} pods available"
        if state.get("updatedReplicas", 0) < wanted:
            deployed += f", {state.get('updatedReplicas', 0)} updated"
    return Branch("live", f"{live.version}{deployed}; {_revision(live, now)}")


def _revision(revision: Revision, now: datetime) -> str:
    origin = {
        "Adopted": "adopted",
        "Canaried": "by a canary",
        "Direct": "directly, without a canary",
        "Drifted": "put there by hand",
        "Remembered": "remembered",
    }
    parts = [f"revision {revision.number} ({revision.digest[:10]})", origin.get(revision.reason, revision.reason)]
    parts += [f"live since {age(revision.live_since, now)}"] if revision.live_since else []
    parts += ["proven"] if revision.proven_at and revision.blocked is None else []
    if revision.blocked is not None:
        parts.append(
            f"blocked: {revision.blocked.reason}{f' for {revision.blocked.incident}' if revision.blocked.incident else ''}"
        )
    return ", ".join(parts)


def _canary(seen: Seen, now: datetime) -> Branch | None:
    target = seen.release.status.target
    if target is None or (target.state == "Promoted" and target.digest == seen.release.status.live):
        return None
    if not target.is_active:
        over = f" {age(target.ended_at, now)} ago" if target.ended_at else ""
        return Branch(
            "canary",
            f"{target.version} {target.state}{over}: {target.reason}{f', {target.message}' if target.message else ''}",
        )
    return Branch("canary", _progress(seen, target, now), tuple(_pods(seen.pods)))


def _progress(seen: Seen, target: Target, now: datetime) -> str:
    steps, status = seen.release.spec.strategy.steps, seen.release.status
    text = f"{target.version} {target.state}"
    if target.state == "Stepping":
        text += f", step {step_of(target) + 1} of {len(steps)}: {target.step_words}, actual {status.weight.actual}"
        if status.weight.requests is not None:
            text += f" by pods and {status.weight.requests} by requests"
        if target.reached_at and target.step < len(steps):
            left = steps[target.step].hold.total_seconds() - (now - target.reached_at).total_seconds()
            text += f", reached {age(target.reached_at, now)} ago" + (
                f", {format_duration(timedelta(seconds=int(left)))} of its hold left" if left > 0 else ""
            )
    held = conditions.get(status.conditions, "Held")
    if held is not None and held.status == "True":
        text += f"; held: {held.reason}, {held.message}"
    return f"{text}; started {age(target.started_at, now)} ago"


def _pods(pods: tuple[Object, ...] | str) -> Iterator[Branch]:
    if isinstance(pods, str):
        yield Branch("pods", f"cannot be read: {pods}")
        return
    for pod in pods[:MOST_PODS]:
        told = {c.get("type"): c.get("status") for c in (pod.get("status") or {}).get("conditions") or ()}
        ready = "ready" if told.get("ContainersReady") == "True" else _waiting(pod)
        yield Branch(pod["metadata"]["name"], f"{'in traffic' if told.get(GATE) == 'True' else 'dark'}, {ready}")
    if len(pods) > MOST_PODS:
        yield Branch("…", f"{len(pods) - MOST_PODS} more")


def _waiting(pod: Object) -> str:
    status = pod.get("status") or {}
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        if reason := ((container.get("state") or {}).get("waiting") or {}).get("reason"):
            return str(reason)
    return f"not ready ({status.get('phase', 'Unknown')})"


def _warm(seen: Seen, now: datetime) -> Branch | None:
    """Pods of last-good that are kept warm, or served lately."""
    record = seen.release.status.warm
    if record is None or (record.state == "Over" and record.beside != seen.release.status.live):
        return None
    text = f"{record.version} {record.state}: {record.message or record.reason}"
    if record.state == "Warm" and record.until is not None:
        text += f", for {format_duration(timedelta(seconds=max(0, int((record.until - now).total_seconds()))))} more"
    return Branch("warm", text, tuple(_pods(seen.warm)))


def _rollback(seen: Seen, now: datetime) -> Branch | None:
    status, record = seen.release.status, seen.release.status.rollback
    if record is None or (not record.is_active and record.to_digest != status.live):
        return None
    known = {r.digest: r.version for r in status.revisions}
    cause = f"because {record.case} failed" if record.case else "by a person (undo)"
    why = f"for {record.incident}" if record.incident else cause
    ways = f"{known.get(record.from_digest, record.from_digest)} → {known.get(record.to_digest, record.to_digest)}"
    part = f", {record.replaced} % of the pods replaced" if record.is_active else ""
    return Branch("rollback", f"{ways} {why}: {record.state}{part}, {age(record.at, now)} ago")


def _sli(release: Release) -> Branch | None:
    if release.spec.slo is None:
        return Branch("SLI", "none: nothing is judged, steps wait for their hold alone")
    status = release.status
    known = conditions.get(status.conditions, "TelemetryKnown")
    text = f"burn {status.burn_band}, objective {release.spec.slo.objective:g}"
    if known is not None and known.status != "True":
        text += f"; {known.reason}: {known.message}"
    leaves = tuple(
        Branch(o.name, f"burn {o.band}, objective {o.objective:g}{f', {o.reason}' if o.reason else ''}")
        for o in status.objectives
    )
    return Branch("SLI", text, leaves)


def _evals(seen: Seen) -> Branch | None:
    target = seen.release.status.target
    if seen.release.spec.evals is None:
        return None
    if isinstance(seen.cases, str):
        return Branch("evals", f"cannot be read: {seen.cases}")
    results = target.evals if target else []
    passed = sum(1 for result in results if gating.on_canary(result) == "passed")
    ran = f"{passed} of {len(results)} passed on {target.version}" if results and target else "none ran yet"
    bad = [result for result in results if result.flaky or gating.on_canary(result) != "passed"]
    return Branch("evals", f"{len(seen.cases)} cases; {ran}", tuple(_case(result) for result in bad[:MOST_CASES]))


def _checks(seen: Seen, now: datetime) -> Branch | None:
    spec, target = seen.release.spec, seen.release.status.target
    ran = target.checks if target else []
    if not spec.strategy.canary.checks and not ran:
        return None
    passed = sum(1 for result in ran if result.result == "Passed")
    told = f"{passed} of {len(ran)} passed on {target.version}" if ran and target else "none ran yet"
    return Branch(
        "checks", f"{len(spec.strategy.canary.checks)} of the spec; {told}", tuple(_check(r, now) for r in ran)
    )


def _check(result: CheckResult, now: datetime) -> Branch:
    where = f"at weight {result.weight}" if result.weight else "in the dark"
    since = age(result.ended_at or result.since, now)
    text = f"{result.result} {where}, {since} ago{', only watched' if result.dry_run else ''}"
    text += f", attempt {result.attempt}" if result.attempt > 1 else ""
    return Branch(result.name, f"{text}: {result.message}" if result.message else text)


def _case(result: CaseResult) -> Branch:
    how = "set aside as flaky" if result.flaky else gating.on_canary(result)
    if result.load:
        return Branch(result.case, f"{how}: {result.message or f'under {result.load}'}")
    text = f"{how}: {result.canary_passed} of {result.canary_runs} on the canary, {result.live_passed} of {result.live_runs} on live"
    return Branch(result.case, text + (f"; {result.message}" if result.message else ""))


def _incident(seen: Seen, now: datetime) -> Branch | None:
    item = seen.incident
    if item is None:
        return Branch("incident", f"{seen.release.status.incident}") if seen.release.status.incident else None
    status = item.status
    since = f", {age(status.detected_at, now)} ago" if status.detected_at else ""
    text = f"{item.metadata.name} {status.severity} {status.phase}{since}: {status.title or item.spec.title}"
    leaves = [Branch("cause", f"{status.cause.kind} {status.cause.version}".strip())] if status.cause else []
    leaves += [Branch("play", f"{p.type} {p.state}{f', {p.reason}' if p.reason else ''}") for p in status.plays[-3:]]
    return Branch("incident", text, tuple(leaves))


def _tree(branches: Iterable[Branch], indent: str, width: int) -> Iterator[str]:
    every = list(branches)
    labels = max((len(b.label) for b in every), default=0)
    for n, branch in enumerate(every):
        last = n == len(every) - 1
        first, rest = indent + ("└─ " if last else "├─ "), indent + ("   " if last else "│  ")
        yield from _wrapped(f"{first}{branch.label.ljust(labels)}  ", branch.text, width, f"{rest}{' ' * labels}  ")
        yield from _tree(branch.leaves, rest, width)


def _wrapped(first: str, text: str, width: int, rest: str | None = None) -> list[str]:
    """The text behind `first`, its further lines behind `rest`; a label that is too long leaves the text some room."""
    room = max(24, width - len(first))
    lines = textwrap.wrap(line(" ".join(text.split())), room, break_long_words=False, break_on_hyphens=False) or [""]
    behind = rest if rest is not None else " " * len(first)
    return [f"{first}{lines[0]}".rstrip(), *(f"{behind}{more}" for more in lines[1:])]
