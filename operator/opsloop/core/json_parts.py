"""A JSON body of unknown origin, cut into its parts before any of it is built.

A parser that is given the whole body holds the interpreter, and with it the event loop, for as long as it takes (0.2 s for
8 MB), and may need thirty times the body's bytes (8 MB of `{},` are 180 MB of empty objects). So the body is only
walked through here: what the top level holds is found by its braces, and each part is parsed alone, with a limit of its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from opsloop.errors import Invalid

MAX_PART = 256 * 1024  # bytes of one part: some ten milliseconds and megabytes at the worst
MAX_KEYS = 1000  # at the top level
_BLANK = re.compile(rb"[ \t\r\n]*")
_LITERAL = re.compile(rb"[^\s,\[\]{}\":]+")
_NEXT = re.compile(rb'"[^"\\]{0,4096}+"|["\[\]{}]')
_OPEN, _CLOSED = b"{[", b"}]"
MOST = {b"{": 200_000, b"[": 200_000, b'"': 2_000_000, b"\\": 1_000_000, b",": 2_000_000}
"""Times that a character may stand in a body, wherever: each is a step of the walk, about a microsecond. Ten thousand alerts
with forty labels and annotations each have a fifth of that."""


@dataclass(frozen=True, slots=True)
class Part:
    """One value of the body, by its place; `whole` names the body's kind for messages."""

    raw: bytes
    start: int
    end: int

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.end - self.start

    def is_list(self) -> bool:
        """True where it is an array."""
        return self.raw[self.start : self.start + 1] == b"["

    def parse(self) -> Any:
        """The value. Raises Invalid where it is too long, or no JSON."""
        if self.size > MAX_PART:
            raise Invalid(f"{self.size} bytes are too many; at most {MAX_PART}")
        try:
            return from_json(self.raw[self.start : self.end])
        except ValueError as error:
            raise Invalid(f"not JSON ({error})") from error

    def items(self) -> Iterator["Part"]:
        """The elements of an array, one at a time. Raises Invalid where it is malformed."""
        at = _skip(self.raw, self.start + 1)
        if self.raw[at : at + 1] == b"]":
            return
        while True:
            end = _end_of_value(self.raw, at)
            yield Part(self.raw, at, end)
            at = _skip(self.raw, end)
            mark = self.raw[at : at + 1]
            if mark == b"]":
                return
            if mark != b",":
                raise Invalid(f"body: not JSON (a comma or ] is missing at byte {at})")
            at = _skip(self.raw, at + 1)


def split(raw: bytes) -> Part | dict[str, Part]:
    """The fields of the body's object, of which the last of a name counts; the body itself where it is no object.

    Raises Invalid where the body is no JSON, as far as that shows at its top level.
    """
    for mark, most in MOST.items():
        if (count := raw.count(mark)) > most:
            raise Invalid(f"body: {count} times {mark.decode()} are too many; at most {most}")
    start = _skip(raw, 0)
    end = _end_of_value(raw, start)
    if _skip(raw, end) != len(raw):
        raise Invalid(f"body: not JSON (extra data at byte {_skip(raw, end)})")
    return _fields(raw, start) if raw[start : start + 1] == b"{" else Part(raw, start, end)


def _fields(raw: bytes, start: int) -> dict[str, Part]:
    fields: dict[str, Part] = {}
    at = _skip(raw, start + 1)
    if raw[at : at + 1] == b"}":
        return fields
    while True:
        if raw[at : at + 1] != b'"':
            raise Invalid(f"body: not JSON (a name in quotes is missing at byte {at})")
        end = _end_of_string(raw, at)
        name = Part(raw, at, end).parse()
        at = _skip(raw, end)
        if raw[at : at + 1] != b":":
            raise Invalid(f"body: not JSON (a colon is missing at byte {at})")
        at = _skip(raw, at + 1)
        end = _end_of_value(raw, at)
        fields[name] = Part(raw, at, end)
        if len(fields) > MAX_KEYS:
            raise Invalid(f"body: more than {MAX_KEYS} fields")
        at = _skip(raw, end)
        mark = raw[at : at + 1]
        if mark == b"}":
            return fields
        if mark != b",":
            raise Invalid(f"body: not JSON (a comma or }} is missing at byte {at})")
        at = _skip(raw, at + 1)


def _skip(raw: bytes, at: int) -> int:
    match = _BLANK.match(raw, at)
    return match.end() if match else at


def _end_of_value(raw: bytes, at: int) -> int:
    mark = raw[at : at + 1]
    if mark == b'"':
        return _end_of_string(raw, at)
    if mark not in (b"{", b"["):
        match = _LITERAL.match(raw, at)
        if match is None:
            raise Invalid(f"body: not JSON (a value is missing at byte {at})")
        return match.end()
    depth = 0
    while True:
        found = _NEXT.search(raw, at)
        if found is None:
            raise Invalid("body: not JSON (it ends too early)")
        first, at = found.span()
        if raw[first] in _OPEN:
            depth += 1
        elif raw[first] in _CLOSED:
            depth -= 1
            if not depth:
                return at
        elif at - first == 1:  # a string that is long, or holds an escape
            at = _end_of_string(raw, first)


def _end_of_string(raw: bytes, start: int) -> int:
    """The byte after the closing quotation mark: the first one before which the number of backslashes is even."""
    at = start
    while True:
        at = raw.find(b'"', at + 1)
        if at < 0:
            raise Invalid("body: not JSON (a string does not end)")
        first = at
        while raw[first - 1] == 0x5C:
            first -= 1
        if (at - first) % 2 == 0:
            return at + 1
