"""Turns a Release's SLI into one PromQL expression per tick, and the answer into readings.

Every part of the expression is one number; its label `opsloop` names it:

    good:1m        bad:1m       total:1m      sums over the window, all versions
    covered:1m                                share of the window for which `total` had data
    good:1m:v2     total:1m:v2                the same by version

The user's expression is always inside `sum( )`, so that each part has at most one series.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import isinf, isnan
from typing import Protocol

from opsloop.api.meta import format_duration
from opsloop.api.slo import Sli
from opsloop.core.facts import Reading, Unknown, Value
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo.expression import Unit, form, in_a_name

LABEL = "opsloop"
FIELD = "spec.slo.sli"
_POINTS = 120  # coverage is measured at up to this many points of a window
_INNER = 4  # a point is covered if `total` has data over this many scrape intervals before it
_PLACEHOLDER = {name: re.compile(r"\{\{\s*" + name + r"\s*\}\}") for name in ("window", "version")}
_ANY_WINDOW = timedelta(milliseconds=987654321)  # found again in an expression
_IN_NAME = (
    "asks for recorded series that carry the window in their name or a label: they exist for the recorded windows only, and"
    " nobody can say for how much of a window they have data; count the recorded or raw counters over [{{window}}]"
)
_SPECIAL = re.compile(r"[.+*?()|{}\[\]$]")
_UNQUOTABLE = re.compile("[\\\\^\"'`\n]")

Versions = Mapping[str, tuple[str, timedelta]]
"""Name in the expression → (version label, window)."""


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
    """The readings of one answer: one for every window and every version of the query."""

    windows: Mapping[timedelta, Reading]
    versions: Mapping[str, Reading]


def problem(sli: Sli) -> Unknown | None:
    """The mistake that makes an SLI unreadable, with its field; None without one."""
    if (sli.good is None) == (sli.bad is None):
        return Unknown(slo.QUERY_FAILED, f"{FIELD}: give exactly one of good and bad")
    return next(
        (found for field, query in _fields(sli).items() if (found := _problem(f"{FIELD}.{field}", query))), None
    )


def _problem(field: str, query: str) -> Unknown | None:
    if not _PLACEHOLDER["window"].search(query):
        return Unknown(
            slo.QUERY_FAILED, f"{field} does not hold {{{{window}}}}, so that it would say the same of every window"
        )
    if in_a_name(_filled(query, _ANY_WINDOW), format_duration(_ANY_WINDOW)):
        return Unknown(slo.WINDOW_IN_NAME, f"{field} {_IN_NAME}")
    found = form(_filled(query, _ANY_WINDOW))
    if found is not None and found.unit is Unit.RATE:
        return Unknown(
            slo.NOT_A_COUNT, f"{field} gives events per second; write increase() instead of {found.culprit}()"
        )
    if found is not None and found.unit is Unit.RATIO:
        return Unknown(
            slo.NOT_A_COUNT, f"{field} gives a ratio; write the number of events alone, for example as increase()"
        )
    return None


def splits(sli: Sli) -> bool:
    """True where the SLI can be read by version: both expressions hold `{{version}}`."""
    return all(_PLACEHOLDER["version"].search(query) for query in _fields(sli).values())


def _fields(sli: Sli) -> dict[str, str]:
    counted = {"good": sli.good} if sli.good is not None else {"bad": sli.bad or ""}
    return {**counted, "total": sli.total}


def version_pattern(version: str) -> str:
    """A regular expression for exactly this version that is valid in any of PromQL's three kinds of quotes.

    Backslashes mean different things in them, so special characters become classes (`1[.]2`); quotes, backslashes and
    carets, which no version label needs, become "any one character".
    """
    return _UNQUOTABLE.sub(".", _SPECIAL.sub(lambda match: f"[{match[0]}]", version))


def _filled(query: str, window: timedelta, version: str = ".*") -> str:
    return _PLACEHOLDER["version"].sub(version, _PLACEHOLDER["window"].sub(format_duration(window), query))


def _named(expression: str, kind: str, window: timedelta, version: str | None = None) -> str:
    label = ":".join([kind, format_duration(window), *([] if version is None else [version])])
    quoted = json.dumps(label.replace("$", "$$"), ensure_ascii=False)
    return f'label_replace({expression}, "{LABEL}", {quoted}, "", "")'


def _sum(query: str, window: timedelta, version: str = ".*") -> str:
    return f"sum({_filled(query, window, version)}\n)"  # the line break ends a comment in the user's expression


def coverage_expression(total: str, window: timedelta, resolution: timedelta) -> str:
    """PromQL: share of the window's points at which `total` had data; exactly 1 where it always had.

    The denominator counts the same points of a constant: how many there are depends on how the window lies on the
    clock, and differs by one between Prometheus 2 (both ends count) and 3 (the older end does not).
    """
    step = format_duration(max(resolution, window / _POINTS))
    span = f"[{format_duration(window)}:{step}]"
    inner = _sum(total, _INNER * resolution) + _present(_filled(total, _INNER * resolution))
    return f"count_over_time(({inner}){span}) / scalar(count_over_time(vector(1){span}))"


def _present(total: str) -> str:
    """PromQL that takes a value away where none of the expression's series has data, though it has a constant in their place."""
    found = form(total)
    if found is None or not found.stand_in or not found.selectors:
        return ""
    counts = [f"count(count_over_time({s.text}))" if s.ranged else f"count({s.text})" for s in found.selectors]
    return f" and on() ({' or '.join(dict.fromkeys(counts))})"


def window_query(sli: Sli, windows: Iterable[timedelta], versions: Versions, resolution: timedelta) -> str:
    """One expression that returns all readings of a Release at one tick; empty without windows and versions.

    `versions` names readings by version: name → (version label, window). Its windows are read overall as well, because
    a version is compared with the whole. `resolution` is Prometheus' scrape interval.
    """
    spans = sorted({*windows, *(window for _, window in versions.values())})
    parts = []
    for window in spans:
        parts += [_named(_sum(query, window), kind, window) for kind, query in _fields(sli).items()]
        parts.append(_named(coverage_expression(sli.total, window, resolution), "covered", window))
    for name, (version, window) in sorted(versions.items()) if splits(sli) else ():
        pattern = version_pattern(version)
        parts += [_named(_sum(query, window, pattern), kind, window, name) for kind, query in _fields(sli).items()]
    return "\nor ".join(parts)


def range_query(sli: Sli, window: timedelta) -> str:
    """PromQL: the error ratio over a short window as one series, for the onset and the gate. NaN without events."""
    total = _sum(sli.total, window)
    if sli.good is not None:
        ratio = f"clamp_min(1 - {_sum(sli.good, window)} / {total}, 0)"
    else:
        ratio = f"clamp_max(({_sum(sli.bad or '', window)} or 0 * {total}) / {total}, 1)"
    return _named(ratio, "ratio", window)


def single_queries(sli: Sli, window: timedelta) -> dict[str, str]:
    """Field → its expression alone, to find the one that Prometheus refuses."""
    return {f"{FIELD}.{field}": _sum(query, window) for field, query in _fields(sli).items()}


def parse(samples: Iterable[Labelled], sli: Sli, windows: Iterable[timedelta], versions: Versions) -> Parsed:
    """The readings for a `window_query` with the same arguments; a reading without samples is Unknown."""
    numbers = {sample.labels.get(LABEL, ""): sample.value for sample in samples}
    spans = {*windows, *(window for _, window in versions.values())}
    return Parsed(
        windows={window: _overall(numbers, sli, window) for window in spans},
        versions={name: _by_version(numbers, sli, name, window) for name, (_, window) in versions.items()},
    )


def _overall(numbers: Mapping[str, float], sli: Sli, window: timedelta) -> Reading:
    span = format_duration(window)
    counted = numbers.get(f"good:{span}" if sli.good is not None else f"bad:{span}", 0.0)
    return _reading(sli, counted, numbers.get(f"total:{span}"), numbers.get(f"covered:{span}", 0.0))


def _by_version(numbers: Mapping[str, float], sli: Sli, name: str, window: timedelta) -> Reading:
    """The reading of one version. Where other versions have a good (or bad) series and this one has none, it counts 0.

    The coverage is that of all versions together: seconds before a canary existed are not missing telemetry.
    """
    if not splits(sli):
        return Unknown(slo.NOT_BY_VERSION, f"{FIELD}: write {{{{version}}}} into both expressions")
    overall = _overall(numbers, sli, window)
    if isinstance(overall, Unknown):
        return overall
    span = f"{format_duration(window)}:{name}"
    kind = "good" if sli.good is not None else "bad"
    return _reading(sli, numbers.get(f"{kind}:{span}", 0.0), numbers.get(f"total:{span}"), overall.coverage)


def _reading(sli: Sli, counted: float, total: float | None, coverage: float) -> Reading:
    """A Value, or Unknown with the field. `counted` are good or bad events, as the SLI says, and 0 where it has no series.

    While there are events, no good series means that none of them was good: a new version that never answers well has none.

    Prometheus extrapolates counts, so that a part may come out a little above the whole: it is cut.
    """
    if total is None:
        return Unknown(slo.NO_SERIES, f"{FIELD}.total matches no series in the window")
    for number in (counted, total, coverage):
        if isnan(number):
            return Unknown(slo.NAN, f"{FIELD} gave NaN")
        if isinf(number):
            return Unknown(slo.INFINITE, f"{FIELD} gave an infinity")
        if number < 0:
            return Unknown(slo.NEGATIVE, f"{FIELD} gave {number:g}; counts are never below zero")
    if total == 0:
        return Unknown(slo.NO_EVENTS, f"{FIELD}.total is 0 in the window")
    bad = max(0.0, total - counted) if sli.good is not None else min(counted, total)
    return Value(bad=bad, total=total, coverage=min(1.0, coverage))
