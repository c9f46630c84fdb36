"""Whether one value of a reply is as a check says."""

import json
import math
from collections.abc import Iterator
from typing import Any

from opsloop.api.eval_expect import ValueCheck
from opsloop.core.evalcase.patterns import found


def text_of(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def differences(check: ValueCheck, value: Any) -> Iterator[tuple[str, str]]:
    """(what was wanted, what came) of each part that does not hold. Raises ValueError where the check itself is wrong."""
    text = text_of(value)
    if check.equals is not None and not _is(check.equals, value):
        yield quoted(check.equals), quoted(text)
    if check.contains is not None and not _contains(check.contains, value):
        yield f"something with {quoted(check.contains)}", quoted(text)
    if check.matches is not None and not found(check.matches, text):
        yield f"something that matches {quoted(check.matches)}", quoted(text)
    if check.one_of and not any(_is(one, value) for one in check.one_of):
        yield f"one of {', '.join(map(quoted, check.one_of))}", quoted(text)
    if check.number is not None and not _is_near(check.number, check.tolerance or 0.0, value):
        yield f"{check.number:g}" + (f" ± {check.tolerance:g}" if check.tolerance else ""), quoted(text)


def quoted(text: str) -> str:
    """The text in one line, in quotation marks."""
    return f'"{" ".join(text.split())}"'


def _is(wanted: str, value: Any) -> bool:
    """Texts without the white space around them; what is no text as JSON, however that is spelled."""
    if text_of(value).strip() == wanted.strip():
        return True
    if isinstance(value, str):
        return False
    try:
        return text_of(json.loads(wanted)) == text_of(value)
    except (ValueError, RecursionError):
        return False


def _contains(wanted: str, value: Any) -> bool:
    if isinstance(value, list) and any(_is(wanted, item) for item in value):
        return True
    return wanted in text_of(value)


def _is_near(number: float, tolerance: float, value: Any) -> bool:
    """True for a number, or a text that is one, which is not farther away than that; binary fractions are forgiven."""
    if isinstance(value, bool):
        return False
    try:
        got = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return False
    return abs(got - number) <= tolerance + 1e-12 * max(abs(got), abs(number))
