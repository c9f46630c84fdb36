"""Functions of instant vectors. Each takes compiled arguments and gives a closure."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from . import arithmetic, buckets
from .evaluation import Run, ScalarEval, VectorEval, unique
from .labels import NAME, Interner, Labels
from .matching import Vector
from .regex import translated
from .syntax import Dialect, Node, QueryError, Range, Selector, Text, bare

_LABEL = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")


def absent(interner: Interner, argument: Node, vector: VectorEval) -> VectorEval:
    """1 where the argument is empty, with the labels that its selector gives a value to, once and by `=`."""
    node = bare(argument)
    selector = node.selector if isinstance(node, Range) else node
    values, met = dict[str, str](), set[str]()
    for matcher in selector.matchers if isinstance(selector, Selector) else ():
        if matcher.name == NAME:
            continue
        if matcher.op == "=" and matcher.name not in met:
            values[matcher.name] = matcher.value
            met.add(matcher.name)
        else:
            values.pop(matcher.name, None)
    labels = interner.of(values)
    return lambda at, run: [] if vector(at, run) else [(labels, 1.0)]


def label_replace(interner: Interner, dialect: Dialect, inner: VectorEval, texts: Sequence[Node]) -> VectorEval:
    """label_replace(inner, target, template, source, pattern)."""
    target, template, source, pattern_text = map(_literal, texts)
    pattern = translated(pattern_text, dot_matches_newline=dialect is Dialect.V3)
    if not _LABEL.fullmatch(target):
        raise QueryError(f"invalid destination label name in label_replace(): {target}")
    expand, owner, known = _expansion(template, pattern), object(), dict[Labels, Labels]()

    def result(labels: Labels) -> Labels:
        found = known.get(labels)
        if found is None:
            met = pattern.fullmatch(labels.get(source))
            found = known[labels] = interner.with_label(labels, target, expand(met)) if met else labels
        return found

    def replaced(at: int, run: Run) -> Vector:
        out = Vector()
        for labels, value in inner(at, run):
            new = result(labels)
            run.claim(owner, new, labels)
            out.append((new, value))
        return out

    return replaced


def _literal(node: Node) -> str:
    found = bare(node)
    assert isinstance(found, Text)
    return found.value


_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))", re.ASCII)


def _expansion(template: str, pattern: re.Pattern[str]) -> Callable[[re.Match[str]], str]:
    """Go's Regexp.Expand: $1, ${1}, $name and $$; a group that is not there is empty, another dollar stands for itself."""

    def text(reference: re.Match[str], met: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        if name.isdigit():
            return (met[int(name)] or "") if int(name) <= pattern.groups else ""
        return (met[name] or "") if name in pattern.groupindex else ""

    return lambda met: _REFERENCE.sub(lambda reference: text(reference, met), template)


def histogram_quantile(interner: Interner, share: ScalarEval, inner: VectorEval) -> VectorEval:
    """Over classic buckets; series without a number in `le` are left out."""
    known = dict[Labels, tuple[float | None, Labels]]()

    def bucket(labels: Labels) -> tuple[float | None, Labels]:
        """(upper bound, the labels that the buckets of its histogram have in common)"""
        found = known.get(labels)
        if found is None:
            found = known[labels] = (buckets.upper_bound(labels.get("le")), interner.drop(labels, ("le",)))
        return found

    def quantiles(at: int, run: Run) -> Vector:
        histograms = dict[Labels, list[tuple[float, float]]]()
        for labels, count in inner(at, run):
            bound, whole = bucket(labels)
            if bound is not None:
                histograms.setdefault(whole, []).append((bound, count))
        rank = share(at, run)
        return unique([(whole.nameless, buckets.quantile(rank, parts)) for whole, parts in histograms.items()])

    return quantiles


def of_numbers(name: str, inner: VectorEval, numbers: Sequence[ScalarEval]) -> VectorEval:
    """A function of each element's value and of numbers."""
    function, empty = _NUMBER_FUNCTIONS[name], _EMPTY_WHEN.get(name)

    def call(at: int, run: Run) -> Vector:
        parameters = [number(at, run) for number in numbers]
        vector = inner(at, run)
        if empty is not None and empty(*parameters):
            return []
        return unique([(labels.nameless, function(value, *parameters)) for labels, value in vector])

    return call


_NUMBER_FUNCTIONS: Final[dict[str, Callable[..., float]]] = {
    "abs": abs,
    "ceil": arithmetic.ceil,
    "floor": arithmetic.floor,
    "round": lambda value, nearest=1.0: arithmetic.round_to(value, nearest),
    "clamp_min": lambda value, low: arithmetic.larger(low, value),
    "clamp_max": lambda value, high: arithmetic.smaller(high, value),
    "clamp": lambda value, low, high: arithmetic.larger(low, arithmetic.smaller(high, value)),
}
_EMPTY_WHEN: Final[dict[str, Callable[..., bool]]] = {"clamp": lambda low, high: high < low}
