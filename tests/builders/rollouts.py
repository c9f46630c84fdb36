"""Releases in mid-rollout, for tables of situations."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from opsloop.api.records import RollbackRecord
from opsloop.api.release import Release, ReleaseStatus
from opsloop.api.revision import Blocked, Revision
from opsloop.api.target import CaseResult, Target
from opsloop.core import conditions
from opsloop.core.actions import Action, SetGates
from opsloop.core.decision import Decision
from opsloop.core.facts import CanaryFacts, PodFacts, ReleaseFacts
from opsloop.core.readings import CanaryReading, Readings, Unknown
from opsloop.core.release import decide as rollout
from opsloop.core.slo.canary import terms_of
from opsloop.core.statistics.evidence import Evidence, Interval
from tests.builders.objects import (
    T0,
    V1,
    V2,
    at,
    digest,
    incident,
    readings,
    release,
    release_facts,
    template,
    value,
    workload,
)

NOW = at(100)
TRAFFIC = at(50)  # since then a stepping target has been in traffic
TEMPLATES = {digest(f"shop:v{n}"): template(f"shop:v{n}") for n in range(1, 6)}
BLOCK = Blocked(reason="RolledBack", message="it was bad", incident="answers-1", at=at(50))
GOOD = value(0.0)


def revision(version: str = "v1", reason: str = "Adopted", **more: Any) -> Revision:
    base = {
        "version": version,
        "reason": reason,
        "first_seen": T0,
        "number": int(version[1:]),
        "digest": digest(f"shop:{version}"),
    }
    return Revision.model_validate({**base, "images": {"answers": f"shop:{version}"}, **more})


ADOPTED = revision(live_since=at(0), proven_at=at(20))
BAD = revision("v2", "Drifted", live_since=at(60), shipped_without_canary=True, manager="kubectl-set")
TRIED = revision("v4", "Canaried")


def target(state: str = "Dark", version: str = "v4", **more: Any) -> Target:
    base = {
        "digest": digest(f"shop:{version}"),
        "version": version,
        "images": {"answers": f"shop:{version}"},
        "started_at": at(70),
    }
    stepping = (
        {"weight": 20, "pods": 1, "traffic": [TRAFFIC]}
        if state == "Stepping"
        else {"weight": 100, "pods": 4, "step": 2}
        if state == "Promoting"
        else {}
    )
    return Target.model_validate({**base, **stepping, "state": state, **more})


def pods(count: int = 1, opened: int = 0, version: str = "v4", **more: Any) -> tuple[PodFacts, ...]:
    """Canary pods whose containers are ready; the first `opened` are in traffic."""
    of = digest(f"shop:{version}")
    return tuple(
        replace(PodFacts(f"c{n}", of, f"10.0.0.{n}", True, n < opened, n < opened), **more) for n in range(count)
    )


def canary(count: int = 1, opened: int = 0, version: str = "v4", **more: Any) -> CanaryFacts:
    return CanaryFacts(digest(f"shop:{version}"), count, pods(count, opened, version, **more))


def status_with(state: Target | None = None, *known: Revision, live: str = V1, **status: Any) -> ReleaseStatus:
    """v1 is live and v4 is on its way."""
    history = known or (ADOPTED, TRIED)
    return ReleaseStatus(live=live, revisions=list(history), target=state, **status)


def facts(item: Release | None = None, status: ReleaseStatus | None = None, **more: Any) -> ReleaseFacts:
    """The spec wants v4 by default; all templates are stored; the SLI is met by live and canary."""
    item = item or release(version="v4", dependsOn=[])
    if status is not None:
        item = item.model_copy(update={"status": status})
    split = {digest(f"shop:{v}"): GOOD for v in ("v1", "v2", "v4")}
    healthy = readings(0.0, NOW, bake=GOOD, by_revision=split, canary=canary_reading(0.0))
    return release_facts(item, **{"templates": TEMPLATES, "readings": healthy, **more})


def decide(situation: ReleaseFacts) -> Decision:
    return rollout.decide(situation, NOW)


def status_after(situation: ReleaseFacts) -> ReleaseStatus:
    """The status that the Decision stores, or the present one."""
    status = decide(situation).status
    return status if isinstance(status, ReleaseStatus) else situation.release.status


def actions_of(situation: ReleaseFacts, *kinds: type[Action]) -> list[Any]:
    """Actions (and safety) of these kinds."""
    decision = decide(situation)
    return [a for a in (*decision.safety, *decision.actions) if isinstance(a, kinds)]


def gates_closed(situation: ReleaseFacts) -> set[str]:
    """Pods that the safety actions take out of traffic."""
    return {p for a in decide(situation).safety if isinstance(a, SetGates) and not a.open for p in a.pods}


def gates_opened(situation: ReleaseFacts) -> set[str]:
    return {p for a in actions_of(situation, SetGates) if a.open for p in a.pods}


def condition_of(status: ReleaseStatus, type_: str) -> tuple[str, str]:
    condition = conditions.get(status.conditions, type_)
    return (condition.status, condition.reason) if condition else ("", "")


def incident_with_rollback(
    phase: str = "Mitigating", attempt: int = 1, name: str = "answers-1", from_: str = V2, to: str = V1
) -> Any:
    decision = {"release": "answers", "fromDigest": from_, "toDigest": to, "attempt": attempt, "at": at(90)}
    return incident(name, {"phase": phase, "rollback": decision, "severity": "sev1"})


def record(state: str = "Recorded", attempt: int = 1, name: str = "answers-1", **more: Any) -> RollbackRecord:
    base = {"incident": name, "attempt": attempt, "from_digest": V2, "to_digest": V1, "state": state, "at": at(90)}
    return RollbackRecord.model_validate({**base, **more})


def release_asking(
    version: str = "v4", annotations: dict[str, str] | None = None, steps: Any = None, **spec: Any
) -> Release:
    meta = {"annotations": {f"opsloop.dev/{k}": v for k, v in (annotations or {}).items()}}
    analysis = {"window": "10s", "minEvents": 10}
    canary_spec: dict[str, Any] = {
        "analysis": analysis,
        **({"steps": steps} if steps else {}),
        **spec.pop("canary", {}),
    }
    return release(version=version, meta=meta, dependsOn=[], strategy={"canary": canary_spec}, **spec)


def end_of(situation: ReleaseFacts) -> tuple[str, str]:
    new_target = status_after(situation).target
    return (new_target.state, new_target.reason) if new_target else ("", "")


def dark(item: Release | None = None, **more: Any) -> ReleaseFacts:
    return facts(item or release_asking(), status_with(target(**more.pop("target", {}))), **more)


def step(item: Release | None = None, **more: Any) -> ReleaseFacts:
    """v4 at 20 %, reached 50 s ago, by default."""
    base = {"reached_at": at(50)} | more.pop("target", {})
    return facts(item or release_asking(), status_with(target("Stepping", **base)), **{"canary": canary(1, 1), **more})


def result(
    passed: int, runs: int = 1, must: bool = True, live: int = 1, case: str = "answers-1-regression"
) -> CaseResult:
    """`live`: whether each of as many answers of live was right (1) or wrong (0)."""
    worse, answers = (runs - passed if live else 0), max(runs, 1)
    return CaseResult(
        case=case,
        must_pass=must,
        canary_passed=passed,
        canary_runs=runs,
        live_passed=live * answers,
        live_runs=answers,
        worse=worse,
    )


HOLD = [{"weight": 20, "hold": "60s"}, {"weight": 50}, {"weight": 100}]
FIFTY = {"weight": 50, "pods": 4, "step": 1}


NOT_REACHED = {"reached_at": None}


def canary_reading(
    canary_ratio: float,
    live_ratio: float = 0.0,
    total: float = 1000,
    since: datetime = TRAFFIC,
    until: datetime | None = None,
    failure: Unknown | None = None,
) -> CanaryReading:
    """What canary and live (four times as much) served in five equal intervals of 10 s since `since`."""
    item = release_asking()
    assert item.spec.slo is not None
    step, share = (NOW - TRAFFIC) / 5, total / 5
    evidence = Evidence(terms_of(item.spec.strategy.canary.analysis, item.spec.slo.objective, compared=True))
    for n in range(5):
        seconds = (n * step.total_seconds(), (n + 1) * step.total_seconds())
        counts = (canary_ratio * share, share, live_ratio * 4 * share, 4 * share)
        evidence = evidence.after(Interval(*seconds, *counts), (0.0,))
    if until is not None:
        evidence = replace(evidence, until=(until - since).total_seconds())
    return CanaryReading(since, step, evidence, failure=failure)


def analysed(canary_ratio: float | None, live_ratio: float = 0.0, total: float = 1000, **more: Any) -> Readings:
    """Readings with what canary and live served; None: the canary cannot be read."""
    seen = Unknown("NoSeries") if canary_ratio is None else canary_reading(canary_ratio, live_ratio, total, **more)
    return readings(0.0, NOW, bake=GOOD, canary=seen)


V2_LIVE = workload("shop:v2")


def bad_live(*incidents: Any, known: Any = (ADOPTED, BAD), **more: Any) -> ReleaseFacts:
    """v2 is live, pushed by hand; the spec wants v1."""
    status = status_with(target("Promoted", "v1", ended_at=at(1)), *known, live=V2, **more.pop("status", {}))
    item = release(version="v1", dependsOn=[], **more.pop("spec", {}))
    return facts(item, status, **{"workload": V2_LIVE, "incidents": incidents, **more})
