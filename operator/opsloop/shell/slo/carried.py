"""Asks what counters carried over gaps in the telemetry: once a scrape, and only while missing data alone keep a tier from firing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.api.slo import Slo
from opsloop.core.readings import Reading, Verdict
from opsloop.core.slo import carried
from opsloop.core.slo.pods import Scope
from opsloop.shell.slo.query import SliQuery


@dataclass(slots=True)
class CarriedReader:
    """Reads for one objective."""

    query: SliQuery
    resolution: timedelta  # Prometheus' scrape interval: nothing else is known before the next one
    _asked: datetime | None = None
    _windows: frozenset[timedelta] = frozenset()  # that were asked about then
    _shares: dict[timedelta, float] = field(default_factory=dict)

    async def read(
        self, objective: Slo, scope: Scope, verdict: Verdict, standing: Mapping[timedelta, Reading], at: datetime
    ) -> Mapping[timedelta, Reading]:
        """The readings, of which the doubtful windows are covered as far as counters carry on over their gaps."""
        windows = carried.doubtful(objective, verdict)
        if not windows:
            return standing
        if self._asked is None or at - self._asked >= self.resolution or not windows <= self._windows:
            self._shares = await self.query.carried(objective.sli, scope, windows, at)
            self._asked, self._windows = at, windows
        return carried.raised(standing, {window: self._shares.get(window, 0.0) for window in windows})
