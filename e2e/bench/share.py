"""`python -m e2e.bench.share`: the share of a canary by readiness gates, with new and with kept-alive connections.

One Service, N stable pods and one canary pod, made and put into traffic by opsloop's own actions. 10 clients inside the
cluster ask it 2,000 times. Then the times: gate opened → first request to the canary, gate closed → last one, and what
becomes of connections that were there before the gate moved. Takes two minutes in a namespace of its own, which is
deleted at the end; ends with an error where the share is not what opsloop relies on
(docs/decisions/canary-dark-by-readiness-gate.md).
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from e2e.bench import asker
from e2e.cluster import paths
from e2e.drill.prepare import wait_available
from e2e.harness.client import Client, environment
from e2e.harness.progress import Progress
from e2e.harness.session import REFUSED, Refused, make_namespace, remove_namespaces, session, wait_removed
from opsloop.adapters.clock import SystemClock
from opsloop.adapters.kube import Kube
from opsloop.core.actions import EnsureCanary, SetGates
from opsloop.core.facts import PodFacts
from opsloop.core.release import weights
from opsloop.names import CANARY
from opsloop.shell.apart import Apart
from opsloop.shell.ports import CONFIGMAPS, DEPLOYMENTS, PODS, SERVICES, Object
from opsloop.shell.reconcile import workloads
from opsloop.shell.reconcile.apply import execute
from opsloop.shell.runtime import Runtime
from opsloop.shell.watch.cache import Cache

NS = "bench-share"
STABLE, TRIED = "v1", "v4"
CLIENTS, REQUESTS, ROUNDS, REPEATS, SESSIONS = 10, 2000, 10, 5, 40
LABELS = {"app": "shop"}


def runtime_on(kube: Kube) -> Runtime:
    """opsloop's ports on a real API server, for single actions: those that no action uses are absent."""
    absent = cast(Any, None)
    return Runtime(
        reader=kube, writer=kube, access=kube, clock=SystemClock(), cache=Cache(), readings=absent, inbox=absent,
        ledgers=absent, apart=Apart(), rules=absent, experience=absent, taught=absent, evals=absent, errands=absent, pages=absent, routing=absent,
        events=absent, stops=absent, enqueue=lambda key: None, instruments=absent, incident_retention=timedelta(days=90),
        reopen_grace=timedelta(minutes=30), repeat_interval=timedelta(hours=4), started=SystemClock().now(),
    )  # fmt: skip


@asynccontextmanager
async def namespace(client: Client) -> AsyncIterator[Kube]:
    """A connection to the API server and a fresh namespace, which is deleted at the end whatever happens."""
    wait_removed(client, Progress(client.pace), {NS})
    make_namespace(client, NS)
    kube = await Kube.connect(str(paths.KUBECONFIG))
    try:
        yield kube
    finally:
        await kube.close()
        remove_namespaces(client, {NS})


def show(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """A Markdown table, aligned, on stdout."""
    cells = [[str(key) for key in rows[0]], *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    print("\n".join(["", title, "", lines[0], rule, *lines[1:]]), flush=True)


def require(holds: bool, sentence: str) -> None:
    """Ends the process where a measured fact is not what opsloop relies on."""
    print(("  ok      " if holds else "  BROKEN  ") + sentence, flush=True)
    if not holds:
        raise SystemExit(f"opsloop relies on this, and it does not hold: {sentence}")


def template(version: str) -> Object:
    """A pod of the help desk whose answers name its version."""
    probe = {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1}
    container = {"name": "c", "image": f"opsloop/helpdesk:{version}", "args": ["catalog"], "readinessProbe": probe,
                 "resources": {"requests": {"cpu": "10m", "memory": "40Mi"}}}  # fmt: skip
    spec = {"containers": [container], "enableServiceLinks": False, "terminationGracePeriodSeconds": 12}
    return {"metadata": {"labels": LABELS}, "spec": spec}


class Shop:
    """The Service with its pods."""

    def __init__(self, client: Client, kube: Kube, owner: Object) -> None:
        self.client, self.kube, self.owner, self.runtime = client, kube, owner, runtime_on(kube)

    async def make(self, stable: int) -> None:
        """Stable pods ready, one canary pod ready but for its gate."""
        await self.runtime.writer.apply(DEPLOYMENTS, NS, _deployment("shop", stable, LABELS, template(STABLE)))
        await self._canary(1)
        await asyncio.to_thread(wait_available, self.client, Progress(self.client.pace), NS, "shop", 90)
        async with asyncio.timeout(self.client.pace.seconds(60)):
            while not any(p.containers_ready for p in await self.pods()):  # noqa: ASYNC110  # another process sets it
                await asyncio.sleep(0.2)

    async def _canary(self, replicas: int) -> None:
        action = EnsureCanary("shop", "shop", "0" * 16, template(TRIED), replicas)
        await execute(self.runtime, NS, self.owner, action)

    async def pods(self) -> list[PodFacts]:
        """Canary pods."""
        pods = [workloads.pod(p) for p in await self.kube.list(PODS, NS, {CANARY: "shop"})]
        return [p for p in pods if not p.deleting]

    async def gate(self, opened: bool) -> float:
        """Open or close it; Unix time right before the write."""
        names = tuple(p.name for p in await self.pods())
        at = time.time()
        await execute(self.runtime, NS, self.owner, SetGates("shop", names, open=opened, reason="experiment"))
        return at

    async def end(self) -> float:
        """No canary pods; Unix time right before the write."""
        at = time.time()
        await self._canary(0)
        return at


def _deployment(name: str, replicas: int, labels: Object, pod: Object) -> Object:
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
    return {"metadata": {"name": name}, "spec": spec}


async def start(*arguments: object) -> asyncio.subprocess.Process:
    """The asker in its pod."""
    command = [str(paths.KUBECTL), "-n", NS, "exec", "-i", "deployment/asker", "--", "python3", "-u", "-"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, *map(str, arguments), stdin=pipe, stdout=pipe, env=environment()
    )
    assert process.stdin is not None
    process.stdin.write(await asyncio.to_thread(Path(asker.__file__).read_bytes))
    process.stdin.close()
    return process


async def counts(mode: str, requests: int, rounds: int = 1) -> list[dict[str, int]]:
    """{version: answers} per round, of so many requests by 10 clients. An exec that did not start is tried again."""
    for _ in range(5):
        output, _ = await (await start(mode, "shop", CLIENTS, requests, rounds)).communicate()
        if output:
            counted_rounds: list[dict[str, int]] = json.loads(output)
            return counted_rounds
    raise RuntimeError("kubectl exec does not work")


async def held(how: str, seconds: float, clients: int = CLIENTS) -> asyncio.subprocess.Process:
    """Clients that go on asking; returns when all of them have begun."""
    for _ in range(5):
        process = await start("hold", "shop", clients, seconds, how)
        assert process.stdout is not None
        if await process.stdout.readline() == b"started\n":
            return process
        await process.wait()
    raise RuntimeError("kubectl exec does not work")


async def answers(process: asyncio.subprocess.Process) -> list[asker.Answer]:
    """What they saw."""
    output, _ = await process.communicate()
    return [(at, client, version) for at, client, version in json.loads(output)]


def percent(answers: dict[str, int]) -> float:
    """Share of the canary."""
    return round(100 * answers.get(TRIED, 0) / sum(answers.values()), 1)


async def shares(shop: Shop, stable: int) -> dict[str, Any]:
    """One row: dark, then in traffic."""
    await shop.make(stable)
    (dark,) = await counts("new", 400)
    await shop.gate(True)
    await asyncio.sleep(1)
    (fresh,) = await counts("new", REQUESTS)
    rounds = [percent(r) for r in await counts("kept", REQUESTS, ROUNDS)]
    await shop.gate(False)
    return {
        "pods": f"{stable} + 1",
        "weights that give it": _weights(stable),
        "by pods %": weights.share(1, stable),
        "dark": dark.get(TRIED, 0),
        "new connections %": percent(fresh),
        "kept alive, 10 clients %": round(statistics.mean(rounds), 1),
        "its rounds %": f"{min(rounds):.0f} … {max(rounds):.0f}",
    }


def _weights(stable: int) -> str:
    """The wanted weights for which opsloop takes one pod."""
    fit = [w for w in range(1, 100) if weights.pods_for(w, stable) == 1]
    return f"{fit[0]} … {fit[-1]}"


async def moves(shop: Shop) -> list[tuple[float, float]]:
    """(opened → first, closed → last) in seconds, by clients that connect anew each time."""
    delays = []
    for _ in range(REPEATS):
        process = await held("new", 4)
        opened = await shop.gate(True)
        await asyncio.sleep(1.5)
        closed = await shop.gate(False)
        times = [at for at, _, version in await answers(process) if version == TRIED]
        delays.append((times[0] - opened, times[-1] - closed))
    return delays


async def sessions(shop: Shop) -> dict[str, Any]:
    """What kept-alive connections do when the gate moves and when the pod goes."""
    process = await held("kept", 3, SESSIONS)
    opened = await shop.gate(True)
    before = [version for at, _, version in await answers(process) if at > opened + 0.5]

    process = await held("kept", 8, SESSIONS)  # connections made with the gate open
    await asyncio.sleep(1)
    closed = await shop.gate(False)
    await asyncio.sleep(2)
    gone = await shop.end()
    requests = [(at, client) for at, client, version in await answers(process) if version == TRIED]
    pinned = {client for at, client in requests if closed + 1 < at < gone}
    return {
        "connected before it opened: to the canary": before.count(TRIED),
        "connected while open": f"{len({c for at, c in requests if at < closed})} of {SESSIONS} clients",
        "still on it 1 s after the gate closed": f"{len(pinned)} clients",
        "pods deleted → last request, s": round(requests[-1][0] - gone, 2) if requests else None,
    }


def spread(values: list[float]) -> str:
    """min / median / max."""
    return " / ".join(f"{v:.2f}" for v in (min(values), statistics.median(values), max(values)))


async def prepare(client: Client, kube: Kube) -> Shop:
    """Service, an owner for the canary (a Release would wake a running operator), and the pod that asks."""
    port = {"name": "http", "port": 8080, "targetPort": 8080}
    await kube.create(SERVICES, NS, {"metadata": {"name": "shop"}, "spec": {"selector": LABELS, "ports": [port]}})
    owner = await kube.create(CONFIGMAPS, NS, {"metadata": {"name": "owner"}})
    idle = {"name": "c", "image": f"opsloop/helpdesk:{STABLE}", "command": ["sleep", "3600"],
            "resources": {"requests": {"cpu": "10m", "memory": "40Mi"}}}  # fmt: skip
    labels = {"app": "asker"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [idle], "terminationGracePeriodSeconds": 0}}
    await kube.create(DEPLOYMENTS, NS, _deployment("asker", 1, labels, pod))
    await asyncio.to_thread(wait_available, client, Progress(client.pace), NS, "asker", 90)
    return Shop(client, kube, {**owner, "apiVersion": "v1", "kind": "ConfigMap"})


async def measure(client: Client) -> None:
    """Three tables, and what opsloop relies on."""
    async with namespace(client) as kube:
        shop = await prepare(client, kube)
        rows = [await shares(shop, 3), await shares(shop, 4)]
        show(f"Share of one canary pod, {REQUESTS} requests of {CLIENTS} clients inside the cluster", rows)
        times = await moves(shop)
        opened, closed = [a for a, _ in times], [b for _, b in times]
        show(
            f"Seconds, min / median / max of {REPEATS}, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
            [{"gate opened → first": spread(opened), "gate closed → last": spread(closed)}],
        )
        held_on = await sessions(shop)
        show("Kept-alive connections when the gate moves", [held_on])
    print()
    require(all(row["dark"] == 0 for row in rows), "a dark canary gets no request")
    near = all(abs(row["new connections %"] - row["by pods %"]) < 5 for row in rows)
    require(near, "with new connections the share is that of the pods, within 5 points")
    require(
        max(opened) < 5 and max(closed) < 5,
        "a gate takes effect within a tick (5 s), both ways, also on a busy machine",
    )
    require(
        held_on["connected before it opened: to the canary"] == 0,
        "connections from before the gate opened never see the canary",
    )
    require(held_on["pods deleted → last request, s"] is None or held_on["pods deleted → last request, s"] < 5,
            "kept-alive connections leave the canary when its pods go")  # fmt: skip


def main() -> int:
    """0 when all holds; 2 where the run cannot begin here."""
    try:
        with session({NS}) as pace, Client(pace) as client:
            asyncio.run(measure(client))
    except Refused as refusal:
        print(f"share: {refusal}", file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
