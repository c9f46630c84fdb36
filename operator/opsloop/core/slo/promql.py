"""Turns a Release's SLI into one PromQL expression per tick, and the answer into readings.

Every part of the expression is one number; its label `opsloop` names it:

    good:1m        bad:1m       total:1m      sums over the window, all versions
    covered:1m                                share of the window for which `total` had data
    good:1m:v2     total:1m:v2                the same of one revision

The user's expression is always inside `sum( )`, so that each part has at most one series.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from math import isinf, isnan
from typing import Literal, NamedTuple, Protocol

from opsloop.api.meta import format_duration
from opsloop.api.slo import Sli
from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import structured
from opsloop.core.slo.expression import Form, Unit, form, in_a_name
from opsloop.core.slo.pods import ANYTHING, INSTANCE, POD_LABELS, Scope, hash_is_cut, hosts, pattern

LABEL = "opsloop"
_POINTS = 120  # coverage is measured at up to this many points of a window
_INNER = 4  # a point is covered if `total` has data over this many scrape intervals before it
_PLACEHOLDER = {name: re.compile(r"\{\{\s*" + name + r"\s*\}\}") for name in ("window", "version", "pods")}
_ANY_WINDOW = timedelta(milliseconds=987654321)  # found again in an expression
_IN_NAME = (
    "asks for recorded series that carry the window in their name or a label: they exist for the recorded windows only, and"
    " nobody can say for how much of a window they have data; count the recorded or raw counters over [{{window}}]"
)
_SPECIAL = re.compile(r"[.+*?()|{}\[\]$]")
_UNQUOTABLE = re.compile("[\\\\^\"'`\n]")
_WRITE_PODS = 'write {{pods}} into both expressions, for example pod=~"{{pods}}"; or {{version}}'
ANYWHERE = Scope()


class Split(NamedTuple):
    """A revision to be read alone: its version label, the window, the ReplicaSets whose pods ran it, and addresses that
    only its pods had."""

    version: str
    window: timedelta
    replica_sets: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    def pods(self, scope: Scope) -> str:
        """A regular expression for exactly its pods, as the label holds them."""
        return hosts(self.addresses) if scope.by_address else pattern(self.replica_sets)


Splits = Mapping[str, Split]
"""Name in the expression → whose events are counted, and over which window."""


class Labelled(Protocol):
    """One series of an answer (`shell.ports.Sample`)."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Label name → value."""
        ...

    @property
    def value(self) -> float:
        """The number; may be NaN or infinite."""
        ...


@dataclass(frozen=True, slots=True)
class Parsed:
    """The readings of one answer: one for every window and every version of the query.

    `missing`: the windows with events in which good (or bad) ones had no series.
    """

    windows: Mapping[timedelta, Reading]
    versions: Mapping[str, Reading]
    missing: frozenset[timedelta] = frozenset()


# --- the expressions of an SLI


@dataclass(frozen=True, slots=True)
class Expressions:
    """An SLI as PromQL with placeholders: good or bad events (`counted`), all events, and what shows that there are data.

    `field` and `total_field` name where a person wrote them. `metric` is what a structured SLI counts by.
    """

    kind: Literal["good", "bad"]
    counted: str
    total: str
    present: str
    field: str
    total_field: str
    metric: str = ""

    @property
    def by(self) -> Literal["pods", "version", ""]:
        """What tells revisions apart: the placeholder that both expressions hold."""
        for name in ("pods", "version"):
            if all(_PLACEHOLDER[name].search(query) for query in (self.counted, self.total)):
                return name
        return ""


@lru_cache(maxsize=1024)
def expressions(sli: Sli, scope: Scope = ANYWHERE) -> Expressions:
    """The PromQL of an SLI. `scope` says where the series of a structured one are. Assumes that `problem` found none."""
    if sli.requests is not None:
        field = f"{sli.field}.requests"
        made = structured.requests(sli.requests, scope)
        return Expressions("bad", *made, f"{field}.bad", f"{field}.counter", sli.requests.counter)
    if sli.latency is not None:
        field = f"{sli.field}.latency"
        made, metric = structured.latency(sli.latency, scope), structured.counting(sli.latency)
        return Expressions("good", *made, f"{field}.threshold", f"{field}.histogram", metric)
    kind: Literal["good", "bad"] = "good" if sli.good is not None else "bad"
    counted, total = sli.good or sli.bad or "", sli.total or ""
    return Expressions(kind, counted, total, total, f"{sli.field}.{kind}", f"{sli.field}.total")


def raw(sli: Sli, scope: Scope) -> Sli:
    """The SLI as PromQL of all pods in the scope, for those who read it as a whole."""
    asked = expressions(sli, scope)
    counted, total = (_PLACEHOLDER["pods"].sub(scope.pods, query) for query in (asked.counted, asked.total))
    good, bad = (counted, None) if asked.kind == "good" else (None, counted)
    return Sli.model_construct(
        requests=None, latency=None, good=good, bad=bad, total=total
    )  # longer than one may write


@lru_cache(maxsize=1024)
def problem(sli: Sli) -> Unknown | None:
    """The mistake that makes an SLI unreadable, with its field; None without one."""
    if sum(form is not None for form in (sli.total, sli.requests, sli.latency)) != 1:
        return Unknown(
            slo.QUERY_FAILED, f"{sli.field}: give exactly one of requests, latency, and total (with good or bad)"
        )
    if sli.total is None:
        return None
    if (sli.good is None) == (sli.bad is None):
        return Unknown(slo.QUERY_FAILED, f"{sli.field}: give exactly one of good and bad")
    raw = expressions(sli)
    return _problem(raw.field, raw.counted) or _problem(raw.total_field, raw.total)


def _problem(field: str, query: str) -> Unknown | None:
    if not _PLACEHOLDER["window"].search(query):
        detail = f"{field} does not hold {{{{window}}}}, so that it would say the same of every window"
        return Unknown(slo.QUERY_FAILED, detail)
    if in_a_name(_filled(query, _ANY_WINDOW), format_duration(_ANY_WINDOW)):
        return Unknown(slo.WINDOW_IN_NAME, f"{field} {_IN_NAME}")
    found = form(_filled(query, _ANY_WINDOW))
    if found is not None and found.unit is Unit.RATE:
        return Unknown(
            slo.NOT_A_COUNT, f"{field} gives events per second; write increase() instead of {found.culprit}()"
        )
    if found is not None and found.unit is Unit.RATIO:
        detail = f"{field} gives a ratio; write the number of events alone, for example as increase()"
        return Unknown(slo.NOT_A_COUNT, detail)
    return None


def by_version_label(sli: Sli) -> bool:
    """True where revisions are told by a version label: each needs its own."""
    return expressions(sli).by == "version"


def wants_pods(sli: Sli) -> bool:
    """True where revisions are told by the names of pods."""
    return sli.total is None or any(_PLACEHOLDER["pods"].search(q) for q in (sli.good or sli.bad or "", sli.total))


def not_told(sli: Sli, split: Split, scope: Scope = ANYWHERE) -> Unknown | None:
    """Why the events of this revision cannot be told from others'; None where they can."""
    match expressions(sli, scope).by:
        case "version":
            return None
        case "pods" if scope.by_address:
            seen = f"no address that only pods of {split.version} have was seen yet"
            return None if split.addresses else Unknown(slo.NOT_READ, seen)
        case "pods" if not split.replica_sets:
            return Unknown(slo.NOT_READ, f"no ReplicaSet of {split.version} was seen yet")
        case "pods" if hash_is_cut(split.replica_sets):
            return Unknown(
                slo.NOT_BY_VERSION, "the Deployment's name is so long that the pods' names do not tell revisions"
            )
        case "pods":
            return None
    if sli.total is None:
        return Unknown(
            slo.NOT_BY_VERSION,
            "no label of the series holds the name of a pod, nor instance its address beside a selector; name it in podLabel",
        )
    return Unknown(slo.NOT_BY_VERSION, f"{sli.field}: {_WRITE_PODS}")


def version_pattern(version: str) -> str:
    """A regular expression for exactly this version that is valid in any of PromQL's three kinds of quotes.

    Backslashes mean different things in them, so special characters become classes (`1[.]2`); quotes, backslashes and
    carets, which no version label needs, become "any one character".
    """
    return _UNQUOTABLE.sub(".", _SPECIAL.sub(lambda match: f"[{match[0]}]", version))


def _filled(query: str, window: timedelta, version: str = ANYTHING, pods: str = ANYTHING) -> str:
    query = _PLACEHOLDER["window"].sub(format_duration(window), query)
    return _PLACEHOLDER["version"].sub(version, _PLACEHOLDER["pods"].sub(pods, query))


def named(expression: str, kind: str, window: timedelta, version: str | None = None) -> str:
    """PromQL whose one series has KIND:WINDOW or KIND:WINDOW:VERSION in the label LABEL."""
    label = ":".join([kind, format_duration(window), *([] if version is None else [version])])
    quoted = json.dumps(label.replace("$", "$$"), ensure_ascii=False)
    return f'label_replace({expression}, "{LABEL}", {quoted}, "", "")'


def _sum(query: str, window: timedelta, version: str = ANYTHING, pods: str = ANYTHING) -> str:
    return f"sum({_filled(query, window, version, pods)}\n)"  # the line break ends a comment in the user's expression


# --- what is asked


def coverage_expression(present: str, window: timedelta, resolution: timedelta, pods: str = ANYTHING) -> str:
    """PromQL: share of the window's points at which `present` had data; exactly 1 where it always had.

    The denominator counts the same points of a constant: how many there are depends on how the window lies on the
    clock, and differs by one between Prometheus 2 (both ends count) and 3 (the older end does not).
    """
    step = format_duration(max(resolution, window / _POINTS))
    span = f"[{format_duration(window)}:{step}]"
    inner = _sum(present, _INNER * resolution, pods=pods) + _seen(_filled(present, _INNER * resolution, pods=pods))
    return f"count_over_time(({inner}){span}) / scalar(count_over_time(vector(1){span}))"


def _seen(present: str) -> str:
    """PromQL that takes a value away where none of the expression's series has data, though it has a constant instead."""
    found = form(present)
    if found is None or not found.stand_in or not found.selectors:
        return ""
    counts = [f"count(count_over_time({s.text}))" if s.ranged else f"count({s.text})" for s in found.selectors]
    return f" and on() ({' or '.join(dict.fromkeys(counts))})"


def window_query(
    sli: Sli, windows: Iterable[timedelta], splits: Splits, resolution: timedelta, scope: Scope = ANYWHERE
) -> str:
    """One expression that returns all readings of a Release at one tick; empty without windows and splits.

    The windows of splits are read overall as well, because a revision is compared with the whole. `resolution` is
    Prometheus' scrape interval.
    """
    asked, parts = _counting(sli, scope), []
    for window in sorted({*windows, *(split.window for split in splits.values())}):
        parts += _parts(asked, window, None, pods=scope.pods)
        parts.append(named(coverage_expression(asked.present, window, resolution, scope.pods), "covered", window))
    for name, split in sorted(splits.items()):
        parts += split_parts(sli, name, split, scope)
    return "\nor ".join(parts)


def split_parts(sli: Sli, name: str, split: Split, scope: Scope = ANYWHERE, seen: bool = False) -> list[str]:
    """Expressions for the counts of one revision, to be joined by `or`; KIND:WINDOW:`name`. Empty where it is not told.

    `seen`: no total where none of its series has data, even where the expression has a constant in their place.
    """
    if not_told(sli, split, scope):
        return []
    asked = _counting(sli, scope)
    if asked.by == "pods":
        return _parts(asked, split.window, name, pods=split.pods(scope), seen=seen)
    return _parts(asked, split.window, name, version_pattern(split.version), scope.pods, seen)


def counts_births(sli: Sli) -> bool:
    """True where what a series was born with counts: else the first error of each pod and path is lost."""
    return bool(expressions(sli).metric) or _counting(sli, ANYWHERE) != expressions(sli)


@lru_cache(maxsize=1024)
def _counting(sli: Sli, scope: Scope) -> Expressions:
    """What is read: births are counted also in a person's expressions, where all their ranges are those of increase().

    A quiet service whose pods fail loses one error of each by `increase()`: a third of what a tier needs, and minutes.
    """
    asked = expressions(sli, scope)
    counted, total = form(asked.counted), form(asked.total)
    if asked.metric or counted is None or total is None or not (_plain(counted) and _plain(total)):
        return asked
    everybody = _PLACEHOLDER["pods"].sub(scope.pods, _PLACEHOLDER["version"].sub(ANYTHING, total.increases[0].selector))
    return replace(
        asked,
        counted=structured.with_births(asked.counted, counted.increases, everybody),
        total=structured.with_births(asked.total, total.increases, everybody),
    )


def _plain(found: Form) -> bool:
    """True where every range is the window of an increase()."""
    windows = all(_PLACEHOLDER["window"].fullmatch(one.range.strip("[] ")) for one in found.increases)
    return bool(found.increases) and windows and len(found.increases) == sum(s.ranged for s in found.selectors)


def lag_query(sli: Sli, resolution: timedelta, scope: Scope = ANYWHERE) -> str:
    """PromQL: the age in seconds of the newest sample of all events, within ten minutes; empty where it cannot be asked."""
    span = f"[10m:{format_duration(resolution)}]"
    newest = [f"max_over_time(timestamp({one}){span})" for one in bases(expressions(sli, scope).total, scope)]
    return f"time() - max({' or '.join(newest)})" if newest else ""


def scrapes_query(
    sli: Sli, window: timedelta, scope: Scope, split: Split | None = None, name: str | None = None
) -> str:
    """PromQL: how many samples of the window a process has, on average; of the pods of `split` the process that has most, as
    one that did not live for long says nothing of the others. Empty where it cannot be asked.
    """
    asked = expressions(sli, scope)
    if split is not None and not_told(sli, split, scope):
        return ""
    version = ANYTHING if split is None or asked.by != "version" else version_pattern(split.version)
    pods = scope.pods if split is None or asked.by != "pods" else split.pods(scope)
    found = form(_filled(asked.total, window, version, pods))
    if found is None or not found.selectors:
        return ""
    span, process = format_duration(window), ", ".join((*POD_LABELS, INSTANCE))
    counted = (
        f"max by ({process}) (count_over_time({base}[{span}]))"
        for base in dict.fromkeys(s.base for s in found.selectors)
    )
    return named(f"{'avg' if split is None else 'max'}({' or '.join(counted)})", "scrapes", window, name)


def bases(query: str, scope: Scope) -> tuple[str, ...]:
    """The selectors of an expression without ranges, of all pods; empty where it cannot be read here."""
    found = form(_filled(query, timedelta(minutes=5), pods=scope.pods))
    return tuple(dict.fromkeys(one.base for one in found.selectors)) if found else ()


def _parts(
    asked: Expressions,
    window: timedelta,
    name: str | None,
    version: str = ANYTHING,
    pods: str = ANYTHING,
    seen: bool = False,
) -> list[str]:
    counted, total = (_sum(query, window, version, pods) for query in (asked.counted, asked.total))
    total += _seen(_filled(asked.present, window, version, pods)) if seen else ""
    return [named(counted, asked.kind, window, name), named(total, "total", window, name)]


class Recorded(NamedTuple):
    """PromQL of one window, each at most one series: all events, bad events (of all events as they were recorded), and the share
    of the window that has data. Without a reading at least one of them has no series."""

    total: str
    bad: str
    covered: str


def recorded(sli: Sli, window: timedelta, resolution: timedelta, scope: Scope, every: str) -> Recorded:
    """What `window_query` and `parse` make of a window, as expressions for rules of Prometheus; `every`: the series that
    `total` is recorded as."""
    asked = _counting(sli, scope)
    counted, total = (_sum(query, window, pods=scope.pods) for query in (asked.counted, asked.total))
    none = "" if sli.latency is not None else f" or on() 0 * {every}"  # a bucket that is missing is no reading
    if asked.kind == "good":
        bad = f"clamp_min({every} - on() ({counted}{none}), 0)"
    else:
        bad = f"(({counted}{none}) <= on() {every}) or on() {every}"
    covered = coverage_expression(asked.present, window, resolution, scope.pods)
    return Recorded(total, bad, f"clamp_max({covered}, 1)")


def range_query(sli: Sli, window: timedelta, scope: Scope = ANYWHERE) -> str:
    """PromQL: the error ratio over a short window as one series, for the onset and the gate. NaN without events."""
    asked = _counting(sli, scope)
    counted, total = (_sum(query, window, pods=scope.pods) for query in (asked.counted, asked.total))
    if asked.kind == "good":
        ratio = f"clamp_min(1 - {counted} / {total}, 0)"
    else:
        ratio = f"clamp_max(({counted} or 0 * {total}) / {total}, 1)"
    return named(ratio, "ratio", window)


def counts_query(sli: Sli, step: timedelta, scope: Scope = ANYWHERE) -> str:
    """PromQL for a range query in steps of `step`: the counts of disjoint intervals, as series `good` or `bad` and `total`."""
    return "\nor ".join(_parts(_counting(sli, scope), step, None, pods=scope.pods))


def single_queries(sli: Sli, window: timedelta, scope: Scope = ANYWHERE) -> dict[str, str]:
    """Field → its expression alone, to find the one that Prometheus refuses; that of all events is the last."""
    asked = expressions(sli, scope)
    fields = {asked.field: asked.counted, asked.total_field: asked.total}
    return {field: _sum(query, window, pods=scope.pods) for field, query in fields.items()}


# --- what is answered


def parse(
    samples: Iterable[Labelled], sli: Sli, windows: Iterable[timedelta], splits: Splits, scope: Scope = ANYWHERE
) -> Parsed:
    """The readings for a `window_query` with the same arguments; a reading without samples is Unknown."""
    numbers = {sample.labels.get(LABEL, ""): sample.value for sample in samples}
    spans = {*windows, *(split.window for split in splits.values())}
    overall = {window: _overall(numbers, sli, window) for window in spans}
    kind = expressions(sli).kind
    missing = {w for w, r in overall.items() if isinstance(r, Value) and f"{kind}:{format_duration(w)}" not in numbers}
    return Parsed(
        windows=overall,
        versions={
            name: not_told(sli, split, scope) or _of_split(numbers, sli, name, split.window, overall[split.window])
            for name, split in splits.items()
        },
        missing=frozenset(missing),
    )


def _overall(numbers: Mapping[str, float], sli: Sli, window: timedelta) -> Reading:
    span = format_duration(window)
    return _reading(sli, numbers, span, numbers.get(f"covered:{span}", 0.0))


def _of_split(numbers: Mapping[str, float], sli: Sli, name: str, window: timedelta, overall: Reading) -> Reading:
    """The reading of one revision.

    The coverage is that of all revisions together: seconds before a canary existed are not missing telemetry.
    """
    if isinstance(overall, Unknown):
        return overall
    return _reading(sli, numbers, f"{format_duration(window)}:{name}", overall.coverage)


def _reading(sli: Sli, numbers: Mapping[str, float], span: str, coverage: float) -> Reading:
    """A Value, or Unknown with the field. Good or bad events are 0 where they have no series.

    While there are events, no good series means that none of them was good: a new version that never answers well has none.
    Prometheus extrapolates counts, so that a part may come out a little above the whole: it is cut.
    """
    asked = expressions(sli)
    total, counted = numbers.get(f"total:{span}"), numbers.get(f"{asked.kind}:{span}")
    if total is None:
        return Unknown(slo.NO_SERIES, f"{asked.total_field} matches no series in the window")
    if sli.latency is not None and counted is None and total > 0:
        return Unknown(
            slo.NO_BUCKET, f"{asked.field}: no bucket has the bound {sli.latency.threshold:g}; write one that exists"
        )
    counted = counted or 0.0
    for number in (counted, total, coverage):
        if isnan(number):
            return Unknown(slo.NAN, f"{sli.field} gave NaN")
        if isinf(number):
            return Unknown(slo.INFINITE, f"{sli.field} gave an infinity")
        if number < 0:
            return Unknown(slo.NEGATIVE, f"{sli.field} gave {number:g}; counts are never below zero")
    if total == 0:
        return Unknown(slo.NO_EVENTS, f"{asked.total_field} is 0 in the window")
    bad = max(0.0, total - counted) if asked.kind == "good" else min(counted, total)
    return Value(bad=bad, total=total, coverage=min(1.0, coverage))
