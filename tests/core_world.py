"""The three decisions over a store without any shell: reads may be stale, any write may be the last one, people interfere.

Carries decisions out as `shell.apply` does (its tests hold it to that) and asserts the laws at every single effect.
"""

import copy
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from opsloop.api.incident import Incident
from opsloop.api.meta import Model
from opsloop.api.release import CaseResult, Release
from opsloop.api.runbook import Runbook
from opsloop.core import incident, rollout, runbook
from opsloop.core.actions import (
    Action,
    CreateEvalCase,
    Decision,
    DeleteCanary,
    EnsureCanary,
    EnsureRevision,
    RunEvals,
    SendPage,
    SetGates,
    SetTemplate,
    StorePostmortem,
)  # fmt: skip
from opsloop.core.facts import CanaryFacts, EvalOutcome, PodFacts, Readings, RunbookFacts, Unknown, WorkloadFacts
from tests.builders import (
    T0,
    digest,
    evalcase,
    incident_facts,
    release,
    release_facts,
    template,
    value,
    verdict,
    view,
    workload,
)  # fmt: skip
from tests.builders import incident as new_incident
from tests.builders import runbook as new_runbook

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


class CoreWorld:
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

    # what is observed

    def readings(self) -> Readings:
        item = self.store.release
        known = {r.digest: r.version for r in item.status.revisions}
        live = known.get(item.status.live, "")
        target = item.status.target.version if item.status.target else ""
        split = {
            version: Unknown("NoSeries") if ratio is None else value(ratio)
            for version, ratio in ((live, self.telemetry), (target, self.canary_telemetry))
        }
        bad = self.telemetry is not None and self.telemetry > 0.01
        return Readings(
            verdict=verdict(self.telemetry, self.now),
            bake=value(0.0) if self.baked and self.telemetry == 0.0 else Unknown("NoSeries"),
            by_version=split,
            onset=self.now if bad else None,
        )

    def decide(self, kind: str, seen: State) -> tuple[Model, Decision]:
        if kind == "release":
            cases = (evalcase(),) if seen.release.spec.evals else ()
            facts = release_facts(
                seen.release, workload=seen.workload, canary=seen.canary, templates=seen.templates,
                incidents=seen.incidents, readings=self.readings(), cases=cases, eval_outcome=self.outcome,
            )  # fmt: skip
            return seen.release, rollout.decide(facts, self.now)
        if kind == "runbook":
            assert seen.runbook is not None
            asked = RunbookFacts(seen.runbook, seen.incidents, (seen.release,), {"answers": True})
            return seen.runbook, runbook.decide(asked, self.now)
        item = next(i for i in seen.incidents if i.metadata.name == kind)
        root = view(seen.release, self.readings())
        others = tuple(i for i in seen.incidents if i is not item)
        page = self.sent if item.status.page else None
        books = (seen.runbook,) if seen.runbook else ()
        told = incident_facts(
            item, root, incidents=others, runbooks=books, postmortem=self.postmortem, page_sent_at=page
        )
        return item, incident.decide(told, self.now)

    def kinds(self, seen: State) -> list[str]:
        return ["release", *(["runbook"] if seen.runbook else []), *(i.metadata.name for i in seen.incidents)]

    # one look, carried out as shell.apply does

    def look(self, kind: str, seen: State | None = None, versions: Counter[str] | None = None) -> bool:
        """True where something was stored. With `seen` and `versions` of the past, a stale read."""
        seen, versions = seen or self.store, versions or self.versions
        item, decision = self.decide(kind, seen)
        try:
            for action in decision.safety:
                self._write(action, seen)
            if decision.status is not None:
                self._mark(lambda: self._store(kind, item, decision.status, versions))
            elif versions[kind] != self.versions[kind] and any(_raises(a) for a in decision.actions):
                return False  # shell.apply reads the object again before it raises anything
            for action in decision.actions:
                self._write(action, seen)
        except (Died, Conflict):
            return True
        return decision.status is not None

    def _mark(self, effect: Any) -> None:
        """One write, which may be the last one."""
        self.writes += 1
        if self.budget is not None:
            self.budget -= 1
            if self.budget < 0 or (self.budget == 0 and not self.after):
                raise Died
        effect()
        if self.budget == 0:
            raise Died

    def _store(self, kind: str, item: Model, status: Model | None, versions: Counter[str]) -> None:
        assert status is not None
        if versions[kind] != self.versions[kind]:
            raise Conflict
        self.versions[kind] += 1
        read = type(status).model_validate(copy.deepcopy(status.dump()))  # as it will be read: milliseconds, no nulls
        assert read.dump() == status.dump()
        new: Any = item.model_copy(update={"status": read})
        self.on_status(kind, item, new)
        if kind == "release":
            self.put(release=new)
        elif kind == "runbook":
            self.put(runbook=new)
        else:
            self.put(incidents=tuple(new if i.metadata.name == kind else i for i in self.store.incidents))

    def on_status(self, kind: str, old: Any, new: Any) -> None:
        """Laws over a stored status; a test adds its own."""

    def _write(self, action: Action, seen: State) -> None:
        self._mark(lambda: self._act(action, seen))

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
                self.postmortem = action.markdown
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

    # the correlator's part

    def correlate(self) -> None:
        """An Incident for a burn that fired, unless one is open or will be reopened."""
        seen = verdict(self.telemetry, self.now)
        busy = any(
            i.status.phase != "Resolved"
            or (i.status.resolved_at and self.now - i.status.resolved_at <= timedelta(minutes=30))
            for i in self.store.incidents
        )
        if seen.firing and not busy:
            name = f"answers-{len(self.store.incidents) + 1}"
            self.put(incidents=(*self.store.incidents, opened(name, self.now)))

    def quiesce(self, most: int = 10) -> int:
        """Looks at everything at one and the same instant until nothing changes; the number of rounds."""
        for count in range(most):
            changed = [self.look(kind) for kind in self.kinds(self.store)]
            if not any(changed):
                return count
        raise AssertionError(f"no rest after {most} rounds: a livelock")


class Conflict(Exception):
    """409."""


def opened(name: str, at: datetime) -> Incident:
    item = new_incident(name)
    signal = item.spec.signal.model_copy(update={"at": at})
    return item.model_copy(update={"spec": item.spec.model_copy(update={"signal": signal})})


def _raises(action: Action) -> bool:
    return isinstance(action, SetTemplate) or (isinstance(action, SetGates) and action.open)


TEMPLATES = {digest(f"shop:v{n}"): template(f"shop:v{n}") for n in range(1, 6)}
