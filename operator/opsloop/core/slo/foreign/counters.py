"""Queries of other tools as an SLI that counts: rates become counts, and plain counters one of opsloop's own forms.

A ratio of rates over a window is the ratio of the counts over it, so `rate` becomes `increase` and nothing is lost.
"""

import re
from typing import Any, NamedTuple

from opsloop.api.slo import Sli
from opsloop.core.slo import promql
from opsloop.core.slo.expression import Unit, Unreadable, form, tokens

WINDOW = "{{window}}"
_STAND_IN = "987654321s"  # a window, where PromQL is read
_THEIRS = re.compile(r"\{\{\s*\.window\s*\}\}")
_SUM = r"\s*sum\s*\(\s*increase\s*\(\s*(?P<{0}>[^\[\]]*?)\s*\[\s*" + _STAND_IN + r"\s*\]\s*\)\s*\)\s*"
_ONE = re.compile(_SUM.format("one"))
_DIFFERENCE = re.compile(r"\s*\(?" + _SUM.format("all") + "-" + _SUM.format("good") + r"\)?\s*")
_OPPOSITE = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}


class Selector(NamedTuple):
    """Metric and label matchers, as written."""

    metric: str
    matchers: tuple[str, ...]


def counted(query: str) -> str:
    """The query with opsloop's placeholder, and with counts where it gives events per second."""
    text = _THEIRS.sub(WINDOW, query).replace(WINDOW, _STAND_IN)
    found = form(text)
    if found is not None and found.unit is Unit.RATE:
        for token in reversed(list(tokens(text))):
            if token.kind == "word" and token.text.lower() == "rate" and text[token.end :].lstrip().startswith("("):
                text = text[: token.start] + "increase" + text[token.end :]
    return text.replace(_STAND_IN, WINDOW).strip()


def over_window(selector: str) -> str:
    """What a plain counter counts over the window."""
    return f"sum(increase({selector.strip()}[{WINDOW}]))"


def sli(total: str, bad: str = "", good: str = "") -> tuple[dict[str, Any] | None, str]:
    """The SLI of these counts, of which `bad` or `good` is given; None with the reason where there is none."""
    total, bad, good = (counted(query) if query else "" for query in (total, bad, good))
    found = _structured(total, bad, good)
    if found is None:
        found = {"bad": bad, "total": total} if bad else {"good": good, "total": total}
    try:
        problem = promql.problem(Sli.model_validate(found))
    except ValueError as error:  # longer than a field may be
        return None, f"its queries do not fit into slo.sli: {str(error).splitlines()[-1].strip()}"
    return (found, "") if problem is None else (None, f"{problem.reason}: {problem.detail}")


def surely_counts(indicator: dict[str, Any]) -> bool:
    """True where the text of its queries shows that they count events; else Prometheus' answer will."""
    queries = [indicator[name].replace(WINDOW, _STAND_IN) for name in ("good", "bad", "total") if name in indicator]
    return all((found := form(query)) is not None and found.unit is Unit.COUNT for query in queries)


def selector(text: str) -> Selector | None:
    """A selector without a range; None where the text is anything else."""
    try:
        words = list(tokens(text))[:-1]
    except Unreadable:
        return None
    if not words or words[0].kind != "word":
        return None
    if len(words) == 1:
        return Selector(words[0].text, ())
    if words[1].text != "{" or words[-1].text != "}":
        return None
    matchers, inner = [], words[2:-1]
    while inner:
        if len(inner) < 3 or (inner[0].kind, inner[2].kind) != ("word", "string") or inner[1].text not in _OPPOSITE:
            return None
        matchers.append("".join(word.text for word in inner[:3]))
        inner = inner[3:]
        if inner and inner.pop(0).text != ",":
            return None
    return Selector(words[0].text, tuple(matchers))


def _structured(total: str, bad: str, good: str) -> dict[str, Any] | None:
    """The counts of a counter, or of a histogram's bucket, as opsloop writes them itself: it tells pods apart."""
    every, worse, better = _plain(total), _plain(bad), _plain(good)
    if bad and worse is None:
        minus = _DIFFERENCE.fullmatch(bad.replace(WINDOW, _STAND_IN))
        if minus and selector(minus["all"]) == every:
            better = selector(minus["good"])
    if every is None:
        return None
    return _requests(every, worse, better) or (_latency(every, better) if better else None)


def _plain(query: str) -> Selector | None:
    found = _ONE.fullmatch(query.replace(WINDOW, _STAND_IN))
    return selector(found["one"]) if found else None


def _requests(every: Selector, worse: Selector | None, better: Selector | None) -> dict[str, Any] | None:
    some = worse or better
    if some is None or some.metric != every.metric or not set(every.matchers) < set(some.matchers):
        return None
    if every.metric.endswith(("_bucket", "_sum")):
        return None
    own = [matcher for matcher in some.matchers if matcher not in every.matchers]
    if worse is None:
        if len(own) > 1:  # not both is no list of matchers
            return None
        own = [_negated(own[0])]
    return {"requests": {"counter": every.metric, **_selected(every.matchers), "bad": ",".join(own)}}


def _negated(matcher: str) -> str:
    label, operator, value = [word.text for word in tokens(matcher)][:3]
    return f"{label}{_OPPOSITE[operator]}{value}"


def _latency(every: Selector, better: Selector) -> dict[str, Any] | None:
    bounds = [matcher for matcher in better.matchers if matcher.startswith("le=")]
    rest = {matcher for matcher in better.matchers if matcher not in bounds}
    histogram = better.metric.removesuffix("_bucket")
    if better.metric != f"{histogram}_bucket" or every.metric != f"{histogram}_count" or rest != set(every.matchers):
        return None
    try:
        threshold = float(bounds[0][3:].strip("\"'`")) if len(bounds) == 1 else 0.0
    except ValueError:
        return None
    if not 0 < threshold <= 1_000_000:
        return None
    return {"latency": {"histogram": histogram, "threshold": threshold, **_selected(every.matchers)}}


def _selected(matchers: tuple[str, ...]) -> dict[str, str]:
    return {"selector": ",".join(matchers)} if matchers else {}
