"""The counters behind an SLI, where it is nothing but a sum of their increases: what is asked for exact counts.

    requests, latency (classic)                      the counters that they name
    sum(increase(SELECTOR[{{window}}]))              the selector; also `sum by (…)`, `or vector(0)`, and sums of such

Everything else (quotients, offsets, subqueries, recorded series, native histograms) stays with windows of PromQL, and
`counters` says why.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Literal

from opsloop.api.meta import format_duration
from opsloop.api.slo import Latency, Sli
from opsloop.core.slo import structured
from opsloop.core.slo.expression import Token, Unreadable, form, tokens
from opsloop.core.slo.pods import ANYTHING, POD_LABELS, Scope
from opsloop.core.slo.promql import Splits, expressions, version_pattern
from opsloop.core.slo.selectors import NAME, Matcher, Selector, selector

_OWN = {"{{pods}}": "pods", "{{version}}": "version"}
_PROCESS = (*POD_LABELS, "instance")
"""Labels that name a process, the best one first."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one series says: whose events, of which process, and how often it counts among good or bad ones and among all."""

    revision: str
    process: str
    counted: int
    total: int


@dataclass(frozen=True, slots=True)
class Counters:
    """The selectors of one SLI. A revision is told by the label `own`: revision → pattern of its values.

    `both`: a process without a series of good events says nothing (a histogram without the bucket).
    """

    kind: Literal["good", "bad"]
    counted: tuple[Selector, ...]
    total: tuple[Selector, ...]
    own: str
    revisions: Mapping[str, str]
    both: bool = False

    @property
    def selector(self) -> str:
        """One PromQL selector for the series of all: what the selectors have in common."""
        every = (*self.counted, *self.total)
        common = [one for one in every[0].matchers if all(one in other.matchers for other in every)]
        names = sorted({one.metric for one in every})
        own = Matcher(self.own, "=~", "|".join(self.revisions.values()))
        inside = ",".join(one.text for one in (own, *common))
        if len(names) == 1:
            return f"{names[0]}{{{inside}}}"
        return f"{{{NAME}=~{json.dumps('|'.join(names))},{inside}}}"

    def query(self, span: timedelta) -> str:
        """The raw samples of the last `span`: an instant query whose answer is a matrix."""
        return f"{self.selector}[{format_duration(span)}]"

    def size_query(self, span: timedelta) -> str:
        """The number of these series over the last `span`."""
        return f"count(count_over_time({self.query(span)}))"

    def line(self, labels: Mapping[str, str]) -> Line | None:
        """What a series with these labels counts; None for nothing."""
        value = labels.get(self.own, "")
        found = (name for name, values in self.revisions.items() if Matcher(self.own, "=~", values).matches(labels))
        revision = next(found, None)
        counted, total = (sum(one.matches(labels) for one in side) for side in (self.counted, self.total))
        if revision is None or not (counted or total):
            return None
        process = next((labels[name] for name in _PROCESS if labels.get(name)), value)
        return Line(revision, process, counted, total)


def counters(sli: Sli, splits: Splits, scope: Scope) -> Counters | str:
    """The counters by which these revisions can be counted exactly; else why they cannot."""
    if sli.latency is not None and sli.latency.native:
        return "native histograms are read in windows"
    asked = expressions(sli, scope)
    sides = _structured(sli, scope) or [_additive(query) for query in (asked.counted, asked.total)]
    for side, field in zip(sides, (asked.field, asked.total_field), strict=True):
        if not side:
            return f"{field} is no sum of increase(…[{{{{window}}}}]) over plain counters"
    plain = [[_own(one, asked.by) for one in side or ()] for side in sides]
    own = {one[0].label for side in plain for one in side if one[0] is not None}
    if not all(one[0] for side in plain for one in side) or len(own) != 1:
        return f"not every selector tells revisions by one label alone, as in pod=~{json.dumps('{{pods}}')}"
    values = {
        name: split.pods(scope) if asked.by == "pods" else version_pattern(split.version)
        for name, split in splits.items()
    }
    counted, total = (tuple(_filled(one[1], scope) for one in side) for side in plain)
    return Counters(asked.kind, counted, total, own.pop(), values, both=sli.latency is not None)


def _structured(sli: Sli, scope: Scope) -> list[tuple[Selector, ...]] | None:
    """(good or bad, all) selectors of a structured SLI; empty where its matchers cannot be read here."""
    if sli.requests is not None:
        texts = structured.request_selectors(sli.requests, scope)
    elif sli.latency is not None:
        texts = structured.bucket_selectors(sli.latency, scope)
    else:
        return None
    counted, total = (selector(text) for text in texts)
    if counted is not None and sli.latency is not None:
        counted = _with_bound(counted, sli.latency)
    return [(one,) if one else () for one in (counted, total)]


def _with_bound(buckets: Selector, sli: Latency) -> Selector:
    bound = Matcher("le", "=~", structured.spellings(sli.threshold))
    return replace(buckets, matchers=(*buckets.matchers, bound))


def _own(one: Selector, by: str) -> tuple[Matcher | None, Selector]:
    """The matcher that tells revisions, and the selector without it."""
    found = [m for m in one.matchers if m.op == "=~" and _OWN.get(m.value.replace(" ", "")) == by]
    if len(found) != 1:
        return None, one
    return found[0], replace(one, matchers=tuple(m for m in one.matchers if m is not found[0]))


def _filled(one: Selector, scope: Scope) -> Selector:
    """Other placeholders stand for everything."""
    everything = {"{{pods}}": scope.pods, "{{version}}": ANYTHING}
    return replace(
        one,
        matchers=tuple(replace(m, value=everything.get(m.value.replace(" ", ""), m.value)) for m in one.matchers),
    )


# --- sums of increases


@lru_cache(maxsize=1024)
def _additive(query: str) -> tuple[Selector, ...]:
    """The selectors of the counters whose increases an expression sums up; empty where it is anything else."""
    found = form(query)
    if found is None or not found.increases or len(found.increases) != len(found.selectors):
        return ()
    if any(one.range.strip("[] ").replace(" ", "") != "{{window}}" for one in found.increases):
        return ()
    try:
        _Sum(query, {one.start: one.end for one in found.increases}).read()
    except Unreadable:
        return ()
    read = [selector(one.selector) for one in found.increases]
    plain = tuple(one for one in read if one is not None and ":" not in one.metric)
    return plain if len(plain) == len(read) else ()


class _Sum:
    """Reads `sum(increase(…)) + … or vector(0)`; Unreadable where the expression is anything else."""

    def __init__(self, query: str, increases: Mapping[int, int]) -> None:
        self._starts = frozenset(increases)
        self._tokens = [
            one for one in tokens(query) if not any(start < one.start < end for start, end in increases.items())
        ]
        self._at = 0

    def read(self) -> None:
        """The whole expression."""
        self._sums()
        if self._now.kind != "end":
            raise Unreadable

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _accept(self, *texts: str) -> bool:
        taken = self._now.text.lower() in texts and self._now.kind in ("op", "word", "number")
        self._at += taken
        return taken

    def _expect(self, *texts: str) -> None:
        for text in texts:
            if not self._accept(text):
                raise Unreadable

    def _sums(self) -> bool:
        """Operands and what stands in for missing ones; true where they are one number, false for a vector.

        Vectors are not added here: Prometheus leaves out the series that have no partner.
        """
        one = self._operand()
        while self._accept("+"):
            if not (self._operand() and one):
                raise Unreadable
        if self._accept("or"):
            self._expect("vector", "(", "0", ")")
        return one

    def _operand(self) -> bool:
        if self._now.start in self._starts and self._accept("increase"):
            return False
        if self._accept("("):
            one = self._sums()
            self._expect(")")
            return one
        self._expect("sum")
        grouped = self._grouping()
        self._expect("(")
        self._sums()
        self._expect(")")
        return not (self._grouping() or grouped)

    def _grouping(self) -> bool:
        if not self._accept("by", "without"):
            return False
        self._expect("(")
        while not self._accept(")"):
            if self._now.kind == "end" or self._now.text == "(":
                raise Unreadable
            self._at += 1
        return True
