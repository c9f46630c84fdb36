"""`python -m e2e.bench.evals`: many eval cases against two versions of a local HTTP service, with the operator's own runner.

The service (another process) takes `--took` milliseconds for each answer. Four rounds: plain GETs; POSTs with a Secret, JSONPath,
a regular expression and a schema; the same over TLS; and the first again beside another Release all of whose pods hang, which must
not make it wait. Needs no cluster. Ends with an error where a round takes longer than the goal or an answer is missing.
"""

import argparse
import asyncio
import base64
import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aiohttp import web

from opsloop.adapters.clock import SystemClock
from opsloop.adapters.prober import HttpProber
from opsloop.api.evalcase import EvalCase
from opsloop.core.actions import RunEvals
from opsloop.errors import NotFound
from opsloop.shell.evals.measuring import Meter, measured_by
from opsloop.shell.evals.runner import EvalRunner
from opsloop.shell.ports import Object, ObjectKey, Resource

CANARY, LIVE = "127.0.0.2", "127.0.0.3"
GOAL = 30.0  # seconds for 500 cases against two versions of a service that takes 10 ms
TOKEN = "bench-t0k3n"


@dataclass(frozen=True)
class Served:
    """Ports of the service."""

    plain: int
    tls: int
    authority: str


class OnePod:
    """A reader that knows one live pod and one Secret."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """The Secret."""
        if resource.kind != "Secret":
            raise NotFound(name)
        return {"data": {"token": base64.b64encode(TOKEN.encode()).decode()}}

    async def metadata(self, resource: Resource, namespace: str, name: str) -> Object:
        """Not asked for."""
        raise NotFound(name)

    async def list(self, resource: Resource, namespace: str, labels: Mapping[str, str] | None = None) -> list[Object]:
        """The pod."""
        ready = {"type": "Ready", "status": "True"}
        return [{"metadata": {"name": "live"}, "status": {"podIP": LIVE, "conditions": [ready]}}]


def serve(took: float, certificate: Path, key: Path, ready: Connection) -> None:
    """The service, until its process is ended."""

    async def orders(request: web.Request) -> web.Response:
        await asyncio.sleep(took)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        items = (await request.json())["items"]
        return web.json_response({"id": "A-17", "total": 79.9 * len(items), "items": items}, status=201)

    async def ask(request: web.Request) -> web.Response:
        await asyncio.sleep(took)
        return web.json_response({"answer": "30 days"})

    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    async def run() -> None:
        app = web.Application()
        app.add_routes([web.post("/orders", orders), web.get("/ask", ask), web.get("/hang", hang)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        ports = []
        for tls in (None, context):
            site = web.TCPSite(runner, "0.0.0.0", 0, ssl_context=tls)
            await site.start()
            assert site._server is not None
            ports.append(site._server.sockets[0].getsockname()[1])  # type: ignore[attr-defined]
        ready.send(ports)
        await asyncio.Event().wait()

    asyncio.run(run())


def plain(number: int, served: Served) -> dict[str, Any]:
    """A question."""
    request = {"path": f"/ask?q={number}", "port": served.plain}
    return {"request": request, "expect": {"field": "answer", "equals": "30 days"}}


def order(number: int, served: Served, tls: bool = False) -> dict[str, Any]:
    """An order, and everything about its reply."""
    request: dict[str, Any] = {
        "method": "POST", "path": "/orders", "port": served.tls if tls else served.plain, "body": json.dumps({"items": [{"sku": f"s{number}", "n": 1}]}),
        "headersFrom": [{"name": "Authorization", "prefix": "Bearer ", "secretKeyRef": {"name": "robot", "key": "token"}}],
    }  # fmt: skip
    if tls:
        request["tls"] = {"serverName": "answers.shop.svc", "caBundle": served.authority}
    expect = {
        "status": 201,
        "headers": [{"name": "content-type", "contains": "json"}],
        "json": [
            {"path": "$.total", "number": 79.9, "tolerance": 0.01},
            {"path": f"$.items[?@.sku == 's{number}'].n", "number": 1},
            {"path": "$.id", "matches": "^A-[0-9]+$"},
        ],
        "jsonSchema": {"type": "object", "required": ["id", "total"]},
    }
    return {"request": request, "expect": expect}


def hanging(number: int, served: Served) -> dict[str, Any]:
    """A request that is never answered."""
    request = {"path": f"/hang?n={number}", "port": served.plain, "timeoutSeconds": 5}
    return {"request": request, "expect": {"status": 200}}


def run_of(release: str, specs: list[dict[str, Any]]) -> RunEvals:
    """These cases against both versions."""
    cases = tuple(
        EvalCase.model_validate(
            {"metadata": {"name": f"c{n}", "namespace": release}, "spec": {"release": release, **spec}}
        )
        for n, spec in enumerate(specs)
    )
    return RunEvals(release, "a" * 16, 0, cases, 1, (CANARY,), {"app": release})


async def timed(specs: list[dict[str, Any]], beside: list[dict[str, Any]]) -> tuple[float, int, float]:
    """(seconds, answers that were right, longest pause of the event loop) of a run of `specs`, beside one of another team."""
    done, longest = asyncio.Event(), 0.0

    def wake(key: ObjectKey) -> None:
        if key[2] == "mine":
            done.set()

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            longest = max(longest, time.perf_counter() - before - 0.01)

    async with HttpProber.session() as session:
        meter = Meter(
            OnePod(), SystemClock(), measured_by({}, lambda namespace, release: "default")
        )  # no case has a load
        runner = EvalRunner(OnePod(), HttpProber(session, allow_loopback=True), wake, meter, threads=True)
        if beside:
            runner.start_run("theirs", run_of("theirs", beside))
            await asyncio.sleep(1)
        watcher, began = asyncio.create_task(watch()), time.perf_counter()
        runner.start_run("mine", run_of("mine", specs))
        await done.wait()
        took, outcome = time.perf_counter() - began, runner.outcome("mine", "mine")
        watcher.cancel()
        await runner.close()
    assert outcome is not None
    return took, sum(r.canary_passed + r.live_passed for r in outcome.results), longest


def certificate_in(folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    chain, key = folder / "chain.pem", folder / "key.pem"
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=answers -addext subjectAltName=DNS:answers.shop.svc"
    subprocess.run([*made.split(), "-out", str(chain), "-keyout", str(key)], check=True, capture_output=True)
    return chain, key


async def rounds(cases: int, served: Served) -> bool:
    """Prints the table; True where each round reached the goal."""
    numbers = range(cases)
    table: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = [
        ("GET, one field", [plain(n, served) for n in numbers], []),
        ("POST, Secret, JSONPath, regex, schema", [order(n, served) for n in numbers], []),
        ("the same over TLS", [order(n, served, tls=True) for n in numbers], []),
        (
            "GET, beside a Release that hangs",
            [plain(n, served) for n in numbers],
            [hanging(n, served) for n in numbers],
        ),
    ]
    print(
        f"| {cases} cases, two versions | seconds | right answers | requests/s | longest pause of the event loop |\n|---|---|---|---|---|"
    )
    good = True
    for name, specs, beside in table:
        took, right, pause = await timed(specs, beside)
        good &= took <= GOAL and right == 2 * cases
        print(
            f"| {name} | {took:.1f} | {right} of {2 * cases} | {2 * cases / took:.0f} | {pause * 1000:.0f} ms |",
            flush=True,
        )
    print(f"goal: {GOAL:g} s: {'reached' if good else 'MISSED'}")
    return good


def main(arguments: list[str]) -> int:
    """Runs the bench; 1 where a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.evals", description=__doc__)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--took", type=float, default=10, help="milliseconds that the service takes")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        chain, key = certificate_in(Path(folder))
        context = get_context("spawn")
        mine, its = context.Pipe()
        process = context.Process(target=serve, args=(options.took / 1000, chain, key, its), daemon=True)
        process.start()
        try:
            plain_port, tls_port = mine.recv()
            served = Served(plain_port, tls_port, chain.read_text())
            return 0 if asyncio.run(rounds(options.cases, served)) else 1
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
