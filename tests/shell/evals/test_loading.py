"""Loads keep their rate whatever the pod does, are bounded over all, and end with their job."""

import asyncio
from typing import Any

import pytest

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.eval_request import EvalRequest
from opsloop.api.evalcase import Load
from opsloop.core.evalcase import loads
from opsloop.core.facts import ProbeReply
from opsloop.shell.evals.asking import Asking, Lane
from opsloop.shell.evals.loading import AT_ONCE, Loader
from opsloop.shell.evals.measuring import Meter, measured_by
from opsloop.shell.evals.secret_headers import SecretReader
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

POD = "10.0.0.1"
REQUEST, EXPECT = EvalRequest(path="/search", port=8080), EvalExpect(status=200)


class Pod:
    """A prober whose pod takes `seconds` for a reply; `began` lists the times of the requests."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.began, self.under_way, self.most = seconds, list[float](), 0, 0

    async def ask(self, pod_ip: str, request: EvalRequest, secrets: Any = None) -> ProbeReply:
        self.began.append(asyncio.get_running_loop().time())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        return ProbeReply(200, "ok", seconds=self.seconds)


def asking(pod: Pod) -> Asking:
    return Asking(pod, SecretReader(FakeCluster(), "shop"), Lane(asyncio.Semaphore(1)), 0.0)


def loader() -> Loader:
    return Loader(Meter(FakeCluster(), FakeClock(), measured_by({}, lambda namespace, release: "default")))


def load(rate: float = 20, duration: str = "5s") -> Load:
    return Load.model_validate({"requestsPerSecond": rate, "duration": duration})


async def test_requests_begin_at_the_rate_although_earlier_ones_hang() -> None:
    pod = Pod(seconds=3)
    began = asyncio.get_running_loop().time()
    replies = await loader().send(asking(pod), POD, REQUEST, EXPECT, load())
    assert len(replies) == 100 and pod.most == 60
    assert [round(at - began, 2) for at in pod.began] == [round(n / 20, 2) for n in range(100)]
    assert loads.verdict(loads.answers(replies, EXPECT), 1.0) is True and {round(r.took, 3) for r in replies} == {3.0}
    assert asyncio.get_running_loop().time() - began == pytest.approx(99 / 20 + 3)


async def test_a_load_that_is_given_up_leaves_no_request_behind() -> None:
    pod = Pod(seconds=60)
    task = asyncio.create_task(loader().send(asking(pod), POD, REQUEST, EXPECT, load()))
    await asyncio.sleep(2)
    assert pod.under_way > 30
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert pod.under_way == 0


async def test_not_more_loads_than_opsloop_can_keep_run_at_once() -> None:
    pods, sender = [Pod(seconds=0.01) for _ in range(AT_ONCE + 1)], loader()
    tasks = [asyncio.create_task(sender.send(asking(pod), POD, REQUEST, EXPECT, load())) for pod in pods]
    await asyncio.sleep(4)
    assert [bool(pod.began) for pod in pods] == [True] * AT_ONCE + [False]
    await asyncio.gather(*tasks)
    assert pods[-1].began[0] >= 4.9 + pods[0].began[0]


async def test_where_nothing_can_be_sent_there_is_one_answer_that_says_why() -> None:
    pod = Pod(seconds=0)
    broken = EvalExpect.model_construct(
        status=200, matches="(a", headers=[], json_=[], json_schema=None, max_latency=None
    )
    (reply,) = await loader().send(asking(pod), POD, REQUEST, broken, load())
    assert reply.answer.reason == "CaseInvalid" and "expect.matches" in reply.answer.message and pod.began == []
    secret = REQUEST.model_validate(
        {**REQUEST.dump(), "headersFrom": [{"name": "A", "secretKeyRef": {"name": "robot", "key": "token"}}]}
    )
    (reply,) = await loader().send(asking(pod), POD, secret, EXPECT, load())
    assert reply.answer.reason == "SecretMissing" and pod.began == []
