"""`python -m e2e.bench.load`: the storm against the real intake and correlator over an API server in memory. No cluster needed."""

import argparse
import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from e2e.bench.load import sending, served, storm, table
from e2e.cluster import paths

FOLDER = paths.CACHE / "bench"
AFTER = 10.0  # seconds in which an operator that was killed starts anew and takes what was repeated meanwhile


async def run(size: storm.Size, kill: bool) -> dict[str, Any]:
    """The whole measurement."""
    port = _free_port()
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "e2e.bench.load.served", str(port),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**26,
    )  # fmt: skip
    assert server.stdin and server.stdout
    await server.stdout.readline()
    bodies = list(storm.bodies(size, datetime.now(UTC) - timedelta(minutes=2)))

    told, said = server.stdin, server.stdout

    async def ask(line: str) -> str:
        told.write(f"{line}\n".encode())
        return (await said.readline()).decode()

    async def marks() -> None:
        await asyncio.sleep(size.seconds)
        await ask("mark")
        if kill:
            await asyncio.sleep(size.seconds / 2)
            told.write(b"kill\n")

    url = f"http://127.0.0.1:{port}/v1/namespaces/{served.NS}/alerts"
    sent, _ = await asyncio.gather(sending.send(lambda: url, "bench", bodies), marks())
    ended = time.monotonic()
    while int(await ask("waiting")) and time.monotonic() < ended + 120:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.2)
    drained = time.monotonic() - ended
    await asyncio.sleep(3)
    told.close()
    found: dict[str, Any] = json.loads(await said.readline())
    await server.wait()
    many, one = found["marks"]
    return {
        **judged(sent, bodies, found["homes"]),
        **times(sent, found["filed"], 1.5 * size.seconds if kill else None),
        **bounded(size, _writes(many)),
        "drained": drained,
        "lateP99": 1000 * max(mark["late"]["p99"] for mark in (many, one)),
        "lateMax": 1000 * max(mark["late"]["max"] for mark in (many, one)),
        "lateOver50": many["over50"] + one["over50"],
        "lateLooks": many["looks"] + one["looks"],
        "blockedMax": 1000 * max(mark["busy"]["max"] for mark in (many, one)),
        "memoryFirst": many["rss"]["first"],
        "memoryMax": max(mark["rss"]["max"] for mark in (many, one)),
        "cpuMany": many["cpu"],
        "cpuOne": one["cpu"] - many["cpu"],
        "writesOne": _writes(one),
        "entryFiledP50": _at(sorted(found["entries"]), 0.5),
        "entryFiledMax": max(found["entries"]),
        **{f"stage{name.title().replace(' ', '')}": found["max"] for name, found in found["stages"].items()},
        "written": (many["bytes"] + one["bytes"]) / 2**20,
        "largest": max(many["largest"], one["largest"]) / 1024,
        "raw": found,
    }


def _writes(mark: dict[str, Any]) -> int:
    return sum(number for verb, number in mark["requests"].items() if not verb.startswith("get"))


def bounded(size: storm.Size, writes: int) -> dict[str, int]:
    """Writes while the many failed, and what of them is more than there may be."""
    most = storm.most_writes(size)
    return {"writesMany": writes, "writesMost": most, "writesBeyond": max(0, writes - most)}


def judged(sent: sending.Sent, bodies: Sequence[storm.Body], homes: Mapping[str, int]) -> dict[str, Any]:
    """What was promised and is nowhere, and what is in several ledgers. `homes`: fingerprint → ledgers that count it."""
    promised = {fp for body in bodies for fp in body.fingerprints if fp in sent.stored}
    return {
        "lost": len(promised - homes.keys()),
        "twice": sum(number > 1 for number in homes.values()),
        "sent": len(promised),
        "repeated": sum(sent.refused.values()),
        "refused": sent.refused,
        "givenUp": sent.given_up,
    }


def times(sent: sending.Sent, filed: Mapping[str, float], killed: float | None) -> dict[str, float]:
    """Seconds of requests, and from the 202 of an alert on another service until its ledger was stored.

    `killed`: when the operator was, in seconds since the beginning. What came in the AFTER seconds from then on is told apart: until
    another process holds the Lease, nobody files.
    """

    def is_after(at: float) -> bool:
        return killed is not None and killed - 1 <= at <= killed + AFTER

    after = [took for at, took in sent.seconds if is_after(at)]
    taken = sorted(took for at, took in sent.seconds if not is_after(at))
    waited = [(is_after(at - sent.began), filed.get(fp, float("inf")) - at) for fp, at in sent.taken_at.items()]
    delays, late = sorted(s for then, s in waited if not then), [s for then, s in waited if then]
    return {
        "requestP50": _at(taken, 0.5),
        "requestP99": _at(taken, 0.99),
        **({"requestAfterKill": max(after)} if after else {}),
        "delayP50": _at(delays, 0.5),
        "delayP99": _at(delays, 0.99),
        "delayMax": delays[-1],
        **({"delayAfterKill": max(late)} if late else {}),
    }


def _at(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """0: it measures."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each of the two storms")
    parser.add_argument("--one", type=int, default=35_000)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=1, help="runs, one after the other: min / median / max")
    parser.add_argument("--no-kill", action="store_true")
    options = parser.parse_args()
    size = storm.Size(seconds=options.seconds, one=options.one, many=options.many)
    runs, loads = list[dict[str, Any]](), [os.getloadavg()[0]]
    for _ in range(options.repeat):
        runs.append(asyncio.run(run(size, not options.no_kill)))
        loads.append(os.getloadavg()[0])
    head = (
        f"opsloop under load, {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}: {size.many} alerts on {size.services} services in {size.seconds:.0f} s, then"
        f" {size.one} on one in {size.seconds:.0f} s; API server in memory; {len(runs)} run(s), {os.cpu_count()} cores,"
        f" load average {' → '.join(f'{load:.1f}' for load in loads)}"
    )
    print(table.render(runs, head))
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"load-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
    path.write_text(json.dumps(runs, indent=1) + "\n")
    print(f"\n{path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
