"""Any order of looks, stale reads, deaths, people and weather: the laws of the loop hold at every single effect."""

import copy
import os
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from opsloop.core import conditions
from opsloop.core.release.weights import pods_for
from opsloop.core.stop import Stop
from opsloop.names import RETRY, UNBLOCK
from tests.builders.objects import runbook
from tests.properties.decision_store import BAD, DecisionStore, State

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
SEVERITY = {"sev1": 4, "sev2": 3, "sev3": 2, "sev4": 1}
RATIOS: list[float | None] = [0.0, 0.0, 0.5, None]


class LawfulStore(DecisionStore):
    """Laws over what is stored, besides those over effects."""

    fresh = True  # what is looked at is not stale

    def on_status(self, kind: str, old: Any, new: Any) -> None:
        if kind == "release":
            self._release(old.status, new.status)
        elif kind != "runbook":
            self._incident(old.status, new.status)

    def _release(self, old: Any, new: Any) -> None:
        before, record = old.rollback, new.rollback
        if record and record.state == "Recorded" and (before is None or before.state != "Recorded"):
            self.effects.pop((record.incident, record.attempt), None)
            cause = next(i for i in self.state.incidents if i.metadata.name == record.incident)
            if self.fresh:
                assert cause.status.phase != "Resolved", "a Resolved Incident caused a rollback"
            assert record.from_digest == self.state.workload.digest or not self.fresh, "live is not what is rolled back"
        if self.canary_telemetry is None:
            assert self._steps(new) <= max(0, self._steps(old)), "an unknown reading of the canary raised its weight"
        known = {r.digest: r for r in old.revisions}
        for revision in new.revisions:
            if self.telemetry is None and revision.digest in known:
                assert revision.proven_at == known[revision.digest].proven_at, "proven on unknown telemetry"
        assert len(new.revisions) <= 50 and len(new.conditions) <= 24

    @staticmethod
    def _steps(status: Any) -> int:
        target = status.target
        return target.weight if target and target.state in ("Stepping", "Promoting", "Promoted") and target.step else 0

    def _incident(self, old: Any, new: Any) -> None:
        assert SEVERITY[new.severity] >= SEVERITY[old.severity], "severity fell"
        if self.telemetry is None and old.phase != new.phase:
            assert new.phase not in ("Mitigated", "Resolved"), "unknown telemetry ended an Incident"
        keys = [e.key for e in new.timeline]
        assert len(keys) == len(set(keys)) <= 200, "the timeline tells a thing twice"
        assert [e.at for e in new.timeline] == sorted(e.at for e in new.timeline)
        if old.page is not None:
            assert new.page is not None and new.page.dedup_key == old.page.dedup_key, "a second thread at the pager"
            told = {m.number: m for m in old.page.messages}
            for message in new.page.messages:
                before = told.get(message.number, message)
                assert before.state == "Decided" or message == before, "what was sent or given up was changed"
        messages = new.page.messages if new.page else []
        numbers = [m.number for m in messages]
        assert numbers == sorted(set(numbers)), "two messages of one number"
        if messages:
            ended = messages[-1].action == "resolve"
            assert ended == (new.phase == "Resolved"), "the thread at the pager and the Incident do not end together"
        attempts = [p.attempt for p in new.plays if p.type == "rollback"]
        assert attempts == sorted(set(attempts)), "an attempt number was used twice"
        if conditions.is_true(old.conditions, "Contested") and conditions.is_true(new.conditions, "Contested"):
            assert new.rollback == old.rollback, "a contested revision was rolled back once more"


class Loop(RuleBasedStateMachine):
    """One shop and its opsloop."""

    pasts = Bundle("pasts")

    @initialize(evals=st.booleans(), warm=st.booleans(), promoted=st.sampled_from(["", "well", "and bad"]))
    def begin(self, evals: bool, warm: bool, promoted: str) -> None:
        self.loop = LawfulStore(evals, warm)
        for _ in range(4):
            self.loop.reconcile("release")
            self.loop.now += timedelta(seconds=10)
        if promoted:
            self.loop.edit(version="v4", images={"answers": "shop:v4"})
            self._live(5, 12, honest=True)
        if promoted == "and bad":  # its rollback is under way
            self.loop.telemetry = 0.5
            self._live(1, 4, honest=False)

    # opsloop looks

    @rule(which=st.integers(0, 3), times=st.integers(1, 3))
    def look(self, which: int, times: int) -> None:
        for _ in range(times):
            kinds = self.loop.kinds(self.loop.state)
            self.loop.reconcile(kinds[which % len(kinds)])

    @rule(seconds=st.sampled_from([1, 5]), rounds=st.integers(1, 20))
    def time_passes(self, seconds: int, rounds: int) -> None:
        """Honest weather: what users see is what the pods that serve them are worth."""
        self._live(seconds, rounds, honest=True)

    @rule(rounds=st.integers(5, 20))
    def more_time_passes(self, rounds: int) -> None:
        self._live(5, rounds, honest=True)

    @rule(seconds=st.sampled_from([1, 5, 20]), rounds=st.integers(1, 8))
    def time_passes_in_any_weather(self, seconds: int, rounds: int) -> None:
        self._live(seconds, rounds, honest=False)

    @rule(rounds=st.integers(2, 20))
    def what_is_live_fails(self, rounds: int) -> None:
        """A version that was proven turns bad: there is an Incident, and a way back."""
        self.loop.telemetry = 0.5
        self._live(1, rounds, honest=False)

    def _live(self, seconds: int, rounds: int, honest: bool) -> None:
        loop = self.loop
        for _ in range(rounds):
            loop.now += timedelta(seconds=seconds)
            loop.run_pods()
            loop.serve()
            if honest:
                loop.settle()
                loop.telemetry = 0.5 if loop.state.workload.digest in BAD else 0.0
                loop.canary_telemetry = 0.5 if loop.state.canary and loop.state.canary.digest in BAD else 0.0
            loop.correlate()
            for kind in loop.kinds(loop.state):
                loop.reconcile(kind)
            self._assert_share()

    def _assert_share(self) -> None:
        """After a look no more pods are in traffic than the decided weight takes beside the live pods of now."""
        target, live = self.loop.state.release.status.target, self.loop.state.workload.serving
        stepping = target is not None and target.state == "Stepping"
        most = pods_for(target.weight, live) if target is not None and stepping else 0
        kept = self.loop.state.release.status.warm
        serving = kept.pods if kept is not None and kept.state == "Serving" else 0
        assert self.loop.open_warm <= serving, f"{self.loop.open_warm} warm pods take traffic, {serving} were decided"
        promoting = target is not None and target.state == "Promoting"
        assert promoting or self.loop.open_gates <= most, f"{self.loop.open_gates} gates are open beside {live} pods"

    @rule(target=pasts)
    def remember(self) -> tuple[State, Counter[str]]:
        return self.loop.state, copy.copy(self.loop.versions)

    @rule(past=pasts, which=st.integers(0, 3))
    def look_at_the_past(self, past: tuple[State, Counter[str]], which: int) -> None:
        """Everything in the cache is old."""
        seen, versions = past
        kinds = [k for k in self.loop.kinds(seen) if k in self.loop.kinds(self.loop.state)]
        self.loop.fresh = False
        self.loop.reconcile(kinds[which % len(kinds)], seen, versions)
        self.loop.fresh = True

    @rule(past=pasts, which=st.integers(0, 3))
    def look_with_others_of_the_past(self, past: tuple[State, Counter[str]], which: int) -> None:
        """Its own object is current, what it reads of the others is old."""
        now, kinds = self.loop.state, self.loop.kinds(self.loop.state)
        kind = kinds[which % len(kinds)]
        old = past[0]
        self.loop.fresh = False
        if kind == "release":
            names = {i.metadata.name for i in old.incidents}
            mixed = [i for i in now.incidents if i.metadata.name not in names]
            self.loop.reconcile(
                kind,
                replace(
                    now,
                    incidents=(*old.incidents, *mixed),
                    workload=old.workload,
                    canary=old.canary,
                    warm=old.warm,
                ),
            )
        elif kind != "runbook":
            self.loop.reconcile(kind, replace(now, release=old.release, runbook=old.runbook))
        self.loop.fresh = True

    @rule(writes=st.integers(1, 4), after=st.booleans(), which=st.integers(0, 3))
    def look_and_die(self, writes: int, after: bool, which: int) -> None:
        self.loop.budget, self.loop.after = writes, after
        kinds = self.loop.kinds(self.loop.state)
        self.loop.reconcile(kinds[which % len(kinds)])
        self.loop.budget = None
        self.loop.outcome = None  # a new process remembers no eval run
        self.loop.sent = {}

    # people

    @rule(version=st.sampled_from(["v1", "v2", "v2", "v3", "v4"]), manager=st.sampled_from(["kubectl-set", "argocd"]))
    def push_by_hand(self, version: str, manager: str) -> None:
        self.loop.push(version, manager)

    @rule(version=st.sampled_from(["v1", "v3", "v4", "v5"]))
    def ship(self, version: str) -> None:
        self.loop.edit(version=version, images={"answers": f"shop:{version}"})

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.loop.edit(paused=paused)

    @rule(value=st.sampled_from("ab"))
    def retry(self, value: str) -> None:
        self.loop.edit({RETRY: value})

    @rule()
    def unblock(self) -> None:
        blocked = [r.digest for r in self.loop.state.release.status.revisions if r.blocked]
        if blocked:
            self.loop.edit({UNBLOCK: blocked[0]})

    @rule()
    def stop_everything_or_go_on(self) -> None:
        self.loop.stop = None if self.loop.stop else Stop("opsloop", "now", "alice", self.loop.now, True)

    @rule(rounds=st.integers(1, 10))
    def stop_for_some_time(self, rounds: int) -> None:
        """In mid-canary, in mid-rollback, or in between; what was under way goes on afterwards."""
        self.loop.stop = Stop("opsloop", "now", "alice", self.loop.now, True)
        self._live(5, rounds, honest=True)
        self.loop.stop = None

    @rule()
    def write_or_remove_the_runbook(self) -> None:
        self.loop.put(runbook=None if self.loop.state.runbook else runbook())
        self.loop.versions["runbook"] += 1

    # weather

    @rule(ratio=st.sampled_from(RATIOS))
    def users_see(self, ratio: float | None) -> None:
        self.loop.telemetry = ratio

    @rule(ratio=st.sampled_from(RATIOS))
    def canary_shows(self, ratio: float | None) -> None:
        self.loop.canary_telemetry = ratio

    @rule()
    def deployment_settles(self) -> None:
        self.loop.settle()

    @precondition(lambda self: self.loop.state.canary is not None)
    @rule()
    def a_canary_pod_vanishes(self) -> None:
        self.loop.lose_pod()

    @precondition(lambda self: self.loop.state.canary is not None)
    @rule()
    def a_canary_pod_is_evicted(self) -> None:
        self.loop.evict_pod()

    @precondition(lambda self: self.loop.state.warm is not None)
    @rule()
    def a_warm_pod_vanishes(self) -> None:
        self.loop.lose_warm_pod()

    @rule(replicas=st.sampled_from([1, 2, 4, 16]))
    def live_is_scaled(self, replicas: int) -> None:
        self.loop.scale(replicas)

    # laws that hold between any two steps

    @invariant()
    def it_comes_to_rest(self) -> None:
        """Looked at again and again at one instant, nothing changes any more after a few rounds."""
        if not hasattr(self, "loop") or self.loop.writes % 5:
            return
        twin = copy.copy(self.loop)
        twin.versions, twin.effects = Counter(self.loop.versions), Counter(self.loop.effects)
        twin.quiesce()


Loop.TestCase.settings = settings(
    max_examples=1500 if DEEP else 60,
    stateful_step_count=60 if DEEP else 30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestLoop = Loop.TestCase
TestLoop.pytestmark = [pytest.mark.simulation, pytest.mark.soak]  # type: ignore[attr-defined]
