"""What a user's PromQL expression says of itself: its unit, its selectors, and what stands in for missing data.

A reading counts events, so an expression must be a count. That is decided from its text:

    rate(x[5m])                     events per second: not a count
    increase(x[5m])                 a count
    rate(x[5m]) * y                 not known: it may be scaled to the window
    increase(x[5m]) / increase(y[5m])   a ratio: not a count

An expression that cannot be read here has no Form: nothing is claimed about it, Prometheus has the last word.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache


class Unit(Enum):
    """Unit of an expression's values, as far as its text tells."""

    NUMBER = auto()  # a constant
    COUNT = auto()  # something counted or summed up over a range
    RATE = auto()  # per second
    RATIO = auto()  # a share
    OTHER = auto()  # anything else


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector with its range and modifiers, as written. `ranged`: it selects a range. `base`: without both."""

    text: str
    ranged: bool
    base: str


@dataclass(frozen=True, slots=True)
class Increase:
    """A call of increase() over the plain range of one selector: its place in the text, the selector, the range."""

    start: int
    end: int
    selector: str
    range: str


@dataclass(frozen=True, slots=True)
class Form:
    """`culprit` is the function that gives a RATE; `stand_in` is true where a constant vector may replace missing data."""

    unit: Unit
    culprit: str
    selectors: tuple[Selector, ...]
    stand_in: bool
    increases: tuple[Increase, ...]


@lru_cache(maxsize=1024)
def form(query: str) -> Form | None:
    """The form of an expression without placeholders; None where this reader does not understand it."""
    try:
        reader = _Reader(query)
        unit = reader.expression(0)
        reader.expect("")
    except Unreadable:
        return None
    selectors = tuple(Selector(query[f.start : f.end], f.ranged, query[f.start : f.base]) for f in reader.found)
    return Form(unit, reader.culprit, selectors, reader.stand_in, tuple(reader.increases))


def in_a_name(query: str, text: str) -> bool:
    """True where `text` is a part of a name or of a string; false where it stands alone, or nobody can say."""
    try:
        found = [token for token in tokens(query) if text in token.text]
    except Unreadable:
        return False
    return any(token.kind in ("word", "string") and token.text != f":{text}" for token in found)


class Unreadable(Exception):
    """The text is no PromQL that this reader knows."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression: its text, its kind (word, string, number, op, end) and its place."""

    text: str  # empty at the end
    kind: str
    start: int
    end: int


_TOKEN = re.compile(
    r"""(?P<skip>(?:\s|\#[^\n]*)+)|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<number>(?:[0-9]|\.[0-9])(?:[eE][+-](?=[0-9])|[0-9A-Za-z_.])*)|(?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
    |(?P<op>==|!=|=~|!~|<=|>=|[-+*/%^<>=(){}\[\],:@])""",
    re.VERBOSE,
)
_DURATION = re.compile(r"(?:[0-9]+(?:ms|[smhdwy]))+")
_PRECEDENCE = {
    "or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, "<": 3, ">": 3, "<=": 3, ">=": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "atan2": 5, "^": 6,
}  # fmt: skip
_AGGREGATES = frozenset({"sum", "avg", "min", "max", "topk", "bottomk", "quantile", "limitk", "limit_ratio"})
_COUNTING_AGGREGATES = frozenset({"count", "group", "stddev", "stdvar", "count_values"})
_PER_SECOND = frozenset({"rate", "irate", "deriv"})
_KEEP_UNIT = frozenset({
    "abs", "ceil", "clamp", "clamp_max", "clamp_min", "floor", "label_join", "label_replace", "round", "scalar", "sgn",
    "sort", "sort_by_label", "sort_by_label_desc", "sort_desc", "vector",
})  # fmt: skip
_COUNTS = frozenset({
    "increase", "delta", "idelta", "count_over_time", "sum_over_time", "changes", "resets", "histogram_count", "histogram_sum",
})  # fmt: skip
_SPECIAL_NUMBERS = frozenset({"inf", "nan"})


def tokens(text: str) -> Iterator[Token]:
    """The tokens of an expression, without comments, and an empty one at the end. Raises Unreadable."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Unreadable
        at = found.end()
        if found.lastgroup != "skip":
            yield Token(found[0], found.lastgroup or "", found.start(), at)
    yield Token("", "end", at, at)


@dataclass(slots=True)
class _Found:
    """A selector's place: `base` is the end of what is selected, `end` that of its range and modifiers."""

    start: int
    base: int
    end: int
    ranged: bool = False
    modified: bool = False


class _Reader:
    """Precedence climbing that computes units instead of a tree."""

    def __init__(self, text: str) -> None:
        self._text, self._tokens = text, list(tokens(text))
        self._at = 0
        self.culprit, self.stand_in = "", False
        self.found: list[_Found] = []
        self.increases: list[Increase] = []

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._now
        self._at += token.kind != "end"
        return token

    def _accept(self, *texts: str) -> bool:
        taken = self._now.text.lower() in texts and self._now.kind in ("op", "word")
        self._at += taken
        return taken

    def expect(self, text: str) -> None:
        """The next token must be this one; empty is the end."""
        if self._take().text != text:
            raise Unreadable

    def expression(self, lowest: int) -> Unit:
        """The unit of an expression whose operators bind at least as tightly as `lowest`."""
        left = self._operand()
        while (operator := self._now.text.lower()) and _PRECEDENCE.get(operator, 0) >= max(lowest, 1):
            self._take()
            self._modifiers()
            right = self.expression(_PRECEDENCE[operator] + (operator != "^"))
            left = _combined(operator, left, right)
        return left

    def _modifiers(self) -> None:
        self._accept("bool")
        if self._accept("on", "ignoring"):
            self._skip("(", ")")
            if self._accept("group_left", "group_right") and self._now.text == "(":
                self._skip("(", ")")

    def _skip(self, opening: str, closing: str) -> bool:
        """Skips a bracketed part, true where it holds the colon of a subquery. The skipped parts do not nest."""
        self.expect(opening)
        colon = False
        while (token := self._take()).text != closing:
            if token.kind == "end" or token.text == opening:
                raise Unreadable
            colon = colon or token.text.startswith(":")
        return colon

    def _operand(self) -> Unit:
        if self._accept("+", "-"):
            return self.expression(_PRECEDENCE["^"])
        before = len(self.found)
        unit = self._primary()
        plain = len(self.found) == before + 1 and self.found[-1].end == self._tokens[self._at - 1].end
        return self._postfixed(unit, plain)

    def _postfixed(self, unit: Unit, plain: bool) -> Unit:
        """What follows an operand. `plain`: the operand is a selector, which takes its range and modifiers along."""
        while True:
            if self._now.text == "[":
                subquery = self._skip("[", "]")
                plain = plain and not subquery
                if plain:
                    self.found[-1].ranged, self.found[-1].end = True, self._tokens[self._at - 1].end
                continue
            if self._accept("offset"):
                self._accept("-")
                self._take()
            elif self._accept("@"):
                if self._accept("start", "end"):
                    self._skip("(", ")")
                else:
                    self._accept("-")
                    self._take()
            else:
                return unit
            if plain:
                self.found[-1].modified, self.found[-1].end = True, self._tokens[self._at - 1].end

    def _primary(self) -> Unit:
        token = self._now
        if token.text == "{":
            return self._selector(token.start)
        self._take()
        match token.kind:
            case "number":
                return Unit.OTHER if _DURATION.fullmatch(token.text) else Unit.NUMBER
            case "string":
                return Unit.OTHER
            case "word":
                return self._named(token)
        if token.text != "(":
            raise Unreadable
        unit = self.expression(0)
        self.expect(")")
        return unit

    def _selector(self, start: int) -> Unit:
        if self._now.text == "{":
            self._skip("{", "}")
        end = self._tokens[self._at - 1].end
        self.found.append(_Found(start, end, end))
        return Unit.OTHER

    def _named(self, token: Token) -> Unit:
        word = token.text.lower()
        if word in _AGGREGATES | _COUNTING_AGGREGATES and self._now.text.lower() in ("(", "by", "without"):
            return self._aggregate(word)
        if self._now.text == "(" and ":" not in word:
            return self._call(token, word)
        return Unit.NUMBER if word in _SPECIAL_NUMBERS else self._selector(token.start)

    def _aggregate(self, word: str) -> Unit:
        if self._accept("by", "without"):
            self._skip("(", ")")
        units = self._arguments()
        if self._accept("by", "without"):
            self._skip("(", ")")
        return units[-1] if units and word in _AGGREGATES else Unit.OTHER

    def _call(self, name: Token, word: str) -> Unit:
        opened, before = self._at, len(self.found)
        units = self._arguments()
        if word == "increase" and len(self.found) == before + 1:
            self._note_increase(name.start, self._tokens[opened + 1].start, self.found[-1])
        if word in _PER_SECOND:
            self.culprit = self.culprit or word
            return Unit.RATE
        self.stand_in = self.stand_in or word == "vector"
        if word in _KEEP_UNIT and units:
            return units[0]
        return Unit.COUNT if word in _COUNTS else Unit.OTHER

    def _note_increase(self, start: int, argument: int, found: _Found) -> None:
        """Keeps a call whose argument is a selector with its range and nothing else."""
        whole = (found.start, found.end) == (argument, self._tokens[self._at - 2].end)
        if whole and found.ranged and not found.modified:
            end, text = self._tokens[self._at - 1].end, self._text
            self.increases.append(Increase(start, end, text[found.start : found.base], text[found.base : found.end]))

    def _arguments(self) -> list[Unit]:
        self.expect("(")
        units: list[Unit] = []
        while not self._accept(")"):
            if units:
                self.expect(",")
            units.append(self.expression(0))
        return units


def _combined(operator: str, left: Unit, right: Unit) -> Unit:
    """The unit of `left operator right`."""
    match operator:
        case "*":
            return _of_constant(left, right) or _of_constant(right, left) or Unit.OTHER
        case "/":
            counted = {Unit.COUNT, Unit.RATE}
            return _of_constant(left, right) or (Unit.RATIO if {left, right} <= counted else Unit.OTHER)
        case "and" | "unless" | "==" | "!=" | "<" | ">" | "<=" | ">=":
            return left
        case "+" | "-" | "or":
            return next((unit for unit in (Unit.RATE, Unit.RATIO, Unit.COUNT) if unit in (left, right)), Unit.OTHER)
    return Unit.OTHER


def _of_constant(unit: Unit, factor: Unit) -> Unit | None:
    """The unit of something times a constant: a rate times 300 is a count for one window and wrong for all others."""
    return unit if factor is Unit.NUMBER else None
