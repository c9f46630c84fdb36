"""The world around the decisions, as data: what is stored, people, pods, and every effect with its law."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from opsloop.api.incident import Incident
from opsloop.api.release import CaseResult, Release
from opsloop.api.runbook import Runbook
from opsloop.core.actions import (
    Action,
    CreateEvalCase,
    DeleteCanary,
    EnsureCanary,
    EnsureRevision,
    RunEvals,
    SendPage,
    SetGates,
    SetTemplate,
    StorePostmortem,
)  # fmt: skip
from opsloop.core.facts import CanaryFacts, EvalOutcome, PodFacts, WorkloadFacts
from tests.builders.objects import T0, digest, release, workload
from tests.builders.objects import runbook as new_runbook

BAD = {digest("shop:v2"), digest("shop:v3")}
EVALS = {"port": 8080, "ask": {"path": "/ask?q={{asked}}"}}


class Died(Exception):
    """The process ended at this write."""


@dataclass(frozen=True)
class State:
    """All that is stored, plus the world around; a copy of it is a stale read."""

    release: Release
    incidents: tuple[Incident, ...] = ()
    runbook: Runbook | None = None
    workload: WorkloadFacts = field(default_factory=workload)
    canary: CanaryFacts | None = None
    templates: dict[str, Any] = field(default_factory=dict)
    versions: tuple[tuple[str, int], ...] = ()


class Conflict(Exception):
    """409."""


class StoreAndShop:
    """`store` is the truth; `now` is the clock."""

    def __init__(self, evals: bool = False) -> None:
        self.now = T0
        spec: dict[str, Any] = {"evals": EVALS} if evals else {}
        self.store = State(release=release(dependsOn=[], **spec), runbook=new_runbook())
        self.versions: Counter[str] = Counter()
        self.telemetry: float | None = 0.0  # error ratio of what users see; None = unknown
        self.canary_telemetry: float | None = 0.0
        self.baked = True
        self.outcome: EvalOutcome | None = None
        self.sent: datetime | None = None
        self.postmortem: str | None = None
        self.budget: int | None = None  # writes that are left to live
        self.after = False
        self.effects: Counter[tuple[str, int]] = Counter()  # template writes by (incident, attempt)
        self.pods = 0
        self.writes = 0

    # people and the cluster

    def put(self, **changes: Any) -> None:
        self.store = replace(self.store, **changes)

    def push(self, version: str, manager: str = "kubectl-set") -> None:
        new = workload(f"shop:{version}", settled=False, manager=manager)
        if new.digest != self.store.workload.digest:
            self.effects.clear()  # the attempt may be needed once more
            self.put(workload=new)

    def edit(self, annotations: dict[str, str] | None = None, **spec: Any) -> None:
        item = self.store.release
        meta = item.metadata
        if annotations is not None:
            meta = meta.model_copy(update={"annotations": {**meta.annotations, **annotations}})
        meta = meta.model_copy(update={"generation": meta.generation + 1})
        self.put(release=item.model_copy(update={"metadata": meta, "spec": item.spec.model_copy(update=spec)}))
        self.versions["release"] += 1

    def settle(self) -> None:
        self.put(workload=replace(self.store.workload, settled=True))

    def run_pods(self) -> None:
        canary = self.store.canary
        if canary is not None:
            pods = tuple(
                replace(p, containers_ready=True, ready=p.in_traffic, ip=p.ip or "10.0.0.1") for p in canary.pods
            )
            self.put(canary=replace(canary, pods=pods))

    def lose_pod(self) -> None:
        """A pod vanishes; its successor starts dark."""
        canary = self.store.canary
        if canary is not None and canary.pods:
            self.put(canary=replace(canary, pods=(*canary.pods[1:], self._pod(canary.digest))))

    def _pod(self, of: str) -> PodFacts:
        self.pods += 1
        return PodFacts(f"canary-{self.pods:04}", of, "", False, False, False)

    # effects

    def _act(self, action: Action, seen: State) -> None:
        match action:
            case SetTemplate():
                self._set_template(action, seen)
            case EnsureRevision():
                self.put(templates={**self.store.templates, action.digest: dict(action.template)})
            case EnsureCanary():
                old = self.store.canary
                pods = old.pods if old and old.digest == action.digest else ()
                more = tuple(self._pod(action.digest) for _ in range(action.replicas - len(pods)))
                self.put(canary=CanaryFacts(action.digest, action.replicas, (*pods, *more)[: action.replicas]))
            case DeleteCanary():
                self.put(canary=None)
                self.outcome = None
            case SetGates():
                self._set_gates(action)
            case RunEvals():
                wrong = action.digest in BAD
                result = CaseResult(
                    case="answers-1-regression", must_pass=True, canary_passed=0 if wrong else 1, canary_runs=1,
                    live_passed=1, live_runs=1,
                )  # fmt: skip
                self.outcome = EvalOutcome(action.digest, action.step, (result,))
            case SendPage():
                self.sent = self.sent or self.now
            case StorePostmortem():
                self.postmortem = action.digest
            case CreateEvalCase():
                pass

    def _set_template(self, action: SetTemplate, seen: State) -> None:
        if seen.workload.digest != action.expect or self.store.workload.digest != seen.workload.digest:
            raise Conflict
        status = self.store.release.status
        record, target = status.rollback, status.target
        if record is not None and record.state == "Recorded" and record.to_digest == action.digest:
            self.effects[record.incident, record.attempt] += 1
            assert self.effects[record.incident, record.attempt] == 1, "one attempt took effect twice"
        else:
            assert target is not None and target.state == "Promoting" and target.digest == action.digest, "unrecorded"
            found = next(r for r in status.revisions if r.digest == action.digest)
            assert found.blocked is None, "a blocked revision was promoted"
        image = action.template["spec"]["containers"][0]["image"]
        self.put(workload=workload(image, settled=False, manager="opsloop"))

    def _set_gates(self, action: SetGates) -> None:
        canary = self.store.canary
        if canary is None:
            return
        pods = tuple(replace(p, in_traffic=action.open) if p.name in action.pods else p for p in canary.pods)
        self.put(canary=replace(canary, pods=pods))
        if action.open:
            target = self.store.release.status.target
            assert target is not None and target.state == "Stepping", "a gate was opened outside of a step"
            assert target.digest == canary.digest, "a gate of another revision was opened"
            opened = sum(p.in_traffic for p in pods)
            assert opened <= target.pods, f"{opened} gates are open, {target.pods} pods were decided"
            assert target.reached_at is None, "healing raised a weight"
