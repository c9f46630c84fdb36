"""Clopper–Pearson: the exact confidence bounds of a share after so many of so many trials."""

from collections.abc import Callable
from math import exp, lgamma, log, log1p

CONFIDENCE = 0.95


def upper(hits: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The share above which so few hits would have a chance of less than 1 − confidence."""
    return 1.0 if hits >= trials else _solve(lambda p: _at_most(hits, trials, p) > 1 - confidence)


def lower(hits: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The share below which so many hits would have a chance of less than 1 − confidence."""
    return 1 - upper(trials - hits, trials, confidence)


def _solve(holds: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


def _at_most(hits: int, trials: int, share: float) -> float:
    """P(at most so many hits): the terms of the binomial, in logarithms."""
    if share <= 0 or share >= 1:
        return 1.0 if share <= 0 else 0.0
    first = lgamma(trials + 1)
    return sum(
        exp(first - lgamma(k + 1) - lgamma(trials - k + 1) + k * log(share) + (trials - k) * log1p(-share))
        for k in range(hits + 1)
    )
