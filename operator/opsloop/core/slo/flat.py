"""Are the numbers of an SLI counts? Told by themselves, where its PromQL does not tell: a recorded rate looks like a counter.

An hour has about twelve times the events of five minutes. Numbers that are alike in all windows can be counts only where nothing
happened before: until ALIKE times the shortest window after traffic began. Alike for as long as the shortest tier's long
window, they are averages: rates or ratios.
"""

from collections.abc import Mapping
from datetime import timedelta

from opsloop.api.slo import Slo
from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo.burn_rate import NOT_A_COUNT
from opsloop.core.slo.promql import expressions
from opsloop.core.slo.tiers import tiers_of, windows_of

# Largest number to smallest one: the rate of an hour and the mean of a day differ by that, counts by far more.
ALIKE = 3.0
FAR = 2 * ALIKE  # longest window to shortest one, at least: nearer ones tell nothing


def field(slo: Slo, read: Mapping[timedelta, Reading]) -> str:
    """The field whose numbers are alike in all windows that the tiers read; empty where none is, or one window is not known."""
    windows = windows_of(slo)
    values = [value for window in windows if isinstance(value := read.get(window), Value)]
    if slo.sli.total is None or len(values) < len(windows) or max(windows) < FAR * min(windows):
        return ""
    asked = expressions(slo.sli)
    own = [value.bad if asked.kind == "bad" else value.total - value.bad for value in values]
    if _alike([value.total for value in values]):
        return asked.total_field
    return asked.field if _alike(own) else ""


def _alike(numbers: list[float]) -> bool:
    return min(numbers) > 0 and max(numbers) <= ALIKE * min(numbers)


def held(slo: Slo) -> timedelta:
    """How long the numbers must be alike."""
    return min(tier.long for tier in tiers_of(slo))


def not_a_count(slo: Slo, named: str) -> Unknown:
    """What the reading is instead."""
    return Unknown(
        NOT_A_COUNT,
        f"{named} is about the same over all windows, however long: a rate or an average; write increase(…[{{{{window}}}}])"
        " of a counter",
    )
