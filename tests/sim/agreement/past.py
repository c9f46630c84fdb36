"""Pages of the whole operator, and those that a backtest finds in the same Prometheus afterwards.

`python -m tests.sim.agreement.past [--seeds N] [--first N] [--step SECONDS …]`. The operator runs without a Runbook and without
alerts, so that it only watches and calls; then `opsloop backtest` reads the episode's history. With a step of the operator's tick
both must call at the same reads; a longer step may be late by it, and may miss what is shorter. What the operator could not see
(telemetry-gone: Prometheus did not answer; scrapes: samples came late) is in the history all the same, so that a backtest may call
earlier than it did; and it reads one Release alone (dependency: the operator calls for what the service depends on).
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing import get_context
from typing import Any

from opsloop.api.release import Release
from opsloop.core.backtest.results import Backtest
from opsloop.entry.settings import Settings
from opsloop.shell.backtest.ahead import Bounds
from opsloop.shell.backtest.run import Asking, backtest
from opsloop.simulator import kinds, manifests
from opsloop.simulator.episode import TICK, RecordingPager
from opsloop.simulator.loop import LeapLoop, run
from opsloop.simulator.process import Process
from opsloop.simulator.record import Record, Watcher
from opsloop.simulator.scraping import EVERY
from opsloop.simulator.weather import HOLDS, MAIN, Weather
from opsloop.simulator.world import NS, STEP, World

KINDS = ("bad-push", "slow-push", "slight-push", "outage", "config", "quiet", "night")
"""Kinds of weather in which Prometheus answers all the time and nothing comes late: the history is what the operator saw."""
SCRAPE = timedelta(seconds=EVERY)
LATE = timedelta(seconds=2 * STEP)  # a page is sent at the next look of the Incident, after its verdict


@dataclass(frozen=True, slots=True)
class Found:
    """Times of the calls of the main service's Incidents, the operator's and the backtest's, in seconds since the start."""

    seed: int
    kind: str
    step: timedelta
    operator: tuple[float, ...]
    backtest: tuple[float, ...]
    resolved: tuple[tuple[float, ...], tuple[float, ...]]
    queries: int
    looks: int

    @property
    def agree(self) -> bool:
        """As many calls, each within a step."""
        return len(self.operator) == len(self.backtest) and all(
            abs(one - other) <= (self.step + LATE).total_seconds()
            for one, other in zip(self.operator, self.backtest, strict=True)
        )


def compare(seed: int, kind: str, steps: Iterable[timedelta] = (TICK,)) -> list[Found]:
    """Lives through a weather, and asks its history once for each step."""
    return run(_compare(kinds.weather(seed, kind), list(steps)), LeapLoop(float(STEP)))


async def _compare(weather: Weather, steps: list[timedelta]) -> list[Found]:
    weather = replace(weather, alerts=False)
    world = World(weather.seed, weather.start, weather.services, weather.live, weather.labelled)
    record = Record(world.now, world.tell)
    world.alerting.services = ()
    world.watchers.append(Watcher(record))
    for happening in weather.happenings:
        world.at(happening.at, lambda do=happening.do: do(world))  # type: ignore[misc]
    world.at(weather.fix_at, lambda: world.push(MAIN, "v9"))
    written = manifests.release(weather.main, weather.live[MAIN], weather.form, HOLDS)
    for service in weather.services:
        world.cluster.seed(manifests.release(service, weather.live[service.name], weather.form, HOLDS))
    process = Process(world, Settings(tick=TICK, workers=1), RecordingPager(record))
    await process.start()
    while world.now() <= weather.horizon:
        world.step()
        process.look()
        await asyncio.sleep(STEP)
    await process.stop()
    assert not process.failures, process.failures
    return [await _asked(weather, world, record, written, step) for step in steps]


async def _asked(weather: Weather, world: World, record: Record, written: Any, step: timedelta) -> Found:
    until = weather.start + (world.clock.now() - weather.start) // step * step
    result = await read(world, written, weather.start, until, step)
    main = {name for name, one in record.incidents.items() if one.service == MAIN}
    sent = tuple(p.at for p in record.pages if p.incident in main and not p.ends)
    [tried] = result.tried

    def seconds(at: datetime) -> float:
        return (at - weather.start).total_seconds()

    calls = tuple(sorted(seconds(at) for one in tried.episodes for at in one.calls))
    ends = tuple(seconds(end) for one in tried.paged for _, end in one.spans if end)
    over = tuple(end for name in sorted(main) for _, end in record.incidents[name].open if end < weather.horizon)
    looks = tried.each[0].sight.looks
    return Found(weather.seed, weather.kind, step, sent, calls, (over, ends), result.queries, looks)


async def read(world: World, written: Any, since: datetime, until: datetime, step: timedelta) -> Backtest:
    """The backtest of one Release over the world's Prometheus."""
    release = Release.model_validate({**written, "metadata": {"name": MAIN, "namespace": NS}})
    asking = Asking(release, (), since, until, step, SCRAPE, timedelta(0), (), "")
    return await backtest(world.telemetry, asking, Bounds(100_000, 1_000_000_000, 3600.0), lambda text: None)


def main() -> int:
    """Prints a row for each episode and step; 1 where one differs at the operator's own tick."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.agreement.past", description=__doc__)
    parser.add_argument("--seeds", type=int, default=12, help="episodes; default: %(default)s")
    parser.add_argument("--first", type=int, default=1, help="first seed; default: %(default)s")
    parser.add_argument("--step", type=int, nargs="+", default=[15, 60], help="seconds; default: 15 60")
    parser.add_argument("--kind", nargs="+", default=list(KINDS), help="kinds in turn")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    steps = [timedelta(seconds=step) for step in options.step]
    found = list[Found]()
    for each in _all(seeds, options.kind, steps, options.processes):
        found += each
        for one in each:
            print(_line(one), flush=True)
    for step in steps:
        rows = [one for one in found if one.step == step]
        calls, differ = sum(len(one.operator) for one in rows), [one for one in rows if not one.agree]
        worst = max(
            (abs(a - b) for one in rows if one.agree for a, b in zip(one.operator, one.backtest, strict=True)),
            default=0.0,
        )
        print(
            f"step {step.total_seconds():.0f} s: {len(rows)} episodes with {calls} pages of the operator,"
            f" {len(differ)} episodes differ; of the others the latest page is {worst:.0f} s off"
        )
    return 1 if any(one.step == TICK and not one.agree for one in found) else 0


def _all(seeds: Iterable[int], wanted: list[str], steps: list[timedelta], processes: int) -> Iterator[list[Found]]:
    tasks = [(seed, wanted[(seed - 1) % len(wanted)]) for seed in seeds]
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        yield from pool.map(compare, *zip(*tasks, strict=True), [steps] * len(tasks))


def _line(one: Found) -> str:
    times = [", ".join(f"{at:.0f}" for at in side) or "none" for side in (one.operator, one.backtest)]
    ends = [", ".join(f"{at:.0f}" for at in side) or "none" for side in one.resolved]
    return (
        f"{'agree ' if one.agree else 'DIFFER'} --kind {one.kind} --seed {one.seed} step {one.step.total_seconds():.0f} s:"
        f" paged {times[0]}; backtest {times[1]}; resolved {ends[0]}; {ends[1]}; {one.queries} queries for {one.looks} looks"
    )


if __name__ == "__main__":
    sys.exit(main())
