"""Binary operators between two vectors: which element meets which, and with what labels they leave."""

from collections.abc import Callable
from operator import attrgetter
from typing import Protocol

from .arithmetic import ARITHMETIC, COMPARE
from .labels import NAME, Interner, Labels
from .syntax import Matching, QueryError

Vector = list[tuple[Labels, float]]
Element = Callable[[float, float], float | None]
"""A binary operator on two numbers; None where a comparison filters the left one out."""


class Operator(Protocol):
    """A binary operator between two vectors."""

    def __call__(self, left: Vector, right: Vector) -> Vector:
        """Raises QueryError where the matching is ambiguous."""
        ...


def element(op: str, bool_: bool) -> Element:
    """The operator on two numbers."""
    if op in ARITHMETIC:
        return ARITHMETIC[op]
    compare = COMPARE[op]
    if bool_:
        return lambda left, right: 1.0 if compare(left, right) else 0.0
    return lambda left, right: left if compare(left, right) else None


def signatures(interner: Interner, matching: Matching) -> Callable[[Labels], Labels]:
    """From an element's labels to those by which it is matched."""
    known = dict[Labels, Labels]()
    if not matching.on and not matching.labels:
        return attrgetter("nameless")

    def signature(labels: Labels) -> Labels:
        found = known.get(labels)
        if found is None:
            if matching.on:
                found = interner.keep(labels, matching.labels)
            else:
                found = interner.drop(labels, (NAME, *matching.labels))
            known[labels] = found
        return found

    return signature


def set_operator(op: str, interner: Interner, matching: Matching) -> Operator:
    """`and`, `or`, `unless`."""
    signature = signatures(interner, matching)

    def both(left: Vector, right: Vector) -> Vector:
        there = {signature(labels) for labels, _ in right}
        return [one for one in left if signature(one[0]) in there]

    def either(left: Vector, right: Vector) -> Vector:
        if not left or not right:
            return left or right
        there = {signature(labels) for labels, _ in left}
        return left + [one for one in right if signature(one[0]) not in there]

    def without(left: Vector, right: Vector) -> Vector:
        there = {signature(labels) for labels, _ in right}
        return [one for one in left if signature(one[0]) not in there]

    operators: dict[str, Operator] = {"and": both, "or": either, "unless": without}
    return operators[op]


def arithmetic(op: str, bool_: bool, interner: Interner, matching: Matching) -> Operator:
    """An arithmetic or comparison operator, one to one or (group_left, group_right) many to one."""
    signature, compute = signatures(interner, matching), element(op, bool_)
    result_labels = _results(op, bool_, interner, matching)
    swapped, many = matching.group == "right", matching.group != ""

    def operator(left: Vector, right: Vector) -> Vector:
        if not left or not right:
            return []
        if swapped:
            left, right = right, left
        ones = _by_signature(right, signature, "left" if swapped else "right")
        out, taken = Vector(), set[object]()
        for labels, number in left:
            key = signature(labels)
            if key not in ones:
                continue
            one_labels, one = ones[key]
            value = compute(one, number) if swapped else compute(number, one)
            if value is None:
                continue
            result = result_labels(labels, one_labels)
            claim = (key, result) if many else key
            if claim in taken:
                raise QueryError(_AMBIGUOUS_GROUP if many else _AMBIGUOUS)
            taken.add(claim)
            out.append((result, value))
        return out

    return operator


_AMBIGUOUS = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
_AMBIGUOUS_GROUP = "multiple matches for labels: grouping labels must ensure unique matches"


def _by_signature(
    vector: Vector, signature: Callable[[Labels], Labels], side: str
) -> dict[Labels, tuple[Labels, float]]:
    ones = dict[Labels, tuple[Labels, float]]()
    for one in vector:
        key = signature(one[0])
        if key in ones:
            raise QueryError(
                f"found duplicate series for the match group {key} on the {side} hand-side of the operation: "
                f"[{one[0]}, {ones[key][0]}];many-to-many matching not allowed: matching labels must be unique on one side"
            )
        ones[key] = one
    return ones


def _results(op: str, bool_: bool, interner: Interner, matching: Matching) -> Callable[[Labels, Labels], Labels]:
    """From the labels of the many side and of the one side to those of the result."""
    nameless = op in ARITHMETIC or bool_
    known = dict[tuple[Labels, Labels], Labels]()

    def result(many: Labels, one: Labels) -> Labels:
        found = known.get((many, one))
        if found is None:
            found = known[many, one] = make(many, one)
        return found

    def make(many: Labels, one: Labels) -> Labels:
        base = many.nameless if op in ARITHMETIC else many
        if not matching.group:
            base = interner.keep(base, matching.labels) if matching.on else interner.drop(base, matching.labels)
        for name in matching.include:
            base = interner.with_label(base, name, one.get(name))
        return base.nameless if nameless else base

    return result


def with_scalar(op: str, bool_: bool, scalar_left: bool) -> Callable[[Vector, float], Vector]:
    """An operator between a vector and a number. A comparison keeps the vector's value, on whichever side it stands."""
    nameless = op in ARITHMETIC or bool_
    compare, compute = COMPARE.get(op), ARITHMETIC.get(op)

    def value(number: float, scalar: float) -> float | None:
        left, right = (scalar, number) if scalar_left else (number, scalar)
        if compute is not None:
            return compute(left, right)
        assert compare is not None
        holds = compare(left, right)
        if bool_:
            return 1.0 if holds else 0.0
        return number if holds else None

    def operator(vector: Vector, scalar: float) -> Vector:
        out = Vector()
        for labels, number in vector:
            if (result := value(number, scalar)) is not None:
                out.append((labels.nameless if nameless else labels, result))
        return out

    return operator
