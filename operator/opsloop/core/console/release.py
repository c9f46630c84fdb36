"""One Release: what is live, its canary, its objectives, its revisions and evals, and what waits for whom."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from opsloop.api.incident import Incident
from opsloop.api.meta import Condition
from opsloop.api.release import Release
from opsloop.api.revision import Revision
from opsloop.api.target import CaseResult, Target
from opsloop.core import conditions
from opsloop.core.console import words
from opsloop.core.console.fleet import IncidentRow, incident_row, weight
from opsloop.core.console.words import Fact, Mark
from opsloop.core.evalcase import gating
from opsloop.core.release import revisions
from opsloop.core.release.advice import advice
from opsloop.core.release.asked import version_asked
from opsloop.core.release.outcome import step_of
from opsloop.core.slo.standing import Standing
from opsloop.core.text import line

MOST_INCIDENTS = 10
_ORIGINS = {
    "Adopted": "adopted",
    "Canaried": "by a canary",
    "Direct": "directly, without a canary",
    "Drifted": "put there by hand",
    "Remembered": "remembered",
}
_WELL = frozenset(  # conditions that are well while they are True; of all others False is
    [
        "Healthy",
        "Ready",
        "Available",
        "TelemetryKnown",
        "RolledOut",
        "Promoted",
        "SpecResolved",
        "StoredAsDecided",
        "RevisionsTold",
        "TiersReachable",
        "BudgetMet",
        "CanaryFits",
        "CanaryPodsReady",
        "RouteReady",
        "Told",
        "Guarded",
        "Shipped",
        "LastGoodWarm",
        "Progressing",
    ]
)
_TONES: dict[str, words.Tone] = {"passed": "good", "failed": "bad"}


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective. `burns`: window → burn rate."""

    name: str
    objective: str
    band: Mark
    reason: str
    burns: tuple[tuple[str, str], ...]
    budget: str
    left: float | None
    lasts: str


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One revision, the newest first."""

    number: int
    version: str
    digest: str
    state: Mark
    origin: str
    since: datetime | None
    blocked: str


@dataclass(frozen=True, slots=True)
class EvalRow:
    """What one EvalCase said of the target."""

    case: str
    standing: Mark
    canary: str
    live: str
    must_pass: bool
    message: str


@dataclass(frozen=True, slots=True)
class ConditionRow:
    """A condition that asks for attention, or any other one."""

    type: str
    status: Mark
    reason: str
    message: str
    since: datetime


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A page."""

    namespace: str
    name: str
    phase: Mark
    said: str
    facts: tuple[Fact, ...]
    canary: tuple[Fact, ...]
    advice: tuple[str, ...]
    objectives: tuple[Objective, ...]
    revisions: tuple[RevisionRow, ...]
    evals: tuple[EvalRow, ...]
    evals_said: str
    conditions: tuple[ConditionRow, ...]
    incidents: tuple[IncidentRow, ...]


def release_view(release: Release, told: Sequence[Standing], incidents: Iterable[Incident]) -> ReleaseView:
    """The page of one Release; `incidents`: those of its namespace that the viewer may see."""
    status, name = release.status, release.metadata.name
    target, own = status.target, [one for one in incidents if one.spec.release == name and not one.status.merged_into]
    own.sort(key=lambda one: (one.is_open, one.metadata.name), reverse=True)
    results = target.evals if target else []
    return ReleaseView(
        namespace=release.metadata.namespace,
        name=name,
        phase=words.phase(status.phase),
        said=f"{name} is {status.phase}, burn {status.burn_band}" + (f"; {weight(release)}" if _active(target) else ""),
        facts=tuple(_facts(release)),
        canary=tuple(_canary(release, target)) if target else (),
        advice=tuple(line(text) for text in advice(release)),
        objectives=tuple(_objective(one) for one in told),
        revisions=tuple(_revision(r, release) for r in sorted(status.revisions, key=lambda r: -r.number)),
        evals=tuple(_eval(result) for result in sorted(results, key=lambda r: (_passed(r), r.case))),
        evals_said=line(gating.finding(results)),
        conditions=tuple(sorted((_condition(c) for c in status.conditions), key=_first)),
        incidents=tuple(incident_row(one) for one in own[:MOST_INCIDENTS]),
    )


def moments(release: Release) -> list[tuple[str, datetime | None]]:
    """What a chart of its SLI marks: the canary's traffic, the promotion and the rollback."""
    status = release.status
    target, rollback, promotion = status.target, status.rollback, status.promotion
    return [
        (f"canary {line(target.version)}" if target else "", target.traffic_since if target else None),
        (f"promoted {line(promotion.version)}" if promotion else "", promotion.at if promotion else None),
        ("rollback", rollback.at if rollback and rollback.state not in ("Refused",) else None),
    ]


def _active(target: Target | None) -> bool:
    return target is not None and target.is_active


def _facts(release: Release) -> Iterable[Fact]:
    spec, status = release.spec, release.status
    steps = ", ".join(
        (f"{step.weight} %" if step.weight else step.words) + (" (approval)" if step.approve else "")
        for step in spec.strategy.steps
    )
    if spec.strategy.type == "direct":
        steps = "none, shipped directly"
    live = revisions.find(status.revisions, status.live)
    yield Fact("Live", f"{line(live.version)}, revision {live.number}" if live else "nothing yet")
    yield Fact("Wanted", line(version_asked(release)) + (" (paused)" if spec.paused else ""))
    yield Fact("Steps", steps or "none")
    yield Fact("Deployment", spec.workload_ref.name + (", guarded" if spec.guard else ""))
    good = revisions.find(status.revisions, status.last_good)
    yield Fact("Last good", f"{line(good.version)}, revision {good.number}" if good else "none yet")
    record = status.rollback
    if record is not None:
        known = {r.digest: r.version for r in status.revisions}
        ways = " to ".join(line(known.get(d, d[:10])) for d in (record.from_digest, record.to_digest))
        cause = f" because {record.case} failed" if record.case else " by a person"
        why = f" for {record.incident}" if record.incident else cause
        yield Fact(
            "Last rollback", f"{ways}{why}: {record.state}{f', {line(record.message)}' if record.message else ''}"
        )
    warm = status.warm
    if warm is not None and (warm.state != "Over" or warm.beside == status.live):
        yield Fact("Kept warm", line(f"{warm.version} {warm.state}: {warm.message or warm.reason}"))
    for command in status.commands:
        yield Fact(f"Command {command.name}", line(f"{command.reason} {command.message}".strip()))


def _canary(release: Release, target: Target) -> Iterable[Fact]:
    steps = release.spec.strategy.steps
    yield Fact("Version", line(target.version))
    yield Fact("State", target.state + (f", {target.reason}" if target.reason else ""))
    if target.message:
        yield Fact("Why", line(target.message))
    if target.state == "Stepping":
        yield Fact("Step", line(f"{min(step_of(target) + 1, len(steps))} of {len(steps)}: {target.step_words}"))
    if target.is_active:
        yield Fact("Weight", weight(release))
        yield Fact("Pods in traffic", str(target.pods))
    for check in target.checks:
        where = f"at {check.weight} %" if check.weight else "in the dark"
        said = f"{check.result} {where}{', only watched' if check.dry_run else ''}"
        yield Fact(f"Check {line(check.name)}", line(f"{said}: {check.message}" if check.message else said))
    held = conditions.get(release.status.conditions, "Held")
    if target.is_active and held is not None and held.status == "True":
        yield Fact("Held", line(f"{held.reason}: {held.message}"))


def _objective(one: Standing) -> Objective:
    return Objective(
        name=one.name,
        objective=f"{one.objective * 100:g} %",
        band=words.band(one.band),
        reason=one.reason,
        burns=tuple((window, words.burn(rate)) for window, rate in one.burns),
        budget=words.left(one),
        left=one.spent.left if one.spent else None,
        lasts=words.lasts(one),
    )


def _revision(revision: Revision, release: Release) -> RevisionRow:
    status, blocked = release.status, revision.blocked
    target = status.target.digest if status.target and status.target.is_active else ""
    state = (
        Mark("live", "good") if revision.digest == status.live
        else Mark("blocked", "bad") if blocked
        else Mark("canary", "watch") if revision.digest == target
        else Mark("proven" if revision.proven_at else "earlier")
    )  # fmt: skip
    why = (
        f"{blocked.reason}{f' for {blocked.incident}' if blocked.incident else ''}: {blocked.message}"
        if blocked
        else ""
    )
    return RevisionRow(
        number=revision.number,
        version=line(revision.version),
        digest=revision.digest[:10],
        state=state,
        origin=_ORIGINS.get(revision.reason, revision.reason),
        since=revision.live_since or revision.first_seen,
        blocked=line(why),
    )


def _passed(result: CaseResult) -> bool:
    return gating.on_canary(result) == "passed" and not result.flaky


def _eval(result: CaseResult) -> EvalRow:
    standing = gating.on_canary(result)
    return EvalRow(
        case=result.case,
        standing=Mark("set aside as flaky", "watch") if result.flaky else Mark(standing, _TONES.get(standing, "plain")),
        canary=f"{result.canary_passed} of {result.canary_runs}",
        live="" if result.load else f"{result.live_passed} of {result.live_runs}",
        must_pass=result.must_pass,
        message=line(result.message or (f"under {result.load}" if result.load else "")),
    )


def _condition(condition: Condition) -> ConditionRow:
    asks = condition.status == ("False" if condition.type in _WELL else "True")
    tone: words.Tone = "watch" if asks else "plain"
    return ConditionRow(
        type=condition.type,
        status=Mark(condition.status, tone),
        reason=condition.reason,
        message=line(condition.message),
        since=condition.last_transition_time,
    )


def _first(one: ConditionRow) -> tuple[bool, str]:
    return one.status.tone == "plain", one.type
