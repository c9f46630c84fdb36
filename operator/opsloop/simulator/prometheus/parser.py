"""Tokens to the tree, with Prometheus' precedences and type rules."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from math import isfinite

from .labels import NAME
from .lexer import T, Token, tokens
from .syntax import (
    Aggregate,
    Binary,
    Call,
    Kind,
    Matcher,
    Matching,
    Negation,
    Node,
    Number,
    Parens,
    QueryError,
    Range,
    Selector,
    Subquery,
    Text,
    Unsupported,
)
from .vocabulary import AGGREGATES, COMPARISONS, FUNCTIONS, KEYWORDS, NO_METRIC, OTHER_AGGREGATES, OTHER_FUNCTIONS, SETS

_PRECEDENCE = {"or": 1, "and": 2, "unless": 2, **dict.fromkeys(COMPARISONS, 3), "+": 4, "-": 4}
_PRECEDENCE |= {"*": 5, "/": 5, "%": 5, "atan2": 5, "^": 6}
_UNARY = 5

S, V = Kind.SCALAR, Kind.VECTOR


@lru_cache(maxsize=4096)
def parse(query: str) -> Node:
    """The tree of an expression. Raises QueryError (Prometheus refuses it) or Unsupported (the model does)."""
    parser = _Parser(tokens(query))
    node = parser.expression(0)
    parser.expect_end()
    return node


class _Parser:
    """Precedence climbing over a list of tokens."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens, self._index = found, 0

    # tokens
    @property
    def _now(self) -> Token:
        return self._tokens[self._index]

    def _take(self) -> Token:
        token = self._now
        self._index += 1
        return token

    def _is(self, *texts: str) -> bool:
        token = self._tokens[self._index]
        return token.type is T.OP and token.text in texts

    def _word(self, *words: str) -> bool:
        token = self._tokens[self._index]
        return token.type is T.WORD and token.text.lower() in words

    def _accept(self, text: str) -> bool:
        token = self._tokens[self._index]
        if token.type is T.OP and token.text == text:
            self._index += 1
            return True
        return False

    def _expect(self, text: str, where: str) -> None:
        if not self._accept(text):
            raise self._unexpected(where, f"expected {text!r}")

    def _unexpected(self, where: str, more: str = "") -> QueryError:
        token = self._now
        return QueryError(
            f"{token.at + 1}: parse error: unexpected {token.text!r} in {where}{', ' if more else ''}{more}"
        )

    def expect_end(self) -> None:
        """Nothing may follow the expression."""
        if self._now.type is not T.END:
            raise self._unexpected("expression")

    # operators
    def expression(self, lowest: int) -> Node:
        """An expression of operators that bind at least as tightly as `lowest`."""
        left = self._prefixed()
        while (operator := self._operator()) and _PRECEDENCE[operator] >= lowest:
            self._take()
            bool_, matching = self._modifiers()
            right = self.expression(_PRECEDENCE[operator] + (operator != "^"))
            left = _binary(operator, left, right, matching, bool_)
        return left

    def _operator(self) -> str:
        token = self._now
        text = token.text.lower() if token.type is T.WORD or token.type is T.OP else ""
        return text if text in _PRECEDENCE else ""

    def _prefixed(self) -> Node:
        if not self._is("+", "-"):
            return self._postfixed(self._primary())
        sign = self._take().text
        inner = self.expression(_UNARY + 1)
        if inner.kind not in (S, V):
            raise QueryError(
                f"unary expression only allowed on expressions of type scalar or instant vector, got {inner.kind}"
            )
        if sign == "+":
            return Parens(inner)
        return Number(-inner.value) if isinstance(inner, Number) else Negation(inner, inner.kind)

    def _modifiers(self) -> tuple[bool, Matching]:
        bool_ = self._word("bool")
        if bool_:
            self._take()
        if not self._word("on", "ignoring"):
            return bool_, Matching()
        on = self._take().text.lower() == "on"
        labels = self._labels()
        if not self._word("group_left", "group_right"):
            return bool_, Matching(labels, on)
        group = self._take().text.lower().removeprefix("group_")
        return bool_, Matching(labels, on, group, self._labels() if self._is("(") else ())

    # what follows an operand
    def _postfixed(self, node: Node) -> Node:
        while True:
            if self._is("["):
                node = self._ranged(node)
            elif self._word("offset"):
                self._take()
                sign = -1 if self._accept("-") else 1
                node = _shifted(node, sign * self._duration("offset"))
            elif self._accept("@"):
                node = _pinned(node, self._pin())
            else:
                return node

    def _duration(self, where: str) -> int:
        if self._now.type is T.NUMBER:
            raise Unsupported(f"a number as a duration in {where}")
        if self._now.type is not T.DURATION:
            raise self._unexpected(where, "expected duration")
        value = int(self._take().value)
        if value == 0:
            raise QueryError("duration must be greater than 0")
        return value

    def _ranged(self, node: Node) -> Node:
        self._take()
        width = self._duration("subquery or range selector")
        if self._accept(":"):
            step = None if self._is("]") else self._duration("subquery selector")
            self._expect("]", "subquery selector")
            if node.kind is not V:
                raise QueryError(f"subquery is only allowed on instant vector, got {node.kind} instead")
            return Subquery(node, width, step)
        self._expect("]", "subquery or range selector")
        if not isinstance(node, Selector):
            raise QueryError("ranges only allowed for vector selectors")
        if node.offset or node.at is not None:
            raise QueryError("no offset or @ modifiers allowed before range")
        return Range(node, width)

    def _pin(self) -> int | str:
        if self._word("start", "end"):
            word = self._take().text.lower()
            self._expect("(", "@")
            self._expect(")", "@")
            return word
        sign = -1 if self._is("-") else 1
        if self._is("+", "-"):
            self._take()
        if self._now.type is not T.NUMBER:
            raise self._unexpected("@", "expected timestamp")
        value = float(self._take().value)
        if not isfinite(value):
            raise QueryError(f"timestamp out of bounds for @ modifier: {value}")
        return round(sign * value * 1000)

    # operands
    def _primary(self) -> Node:
        token = self._now
        if token.type is T.NUMBER:
            return Number(float(self._take().value))
        if token.type is T.STRING:
            return Text(str(self._take().value))
        if token.type is T.DURATION:
            raise Unsupported(f"the duration {token.text} as a number")
        if self._accept("("):
            inner = self.expression(0)
            self._expect(")", "paren expression")
            return Parens(inner)
        if self._is("{"):
            return self._selector("")
        if token.type is T.WORD:
            return self._named(self._take())
        if token.type is T.END and self._index == 0:
            raise QueryError("parse error: no expression found in input")
        raise self._unexpected("expression")

    def _named(self, token: Token) -> Node:
        word = token.text.lower()
        if word in AGGREGATES | OTHER_AGGREGATES and (self._is("(") or self._word("by", "without")):
            return self._aggregate(word)
        if word in NO_METRIC:
            raise QueryError(f"{token.at + 1}: parse error: unexpected {token.text!r}")
        if self._is("(") and word not in KEYWORDS and ":" not in word:
            return self._call(token.text)
        return self._selector(token.text)

    def _arguments(self) -> list[Node]:
        self._expect("(", "function call")
        arguments = list[Node]()
        while not self._accept(")"):
            if arguments:
                self._expect(",", "function call")
            arguments.append(self.expression(0))
        return arguments

    def _aggregate(self, op: str) -> Node:
        if op in OTHER_AGGREGATES:
            raise Unsupported(f"the aggregation {op}")
        clause = self._clause()
        arguments = self._arguments()
        if clause is None:
            clause = self._clause()
        labels, without = clause if clause is not None else ((), False)
        if len(arguments) != 1:
            raise QueryError(
                f"wrong number of arguments for aggregate expression provided, expected 1, got {len(arguments)}"
            )
        _expect_kind(arguments[0], V, "aggregation expression")
        return Aggregate(op, arguments[0], labels, without)

    def _clause(self) -> tuple[tuple[str, ...], bool] | None:
        if not self._word("by", "without"):
            return None
        without = self._take().text.lower() == "without"
        return self._labels(), without

    def _labels(self) -> tuple[str, ...]:
        self._expect("(", "grouping opts")
        names = list[str]()
        while not self._accept(")"):
            if names:
                self._expect(",", "grouping opts")
                if self._accept(")"):
                    break
            if self._now.type is not T.WORD or ":" in self._now.text:
                raise self._unexpected("grouping opts", "expected label")
            names.append(self._take().text)
        return tuple(sorted(set(names)))

    def _call(self, name: str) -> Node:
        if OTHER_FUNCTIONS.fullmatch(name):
            raise Unsupported(f"the function {name}()")
        if name not in FUNCTIONS:
            raise QueryError(f"unknown function with name {name!r}")
        kinds, least, kind = FUNCTIONS[name]
        arguments = self._arguments()
        if not least <= len(arguments) <= len(kinds):
            raise QueryError(f"expected {least} argument(s) in call to {name!r}, got {len(arguments)}")
        for argument, expected in zip(arguments, kinds, strict=False):
            _expect_kind(argument, expected, f"call to function {name!r}")
        return Call(name, tuple(arguments), kind)

    def _selector(self, name: str) -> Node:
        matchers = list[Matcher]()
        if self._accept("{"):
            while not self._accept("}"):
                if matchers:
                    self._expect(",", "label matching")
                    if self._accept("}"):
                        break
                matchers.append(self._matcher())
        if name:
            if any(matcher.name == NAME for matcher in matchers):
                raise QueryError(f"metric name must not be set twice: {name!r}")
            matchers.append(Matcher(NAME, "=", name))
        return Selector(tuple(matchers))

    def _matcher(self) -> Matcher:
        label = self._take()
        if label.type is T.STRING:
            raise Unsupported("a quoted name in a selector")
        if label.type is not T.WORD or ":" in label.text:
            self._index -= 1
            raise self._unexpected("label matching", "expected identifier or '}'")
        if not self._is("=", "!=", "=~", "!~"):
            raise self._unexpected("label matching", "expected label matching operator")
        op = self._take().text
        if self._now.type is not T.STRING:
            raise self._unexpected("label matching", "expected string")
        return Matcher(label.text, op, str(self._take().value))


def _expect_kind(node: Node, kind: Kind, where: str) -> None:
    if node.kind is not kind:
        raise QueryError(f"parse error: expected type {kind} in {where}, got {node.kind}")


def _binary(op: str, left: Node, right: Node, matching: Matching, bool_: bool) -> Node:
    if op == "atan2":
        raise Unsupported("the operator atan2")
    for side in (left, right):
        if side.kind not in (S, V):
            raise QueryError("binary expression must contain only scalar and instant vector types")
    if bool_ and op not in COMPARISONS:
        raise QueryError("bool modifier can only be used on comparison operators")
    vectors = (left.kind is V) + (right.kind is V)
    if op in COMPARISONS and not bool_ and vectors == 0:
        raise QueryError("comparisons between scalars must use BOOL modifier")
    if op in SETS and vectors < 2:
        raise QueryError(f"set operator {op!r} not allowed in binary scalar expression")
    if op in SETS and matching.group:
        raise QueryError(f"no grouping allowed for {op!r} operation")
    if matching.labels and vectors < 2:
        raise QueryError("vector matching only allowed between instant vectors")
    if matching.on and set(matching.labels) & set(matching.include):
        raise QueryError("a label must not occur in ON and GROUP clause at once")
    return Binary(op, left, right, matching, bool_, V if vectors else S)


Shiftable = Selector | Range | Subquery


def _shifted(node: Node, offset: int) -> Node:
    def shift(part: Selector | Subquery) -> Selector | Subquery:
        if part.offset:
            raise QueryError("offset may not be set multiple times")
        return replace(part, offset=offset)

    return _modified(node, shift, "offset modifier")


def _pinned(node: Node, at: int | str) -> Node:
    def pin(part: Selector | Subquery) -> Selector | Subquery:
        if part.at is not None:
            raise QueryError("@ <timestamp> may not be set multiple times")
        return replace(part, at=at)

    return _modified(node, pin, "@ modifier")


def _modified(node: Node, change: Callable[[Selector | Subquery], Selector | Subquery], what: str) -> Node:
    if isinstance(node, Range):
        changed = change(node.selector)
        assert isinstance(changed, Selector)
        return replace(node, selector=changed)
    if isinstance(node, Selector | Subquery):
        return change(node)
    raise QueryError(f"{what} must be preceded by an instant vector selector or range vector selector or a subquery")
