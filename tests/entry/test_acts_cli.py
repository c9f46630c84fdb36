"""`opsloop promote`, `abort` and the like: each writes one order, waits for the operator's answer, and prints it or why there is none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from opsloop.api.release import ReleaseStatus
from opsloop.entry.cli import commands as cli
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import RELEASES
from tests.builders.answering import NS, Answered, Fake, release_body
from tests.builders.objects import V2, V4, at
from tests.builders.rollouts import ADOPTED, BAD, BLOCK, canary, revision, status_with, target

STEPPING = status_with(target("Stepping", reached_at=at(80), started_at=at(70)))
REJECTED = status_with(target("Rejected", reason="PodsFailing", message="no image", ended_at=at(80)))
V2_BLOCKED = BAD.model_copy(update={"blocked": BLOCK})
PROMOTED = status_with(
    target("Promoted", ended_at=at(80)),
    ADOPTED, V2_BLOCKED, revision("v4", "Canaried", live_since=at(60)), live=V4,
)  # fmt: skip
RUNS: dict[str, Any] = {"canary": canary(1, 1)}


def served(status: ReleaseStatus, live: str = "v1", works: bool = True, **spec: Any) -> Answered:
    body = {**release_body(**spec), "status": status.dump()}
    more = RUNS if status.target is not None and status.target.is_active else {}
    return Answered(Fake(body), live, works, **more)


async def call(cluster: Any, *argv: str) -> int:
    @asynccontextmanager
    async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
        yield cluster

    import asyncio

    return await asyncio.to_thread(cli.main, argv, connect, lambda kubeconfig, context: NS)


ACTS = [
    pytest.param(["promote", "answers"], served(STEPPING), "v4 goes to weight 50 as soon as", id="the next step, past its hold and approval"),
    pytest.param(["promote", "answers", "--full"], served(STEPPING), "v4 goes live as soon as", id="straight to live"),
    pytest.param(["abort", "answers"], served(STEPPING), "v4 was aborted by a person", id="an abort"),
    pytest.param(["approve", "answers"], served(STEPPING), "v4: weight 50 was approved", id="the next step that wants an approval"),
    pytest.param(["approve", "rel/answers", "50"], served(STEPPING), "v4: weight 50 was approved", id="of a weight, with the kind before the name"),
    pytest.param(["retry", "answers"], served(REJECTED), "v4: Dark", id="a retry"),
    pytest.param(["undo", "answers"], served(PROMOTED, "v4"), "v4 is replaced by v1", id="an undo to last-good"),
    pytest.param(["undo", "answers", "--to", "v1"], served(PROMOTED, "v4"), "the spec still asks for v4", id="an undo to a version"),
    pytest.param(["unblock", "answers"], served(PROMOTED, "v4"), "v2 (", id="the only blocked revision"),
    pytest.param(["unblock", "answers", "2"], served(PROMOTED, "v4"), "may be a target again", id="a blocked revision by its number"),
    pytest.param(["restart", "answers"], served(PROMOTED, "v4"), "the pods of live start anew", id="a restart"),
    pytest.param(["pause", "answers"], served(STEPPING), "answers is paused: v4 stays at weight 20", id="a pause in mid-canary"),
    pytest.param(["pause", "answers"], served(STEPPING, paused=True), "answers is paused already", id="a pause, again"),
    pytest.param(["resume", "answers"], served(STEPPING, paused=True), "v4 goes on from weight 20", id="going on"),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "cluster", "line"), ACTS)
async def test_an_act_ends_with_its_answer(argv: list[str], cluster: Answered, line: str, capsys: Any) -> None:
    assert await call(cluster, *argv) == 0, capsys.readouterr().err
    assert line in capsys.readouterr().out


REFUSED = [
    pytest.param(["promote", "answers"], served(REJECTED), 2, "no canary of answers is in progress; v4 is Rejected (PodsFailing); to try v4 again: opsloop retry answers", id="nothing to promote"),
    pytest.param(["promote", "answers"], served(STEPPING, paused=True), 2, "opsloop resume answers, then promote", id="a paused Release"),
    pytest.param(["abort", "anwers"], served(STEPPING), 2, "no Release 'anwers' in namespace shop; did you mean answers?", id="a name with a mistake"),
    pytest.param(["abort", "inc/answers"], served(STEPPING), 2, "inc is not what this command takes", id="another kind"),
    pytest.param(["approve", "answers", "20"], served(STEPPING), 2, "no coming step of weight 20 wants an approval", id="no such approval"),
    pytest.param(["undo", "answers", "--to", "v2"], served(PROMOTED, "v4"), 2, "undo was not obeyed: TargetBlocked", id="to a blocked revision"),
    pytest.param(["undo", "answers", "--to", "v9"], served(PROMOTED, "v4"), 2, "'v9' is no version, number or digest", id="to a revision that nobody knows"),
    pytest.param(["unblock", "answers", "v1"], served(PROMOTED, "v4"), 2, "v1 (", id="a revision that is not blocked"),
    pytest.param(["promote", "answers", "--timeout", "0.1"], served(STEPPING, works=False), 2, "promote is stored, and opsloop has not answered within 0.1 s: does it run", id="no operator"),
    pytest.param(["promote", "answers", "--timeout", "soon"], served(STEPPING), 2, "'soon' is not a duration; write for example 30s", id="no time"),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "cluster", "code", "line"), REFUSED)
async def test_an_act_that_does_not_happen_says_why(
    argv: list[str], cluster: Answered, code: int, line: str, capsys: Any
) -> None:
    try:
        ended = await call(cluster, *argv)
    except SystemExit as usage:
        ended = int(str(usage.code))
    assert ended == code
    assert line in " ".join(capsys.readouterr().err.split())


async def test_an_order_names_its_digest_and_says_when_and_by_whom_and_may_be_given_again() -> None:
    cluster = served(STEPPING)
    values = []
    for _ in range(2):
        assert await call(cluster, "approve", "answers") == 0
        stored = cluster._cluster.find(RELEASES, NS, "answers")
        values.append(stored["metadata"]["annotations"]["opsloop.dev/approve"])
    assert all(v.startswith(f"{V4}/50 #20") and v.endswith(" by alice") for v in values) and values[0] != values[1]
    assert await call(cluster, "abort", "answers") == 0
    assert cluster._cluster.find(RELEASES, NS, "answers")["metadata"]["annotations"]["opsloop.dev/abort"].startswith(V4)


async def test_a_block_of_what_is_live_is_lifted_later_and_that_is_said(capsys: Any) -> None:
    live = status_with(target("Promoted", "v1", ended_at=at(1)), ADOPTED, V2_BLOCKED, live=V2)
    assert await call(served(live, "v2", version="v1"), "unblock", "answers") == 0
    assert "its block is lifted once it is not live any more" in capsys.readouterr().out


async def test_a_retry_that_is_refused_is_exit_1_with_the_reason(capsys: Any) -> None:
    blocked = revision("v4", "Canaried", blocked=BLOCK)
    refused = status_with(target("Refused", reason="Blocked", ended_at=at(80)), ADOPTED, blocked)
    assert await call(served(refused), "retry", "answers") == 1
    out = capsys.readouterr().out
    assert "v4: Refused" in out and "unblock" in out
