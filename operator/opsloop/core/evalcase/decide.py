"""The EvalCase's decision: the next step of its proof, and a copy of its result in the last rollout."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from opsloop.api.evalcase import EvalCase, EvalCaseStatus, FailedOn, LastResult
from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.core.decision import Decision, DecisionBuilder
from opsloop.core.evalcase import gating, live, merging, proof, steadiness
from opsloop.core.evalcase.caught import caught
from opsloop.core.facts import EvalCaseFacts

# An edited case is a new claim: proof and result were of another one.
_AS_NEW: dict[str, Any] = {
    "proven": "Unknown",
    "reason": "",
    "bad": None,
    "good": None,
    "started_at": None,
    "attempts": 0,
    "live": None,
    "failed_on": [],
    "steadiness": None,
    "steady": "",
}
_ON_LIVE = "PassesOnLive"
MOST_FAILED_ON = 5  # revisions in the status
_PROVEN = {"True": True, "NotNeeded": True, "False": False, "Unknown": None}


def decide(facts: EvalCaseFacts, now: datetime) -> Decision:
    """The new status of one EvalCase, and what is done about its quarantined pods."""
    case = facts.case
    builder = DecisionBuilder(facts, case.status, now)
    if case.status.observed_generation != case.metadata.generation:
        builder.set(**_AS_NEW, observed_generation=case.metadata.generation)
    step = proof.next_step(facts, builder.status, now)
    builder.set(**step.changes, **_last_result(case, facts.release, now), **caught(case, facts.release))
    status = builder.status
    message = step.message or _standing_message(status)
    builder.condition("Proven", _PROVEN[status.proven], status.reason, message)
    _ask_live(builder, now)
    _merge(builder)
    for action in step.actions:
        builder.execute(action)
    if step.look_again is not None:
        builder.look_again(step.look_again)
    if status.reason == proof.PROVEN and case.status.reason != proof.PROVEN:
        builder.event(proof.PROVEN, message)
    elif status.reason not in (case.status.reason, proof.PROVING, proof.NOT_NEEDED):
        builder.event("NotProven", f"{status.reason}: {message}", "Warning")
    return builder.build()


def _ask_live(builder: DecisionBuilder[EvalCaseFacts, EvalCaseStatus], now: datetime) -> None:
    """What the case says of the live version, and an Event where that is a failure."""
    if builder.facts.case.metadata.deletion_timestamp is not None:
        return
    step, before = (
        live.next_step(builder.facts, builder.status, now),
        conditions.get(builder.status.conditions, _ON_LIVE),
    )
    builder.set(**step.changes)
    builder.set(failed_on=_failed_on(builder.status))
    value, reason, message = step.condition
    builder.condition(_ON_LIVE, value, reason, message)
    for action in step.actions:
        builder.execute(action)
    if step.look_again is not None:
        builder.look_again(step.look_again)
    if value is False and (before is None or before.status != "False"):
        builder.event("FailsOnLive", message, "Warning")
    steadiness.follow(builder, builder.facts.live_outcome if step.changes.get("live") else None)


def _merge(builder: DecisionBuilder[EvalCaseFacts, EvalCaseStatus]) -> None:
    """Whether another case stands for this one, or it for others."""
    facts, name = builder.facts, builder.facts.case.metadata.name
    if facts.case.spec.origin.kind != "regression" or facts.release is None:
        return
    now = facts.case.model_copy(update={"status": builder.status})
    cases = [now, *(c for c in facts.others if c.metadata.name != name)]
    merged = merging.keepers(gating.selected_by(cases, facts.release))
    into, before = merged.get(name, ""), builder.status.merged_into
    linked = merging.linked([c for c in cases if c.spec.release == facts.case.spec.release], merged)
    _link(builder, linked.get(name, ""), cases)
    builder.set(merged_into=into, incidents=merging.incidents_of(name, cases, {**linked, **merged})[:50])
    if into and into != before:
        incident = next(c.spec.origin.incident for c in cases if c.metadata.name == into)
        text = f"asks the same as EvalCase {into} of Incident {incident}, which is asked instead and names both"
        builder.condition("Merged", True, merging.SAME_FAULT, text)
        builder.event("Merged", text)
    elif before and not into:
        builder.condition("Merged", False, merging.ON_ITS_OWN, f"EvalCase {before} asks the same no more")


def _link(builder: DecisionBuilder[EvalCaseFacts, EvalCaseStatus], to: str, cases: Sequence[EvalCase]) -> None:
    """Names the oldest case of the same fault, where that asks something else."""
    if to and to != builder.status.same_fault_as:
        incident = next(c.spec.origin.incident for c in cases if c.metadata.name == to)
        text = f"shows the same fault as EvalCase {to} of Incident {incident} by another question: both are asked"
        builder.event(merging.LINKED, text)
    builder.set(same_fault_as=to)


def _failed_on(status: EvalCaseStatus) -> list[FailedOn]:
    """The failures, with that of the live revision as it was seen first: `live` speaks of another one after a rollback."""
    live, known = status.live, status.failed_on
    if live is None or live.result != "Failed" or any(f.digest == live.digest for f in known):
        return known
    failed = FailedOn(digest=live.digest, version=live.version, message=live.message, at=live.at)
    return [*known, failed][-MOST_FAILED_ON:]


def _standing_message(status: EvalCaseStatus) -> str:
    """The message of the condition while its reason stays."""
    old = conditions.get(status.conditions, "Proven")
    return old.message if old and old.reason == status.reason else "not proven yet"


def _last_result(case: EvalCase, release: Release | None, now: datetime) -> dict[str, Any]:
    """Changes of the status after a rollout in which this case was answered: one `kubectl get` shows its result."""
    target = release.status.target if release else None
    results = (
        [r for r in target.evals if r.case == case.metadata.name and gating.on_canary(r) != "open"] if target else []
    )
    if target is None or not results:
        return {}
    passed, message = gating.on_canary(results[0]) == "passed", results[0].message[:512]
    old = case.status.last_result
    if (
        old
        and old.at >= target.started_at
        and (old.version, old.passed, old.message) == (target.version, passed, message)
    ):
        return {}
    result = LastResult(version=target.version, passed=passed, message=message, at=now)
    return {"last_result": result, "result": "Passed" if passed else "Flaky" if results[0].flaky else "Failed"}
