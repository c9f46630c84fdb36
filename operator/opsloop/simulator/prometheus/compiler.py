"""The tree of an expression to closures over one store.

Equal subtrees are compiled once per compiler, so that what one query computed of the past (`Memo`) serves the next.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from math import nan

from . import arithmetic, functions, matching, ranges
from .columns import Columns, first_step
from .evaluation import Run, ScalarEval, VectorEval, Window, WindowsEval, unique
from .labels import NAME, Labels
from .matching import Vector
from .past import one_metric, only_past
from .regex import translated
from .store import Memo, Points, Series, Store
from .syntax import (
    Aggregate,
    At,
    Binary,
    Call,
    Dialect,
    Kind,
    Matcher,
    Matching,
    Negation,
    Node,
    Number,
    QueryError,
    Range,
    Selector,
    Subquery,
    Unsupported,
    bare,
)
from .vocabulary import SETS

_KEPT = 1000  # results at past times of one expression


class Compiler:
    """Compiles for one store and one dialect. `default_step` is that of a subquery without one (the server's)."""

    def __init__(self, store: Store, dialect: Dialect, lookback: int, default_step: int) -> None:
        self._store, self._dialect = store, dialect
        self._interner = store.interner
        self._lookback, self._default_step = lookback, default_step
        self._vectors: dict[Node, VectorEval] = {}
        self._windows: dict[Node, WindowsEval] = {}
        self._matches: dict[tuple[Matcher, ...], Callable[[], list[Series]]] = {}
        self._sum = arithmetic.compensated_sum if dialect is Dialect.V3 else arithmetic.plain_sum

    def scalar(self, node: Node) -> ScalarEval:
        """A closure for an expression of type scalar."""
        node = bare(node)
        match node:
            case Number(value):
                return lambda at, run: value
            case Negation(inner):
                negated = self.scalar(inner)
                return lambda at, run: -negated(at, run)
            case Call("time"):
                return lambda at, run: at / 1000
            case Call("scalar", (argument,)):
                return _scalar_of(self.vector(argument))
            case Binary(op, left, right):
                compute = matching.element(op, bool_=True)
                first, second = self.scalar(left), self.scalar(right)
                return _numbers(compute, first, second)
        raise Unsupported(f"a scalar of {type(node).__name__}")

    def vector(self, node: Node) -> VectorEval:
        """A closure for an expression of type instant vector."""
        node = bare(node)
        found = self._vectors.get(node)
        if found is None:
            found = self._vectors[node] = self._vector(node)
        return found

    def query(self, node: Node) -> VectorEval:
        """A closure for a whole query: the next range query asks for mostly the same times."""
        evaluate = self.vector(node)
        return self._kept(evaluate) if only_past(node) else evaluate

    def _vector(self, node: Node) -> VectorEval:
        match node:
            case Selector():
                return self._selector(node)
            case Aggregate():
                return self._aggregate(node)
            case Negation(inner):
                return self._negation(node, self.vector(inner))
            case Binary():
                return self._binary(node)
            case Call():
                return self._call(node)
        raise Unsupported(f"a vector of {type(node).__name__}")

    # selectors
    def matching_series(self, matchers: tuple[Matcher, ...]) -> Callable[[], list[Series]]:
        """The series that a selector selects, now; looked for among new ones only."""
        found = self._matches.get(matchers)
        if found is None:
            found = self._matches[matchers] = self._matching(matchers)
        return found

    def _matching(self, matchers: tuple[Matcher, ...]) -> Callable[[], list[Series]]:
        tests = [(matcher.name, self._test(matcher)) for matcher in matchers]
        if all(test("") for _, test in tests):
            raise QueryError("vector selector must contain at least one non-empty matcher")
        name = next((m.value for m in matchers if m.name == NAME and m.op == "=" and m.value), None)
        candidates, found, looked_at = self._store.candidates(name), list[Series](), 0

        def series() -> list[Series]:
            nonlocal looked_at
            if looked_at < len(candidates):
                for one in candidates[looked_at:]:
                    if all(test(one.labels.get(label)) for label, test in tests):
                        found.append(one)
                looked_at = len(candidates)
            return found

        return series

    def _test(self, matcher: Matcher) -> Callable[[str], bool]:
        value = matcher.value
        if matcher.op == "=":
            return lambda label: label == value
        if matcher.op == "!=":
            return lambda label: label != value
        pattern = translated(value, dot_matches_newline=self._dialect is Dialect.V3)
        if matcher.op == "=~":
            return lambda label: pattern.fullmatch(label) is not None
        return lambda label: pattern.fullmatch(label) is None

    def _reference(self, at: At, offset: int) -> Callable[[int, Run], int]:
        """The time that a selector or subquery looks at."""
        match at:
            case None:
                return lambda now, run: now - offset
            case "start":
                return lambda now, run: run.start - offset
            case "end":
                return lambda now, run: run.end - offset
        fixed = int(at) - offset
        return lambda now, run: fixed

    def _selector(self, node: Selector) -> VectorEval:
        sampled = self._sampled(node)
        return lambda at, run: [(series.labels, series.points.values[place]) for series, place in sampled(at, run)]

    def _sampled(self, node: Selector) -> Callable[[int, Run], Iterator[tuple[Series, int]]]:
        """Each series of an instant selector that is not stale, and the index of its sample."""
        matched, reference = self.matching_series(node.matchers), self._reference(node.at, node.offset)
        oldest = self._lookback - (1 if self._dialect.left_open else 0)

        def sampled(at: int, run: Run) -> Iterator[tuple[Series, int]]:
            now = reference(at, run)
            for series in matched():
                times = series.points.times
                place = bisect_right(times, now) - 1
                if place < 0 or times[place] < now - oldest:
                    continue
                ended = bisect_right(series.stale, now) - 1 if series.stale else -1
                if ended < 0 or series.stale[ended] < times[place]:
                    yield series, place

        return sampled

    # ranges
    def windows(self, node: Node) -> WindowsEval:
        """A closure for an expression of type range vector."""
        node = bare(node)
        found = self._windows.get(node)
        if found is None:
            if isinstance(node, Range):
                found = self._range(node)
            elif isinstance(node, Subquery):
                found = self._subquery(node)
            else:
                raise Unsupported(f"a range of {type(node).__name__}")
            self._windows[node] = found
        return found

    def _range(self, node: Range) -> WindowsEval:
        selector, width = node.selector, node.width
        first_after: Callable[..., int] = bisect_right if self._dialect.left_open else bisect_left
        matched, reference = self.matching_series(selector.matchers), self._reference(selector.at, selector.offset)
        fixed, asked, answer, store = selector.at is None, (0, -1), (0, 0, list[Window]()), self._store

        def windows(at: int, run: Run) -> tuple[int, int, list[Window]]:
            nonlocal asked, answer
            if not fixed:
                return look(at, run)
            now = (at, store.ingested)
            if asked != now:
                asked, answer = now, look(at, run)
            return answer

        def look(at: int, run: Run) -> tuple[int, int, list[Window]]:
            end = reference(at, run)
            start = end - width
            found = list[Window]()
            for series in matched():
                points = series.points
                times = points.times
                if not times or times[-1] < start:
                    continue
                high = len(times) if times[-1] <= end else bisect_right(times, end)
                low = first_after(times, start, 0, high)
                if low < high:
                    found.append((series.labels, points, low, high))
            return start, end, found

        return windows

    def _subquery(self, node: Subquery) -> WindowsEval:
        step = node.step or self._default_step
        inner, reference = self.vector(node.inner), self._reference(node.at, node.offset)
        memo = Memo[Vector](self._store.arrivals) if only_past(node.inner) else None
        most = 4 * (node.width // step + 2)
        left_open, owner, columns = self._dialect.left_open, object(), Columns()

        def windows(at: int, run: Run) -> tuple[int, int, list[Window]]:
            end = reference(at, run)
            start = end - node.width
            within = run.within(owner)
            known = memo.current(start, end, most) if memo is not None else {}
            first = first_step(start, step, left_open)
            for moment in columns.missing(known, first, end, step):
                vector = known.get(moment)
                if vector is None:
                    vector = known[moment] = inner(moment, within)
                columns.add(moment, vector)
            found = [
                (labels, Points(times, values), low, high)
                for labels, (times, values) in columns.series.items()
                if (low := bisect_left(times, first)) < (high := bisect_right(times, end))
            ]
            return start, end, found

        return windows

    # functions
    def _call(self, node: Call) -> VectorEval:
        if node.name in ranges.FUNCTIONS:
            return self._over_range(node)
        interner, first = self._interner, node.args[0]
        match node.name:
            case "vector":
                number = self.scalar(first)
                return lambda at, run: [(interner.empty, number(at, run))]
            case "absent":
                return functions.absent(interner, first, self.vector(first))
            case "absent_over_time":
                windows = self.windows(first)
                return functions.absent(
                    interner, first, lambda at, run: [(labels, 1.0) for labels, *_ in windows(at, run)[2]]
                )
            case "label_replace":
                return functions.label_replace(interner, self._dialect, self.vector(first), node.args[1:])
            case "timestamp":
                return self._timestamp(first)
            case "histogram_quantile":
                return functions.histogram_quantile(interner, self.scalar(first), self.vector(node.args[1]))
        numbers = [self.scalar(argument) for argument in node.args[1:]]
        return functions.of_numbers(node.name, self.vector(first), numbers)

    def _over_range(self, node: Call) -> VectorEval:
        function, windows = ranges.FUNCTIONS[node.name], self.windows(node.args[0])
        keeps_name, owner = node.name == "last_over_time", object()
        collides = not keeps_name and not one_metric(node.args[0])

        def call(at: int, run: Run) -> Vector:
            start, end, found = windows(at, run)
            out = Vector()
            for labels, points, low, high in found:
                value = function(points, low, high, start, end)
                if value is not None:
                    out.append((labels if keeps_name else labels.nameless, value))
                    if collides:
                        run.claim(owner, labels.nameless, labels)
            return out

        return self._once(call) if only_past(node) else call

    def _once(self, evaluate: VectorEval) -> VectorEval:
        """The same for an expression that hangs on the time and the samples alone: not done again for equal ones."""
        store, asked, answer = self._store, (0, -1), Vector()

        def once(at: int, run: Run) -> Vector:
            nonlocal asked, answer
            now = (at, store.ingested)
            if asked != now:
                answer = evaluate(at, run)
                asked = now
            return answer

        return once

    def _timestamp(self, argument: Node) -> VectorEval:
        node = bare(argument)
        if isinstance(node, Selector):
            sampled = self._sampled(node)
            return lambda at, run: unique(
                [(series.labels.nameless, series.points.times[place] / 1000) for series, place in sampled(at, run)]
            )
        inner = self.vector(node)
        return lambda at, run: unique([(labels.nameless, at / 1000) for labels, _ in inner(at, run)])

    # operators
    def _aggregate(self, node: Aggregate) -> VectorEval:
        evaluate = self._reduced(node)
        return self._kept(evaluate) if only_past(node) and not isinstance(bare(node.inner), Aggregate) else evaluate

    def _kept(self, evaluate: VectorEval) -> VectorEval:
        """The same for an expression that hangs on the time and the samples until then alone: the last results are kept."""
        memo = Memo[Vector](self._store.arrivals)

        def kept(at: int, run: Run) -> Vector:
            known = memo.current(at, at, _KEPT + 1)
            vector = known.get(at)
            if vector is None:
                if len(known) >= _KEPT:
                    for first in list(known)[: _KEPT // 2]:
                        del known[first]
                vector = known[at] = evaluate(at, run)
            return vector

        return kept

    def _reduced(self, node: Aggregate) -> VectorEval:
        inner, reduce = self.vector(node.inner), self._reductions()[node.op]
        if not node.labels and not node.without:
            empty = self._interner.empty

            def whole(at: int, run: Run) -> Vector:
                values = [value for _, value in inner(at, run)]
                return [(empty, reduce(values))] if values else []

            return whole
        group_of = self._grouping(node)

        def grouped(at: int, run: Run) -> Vector:
            groups = dict[Labels, list[float]]()
            for labels, value in inner(at, run):
                groups.setdefault(group_of(labels), []).append(value)
            return [(labels, reduce(values)) for labels, values in groups.items()]

        return grouped

    def _grouping(self, node: Aggregate) -> Callable[[Labels], Labels]:
        known, interner, names = dict[Labels, Labels](), self._interner, node.labels

        def group_of(labels: Labels) -> Labels:
            found = known.get(labels)
            if found is None:
                found = interner.drop(labels, (NAME, *names)) if node.without else interner.keep(labels, names)
                known[labels] = found
            return found

        return group_of

    def _reductions(self) -> dict[str, Callable[[list[float]], float]]:
        return {
            "sum": self._sum,
            "avg": arithmetic.mean,
            "count": lambda values: float(len(values)),
            "min": arithmetic.minimum,
            "max": arithmetic.maximum,
            "group": lambda values: 1.0,
        }

    def _negation(self, node: Negation, inner: VectorEval) -> VectorEval:
        owner = object()

        def negated(at: int, run: Run) -> Vector:
            out = Vector()
            for labels, value in inner(at, run):
                result = labels.nameless
                run.claim(owner, result, labels)
                out.append((result, -value))
            return out

        return negated

    def _binary(self, node: Binary) -> VectorEval:
        op, left, right, interner = node.op, node.left, node.right, self._interner
        if op == "or" and node.matching == Matching():
            return _joined([self.vector(part) for part in _alternatives(node)])
        if left.kind is Kind.VECTOR and right.kind is Kind.VECTOR:
            operator = (
                matching.set_operator(op, interner, node.matching)
                if op in SETS
                else matching.arithmetic(op, node.bool_, interner, node.matching)
            )
            first, second = self.vector(left), self.vector(right)
            return lambda at, run: unique(operator(first(at, run), second(at, run)))
        scalar_left = left.kind is Kind.SCALAR
        with_number = matching.with_scalar(op, node.bool_, scalar_left)
        vector, number = self.vector(right if scalar_left else left), self.scalar(left if scalar_left else right)
        return lambda at, run: unique(with_number(vector(at, run), number(at, run)))


def _alternatives(node: Node) -> list[Node]:
    """The operands of a chain of plain `or`, from left to right."""
    node = bare(node)
    if isinstance(node, Binary) and node.op == "or" and node.matching == Matching():
        return [*_alternatives(node.left), *_alternatives(node.right)]
    return [node]


def _joined(parts: list[VectorEval]) -> VectorEval:
    """The elements of each part that no earlier part has."""

    def joined(at: int, run: Run) -> Vector:
        found, there = Vector(), set[Labels]()
        for part in parts:
            vector = part(at, run)
            if found:
                vector = [one for one in vector if one[0].nameless not in there]
            found = found + vector if found else vector
            there.update([labels.nameless for labels, _ in vector])
        return unique(found)

    return joined


def _scalar_of(vector: VectorEval) -> ScalarEval:
    def scalar(at: int, run: Run) -> float:
        found = vector(at, run)
        return found[0][1] if len(found) == 1 else nan

    return scalar


def _numbers(compute: matching.Element, first: ScalarEval, second: ScalarEval) -> ScalarEval:
    def scalar(at: int, run: Run) -> float:
        value = compute(first(at, run), second(at, run))
        assert value is not None
        return value

    return scalar
