"""What one read of an objective costs: the queries of its task and of all that it waits for."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Spent:
    """Queries so far."""

    queries: int = 0


_SPENT: ContextVar[Spent | None] = ContextVar("opsloop_spent", default=None)


@contextmanager
def counting() -> Iterator[Spent]:
    """Counts the queries within, also those of tasks that are started there."""
    spent = Spent()
    token = _SPENT.set(spent)
    try:
        yield spent
    finally:
        _SPENT.reset(token)


def note() -> None:
    """Notes one query; nothing where nobody counts."""
    if (spent := _SPENT.get()) is not None:
        spent.queries += 1
