"""`python -m e2e.bench --repeat 3`: shifts in namespaces of their own on the cluster that `make cluster` made."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any

from e2e.bench.measure import Numbers, Recorded, measure
from e2e.bench.sampler import Sampler
from e2e.bench.table import render
from e2e.cluster import paths
from e2e.drill import prepare, stages
from e2e.drill.shift import Shift
from e2e.harness import audit
from e2e.harness.client import Client
from e2e.harness.progress import Progress, StageFailed
from e2e.harness.recorder import Recorder
from e2e.harness.session import REFUSED, Refused, session, wait_removed

QUIET = 15.0  # seconds without anything but the Lease that count as rest begun
SETTLE = 240.0  # seconds that this may take after the shift: the storm's alerts have to resolve
REST = 60.0
FOLDER = paths.CACHE / "bench"


def one_shift(shift: Shift) -> Numbers:
    """Run and measure, also where the gate did not pass. Raises StageFailed."""
    sampler, recorders = Sampler(shift.api, shift.ops), list[Recorder]()
    sampler.start()

    def prepared() -> None:
        recorders.extend(Recorder(plural, shift.namespace) for plural in ("releases", "incidents"))

    began = time.time()
    try:
        gate = stages.run(shift, prepared=prepared)
        since = _settle(shift)
        shift.progress.wait(f"{REST:.0f} s of rest", REST + 30, lambda: (time.time() > since + REST, "at rest"))
    finally:
        sampler.stop()
        for recorder in recorders:
            recorder.stop()
    if not all(r.complete for r in recorders):
        raise StageFailed("a watch of Releases or Incidents ended before its time: versions are missing")
    requests = audit.requests(audit.operator_user(shift.ops), began)
    numbers = measure(
        shift,
        Recorded(
            requests,
            recorders[0].versions,
            recorders[1].versions,
            sampler.samples,
            (since, since + REST),
            since - shift.marks["closed"],
        ),
    )
    numbers["memory"]["restarts"] = _restarts(shift)
    numbers["gate"] = gate
    return numbers


def _settle(shift: Shift) -> float:
    """When the rest began: nothing but the Lease for a while. Goes on after SETTLE, and the table shows what was asked."""
    user, end = audit.operator_user(shift.ops), time.time() + SETTLE

    def quiet() -> tuple[object, str]:
        now = time.time()
        busy = [
            r for r in audit.requests(user, now - QUIET) if r.resource != "leases" and r.verb not in ("list", "watch")
        ]
        return not busy or now > end, f"{len(busy)} requests in the last {QUIET:.0f} s"

    shift.progress.wait("the operator to be at rest", SETTLE + 30, quiet, every=2)
    return time.time()


def _restarts(shift: Shift) -> int:
    pods = shift.api.items("pods", shift.ops, "app.kubernetes.io/name=opsloop")
    return sum(c.get("restartCount", 0) for p in pods for c in p.get("status", {}).get("containerStatuses", []))


def clean_up(shift: Shift) -> None:
    """Nothing of the benchmark stays, the chart's cluster-wide objects included."""
    prepare.clear(shift)
    wait_removed(shift.api, shift.progress, (shift.namespace, shift.ops))


def save(result: Numbers) -> str:
    """The JSON's path."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{result['at'].replace(':', '')}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return str(path)


def main() -> int:
    """0 also where a goal was missed: it measures; 1 where a shift or its gate failed; 2 usage, or it cannot begin here."""
    parser = argparse.ArgumentParser(prog="make bench", description="Reaction, requests and memory over one shift.")
    parser.add_argument("--repeat", type=int, default=1, help="shifts, one after the other: min / median / max")
    parser.add_argument("--seed", type=int, default=1, help="of the first shift; each further one takes the next")
    parser.add_argument("--namespace", default="bench", help="NAME and NAME-ops are made, and removed afterwards")
    parser.add_argument("--keep", action="store_true", help="leave the last shift's namespaces")
    options = parser.parse_args()
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    try:
        with session({options.namespace, f"{options.namespace}-ops"}) as pace, Client(pace) as client:
            return bench(client, options)
    except Refused as refusal:
        print(f"make bench: {refusal}", file=sys.stderr)
        return REFUSED


def bench(client: Client, options: argparse.Namespace) -> int:
    """Runs the shifts and prints the table; the exit code."""
    result: dict[str, Any] = {"at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "shifts": []}
    machine: dict[str, Any] = {
        "cores": os.cpu_count(),
        "slowness": client.pace.deadlines,
        "loadBefore": [],
        "loadAfter": [],
    }
    progress = Progress(client.pace)
    for number in range(options.repeat):
        shift = Shift(client, progress, options.namespace, f"{options.namespace}-ops", options.seed + number)
        machine["loadBefore"].append(round(os.getloadavg()[0], 1))
        try:
            result["shifts"].append(one_shift(shift))
        except (StageFailed, RuntimeError, ValueError) as failure:
            progress.say(f"FAILED {failure}; namespaces {shift.namespace} and {shift.ops} stay for looking around")
            return 1
        machine["loadAfter"].append(round(os.getloadavg()[0], 1))
        if not (options.keep and number == options.repeat - 1):
            clean_up(shift)
    result["machine"] = machine
    print("\n" + render(result) + f"\n\n{save(result)}")
    return 1 if any(shift["gate"] for shift in result["shifts"]) else 0


if __name__ == "__main__":
    sys.exit(main())
