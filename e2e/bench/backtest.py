"""What a backtest costs: `python -m e2e.bench.backtest [--days 1 7 30]`: one Release, four pods, scrapes of 15 s, a deploy every other day.

The history is in a real Prometheus of this machine (tests/contract/model/real.py), in a process of its own, so that the CPU seconds are
those of the command alone, with Prometheus' beside it; with `--model` it is in the model of Prometheus, in this process. `--profile` says
where they go.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from os import sysconf
from pathlib import Path
from time import perf_counter, process_time
from typing import TypeVar

import aiohttp

from opsloop.adapters.prometheus import Prometheus
from opsloop.core.backtest.results import Backtest
from opsloop.entry.cli.backtests import COARSE, FINE
from opsloop.shell.backtest.ahead import Bounds
from opsloop.shell.backtest.run import Asking, backtest
from opsloop.shell.ports import Sample, Series, Telemetry
from tests.builders.past import HASHES, START, Era, history, release, telemetry
from tests.contract.model import real

T = TypeVar("T")
DAY = 24 * 60  # minutes
BEFORE = 3  # days of history before the first look: the longest window
FAULTS: Sequence[tuple[int, int, float]] = ((600, 640, 0.2), (1000, 1300, 0.1))
"""Of each fourth day: (from, to, share of bad requests) in minutes; the first pages at once, the second after hours."""


class Counting:
    """A Telemetry that counts what it is asked and what it answers, and the CPU seconds of one that is in this process."""

    def __init__(self, one: Telemetry) -> None:
        self._one, self.queries, self.answered, self.cpu = one, 0, 0, 0.0

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        """As the port."""
        found = await self._timed(lambda: self._one.instant(query, at))
        self.answered += len(found)
        return found

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        """As the port."""
        return self._counted(await self._timed(lambda: self._one.range(query, start, end, step)))

    async def samples(self, query: str, at: datetime) -> list[Series]:
        """As the port."""
        return self._counted(await self._timed(lambda: self._one.samples(query, at)))

    def _counted(self, found: list[Series]) -> list[Series]:
        self.answered += sum(len(one.points) for one in found)
        return found

    async def _timed(self, ask: Callable[[], Awaitable[T]]) -> T:
        self.queries += 1
        began = process_time()
        try:
            return await ask()
        finally:
            self.cpu += process_time() - began


def past(days: int) -> list[real.Written]:
    """The series of a service whose versions come and go."""
    eras = [Era(day * DAY, f"v{day}", HASHES[0][:-3] + f"{day:03}", 0.001) for day in range(0, BEFORE + days, 2)]
    faults = [(day * DAY + a, day * DAY + b, share) for day in range(0, BEFORE + days, 4) for a, b, share in FAULTS]
    return list(history(eras, (BEFORE + days) * DAY, outages=faults))


def children() -> float:
    """CPU seconds of the processes that this one started and that still run."""
    pids = [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / sysconf("SC_CLK_TCK")


@asynccontextmanager
async def held(days: int, modelled: bool) -> AsyncIterator[Telemetry]:
    """A Prometheus with that history."""
    series, minutes = past(days), (BEFORE + days) * DAY
    if modelled:
        yield telemetry([(dict(labels), list(points)) for labels, points in series], minutes)
        return
    with real.running(real.fetched()) as server:
        server.write(series)
        async with aiohttp.ClientSession() as session:
            yield Prometheus.over_http(session, f"http://127.0.0.1:{server.port}")


async def measured(days: int, modelled: bool, profiled: bool) -> str:
    """A row of the table."""
    async with held(days, modelled) as one:
        counting, since = Counting(one), START + timedelta(days=BEFORE)
        scrape, until = timedelta(seconds=15), since + timedelta(days=days)
        step = scrape if timedelta(days=days) <= FINE else COARSE
        asking = Asking(release(), (), since, until, step, scrape, timedelta(0), (), "")
        profile = cProfile.Profile() if profiled else None
        began, cpu, theirs = perf_counter(), process_time(), children()
        if profile:
            profile.enable()
        found = await backtest(counting, asking, Bounds(2000, 10_000_000, 120.0), lambda text: None)
        if profile:
            profile.disable()
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(40)
        cpu, wall, theirs = process_time() - cpu, perf_counter() - began, children() - theirs
    if modelled:
        cpu, theirs = cpu - counting.cpu, counting.cpu
    return (
        f"{days:>3} d  {wall:6.1f} s, CPU {cpu:6.1f} s, Prometheus' {theirs:6.1f} s  {counting.queries:>4} queries"
        f"  {counting.answered:>9,} samples  {said(found)}"
    )


def said(found: Backtest) -> str:
    """What was found, in a few words, so that two runs can be held against each other."""
    one = found.tried[0]
    pages = sum(episode.pages for episode in one.episodes)
    outcomes = [rollout.outcome for _, rollout in one.rollouts]
    return f"{len(one.episodes)} Incidents, {pages} paged, {len(found.deploys.new)} deploys ({', '.join(sorted(set(outcomes)))})"


def main() -> None:
    """Print a row for each number of days."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.backtest", description=__doc__)
    parser.add_argument("--days", type=int, nargs="+", default=[1, 7, 30])
    parser.add_argument("--model", action="store_true", help="read the model of Prometheus, in this process")
    parser.add_argument("--profile", action="store_true", help="where the CPU goes, on stderr")
    options = parser.parse_args()
    for days in options.days:
        print(asyncio.run(measured(days, options.model, options.profile)), flush=True)


if __name__ == "__main__":
    main()
