"""The results of a subquery's steps, kept from one evaluation to the next."""

from .labels import Labels
from .matching import Vector


class Columns:
    """The results of a subquery's steps as series: kept from one evaluation to the next while the results are the same."""

    __slots__ = ("_first", "_known", "_last", "series")

    def __init__(self) -> None:
        self.series: dict[Labels, tuple[list[int], list[float]]] = {}
        self._known: object = None
        self._first, self._last = 0, -1

    def missing(self, known: object, first: int, end: int, step: int) -> range:
        """The steps until `end` that are to be added, in order; everything is forgotten where `known` is another store."""
        if known is not self._known or not self._first <= first <= self._last + step:
            self._known, self.series = known, {}
            self._first, self._last = first, first - step
        begin, self._last = self._last + step, max(self._last, end // step * step)
        return range(begin, end + 1, step)

    def add(self, moment: int, vector: Vector) -> None:
        """The result at a step, later than those before."""
        for labels, value in vector:
            times, values = self.series.setdefault(labels, ([], []))
            times.append(moment)
            values.append(value)


def first_step(start: int, step: int, left_open: bool) -> int:
    """The first multiple of the step in the range."""
    first = -(-start // step) * step
    return first + step if left_open and first == start else first
