"""Reads the SLI over a time that is past, as a postmortem shows it."""

from datetime import datetime, timedelta

from opsloop.api.slo import Slo
from opsloop.core.postmortem.curve import MOST_POINTS, Curve
from opsloop.core.slo.pods import Scope
from opsloop.shell.slo.harm import INTERVAL, intervals
from opsloop.shell.slo.query import SliQuery


async def read(
    query: SliQuery,
    objective: Slo,
    scope: Scope,
    span: tuple[datetime, datetime],
    resolution: timedelta,
    usual: bool = True,
) -> Curve | None:
    """At most MOST_POINTS intervals between the two times, by one range query, and with `usual` the period up to then by another one, for
    its traffic; None where nothing answers or nothing happened."""
    start, end = span
    step = timedelta(
        seconds=max(1, -(-max(INTERVAL * resolution, (end - start) / MOST_POINTS) // timedelta(seconds=1)))
    )
    start = end - (end - start) // step * step
    counted = intervals(await query.series(objective, scope, start, end, step), step)
    if not counted:
        return None
    period = objective.period
    whole = (await query.readings(objective, scope, {period}, {}, end)).windows[period] if usual else None
    return Curve.of(objective.name, objective.objective, period, step, (start, end), counted, whole)
