"""Harm anew: does a service burn since an earlier harm ended, or do its windows merely hold that one?

A tier of three days burns for hours after a harm of minutes. Events after its end alone tell whether there is more:
the tier's short window once it lies behind the end, until then the longest window that does, and only by what is no chance.
"""

from datetime import datetime

from opsloop.core.readings import Reading, Value, Verdict
from opsloop.core.slo.tiers import budget_of
from opsloop.core.statistics import sequential

ALPHA = 0.01  # of one window, whenever it is looked at


def surely_above(reading: Reading, limit: float) -> bool:
    """True where the error ratio is above the limit, and that is no chance."""
    if not isinstance(reading, Value) or reading.lower <= limit:
        return False
    return sequential.surely_above(reading.bad, reading.total, limit, ALPHA)


def burns_anew(verdict: Verdict, ended: datetime) -> bool:
    """True where a tier fires by what happened after an earlier harm had `ended`."""
    firing, span = [v for v in verdict.tiers if v.firing], verdict.at - ended
    if not firing:
        return False
    if any(v.tier.short <= span for v in firing):
        return True
    readings = {w: r for v in verdict.tiers for w, r in ((v.tier.short, v.short), (v.tier.long, v.long))}
    window = max((w for w in readings if w <= span), default=min(readings))
    return surely_above(readings[window], budget_of(verdict.objective))
