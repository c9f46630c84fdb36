"""Lags that learn themselves, without labels: how much later than expected the alerts of a rule begin, in past groups.

For each rule median(onset − t_root)·n/(n + 1.5) over n past groups is added to its lag: a group says when its fault began, by all
of its facts, and whatever is systematically late against that is a lag that was guessed wrong. Its spread is learnt likewise, by
the median absolute deviation: a rule that is always as late tells the time better than one that varies. A group tells something
only if several rules speak in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from opsloop.core.correlation.facts import Reading
from opsloop.core.correlation.grouping import Group
from opsloop.core.correlation.method import Seconds
from opsloop.core.correlation.onsets import Learnt, Rules

LEAST_RULES = 3  # that speak in a group
MOST_PAST = 50  # groups that are remembered for each rule
LEAST_GROUPS = 2  # that tell how much a rule varies
NORMAL = 1.4826  # standard deviations of a normal distribution in its median absolute deviation
OUTLIER = 1800.0  # seconds; an alert so far from its root says nothing of its rule


@dataclass(frozen=True, slots=True)
class Lessons:
    """Rule → by how many seconds its alerts were later than expected without any lesson, one number per past group."""

    past: Mapping[str, tuple[Seconds, ...]] = field(default_factory=dict)

    def after(self, groups: Iterable[Group], rules: Rules) -> "Lessons":
        """The lessons with those of these groups, which were read with `rules`."""
        lessons = self
        for group in groups:
            lessons = lessons.after_fault(group.at, (r for a in group.attributions for r in a.fact.readings), rules)
        return lessons

    def after_fault(self, at: Seconds, readings: Iterable[Reading], rules: Rules) -> "Lessons":
        """The lessons with that of one fault, which began at this Unix time; its alerts were read with `rules`."""
        late: dict[str, list[Seconds]] = {}
        for reading in readings:
            residual = reading.onset - at
            if abs(residual) <= OUTLIER:
                late.setdefault(reading.rule, []).append(residual + rules.shift(reading.rule))
        if len(late) < LEAST_RULES:
            return self
        past = dict(self.past)
        for rule, residuals in late.items():
            past[rule] = (*past.pop(rule, ()), median(residuals))[-MOST_PAST:]  # what speaks last stands last
        return Lessons(past)

    def learnt(self, learn_from: float) -> dict[str, Learnt]:
        """Rule → what to add to its lag, and how that varied; `learn_from`: past groups that weigh as much as the expectation."""
        return {rule: _learnt(known, learn_from) for rule, known in self.past.items()}


def _learnt(late: Sequence[Seconds], learn_from: float) -> Learnt:
    """Of one rule. One group alone does not tell how much it varies."""
    middle, count = median(late), len(late)
    shift = middle * count / (count + learn_from)
    if count < LEAST_GROUPS:
        return Learnt(shift)
    return Learnt(shift, NORMAL * median(abs(each - middle) for each in late), count)
