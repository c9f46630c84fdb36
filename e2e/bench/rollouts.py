"""`python -m e2e.bench.rollouts [promoted] [aborted] [held] [bad]`: what rollouts cost, on the cluster of `make cluster`.

- promoted: API requests of the operator for a rollout of four steps (10, 25, 50, 100 %) with holds of 10 s, 10 live pods.
- aborted: for `opsloop abort` at 25 %, from the order until nothing of the canary is left.
- held: in an hour of a canary that merely holds at 25 %, extrapolated from `--watched` seconds.
- bad: from the answer of Prometheus that made a canary bad until the write that takes it out of traffic. Twenty Releases of one pod each
  hold at 50 %; one after the other turns bad, so that each is judged beside the others. The first instant is told by a tap between
  Prometheus and the operator: the last answer about that Release before the write. The second is when the API server received it
  (audit log). With so few samples the maximum stands for the 99th percentile, and the table says how many there were.

Requests are counted in the audit log, by the operator's user, without those for the Lease. Pods do nothing (`sleep` in the demo's image,
1m CPU and 4 MiB asked for); the SLI is a counter that the benchmark sets. Namespaces `bench-rollouts` and `bench-rollouts-ops`, which are
removed. About two minutes to begin and end, then 70 s, 35 s, 3 min and 6 min for a promotion, an abort, the hold and all that turn bad.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from e2e.bench import metered, share
from e2e.bench.metered import Metered
from e2e.drill.prepare import clear, wait_available
from e2e.drill.shift import Shift
from e2e.harness import audit, gates
from e2e.harness.audit import Request
from e2e.harness.client import Client, Object
from e2e.harness.progress import Progress, StageFailed
from e2e.harness.session import REFUSED, Refused, session, wait_removed

NS, NAME = "bench-rollouts", "svc"
WAYS = ("promoted", "aborted", "held", "bad")
STEPS: list[Object] = [*({"weight": w, "hold": "10s"} for w in (10, 25, 50)), {"weight": 100}]
HELD: list[Object] = [{"weight": 25, "hold": "10h"}, {"weight": 100}]
HALF: list[Object] = [{"weight": 50, "hold": "10h"}, {"weight": 100}]
LIVE_RATE, CANARY_RATE, BAD_SHARE = 80.0, 20.0, 0.8
AFTER = 5.0  # seconds after an end in which what follows from it is counted as well
ENDED = ("Rejected", "Cancelled")
GOALS = {"promoted": "≤ 30", "aborted": "≤ 8 + open gates", "held": "≤ 12 an hour"}


@dataclass
class Found:
    """What was measured so far."""

    counts: dict[str, list[int]] = field(default_factory=dict)  # way → requests of each run
    kinds: dict[str, Counter[str]] = field(default_factory=dict)  # way → what they were, all runs together
    gates: list[int] = field(default_factory=list)  # open ones of each abort
    waits: list[float] = field(default_factory=list)  # bad reading → write
    flips: list[float] = field(default_factory=list)  # the service turns bad → write
    watched: float = 0.0  # seconds of the hold


class Bench:
    """One Release with ten pods, or many with one."""

    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self.shift = Shift(client, Progress(client.pace), NS, f"{NS}-ops")
        self.metered, self.options, self.found, self.number = Metered(self.shift), options, Found(), 0

    def prepare(self) -> None:
        """The service is live and its Release has adopted it."""
        self.metered.prepare(metered.workload(NAME, self.options.pods))
        self.metered.set([(NAME, "r0", LIVE_RATE, 0.0)])
        wait_available(self.shift.api, self.shift.progress, NS, NAME, 60 + 6 * self.options.pods)
        self.shift.apply([metered.release(NAME, "r0", STEPS)])
        self.shift.progress.wait("r0 to be adopted", 60, lambda: _has(self.shift, NAME, "live"))
        self.metered.is_read(NAME)

    # one rollout

    def ship(self, steps: Sequence[Object]) -> str:
        """A further version, which differs by a variable; its name."""
        self.number += 1
        version = f"r{self.number}"
        self.metered.set([(NAME, version, CANARY_RATE, 0.0)])
        _patch(self.shift, NAME, version, steps)
        return version

    def at_weight(self, name: str, version: str, weight: int) -> None:
        """Waits until its canary has this weight."""

        def reached() -> tuple[object, str]:
            target = self.shift.status(name).get("target") or {}
            if target.get("version") == version and target.get("state") in ENDED:
                raise StageFailed(f"{name} {version} ended before it was at {weight} %: {_told(target)}")
            there = (target.get("version"), target.get("weight")) == (version, weight) and "reachedAt" in target
            return there, _told(target)

        self.shift.progress.wait(
            f"{name} {version} to be at {weight} %", 120 + 6 * self.options.pods, reached, every=0.5
        )

    def over(self, name: str, version: str, states: Iterable[str], seconds: float) -> str:
        """Waits until its target is in one of these states and no canary is left; the state."""

        def look() -> tuple[object, str]:
            target = self.shift.status(name).get("target") or {}
            left = self.shift.api.get("deployments", NS, f"{name}-canary")
            state = target.get("state", "")
            there = target.get("version") == version and state in states and left is None
            if target.get("version") == version and state in (*ENDED, "Promoted", "Refused") and state not in states:
                raise StageFailed(f"{name} {version}: {_told(target)}")
            return there and state, f"{_told(target)}; canary {'there' if left else 'gone'}"

        return str(self.shift.progress.wait(f"{name} {version} to be {' or '.join(states)}", seconds, look, every=0.5))

    def count(self, way: str, since: float, until: float) -> list[Request]:
        """Adds the operator's requests of this span, without those for the Lease."""
        time.sleep(2)  # until the last line of the log is written
        found = _requests(self.shift, since, until)
        self.found.counts.setdefault(way, []).append(len(found))
        self.found.kinds.setdefault(way, Counter()).update(f"{r.verb} {r.target}" for r in found)
        self.shift.progress.say(f"   {way}: {len(found)} requests in {until - since:.0f} s")
        return found

    # what is measured

    def promoted(self) -> None:
        """From the patch of the Release until a while after the promotion."""
        for _ in range(self.options.repeat):
            began = time.time()
            version = self.ship(STEPS)
            self.over(NAME, version, ["Promoted"], 240 + 12 * self.options.pods)
            wait_available(self.shift.api, self.shift.progress, NS, NAME, 60 + 6 * self.options.pods)
            time.sleep(AFTER)  # what follows from it is counted as well
            self.count("promoted", began, time.time())

    def aborted(self) -> None:
        """From the order until a while after the canary is gone."""
        for _ in range(self.options.repeat):
            version = self.ship(HELD)
            self.at_weight(NAME, version, 25)
            time.sleep(AFTER)  # what follows from it is counted as well
            began = time.time()
            _kubectl(self.shift, "annotate", "--overwrite", "release", NAME, f"opsloop.dev/abort={version}")
            self.over(NAME, version, ["Cancelled"], 60)
            time.sleep(AFTER)  # what follows from it is counted as well
            found = self.count("aborted", began, time.time())
            self.found.gates.append(len(gates.closings(found, NS)))

    def held(self) -> None:
        """A canary that nothing happens to."""
        version = self.ship(HELD)
        self.at_weight(NAME, version, 25)
        time.sleep(4 * AFTER)  # what follows from its last step
        began = time.time()
        time.sleep(self.options.watched)  # the measurement
        self.found.watched = time.time() - began
        self.count("held", began, began + self.found.watched)
        _kubectl(self.shift, "annotate", "--overwrite", "release", NAME, f"opsloop.dev/abort={version}")
        self.over(NAME, version, ["Cancelled"], 60)

    def bad(self) -> None:
        """Each of many canaries turns bad while the others hold."""
        names = [f"bad-{n:02d}" for n in range(self.options.bad)]
        self.metered.set([(name, "r0", 40.0, 0.0) for name in names])
        self.shift.apply([part for name in names for part in metered.workload(name, 1)])
        self.shift.apply([metered.release(name, "r0", HALF) for name in names])
        many = 60 + 6 * len(names)
        for name in names:
            wait_available(self.shift.api, self.shift.progress, NS, name, many)
            self.shift.progress.wait(f"{name} to be adopted", 60, lambda name=name: _has(self.shift, name, "live"))  # type: ignore[misc]
        self.metered.set([(name, "r1", 40.0, 0.0) for name in names])
        for name in names:
            _patch(self.shift, name, "r1", HALF)
        for name in names:
            self.at_weight(name, "r1", 50)
        time.sleep(4 * AFTER)  # some events of each
        for name in names:
            self._turn(name)

    def _turn(self, name: str) -> None:
        turned = time.time()
        self.metered.set([(name, "r1", 40.0, BAD_SHARE)])
        state = self.over(name, "r1", ENDED, 90)
        time.sleep(1)  # until the line of the log is written
        wait, after = reacted(_requests(self.shift, turned, time.time()), self.metered.answers(turned), name, turned)
        self.found.waits.append(wait)
        self.found.flips.append(after)
        reason = (self.shift.status(name).get("target") or {}).get("reason")
        self.shift.progress.say(
            f"   {name} {state} ({reason}): {1000 * wait:.0f} ms after the reading, {after:.1f} s after it turned"
        )

    def close(self) -> None:
        """Nothing stays."""
        clear(self.shift)
        wait_removed(self.shift.api, self.shift.progress, (NS, f"{NS}-ops"), 300)


def reacted(
    requests: Sequence[Request], answers: Sequence[tuple[float, str]], name: str, turned: float
) -> tuple[float, float]:
    """Seconds to the first write that takes a canary pod of `name` out of traffic, from the last answer of Prometheus about it
    before, and from when it turned bad. Raises StageFailed where either was not seen."""
    closings = [r for r in gates.closings(requests, NS) if r.name.startswith(f"{name}-canary-") and r.time >= turned]
    metered.require(bool(closings), f"no gate of {name} was closed, by the audit log")
    written = closings[0].time
    read = [at for at, query in answers if name in query and turned <= at <= written]
    metered.require(
        bool(read), f"no answer about {name} was sent before its gate was closed; {len(answers)} about others"
    )
    return written - max(read), written - turned


def _requests(shift: Shift, since: float, until: float) -> list[Request]:
    """The operator's, without those for the Lease."""
    found = audit.requests(audit.operator_user(shift.ops), since, until)
    return [r for r in found if r.resource != "leases"]


def _patch(shift: Shift, name: str, version: str, steps: Sequence[Object]) -> None:
    pod = {"containers": [{"name": "app", "env": [{"name": "RUN", "value": version}]}]}
    canary = {"canary": {"steps": list(steps)}}
    spec = {"version": version, "templatePatch": {"spec": pod}, "strategy": canary}
    _kubectl(shift, "patch", "release", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def _kubectl(shift: Shift, *arguments: str) -> None:
    shift.api.kubectl("-n", NS, *arguments)


def _has(shift: Shift, name: str, key: str) -> tuple[object, str]:
    status = shift.status(name)
    return status.get(key), f"status has {', '.join(sorted(status)) or 'nothing'}"


def _told(target: Object) -> str:
    words = (target.get(key, "") for key in ("version", "state", "weight", "reason", "message"))
    return " ".join(str(word) for word in words)[:300]


# the table


def rows(found: Found) -> list[dict[str, str]]:
    """min / median / max of each way, beside its goal."""
    lines = []
    for way in ("promoted", "aborted"):
        if counts := found.counts.get(way):
            lines.append(_row(f"API requests, {way}", counts, "{:.0f}", GOALS[way]))
    if found.gates:
        lines.append(_row("  of these, gates that were closed", found.gates, "{:.0f}", ""))
    if counts := found.counts.get("held"):
        what = f"API requests in an hour of holding, extrapolated from {found.watched:.0f} s"
        lines.append(_row(what, [count * 3600 / found.watched for count in counts], "{:.0f}", GOALS["held"]))
    if found.waits:
        lines.append(
            _row("bad reading → weight-0 write, ms", [1000 * w for w in found.waits], "{:.0f}", "≤ 30, p99 ≤ 300")
        )
        lines.append(_row("turned bad → weight-0 write, s", found.flips, "{:.1f}", ""))
    return lines


def _row(what: str, values: Sequence[float], form: str, goal: str) -> dict[str, str]:
    spread = " / ".join(form.format(f(values)) for f in (min, statistics.median, max))
    return {"figure": what, "min / median / max": spread, "runs": str(len(values)), "goal": goal}


def show(found: Found, pods: int, load: float) -> None:
    """Prints the table, and what the requests were."""
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    machine = f"{os.cpu_count()} cores, load average {load:.1f} → {os.getloadavg()[0]:.1f}"
    share.show(f"Rollouts, {at}: {pods} live pods that do nothing, on one kind node; {machine}", rows(found))
    for way, kinds in found.kinds.items():
        runs = len(found.counts[way])
        print(f"  {way}, a run: " + ", ".join(f"{number / runs:.1f} {what}" for what, number in kinds.most_common()))


def main() -> int:
    """0: it measured; 1 where it failed, after the table of what it had until then; 2 where it cannot begin here."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.rollouts", description=__doc__)
    parser.add_argument("ways", nargs="*", metavar="WAY", help=f"of {', '.join(WAYS)}; all where none is named")
    parser.add_argument("--repeat", type=int, default=5, help="promotions, and aborts")
    parser.add_argument("--pods", type=int, default=10, help="live pods")
    parser.add_argument(
        "--watched", type=float, default=120.0, help="seconds for which the hold is watched, at least 60"
    )
    parser.add_argument("--bad", type=int, default=20, help="canaries that turn bad")
    options = parser.parse_args()
    if unknown := set(options.ways) - set(WAYS):
        parser.error(f"no such way: {', '.join(sorted(unknown))}; there are {', '.join(WAYS)}")
    if options.watched < 60:
        parser.error("--watched must be at least 60")
    load = os.getloadavg()[0]
    try:
        with session({NS, f"{NS}-ops"}) as pace, Client(pace) as client:
            bench = Bench(client, options)
            return measured(bench, options.ways or WAYS, lambda: show(bench.found, options.pods, load))
    except Refused as refusal:
        print(f"rollouts: {refusal}", file=sys.stderr)
        return REFUSED


def measured(bench: Bench, ways: Iterable[str], shown: Callable[[], None]) -> int:
    """Measures; the table is printed whatever happened."""
    try:
        bench.prepare()
        for way in (way for way in WAYS if way in ways):
            getattr(bench, way)()
    except (StageFailed, RuntimeError) as failure:
        print(f"FAILED {failure}", file=sys.stderr)
        return 1
    finally:
        if bench.found.counts or bench.found.waits:
            shown()
        try:
            bench.close()
        except (StageFailed, RuntimeError) as failure:
            print(f"not all of it is removed: {failure}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
