"""Selectors of PromQL, taken apart and matched here as Prometheus matches them.

A selector with all that it says is known, or none: where its text may mean something else to Prometheus than to this
reader (a regular expression of another dialect, one that may take long), `selector` gives None.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

NAME = "__name__"
_SELECTOR = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(?:\{(.*)\})?\s*", re.DOTALL)
_MATCHER = re.compile(
    r"""\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)\s*(?:,|$)""",
    re.DOTALL,
)
_PLACEHOLDER = re.compile(r"\{\{\s*\w+\s*\}\}")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANS = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "t": "\t"}
_ALIKE = re.compile(
    r"""(?:\\[.\-+*?(){}\[\]|^$/dw]            # escapes that both know
        |\[\^?(?:[\w\-.:/ +*?(){}|$@%]|\\[.\-\]\[\\dw])+\]
        |\(\?:|\((?!\?)|[)|]|[^\\\[\](){}|*+?^$\n]
        |[*+?]|\{[0-9]{1,3}(?:,[0-9]{0,3})?\})*""",
    re.VERBOSE,
)
"""The part of regular expressions that RE2 and Python read alike."""

_NO_LITERAL = re.compile(r"\\.|\[[^\]]*\]|\(\?:")
_MOST_REPEATED, _MOST_OPTIONAL = 2, 8  # x* costs as many steps as the value has characters, x? twice as many as without
_LONGEST = 256  # characters of a value that are matched: labels that tell errors apart are short


@dataclass(frozen=True, slots=True)
class Matcher:
    """One matcher: `op` is =, !=, =~ or !~. A label that a series has not is empty."""

    label: str
    op: str
    value: str

    @property
    def text(self) -> str:
        """As PromQL."""
        return f"{self.label}{self.op}{json.dumps(self.value, ensure_ascii=False)}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Does a series with these labels match?"""
        value = labels.get(self.label, "")
        if self.op in ("=", "!="):
            return (value == self.value) == (self.op == "=")
        return bool(_compiled(self.value).fullmatch(value[:_LONGEST])) == (self.op == "=~")


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric and its matchers."""

    metric: str
    matchers: tuple[Matcher, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Does a series with these labels (its metric is `__name__`) match?"""
        return labels.get(NAME) == self.metric and all(matcher.matches(labels) for matcher in self.matchers)


@lru_cache(maxsize=1024)
def selector(text: str) -> Selector | None:
    """An instant selector without modifiers; None where it is not known for certain what it selects."""
    found = _SELECTOR.fullmatch(text)
    if found is None:
        return None
    metric, inside = found[1], found[2] or ""
    matchers = []
    at = 0
    while inside[at:].strip():
        one = _MATCHER.match(inside, at)
        if one is None:
            return None
        value = unquoted(one[3])
        if value is None or (one[2] in ("=~", "!~") and not is_alike(value)):
            return None
        matchers.append(Matcher(one[1], one[2], value))
        at = one.end()
    if metric is None:
        named = [m for m in matchers if m.label == NAME]
        if len(named) != 1 or named[0].op != "=":
            return None
        metric = named[0].value
        matchers.remove(named[0])
    if any(matcher.label == NAME for matcher in matchers):
        return None
    return Selector(metric, tuple(matchers))


def unquoted(literal: str) -> str | None:
    """What a string literal of PromQL stands for; None for an escape that this reader does not know."""
    body = literal[1:-1]
    if literal[0] == "`":
        return body
    escapes = _ESCAPED.findall(body)
    if any(one not in _MEANS for one in escapes):
        return None
    return _ESCAPED.sub(lambda found: _MEANS[found[1]], body)


def is_alike(pattern: str) -> bool:
    """True where RE2 and Python take this regular expression for the same, and matching it cannot take long.

    Python's tries every way: a repetition of what holds a repetition may take for ever.
    """
    plain = _PLACEHOLDER.sub("", pattern)
    if _ALIKE.fullmatch(plain) is None or not _is_quick(plain):
        return False
    try:
        re.compile(plain)
    except re.error:
        return False
    return True


def _is_quick(pattern: str) -> bool:
    """Few repetitions, and none of a whole group."""
    bare = _NO_LITERAL.sub(lambda found: "(" if found[0] == "(?:" else "_", pattern)
    repeated = len(re.findall(r"[*+{]", bare))
    few = repeated <= _MOST_REPEATED and bare.count("?") <= _MOST_OPTIONAL
    return few and re.search(r"\)[*+{]", bare) is None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)
