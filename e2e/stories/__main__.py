"""`python -m e2e.stories`: all stories side by side; prints the seconds of each, ends with exit 1 if one failed.

`--only NAME…` runs some. `--soak` runs more seeds as well.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from e2e.harness.client import Client
from e2e.harness.pace import Pace
from e2e.harness.progress import Progress, StageFailed
from e2e.harness.session import REFUSED, Refused, session, wait_removed
from e2e.stories import (
    accidents,
    back,
    chart,
    checked,
    commands,
    console,
    contracts,
    drilled,
    guard,
    learn,
    life,
    lost,
    overlap,
    podinfo,
    replicas,
    runbooks,
    sabotage,
    shifts,
    traffic,
    underload,
)

Story = Callable[[Client, str, int], None]
STORIES: dict[str, tuple[Story, int]] = {  # the longest first, so that none of them is left alone at the end
    "killed-2": (shifts.killed_shift, 2),
    "shift-1": (shifts.whole_shift, 1),
    "runbooks-16": (runbooks.runbooks, 16),
    "contracts-5": (contracts.real_world, 5),
    "podinfo-6": (podinfo.podinfo, 6),
    "replicas-7": (replicas.replicas, 7),
    "sabotage-14": (sabotage.sabotage, 14),
    "overlap-8": (overlap.overlap, 8),
    "accidents-17": (accidents.accidents, 17),
    "guard-10": (guard.guard, 10),
    "traffic-18": (traffic.traffic, 18),
    "life-9": (life.life, 9),
    "checked-20": (checked.checked, 20),
    "commands-12": (commands.commands, 12),
    "norunbook-3": (shifts.no_runbook, 3),
    "idle-4": (shifts.idle_forgery, 4),
}
BESIDE = {"runbooks-16": ("runbooks-16-tenant",), "chart-20": (chart.SECOND,)}  # further namespaces of a story
SOAK: dict[str, tuple[Story, int]] = {
    f"{kind}-{seed}": (story, seed)
    for seed in range(5, 10)
    for kind, story in (("shift", shifts.whole_shift), ("killed", shifts.killed_shift))
}
SOAK["drill-14"] = (drilled.drilled, 14)
SOAK["learn-13"] = (learn.learn, 13)
SOAK["shopdrill-1"] = (drilled.shop_drilled, 1)
SOAK["underload-21"] = (underload.underload, 21)
SOAK["back-20"] = (back.back, 20)
SOAK["console-20"] = (console.console, 20)
SOAK["kills-19"] = (accidents.kills, 19)
SOAK["chart-20"] = (chart.chart, 20)
SOAK["lost-22"] = (lost.lost, 22)
ALONE = {"lost-22"}  # it takes what all others stand on: played when they have ended


@dataclass(frozen=True)
class Result:
    """How a story ended; `failure` is "" where it passed."""

    name: str
    seconds: float
    failure: str


def main() -> int:
    """0 when all passed, 1 where one failed, 2 for wrong usage or where the run cannot begin here."""
    parser = argparse.ArgumentParser(prog="python -m e2e.stories", description=__doc__)
    parser.add_argument("--soak", action="store_true", help="the longer list")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help=f"of {', '.join(STORIES)}")
    options = parser.parse_args()
    stories = STORIES | SOAK
    if unknown := set(options.only) - set(stories):
        parser.error(f"no such story: {', '.join(sorted(unknown))}; there are {', '.join(stories)}")
    names = options.only or list(stories if options.soak else STORIES)
    began = time.monotonic()
    try:
        with session(namespaces(names)) as pace:
            results = play({name: stories[name] for name in names}, pace)
    except Refused as refusal:
        print(f"stories: {refusal}", file=sys.stderr)
        return REFUSED
    print(table(results, time.monotonic() - began))
    return 1 if any(result.failure for result in results) else 0


def namespaces(names: Collection[str]) -> set[str]:
    """The namespaces that these stories make."""
    return {namespace for name in names for namespace in (name, f"{name}-ops", *BESIDE.get(name, ()))}


def play(stories: dict[str, tuple[Story, int]], pace: Pace) -> list[Result]:
    """Runs the stories as many at once as the machine carries, and waits until those that passed are cleared away."""
    print(f"{len(stories)} stories, {pace.stories} at once", flush=True)
    with ThreadPoolExecutor(pace.stories) as pool:
        running = [pool.submit(play_one, n, *each, pace) for n, each in stories.items() if n not in ALONE]
        results = [future.result() for future in running]
    results += [play_one(n, *each, pace) for n, each in stories.items() if n in ALONE]
    passed = [result.name for result in results if not result.failure]
    with Client(pace) as client:
        wait_removed(client, Progress(pace), sorted(namespaces(passed)), 180)
    return results


def play_one(name: str, story: Story, seed: int, pace: Pace) -> Result:
    """Runs one story. Where it fails, its objects stay for looking around and its load ends."""
    started, failure = time.monotonic(), ""
    with Client(pace) as client:
        try:
            story(client, name, seed)
        except StageFailed as error:
            failure = str(error)
        except Exception:
            failure = traceback.format_exc()
        spent = time.monotonic() - started
        if failure:
            print(f"{name:<12} FAILED after {spent:.1f} s: {failure}", flush=True)
            shifts.quieten(client, name)
    return Result(name, spent, failure)


def table(results: Sequence[Result], seconds: float) -> str:
    """Seconds and result of each story, and of all together."""
    rows = ["", "story           seconds   result"]
    for result in results:
        lines = result.failure.strip().splitlines() or ["passed"]
        # of a traceback the last line says what it was
        outcome = lines[-1] if lines[0].startswith("Traceback") else lines[0]
        rows.append(f"{result.name:<14} {result.seconds:8.1f}   {'FAILED: ' if result.failure else ''}{outcome}")
    failed = sum(1 for result in results if result.failure)
    return "\n".join([*rows, "", f"{len(results) - failed} passed, {failed} failed in {seconds:.0f} s"])


if __name__ == "__main__":
    sys.exit(main())
