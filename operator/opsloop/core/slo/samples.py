"""Raw samples of counters as events per scrape and pod: differences, with our own resets and births.

    reset    a value below the last one: the process began again, and all that it shows is new
    birth    a series that its process did not show at an earlier scrape counts with its first value; so does every series of
             a process that was not there while Prometheus looked, for longer than a pod is waited for
    baseline what was there before the canary took traffic, and a process of live that Prometheus had not looked at before

Nothing is scaled, so Σ = last − first for each series. What a sample says counts once, however often it is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from opsloop.core.slo.counters import Counters, Line
from opsloop.core.slo.counts import Points
from opsloop.core.slo.rounds import DEADLINE, Rounds, Scrape
from opsloop.core.statistics.evidence import Interval


@dataclass(slots=True)
class _Series:
    line: Line
    at: float = -inf  # seconds since the canary took traffic
    value: float = 0.0


@dataclass(slots=True)
class _Process:
    first: float  # scrape
    last: float = -inf
    told: bool = False  # it has shown a series of good (or bad) events


@dataclass(slots=True)
class Samples:
    """What was read of the counters of one canary and of live, and their open interval."""

    counters: Counters
    canary: str  # the canary's name among the revisions
    since: float  # when the canary took traffic, in seconds since the epoch
    every: float  # seconds between two scrapes
    rounds: Rounds = field(init=False)
    _series: dict[frozenset[tuple[str, str]], _Series | None] = field(default_factory=dict)
    _processes: dict[str, _Process] = field(default_factory=dict)
    _looked: float = inf  # the first sample of anything
    newest: float = -inf  # the last one, in seconds since the canary took traffic

    def __post_init__(self) -> None:
        self.rounds = Rounds(self.every)

    @property
    def size(self) -> int:
        """Series that count."""
        return sum(one is not None for one in self._series.values())

    def add(self, answer: Iterable[Points]) -> list[Interval]:
        """The intervals that these samples close. Samples that were read before are left out."""
        scrapes: dict[tuple[float, str], list[tuple[_Series, float]]] = {}
        for one in answer:
            series = self._of(one.labels)
            if series is None:
                continue
            for at, value in one.points:
                seconds = at.timestamp() - self.since
                if seconds > series.at and 0 <= value < inf:
                    scrapes.setdefault((seconds, series.line.process), []).append((series, value))
        closed = (self._scraped(at, process, found) for (at, process), found in sorted(scrapes.items(), key=_time))
        return [interval for interval in closed if interval is not None]

    def _of(self, labels: Mapping[str, str]) -> _Series | None:
        key = frozenset(labels.items())
        if key not in self._series:
            line = self.counters.line(labels)
            self._series[key] = _Series(line) if line else None
        return self._series[key]

    def _scraped(self, at: float, name: str, found: Sequence[tuple[_Series, float]]) -> Interval | None:
        self._looked, self.newest = min(self._looked, at), max(self.newest, at)
        own = found[0][0].line.revision == self.canary
        process = self._processes.get(name)
        if process is None:
            process = self._processes[name] = _Process(at)
        is_new = process.first >= at and (own or at - self._looked > DEADLINE * self.every)
        counted = total = 0.0
        for series, value in found:
            born = is_new or process.last > -inf
            if series.at > -inf:
                new = value - series.value if value >= series.value else value
            else:
                new = value if born else 0.0
            series.at, series.value = at, value
            counted += series.line.counted * new
            total += series.line.total * new
            process.told = process.told or series.line.counted > 0
        process.last = max(process.last, at)
        if self.counters.both and not process.told:
            return None
        bad = total - counted if self.counters.kind == "good" else counted
        return self.rounds.add(Scrape(at, name, own, bad, total))


def _time(item: tuple[tuple[float, str], object]) -> tuple[float, str]:
    return item[0]
