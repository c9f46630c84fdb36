"""Load on one pod that serves nobody: requests that begin at a rate, whether or not earlier ones were answered."""

import asyncio

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.eval_request import EvalRequest
from opsloop.api.evalcase import Load
from opsloop.core.evalcase import silence
from opsloop.core.evalcase.expectation import Answer, flaw, silent
from opsloop.core.evalcase.loads import Reply
from opsloop.shell.evals.asking import Asking
from opsloop.shell.evals.secret_headers import SecretHeaders

AT_ONCE = (
    4  # loads of all Releases together, 200 requests a second at most: more wait, so that opsloop keeps their rates
)


class Loader:
    """Sends loads, a few at a time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

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
