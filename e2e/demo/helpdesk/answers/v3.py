"""Which article answers a question: one edition per title, ranked by the words it shares with the question.

Since v2: pages without a text are left out (they ended in a server error), keywords are compared whatever their
case (they were not found, which made us wait for the index), and nobody waits any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ..articles import Article
from ..words import fold

VERSION = "v3"
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
    """Best first. The catalog lists editions by date, so that keeping one per title spares the look at `state`."""
    editions = {article["title"]: article for article in found if article["body"]}
    scores = {
        title: 2 * len(asked & fold(title)) + len(asked & fold(" ".join(article["keywords"])))
        for title, article in editions.items()
    }
    return [editions[title] for title in sorted(scores, key=lambda title: -scores[title]) if scores[title]]
