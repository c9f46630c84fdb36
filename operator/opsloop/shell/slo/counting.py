"""Two ways to count a canary: by the raw samples of each pod's counters, and by windows of PromQL.

Both give intervals in the order of time, each once, by at most one query per read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.api.slo import Slo
from opsloop.core.readings import Unknown
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import counts
from opsloop.core.slo.counters import Counters
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.rounds import DEADLINE
from opsloop.core.slo.samples import Samples
from opsloop.core.statistics.evidence import Interval
from opsloop.shell.slo.query import SliQuery

LOOKBACK = timedelta(hours=1)
"""Before the canary's traffic: who is there then was not born since, and how live was says what to expect of it. …"""

LEAST_LOOKBACK = 20
"""… At least so many scrapes, where all of it would be more than one answer."""

MOST_SERIES = 2_000
MOST_SAMPLES = 50_000  # of one answer


@dataclass(slots=True)
class ByWindows:
    """Counts of PromQL windows. `because`: why counts are not exact."""

    slo: Slo
    scope: Scope
    pair: counts.Pair
    windows: counts.Grid
    because: str
    number: int = 0  # of the last window that was counted

    @property
    def step(self) -> timedelta:
        """The length of an interval."""
        return self.windows.step

    @property
    def dispersion(self) -> float:
        """How much more a count varies than what was really seen."""
        return counts.DISPERSION

    async def read(self, query: SliQuery, at: datetime) -> Sequence[Interval | None] | Unknown:
        """The windows that have ended by `at`; None is a gap."""
        numbers = self.windows.after(self.number, at)
        if not numbers:
            return []
        answer = await query.counts(self.slo, self.scope, self.windows, numbers, self.pair)
        if not isinstance(answer, Unknown):
            self.number = numbers[-1]
        return answer


@dataclass(slots=True)
class ByPods:
    """Differences of each pod's counters since the canary took traffic."""

    counters: Counters
    canary: str
    since: datetime
    resolution: timedelta
    because: str = ""
    samples: Samples = field(init=False)
    until: datetime = field(init=False)  # samples up to here were read
    series: float | None = None  # that there were at first

    def __post_init__(self) -> None:
        every = self.resolution.total_seconds()
        self.samples = Samples(self.counters, self.canary, self.since.timestamp(), every)
        self.until = self.since - LOOKBACK

    @property
    def step(self) -> timedelta:
        """The longest that an interval takes while a pod of the canary is scraped."""
        return DEADLINE * self.resolution

    @property
    def dispersion(self) -> float:
        """Nothing is scaled."""
        return 1.0

    async def read(self, query: SliQuery, at: datetime) -> Sequence[Interval | None] | Unknown | str:
        """The intervals that the samples since the last read close; a sentence where it cannot go on so.

        The first read asks how many series there are, and a long time is caught up with in parts.
        """
        if self.series is None:
            return await self._measure(query, at)
        most = self.resolution * max(2 * DEADLINE, MOST_SAMPLES // max(1, round(self.series)))
        end = min(at, self.until + most)
        if end <= self.until:
            return []
        # one scrape more: a sample is seen a little after its time
        scrapes = -(-(end - self.until) // self.resolution) + 1
        answer = await query.samples(self.counters.query(scrapes * self.resolution), end)
        if isinstance(answer, Unknown):
            return f"no raw samples: {answer.detail}" if answer.reason == slo.QUERY_FAILED else answer
        closed = self.samples.add(answer)
        self.series = max(self.series, self.samples.size)
        if end < at:
            self.until = end
        elif self.samples.newest > (self.until - self.since).total_seconds():
            self.until = self.since + timedelta(seconds=self.samples.newest)
        return closed if self.samples.size <= MOST_SERIES else _too_many(self.samples.size)

    async def _measure(self, query: SliQuery, at: datetime) -> Sequence[Interval | None] | Unknown | str:
        number = await query.number(self.counters.size_query(LOOKBACK), at)
        if isinstance(number, Unknown):
            return f"the series cannot be counted: {number.detail}" if number.reason == slo.QUERY_FAILED else number
        self.series = number
        scrapes = max(LEAST_LOOKBACK, int(MOST_SAMPLES // max(1, number)))
        self.until = self.since - min(LOOKBACK, scrapes * self.resolution)
        return [] if number <= MOST_SERIES else _too_many(number)


def _too_many(series: float) -> str:
    return f"{series:.0f} series, more than {MOST_SERIES}"
