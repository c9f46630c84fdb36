"""`python -m e2e.bench.idle`: what a thousand Releases cost at rest, on the cluster of `make cluster`: requests, CPU and memory.

Each Release has a Deployment of no replicas, so that one node carries them all, and no SLI: what is read from Prometheus is not in it.
Namespaces `bench-idle` and `bench-idle-ops`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from e2e.bench import sampler
from e2e.drill.prepare import apply_crds, clear, install_operator, make_empty
from e2e.drill.shift import Shift
from e2e.harness import audit
from e2e.harness.client import Client, Object
from e2e.harness.progress import Progress, StageFailed
from e2e.harness.session import REFUSED, Refused, session, wait_removed

NS = "bench-idle"
CHUNK = 100  # objects in one kubectl apply
SETTLE, REST = 20.0, 60.0  # seconds: until it is at rest, and that are measured


def service(number: int) -> list[Object]:
    """A Deployment that runs nothing, and its Release."""
    name = f"svc-{number:04d}"
    container = {"name": "app", "image": "opsloop/helpdesk:v1"}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    deployment = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template}
    release = {"workloadRef": {"name": name}, "version": "v1", "images": {"app": "opsloop/helpdesk:v1"}}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": deployment},
        {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "metadata": {"name": name}, "spec": release},
    ]


def measured(shift: Shift, known: int, wanted: int) -> dict[str, Any]:
    """The figures at so many Releases, of which some exist already."""
    for first in range(known, wanted, CHUNK):
        shift.apply([obj for number in range(first, min(wanted, first + CHUNK)) for obj in service(number)])
    shift.progress.wait(f"{wanted} Releases to have a status", 60 + wanted / 2, lambda: _observed(shift, wanted))
    time.sleep(SETTLE)  # what follows from the last status
    sampling, began = sampler.Sampler(shift.api, shift.ops), time.time()
    sampling.start()
    time.sleep(REST)  # the measurement
    ended = time.time()
    sampling.stop()
    requests = [r for r in audit.requests(audit.operator_user(shift.ops), began) if r.time < ended]
    found = {
        "releases": wanted,
        "requests": len(requests),
        "by": dict(Counter(f"{r.verb} {r.target}" for r in requests)),
        "cpu": round(sampler.cpu_seconds(sampling.samples, began, ended), 2),
        "memory": round(sampler.peak(sampling.samples)),
    }
    shift.progress.say(f"   {found}")
    return found


def _observed(shift: Shift, wanted: int) -> tuple[object, str]:
    number = sum("status" in release for release in shift.api.items("releases", NS))
    return number >= wanted, f"{number} have one"


def main() -> int:
    """0: it measured; 1 where it failed; 2 where it cannot begin here."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.idle", description=__doc__)
    parser.add_argument("--releases", type=int, nargs="+", default=[1, 100, 1000], help="ascending")
    options = parser.parse_args()
    rows, before = list[dict[str, Any]](), os.getloadavg()[0]
    try:
        with session({NS, f"{NS}-ops"}) as pace, Client(pace) as client:
            shift = Shift(client, Progress(pace), NS, f"{NS}-ops")
            try:
                make_empty(shift)
                apply_crds(client)
                install_operator(shift, pager={"url": ""})
                for known, wanted in zip([0, *options.releases], options.releases, strict=False):
                    rows.append(measured(shift, known, wanted))
            finally:
                clear(shift)
                wait_removed(client, shift.progress, (NS, f"{NS}-ops"), 300)
    except (StageFailed, RuntimeError) as failure:
        print(f"FAILED {failure}", file=sys.stderr)
        return 1
    except Refused as refusal:
        print(f"idle: {refusal}", file=sys.stderr)
        return REFUSED
    print(
        f"\nopsloop at rest, {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}: {os.cpu_count()} cores, load average {before:.1f} → {os.getloadavg()[0]:.1f}"
    )
    print(f"\n  {'Releases':>8}  {'API requests':>12}  {'CPU seconds':>11}  {'MiB at most':>11}   of {REST:.0f} s")
    for row in rows:
        print(f"  {row['releases']:>8}  {row['requests']:>12}  {row['cpu']:>11}  {row['memory']:>11}   {row['by']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
