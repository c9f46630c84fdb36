"""RE2 patterns, as Prometheus takes them, as Python patterns with the same meaning.

Python has constructs that RE2 refuses (look-around, back references) and gives some of RE2's another meaning (`{,n}`,
`$` before a line break, POSIX classes). Each is translated, refused as Prometheus does, or named as unsupported.
"""

import re

from .syntax import QueryError, Unsupported

_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ", "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_SPACE = r"\t\n\f\r "  # RE2's \s leaves out \v
_GROUP = re.compile(r"\(\?(?:P?<[A-Za-z_][A-Za-z0-9_]*>|[is]*(?:-[is]+)?:)")
_FLAGS = re.compile(r"\(\?([is]+)\)")
_REPEAT = re.compile(r"\{(\d+)(,(\d*))?\}")
_MOST_REPEATS = 1000


def translated(pattern: str, dot_matches_newline: bool) -> re.Pattern[str]:
    """A pattern for `fullmatch`. Raises QueryError where RE2 refuses it, Unsupported where it is not modelled."""
    flags = re.ASCII | (re.DOTALL if dot_matches_newline else 0)
    if leading := _FLAGS.match(pattern):
        flags |= (re.IGNORECASE if "i" in leading[1] else 0) | (re.DOTALL if "s" in leading[1] else 0)
        pattern = pattern[leading.end() :]
    if flags & re.IGNORECASE and not pattern.isascii():
        raise Unsupported("case-insensitive matching beyond ASCII in a regular expression")
    try:
        return re.compile(_Translator(pattern).run(), flags)
    except (re.error, OverflowError) as error:
        raise QueryError(f"error parsing regexp: {error}: `{pattern}`") from error


class _Translator:
    """One pass over a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._at = pattern, 0
        self._out: list[str] = []
        self._repeatable = False  # the last part may be followed by a repetition

    def run(self) -> str:
        while self._at < len(self._pattern):
            self._step(self._pattern[self._at])
        return "".join(self._out)

    def _step(self, char: str) -> None:
        if char == "\\":
            self._emit(self._escape(in_class=False), 2)
        elif char == "[":
            self._class()
        elif char == "(":
            self._open()
        elif char in "*+?":
            self._repetition(char)
        elif char == "{":
            self._braces()
        elif char == "$":
            self._emit(r"\Z", 1)
        elif char in "^|":
            self._emit(char, 1, repeatable=False)
        else:
            self._emit(char if char in ".)" or char.isalnum() else re.escape(char), 1)

    def _emit(self, text: str, length: int, repeatable: bool = True) -> None:
        self._out.append(text)
        self._at += length
        self._repeatable = repeatable

    def _repetition(self, text: str) -> None:
        if not self._repeatable:
            raise QueryError(f"error parsing regexp: invalid repetition operator: `{text}`")
        end = self._at + len(text)
        lazy = self._pattern[end : end + 1] == "?"
        self._emit(text + ("?" if lazy else ""), len(text) + lazy, repeatable=False)

    def _braces(self) -> None:
        """A repetition where it has the form of one, else a literal brace (also `{,n}`, unlike Python)."""
        found = _REPEAT.match(self._pattern, self._at)
        if found is None:
            self._emit(r"\{", 1)
            return
        low = int(found[1])
        high = int(found[3]) if found[3] else low
        if max(low, high) > _MOST_REPEATS or high < low:
            raise QueryError(f"error parsing regexp: invalid repeat count: `{found[0]}`")
        self._repetition(found[0])

    def _open(self) -> None:
        if not self._pattern.startswith("(?", self._at):
            self._emit("(", 1, repeatable=False)
        elif found := _GROUP.match(self._pattern, self._at):
            named = found[0].replace("(?<", "(?P<")
            self._emit(named, len(found[0]), repeatable=False)
        elif self._pattern[self._at :].startswith(("(?=", "(?!", "(?<", "(?P=", "(?#", "(?>", "(?(")):
            raise QueryError(
                f"error parsing regexp: invalid or unsupported Perl syntax: `{self._pattern[self._at :][:4]}`"
            )
        else:
            raise Unsupported(f"{self._pattern[self._at :][:5]!r} in a regular expression")

    def _escape(self, in_class: bool) -> str:
        """The translation of the two characters at the present place."""
        char = self._pattern[self._at + 1 : self._at + 2]
        if char in ("d", "D", "w", "W", "f", "n", "r", "t", "v", "a"):
            return "\\" + char
        if char == "s":
            return _SPACE if in_class else f"[{_SPACE}]"
        if char == "S" and not in_class:
            return f"[^{_SPACE}]"
        if char in ("b", "B", "A") and not in_class:
            return "\\" + char
        if char == "z" and not in_class:
            return r"\Z"
        if char and char.isascii() and not char.isalnum():
            return re.escape(char)
        if char and char in "pPxQCS01234567":
            raise Unsupported(f"\\{char} in a regular expression")
        raise QueryError(f"error parsing regexp: invalid escape sequence: `\\{char}`")

    def _class(self) -> None:
        start, parts = self._at, ["["]
        self._at += 1
        if self._pattern.startswith("^", self._at):
            parts.append("^")
            self._at += 1
        first = True
        while first or not self._pattern.startswith("]", self._at):
            if self._at >= len(self._pattern):
                raise QueryError(f"error parsing regexp: missing closing ]: `{self._pattern[start:]}`")
            parts.append(self._class_part())
            first = False
        self._emit("".join([*parts, "]"]), 1)

    def _class_part(self) -> str:
        char = self._pattern[self._at]
        if self._pattern.startswith("[:", self._at) and (end := self._pattern.find(":]", self._at)) > 0:
            name = self._pattern[self._at + 2 : end]
            if name not in _POSIX:
                raise QueryError(f"error parsing regexp: invalid character class range: `[:{name}:]`")
            self._at = end + 2
            return _POSIX[name]
        if char == "\\":
            text = self._escape(in_class=True)
            self._at += 2
            return text
        self._at += 1
        return "\\" + char if char in "[]&~|^" else char
