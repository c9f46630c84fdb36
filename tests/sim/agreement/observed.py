"""What the whole operator did with its canaries, and the samples that its Prometheus stored meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from unittest.mock import patch

from opsloop.api.meta import parse_time
from opsloop.api.slo import ONLY
from opsloop.core.facts import Readings, Verdict
from opsloop.core.slo.rounds import Scrape
from opsloop.shell.ports import NamespacedName, Object
from opsloop.shell.slo.poller import ReadingStore
from opsloop.simulator.prometheus.store import Store
from opsloop.simulator.scraping import EVERY, METRIC
from opsloop.simulator.weather import MAIN
from opsloop.simulator.world import World

WAITED = 3 * EVERY  # seconds: a live pod that appears later was not there before


@dataclass(slots=True)
class Try:
    """One canary in traffic. Times are seconds since it took traffic."""

    since: datetime
    began: float  # in seconds of the simulation
    version: str
    steps: list[float] = field(default_factory=list)  # when each was decided
    reached: dict[int, float] = field(default_factory=dict)  # step → when its weight was reached
    ended: float | None = None
    state: str = ""
    reason: str = ""


class Observer:
    """Follows an episode: canaries of the main service's Release, and the verdicts on all objectives."""

    def __init__(self) -> None:
        self.tries: list[Try] = []
        self.verdicts: dict[tuple[int, str, str], list[Verdict]] = {}  # (process, service, objective), in order
        self._processes: list[ReadingStore] = []
        self.revision: dict[str, str] = {}  # pod → version
        self._world: World | None = None

    def begin(self, world: World) -> None:
        """The episode begins."""
        self._world = world
        world.watchers.append(self._stored)
        world.after_step.append(self._pods)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hears what each process of the operator reads meanwhile."""
        put = ReadingStore.set

        def heard(readings_of: ReadingStore, key: NamespacedName, readings: Readings, name: str = ONLY) -> None:
            put(readings_of, key, readings, name)
            self._concluded(readings_of, key[1], name, readings.verdict)

        with patch.object(ReadingStore, "set", heard):
            yield

    def _concluded(self, of: ReadingStore, service: str, name: str, verdict: Verdict | None) -> None:
        if not any(of is one for one in self._processes):
            self._processes.append(of)
        number = next(n for n, one in enumerate(self._processes) if one is of)
        if verdict is not None:
            self.verdicts.setdefault((number, service, name), []).append(verdict)

    @property
    def store(self) -> Store:
        """All samples."""
        assert self._world is not None
        return self._world.store

    def _pods(self) -> None:
        assert self._world is not None
        self.revision |= dict(self._world.pods_of(MAIN))

    def _stored(self, obj: Object) -> None:
        target = (
            obj.get("status", {}).get("target") if (obj["kind"], obj["metadata"]["name"]) == ("Release", MAIN) else None
        )
        if not target or not target.get("traffic"):
            return
        assert self._world is not None
        times, now = [parse_time(text) for text in target["traffic"]], self._world.now()
        if not self.tries or self.tries[-1].since != times[0]:
            self.tries.append(Try(times[0], now, target["version"]))
        run = self.tries[-1]
        run.steps = [(at - times[0]).total_seconds() for at in times]
        if target.get("reachedAt"):
            run.reached[target.get("step", 0)] = (parse_time(target["reachedAt"]) - times[0]).total_seconds()
        if target["state"] != "Stepping" and run.ended is None:
            run.ended, run.state, run.reason = now - run.began, target["state"], target.get("reason", "")


def scrapes(store: Store, run: Try, revision: dict[str, str], live: str, begin: float) -> Iterator[Scrape]:
    """The differences of canary's and live's counters by pod and scrape, in the order of time: no PromQL, no operator.

    From `begin` on, in seconds since the canary took traffic.
    """
    events: dict[tuple[float, str], dict[object, tuple[float, bool]]] = {}
    zero = run.since.timestamp()
    for series in store.candidates(METRIC):
        pod = series.labels.get("pod")
        if revision.get(pod) not in (run.version, live) or series.labels.get("job") != MAIN:
            continue
        bad = series.labels.get("code").startswith("5")
        for at, value in zip(series.points.times, series.points.values, strict=True):
            seconds = at / 1000 - zero
            if seconds >= begin:
                events.setdefault((seconds, pod), {})[series] = value, bad
    seen: dict[object, float] = {}
    known: set[str] = set()
    looked = min((when for when, _ in events), default=0.0)
    for (when, pod), values in sorted(events.items(), key=lambda item: item[0]):
        own = revision[pod] == run.version
        fresh = pod in known or own or when - looked > WAITED  # else its counters are from before
        new = [(value - seen.get(series, 0.0 if fresh else value), bad) for series, (value, bad) in values.items()]
        seen |= {series: value for series, (value, _) in values.items()}
        known.add(pod)
        yield Scrape(when, pod, own, sum((n for n, bad in new if bad), 0.0), sum(n for n, _ in new))
