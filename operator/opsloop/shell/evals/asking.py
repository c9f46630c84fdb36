"""One answer of a pod: its request sent, again where that says nothing, and its replies compared.

What is sent to the pods of one Release is bounded for that Release alone, so that no team waits for pods of another that hang.
"""

import asyncio
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.eval_request import EvalRequest
from opsloop.core.evalcase import silence
from opsloop.core.evalcase.expectation import QUICK, Answer, answer, compare, flaw, silent, work
from opsloop.core.evalcase.hidden import hide
from opsloop.core.facts import ProbeReply
from opsloop.shell.evals.secret_headers import SecretHeaders, SecretReader
from opsloop.shell.ports import Prober


@dataclass(frozen=True)
class Lane:
    """What the requests of one Release share: how many are under way at once, and that one reply is worked on apart."""

    requests: asyncio.Semaphore
    apart: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True)
class Asking:
    """How one run asks. `pause`: seconds between tries; `threads`: may a long comparison leave the event loop?"""

    prober: Prober
    secrets: SecretReader
    lane: Lane
    pause: float
    threads: bool = False

    async def answer(
        self, ips: Sequence[str], request: EvalRequest, expect: EvalExpect, transient: Container[int]
    ) -> Answer:
        """Sends one request to these addresses in turn until there is an answer."""
        if problem := flaw(expect):
            return silent(silence.CASE_INVALID, problem)
        headers = await self.secrets.of(request)
        if isinstance(headers, Answer):
            return headers
        replies: list[ProbeReply] = []
        for ip in ips:
            if replies:
                await asyncio.sleep(self.pause)
            async with self.lane.requests:
                reply = await self.prober.ask(ip, request, headers.headers)
            replies.append(hide(reply, headers.values))
            if (given := await self._compared(expect, replies, transient)) is not None:
                return given
        return silent(silence.NO_POD, "there is no ready pod to ask")

    async def once(
        self, ip: str, request: EvalRequest, expect: EvalExpect, headers: SecretHeaders
    ) -> tuple[Answer, float]:
        """Sends one request once, beside others that are under way: what its reply says, and the seconds that it took."""
        clock = asyncio.get_running_loop().time
        began = clock()
        reply = hide(await self.prober.ask(ip, request, headers.headers), headers.values)
        took = reply.seconds or clock() - began
        if not self.threads or work(expect, reply) <= QUICK:
            return compare(expect, reply), took
        async with self.lane.apart:
            return await asyncio.to_thread(compare, expect, reply), took

    async def reply(self, ip: str, request: EvalRequest) -> ProbeReply:
        """Sends one request once."""
        headers = await self.secrets.of(request)
        if isinstance(headers, Answer):
            return ProbeReply(0, "", headers.message, headers.reason)
        async with self.lane.requests:
            return hide(await self.prober.ask(ip, request, headers.headers), headers.values)

    async def _compared(
        self, expect: EvalExpect, replies: Sequence[ProbeReply], transient: Container[int]
    ) -> Answer | None:
        """Long work leaves the event loop, one reply of a Release at a time."""
        if not self.threads or work(expect, replies[-1]) <= QUICK:
            return answer(expect, replies, transient)
        async with self.lane.apart:
            return await asyncio.to_thread(answer, expect, tuple(replies), transient)
