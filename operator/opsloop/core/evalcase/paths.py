"""JSONPath expressions of EvalCases, which tenants write: only those whose work grows with the size of the reply alone.

Each bracket selects in one way, `..` stands at most once and no filter begins at `$`: then no part of a reply is looked at
more often than the expression is long. `$..a..a..a` or `$[*,*][*,*]` over a large reply would hang opsloop for all its users.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError
from jsonpath.filter import BaseExpression, FilterQuery, RootFilterQuery
from jsonpath.function_extensions import ExpressionType, FilterFunction
from jsonpath.segments import JSONPathRecursiveDescentSegment, JSONPathSegment
from jsonpath.selectors import Filter

from opsloop.core.evalcase.patterns import found

MOST_VALUES = 1000  # that one expression may find


class _Regex(FilterFunction):
    """`search` and `match` of RFC 9535 without backtracking."""

    arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]  # noqa: RUF012 - as the library declares it
    return_type = ExpressionType.LOGICAL

    def __init__(self, form: str) -> None:
        self._form = form

    def __call__(self, value: object, pattern: object) -> bool:
        if not isinstance(value, str) or not isinstance(pattern, str):
            return False
        try:
            return found(self._form.format(pattern), value)
        except ValueError:
            return False  # as RFC 9535 says of an expression that is none


class _Environment(JSONPathEnvironment):
    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        self.function_extensions |= {"search": _Regex("{}"), "match": _Regex("^(?:{})$")}


_ENVIRONMENT = _Environment(strict=True)


@lru_cache(maxsize=1024)
def _compiled(text: str) -> JSONPath:
    try:
        path = _ENVIRONMENT.compile(text)
    except (JSONPathError, RecursionError, ValueError) as error:
        raise ValueError(
            f"{text!r} is no JSONPath (RFC 9535), {_cause(error)}; write for example $.items[0].price"
        ) from None
    if not isinstance(path, JSONPath):
        raise ValueError(f"{text!r} is more than one JSONPath; write a check for each")
    segments = list(_segments(path))
    if any(len(segment.selectors) != 1 for segment in segments):
        raise ValueError(f"{text!r} selects in several ways in one bracket; write a check for each")
    if sum(isinstance(segment, JSONPathRecursiveDescentSegment) for segment in segments) > 1:
        raise ValueError(f"{text!r} has .. more than once; say where the first one leads")
    return path


def _segments(path: JSONPath) -> Iterator[JSONPathSegment]:
    """Those of the path and of all paths in its filters."""
    for segment in path.segments:
        yield segment
        for selector in segment.selectors:
            if isinstance(selector, Filter):
                yield from _in_filter(selector.expression)


def _in_filter(expression: BaseExpression) -> Iterator[JSONPathSegment]:
    if isinstance(expression, RootFilterQuery):
        raise ValueError(f"{expression} within a filter begins at $; filters look at @ only")
    if isinstance(expression, FilterQuery):
        yield from _segments(expression.path)
        return
    for child in expression.children():
        yield from _in_filter(child)


def check(text: str) -> None:
    """Raises ValueError that says what is wrong with the expression."""
    _compiled(text)


@lru_cache(maxsize=1024)
def steps(text: str) -> int:
    """How often each value of a reply is looked at, at most; 0 for a path that leads to one place. Raises ValueError."""
    segments = list(_segments(_compiled(text)))
    return len(segments) if any(_is_wide(segment) for segment in segments) else 0


def _is_wide(segment: JSONPathSegment) -> bool:
    return isinstance(segment, JSONPathRecursiveDescentSegment) or isinstance(segment.selectors[0], Filter)


def values(text: str, document: Any) -> list[Any]:
    """What the expression finds in a JSON document. Raises ValueError for a wrong one, or where it finds too much."""
    found_: list[Any] = []
    try:
        for match in _compiled(text).finditer(document):
            found_.append(match.obj)
            if len(found_) > MOST_VALUES:
                raise ValueError(f"{text!r} finds more than {MOST_VALUES} values")
    except (JSONPathError, RecursionError) as error:
        raise ValueError(f"{text!r} cannot be read in the reply ({type(error).__name__})") from None
    return found_


def _cause(error: Exception) -> str:
    """The library's sentence without its drawing of the place."""
    return str(error.args[0]).splitlines()[0] if error.args else type(error).__name__
