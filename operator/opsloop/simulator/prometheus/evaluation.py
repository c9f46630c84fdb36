"""One evaluation of a compiled expression: its steps, its vectors, and who took which label set."""

from collections.abc import Callable
from typing import Final

from .labels import Labels
from .matching import Vector
from .store import Points
from .syntax import QueryError

DUPLICATE: Final = "vector cannot contain metrics with the same labelset"


class Run:
    """One evaluation of a query over its steps: their first and last time, and who took which label set."""

    __slots__ = ("_claims", "_inner", "end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self._claims: dict[tuple[object, Labels], Labels] = {}
        self._inner: dict[object, Run] = {}

    def claim(self, owner: object, result: Labels, source: Labels) -> None:
        """Two series that end with the same labels are refused, even if they never meet at one step."""
        if self._claims.setdefault((owner, result), source) is not source:
            raise QueryError(DUPLICATE)

    def within(self, subquery: object) -> "Run":
        """The run of a subquery's inner steps: `@ start()` is still that of the whole."""
        inner = self._inner.get(subquery)
        if inner is None:
            inner = self._inner[subquery] = Run(self.start, self.end)
        return inner


VectorEval = Callable[[int, Run], Vector]
ScalarEval = Callable[[int, Run], float]
Window = tuple[Labels, Points, int, int]
"""(labels, samples, index range)"""
WindowsEval = Callable[[int, Run], tuple[int, int, list[Window]]]
"""(start and end of the range, the series that have samples in it)"""


def unique(vector: Vector) -> Vector:
    """The vector; QueryError where a label set comes twice."""
    if len(vector) > 1 and len({labels for labels, _ in vector}) < len(vector):
        raise QueryError(DUPLICATE)
    return vector
