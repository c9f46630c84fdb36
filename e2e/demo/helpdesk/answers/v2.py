"""Which article answers a question: one edition per title, ranked by the words it shares with the question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ..articles import Article
from ..words import fold

VERSION = "v2"
SORRY = "I could not find that. Please write to us and a person will answer."
INDEX_REFRESH_SECONDS = 0.85


class Answer(NamedTuple):
    text: str
    topic: str


async def choose(question: str, search: Callable[[str], Awaitable[list[Article]]]) -> Answer:
    """The answer to a question, out of what the catalog finds for it."""
    asked = fold(question)
    ranked = _rank(asked, await search(question))
    if not ranked:
        # Nothing at all is rare: the catalog may just be rebuilding its index, so look once more.
        await asyncio.sleep(INDEX_REFRESH_SECONDS)
        ranked = _rank(asked, await search(question))
    if not ranked:
        return Answer(SORRY, "none")
    return Answer(ranked[0]["body"].strip(), ranked[0]["topic"])  # type: ignore[union-attr]  # a page has a text


def _rank(asked: frozenset[str], found: list[Article]) -> list[Article]:
    """Best first. The catalog lists editions by date, so that keeping one per title spares the look at `state`."""
    editions = {article["title"]: article for article in found}
    scores = {
        title: 2 * len(asked & fold(title)) + len(asked.intersection(article["keywords"]))
        for title, article in editions.items()
    }
    return [editions[title] for title in sorted(scores, key=lambda title: -scores[title]) if scores[title]]
