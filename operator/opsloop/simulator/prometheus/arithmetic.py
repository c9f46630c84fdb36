"""Operators and functions of numbers as Go's `math` computes them: no exceptions, infinities and NaN instead."""

import math
from collections.abc import Callable, Sequence
from math import copysign, inf, isinf, isnan, nan
from typing import Final


def divide(left: float, right: float) -> float:
    """IEEE division."""
    if right != 0:
        return left / right
    return nan if left == 0 or isnan(left) else copysign(inf, left) * copysign(1.0, right)


def modulo(left: float, right: float) -> float:
    """The remainder with the sign of the dividend."""
    return nan if right == 0 or isinf(left) or isnan(left) or isnan(right) else math.fmod(left, right)


def power(left: float, right: float) -> float:
    """`left` to the power of `right`."""
    odd = right == math.trunc(right) and right % 2 == 1 if not (isnan(right) or isinf(right)) else False
    if left == 0 and right < 0:
        return copysign(inf, left) if odd else inf
    try:
        return math.pow(left, right)
    except OverflowError:
        return -inf if left < 0 and odd else inf
    except ValueError:
        return nan


def smaller(left: float, right: float) -> float:
    """Go's math.Min: NaN unless one side is -Inf."""
    if left == -inf or right == -inf:
        return -inf
    if isnan(left) or isnan(right):
        return nan
    if left == right == 0:
        return left if copysign(1.0, left) < 0 else right
    return min(left, right)


def larger(left: float, right: float) -> float:
    """Go's math.Max: NaN unless one side is +Inf."""
    if left == inf or right == inf:
        return inf
    if isnan(left) or isnan(right):
        return nan
    if left == right == 0:
        return right if copysign(1.0, left) < 0 else left
    return max(left, right)


def round_to(value: float, nearest: float) -> float:
    """To a multiple of `nearest`; halves go up."""
    inverse = divide(1.0, nearest)
    return divide(floor(value * inverse + 0.5), inverse)


def floor(value: float) -> float:
    """Down to a whole number."""
    return value if isnan(value) or isinf(value) else float(math.floor(value))


def ceil(value: float) -> float:
    """Up to a whole number."""
    return value if isnan(value) or isinf(value) else float(math.ceil(value))


ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": divide,
    "%": modulo,
    "^": power,
}
COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
}


def compensated(increment: float, total: float, lost: float) -> tuple[float, float]:
    """One step of Kahan's sum with Neumaier's improvement: (sum, compensation)."""
    new = total + increment
    if abs(total) >= abs(increment):
        return new, lost + ((total - new) + increment)
    return new, lost + ((increment - new) + total)


def compensated_sum(values: Sequence[float]) -> float:
    """A sum that loses nothing to rounding on the way."""
    total, lost = 0.0, 0.0
    for value in values:
        total, lost = compensated(value, total, lost)
    return total if isinf(total) else total + lost


def plain_sum(values: Sequence[float]) -> float:
    """From left to right. (The builtin is compensated from Python 3.12 on.)"""
    total = 0.0
    for value in values:
        total += value
    return total


def mean(values: Sequence[float]) -> float:
    """The average; a sum that would overflow is taken of the shares."""
    total = compensated_sum(values)
    if isinf(total) and not any(isinf(value) for value in values):
        return plain_sum([value / len(values) for value in values])
    return total / len(values)


def minimum(values: Sequence[float]) -> float:
    """The smallest number; NaN only where there is nothing else."""
    return min((value for value in values if not isnan(value)), default=nan)


def maximum(values: Sequence[float]) -> float:
    """The largest number; NaN only where there is nothing else."""
    return max((value for value in values if not isnan(value)), default=nan)
