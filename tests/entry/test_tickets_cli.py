"""`opsloop tickets …`: what a person sees of a correction that opsloop carried out, refused, or did not take up."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from opsloop.entry.cli import commands as cli
from opsloop.entry.cli import tickets as cli_tickets
from opsloop.errors import NotFound
from opsloop.names import INBOX_PREFIX
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import Object, Resource
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from tests.builders.correlation import NOW, NS, ticket
from tests.shell.intake.test_corrections import look
from tests.shell.intake.test_correlation import COMPLAINT, STALE, STORM, WISH, Process, fill


class Served(FakeCluster):
    """An API server with an opsloop that looks whenever somebody waits for it."""

    def __init__(self) -> None:
        super().__init__(clock=FakeClock(NOW))
        self.process: Process | None = Process(self)

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        process, self.process = self.process, None  # its own reads ask for no look
        if process and name.startswith(INBOX_PREFIX) and self.find(resource, namespace, name):
            await look(process)
        self.process = process
        return await super().get(resource, namespace, name)

    async def raw(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as the port has it
    ) -> tuple[int, bytes]:
        if path.endswith("selfsubjectreviews"):
            return 201, json.dumps({"status": {"userInfo": {"username": "alice"}}}).encode()
        raise NotFound(path)


@pytest.fixture
async def served() -> Served:
    cluster = Served()
    fill(cluster, [*STORM, STALE], [COMPLAINT, WISH])
    assert cluster.process
    await cluster.process.look()
    return cluster


async def run(cluster: FakeCluster, *argv: str) -> int:
    @asynccontextmanager
    async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
        yield cluster  # type: ignore[misc]

    return await cli._run(cli.parser().parse_args(["tickets", *argv, "-n", NS]), connect)


async def test_a_correction_is_answered_and_listed(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(served, "link", "HD-1", "catalog-1") == 0
    assert await run(served, "route", "HD-1", "--to", "billing") == 0
    assert await run(served, "unlink", "HD-2") == 0
    assert await run(served) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "ticket HD-1 linked to catalog-1, before in answers-1, by alice",
        "ticket HD-1 route on-call → billing, by alice",
        "ticket HD-2 kept in the queue, by alice",
    ]
    assert lines[3].startswith("HD-1  linked to catalog-1 (100%)  outage → billing  Wrong answers")
    assert lines[4] == "    corrected by alice at 2026-01-05 09:00 UTC: link, route"
    assert "HD-2  in the queue  feature_request → product  Dark mode" in lines
    assert lines[-2:] == ["    corrected, incident: none, by alice", "1 linked, 1 in the queue"]


async def test_what_is_refused_is_an_error_with_the_reason(served: Served) -> None:
    with pytest.raises(Exception, match="route: there is no nobody; there are accounts, billing, engineering"):
        await run(served, "route", "HD-1", "--to", "nobody")


async def test_where_opsloop_does_not_run_it_says_so(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_tickets, "POLL", 0.0)
    served.process = None
    with pytest.raises(Exception, match=r"not taken up within .* does opsloop run"):
        await run(served, "route", "HD-1", "--to", "billing")


async def test_a_word_is_learnt_by_two_corrections_used_shown_and_taken_back(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    def of(number: int, words: str = "The zwirbelix shows nothing at all") -> Any:
        return ticket(words, id=f"Z-{number}")

    fill(served, [], [of(1), of(2)], "z")
    assert served.process
    await look(served.process)
    assert await run(served, "link", "Z-1", "catalog-1") == 0
    capsys.readouterr()
    assert await run(served, "learnt") == 0
    assert capsys.readouterr().out == "0 words and 0 categories learnt, of 1 lessons\n", "one ticket may be anything"
    assert await run(served, "link", "Z-2", "catalog-1") == 0
    capsys.readouterr()
    assert await run(served, "learnt") == 0
    assert capsys.readouterr().out.splitlines()[0] == "“zwirbelix” means catalog: 2 corrected tickets"
    assert await run(served, "forget", "catalog", "zwirbelix") == 0
    assert capsys.readouterr().out == "“zwirbelix” is no word for catalog any more, says alice\n"
