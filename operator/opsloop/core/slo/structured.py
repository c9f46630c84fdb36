"""PromQL for an SLI that names a counter or a histogram, so that nobody has to write it.

Counts include what a series was born with: `increase()` never sees a series' first value, so that one error per path, or
all errors of a canary's first scrape, would count as none. A series is born in a window where neither the hour before the
window nor anything else of it is known while the service had data then; it counts with its highest value.
"""

from collections.abc import Sequence
from decimal import Decimal

from opsloop.api.slo import Latency, Requests
from opsloop.core.slo.expression import Increase
from opsloop.core.slo.pods import Scope, joined, matcher

_WINDOW = "{{window}}"
_BEFORE = "1h"  # a series without a sample for this long before a window is new in it
PODS = "{{pods}}"


def requests(sli: Requests, scope: Scope) -> tuple[str, str, str]:
    """(bad events, all events, what has data wherever there are events), with placeholders."""
    bad, series = request_selectors(sli, scope)
    everybody = _series(sli.counter, scope, sli.selector, everybody=True)
    return _counted(bad, everybody), _counted(series, everybody), _present(series)


def request_selectors(sli: Requests, scope: Scope) -> tuple[str, str]:
    """The selectors of (bad events, all events), with {{pods}}."""
    return _series(sli.counter, scope, sli.selector, sli.bad), _series(sli.counter, scope, sli.selector)


def bucket_selectors(sli: Latency, scope: Scope) -> tuple[str, str]:
    """The selectors of (all buckets, all events) of a classic histogram, with {{pods}}."""
    return _series(f"{sli.histogram}_bucket", scope, sli.selector), _series(counting(sli), scope, sli.selector)


def latency(sli: Latency, scope: Scope) -> tuple[str, str, str]:
    """(good events, all events, what has data wherever there are events), with placeholders."""
    if sli.native:
        return _native(sli, scope)
    count = counting(sli)
    series, everybody = _series(count, scope, sli.selector), _series(count, scope, sli.selector, everybody=True)
    bucket = _series(f"{sli.histogram}_bucket", scope, sli.selector, matcher("le", spellings(sli.threshold)))
    return _counted(bucket, everybody), _counted(series, everybody), _present(series)


def counting(sli: Latency) -> str:
    """The metric that counts all durations."""
    return sli.histogram if sli.native else f"{sli.histogram}_count"


def _native(sli: Latency, scope: Scope) -> tuple[str, str, str]:
    series = _series(sli.histogram, scope, sli.selector)
    everybody = _series(sli.histogram, scope, sli.selector, everybody=True)
    born = f"(last_over_time({series}[{_WINDOW}]) unless {_before(series)}) and on() {_known(everybody)}"
    summed = f"sum(({born}) or increase({series}[{_WINDOW}]))"
    total = f"histogram_count({summed})"
    return f"histogram_fraction(-Inf, {sli.threshold:.17g}, {summed}) * {total}", total, _present(series)


def _series(metric: str, scope: Scope, *matchers: str, everybody: bool = False) -> str:
    """A selector; of all pods of the Release where `everybody`, else of those that {{pods}} stands for."""
    own = []
    if scope.labels is not None:
        own.append(matcher(scope.labels.pod, scope.pods if everybody else PODS))
        if scope.labels.namespace:
            own.append(f'{scope.labels.namespace}="{scope.namespace}"')
    return f"{metric}{{{joined(*matchers, *own)}}}"


def _counted(series: str, everybody: str) -> str:
    """Increase of each series over the window, and for one that was born in it all that it has counted."""
    increase, most = f"increase({series}[{_WINDOW}])", f"max_over_time({series}[{_WINDOW}])"
    born = f"({most} > {increase} or {increase} or {most}) unless {_before(series)}"
    return f"(({born}) and on() {_known(everybody)}) or {increase}"


def with_births(query: str, increases: Sequence[Increase], everybody: str) -> str:
    """The expression with each of these calls replaced by one that counts births; `everybody` as in `_counted`."""
    for one in reversed(increases):
        query = f"{query[: one.start]}({_counted(one.selector, everybody)}){query[one.end :]}"
    return query


def _before(series: str) -> str:
    return f"count_over_time({series}[{_BEFORE}] offset {_WINDOW})"


def _known(everybody: str) -> str:
    """Something where the service had data before the window: else everything in it would look new."""
    return f"count({_before(everybody)})"


def _present(series: str) -> str:
    return f"count_over_time({series}[{_WINDOW}])"


def spellings(bound: float) -> str:
    """A pattern for all spellings of a bucket's bound: 1, 1.0 and 1e+00 are one number."""
    number = Decimal(repr(bound)).normalize()
    sign, digits, exponent = number.as_tuple()
    assert not sign and isinstance(exponent, int)
    plain = f"{number:f}"
    plain = f"{plain.replace('.', '[.]')}0*" if "." in plain else f"{plain}([.]0+)?"
    first, rest = digits[0], "".join(map(str, digits[1:]))
    power = exponent + len(digits) - 1
    mantissa = f"{first}[.]{rest}0*" if rest else f"{first}([.]0+)?"
    return f"{plain}|{mantissa}[eE]{'-' if power < 0 else '[+]?'}0*{abs(power)}"
