"""One episode: a weather lived through by opsloop, or by a judge in its place."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from opsloop.entry.settings import Settings
from opsloop.shell.ports import Object
from opsloop.simulator import manifests
from opsloop.simulator.burn import LATENCY, Counts, Objective, objectives
from opsloop.simulator.fakes.pager import FakePager
from opsloop.simulator.loop import LeapLoop, run
from opsloop.simulator.mechanics import Judge, Mechanics
from opsloop.simulator.record import Record, Watcher
from opsloop.simulator.replicas import Replicas
from opsloop.simulator.rest import unrest
from opsloop.simulator.service import Service, Tally
from opsloop.simulator.weather import HOLDS, MAIN, PAGE_FACTOR, Happening, Weather
from opsloop.simulator.world import STEP, World

TICK = timedelta(seconds=15)
FIX = "v9"


Tell = Callable[[float, str], None]
"""Hears (seconds, line of the story)."""


class Users:
    """Tells when the share of bad requests that users see changes its band: within budget, above it, or paging."""

    def __init__(self, world: World, service: Service, objective: Objective) -> None:
        self._world, self._service, self._objective = world, service, objective
        self._band, self._read, self._seen = 0, 0, Counts(0.0, 0.0)

    def look(self) -> None:
        """Once a minute."""
        now = self._world.now()
        if int(now) % 60:
            return
        tallies = self._world.traffic[self._service.name].tallies
        for tally in tallies[self._read :]:
            self._seen.add(tally.at, self._objective.bad(tally), tally.total)
        self._read = len(tallies)
        bad, total = self._seen.window(now, 120)
        if total < 20:
            return
        burn = bad / total / self._objective.budget
        band = 2 if burn > PAGE_FACTOR else 1 if burn > 2 and bad >= 5 else 0 if burn < 1.5 else self._band
        if band != self._band:
            self._band = band
            how = "slow" if self._objective.name == LATENCY else "bad"
            self._world.tell(
                f"users of {self._service.name}: {bad / total:.1%} of requests {how}, {burn:.1f} x the budget"
            )


class RecordingPager(FakePager):
    """Tells a Record of each delivery."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record

    async def page(self, receiver: str, payload: Object) -> str:
        """As the port says."""
        answer = await super().page(receiver, payload)
        self._record.paged(payload)
        return answer


@dataclass(slots=True)
class Episode:
    """What came of a weather. `tallies` by service: what users saw."""

    weather: Weather
    record: Record
    tallies: dict[str, list[Tally]]
    story: list[tuple[float, str]]
    failures: list[str]
    unsupported: list[str]


def live_through(
    weather: Weather, judge: Judge | None = None, tick: timedelta = TICK, tell: Tell = lambda at, text: None,
    begun: Callable[[World], None] = lambda world: None,
) -> Episode:  # fmt: skip
    """Plays a weather to its end: with opsloop, or where a judge is given with that.

    `tell` hears the story as it goes; `begun` is called with the world before anything happens in it.
    """
    return run(_play(weather, judge, tick, tell, begun), LeapLoop(float(STEP)))


async def _play(
    weather: Weather, judge: Judge | None, tick: timedelta, tell: Tell, begun: Callable[[World], None]
) -> Episode:
    world = World(weather.seed, weather.start, weather.services, weather.live, weather.labelled)
    world.on_tell = tell
    begun(world)
    world.after_step += [Users(world, s, one).look for s in weather.services for one in objectives(s)]
    record = Record(world.now, world.tell)
    world.alerting.severity = weather.severity
    world.alerting.services = weather.services if weather.alerts else ()
    world.alerting.stuck = {s.name for s in weather.services} if weather.stuck else set()
    fix = _fix(weather)
    for happening in (*weather.happenings, fix):
        _scheduled(world, happening)
    if judge is None:
        failures = await _with_opsloop(world, weather, record, tick)
    else:
        failures = await _with_judge(world, weather, record, judge)
    tallies = {name: traffic.tallies for name, traffic in world.traffic.items()}
    return Episode(weather, record, tallies, world.story, failures, world.telemetry.unsupported)


def _fix(weather: Weather) -> Happening:
    if weather.fix_by_push:
        return Happening(weather.fix_at, f"kubectl-set pushes the fix {FIX} to {MAIN}", lambda w: w.push(MAIN, FIX))
    return Happening(weather.fix_at, f"the Release {MAIN} asks for the fix {FIX}", lambda w: w.ship(MAIN, FIX))


def _scheduled(world: World, happening: Happening) -> None:
    """The happening at its time, told before it takes effect."""

    def do() -> None:
        if happening.text:
            world.tell(happening.text)
        happening.do(world)

    world.at(happening.at, do)


async def _with_opsloop(world: World, weather: Weather, record: Record, tick: timedelta) -> list[str]:
    for service in weather.services:
        world.cluster.seed(manifests.release(service, weather.live[service.name], weather.form, HOLDS))
    world.cluster.seed(manifests.account())
    world.cluster.seed(manifests.runbook())
    replicas = Replicas(world, Settings(tick=tick, workers=1), RecordingPager(record))
    world.watchers.append(Watcher(record))
    world.at(weather.fix_at - STEP, lambda: record.unrest.extend(unrest(world, weather)))
    await replicas.start()
    while world.now() <= weather.horizon and not replicas.broken:
        world.step()
        await replicas.look()
        await asyncio.sleep(STEP)
    await replicas.stop()
    return replicas.failures


async def _with_judge(world: World, weather: Weather, record: Record, judge: Judge) -> list[str]:
    mechanics = Mechanics(world, weather, judge, record)
    world.on_ship = mechanics.ship
    while world.now() <= weather.horizon:
        world.step()
        mechanics.look()
        await asyncio.sleep(STEP)
    return []
