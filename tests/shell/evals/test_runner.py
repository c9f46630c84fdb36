"""Eval runs and proofs in the background, over the fake cluster and fake pods."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.eval_request import EvalRequest
from opsloop.api.evalcase import EvalCase, Steadiness
from opsloop.api.target import CaseResult
from opsloop.core.actions import AskAgain, AskLive, CompareQuarantine, ProbeQuarantine, RunEvals, SampleRequests
from opsloop.core.evalcase.gating import judge
from opsloop.core.facts import LiveOutcome, ProbeReply
from opsloop.errors import Forbidden, Unavailable
from opsloop.shell.evals.comparing import compare
from opsloop.shell.evals.jobs import Jobs
from opsloop.shell.evals.measuring import Meter, measured_by
from opsloop.shell.evals.runner import EvalRunner
from opsloop.shell.ports import ObjectKey
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from opsloop.simulator.fakes.prober import SILENT, FakeProber, Pod, in_turn, says
from tests.builders.evalcases import BAD, CASE, GOOD, T0, case, proven

RIGHT, WRONG = '{"answer": "After 14 days."}', '{"answer": "In June."}'
METER = Meter(FakeCluster(), FakeClock(), measured_by({}, lambda namespace, release: "default"))
CANARY_1, CANARY_2, LIVE_1, LIVE_2 = "10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2"


def live_pod(
    name: str, ip: str, ready: bool = True, labels: Mapping[str, str] | None = None, **meta: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "answers", **(labels or {})}, **meta},
        "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


class World:
    """A runner with its fakes; `done` lists whom it woke."""

    def __init__(self) -> None:
        self.cluster = FakeCluster(live_pod("live-1", LIVE_1), live_pod("live-2", LIVE_2))
        self.prober = FakeProber(
            {CANARY_1: says(200, RIGHT), CANARY_2: says(200, RIGHT), LIVE_1: says(200, RIGHT), LIVE_2: says(200, RIGHT)}
        )
        self.done: list[ObjectKey] = []
        self._woken = asyncio.Event()
        self.runner = EvalRunner(self.cluster, self.prober, self.wake, METER, at_once=4, pause=0, again_after=0)

    def wake(self, key: ObjectKey) -> None:
        self.done.append(key)
        self._woken.set()

    async def settled(self, times: int = 1) -> None:
        async with asyncio.timeout(5):
            while len(self.done) < times:
                self._woken.clear()
                await self._woken.wait()

    async def run(self, action: RunEvals) -> tuple[CaseResult, ...]:
        self.runner.start_run("shop", action)
        await self.settled(len(self.done) + 1)
        outcome = self.runner.outcome("shop", "answers")
        assert outcome is not None
        return outcome.results

    async def prove(self, action: ProbeQuarantine) -> Mapping[str, tuple[bool, str]]:
        self.runner.probe_quarantine("shop", action)
        await self.settled(len(self.done) + 1)
        return self.runner.proof_outcomes("shop", action.case)

    async def ask_live(self, one: EvalCase) -> LiveOutcome:
        self.runner.ask_live("shop", ask_live(one))
        await self.settled(len(self.done) + 1)
        outcome = self.runner.live_outcome("shop", one.metadata.name)
        assert outcome is not None
        return outcome


def ask_live(one: EvalCase) -> AskLive:
    return AskLive(one, GOOD, 1, {"app": "answers"})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    one = World()
    yield one
    await one.runner.close()


def run_evals(*cases: EvalCase, **changes: Any) -> RunEvals:
    values: dict[str, Any] = {
        "release": "answers", "digest": BAD, "step": -1, "cases": cases or (case(),), "repeats": 1,
        "canary_ips": (CANARY_1, CANARY_2), "live_selector": {"app": "answers"},
    }  # fmt: skip
    return RunEvals(**{**values, **changes})


def probe(ip: str = CANARY_1, digest: str = BAD) -> ProbeQuarantine:
    spec = case().spec
    return ProbeQuarantine(CASE, digest, ip, spec.request, spec.expect, "answers")


async def test_canary_and_live_are_counted_and_the_release_is_woken(world: World) -> None:
    world.prober.pods[CANARY_1] = world.prober.pods[CANARY_2] = says(200, WRONG)
    (result,) = await world.run(run_evals(repeats=3))
    counts = (result.canary_passed, result.canary_runs, result.live_passed, result.live_runs)
    assert counts == (0, 3, 3, 3)
    assert result.message == 'wanted "After 14 days.", got "In June."'
    assert result.must_pass
    assert world.done == [("Release", "shop", "answers")]


async def test_canary_and_live_take_turns_and_take_turns_in_being_first(world: World) -> None:
    world.runner = EvalRunner(world.cluster, world.prober, world.wake, METER, at_once=1, pause=0)
    await world.run(run_evals(repeats=2))
    assert sorted(a.pod for a in world.prober.asked) == [CANARY_1, CANARY_2, LIVE_1, LIVE_2]
    by_turn = {CANARY_1: 0, LIVE_1: 0, CANARY_2: 1, LIVE_2: 1}
    order = {turn: [a.pod for a in world.prober.asked if by_turn[a.pod] == turn] for turn in (0, 1)}
    assert order == {0: [CANARY_1, LIVE_1], 1: [LIVE_2, CANARY_2]}


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(live_pod("x", "10.9.9.9", ready=False), id="that is not ready"),
        pytest.param(live_pod("x", "10.9.9.9", labels={"opsloop.dev/canary": "answers"}), id="of the canary"),
        pytest.param(live_pod("x", "10.9.9.9", deletionTimestamp="2026-01-05T10:00:00Z"), id="that is on its way out"),
        pytest.param(live_pod("x", ""), id="without an address"),
    ],
)
async def test_a_pod_is_not_asked_as_live(world: World, pod: dict[str, Any]) -> None:
    world.cluster.seed(pod)
    await world.run(run_evals(repeats=6))
    assert {a.pod for a in world.prober.asked} == {CANARY_1, CANARY_2, LIVE_1, LIVE_2}


async def test_without_a_selector_no_pod_counts_as_live(world: World) -> None:
    (result,) = await world.run(run_evals(live_selector={}))
    assert (result.canary_runs, result.live_runs) == (1, 0)


async def test_a_pod_that_does_not_answer_is_not_a_failure_and_another_is_asked(world: World) -> None:
    world.prober.pods[CANARY_1] = SILENT
    (result,) = await world.run(run_evals())
    assert (result.canary_passed, result.canary_runs) == (1, 1)


async def test_no_answer_at_all_counts_as_no_run_and_gates_nothing(world: World) -> None:
    world.prober.pods[CANARY_1] = world.prober.pods[CANARY_2] = SILENT
    (result,) = await world.run(run_evals(repeats=2))
    assert (result.canary_passed, result.canary_runs, result.live_runs) == (0, 0, 2)
    assert "no answer" in result.message
    assert judge([result], 0).verdict == "inconclusive"


TIMED_OUT, RESET, GATEWAY = (
    ProbeReply(0, "", "no reply within 5 s"), ProbeReply(0, "", "ServerDisconnectedError: Server disconnected"), ProbeReply(504, "slow"),
)  # fmt: skip
NO_ANSWERS = [
    pytest.param(TIMED_OUT, id="a time-out"),
    pytest.param(ProbeReply(0, "", "ClientConnectorError: refused"), id="a refused connection"),
    pytest.param(RESET, id="a connection that was reset"),
    pytest.param(
        ProbeReply(0, "", "the API server answered 503: no endpoints"), id="an error of the API server's proxy"
    ),
]


@pytest.mark.parametrize("missing", NO_ANSWERS)
@pytest.mark.parametrize(("side", "pods"), [("canary", (CANARY_1, CANARY_2)), ("live", (LIVE_1, LIVE_2))])
@pytest.mark.parametrize("must_pass", [True, False])
async def test_a_missing_answer_in_a_run_is_asked_again_and_never_counted(
    world: World, missing: ProbeReply, side: str, pods: tuple[str, str], must_pass: bool
) -> None:
    one = case(must_pass=must_pass)
    world.prober.pods[pods[0]] = in_turn(missing, ProbeReply(200, RIGHT))
    (answered,) = await world.run(run_evals(one))
    assert (answered.canary_passed, answered.canary_runs, answered.live_passed, answered.live_runs) == (1, 1, 1, 1)
    world.prober.pods[pods[0]] = world.prober.pods[pods[1]] = lambda _: missing
    (silent,) = await world.run(run_evals(one, digest=GOOD))
    runs = {"canary": silent.canary_runs, "live": silent.live_runs}
    assert runs == {"canary": 1, "live": 1, side: 0}
    verdict = judge([silent], 1.0)
    needed = side == "canary" or not must_pass  # a must-pass case is compared with nobody
    assert (verdict.verdict, verdict.reason) == (("inconclusive", "NoAnswer") if needed else ("passed", "EvalsPassed"))


@pytest.mark.parametrize(
    ("replies", "counts"),
    [
        pytest.param([GATEWAY, ProbeReply(200, RIGHT)], (1, 1), id="a gateway's time-out is asked again"),
        pytest.param([GATEWAY, TIMED_OUT, GATEWAY], (0, 0), id="gateway time-outs with a missing answer are no answer"),
        pytest.param([GATEWAY], (0, 1), id="a gateway's time-out that stays is a failure"),
        pytest.param([ProbeReply(500, "x"), ProbeReply(200, RIGHT)], (0, 1), id="the canary's own server error is a failure"),
    ],
)  # fmt: skip
async def test_server_errors_of_a_canary(world: World, replies: list[ProbeReply], counts: tuple[int, int]) -> None:
    world.prober.pods[CANARY_1] = in_turn(*replies)
    (result,) = await world.run(run_evals(canary_ips=(CANARY_1,)))
    assert (result.canary_passed, result.canary_runs) == counts


async def test_a_wrong_answer_is_not_asked_again_until_it_is_right(world: World) -> None:
    world.prober.pods[CANARY_1] = in_turn(ProbeReply(200, WRONG), ProbeReply(200, RIGHT))
    (result,) = await world.run(run_evals(canary_ips=(CANARY_1,)))
    assert (result.canary_passed, result.canary_runs) == (0, 1)


async def test_the_same_run_is_begun_once_and_its_outcome_stays(world: World) -> None:
    action = run_evals()
    world.runner.start_run("shop", action)
    await world.run(action)
    world.runner.start_run("shop", action)
    await asyncio.sleep(0)
    assert len(world.prober.asked) == 2
    assert world.done == [("Release", "shop", "answers")]
    outcome = world.runner.outcome("shop", "answers")
    assert outcome and (outcome.digest, outcome.step) == (BAD, -1)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"step": 0}, id="another step"),
        pytest.param({"digest": GOOD}, id="another revision"),
        pytest.param({"cases": (case(), case("two", kind="manual"))}, id="another case more"),
        pytest.param({"cases": (case(generation=2),)}, id="an edited case"),
    ],
)
async def test_is_another_run(world: World, changes: dict[str, Any]) -> None:
    await world.run(run_evals())
    action = replace(run_evals(), **changes)
    world.runner.start_run("shop", action)
    assert world.runner.outcome("shop", "answers") is None
    await world.settled(2)
    outcome = world.runner.outcome("shop", "answers")
    assert outcome and (outcome.digest, outcome.step, len(outcome.results)) == (
        action.digest, action.step, len(action.cases),
    )  # fmt: skip


async def test_a_run_with_unanswered_cases_may_be_repeated_and_its_old_outcome_stands_meanwhile(world: World) -> None:
    world.prober.pods[CANARY_1] = world.prober.pods[CANARY_2] = SILENT
    await world.run(run_evals())
    world.prober.pods[CANARY_2] = says(200, RIGHT)
    world.runner.start_run("shop", run_evals())
    old = world.runner.outcome("shop", "answers")
    assert old and old.results[0].canary_runs == 0
    await world.settled(2)
    new = world.runner.outcome("shop", "answers")
    assert new and new.results[0].canary_runs == 1


async def test_pods_are_listed_again_when_the_api_server_was_away(world: World) -> None:
    world.cluster.fail_next.append(Unavailable("429"))
    (result,) = await world.run(run_evals())
    assert result.live_runs == 1


async def test_an_api_server_that_stays_away_leaves_live_unasked(world: World) -> None:
    world.cluster.fail_next += [Unavailable("429")] * 3
    (result,) = await world.run(run_evals())
    assert (result.canary_runs, result.live_runs) == (1, 0)


async def test_not_more_requests_are_under_way_than_allowed(world: World) -> None:
    under_way, most = 0, 0

    class Slow(FakeProber):
        async def ask(self, pod_ip: str, request: Any, secrets: Any = None) -> ProbeReply:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            return await super().ask(pod_ip, request)

    world.runner = EvalRunner(world.cluster, Slow(world.prober.pods), world.wake, METER, at_once=3, pause=0)
    await world.run(run_evals(*(case(f"c{n}", kind="manual") for n in range(10)), repeats=4))
    assert most == 3


async def test_pods_of_one_release_that_hang_keep_no_other_release_waiting(world: World) -> None:
    hang = asyncio.Event()

    class Hanging(FakeProber):
        async def ask(self, pod_ip: str, request: Any, secrets: Any = None) -> ProbeReply:
            if request.path.startswith("/hang"):
                await hang.wait()
            return await super().ask(pod_ip, request)

    world.runner = EvalRunner(world.cluster, Hanging(world.prober.pods), world.wake, METER, at_once=3, pause=0)
    request = {"path": "/hang", "port": 8080}
    world.runner.start_run("team-a", run_evals(*(case(f"c{n}", kind="manual", request=request) for n in range(10))))
    await world.run(run_evals())
    assert world.runner.outcome("shop", "answers") is not None
    hang.set()
    await world.runner.close()


async def test_what_is_forgotten_is_stopped_and_wakes_nobody(world: World) -> None:
    world.runner.start_run("shop", run_evals())
    await asyncio.sleep(0)
    world.runner.forget("shop", "answers")
    for _ in range(50):
        await asyncio.sleep(0)
    assert world.runner.outcome("shop", "answers") is None
    assert world.done == []


async def test_runs_of_two_releases_do_not_touch_each_other(world: World) -> None:
    await world.run(run_evals())
    world.runner.start_run("shop", run_evals(release="web"))
    await world.settled(2)
    world.runner.forget("shop", "web")
    assert world.runner.outcome("shop", "answers") is not None
    assert world.runner.outcome("other", "answers") is None


async def test_closing_ends_what_is_under_way(world: World) -> None:
    world.runner.start_run("shop", run_evals())
    world.runner.probe_quarantine("shop", probe())
    before = asyncio.all_tasks()
    await world.runner.close()
    assert all(task.done() for task in before - {asyncio.current_task()})
    assert world.done == []


async def test_a_defect_in_a_run_wakes_the_release_and_leaves_no_outcome(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> ProbeReply:
        raise RuntimeError("defect")

    world.prober.pods[CANARY_1] = broken
    world.runner.start_run("shop", run_evals())
    await world.settled()
    assert world.runner.outcome("shop", "answers") is None
    assert "defect" in caplog.text


# --- proofs


@pytest.mark.parametrize(
    ("pod", "outcome", "asked"),
    [
        pytest.param(says(200, RIGHT), (True, ""), 3, id="right each time passes"),
        pytest.param(says(200, WRONG), (False, 'wanted "After 14 days.", got "In June."'), 1, id="wrong fails at once"),
        pytest.param(
            in_turn(ProbeReply(200, RIGHT), ProbeReply(200, RIGHT), ProbeReply(200, WRONG)),
            (False, 'wanted "After 14 days.", got "In June."'), 3, id="right by chance is not right",
        ),
        pytest.param(
            in_turn(ProbeReply(503, "starting"), ProbeReply(200, RIGHT)), (True, ""), 4, id="a server error at first may be its start"
        ),
        pytest.param(says(500, "x"), (False, "wanted HTTP 200, got 500: x"), 3, id="a server error that stays is a failure"),
        pytest.param(in_turn(ProbeReply(0, "", "refused"), ProbeReply(200, RIGHT)), (True, ""), 4, id="no answer at first is asked again"),
    ],
)  # fmt: skip
async def test_proofs(world: World, pod: Pod, outcome: tuple[bool, str], asked: int) -> None:
    world.prober.pods[CANARY_1] = pod
    assert await world.prove(probe()) == {BAD: outcome}
    assert len(world.prober.asked) == asked
    assert world.done == [("EvalCase", "shop", CASE)]


@pytest.mark.parametrize("missing", NO_ANSWERS)
@pytest.mark.parametrize(("digest", "body", "passed"), [(BAD, WRONG, False), (GOOD, RIGHT, True)])
async def test_a_missing_answer_in_a_proof_is_asked_again_and_turns_no_verdict(
    world: World, missing: ProbeReply, digest: str, body: str, passed: bool
) -> None:
    world.prober.pods[CANARY_1] = lambda _: missing
    assert await world.prove(probe(digest=digest)) == {}
    world.prober.pods[CANARY_1] = in_turn(missing, missing, ProbeReply(200, body))
    assert (await world.prove(probe(digest=digest)))[digest][0] is passed


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param([TIMED_OUT, TIMED_OUT, ProbeReply(500, "x"), TIMED_OUT], id="time-outs and one server error"),
        pytest.param([ProbeReply(500, "x"), TIMED_OUT, ProbeReply(500, "x"), TIMED_OUT], id="server errors and one time-out"),
        pytest.param([ProbeReply(200, RIGHT), TIMED_OUT, RESET, ProbeReply(503, "x"), TIMED_OUT], id="right once and then gone"),
    ],
)  # fmt: skip
async def test_time_outs_among_server_errors_are_no_failed_proof(world: World, replies: list[ProbeReply]) -> None:
    world.prober.pods[CANARY_1] = in_turn(*replies)
    assert await world.prove(probe()) == {}


async def test_a_pod_that_never_answers_proves_nothing_and_may_be_asked_again(world: World) -> None:
    world.prober.pods[CANARY_1] = SILENT
    assert await world.prove(probe()) == {}
    world.prober.pods[CANARY_1] = says(200, RIGHT)
    assert await world.prove(probe()) == {BAD: (True, "")}


async def test_both_revisions_are_remembered_apart(world: World) -> None:
    world.prober.pods[CANARY_1] = says(200, WRONG)
    await world.prove(probe())
    outcomes = await world.prove(probe(CANARY_2, GOOD))
    assert {digest: passed for digest, (passed, _) in outcomes.items()} == {BAD: False, GOOD: True}


async def test_a_proof_is_begun_once_a_pod(world: World) -> None:
    await world.prove(probe())
    world.runner.probe_quarantine("shop", probe())
    await asyncio.sleep(0)
    assert len(world.prober.asked) == 3


async def test_another_pod_of_the_same_revision_is_asked_anew(world: World) -> None:
    world.prober.pods[CANARY_2] = says(200, WRONG)
    assert (await world.prove(probe()))[BAD][0]
    assert not (await world.prove(probe(CANARY_2)))[BAD][0]


async def test_forgetting_a_case_forgets_all_its_revisions_and_no_other_case(world: World) -> None:
    await world.prove(probe())
    await world.prove(probe(CANARY_2, GOOD))
    other = replace(probe(), case="other")
    await world.prove(other)
    world.runner.forget_proof("shop", CASE)
    assert world.runner.proof_outcomes("shop", CASE) == {}
    assert world.runner.proof_outcomes("shop", "other") == {BAD: (True, "")}


# --- jobs


async def _nothing() -> None:
    return None


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_job_that_was_dropped_as_it_ended_wakes_nobody() -> None:
    woken: list[ObjectKey] = []
    jobs = Jobs(woken.append, again_after=0, most=4)
    jobs.begin(("a",), "w", _nothing(), ("Release", "shop", "answers"))
    await asyncio.sleep(0)  # it has ended, and what is to follow has not run yet
    jobs.drop(("a",))
    await asyncio.sleep(0)
    assert woken == []


async def test_there_are_not_more_jobs_than_allowed() -> None:
    jobs = Jobs(lambda _: None, again_after=0, most=1, own={"sound": 1})
    run, sounding = ("run", "shop", "answers"), ("sound", "shop", "answers", "refund")
    assert not jobs.full(run)
    jobs.begin(run, "w", _for_ever(), ("Release", "shop", "answers"))
    assert jobs.full(run) and not jobs.full(("run", "shop", "web")), "a Release fills its own share only"
    assert not jobs.full(sounding)
    jobs.begin(sounding, "w", _for_ever(), ("EvalCase", "shop", "refund"))
    assert jobs.full(("sound", "shop", "answers", "other")), "a kind with a limit of its own"
    jobs.drop(run)
    assert not jobs.full(("live", "shop", "answers", "refund")), "takes no place of the others"
    await jobs.close()


async def test_a_run_with_unanswered_cases_is_not_repeated_at_once(world: World) -> None:
    world.runner = EvalRunner(world.cluster, world.prober, world.wake, METER, pause=0, again_after=60)
    world.prober.pods[CANARY_1] = world.prober.pods[CANARY_2] = SILENT
    await world.run(run_evals())
    asked = len(world.prober.asked)
    world.runner.start_run("shop", run_evals())
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(world.prober.asked) == asked


ORDERS = {
    "method": "POST", "path": "/orders", "port": 8080, "body": "{}",
    "headersFrom": [{"name": "Authorization", "prefix": "Bearer ", "secretKeyRef": {"name": "robot", "key": "token"}}],
}  # fmt: skip
TOKEN = "s3cr3t-t0k3n/+"


def secret(**data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "robot", "namespace": "shop"}, "data": encoded}


def ordering(**expect: Any) -> EvalCase:
    return case(kind="manual", request=EvalRequest.model_validate(ORDERS), expect=EvalExpect.model_validate(expect))


async def test_a_secret_is_sent_to_the_pod_and_comes_back_nowhere(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    world.cluster.seed(secret(token=TOKEN + "\n"))
    for ip in (CANARY_1, CANARY_2, LIVE_1, LIVE_2):
        world.prober.pods[ip] = lambda asked: ProbeReply(200, json.dumps(dict(asked.headers)))
    result = (await world.run(run_evals(ordering(equals="x"))))[0]
    assert {a.headers["Authorization"] for a in world.prober.asked} == {f"Bearer {TOKEN}"}
    assert "Bearer [redacted]" in result.message
    assert "s3cr3t" not in result.message + caplog.text + repr(world.runner.__dict__)
    world.runner.forget("shop", "answers")
    guessed = (await world.run(run_evals(ordering(contains="s3cr3t"))))[0]
    assert guessed.canary_passed == 0, "whether a guess is right must not be told either"


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        pytest.param(None, "no answer (SecretMissing): Secret robot of namespace shop does not exist", id="there is no such Secret"),
        pytest.param(secret(password="long enough"), "no answer (SecretMissing): there is no key token of Secret robot", id="it has no such key"),
        pytest.param(secret(token="short"), "no answer (SecretUnfit): key token of Secret robot is shorter than 8 characters", id="its value is too short to be hidden"),
    ],
)  # fmt: skip
async def test_a_case_whose_secret_cannot_be_sent_is_neither_passed_nor_failed(
    world: World, stored: dict[str, Any] | None, told: str
) -> None:
    if stored:
        world.cluster.seed(stored)
    (result,) = await world.run(run_evals(ordering(status=200)))
    assert (result.canary_runs, result.live_runs, world.prober.asked) == (0, 0, [])
    assert result.message.startswith(told)


async def test_a_secret_that_opsloop_may_not_get_says_what_is_missing(world: World) -> None:
    async def forbidden(*_: Any) -> dict[str, Any]:
        raise Forbidden("secrets")

    world.cluster.get = forbidden  # type: ignore[method-assign,assignment]
    outcome = await world.ask_live(ordering(status=200))
    assert (outcome.reason, outcome.answered) == ("SecretForbidden", 0)
    assert "opsloop may not get Secret robot of namespace shop" in outcome.message


async def test_a_secret_is_read_once_for_all_requests_of_a_run(world: World) -> None:
    world.cluster.seed(secret(token=TOKEN))
    reads, get = list[str](), world.cluster.get

    async def counted(resource: Any, namespace: str, name: str) -> dict[str, Any]:
        reads.append(name)
        return await get(resource, namespace, name)

    world.cluster.get = counted  # type: ignore[method-assign]
    await world.run(run_evals(ordering(status=200), repeats=20))
    assert reads == ["robot"]


async def test_a_case_says_itself_how_often_it_is_asked(world: World) -> None:
    often = case("often", kind="manual", repeats=12, min_share=0.75)
    plain = case("plain", kind="manual")
    results = {r.case: r for r in await world.run(run_evals(often, plain, repeats=2))}
    assert (results["often"].asked, results["often"].min_share) == (12, 0.75)
    assert (results["plain"].asked, results["plain"].min_share) == (2, 1.0)


async def test_a_proof_of_a_service_whose_answers_vary_rests_on_its_share(world: World) -> None:
    answers = [ProbeReply(200, WRONG if n in (0, 5) else RIGHT) for n in range(10)]
    world.prober.pods[CANARY_1] = in_turn(*answers)
    outcome = await world.prove(replace(probe(), repeats=10, min_share=0.8))
    assert outcome == {BAD: (True, "")}
    world.runner.forget_proof("shop", CASE)
    world.prober.pods[CANARY_1] = in_turn(*answers)
    assert (await world.prove(replace(probe(), repeats=10, min_share=0.9)))[BAD][0] is False


async def test_a_case_is_asked_of_live_pods_alone(world: World) -> None:
    outcome = await world.ask_live(case("refund", kind="manual", repeats=4))
    assert (outcome.passed, outcome.answered, outcome.asked) == (4, 4, 4)
    assert {a.pod for a in world.prober.asked} == {LIVE_1, LIVE_2}
    assert world.done == [("EvalCase", "shop", "refund")]
    world.runner.forget_live("shop", "refund")
    assert world.runner.live_outcome("shop", "refund") is None


async def test_a_case_is_asked_the_same_again_one_request_after_the_other(world: World) -> None:
    world.prober.pods[LIVE_1] = in_turn(ProbeReply(200, RIGHT), ProbeReply(200, WRONG), ProbeReply(200, RIGHT))
    one = case("refund", kind="manual")
    world.runner.ask_again("shop", AskAgain(one, ("claim", 1), 6, {"app": "answers"}))
    await world.settled()
    found = world.runner.sounded("shop", "refund")
    assert found is not None and (found.claim, found.passed, found.answered, found.asked) == (("claim", 1), 5, 6, 6)
    assert world.runner.live_outcome("shop", "refund") is None and world.done == [("EvalCase", "shop", "refund")]
    world.runner.forget_sounded("shop", "refund")
    assert world.runner.sounded("shop", "refund") is None


@pytest.mark.parametrize("again", [True, False], ids=["asked again", "asked for its result"])
async def test_answers_of_two_versions_make_no_case_flaky(world: World, again: bool) -> None:
    """Pods are replaced while they are asked: right and wrong then say nothing about one version."""

    def replaced(asked: Any) -> ProbeReply:
        world.cluster.seed(live_pod("live-3", CANARY_1))
        return ProbeReply(200, WRONG)

    world.prober.pods[LIVE_2] = replaced
    one = case("refund", kind="manual", repeats=4)
    if again:
        world.runner.ask_again("shop", AskAgain(one, ("claim", 1), 4, {"app": "answers"}))
        await world.settled()
        found = world.runner.sounded("shop", "refund")
    else:
        found = await world.ask_live(one)
    assert found is not None and (found.passed, found.answered, found.asked, found.reason) == (0, 0, 4, "NoPod")
    assert "live pods were replaced" in found.message


async def test_a_flaky_case_is_left_out_of_a_run_and_a_must_pass_one_asked_twenty_times(world: World) -> None:
    aside = proven(steadiness=Steadiness(digest=GOOD, right=9, wrong=1, flaky_since=T0))
    cases = (
        case("a", kind="manual", status=aside, must_pass=True),
        case("b", kind="manual", status=aside),
        case("c", kind="manual"),
    )
    first, second, third = await world.run(run_evals(*cases))
    assert (first.flaky, first.asked, first.canary_runs, first.live_runs) == (True, 20, 20, 20)
    assert (second.flaky, second.asked, second.canary_runs) == (True, 0, 0)
    assert (third.flaky, third.asked) == (False, 1)


async def test_live_pods_are_listed_once_for_cases_that_are_asked_together(world: World) -> None:
    lists, listed = list[str](), world.cluster.list

    async def counted(resource: Any, namespace: str, labels: Any = None) -> list[dict[str, Any]]:
        lists.append(namespace)
        return await listed(resource, namespace, labels)

    world.cluster.list = counted  # type: ignore[method-assign]
    for n in range(30):
        world.runner.ask_live("shop", ask_live(case(f"c{n}", kind="manual")))
    await world.settled(30)
    assert lists == ["shop"]


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        pytest.param({"hostNetwork": True, "containers": [{"ports": [{"containerPort": 8080}]}]}, True, id="on a port that it declares"),
        pytest.param({"hostNetwork": True, "containers": [{"ports": [{"containerPort": 9090}]}]}, False, id="on a port of the node's own"),
        pytest.param({"containers": [{}]}, True, id="with an address of its own"),
    ],
)  # fmt: skip
async def test_a_pod_on_its_nodes_address_is_asked_on_its_own_ports_only(
    world: World, spec: dict[str, Any], asked: bool
) -> None:
    world.cluster = FakeCluster({**live_pod("live-1", LIVE_1), "spec": spec})
    world.runner = EvalRunner(world.cluster, world.prober, world.wake, METER, pause=0)
    outcome = await world.ask_live(case("refund", kind="manual"))
    assert (outcome.answered, outcome.reason) == ((1, "") if asked else (0, "NoPod"))


async def test_a_case_that_cannot_be_evaluated_is_not_sent(world: World) -> None:
    outcome = await world.ask_live(ordering(json=[{"path": "$.[", "exists": True}]))
    assert (outcome.answered, outcome.reason, world.prober.asked) == (0, "CaseInvalid", [])


async def test_a_long_comparison_leaves_the_event_loop(world: World) -> None:
    body = json.dumps([{"n": n} for n in range(3000)])
    world.prober.pods[LIVE_1] = world.prober.pods[LIVE_2] = says(200, body)
    world.runner = EvalRunner(world.cluster, world.prober, world.wake, METER, pause=0, threads=True)
    expect = EvalExpect.model_validate({"json": [{"path": "$[?@.n == 2999].n", "number": 2999}]})
    outcome = await world.ask_live(case("refund", kind="manual", expect=expect))
    assert (outcome.passed, outcome.asked) == (1, 1)


# --- a bad and a good revision side by side

GOOD_1, GOOD_2, BAD_1 = "10.0.2.1", "10.0.2.2", "10.0.2.3"


def comparing(*paths: str, cases: tuple[EvalCase, ...] = (), live: bool = True) -> CompareQuarantine:
    return CompareQuarantine(
        incident="answers-1",
        subject="answers-1-comparison",
        release="answers",
        attempt=1,
        requests=tuple(EvalRequest(path=path, port=8080) for path in paths),
        cases=cases,
        good=(("good-1", GOOD_1), ("good-2", GOOD_2)),
        bad=("bad-1", BAD_1),
        live_selector={"app": "answers"} if live else {},
        good_words=("v1",),
        bad_words=("v2",),
    )


def counting(**fixed: Any) -> Pod:
    """A pod that tells how often it was asked beside what it always says."""
    asked: list[str] = []

    def answer(one: Any) -> ProbeReply:
        asked.append(one.path)
        return ProbeReply(200, json.dumps({**fixed, "count": len(asked)}))

    return answer


async def compared(world: World, action: CompareQuarantine) -> Any:
    world.runner.compare("shop", action)
    await world.settled()
    return world.runner.compared("shop", "answers-1-comparison")


async def test_what_differs_between_two_revisions_is_found_and_what_varies_is_named() -> None:
    world = World()
    for ip in (GOOD_1, GOOD_2, LIVE_1, LIVE_2):
        world.prober.pods[ip] = counting(days=30, by="v1")
    world.prober.pods[BAD_1] = counting(days=7, by="v2")
    found = await compared(world, comparing("/terms"))
    assert found.expect is not None and [(c.path, c.equals) for c in found.expect.json_] == [("$.days", "30")]
    assert found.left_out == ("$.count",) and world.done == [("Incident", "shop", "answers-1")]


async def test_what_only_pods_that_just_started_share_is_told_by_live_pods() -> None:
    """Both quarantined pods of the good revision say 0, the bad one 1: live ones say 900 by now."""
    world = World()
    for ip, served in ((GOOD_1, 0), (GOOD_2, 0), (LIVE_1, 900), (LIVE_2, 950), (BAD_1, 1)):
        world.prober.pods[ip] = says(200, json.dumps({"served": served}))
    assert (await compared(world, comparing("/stats"))).expect is None
    world.runner.forget_comparison("shop", "answers-1-comparison")
    world.done.clear()
    assert (await compared(world, comparing("/stats", live=False))).expect is not None, "without them nobody could tell"


async def test_the_request_that_tells_most_is_taken() -> None:
    world = World()
    for ip in (GOOD_1, GOOD_2, LIVE_1, LIVE_2):
        world.prober.pods[ip] = lambda asked: ProbeReply(200, json.dumps({"path": asked.path}))
    world.prober.pods[BAD_1] = lambda asked: ProbeReply(500 if asked.path == "/b" else 200, json.dumps({"path": "x"}))
    found = await compared(world, comparing("/a", "/b", "/c"))
    assert found.request is not None and found.request.path == "/b" and found.expect.status == 200


async def test_a_case_of_a_person_comes_before_recorded_requests() -> None:
    world = World()
    for ip in (GOOD_1, GOOD_2):
        world.prober.pods[ip] = says(200, RIGHT)
    world.prober.pods[BAD_1] = says(200, WRONG)
    found = await compared(world, comparing("/a", cases=(case("refund", "manual"),)))
    assert (found.failing, found.expect) == ("refund", None)


async def test_a_bad_pod_that_never_answers_is_no_difference_and_is_said() -> None:
    world = World()
    for ip in (GOOD_1, GOOD_2):
        world.prober.pods[ip] = says(200, RIGHT)
    world.prober.pods[BAD_1] = SILENT
    found = await compared(world, comparing("/a"))
    assert found.expect is None and "1 were not answered by both" in found.text


async def test_live_pods_tell_what_they_recorded_and_one_that_does_not_is_no_trouble() -> None:
    world = World()
    line = json.dumps({"method": "GET", "path": "/cart", "status": 503})
    world.prober.pods |= {LIVE_1: says(404), LIVE_2: says(200, f"{line}\n{line}\n")}
    action = SampleRequests("answers-1", "answers", EvalRequest(path="/requests", port=8080), {"app": "answers"})
    world.runner.sample("shop", action)
    await world.settled()
    taken = world.runner.taken("shop", "answers-1")
    assert taken is not None and (taken.requests, taken.bad) == (1, 1)
    assert taken.remark == "1 recorded requests of 1 pods, by /requests" and json.loads(taken.text)["path"] == "/cart"
    world.runner.forget_sample("shop", "answers-1")
    assert world.runner.taken("shop", "answers-1") is None


async def test_where_no_pod_tells_it_is_said_why() -> None:
    world = World()
    world.prober.pods |= {LIVE_1: says(404), LIVE_2: says(404)}
    action = SampleRequests("answers-1", "answers", EvalRequest(path="/requests", port=8080), {"app": "answers"})
    world.runner.sample("shop", action)
    await world.settled()
    taken = world.runner.taken("shop", "answers-1")
    assert taken is not None and (taken.requests, taken.remark) == (0, "/requests answers 404")


async def test_a_pod_that_hangs_is_asked_each_request_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsloop.shell.evals.comparing.PAUSE", 0)
    hung: list[str] = []

    class Hangs:
        threads = False

        async def reply(self, ip: str, request: EvalRequest) -> ProbeReply:
            if ip != "bad":
                return ProbeReply(200, "{}")
            hung.append(request.path)
            return ProbeReply(0, "", "no reply", "ReplyTimedOut")

    requests = tuple(EvalRequest(path=f"/{number}", port=80) for number in range(20))
    act = CompareQuarantine(
        incident="i", subject="s", release="r", attempt=1, requests=requests, cases=(),
        good=(("g", "good"), ("h", "good2")), bad=("b", "bad"), live_selector={}, good_words=(), bad_words=(),
    )  # fmt: skip
    await compare(cast(Any, Hangs()), act, [])
    assert len(hung) == len(set(hung)) == 20
