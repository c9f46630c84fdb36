"""What the whole operator did with its canaries, and when it read what."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from unittest.mock import patch

from opsloop.api.meta import parse_time
from opsloop.api.slo import ONLY
from opsloop.core.readings import Readings, Verdict
from opsloop.shell.ports import NamespacedName, Object
from opsloop.shell.slo.poller import ReadingStore
from opsloop.simulator.prometheus.store import Store
from opsloop.simulator.weather import MAIN
from opsloop.simulator.world import World


@dataclass(slots=True)
class Try:
    """One canary in traffic. Times are seconds since it took traffic."""

    since: datetime
    began: float  # in seconds of the simulation
    version: str
    live: str  # version beside it
    steps: list[float] = field(default_factory=list)  # when each was decided
    reached: dict[int, float] = field(default_factory=dict)  # step → when its weight was reached
    ended: float | None = None
    state: str = ""
    reason: str = ""
    held: dict[int, str] = field(default_factory=dict)  # step → why it was held last


@dataclass(frozen=True, slots=True)
class Heard:
    """An objective was read by a process of the operator, the first one is 0. `answered`: Prometheus did."""

    process: int
    service: str
    objective: str
    verdict: Verdict
    answered: bool


class Observer:
    """Follows an episode: canaries of the main service's Release, and reads of all objectives."""

    def __init__(self) -> None:
        self.tries: list[Try] = []
        self.revision: dict[str, str] = {}  # pod → version
        self.on_read: list[Callable[[Heard], None]] = []
        self.on_step: list[Callable[[], None]] = []
        self._processes: list[ReadingStore] = []
        self._world: World | None = None

    def begin(self, world: World) -> None:
        """The episode begins."""
        self._world = world
        world.watchers.append(self._stored)
        world.after_step.append(self._stepped)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hears what each process of the operator reads meanwhile."""
        put = ReadingStore.set

        def heard(readings_of: ReadingStore, key: NamespacedName, readings: Readings, name: str = ONLY) -> None:
            if readings.verdict is not None:
                self._heard(readings_of, key[1], name, readings.verdict)
            put(readings_of, key, readings, name)

        with patch.object(ReadingStore, "set", heard):
            yield

    def _heard(self, of: ReadingStore, service: str, name: str, verdict: Verdict) -> None:
        if not any(of is one for one in self._processes):
            self._processes.append(of)
        number = next(n for n, one in enumerate(self._processes) if one is of)
        heard = Heard(number, service, name, verdict, not self.world.scraper.weakness.down)
        for hear in self.on_read:
            hear(heard)

    @property
    def world(self) -> World:
        """Where it happens."""
        assert self._world is not None
        return self._world

    @property
    def store(self) -> Store:
        """All samples that have arrived."""
        return self.world.store

    def _stepped(self) -> None:
        self.revision |= dict(self.world.pods_of(MAIN))
        for hear in self.on_step:
            hear()

    def _stored(self, obj: Object) -> None:
        status = obj.get("status", {}) if (obj["kind"], obj["metadata"]["name"]) == ("Release", MAIN) else {}
        target = status.get("target")
        if not target or not target.get("traffic"):
            return
        times, now = [parse_time(text) for text in target["traffic"]], self.world.now()
        if not self.tries or self.tries[-1].since != times[0]:
            live = next(one["version"] for one in status["revisions"] if one["digest"] == status["live"])
            self.tries.append(Try(times[0], now, target["version"], live))
        run = self.tries[-1]
        run.steps = [(at - times[0]).total_seconds() for at in times]
        held = next((one for one in status.get("conditions", []) if one["type"] == "Held"), None)
        if held and held["status"] == "True" and target["state"] == "Stepping":
            run.held[target.get("step", 0)] = f"{held['reason']}: {held['message']}"
        if target.get("reachedAt"):
            run.reached[target.get("step", 0)] = (parse_time(target["reachedAt"]) - times[0]).total_seconds()
        if target["state"] != "Stepping" and run.ended is None:
            run.ended, run.state, run.reason = now - run.began, target["state"], target.get("reason", "")
