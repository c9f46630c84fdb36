"""What the help desk knows: articles on five topics, and the traces that an editor's work leaves in them.

The seed changes the facts (numbers in the answers) and which topic was *revised* lately. A revised topic is in the
state that real catalogs get into: the older edition is still stored under the same title, a page that was merged
into it is left as a stub without a text, and its keywords still look as the old system wrote them. Code that heeds
`state` and compares words through `words.fold` is right about all of it. Nothing here knows who reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypedDict


class Article(TypedDict):
    id: str
    topic: str
    title: str
    keywords: list[str]
    body: str | None
    state: Literal["current", "archived", "moved"]
    revised: str


@dataclass(frozen=True)
class Topic:
    """What is true of a topic whatever the seed; `merged` is the title of the page that was merged into it."""

    name: str
    title: str
    merged: str
    keywords: tuple[str, ...]
    body: str
    numbers: tuple[int, ...]


TOPICS: tuple[Topic, ...] = (
    Topic("returns", "Returns and refunds", "Exchanges",
          ("return", "refund", "exchange", "unwanted", "send", "back", "money", "fit", "mind"),
          "You can send anything back within {n} days of delivery, and we pay the full price.",
          (14, 21, 30, 45, 60, 90)),
    Topic("delivery", "Delivery times", "Tracking a parcel",
          ("delivery", "tracking", "parcel", "arrive", "courier", "shipping", "dispatch", "island"),
          "Parcels leave our warehouse the same day and reach you within {n} working days.",
          (2, 3, 4, 5, 6, 8)),
    Topic("invoices", "Invoices and receipts", "Tax documents",
          ("invoice", "receipt", "tax", "document", "bill", "vat", "bookkeeping", "company", "accountant"),
          "Your invoice is in your account under Orders; it stays there for {n} months.",
          (6, 12, 18, 24, 36, 120)),
    Topic("warranty", "Warranty period", "Repairs",
          ("warranty", "repair", "broken", "faulty", "guarantee", "defect", "spare"),
          "Everything we sell is covered for {n} months, and repairs in that time cost nothing.",
          (12, 18, 24, 30, 36, 60)),
    Topic("vouchers", "Gift vouchers", "Promotion codes",
          ("voucher", "promotion", "code", "redeem", "coupon", "discount", "balance"),
          "A gift voucher is valid for {n} months from the day on which it was bought.",
          (6, 12, 18, 24, 36, 48)),
)  # fmt: skip

OTHER_PAGES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("hours", "Opening hours of our shops", ("open", "hour", "sunday"), "Our shops are open from 9 to 19 o'clock."),
    ("jobs", "Working for us", ("job", "apprentice", "career"), "Open positions are on the page Careers."),
    ("wrapping", "Wrapping and cards", ("wrapping", "ribbon", "card"), "We wrap up to five items for free."),
)

_OLD_SYSTEM: tuple[Callable[[str], str], ...] = (str.upper, str.title, lambda word: f"{word.title()}\u00a0")


def revised_topic(seed: int) -> str:
    """The topic that this seed's editors revised lately; five seeds in a row have each topic once."""
    block, place = divmod(seed, len(TOPICS))
    return Random(f"revised topics {block}").sample(TOPICS, len(TOPICS))[place].name


def articles(seed: int) -> list[Article]:
    """The whole catalog of a seed, the newest edition first, as `catalog` stores it."""
    draw = Random(f"articles {seed}")
    revised = revised_topic(seed)
    catalog: list[Article] = [
        {"id": name, "topic": name, "title": title, "keywords": list(keywords), "body": body, "state": "current",
         "revised": "2025-02-03"}
        for name, title, keywords, body in OTHER_PAGES
    ]  # fmt: skip
    for topic in TOPICS:
        now, before = draw.sample(topic.numbers, 2)
        old_system = draw.choice(_OLD_SYSTEM)
        catalog += _revised(topic, now, before, old_system) if topic.name == revised else [_current(topic, now)]
    return sorted(catalog, key=lambda article: article["revised"], reverse=True)


def published(catalog: Sequence[Article]) -> list[Article]:
    """What the shop's public pages show: current articles, nothing archived and no stubs."""
    return [article for article in catalog if article["state"] == "current"]


def _current(topic: Topic, number: int) -> Article:
    return {"id": topic.name, "topic": topic.name, "title": topic.title, "keywords": list(topic.keywords),
            "body": topic.body.format(n=number), "state": "current", "revised": "2025-04-14"}  # fmt: skip


def _revised(topic: Topic, now: int, before: int, old_system: Callable[[str], str]) -> list[Article]:
    keywords = [old_system(word) for word in topic.keywords]
    return [
        {**_current(topic, now), "id": f"{topic.name}-2", "keywords": keywords, "revised": "2026-01-19"},
        {**_current(topic, before), "keywords": keywords, "state": "archived"},
        {**_current(topic, before), "id": f"{topic.name}-merged", "title": topic.merged, "keywords": [],
         "body": None, "state": "moved", "revised": "2025-11-05"},
    ]  # fmt: skip
