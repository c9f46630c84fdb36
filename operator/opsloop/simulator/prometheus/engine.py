"""Instant and range queries over a store."""

from typing import Final

from .compiler import Compiler
from .evaluation import Run, ScalarEval, VectorEval, WindowsEval, unique
from .labels import Labels
from .matching import Vector
from .parser import parse
from .store import Store
from .syntax import Dialect, Kind, QueryError

MOST_POINTS: Final = 11_000
LOOKBACK: Final = 300_000
EVALUATION_INTERVAL: Final = 60_000
Matrix = dict[Labels, list[tuple[int, float]]]
_ENTRIES: Final = 10_000


class Engine:
    """Answers PromQL as of milliseconds. Raises QueryError and Unsupported."""

    def __init__(
        self,
        store: Store,
        dialect: Dialect = Dialect.V2_53,
        lookback: int = LOOKBACK,
        evaluation_interval: int = EVALUATION_INTERVAL,
    ) -> None:
        """`lookback`: --query.lookback-delta; `evaluation_interval`: global.evaluation_interval, in milliseconds."""
        self._store = store
        self._compiler = Compiler(store, dialect, lookback, evaluation_interval)
        self._compiled: dict[str, tuple[Kind, VectorEval]] = {}
        self._ranges: dict[str, WindowsEval] = {}

    def instant(self, query: str, at: int) -> tuple[Kind, Vector]:
        """The type of the answer and its elements; a scalar is one element without labels."""
        kind, evaluate = self._compile(query)
        return kind, unique(evaluate(at, Run(at, at)))

    def range(self, query: str, start: int, end: int, step: int) -> Matrix:
        """By series: what an instant query gives at start, start + step … up to the end."""
        if step <= 0:
            raise QueryError("zero or negative query resolution step widths are not accepted")
        if end < start:
            raise QueryError("end timestamp must not be before start time")
        if (end - start) // step > MOST_POINTS:
            raise QueryError("exceeded maximum resolution of 11,000 points per timeseries")
        _, evaluate = self._compile(query)
        run, matrix = Run(start, start + (end - start) // step * step), Matrix()
        for at in range(start, end + 1, step):
            for labels, value in unique(evaluate(at, run)):
                matrix.setdefault(labels, []).append((at, value))
        return matrix

    def samples(self, query: str, at: int) -> Matrix:
        """What an instant query of a range gives: by series, name included, the samples of the range."""
        evaluate = self._ranges.get(query)
        if evaluate is None:
            node = parse(query)
            if node.kind is not Kind.MATRIX:
                raise NotSamples(node.kind)
            if len(self._ranges) >= _ENTRIES:
                self._ranges.clear()
            evaluate = self._ranges[query] = self._compiler.windows(node)
        _, _, found = evaluate(at, Run(at, at))
        return {
            labels: list(zip(points.times[low:high], points.values[low:high], strict=True))
            for labels, points, low, high in found
        }

    def _compile(self, query: str) -> tuple[Kind, VectorEval]:
        found = self._compiled.get(query)
        if found is None:
            if len(self._compiled) >= _ENTRIES:
                self._compiled.clear()
            node = parse(query)
            if node.kind is Kind.SCALAR:
                found = (node.kind, self._as_vector(self._compiler.scalar(node)))
            elif node.kind is Kind.VECTOR:
                found = (node.kind, self._compiler.query(node))
            else:
                raise NotNumbers(node.kind)
            self._compiled[query] = found
        return found

    def _as_vector(self, scalar: ScalarEval) -> VectorEval:
        empty = self._store.interner.empty
        return lambda at, run: [(empty, scalar(at, run))]


class NotNumbers(QueryError):
    """A valid expression whose answer is a string or a range, which Prometheus gives to instant queries only."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(f'invalid expression type "{kind}", must be Scalar or instant Vector')
        self.kind = kind


class NotSamples(QueryError):
    """A valid expression whose answer to an instant query is no range."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(f"the expression gives a {kind}, not the samples of a range")
        self.kind = kind
