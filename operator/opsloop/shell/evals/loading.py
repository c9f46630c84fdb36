"""Load on one pod that serves nobody: requests that begin at a rate, whether or not earlier ones were answered."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.eval_request import EvalRequest
from opsloop.api.evalcase import Load
from opsloop.api.target import CaseResult
from opsloop.core.evalcase import loads, silence
from opsloop.core.evalcase.expectation import Answer, flaw, silent
from opsloop.core.evalcase.loads import Reply
from opsloop.core.evalcase.measured import Seen
from opsloop.shell.evals.asking import Asking
from opsloop.shell.evals.measuring import Meter
from opsloop.shell.evals.secret_headers import SecretHeaders

AT_ONCE = (
    4  # loads of all Releases together, 200 requests a second at most: more wait, so that opsloop keeps their rates
)


_NOBODY = Reply(silent(silence.NO_POD, "there is no ready pod to ask"), 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The pod that is loaded, and the Release that it belongs to; without an address there is none."""

    namespace: str
    release: str
    pod: str
    ip: str


@dataclass(frozen=True, slots=True)
class Check:
    """What came of a load: its replies with the answer to each request, and how the pod fared."""

    load: Load
    replies: Sequence[Reply]
    answers: Sequence[Answer]
    pod: Seen

    def verdict(self, min_share: float) -> bool | None:
        """True: passed; None: too few answers to say."""
        return loads.verdict(self.answers, min_share, self.pod)

    def message(self, min_share: float) -> str:
        """What was seen."""
        return loads.message(self.load, self.replies, self.answers, min_share, self.pod)

    def result(self, case: str, min_share: float) -> CaseResult:
        """The result on a canary; live is not loaded."""
        return CaseResult(
            case=case,
            must_pass=True,
            min_share=min_share,
            asked=self.load.requests,
            canary_passed=sum(a.fit == "passed" for a in self.answers),
            canary_runs=sum(a.fit != "no_answer" for a in self.answers),
            live_passed=0,
            live_runs=0,
            load=loads.words(self.load),
            pod=self.pod.fate,
            message=self.message(min_share)[:512],
        )


class Loader:
    """Sends loads, a few at a time."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._places = asyncio.Semaphore(AT_ONCE)

    async def check(self, asking: Asking, at: Loaded, request: EvalRequest, expect: EvalExpect, load: Load) -> Check:
        """Sends the load to this pod and watches it."""
        before = await self._meter.before(at.namespace, at.pod)
        replies = await self.send(asking, at.ip, request, expect, load) if at.ip else [_NOBODY]
        given = loads.answers(replies, expect)
        sent = len(replies) == load.requests and any(answer.fit != "no_answer" for answer in given)
        pod = await self._meter.after(at.namespace, at.release, at.pod, load, before) if sent else Seen()
        return Check(load, replies, given, pod)

    async def send(self, asking: Asking, ip: str, request: EvalRequest, expect: EvalExpect, load: Load) -> list[Reply]:
        """The replies, in the order of the requests; a single one without an answer where nothing could be sent."""
        if problem := flaw(expect):
            return [Reply(silent(silence.CASE_INVALID, problem), 0.0, 0.0)]
        headers = await asking.secrets.of(request)
        if isinstance(headers, Answer):
            return [Reply(headers, 0.0, 0.0)]
        async with self._places, asyncio.TaskGroup() as group:
            clock = asyncio.get_running_loop().time
            began, tasks = clock(), []
            for number in range(load.requests):
                due = began + number / load.requests_per_second
                await asyncio.sleep(max(0.0, due - clock()))
                tasks.append(group.create_task(_one(asking, ip, request, expect, headers, clock() - due)))
        return [task.result() for task in tasks]


async def _one(
    asking: Asking, ip: str, request: EvalRequest, expect: EvalExpect, headers: SecretHeaders, late: float
) -> Reply:
    given, took = await asking.once(ip, request, expect, headers)
    return Reply(given, took, late)
