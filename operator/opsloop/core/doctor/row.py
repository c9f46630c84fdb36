"""One finding of the doctor."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "problem", "unknown"]
"""note: true, and to be known; unknown: nobody could say, which is no problem by itself."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was looked at, what was found in a sentence, and what to do about it."""

    name: str
    verdict: Verdict
    text: str
    mend: str = ""


def unseen(name: str, why: str) -> Row:
    """A row of what could not be read."""
    return Row(name, "unknown", why)
