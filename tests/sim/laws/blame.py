"""How often blame is right and wrong on samples, with bounds, per service-day, and what ±30 % on each constant changes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from opsloop.core.incident.weights import WEIGHTS, Weights
from opsloop.core.statistics import alike, changepoint
from tests.sim.laws.bounds import lower, upper
from tests.sim.laws.causes import WATCHED, Blame, Situation, situations

SURE = 0.8  # safety.minConfidence
OUTAGES = 1 / 30  # a day: of a service, from nothing that was changed
CHANGES = (1, 5)  # a day, at any time of it
NEAR = 600.0  # seconds within which a change is near

PATCHED: Mapping[str, tuple[object, str]] = {
    "changepoint.CUT": (changepoint, "CUT"),
    "changepoint.SPREAD": (changepoint, "SPREAD"),
    "changepoint.SMOULDER_RATE": (changepoint, "SMOULDER_RATE"),
    "changepoint.AT_ONCE": (changepoint, "AT_ONCE"),
    "changepoint.USUAL": (changepoint, "USUAL"),
    "changepoint.BLOCK": (changepoint, "BLOCK"),
    "alike.CUT": (alike, "CUT"),
    "alike.OTHER": (alike, "OTHER"),
}
FACTORS = (0.7, 1.3)


class Row(NamedTuple):
    """A figure over the situations of one kind that count."""

    name: str
    kind: str
    counts: Callable[[Situation], bool]
    hits: Callable[[Blame, float], bool]


@dataclass(frozen=True, slots=True)
class Found:
    """So many of so many."""

    row: Row
    hits: int
    of: int

    @property
    def share(self) -> float:
        """Of those in which a tier fired."""
        return self.hits / max(self.of, 1)


def _any(_: Situation) -> bool:
    return True


def _bad(blame: Blame, sure: float) -> bool:
    return blame.version == "bad" and blame.confidence >= sure


def _harmless(blame: Blame, sure: float) -> bool:
    return blame.version not in ("", "bad") and blame.confidence >= sure


ROWS: Sequence[Row] = (
    Row("outage, a harmless change in the 10 min before: rolled back", "near", _any, _harmless),
    Row("outage, a harmless change in the hour before: rolled back", "outage", _any, _harmless),
    Row("outage, that change over 10 min before: rolled back", "outage", lambda s: s.weather.gap >= NEAR, _harmless),
    Row(
        "outage, a harmless change in the 10 min before, looked at until it is over: rolled back",
        WATCHED,
        _any,
        _harmless,
    ),
    Row("bad release, harm within half a minute of its first user: rolled back", "prompt", _any, _bad),
    Row("another one rolled back instead, harm at once", "prompt", _any, _harmless),
    Row("bad release after two hours of smoulder: rolled back", "after a smoulder", _any, _bad),
    Row("bad release after 5 to 30 min of 1 to 3 budgets: rolled back", "after a short smoulder", _any, _bad),
    Row("another one rolled back instead, after such a smoulder", "after a short smoulder", _any, _harmless),
    Row(
        "smoulder of that kind, a harmless change in it, no more harm: rolled back", "a smoulder alone", _any, _harmless
    ),
    Row(
        "outage after such a smoulder, a harmless change in the 10 min before: rolled back",
        "near in a smoulder",
        _any,
        _harmless,
    ),
    Row("bad release half an hour after an outage: rolled back", "after an outage", _any, _bad),
    Row("bad release whose harm grows over 5 to 45 min: rolled back", "growing", _any, _bad),
    Row("another one rolled back instead, growing harm", "growing", _any, _harmless),
    Row("bad release that fires after 40 to 60 min: rolled back", "found late", _any, _bad),
    Row("bad release, what it depends on changed within a minute and meets its SLO: rolled back", "both", _any, _bad),
    Row(
        "of these two the dependency's is to blame and shows on its callers only: the own one rolled back",
        "silent",
        _any,
        _harmless,
    ),
    Row("bad release, harm after 20 min on average: named first", "late", _any, lambda b, _: b.version == "bad"),
    Row("bad release, harm after 20 min on average: rolled back", "late", _any, _bad),
)
KINDS = tuple(dict.fromkeys(row.kind for row in ROWS))


def sample(kind: str, samples: int, seed: str) -> list[Situation]:
    """The situations of a kind."""
    return list(situations(kind, samples, seed))


def table(found: Mapping[str, Sequence[Situation]], weights: Weights = WEIGHTS, sure: float = SURE) -> list[Found]:
    """All rows."""
    blames = {kind: [(s, s.blame(weights)) for s in those] for kind, those in found.items()}
    rows = []
    for row in ROWS:
        counted = [blame for s, blame in blames[row.kind] if row.counts(s)]
        rows.append(Found(row, sum(row.hits(blame, sure) for blame in counted), len(counted)))
    return rows


def per_day(rows: Sequence[Found], samples: int, changes: float, bound: bool) -> float:
    """Wrong rollbacks in a service-day with so many harmless changes a day and OUTAGES outages; `bound`: at most (95 %).

    A change comes at any time, so one is within s seconds before an outage with a probability of about changes · s / a day.
    `samples` were drawn of each kind; outages in which no tier fires roll nothing back.
    """
    near, _, far = rows[:3]
    shares = [(upper(one.hits, samples, 0.975) if bound else one.hits / samples) for one in (near, far)]
    hour = 3600 - NEAR
    return OUTAGES * changes * (shares[0] * NEAR + shares[1] * hour) / 86_400


def as_lines(rows: Sequence[Found], samples: int) -> Iterator[str]:
    """The table as Markdown."""
    yield "| of samples of this weather in which a tier fired | share | 95 % | n |"
    yield "|---|---|---|---|"
    for one in rows:
        low, high = lower(one.hits, one.of, 0.975), upper(one.hits, one.of, 0.975)
        yield f"| {one.row.name} | {one.share:.1%} | {low:.1%} to {high:.1%} | {one.of} |"
    yield ""
    for changes in CHANGES:
        rate, most = (per_day(rows, samples, changes, bound) for bound in (False, True))
        yield f"{changes} harmless changes a day, one outage in 30 days: {rate:.1e} wrong rollbacks a service-day, at most {most:.1e}."


# --- ±30 %


def varied() -> Iterator[tuple[str, Weights, str, float, float]]:
    """(label, weights, patched constant, factor, confidence): each number of the judgement by itself at 70 and at 130 %."""
    for field in fields(Weights):
        value = getattr(WEIGHTS, field.name)
        for factor in FACTORS:
            new = min(value * factor, 1.0) if isinstance(value, float) and 0 < value <= 1 else value * factor
            if new != value:
                changed: dict[str, Any] = {field.name: new}
                yield f"{field.name} at {factor:.0%}", replace(WEIGHTS, **changed), "", 1.0, SURE
    for name in PATCHED:
        for factor in FACTORS:
            yield f"{name} at {factor:.0%}", WEIGHTS, name, factor, SURE
    for factor in FACTORS:
        yield f"minConfidence at {factor:.0%}", WEIGHTS, "", 1.0, min(SURE * factor, 0.99)


@contextmanager
def patched(name: str, factor: float) -> Iterator[None]:
    """Changes a module's constant meanwhile."""
    if not name:
        yield
        return
    module, constant = PATCHED[name]
    before = getattr(module, constant)
    setattr(module, constant, before * factor)
    try:
        yield
    finally:
        setattr(module, constant, before)


def effect(found: Mapping[str, Sequence[Situation]]) -> Iterator[tuple[str, list[Found]]]:
    """(label, rows) for every constant."""
    for label, weights, name, factor, sure in varied():
        with patched(name, factor):
            yield label, table(found, weights, sure)
