"""The class of an alert, read from the words of its name.

A name is cut into words where its case changes or a sign stands (`NoRequestsReceived` → "no requests received"); a phrase
matches whole words, the last of which may be a beginning (`replica*`). The first class of `Method.words` that matches wins; without any it is "other".
"""

import re
from collections.abc import Mapping
from functools import lru_cache

HEARTBEAT = "heartbeat"
HYGIENE, DRY, STARVED, BURN, WORKLOAD, PROBE = "hygiene", "dry", "starved", "burn", "workload", "probe"
LATENCY, ERROR, SATURATION, OTHER = "latency", "error", "saturation", "other"

_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")


class Classifier:
    """Classes of alert names; each name is read once."""

    def __init__(self, words: Mapping[str, tuple[str, ...]]) -> None:
        """`words`: class → phrases in lower case, in the order in which classes are tried."""
        self._patterns = {
            name: re.compile("|".join(map(_pattern, phrases))) if phrases else None for name, phrases in words.items()
        }
        self._known: dict[str, str] = {}

    def __call__(self, alertname: str) -> str:
        """The class of an alert name."""
        if alertname not in self._known:
            text = words_of(alertname)
            matches = (name for name, pattern in self._patterns.items() if pattern and pattern.search(text))
            self._known[alertname] = next(matches, OTHER)
        return self._known[alertname]


def _pattern(phrase: str) -> str:
    whole = "" if phrase.endswith("*") else r"\b"
    return rf"\b{re.escape(phrase.removesuffix('*'))}{whole}"


@lru_cache(maxsize=4096)
def words_of(name: str) -> str:
    """The words of a name in lower case, one space between two."""
    return " ".join(part for part in _BREAK.split(name) if part).lower()
