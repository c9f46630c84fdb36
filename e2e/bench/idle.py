"""`python -m e2e.bench.idle`: what 1, 100 and 1,000 Releases cost at rest, on the cluster of `make cluster`: requests, CPU and memory.

Each Release has a Deployment of no replicas, so that one node carries them all, and an SLI of a counter of its own (`spec.slo.sli.requests`)
that grows by ten good requests a second, with one tier of 2m and 30s, which is known soon, read from the demo's Prometheus (scrapes of
5 s). Measured is once nothing but the Lease was written for a while, over `--repeat` minutes, one after the other. Namespaces
`bench-idle` and `bench-idle-ops`, which are removed. About a minute to begin, then for each size the time that it takes to make the
Releases (1,000: three minutes), to come to rest (up to four), and the minutes that are measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from e2e.bench import sampler, share
from e2e.bench.metered import IMAGE, SOON, Metered
from e2e.drill.prepare import clear
from e2e.drill.shift import Shift
from e2e.harness import audit
from e2e.harness.client import Client, Object
from e2e.harness.progress import Progress, StageFailed
from e2e.harness.session import REFUSED, Refused, session, wait_removed

NS = "bench-idle"
CHUNK = 100  # objects in one kubectl apply
QUIET, SETTLE = 20.0, 240.0  # seconds without a write that count as rest, and that this may take
REST = 60.0
SCRAPE = "5s"
TIERS: list[Object] = [{"long": "2m", "short": "30s", "factor": 14.4, "severity": "sev1"}]
WRITES = ("create", "update", "patch", "delete")
MEMORY = {1: 80, 100: 92, 1000: 130}  # MiB: the goals
REQUESTS, CPU = 30, 2.0  # in a minute: the goals, the latter at 1,000 Releases


@dataclass
class Row:
    """The minutes at one number of Releases."""

    releases: int
    requests: list[int] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    busy: int = 0  # writes in the last seconds before it was measured, where it did not come to rest


def service(number: int, sli: bool) -> list[Object]:
    """A Deployment that runs nothing, and its Release."""
    name = named(number)
    container = {"name": "app", "image": IMAGE}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    deployment = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template}
    counted = {"counter": "bench_requests_total", "selector": f'service="{name}"', "bad": 'code="500"'}
    slo = {"slo": {**SOON, "tiers": TIERS, "sli": {"requests": counted}}} if sli else {}
    release = {"workloadRef": {"name": name}, "version": "v1", "images": {"app": IMAGE}, **slo}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": deployment},
        {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "metadata": {"name": name}, "spec": release},
    ]


def named(number: int) -> str:
    """A service's name."""
    return f"svc-{number:04d}"


class Bench:
    """More and more Releases."""

    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self.shift = Shift(client, Progress(client.pace), NS, f"{NS}-ops")
        self.metered, self.options, self.rows = Metered(self.shift), options, list[Row]()

    def measure(self) -> None:
        """All sizes."""
        self.metered.prepare(every=SCRAPE)
        for known, wanted in zip([0, *self.options.releases], self.options.releases, strict=False):
            self._make(known, wanted)
            row = Row(wanted, busy=self._settle())
            self.rows.append(row)
            for _ in range(self.options.repeat):
                self._minute(row)

    def _make(self, known: int, wanted: int) -> None:
        sli = not self.options.no_sli
        if sli:
            self.metered.set([(named(n), "v1", 10.0, 0.0) for n in range(known, wanted)])
        for first in range(known, wanted, CHUNK):
            some = range(first, min(wanted, first + CHUNK))
            self.shift.apply([obj for number in some for obj in service(number, sli)])
        self.shift.progress.wait(f"{wanted} Releases to have a status", 60 + wanted / 2, lambda: self._observed(wanted))
        if sli:
            self.metered.is_read(named(wanted - 1))

    def _observed(self, wanted: int) -> tuple[object, str]:
        number = sum(bool((r.get("status") or {}).get("live")) for r in self.shift.api.items("releases", NS))
        return number >= wanted, f"{number} are adopted"

    def _settle(self) -> int:
        """Waits until nothing is written; the number of writes that were still seen where that does not happen in time."""
        end, busy = time.time() + self.shift.api.pace.seconds(SETTLE), [0]

        def quiet() -> tuple[object, str]:
            now = time.time()
            found = [r for r in self._requests(now - QUIET, now) if r.verb in WRITES]
            busy[0] = len(found)
            return not found or now > end, f"{len(found)} writes in the last {QUIET:.0f} s"

        time.sleep(QUIET)  # so long nothing may be written, to count as rest
        self.shift.progress.wait("the operator to be at rest", SETTLE + 60, quiet, every=2)
        return busy[0]

    def _minute(self, row: Row) -> None:
        sampling, began = sampler.Sampler(self.shift.api, self.shift.ops), time.time()
        sampling.start()
        time.sleep(REST)  # the measurement
        ended = time.time()
        sampling.stop()
        if len(sampling.samples) < REST / 2:
            raise StageFailed(f"the operator's /metrics answered {len(sampling.samples)} times in {REST:.0f} s")
        time.sleep(2)  # until the last line of the log is written
        requests = self._requests(began, ended, leases=True)
        row.requests.append(len(requests))
        row.kinds.update(f"{r.verb} {r.target}" for r in requests)
        row.cpu.append(sampler.cpu_seconds(sampling.samples, began, ended))
        row.memory.append(sampler.peak(sampling.samples))
        seen = f"{row.requests[-1]} requests, {row.cpu[-1]:.2f} CPU seconds, {row.memory[-1]:.0f} MiB"
        self.shift.progress.say(f"   {row.releases} Releases: {seen}")

    def _requests(self, since: float, until: float, leases: bool = False) -> list[audit.Request]:
        found = audit.requests(audit.operator_user(self.shift.ops), since, until)
        return [r for r in found if leases or r.resource != "leases"]

    def close(self) -> None:
        """Nothing stays."""
        clear(self.shift)
        wait_removed(self.shift.api, self.shift.progress, (NS, f"{NS}-ops"), 600)


def table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """min / median / max of a minute, beside the goals."""
    return [
        {
            "Releases": f"{row.releases:,}",
            "API requests": f"{_spread(row.requests, '{:.0f}')} (≤ {REQUESTS})",
            "CPU seconds": _spread(row.cpu, "{:.2f}") + (f" (≤ {CPU:.0f})" if row.releases >= 1000 else ""),
            "MiB at most": _spread(row.memory, "{:.0f}")
            + (f" (≤ {MEMORY[row.releases]})" if row.releases in MEMORY else ""),
            "minutes": str(len(row.requests)),
        }
        for row in rows
        if row.requests
    ]


def _spread(values: Sequence[float], form: str) -> str:
    return " / ".join(form.format(f(values)) for f in (min, statistics.median, max))


def show(rows: Sequence[Row], sli: bool, load: float) -> None:
    """Prints the table, and what the requests were."""
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    machine = f"{os.cpu_count()} cores, load average {load:.1f} → {os.getloadavg()[0]:.1f}"
    how = f"Deployments of no replicas, {f'SLIs included (Prometheus, scrapes of {SCRAPE})' if sli else 'without SLIs'}"
    share.show(f"opsloop at rest for {REST:.0f} s, {at}: {how}; {machine}", table(rows))
    for row in rows:
        kinds = ", ".join(
            f"{number / max(1, len(row.requests)):.1f} {what}" for what, number in row.kinds.most_common()
        )
        restless = f"; it was not at rest: {row.busy} writes in the {QUIET:.0f} s before" if row.busy else ""
        print(f"  {row.releases} Releases, a minute: {kinds}{restless}")


def main() -> int:
    """0: it measured; 1 where it failed, after the table of what it had until then; 2 where it cannot begin here."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.idle", description=__doc__)
    parser.add_argument("--releases", type=int, nargs="+", default=[1, 100, 1000], help="ascending")
    parser.add_argument("--repeat", type=int, default=5, help="minutes at each number")
    parser.add_argument("--no-sli", action="store_true", help="Releases without an SLI")
    options = parser.parse_args()
    if options.repeat < 1 or sorted(set(options.releases)) != options.releases or options.releases[0] < 1:
        parser.error("--releases are ascending and from 1 on, --repeat is at least 1")
    load = os.getloadavg()[0]
    try:
        with session({NS, f"{NS}-ops"}) as pace, Client(pace) as client:
            bench = Bench(client, options)
            try:
                bench.measure()
            finally:
                if any(row.requests for row in bench.rows):
                    show(bench.rows, not options.no_sli, load)
                bench.close()
    except (StageFailed, RuntimeError) as failure:
        print(f"FAILED {failure}", file=sys.stderr)
        return 1
    except Refused as refusal:
        print(f"idle: {refusal}", file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
