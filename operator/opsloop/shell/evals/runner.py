"""Asks eval requests of pods in the background; what came of it is a fact of a later look.

Nothing here is stored: a run lost by a restart is simply run again, because the decision asks for it again.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsloop.api.evalcase import EvalCase, EvalExpect, EvalRequest
from opsloop.api.release import CaseResult
from opsloop.core.actions import ProbeQuarantine, RunEvals
from opsloop.core.evalcase.decide import Fit, fits
from opsloop.core.facts import EvalOutcome
from opsloop.errors import OpsloopError
from opsloop.names import CANARY
from opsloop.shell.evals.jobs import Jobs, Slot
from opsloop.shell.ports import PODS, Object, ObjectKey, Prober, Reader

log = logging.getLogger(__name__)

MOST_JOBS = 64  # runs and probes at once; what does not fit is asked for again at the next look
TRIES = 3  # for one answer
PROOF_ASKS = 3  # a revision passes a proof when it passes each time


@dataclass(frozen=True)
class _Answer:
    fit: Fit
    message: str


class EvalRunner:
    """Runs evals of canary and live, and probes of quarantined pods. `on_done` wakes the name that waits for them."""

    def __init__(
        self,
        reader: Reader,
        prober: Prober,
        on_done: Callable[[ObjectKey], None],
        *,
        at_once: int = 8,
        pause: float = 0.5,
        again_after: float = 5.0,
    ) -> None:
        """`at_once`: requests under way over all runs; `pause`: seconds between tries; `again_after`: seconds until a
        run with unanswered cases may be repeated."""
        self._reader = reader
        self._prober = prober
        self._jobs = Jobs(on_done, again_after, MOST_JOBS)
        self._slots = asyncio.Semaphore(at_once)
        self._pause = pause
        self._outcomes: dict[Slot, EvalOutcome] = {}
        self._proofs: dict[Slot, tuple[bool, str]] = {}

    # --- evals of a rollout

    def start_run(self, namespace: str, action: RunEvals) -> None:
        """Begin this run, once per (release, digest, step, cases); one that differs replaces the release's former run."""
        slot = ("run", namespace, action.release)
        self._begin(
            slot, _run_id(action), lambda: self._run(slot, namespace, action), ("Release", namespace, action.release)
        )

    def outcome(self, namespace: str, release: str) -> EvalOutcome | None:
        """The last finished run of this Release; its digest and step say what it was of."""
        return self._outcomes.get(("run", namespace, release))

    def forget(self, namespace: str, release: str) -> None:
        """Stop and forget this Release's run: its canary is gone, or is to be judged anew."""
        self._forget(("run", namespace, release))

    # --- proofs of a case

    def probe_quarantine(self, namespace: str, action: ProbeQuarantine) -> None:
        """Begin to ask this quarantined pod, once per (case, digest, pod IP, request)."""
        slot = ("proof", namespace, action.case, action.digest)
        self._begin(slot, action, lambda: self._prove(slot, action), ("EvalCase", namespace, action.case))

    def proof_outcomes(self, namespace: str, case: str) -> Mapping[str, tuple[bool, str]]:
        """digest → (passed, what was wrong), of those that have answered."""
        return {slot[3]: said for slot, said in self._proofs.items() if slot[:3] == ("proof", namespace, case)}

    def forget_proof(self, namespace: str, case: str) -> None:
        """Stop and forget what this case's quarantined pods say."""
        for slot in [s for s in (*self._jobs.slots(), *self._proofs) if s[:3] == ("proof", namespace, case)]:
            self._forget(slot)

    async def close(self) -> None:
        """Cancel everything and wait until it has ended."""
        await self._jobs.close()

    def _begin(self, slot: Slot, wanted: object, work: Callable[[], Coroutine[Any, Any, None]], key: ObjectKey) -> None:
        if self._jobs.needless(slot, wanted, self._conclusive(slot)) or self._jobs.full:
            return
        if self._jobs.wanted(slot) != wanted:  # a repetition leaves the former result standing until it has its own
            self._forget(slot)
        self._jobs.begin(slot, wanted, work(), key)

    def _conclusive(self, slot: Slot) -> bool:
        """Has everything been answered?"""
        outcome = self._outcomes.get(slot)
        answered = outcome is not None and all(r.canary_runs and r.live_runs for r in outcome.results)
        return answered or slot in self._proofs

    def _forget(self, slot: Slot) -> None:
        self._jobs.drop(slot)
        self._outcomes.pop(slot, None)
        self._proofs.pop(slot, None)

    # --- asking

    async def _run(self, slot: Slot, namespace: str, action: RunEvals) -> None:
        live_ips = await self._live_ips(namespace, action.live_selector)
        pairs = [(case, turn) for turn in range(action.repeats) for case in action.cases]
        sides = (action.canary_ips, live_ips)
        answers = await asyncio.gather(*(self._pair(case, turn, sides) for case, turn in pairs))
        said: dict[str, list[tuple[_Answer, _Answer]]] = {case.metadata.name: [] for case in action.cases}
        for (case, _), both in zip(pairs, answers, strict=True):
            said[case.metadata.name].append(both)
        results = tuple(_result(case, said[case.metadata.name]) for case in action.cases)
        self._outcomes[slot] = EvalOutcome(action.digest, action.step, results)

    async def _pair(
        self, case: EvalCase, turn: int, sides: tuple[Sequence[str], Sequence[str]]
    ) -> tuple[_Answer, _Answer]:
        """One turn: canary and live asked one after the other, who is first alternates; so both see the same weather."""
        said: dict[int, _Answer] = {}
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            said[side] = await self._answer(sides[side], turn, case.spec.request, case.spec.expect)
        return said[0], said[1]

    async def _answer(self, ips: Sequence[str], turn: int, request: EvalRequest, expect: EvalExpect) -> _Answer:
        """One answer of one of these pods; where none comes, the next pod is tried."""
        last = _Answer("no_answer", "there is no ready pod to ask")
        for attempt in range(TRIES if ips else 0):
            if attempt:
                await asyncio.sleep(self._pause)
            async with self._slots:
                reply = await self._prober.ask(ips[(turn + attempt) % len(ips)], request)
            last = _Answer(*fits(expect, reply))
            if last.fit != "no_answer":
                break
        return last

    async def _live_ips(self, namespace: str, selector: Mapping[str, str]) -> tuple[str, ...]:
        """Addresses of live pods. Without a selector none: it would name every pod of the namespace."""
        for attempt in range(TRIES if selector else 0):
            if attempt:
                await asyncio.sleep(self._pause)
            try:
                pods = await self._reader.list(PODS, namespace, selector)
            except OpsloopError as no:
                log.warning("live pods could not be listed: %s", no)
            else:
                return tuple(sorted(str(pod["status"]["podIP"]) for pod in pods if is_live(pod)))
        return ()

    async def _prove(self, slot: Slot, action: ProbeQuarantine) -> None:
        """Ask several times: right by chance is not right. A server error is asked again, it may still be starting."""
        for _ in range(PROOF_ASKS):
            said = await self._settled_answer(action)
            if said.fit == "no_answer":
                return  # nothing is known; the decision asks again until its time-out
            if said.fit == "failed":
                self._proofs[slot] = (False, said.message)
                return
        self._proofs[slot] = (True, "")

    async def _settled_answer(self, action: ProbeQuarantine) -> _Answer:
        said = _Answer("no_answer", "")
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._pause)
            async with self._slots:
                reply = await self._prober.ask(action.pod_ip, action.request)
            said = _Answer(*fits(action.expect, reply))
            if said.fit == "passed" or (said.fit == "failed" and reply.status < 500):
                break
        return said


def is_live(pod: Object) -> bool:
    """A Ready pod of the user's Deployment: no canary, not on its way out, with an address."""
    metadata, status = pod.get("metadata") or {}, pod.get("status") or {}
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or [])
    labelled = CANARY in (metadata.get("labels") or {})
    return ready and bool(status.get("podIP")) and not labelled and not metadata.get("deletionTimestamp")


def _run_id(action: RunEvals) -> tuple[object, ...]:
    """Edited cases are other cases; pods may come and go within a run."""
    cases = tuple((case.metadata.name, case.metadata.uid, case.metadata.generation) for case in action.cases)
    return action.digest, action.step, cases


def _result(case: EvalCase, said: Sequence[tuple[_Answer, _Answer]]) -> CaseResult:
    """Counts of what was answered, and the first failure: the canary's before live's, before a missing answer."""
    canary, live = [a for a, _ in said], [b for _, b in said]
    failures = [
        *(a.message for a in canary if a.fit == "failed"),
        *(f"live: {a.message}" for a in live if a.fit == "failed"),
        *(a.message for a in canary if a.fit == "no_answer"),
        *(f"live: {a.message}" for a in live if a.fit == "no_answer"),
    ]
    return CaseResult(
        case=case.metadata.name,
        must_pass=case.spec.must_pass,
        canary_passed=sum(a.fit == "passed" for a in canary),
        canary_runs=sum(a.fit != "no_answer" for a in canary),
        live_passed=sum(a.fit == "passed" for a in live),
        live_runs=sum(a.fit != "no_answer" for a in live),
        message=failures[0][:512] if failures else "",
    )
