"""Regular expressions of EvalCases, which tenants write: matched in time linear in the text, so that none can hang opsloop.

Python's own engine backtracks: (a+)+$ against thirty letters takes minutes, and nothing can stop it. The engine here is the
one of the JSON Schema library, which has no look-around and no back-references, like RE2, with which the API server checks.
"""

from functools import lru_cache
from typing import Any

from jsonschema_rs import RegexOptions, ValidationError, validator_for

LINEAR = RegexOptions()


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    try:
        return validator_for({"type": "string", "pattern": pattern}, pattern_options=LINEAR)
    except (ValidationError, ValueError):
        raise ValueError(f"{pattern!r} is no regular expression in RE2 syntax, for example ^order-[0-9]+$") from None


def check(pattern: str) -> None:
    """Raises ValueError where the text is no regular expression."""
    _compiled(pattern)


def found(pattern: str, text: str) -> bool:
    """True where the expression matches somewhere in the text. Raises ValueError where it is none."""
    return bool(_compiled(pattern).is_valid(text))
