"""Sends eval requests to pods in the background; the outcome is a fact of a later look.

Nothing here is stored: a run lost by a restart is run again, because the decision asks for it again.
"""

import asyncio
import logging
from collections.abc import Callable, Container, Coroutine, Mapping, Sequence
from typing import Any

from opsloop.api.evalcase import EvalCase, EvalExpect, EvalRequest
from opsloop.api.release import CaseResult
from opsloop.core.actions import ProbeQuarantine, RunEvals
from opsloop.core.evalcase.expectation import GATEWAY_ERRORS, SERVER_ERRORS, TRIES, Answer, answer
from opsloop.core.facts import EvalOutcome, ProbeReply
from opsloop.errors import OpsloopError
from opsloop.names import CANARY
from opsloop.shell.evals.jobs import Jobs, Slot
from opsloop.shell.ports import PODS, Object, ObjectKey, Prober, Reader

log = logging.getLogger(__name__)

MOST_JOBS = 64  # runs and probes of one namespace at once; more are asked for again at the next look
PROOF_ANSWERS = 3  # a revision passes a proof when it passes each time: right by chance is not right
NO_POD = Answer("no_answer", "there is no ready pod to ask")


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
        """`at_once`: requests under way of one Release's run or one case's proof, so that nobody waits for pods of others
        that hang; `pause`: seconds between tries; `again_after`: seconds until a
        run with unanswered cases may be repeated."""
        self._reader = reader
        self._prober = prober
        self._jobs = Jobs(on_done, again_after, MOST_JOBS)
        self._at_once = at_once
        self._pause = pause
        self._outcomes: dict[Slot, EvalOutcome] = {}
        self._proofs: dict[Slot, tuple[bool, str]] = {}

    # --- evals of a rollout

    def start_run(self, namespace: str, action: RunEvals) -> None:
        """Begins this run, once per (release, digest, step, cases); another one replaces the release's former run."""
        slot, key = ("run", namespace, action.release), ("Release", namespace, action.release)
        self._begin(slot, _run_id(action), lambda: self._run(slot, namespace, action), key)

    def outcome(self, namespace: str, release: str) -> EvalOutcome | None:
        """The last finished run of this Release, with its digest and step."""
        return self._outcomes.get(("run", namespace, release))

    def forget(self, namespace: str, release: str) -> None:
        """Stops and forgets this Release's run: its canary is gone, or is to be judged anew."""
        self._forget(("run", namespace, release))

    # --- proofs of a case

    def probe_quarantine(self, namespace: str, action: ProbeQuarantine) -> None:
        """Begins to ask this quarantined pod, once per (case, digest, pod IP, request)."""
        slot, key = ("proof", namespace, action.case, action.digest), ("EvalCase", namespace, action.case)
        self._begin(slot, action, lambda: self._prove(slot, action), key)

    def proof_outcomes(self, namespace: str, case: str) -> Mapping[str, tuple[bool, str]]:
        """Digest → (passed, difference), of the revisions that have answered."""
        return {slot[3]: outcome for slot, outcome in self._proofs.items() if slot[:3] == ("proof", namespace, case)}

    def forget_proof(self, namespace: str, case: str) -> None:
        """Stops and forgets the answers of this case's quarantined pods."""
        for slot in [s for s in (*self._jobs.slots(), *self._proofs) if s[:3] == ("proof", namespace, case)]:
            self._forget(slot)

    async def close(self) -> None:
        """Cancels everything and waits until it has ended."""
        await self._jobs.close()

    def _begin(
        self, slot: Slot, request: object, work: Callable[[], Coroutine[Any, Any, None]], key: ObjectKey
    ) -> None:
        if self._jobs.needless(slot, request, self._conclusive(slot)) or self._jobs.full(slot[1]):
            return
        if self._jobs.request(slot) != request:  # a repetition leaves the former result standing until it has its own
            self._forget(slot)
        self._jobs.begin(slot, request, work(), key)

    def _conclusive(self, slot: Slot) -> bool:
        """True where every request of the slot has been answered."""
        outcome = self._outcomes.get(slot)
        answered = outcome is not None and all(min(r.canary_runs, r.live_runs) >= r.asked for r in outcome.results)
        return answered or slot in self._proofs

    def _forget(self, slot: Slot) -> None:
        self._jobs.drop(slot)
        self._outcomes.pop(slot, None)
        self._proofs.pop(slot, None)

    # --- work of the jobs

    async def _run(self, slot: Slot, namespace: str, action: RunEvals) -> None:
        sides = (action.canary_ips, await self._live_ips(namespace, action.live_selector))
        turns = [(case, turn) for turn in range(action.repeats) for case in action.cases]
        requests = asyncio.Semaphore(self._at_once)
        pairs = await asyncio.gather(*(self._pair(case, turn, sides, requests) for case, turn in turns))
        by_case: dict[str, list[tuple[Answer, Answer]]] = {case.metadata.name: [] for case in action.cases}
        for (case, _), pair in zip(turns, pairs, strict=True):
            by_case[case.metadata.name].append(pair)
        results = tuple(_result(case, by_case[case.metadata.name]) for case in action.cases)
        self._outcomes[slot] = EvalOutcome(action.digest, action.step, results)

    async def _pair(
        self, case: EvalCase, turn: int, sides: tuple[Sequence[str], Sequence[str]], requests: asyncio.Semaphore
    ) -> tuple[Answer, Answer]:
        """(canary, live) of one turn, one after the other so that both are asked under the same load; the order
        alternates."""
        answers: dict[int, Answer] = {}
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            ips, spec = sides[side], case.spec
            rotated = [ips[(turn + n) % len(ips)] for n in range(TRIES)] if ips else []
            answers[side] = await self._answer(rotated, spec.request, spec.expect, GATEWAY_ERRORS, requests)
        return answers[0], answers[1]

    async def _prove(self, slot: Slot, action: ProbeQuarantine) -> None:
        """Stores an outcome only where every answer is there; else the decision asks again until its time-out."""
        one, ips = asyncio.Semaphore(1), [action.pod_ip] * TRIES
        for _ in range(PROOF_ANSWERS):
            last = await self._answer(ips, action.request, action.expect, SERVER_ERRORS, one)
            if last.fit == "no_answer":
                return
            if last.fit == "failed":
                self._proofs[slot] = (False, last.message)
                return
        self._proofs[slot] = (True, "")

    async def _answer(
        self,
        ips: Sequence[str],
        request: EvalRequest,
        expect: EvalExpect,
        transient: Container[int],
        requests: asyncio.Semaphore,
    ) -> Answer:
        """Sends one request to these addresses in turn until there is an answer. `ips`: none, or TRIES of them;
        `requests` bounds how many are under way."""
        replies: list[ProbeReply] = []
        for ip in ips:
            if replies:
                await asyncio.sleep(self._pause)
            async with requests:
                replies.append(await self._prober.ask(ip, request))
            if (given := answer(expect, replies, transient)) is not None:
                return given
        return NO_POD

    async def _live_ips(self, namespace: str, selector: Mapping[str, str]) -> tuple[str, ...]:
        """Addresses of live pods. Without a selector none: it would match every pod of the namespace."""
        for attempt in range(TRIES if selector else 0):
            if attempt:
                await asyncio.sleep(self._pause)
            try:
                pods = await self._reader.list(PODS, namespace, selector)
            except OpsloopError as error:
                log.warning("live pods of %s could not be listed: %s", namespace, error)
            else:
                return tuple(sorted(str(pod["status"]["podIP"]) for pod in pods if is_live(pod)))
        return ()


def is_live(pod: Object) -> bool:
    """True for a Ready pod of the user's Deployment: no canary, not on its way out, with an address."""
    metadata, status = pod.get("metadata") or {}, pod.get("status") or {}
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or [])
    labelled = CANARY in (metadata.get("labels") or {})
    return ready and bool(status.get("podIP")) and not labelled and not metadata.get("deletionTimestamp")


def _run_id(action: RunEvals) -> tuple[object, ...]:
    """Edited cases are other cases; pods may come and go within a run."""
    cases = tuple((case.metadata.name, case.metadata.uid, case.metadata.generation) for case in action.cases)
    return action.digest, action.step, cases


def _result(case: EvalCase, pairs: Sequence[tuple[Answer, Answer]]) -> CaseResult:
    """Counts of the answers, and the first failure: the canary's before live's, before a missing answer."""
    canary, live = [a for a, _ in pairs], [b for _, b in pairs]
    messages = [
        *(a.message for a in canary if a.fit == "failed"),
        *(f"live: {a.message}" for a in live if a.fit == "failed"),
        *(a.message for a in canary if a.fit == "no_answer"),
        *(f"live: {a.message}" for a in live if a.fit == "no_answer"),
    ]
    return CaseResult(
        case=case.metadata.name,
        must_pass=case.spec.must_pass,
        asked=len(pairs),
        canary_passed=sum(a.fit == "passed" for a in canary),
        canary_runs=sum(a.fit != "no_answer" for a in canary),
        live_passed=sum(a.fit == "passed" for a in live),
        live_runs=sum(a.fit != "no_answer" for a in live),
        message=messages[0][:512] if messages else "",
    )
