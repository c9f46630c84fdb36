"""Sends eval requests to pods in the background; the outcome is a fact of a later look.

Nothing here is stored: a run lost by a restart is run again, because the decision asks for it again.
"""

import asyncio
from collections.abc import Callable, Container, Coroutine, Mapping, Sequence
from typing import Any

from opsloop.api.evalcase import EvalCase
from opsloop.api.target import CaseResult
from opsloop.core.actions import AskAgain, AskLive, CompareQuarantine, ProbeQuarantine, RunEvals, SampleRequests
from opsloop.core.evalcase import gating, live, silence
from opsloop.core.evalcase.expectation import GATEWAY_ERRORS, SERVER_ERRORS, TRIES, Answer, silent
from opsloop.core.evalcase.share import standing
from opsloop.core.facts import Compared, EvalOutcome, LiveOutcome, Taken
from opsloop.shell.evals.asking import Asking, Lane
from opsloop.shell.evals.comparing import MOST_LIVE, compare
from opsloop.shell.evals.jobs import Jobs, Slot
from opsloop.shell.evals.live_pods import LivePods
from opsloop.shell.evals.loading import Loaded, Loader
from opsloop.shell.evals.measuring import Meter
from opsloop.shell.evals.sampling import take
from opsloop.shell.evals.secret_headers import SecretReader
from opsloop.shell.ports import ObjectKey, Prober, Reader

MOST_JOBS = 64  # runs and probes of one Release at once; more are asked for again at the next look
SOUNDINGS = {"sound": 2}  # cases of one Release that are asked the same again, at once: nothing waits for them
PROOF_ANSWERS = 3  # a revision passes a proof when it passes each time: right by chance is not right


class EvalRunner:
    """Runs evals of canary and live, and probes of quarantined pods. `on_done` wakes the name that waits for them."""

    def __init__(
        self,
        reader: Reader,
        prober: Prober,
        on_done: Callable[[ObjectKey], None],
        meter: Meter,
        *,
        at_once: int = 8,
        pause: float = 0.5,
        again_after: float = 5.0,
        threads: bool = False,
    ) -> None:
        """`meter`: measures pods under load; `at_once`: requests under way of one Release, so that nobody waits for pods of others that hang; `pause`: seconds
        between tries; `again_after`: seconds until a run with unanswered cases may be repeated; `threads`: may comparing a
        long reply leave the event loop?"""
        self._reader = reader
        self._prober = prober
        self._jobs = Jobs(on_done, again_after, MOST_JOBS, SOUNDINGS)
        self._live_pods = LivePods(reader, pause)
        self._at_once = at_once
        self._pause = pause
        self._threads = threads
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._outcomes: dict[Slot, EvalOutcome] = {}
        self._proofs: dict[Slot, tuple[bool, str]] = {}
        self._live: dict[Slot, LiveOutcome] = {}
        self._sounded: dict[Slot, LiveOutcome] = {}
        self._compared: dict[Slot, Compared] = {}
        self._taken: dict[Slot, Taken] = {}
        self._loader = Loader(meter)

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
        slot, key = (
            ("proof", namespace, action.release, action.case, action.digest),
            ("EvalCase", namespace, action.case),
        )
        self._begin(slot, action, lambda: self._prove(slot, namespace, action), key)

    def proof_outcomes(self, namespace: str, case: str) -> Mapping[str, tuple[bool, str]]:
        """Digest → (passed, difference), of the revisions that have answered."""
        return {slot[4]: outcome for slot, outcome in self._proofs.items() if _is_of(slot, "proof", namespace, case)}

    def forget_proof(self, namespace: str, case: str) -> None:
        """Stops and forgets the answers of this case's quarantined pods."""
        for slot in [s for s in (*self._jobs.slots(), *self._proofs) if _is_of(s, "proof", namespace, case)]:
            self._forget(slot)

    # --- a bad and a good revision side by side

    def compare(self, namespace: str, action: CompareQuarantine) -> None:
        """Begins to ask these quarantined pods, once per attempt."""
        slot, key = ("compare", namespace, action.release, action.subject), ("Incident", namespace, action.incident)
        self._begin(
            slot, (action.attempt, action.good, action.bad), lambda: self._compare(slot, namespace, action), key
        )

    def compared(self, namespace: str, subject: str) -> Compared | None:
        """What came of it."""
        return next((out for slot, out in self._compared.items() if _is_of(slot, "compare", namespace, subject)), None)

    def forget_comparison(self, namespace: str, subject: str) -> None:
        """Stops and forgets it."""
        for slot in [s for s in (*self._jobs.slots(), *self._compared) if _is_of(s, "compare", namespace, subject)]:
            self._forget(slot)

    # --- requests that live pods recorded

    def sample(self, namespace: str, action: SampleRequests) -> None:
        """Begins to ask for them, once per Incident."""
        slot, key = ("sample", namespace, action.release, action.incident), ("Incident", namespace, action.incident)
        self._begin(slot, action.request, lambda: self._sample(slot, namespace, action), key)

    def taken(self, namespace: str, incident: str) -> Taken | None:
        """What they told."""
        return next((out for slot, out in self._taken.items() if _is_of(slot, "sample", namespace, incident)), None)

    def forget_sample(self, namespace: str, incident: str) -> None:
        """Forgets it, once it is stored."""
        for slot in [s for s in self._taken if _is_of(s, "sample", namespace, incident)]:
            self._forget(slot)

    # --- a case on live

    def ask_live(self, namespace: str, action: AskLive) -> None:
        """Begins to ask the live pods, once per (case, generation, live revision)."""
        name = action.case.metadata.name
        slot, key = ("live", namespace, action.case.spec.release, name), ("EvalCase", namespace, name)
        self._begin(slot, live.claim(action.case, action.digest), lambda: self._ask_live(slot, namespace, action), key)

    def live_outcome(self, namespace: str, case: str) -> LiveOutcome | None:
        """What the live pods answered to this case."""
        return next((out for slot, out in self._live.items() if _is_of(slot, "live", namespace, case)), None)

    def forget_live(self, namespace: str, case: str) -> None:
        """Stops and forgets the answers of live pods to this case."""
        for slot in [s for s in (*self._jobs.slots(), *self._live) if _is_of(s, "live", namespace, case)]:
            self._forget(slot)

    def ask_again(self, namespace: str, action: AskAgain) -> None:
        """Begins to ask the live pods the same once more, once per claim."""
        name = action.case.metadata.name
        slot, key = ("sound", namespace, action.case.spec.release, name), ("EvalCase", namespace, name)
        self._begin(slot, action.claim, lambda: self._ask_again(slot, namespace, action), key)

    def sounded(self, namespace: str, case: str) -> LiveOutcome | None:
        """What the live pods answered when they were asked the same once more."""
        return next((out for slot, out in self._sounded.items() if _is_of(slot, "sound", namespace, case)), None)

    def forget_sounded(self, namespace: str, case: str) -> None:
        """Stops and forgets those answers."""
        for slot in [s for s in (*self._jobs.slots(), *self._sounded) if _is_of(s, "sound", namespace, case)]:
            self._forget(slot)

    async def close(self) -> None:
        """Cancels everything and waits until it has ended."""
        await self._jobs.close()
        await self._live_pods.close()

    def _begin(
        self, slot: Slot, request: object, work: Callable[[], Coroutine[Any, Any, None]], key: ObjectKey
    ) -> None:
        if self._jobs.needless(slot, request, self._conclusive(slot)) or self._jobs.full(slot):
            return
        if self._jobs.request(slot) != request:  # a repetition leaves the former result standing until it has its own
            self._forget(slot)
        self._jobs.begin(slot, request, work(), key)

    def _conclusive(self, slot: Slot) -> bool:
        """True where every request of the slot has been answered."""
        outcome = self._outcomes.get(slot)
        answered = outcome is not None and all(_is_answered(result) for result in outcome.results)
        kept = (self._proofs, self._live, self._sounded, self._compared, self._taken)
        return answered or any(slot in known for known in kept)

    def _forget(self, slot: Slot) -> None:
        self._jobs.drop(slot)
        self._outcomes.pop(slot, None)
        self._proofs.pop(slot, None)
        self._live.pop(slot, None)
        self._sounded.pop(slot, None)
        self._compared.pop(slot, None)
        self._taken.pop(slot, None)

    def _asking(self, namespace: str, release: str) -> Asking:
        lane = self._lanes.setdefault((namespace, release), Lane(asyncio.Semaphore(self._at_once)))
        return Asking(self._prober, SecretReader(self._reader, namespace), lane, self._pause, self._threads)

    # --- work of the jobs

    async def _run(self, slot: Slot, namespace: str, action: RunEvals) -> None:
        asking = self._asking(namespace, action.release)
        asked = [case for case in action.cases if gating.is_asked(case) and case.spec.load is None]
        turns = [(case, turn) for case in asked for turn in range(gating.times(case, action.repeats))]
        turns.sort(key=lambda pair: pair[1])
        pairs = await asyncio.gather(*(self._pair(namespace, action, case, turn, asking) for case, turn in turns))
        by_case: dict[str, list[tuple[Answer, Answer]]] = {case.metadata.name: [] for case in action.cases}
        for (case, _), pair in zip(turns, pairs, strict=True):
            by_case[case.metadata.name].append(pair)
        pod = Loaded(namespace, action.release, action.loaded, next(iter(action.canary_ips), ""))
        loads = []  # one after the other, and after all that would be slower beside them
        for case in action.cases:
            if (load := case.spec.load) is not None:
                check = await self._loader.check(asking, pod, case.spec.request, case.spec.expect, load)
                loads.append(check.result(case.metadata.name, case.spec.min_share))
        others = [_result(case, by_case[case.metadata.name]) for case in action.cases if case.spec.load is None]
        results = sorted((*others, *loads), key=lambda result: result.case)
        self._outcomes[slot] = EvalOutcome(action.digest, action.step, tuple(results))

    async def _pair(
        self, namespace: str, action: RunEvals, case: EvalCase, turn: int, asking: Asking
    ) -> tuple[Answer, Answer]:
        """(canary, live) of one turn, one after the other so that both are asked under the same load; the order
        alternates."""
        live_ips = await self._live_pods.addresses(namespace, action.live_selector, case.spec.request.port)
        sides, answers = (action.canary_ips, live_ips), dict[int, Answer]()
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            answers[side] = await _turn(asking, case, sides[side], turn, GATEWAY_ERRORS)
        return answers[0], answers[1]

    async def _prove(self, slot: Slot, namespace: str, action: ProbeQuarantine) -> None:
        """Stores an outcome only where enough answers are there; else the decision asks again until its time-out."""
        asking, ips = self._asking(namespace, action.release), [action.pod_ip] * TRIES
        if action.load is not None:
            pod = Loaded(namespace, action.release, action.pod, action.pod_ip)
            check = await self._loader.check(asking, pod, action.request, action.expect, action.load)
            if (good := check.verdict(action.min_share)) is not None:
                self._proofs[slot] = (good, "" if good else check.message(action.min_share))
            return
        asked, passed, first = max(PROOF_ANSWERS, action.repeats), 0, ""
        for number in range(1, asked + 1):
            last = await asking.answer(ips, action.request, action.expect, SERVER_ERRORS)
            if last.fit == "no_answer":
                return
            passed, first = passed + (last.fit == "passed"), first or last.message
            stands = standing(passed, number, asked, action.min_share)
            if stands != "open":
                self._proofs[slot] = (stands == "passed", "" if stands == "passed" else first)
                return

    async def _sample(self, slot: Slot, namespace: str, action: SampleRequests) -> None:
        ips = await self._live_pods.addresses(namespace, action.selector, action.request.port)
        self._taken[slot] = await take(self._asking(namespace, action.release), action.request, ips)

    async def _compare(self, slot: Slot, namespace: str, action: CompareQuarantine) -> None:
        live: list[str] = []
        if action.live_selector and action.requests:
            live = list(await self._live_pods.addresses(namespace, action.live_selector, action.requests[0].port))
        self._compared[slot] = await compare(self._asking(namespace, action.release), action, live[:MOST_LIVE])

    async def _ask_live(self, slot: Slot, namespace: str, action: AskLive) -> None:
        case, asking = action.case, self._asking(namespace, action.case.spec.release)
        ips = await self._live_pods.addresses(namespace, action.selector, case.spec.request.port)
        turns = range(gating.times(case, action.repeats))
        answers = await asyncio.gather(*(_turn(asking, case, ips, turn, GATEWAY_ERRORS) for turn in turns))
        answers = await self._unless_replaced(namespace, case, action.selector, ips, answers)
        self._live[slot] = live.outcome(live.claim(case, action.digest), answers)

    async def _ask_again(self, slot: Slot, namespace: str, action: AskAgain) -> None:
        """One request after the other: it is in no hurry."""
        case, asking = action.case, self._asking(namespace, action.case.spec.release)
        ips = await self._live_pods.addresses(namespace, action.selector, case.spec.request.port)
        answers = [await _turn(asking, case, ips, turn, GATEWAY_ERRORS) for turn in range(action.times)]
        answers = await self._unless_replaced(namespace, case, action.selector, ips, answers)
        self._sounded[slot] = live.outcome(action.claim, answers)

    async def _unless_replaced(
        self, namespace: str, case: EvalCase, selector: Mapping[str, str], asked: Sequence[str], answers: list[Answer]
    ) -> list[Answer]:
        """The answers; none where right and wrong ones may be those of two versions, because pods were replaced meanwhile."""
        if len({answer.fit for answer in answers} - {"no_answer"}) < 2:
            return answers
        now = await self._live_pods.addresses(namespace, selector, case.spec.request.port, anew=True)
        if now == asked:
            return answers
        return [silent(silence.NO_POD, "live pods were replaced while they were asked")] * len(answers)


async def _turn(asking: Asking, case: EvalCase, ips: Sequence[str], turn: int, transient: Container[int]) -> Answer:
    """One answer of one side; each turn begins at another pod."""
    rotated = [ips[(turn + n) % len(ips)] for n in range(TRIES)] if ips else []
    return await asking.answer(rotated, case.spec.request, case.spec.expect, transient)


def _is_of(slot: Slot, kind: str, namespace: str, case: str) -> bool:
    return slot[:2] == (kind, namespace) and slot[3:4] == (case,)


def _is_answered(result: CaseResult) -> bool:
    """Live is not loaded."""
    runs = result.canary_runs if result.load else min(result.canary_runs, result.live_runs)
    return runs >= result.asked and result.pod != "NoAnswer"


def _run_id(action: RunEvals) -> tuple[object, ...]:
    """Edited cases are other cases, and so are those that are set aside; pods may come and go within a run."""
    cases = tuple((c.metadata.name, c.metadata.uid, c.metadata.generation, c.is_flaky) for c in action.cases)
    return action.digest, action.step, action.repeats, cases


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
        min_share=case.spec.min_share,
        asked=len(pairs),
        canary_passed=sum(a.fit == "passed" for a in canary),
        canary_runs=sum(a.fit != "no_answer" for a in canary),
        live_passed=sum(a.fit == "passed" for a in live),
        live_runs=sum(a.fit != "no_answer" for a in live),
        worse=sum((a.fit, b.fit) == ("failed", "passed") for a, b in pairs),
        better=sum((a.fit, b.fit) == ("passed", "failed") for a, b in pairs),
        flaky=case.is_flaky,
        message=messages[0][:512] if messages else "",
    )
