"""Text to tokens. Comments and white space are skipped; durations are told from numbers by their unit."""

import re
from collections.abc import Iterator
from enum import Enum, auto
from functools import lru_cache
from math import inf, nan
from typing import NamedTuple

from .syntax import QueryError, Unsupported


class T(Enum):
    """Kinds of tokens. A WORD is a name or a keyword, which is for the parser to say."""

    WORD = auto()
    NUMBER = auto()
    DURATION = auto()
    STRING = auto()
    OP = auto()
    END = auto()


class Token(NamedTuple):
    """One token: `text` as written, `value` of a number (float), a duration (int, ms) or a string (unquoted)."""

    type: T
    text: str
    at: int
    value: float | int | str = ""


_TOKEN = r"""(?P<skip>(?:\s+|\#[^\n]*)+)|(?P<word>[A-Za-z_{colon}][A-Za-z0-9_:]*)|(?P<number>(?:[0-9]|\.[0-9])(?:[eE][+-]|[0-9A-Za-z_.])*)
|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)|(?P<op>==|!=|=~|!~|<=|>=|[-+*/%^<>=(){{}}\[\],:@])"""
_OUTSIDE = re.compile(_TOKEN.format(colon=":"), re.VERBOSE)
_IN_BRACKETS = re.compile(_TOKEN.format(colon=""), re.VERBOSE)  # there a colon parts the two durations of a subquery
_HEX = re.compile(r"0[xX][0-9a-fA-F]+")
_DECIMAL = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_UNITS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _UNITS))
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_CODES = {"x": (2, 16), "u": (4, 16), "U": (8, 16)}
_SPECIAL = {"inf": inf, "nan": nan}


def tokens(text: str) -> list[Token]:
    """All tokens and an END. Raises QueryError."""
    return list(_tokens(text))


def _tokens(text: str) -> Iterator[Token]:
    at, pattern = 0, _OUTSIDE
    while at < len(text):
        found = pattern.match(text, at)
        if found is None:
            raise QueryError(f"{at + 1}: parse error: unexpected character or unterminated string: {text[at]!r}")
        written = found[0]
        match found.lastgroup:
            case "word":
                special = _SPECIAL.get(written.lower())
                yield Token(T.WORD, written, at) if special is None else Token(T.NUMBER, written, at, special)
            case "number":
                measured = _number(written)
                if measured is None:
                    raise QueryError(f"{at + 1}: parse error: bad number or duration syntax: {written!r}")
                yield Token(measured[0], written, at, measured[1])
            case "string":
                yield Token(T.STRING, written, at, _unquoted(written, at))
            case "op":
                pattern = {"[": _IN_BRACKETS, "]": _OUTSIDE}.get(written, pattern)
                yield Token(T.OP, written, at)
        at = found.end()
    yield Token(T.END, "end of input", at)


@lru_cache(maxsize=1024)
def _number(text: str) -> tuple[T, float | int] | None:
    """A number or a duration; None for text that is neither. A query says the same few again and again."""
    if _DECIMAL.fullmatch(text):
        if re.fullmatch("0[0-9]+", text):
            raise Unsupported(f"the number {text} with a leading zero")
        return T.NUMBER, float(text)
    if _HEX.fullmatch(text):
        return T.NUMBER, float(int(text, 16))
    if found := _DURATION.fullmatch(text):
        return T.DURATION, sum(int(number) * _UNITS[unit] for unit, number in found.groupdict().items() if number)
    return None


def _unquoted(written: str, at: int) -> str:
    body, quote = written[1:-1], written[0]
    if quote == "`" or "\\" not in body:
        return body
    parts, place = list[str](), 0
    while place < len(body):
        part, length = _escape(body, place, quote, at) if body[place] == "\\" else (body[place], 1)
        parts.append(part)
        place += length
    return "".join(parts)


def _escape(body: str, place: int, quote: str, at: int) -> tuple[str, int]:
    """(the character, the length of its escape sequence)"""
    char = body[place + 1 : place + 2]
    if char == quote or char in _ESCAPES:
        return _ESCAPES.get(char, char), 2
    if char in _CODES:
        digits, base = _CODES[char]
        code = body[place + 2 : place + 2 + digits]
        if re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", code):
            if char == "x" and int(code, base) > 0x7F:
                raise Unsupported(f"the byte \\x{code} in a string")
            return chr(int(code, base)), 2 + digits
    if char and char in "01234567":
        raise Unsupported("an octal escape in a string")
    raise QueryError(f"{at + 1}: parse error: unknown escape sequence \\{char}")
