"""An SLI's readings in the past: the operator's own query and parser, window by window, so that each can be read ahead."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from opsloop.api.slo import Sli, Slo
from opsloop.core.slo import promql
from opsloop.core.slo.pods import Scope
from opsloop.errors import OpsloopError
from opsloop.shell.backtest.ahead import ReadAhead
from opsloop.shell.ports import Sample
from opsloop.shell.slo.query import SliQuery

NO_END = timedelta(days=1)  # the time-out of a query is the reader's of the past, not this one


class PastQuery(SliQuery):
    """Queries about one SLI at a time, as of times that are past."""

    def __init__(self, telemetry: ReadAhead, resolution: timedelta) -> None:
        super().__init__(telemetry, NO_END, resolution)
        self._ahead = telemetry
        # By scope, and by field of the SLI and window: the expressions are the same all the time
        self._texts: dict[Scope, dict[tuple[str, timedelta], str]] = {}

    async def readings(
        self, objective: Slo, scope: Scope, windows: Collection[timedelta], splits: promql.Splits, at: datetime
    ) -> promql.Parsed:
        """As the operator's; each window is an expression of its own, asked at its own regular times."""
        texts = self._texts.setdefault(scope, {})
        field = objective.sli.field
        asked = [self._text(texts, field, objective.sli, window, scope) for window in windows]
        asked += [promql.window_query(objective.sli, (), splits, self._resolution, scope)] if splits else []
        try:
            answers = await self._answers([query for query in asked if query], at)
        except OpsloopError as error:
            failure = await self._explain(objective, scope, error, at)
            return promql.Parsed(dict.fromkeys(windows, failure), dict.fromkeys(splits, failure))
        return promql.parse([one for answer in answers for one in answer], objective.sli, windows, splits, scope)

    async def _answers(self, asked: Sequence[str], at: datetime) -> Sequence[list[Sample]]:
        """Of most looks all is read ahead: then nothing is waited for, which is most of what such a look costs."""
        ready = [self._ahead.ready(query, at) for query in asked]
        if not any(one is None for one in ready):
            return [one for one in ready if one is not None]
        return await asyncio.gather(*(self._in_time(self._telemetry.instant(query, at)) for query in asked))

    def _text(
        self, texts: dict[tuple[str, timedelta], str], field: str, sli: Sli, window: timedelta, scope: Scope
    ) -> str:
        key = field, window
        if key not in texts:
            texts[key] = promql.window_query(sli, {window}, {}, self._resolution, scope)
        return texts[key]

    async def lag(self, sli: Sli, scope: Scope, at: datetime) -> float | None:
        """Nobody can say: what was late then has arrived."""
        return None

    async def rates(self, objective: Slo, scope: Scope, ends: Mapping[str, datetime]) -> dict[str, float]:
        """None are read: traffic that is gone is told as no events, which decides the same about pages."""
        return {}
