"""The three decisions over a store without any shell: reads may be stale, any write may be the last one, people interfere.

Carries decisions out as `shell.reconcile.apply` does (its tests hold it to that) and asserts the laws at every single effect.
"""

import copy
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from opsloop.api.incident import Incident
from opsloop.api.meta import Model
from opsloop.core import runbook
from opsloop.core.actions import Action, SetGates, SetTemplate
from opsloop.core.decision import Decision  # fmt: skip
from opsloop.core.facts import Readings, RunbookFacts, Unknown
from opsloop.core.incident import decide as incident
from opsloop.core.release import decide as rollout
from tests.builders.objects import evalcase, incident_facts, release_facts, value, verdict, view
from tests.builders.objects import incident as new_incident
from tests.properties.core_shop import Conflict, Died, State, StoreAndShop


class CoreWorld(StoreAndShop):
    """Looks at it."""

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

    # one look, carried out as shell.reconcile.apply does

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
                return False  # shell.reconcile.apply reads the object again before it raises anything
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


def opened(name: str, at: datetime) -> Incident:
    item = new_incident(name)
    signal = item.spec.signal.model_copy(update={"at": at})
    return item.model_copy(update={"spec": item.spec.model_copy(update={"signal": signal})})


def _raises(action: Action) -> bool:
    return isinstance(action, SetTemplate) or (isinstance(action, SetGates) and action.open)
