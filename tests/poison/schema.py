"""Schemathesis against the intake: what the OpenAPI document describes, right and wrong, in thousands of forms.

The library generates requests by Hypothesis, shrinks what fails and prints it as a curl. It runs as its command, in a process of
its own; the server is the real one, over an API server in memory.
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from opsloop.core.runbook.rights import Identity
from opsloop.entry import openapi
from opsloop.entry.http_server import in_json, listen
from opsloop.entry.intake_http import intake_routes
from opsloop.shell.intake.inbox import Inbox
from opsloop.shell.ports import Creator
from opsloop.simulator.fakes.ports import FakeAccess

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.yaml"
TOKEN = "good"  # the only one that is valid
# Not asked: the intake takes what is right of a body and says what was not, so wrong data are accepted in part; and the document
# cannot say that the body is coded as its header names, or that a ticket's subject or body has a word in it.
LENIENT = "negative_data_rejection,positive_data_acceptance"


@dataclass(frozen=True)
class Report:
    """`failed`: an answer was not one of the document's, or was a 5xx. `printed`: by Schemathesis."""

    failed: bool
    printed: str


class OneToken(FakeAccess):
    """A token is TOKEN or nobody's."""

    async def review_token(self, token: str, audience: str) -> Identity | None:
        return Identity("system:serviceaccount:shop:sender") if token == TOKEN else None


def intake(cluster: Creator) -> web.Application:
    """The intake's server over that API server."""
    app = web.Application(middlewares=[in_json(openapi.routes)])
    app.add_routes(intake_routes(OneToken(), Inbox(cluster, lambda _namespace, _names: None, window=0.0)))
    return app


async def by_schema(app: web.Application, examples: int, seed: int, phases: str = "coverage,fuzzing") -> Report:
    """Runs it; `examples` for each operation, besides those that cover each rule of the document once."""
    server = await listen(app, 0, "127.0.0.1")
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", str(DOCUMENT), "--url", f"http://127.0.0.1:{server.port}",
        "--header", f"Authorization: Bearer {TOKEN}", "--exclude-checks", LENIENT, "--continue-on-failure",
        "--max-examples", str(examples), "--seed", str(seed), "--generation-database", "none", "--warnings", "off", "--phases", phases,
    ]  # fmt: skip
    try:
        with tempfile.TemporaryDirectory() as folder:  # it writes a report where it stands
            process = await asyncio.create_subprocess_exec(
                *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
            printed, _ = await process.communicate()
    finally:
        await server.cleanup()
    return Report(process.returncode != 0, printed.decode(errors="replace"))
