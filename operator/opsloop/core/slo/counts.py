"""Counts of a canary and of live since the canary took traffic, from PromQL alone: approximate.

The user's expressions are evaluated at t0 + step, t0 + 2·step …, each over the step before, by one range query. The
windows are disjoint. `increase()` sees the events between the first and the last scrape of a window of _SCRAPES and scales
them up to the whole window: Σ is right in the mean, and each count weighs `dispersion` times what was really seen.
A series that is born in a window loses its first value, unless `promql.counts_births` says that births are counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf, isnan
from typing import NamedTuple, Protocol

from opsloop.api.meta import format_duration
from opsloop.api.slo import Sli
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.promql import ANYWHERE, LABEL, Splits, expressions, split_parts
from opsloop.core.statistics.evidence import Interval

_SCRAPES = 4  # in each window: fewer leave too little between the first and the last, more make it slow
_MOST = 500  # windows of one query

DISPERSION = _SCRAPES / (_SCRAPES - 1)


class Points(Protocol):
    """One series of a range query's answer (`shell.ports.Series`)."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Label name → value."""
        ...

    @property
    def points(self) -> Sequence[tuple[datetime, float]]:
        """(time, number), oldest first; numbers may be NaN or infinite."""
        ...


@dataclass(frozen=True, slots=True)
class Grid:
    """Windows of `step` from `since` on; window n ends at since + n·step, n from 1."""

    since: datetime
    step: timedelta

    def end(self, number: int) -> datetime:
        """The end of one window."""
        return self.since + number * self.step

    def after(self, number: int, at: datetime) -> range:
        """The windows after this one that have ended, as many as one query may ask for."""
        last = (at - self.since) // self.step
        return range(number + 1, min(last, number + _MOST) + 1)


def grid(since: datetime, resolution: timedelta) -> Grid:
    """The windows of a canary that took traffic at `since`; `resolution` is Prometheus' scrape interval."""
    return Grid(since, _SCRAPES * resolution)


class Pair(NamedTuple):
    """Canary and live by their names in the expression, and whose events they are; the window is the step."""

    canary: str
    live: str
    splits: Splits


def counts_query(sli: Sli, pair: Pair, scope: Scope = ANYWHERE) -> str:
    """One expression for the counts of both."""
    return "\nor ".join(
        part for name, split in sorted(pair.splits.items()) for part in split_parts(sli, name, split, scope, seen=True)
    )


def intervals(answer: Iterable[Points], sli: Sli, windows: Grid, numbers: range, pair: Pair) -> list[Interval | None]:
    """The counts of each window; None where there are data of neither (or impossible ones): a gap, not zero."""
    values: dict[tuple[str, int], float] = {}
    for series in answer:
        name = series.labels.get(LABEL, "")
        for at, value in series.points:
            values[name, round((at - windows.since) / windows.step)] = value
    return [_interval(values, sli, windows, number, pair) for number in numbers]


def by_end(answer: Iterable[Points]) -> dict[datetime, tuple[float, float]]:
    """(bad, total) of each window of `promql.counts_query` by its end, oldest first; impossible numbers are left out.

    Where `good` is missing beside a total all were bad; where `bad` is missing none was.
    """
    parts = {one.labels.get(LABEL, "").split(":")[0]: dict(one.points) for one in answer}
    counted = {}
    for end, total in sorted(parts.get("total", {}).items()):
        bad = total - parts["good"].get(end, 0.0) if "good" in parts else parts.get("bad", {}).get(end, 0.0)
        if 0 <= total < inf and not isnan(bad):
            counted[end] = min(max(bad, 0.0), total), total
    return counted


def _interval(
    values: Mapping[tuple[str, int], float], sli: Sli, windows: Grid, number: int, pair: Pair
) -> Interval | None:
    live, own = (_counts(values, sli, windows.step, number, name) for name in (pair.live, pair.canary))
    if own is None and live is None:
        return None
    begin = (number - 1) * windows.step.total_seconds()
    return Interval(begin, begin + windows.step.total_seconds(), *(own or (0.0, 0.0)), *(live or (0.0, 0.0)))


def _counts(
    values: Mapping[tuple[str, int], float], sli: Sli, step: timedelta, number: int, name: str
) -> tuple[float, float] | None:
    """(bad, total) of one revision; None without usable numbers. Extrapolated parts may exceed the whole: they are cut.

    A histogram without the bucket counts nothing; any other part that is missing is 0.
    """
    span, kind = format_duration(step), expressions(sli).kind
    total, part = values.get((f"total:{span}:{name}", number)), values.get((f"{kind}:{span}:{name}", number))
    if total is None or (part is None and sli.latency is not None and total > 0):
        return None
    part = part or 0.0
    if not (0 <= total < inf and 0 <= part < inf):
        return None
    return (max(0.0, total - part) if kind == "good" else min(part, total)), total
