"""Which article answers a question: every current article is scored by the words it shares with the question."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ..articles import Article
from ..words import fold

VERSION = "v1"
SORRY = "I could not find that. Please write to us and a person will answer."


class Answer(NamedTuple):
    text: str
    topic: str


async def choose(question: str, search: Callable[[str], Awaitable[list[Article]]]) -> Answer:
    """The answer to a question, out of what the catalog finds for it."""
    asked = fold(question)
    best: Article | None = None
    best_score = 0
    for article in await search(question):
        if article["state"] != "current":
            continue
        score = _score(asked, article)
        if score > best_score:
            best, best_score = article, score
    if best is None:
        return Answer(SORRY, "none")
    return Answer(best["body"] or SORRY, best["topic"])


def _score(asked: frozenset[str], article: Article) -> int:
    return 2 * len(asked & fold(article["title"])) + len(asked & fold(" ".join(article["keywords"])))
