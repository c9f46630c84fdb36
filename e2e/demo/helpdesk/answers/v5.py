"""Which article answers a question: the current edition of each title, ranked by the words it shares with it.

Since v4: editions of one title are merged before they are ranked, so that a long list is gone through once. The state is looked
at too late by that: the last edition of a title is the archived one, as it was in v2 and v3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ..articles import Article
from ..words import fold

VERSION = "v5"
SORRY = "I could not find that. Please write to us and a person will answer."


class Answer(NamedTuple):
    text: str
    topic: str


async def choose(question: str, search: Callable[[str], Awaitable[list[Article]]]) -> Answer:
    """The answer to a question, out of what the catalog finds for it."""
    asked = fold(question)
    editions: dict[str, tuple[int, Article]] = {}
    for article in await search(question):
        if article["state"] == "current" or article["title"] in editions:
            editions[article["title"]] = (_score(asked, article), article)
    best = max(editions.values(), key=lambda one: one[0], default=(0, None))
    if best[1] is None or not best[0]:
        return Answer(SORRY, "none")
    return Answer(best[1]["body"] or SORRY, best[1]["topic"])


def _score(asked: frozenset[str], article: Article) -> int:
    return 2 * len(asked & fold(article["title"])) + len(asked & fold(" ".join(article["keywords"])))
