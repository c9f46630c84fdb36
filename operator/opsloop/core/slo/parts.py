"""The selectors of an SLI one by one: which match something, and what keeps one from it that never does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opsloop.api.slo import Sli
from opsloop.core.slo import promql
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.selectors import Selector, selector

MOST_VALUES = 8  # of a label, in a sentence


@dataclass(frozen=True, slots=True)
class Asked:
    """A selector of one field."""

    field: str
    text: str


def selectors_of(sli: Sli, scope: Scope) -> tuple[Asked, ...]:
    """Those of good or bad events, then those of all; empty where the expression cannot be read here."""
    asked = promql.expressions(sli, scope)
    found = [Asked(asked.field, one) for one in promql.bases(asked.counted, scope)]
    every = [Asked(asked.total_field, one) for one in promql.bases(asked.total, scope)]
    known = {one.text for one in every}
    return tuple([one for one in found if one.text not in known] + every)


def count(text: str) -> str:
    """PromQL: how many series a selector matches."""
    return f"count({text})"


def without(text: str) -> dict[str, tuple[str, str]]:
    """Each matcher of a selector → (PromQL that counts what matches without it, PromQL that shows the values of its label then).

    Empty where the selector cannot be read here.
    """
    found = selector(text)
    if found is None:
        return {}
    asked = {}
    for one in found.matchers:
        rest = _text(Selector(found.metric, tuple(m for m in found.matchers if m is not one)))
        asked[one.text] = count(rest), f"count by ({one.label}) ({rest})"
    return asked


def metric_alone(text: str) -> str:
    """PromQL: how many series the metric has; empty where the selector cannot be read here."""
    found = selector(text)
    return count(found.metric) if found else ""


def _text(of: Selector) -> str:
    return f"{of.metric}{{{','.join(m.text for m in of.matchers)}}}" if of.matchers else of.metric


def sentence(text: str, metric: float, found: Mapping[str, tuple[float, Sequence[str]]]) -> str:
    """What to mend in a selector that matches nothing. `metric`: series of its metric; `found`: matcher → (series without it,
    values of its label among them)."""
    named = selector(text)
    if named is None:
        return "opsloop cannot take it apart; ask Prometheus for a part of it"
    if not metric:
        return f"there is no series {named.metric}: is it scraped, and spelt so?"
    for matcher, (series, values) in found.items():
        if series:
            shown = ", ".join(map(repr, values[:MOST_VALUES])) + (", …" if len(values) > MOST_VALUES else "")
            there = f"; there: {shown}" if any(values) else "; the series have no such label"
            return f"without {matcher} it matches {series:.0f} series{there}"
    return "no single matcher keeps it from matching: several do together"
