"""The operator of the measurement without a cluster: the real intake, inbox, ledgers and correlator over an API server in memory,
in a process of its own. `python -m e2e.bench.load.served PORT`; ends when its standard input ends, and prints what it measured.

The API server encodes and decodes JSON as the real one's client does, and answers after ANSWER seconds. At a line `kill` on standard
input the operator dies at once: all of it is dropped in mid-flight, and another one starts over what is stored.
"""

import asyncio
import gc
import json
import resource
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from e2e.bench.load import storm
from opsloop.adapters.clock import SystemClock
from opsloop.adapters.prometheus import NoPrometheus
from opsloop.core.alerts.ledger import counts
from opsloop.core.alerts.pages import rolled_alerts
from opsloop.core.codec import decode_ledger
from opsloop.core.runbook.rights import Identity
from opsloop.entry.collector import keep_responsive
from opsloop.entry.http_server import Listening, listen
from opsloop.entry.intake_http import intake_routes
from opsloop.entry.settings import Settings
from opsloop.entry.wiring import Operator
from opsloop.names import INBOX, LEDGER, LEDGER_PAGE
from opsloop.shell.intake.ledger_store import LedgerStore
from opsloop.shell.ports import Object, Resource
from opsloop.simulator.fakes.cluster import FakeCluster
from opsloop.simulator.fakes.ports import FakeAccess, FakeInstruments, FakePorts

NS = "bench-load"
ANSWER = 0.004  # seconds; what the API server of a kind cluster takes for a small write
TICK = 0.005  # seconds between two looks at the event loop's lateness


class Api(FakeCluster):
    """Counts requests and bytes, keeps no log, and tells when a ledger of another service was written."""

    def __init__(self) -> None:
        super().__init__(clock=SystemClock())  # type: ignore[arg-type]
        self.requests: Counter[str] = Counter()
        self.bytes = self.largest = 0
        self.ledgers: list[tuple[float, str, str]] = []  # (Unix time, name, content) of other services

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """As the port."""
        self.requests[f"get {resource.plural}"] += 1
        await asyncio.sleep(ANSWER)
        found = await super().get(resource, namespace, name)
        copied: Object = json.loads(json.dumps(found))
        return copied

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """As the port."""
        return await self._sent("create", resource, namespace, body, super().create)

    async def replace(self, resource: Resource, namespace: str, body: Object) -> Object:
        """As the port."""
        return await self._sent("replace", resource, namespace, body, super().replace)

    async def replace_status(self, resource: Resource, namespace: str, body: Object) -> Object:
        """As the port."""
        return await self._sent("status", resource, namespace, body, super().replace_status)

    async def apply(self, resource: Resource, namespace: str, body: Object) -> Object:
        """As the port."""
        return await self._sent("apply", resource, namespace, body, super().apply)

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str = "", version: str = "", orphan: bool = False
    ) -> None:
        """As the port."""
        self.requests[f"delete {resource.plural}"] += 1
        await asyncio.sleep(ANSWER)
        await super().delete(resource, namespace, name, uid, version, orphan)
        self.writes.clear()

    async def _sent(self, verb: str, resource: Resource, namespace: str, body: Object, effect: Any) -> Object:
        size = len(json.dumps(body))
        labels = body["metadata"].get("labels") or {}
        kinds = {LEDGER: "ledgers", LEDGER_PAGE: "pages", INBOX: "inbox entries"}
        kind = next((told for label, told in kinds.items() if label in labels), resource.plural)
        self.requests[f"{verb} {kind}"] += 1
        self.bytes += size
        self.largest = max(self.largest, size)
        await asyncio.sleep(ANSWER)
        stored: Object = json.loads(json.dumps(await effect(resource, namespace, body)))
        name = body["metadata"]["name"]
        if kind == "ledgers" and name.startswith(storm.OTHER):
            self.ledgers.append((time.time(), name, body["binaryData"]))
        self.writes.clear()
        return stored


class Measured(FakeInstruments):
    """Keeps how long each stage of each look took, by kind and stage."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, list[float]] = {}

    def stage(self, kind: str, stage: str, seconds: float) -> None:
        """As the port."""
        self.seconds.setdefault(f"{kind} {stage}", []).append(seconds)


class Anybody(FakeAccess):
    """Every token is somebody's."""

    async def review_token(self, token: str, audience: str) -> Identity | None:
        """As the port."""
        return Identity("bench")


class Process:
    """One operator."""

    def __init__(self, api: Api, measured: Measured) -> None:
        clock: Any = SystemClock()
        ports = FakePorts(api, NoPrometheus(), clock=clock, access=Anybody(), instruments=measured)
        self.operator = Operator(ports.ports(), Settings(), threads=True)
        self.access = ports.access
        self.server: Listening | None = None
        self.tasks: list[asyncio.Task[Any]] = []

    async def start(self, port: int) -> None:
        """Serves and leads."""
        app = web.Application()
        app.add_routes(intake_routes(self.access, self.operator.inbox))
        self.server = await listen(app, port, "127.0.0.1")
        await self.operator.resync()
        self.tasks = [asyncio.create_task(self.operator.queue.run()), asyncio.create_task(self.operator.lead())]

    async def die(self) -> None:
        """Drops everything where it stands."""
        for task in self.tasks:
            task.cancel()
        commits = list(self.operator.inbox._commits)
        for task in commits:
            task.cancel()
        await asyncio.gather(*self.tasks, *commits, return_exceptions=True)
        if self.server is not None:
            await self.server.cleanup()


class Blocked(threading.Thread):
    """Counts where the event loop's thread stands while it has not ticked for 50 ms: which code blocks it."""

    def __init__(self, watch: "Watch") -> None:
        super().__init__(daemon=True)
        self.watch, self.thread, self.found = watch, threading.get_ident(), Counter[str]()

    def run(self) -> None:
        """Until the process ends."""
        while True:
            time.sleep(0.01)  # the rate at which a thread of its own takes its samples
            frame = sys._current_frames().get(self.thread)
            if frame is None or time.monotonic() - self.watch.ticked < 0.05:
                continue
            lines = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_stack(frame)[-7:]]
            self.found[" < ".join(reversed(lines))] += 1


GARBAGE: list[float] = []  # seconds of each full collection of garbage
_since = 0.0


def collected(phase: str, generation: int) -> None:
    """For `gc.callbacks`."""
    global _since
    if generation == 2:
        if phase == "start":
            _since = time.monotonic()
        else:
            GARBAGE.append(time.monotonic() - _since)


class Watch:
    """How late the event loop is, and how large the process, by second."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.busy: list[float] = []  # CPU seconds of the loop's own thread between two ticks
        self.rss: list[float] = []
        self.ticked = time.monotonic()

    async def run(self) -> None:
        """Until cancelled."""
        looked = 0.0
        while True:
            due, used = time.monotonic() + TICK, time.thread_time()
            await asyncio.sleep(TICK)
            now = self.ticked = time.monotonic()
            self.late.append(now - due)
            self.busy.append(time.thread_time() - used)
            if now - looked > 0.5:
                looked = now
                pages = int(Path("/proc/self/statm").read_text().split()[1])  # noqa: ASYNC240 - no disk is read
                self.rss.append(pages * resource.getpagesize() / 2**20)


async def homes(api: Api) -> dict[str, int]:
    """Fingerprint → number of stored ledgers that hold it, read by a process that knows nothing."""
    store, found = LedgerStore(api, api), Counter[str]()
    for plural, namespace, name in list(api._objects):
        if plural == "incidents":
            ledger = await store.ledger(namespace, name)
            prints = {alert.fingerprint for alert in (*ledger.alerts, *rolled_alerts(ledger))}
            if (told := counts(ledger).count) != len(prints):
                raise RuntimeError(f"{name} counts {told} alerts and holds {len(prints)}")
            found.update(prints)
    return found


def filed(ledgers: Sequence[tuple[float, str, Any]]) -> dict[str, float]:
    """Fingerprint → Unix time at which it was first in a ledger, of other services."""
    first: dict[str, float] = {}
    for at, _, data in ledgers:
        for alert in decode_ledger(data).alerts:
            first.setdefault(alert.fingerprint, at)
    return first


async def main(port: int) -> None:
    """Runs until standard input ends."""
    api, watch = Api(), Watch()
    for release in storm.releases(storm.Size(), NS):
        api.seed(release)
    measured = Measured()
    process = Process(api, measured)
    await process.start(port)
    while not all("status" in stored for (kind, *_), stored in api._objects.items() if kind == "releases"):  # noqa: ASYNC110
        await asyncio.sleep(0.1)  # each first status of a Release asks for a look at what is to be filed
    watching = asyncio.create_task(watch.run())
    blocked = Blocked(watch)
    blocked.start()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    marks: list[dict[str, Any]] = []
    while line := (await lines.readline()).decode().strip():
        if line == "kill":
            await process.die()
            process = Process(api, measured)
            await process.start(port)
        elif line == "mark":
            marks.append(_mark(api, watch))
            print("marked", flush=True)
        elif line == "waiting":
            left = sum(INBOX in (o["metadata"].get("labels") or {}) for o in api._objects.values())
            print(left, flush=True)
    watching.cancel()
    result = {
        "marks": [*marks, _mark(api, watch)],
        "homes": await homes(api),
        "filed": filed(api.ledgers),
        "stages": {name: _spread(found) for name, found in sorted(measured.seconds.items())},
        "entries": measured.entries_filed,
        "garbage": {"collections": len(GARBAGE), "max": max(GARBAGE, default=0.0)},
        "blocked": dict(blocked.found.most_common(12)),
    }
    print(json.dumps(result), flush=True)
    await process.die()


def _spread(found: list[float]) -> dict[str, float]:
    ordered = sorted(found)
    return {
        "looks": len(ordered),
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[int(len(ordered) * 0.99)],
        "max": ordered[-1],
    }


def _mark(api: Api, watch: Watch) -> dict[str, Any]:
    """Everything since the last mark."""
    late, busy, rss = sorted(watch.late), sorted(watch.busy), list(watch.rss)
    found = {
        "cpu": time.process_time(),
        "late": {"p50": late[len(late) // 2], "p99": late[int(len(late) * 0.99)], "max": late[-1]} if late else {},
        "looks": len(late),
        "over50": sum(one > 0.05 for one in late),
        "busy": {"p99": busy[int(len(busy) * 0.99)], "max": busy[-1]} if busy else {},
        "busyOver50": sum(one > 0.05 for one in busy),
        "rss": {"first": rss[0], "max": max(rss), "last": rss[-1]} if rss else {},
        "requests": dict(api.requests),
        "bytes": api.bytes,
        "largest": api.largest,
    }
    watch.late.clear()
    watch.busy.clear()
    watch.rss.clear()
    api.requests.clear()
    api.bytes = api.largest = 0
    return found


if __name__ == "__main__":
    keep_responsive()
    gc.callbacks.append(lambda phase, info: collected(phase, info["generation"]))
    asyncio.run(main(int(sys.argv[1])))
