"""Which article answers a question: the current edition of each title, ranked by the words it shares with it.

Since v3: an archived edition may have the title of the current one and comes later in the catalog's list, so the
last one of a title is the *oldest*. What is not current is left out before titles are compared.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ..articles import Article
from ..words import fold

VERSION = "v4"
SORRY = "I could not find that. Please write to us and a person will answer."


class Answer(NamedTuple):
    text: str
    topic: str


async def choose(question: str, search: Callable[[str], Awaitable[list[Article]]]) -> Answer:
    """The answer to a question, out of what the catalog finds for it."""
    ranked = _rank(fold(question), await search(question))
    if not ranked:
        return Answer(SORRY, "none")
    return Answer(ranked[0]["body"] or SORRY, ranked[0]["topic"])


def _rank(asked: frozenset[str], found: list[Article]) -> list[Article]:
    """Best first, current editions only."""
    editions = {article["title"]: article for article in found if article["state"] == "current"}
    scores = {
        title: 2 * len(asked & fold(title)) + len(asked & fold(" ".join(article["keywords"])))
        for title, article in editions.items()
    }
    return [editions[title] for title in sorted(scores, key=lambda title: -scores[title]) if scores[title]]
