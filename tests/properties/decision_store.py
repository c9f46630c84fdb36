"""The decisions over a store in memory, without any shell: reads may be stale, any write may be the last, people interfere.

Decisions are applied as `shell.reconcile.apply` does (its tests hold it to that), and the laws of the loop are asserted at
every single effect.
"""

import copy
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from opsloop.api.incident import REOPEN_GRACE, Incident
from opsloop.api.meta import Model
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.api.target import CaseResult
from opsloop.core.actions import (
    Action,
    CreateEvalCase,
    DeleteCanary,
    DeleteWarm,
    EnsureCanary,
    EnsureRevision,
    EnsureWarm,
    RunEvals,
    SendPage,
    SetGates,
    SetTemplate,
    SetWarm,
    StorePostmortem,
)  # fmt: skip
from opsloop.core.decision import Decision
from opsloop.core.facts import Beside, CanaryFacts, Delivery, EvalOutcome, PodFacts, RunbookFacts, WorkloadFacts
from opsloop.core.incident.decide import decide as decide_incident
from opsloop.core.readings import CanaryReading, Readings, Unknown
from opsloop.core.release.decide import decide as decide_release
from opsloop.core.release.pods import LOSSES
from opsloop.core.runbook.decide import decide as decide_runbook
from opsloop.core.slo.canary import terms_of
from opsloop.core.statistics.evidence import Evidence, Interval
from opsloop.core.stop import Stop
from tests.builders import objects
from tests.builders.objects import T0, digest, evalcase, incident_facts, release_facts, value, verdict, view, workload

BAD = {digest("shop:v2"), digest("shop:v3")}
KEEP = {"for": "10m", "replicas": 2, "wait": "10s"}
BESIDE = Beside(
    selectors=({"matchLabels": {"app": "answers"}},),
    services={"answers": {"spec": {"selector": {"app": "answers"}}}},
)
EVALS = {"port": 8080, "ask": {"path": "/ask?q={{asked}}"}}


class Died(Exception):
    """The process ended at this write."""


@dataclass(frozen=True)
class State:
    """Everything that is stored, and the cluster; a copy of it is a stale read."""

    release: Release
    incidents: tuple[Incident, ...] = ()
    runbook: Runbook | None = None
    workload: WorkloadFacts = field(default_factory=workload)
    canary: CanaryFacts | None = None
    warm: CanaryFacts | None = None
    templates: dict[str, Any] = field(default_factory=dict)
    versions: tuple[tuple[str, int], ...] = ()


class Conflict(Exception):
    """409."""


class DecisionStore:
    """`state` is the truth and `now` the clock; a test changes both, and reconciles one object at a time."""

    def __init__(self, evals: bool = False, warm: bool = False) -> None:
        """`warm`: last-good is kept warm."""
        self.now = T0
        self.beside = BESIDE if warm else None
        spec: dict[str, Any] = {"evals": EVALS} if evals else {}
        spec |= {"strategy": {"keepWarm": KEEP}} if warm else {}
        self.state = State(release=objects.release(dependsOn=[], **spec), runbook=objects.runbook())
        self.versions: Counter[str] = Counter()
        self.telemetry: float | None = 0.0  # error ratio of what users see; None = unknown
        self.canary_telemetry: float | None = 0.0
        self.baked = True
        self.outcome: EvalOutcome | None = None
        self.stop: Stop | None = None  # the emergency stop
        self.sent: dict[str, dict[int, dict[str, Delivery]]] = {}  # by Incident, number of the message, receiver
        self.postmortem: str | None = None
        self.budget: int | None = None  # writes that are left to live
        self.after = False
        self.effects: Counter[tuple[str, int]] = Counter()  # template writes by (incident, attempt)
        self.pods = 0
        self.writes = 0

    # people and the cluster

    def put(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)

    def push(self, version: str, manager: str = "kubectl-set") -> None:
        new = workload(f"shop:{version}", False, self.state.workload.replicas, manager)
        if new.digest != self.state.workload.digest:
            self.effects.clear()  # the attempt may be needed once more
            self.put(workload=new)

    def edit(self, annotations: dict[str, str] | None = None, **spec: Any) -> None:
        item = self.state.release
        meta = item.metadata
        if annotations is not None:
            meta = meta.model_copy(update={"annotations": {**meta.annotations, **annotations}})
        meta = meta.model_copy(update={"generation": meta.generation + 1})
        self.put(release=item.model_copy(update={"metadata": meta, "spec": item.spec.model_copy(update=spec)}))
        self.versions["release"] += 1

    def settle(self) -> None:
        self.put(workload=replace(self.state.workload, settled=True))

    def run_pods(self) -> None:
        self.put(canary=_run(self.state.canary), warm=_run(self.state.warm))

    def lose_pod(self) -> None:
        """A pod vanishes; its successor starts dark."""
        canary = self.state.canary
        if canary is not None and canary.pods:
            self.put(canary=replace(canary, pods=(*canary.pods[1:], self._pod(canary.digest))))

    def evict_pod(self) -> None:
        """A pod ends and stays in the list, its gate open; its successor starts dark."""
        canary = self.state.canary
        if canary is not None and canary.pods:
            ended = replace(canary.pods[0], ended=True, ready=False, containers_ready=False)
            self.put(canary=replace(canary, pods=(ended, *canary.pods[1:], self._pod(canary.digest))))

    def lose_warm_pod(self) -> None:
        """A pod that is kept warm vanishes; its successor starts dark."""
        warm = self.state.warm
        if warm is not None and warm.pods:
            self.put(warm=replace(warm, pods=(*warm.pods[1:], self._pod(warm.digest))))

    def scale(self, replicas: int) -> None:
        """An autoscaler: pods that start or go are not ready at once, or still are."""
        self.put(workload=replace(self.state.workload, replicas=replicas, ready=self.state.workload.serving))

    def serve(self) -> None:
        """All live pods are ready."""
        self.put(workload=replace(self.state.workload, ready=None))

    @property
    def open_gates(self) -> int:
        canary = self.state.canary
        return sum(p.in_traffic and not p.ended for p in canary.pods) if canary else 0

    @property
    def open_warm(self) -> int:
        warm = self.state.warm
        return sum(p.in_traffic and not p.ended for p in warm.pods) if warm else 0

    def _pod(self, of: str) -> PodFacts:
        self.pods += 1
        return PodFacts(f"canary-{self.pods:04}", of, "", False, False, False)

    # what is observed

    def readings(self) -> Readings:
        item = self.state.release
        live = item.status.live
        target = item.status.target.digest if item.status.target else ""
        split = {
            revision: Unknown("NoSeries") if ratio is None else value(ratio)
            for revision, ratio in ((live, self.telemetry), (target, self.canary_telemetry))
        }
        bad = self.telemetry is not None and self.telemetry > 0.01
        return Readings(
            verdict=verdict(self.telemetry, self.now),
            bake=value(0.0) if self.baked and self.telemetry == 0.0 else Unknown("NoSeries"),
            by_revision=split,
            canary=self._canary_reading(),
            onset=self.now if bad else None,
        )

    def _canary_reading(self) -> CanaryReading | Unknown | None:
        """What the canary in traffic served until now, at 100 events in each of five intervals."""
        target, spec = self.state.release.status.target, self.state.release.spec
        if target is None or target.traffic_since is None or spec.slo is None:
            return None
        if self.canary_telemetry is None or self.telemetry is None:
            return Unknown("NoSeries")
        step = max(timedelta(seconds=1), (self.now - target.traffic_since) / 5)
        evidence = Evidence(terms_of(spec.strategy.canary.analysis, spec.slo.objective, compared=True))
        for n in range(5):
            counts = (100 * self.canary_telemetry, 100.0, 400 * self.telemetry, 400.0)
            evidence = evidence.after(Interval(n * step.total_seconds(), (n + 1) * step.total_seconds(), *counts))
        return CanaryReading(target.traffic_since, step, evidence)

    def decide(self, kind: str, observed: State) -> tuple[Model, Decision]:
        match kind:
            case "release":
                return self._decide_release(observed)
            case "runbook":
                return self._decide_runbook(observed)
        return self._decide_incident(kind, observed)

    def _decide_release(self, observed: State) -> tuple[Model, Decision]:
        cases = (evalcase(),) if observed.release.spec.evals else ()
        facts = release_facts(
            observed.release, workload=observed.workload, canary=observed.canary, templates=observed.templates,
            incidents=observed.incidents, readings=self.readings(), cases=cases, eval_outcome=self.outcome,
            stop=self.stop, warm=observed.warm, beside=self.beside,
        )  # fmt: skip
        return observed.release, decide_release(facts, self.now)

    def _decide_runbook(self, observed: State) -> tuple[Model, Decision]:
        assert observed.runbook is not None
        facts = RunbookFacts(
            observed.runbook, observed.incidents, (observed.release,), {("deployments", "answers"): True}, self.stop
        )
        return observed.runbook, decide_runbook(facts, self.now)

    def _decide_incident(self, name: str, observed: State) -> tuple[Model, Decision]:
        item = next(i for i in observed.incidents if i.metadata.name == name)
        facts = incident_facts(
            item,
            view(observed.release, self.readings()),
            incidents=tuple(i for i in observed.incidents if i is not item),
            runbooks=(observed.runbook,) if observed.runbook else (),
            postmortem=self.postmortem,
            deliveries=self.sent.get(name, {}),
            stop=self.stop,
        )
        return item, decide_incident(facts, self.now)

    def kinds(self, observed: State) -> list[str]:
        return ["release", *(["runbook"] if observed.runbook else []), *(i.metadata.name for i in observed.incidents)]

    # one reconcile

    def reconcile(self, kind: str, observed: State | None = None, versions: Counter[str] | None = None) -> bool:
        """True where a status was stored. `observed` and `versions` of the past are a stale read."""
        observed, versions = observed or self.state, versions or self.versions
        item, decision = self.decide(kind, observed)
        try:
            for action in decision.safety:
                self._write(action, observed)
            if decision.status is not None:
                self._perform(lambda: self._store(kind, item, decision.status, versions))
            elif versions[kind] != self.versions[kind] and any(_raises_exposure(a) for a in decision.actions):
                return False  # shell.reconcile.apply reads the object again before it raises anything
            for action in decision.actions:
                self._write(action, observed)
        except (Died, Conflict):
            return True
        return decision.status is not None

    def _perform(self, effect: Any) -> None:
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
            self.put(incidents=tuple(new if i.metadata.name == kind else i for i in self.state.incidents))

    def on_status(self, kind: str, old: Any, new: Any) -> None:
        """Laws over a stored status; a test adds its own."""

    def _write(self, action: Action, observed: State) -> None:
        assert self.stop is None or not _is_act(action), f"{action} while opsloop is stopped"
        self._perform(lambda: self._execute(action, observed))

    # the correlator's part

    def correlate(self) -> None:
        """An Incident for a burn that fired, unless one is open or will be reopened."""
        reading = verdict(self.telemetry, self.now)
        busy = any(i.is_open or i.resolved_within(REOPEN_GRACE, self.now) for i in self.state.incidents)
        if reading.firing and not busy:
            name = f"answers-{len(self.state.incidents) + 1}"
            self.put(incidents=(*self.state.incidents, opened(name, self.now)))

    def quiesce(self, most: int = 10) -> int:
        """Reconciles everything at one instant until nothing changes; the number of rounds."""
        for count in range(most):
            changed = [self.reconcile(kind) for kind in self.kinds(self.state)]
            if not any(changed):
                return count
        raise AssertionError(f"no rest after {most} rounds: a livelock")

    # effects

    def _execute(self, action: Action, observed: State) -> None:
        match action:
            case SetTemplate():
                self._set_template(action, observed)
            case EnsureRevision():
                self.put(templates={**self.state.templates, action.digest: dict(action.template)})
            case EnsureCanary():
                old = self.state.canary
                pods = old.pods if old and old.digest == action.digest else ()
                more = tuple(self._pod(action.digest) for _ in range(action.replicas - len(pods)))
                self.put(canary=CanaryFacts(action.digest, action.replicas, (*pods, *more)[: action.replicas]))
            case DeleteCanary():
                self.put(canary=None)
                self.outcome = None
            case SetGates():
                self._set_gates(action)
            case EnsureWarm():
                kept = self.state.warm
                pods = kept.pods if kept and kept.digest == action.digest else ()
                more = tuple(self._pod(action.digest) for _ in range(action.replicas - len(pods)))
                self.put(warm=CanaryFacts(action.digest, action.replicas, (*pods, *more)[: action.replicas]))
            case DeleteWarm():
                self.put(warm=None)
            case SetWarm():
                self._set_warm(action)
            case RunEvals():
                wrong = action.digest in BAD
                result = CaseResult(
                    case="answers-1-regression", must_pass=True, canary_passed=0 if wrong else 1, canary_runs=1,
                    live_passed=1, live_runs=1,
                )  # fmt: skip
                self.outcome = EvalOutcome(action.digest, action.step, (result,))
            case SendPage():
                came = self.sent.setdefault(action.incident, {}).setdefault(action.message.number, {})
                for receiver in action.receivers:
                    came.setdefault(receiver, Delivery(self.now))
            case StorePostmortem():
                self.postmortem = action.digest
            case CreateEvalCase():
                pass

    def _set_template(self, action: SetTemplate, observed: State) -> None:
        if observed.workload.digest != action.expect or self.state.workload.digest != observed.workload.digest:
            raise Conflict
        status = self.state.release.status
        record, target = status.rollback, status.target
        if record is not None and record.state == "Recorded" and record.to_digest == action.digest:
            self.effects[record.incident, record.attempt] += 1
            assert self.effects[record.incident, record.attempt] == 1, "one attempt took effect twice"
        else:
            assert target is not None and target.state == "Promoting" and target.digest == action.digest, "unrecorded"
            found = next(r for r in status.revisions if r.digest == action.digest)
            assert found.blocked is None, "a blocked revision was promoted"
        image = action.template["spec"]["containers"][0]["image"]
        self.put(workload=workload(image, False, self.state.workload.replicas, "opsloop"))

    def _set_gates(self, action: SetGates) -> None:
        canary = self.state.canary
        if canary is None:
            return
        pods = tuple(replace(p, in_traffic=action.open) if p.name in action.pods else p for p in canary.pods)
        self.put(canary=replace(canary, pods=pods))
        if action.open:
            target = self.state.release.status.target
            assert target is not None and target.state == "Stepping", "a gate was opened outside of a step"
            assert target.digest == canary.digest, "a gate of another revision was opened"
            opened = sum(p.in_traffic and not p.ended for p in pods)
            assert opened <= target.pods, f"{opened} gates are open, {target.pods} pods were decided"
            assert target.lost < LOSSES, "healing raised a weight that was lost twice"

    def _set_warm(self, action: SetWarm) -> None:
        warm, record = self.state.warm, self.state.release.status.warm
        if warm is None:
            return
        pods = tuple(replace(p, in_traffic=action.open) if p.name in action.pods else p for p in warm.pods)
        self.put(warm=replace(warm, pods=pods))
        if action.open:
            assert record is not None and record.state == "Serving", "a warm pod was opened, and nothing goes back"
            assert record.digest == warm.digest, "a warm pod of another revision was opened"
            found = next(r for r in self.state.release.status.revisions if r.digest == record.digest)
            assert found.blocked is None, "users were sent to a blocked revision that is kept warm"
            opened = sum(p.in_traffic and not p.ended for p in pods)
            assert opened <= record.pods, f"{opened} warm pods are open, {record.pods} were decided"


def _run(own: CanaryFacts | None) -> CanaryFacts | None:
    """All its pods that have not ended are started; ready are those whose gate is open."""
    if own is None:
        return None
    pods = (
        p if p.ended else replace(p, containers_ready=True, ready=p.in_traffic, ip=p.ip or "10.0.0.1") for p in own.pods
    )
    return replace(own, pods=tuple(pods))


def opened(name: str, at: datetime) -> Incident:
    item = objects.incident(name)
    signal = item.spec.signal.model_copy(update={"at": at})
    return item.model_copy(update={"spec": item.spec.model_copy(update={"signal": signal})})


def _is_act(action: Action) -> bool:
    """What an emergency stop forbids."""
    return _raises_exposure(action) or isinstance(action, EnsureCanary | EnsureWarm | RunEvals)


def _raises_exposure(action: Action) -> bool:
    return isinstance(action, SetTemplate) or (isinstance(action, SetGates | SetWarm) and action.open)
