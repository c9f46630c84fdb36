"""The port `Telemetry` over the model, as of the clock's time."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar

from opsloop.errors import Invalid
from opsloop.shell.ports import Clock, Sample, Series

from .engine import Engine, NotNumbers
from .store import Store, milliseconds
from .syntax import Kind, QueryError, Unsupported

T = TypeVar("T")


class ModelTelemetry:
    """Sees what has been ingested by the clock's time.

    An expression that Prometheus refuses is Invalid. One that the model does not support raises `Unsupported`, no
    error of opsloop, and is kept in `unsupported`: whoever runs the operator over this must find that list empty.
    """

    def __init__(self, store: Store, clock: Clock, engine: Engine | None = None) -> None:
        self._store, self._clock = store, clock
        self._engine = engine or Engine(store)
        self.unsupported: list[str] = []

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        """/api/v1/query. A scalar is one sample without labels; a range or a string is Invalid."""
        moment = self._see() if at is None else milliseconds(at)
        self._see()
        stamp = _time(moment)
        _, vector = self._answer(lambda: self._engine.instant(query, moment))
        return [Sample(labels.values, value, stamp) for labels, value in vector]

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        """/api/v1/query_range; both ends are included, `step` in seconds."""
        self._see()
        first, last, width = milliseconds(start), milliseconds(end), round(step * 1000)
        matrix = self._answer(lambda: self._engine.range(query, first, last, width))
        return [
            Series(labels.values, tuple((_time(at), value) for at, value in points))
            for labels, points in matrix.items()
        ]

    async def samples(self, query: str, at: datetime) -> list[Series]:
        """/api/v1/query of a range selector; Invalid for an expression of another type."""
        self._see()
        matrix = self._answer(lambda: self._engine.samples(query, milliseconds(at)))
        return [
            Series(labels.values, tuple((_time(moment), value) for moment, value in points))
            for labels, points in matrix.items()
        ]

    def _see(self) -> int:
        now = milliseconds(self._clock.now())
        self._store.advance(now)
        return now

    def _answer(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except NotNumbers as refusal:
            kind = "matrix" if refusal.kind is Kind.MATRIX else "string"
            raise Invalid(f"The query gives a {kind}, not a vector") from refusal
        except QueryError as refusal:
            raise Invalid(f"Prometheus refuses the query: {refusal}") from refusal
        except Unsupported as gap:
            self.unsupported.append(str(gap))
            raise


@lru_cache(maxsize=100_000)
def _time(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)
