"""Query budget of a namespace: how many queries a minute its Releases may cost their Prometheus together.

A round reads each objective of the namespace once. Where rounds at the ordinary rhythm would cost more than the budget,
each objective is read once in the time in which the budget holds a whole round: nobody is left out, and the rate is the
budget whatever the costs of single reads are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, log2

from opsloop.core.readings import Remark

OVER_BUDGET = "OverQueryBudget"  # the SLI is read less often: its namespace's queries would exceed their budget

_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class QueryBudget:
    """Queries per minute of each namespace; 0: as many as it takes. `own` are those of single namespaces."""

    each: int = 0
    own: Mapping[str, int] = field(default_factory=dict)

    def of(self, namespace: str) -> int:
        """Queries per minute that the namespace may cost; 0 where there is no bound."""
        return self.own.get(namespace, self.each)


def round_of(cost: int, budget: int) -> float:
    """Seconds that a round of reads, which costs so many queries, must take to be within the budget; 0 without one."""
    return _MINUTE * cost / budget if budget else 0.0


def remark(namespace: str, tick: float, seconds: float, budget: int) -> Remark:
    """What a person is told of a read that is put off. The time is rounded up to a power of two ticks: costs differ a little
    from read to read, and a message that differed with them would be written at each."""
    about = tick * 2 ** ceil(log2(seconds / tick))
    return Remark(
        OVER_BUDGET,
        f"it is read less often, up to every {about:g} s instead of every {tick:g} s, and harm is seen as much later: all SLIs of"
        f" namespace {namespace} together may cost {budget} queries a minute (prometheus.queryBudget of the operator)",
    )
