"""Triage of a user's ticket from its text alone: category, severity, route.

The mail is taken apart, quotations of an example are left out, and the learnt model judges the rest.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from opsloop.api.meta import Severity
from opsloop.core.reported import Category, HouseWords, Ticket, Triage
from opsloop.core.tickets.mail import OwnWords, own_words
from opsloop.core.tickets.mentions import Text
from opsloop.core.tickets.model import SEVERITIES, Pulls, judge

ROUTES: Mapping[Category, str] = {
    "outage": "on-call",
    "performance": "on-call",
    "bug": "engineering",
    "billing": "billing",
    "account": "accounts",
    "question": "support",
    "feature_request": "product",
    "unknown": "support",  # people read what the model cannot
}

_LONG_QUOTE = re.compile(r"(?<!\S)[\"“„«][^\"“”„«»]{25,}[\"”“»]")


def triage(ticket: Ticket, team: str = "", house: HouseWords | None = None, pulls: Pulls | None = None) -> Triage:
    """Category, severity and route; `team` owns the concerned Release, if one is known. `house`: its routes and categories;
    `pulls`: what people's corrections taught of categories."""
    own = house or HouseWords()
    words = words_of(ticket)
    if words.automatic:
        route = team or route_of("unknown", own)
        return Triage("unknown", "sev4", route, f"an {words.automatic}, which nobody wrote")
    found = judge(words.subject, words.body, pulls)
    category, severity, because = found.category, found.severity, "; ".join(found.because)
    if (
        ticket.example
        and ticket.example.got.strip() != ticket.example.expected.strip()
        and found.severity not in ("sev1", "sev2")
    ):
        # What was expected and did not come back is a failure, however it is worded; once its quotations are left out little is said
        category, severity = "outage", "sev2"
        because = "its example: what came back is not what was expected"
    judgement = _in_words_of_the_house(Triage(category, severity, "", because), words, own)
    # other people's data, for one, wait for no office hours
    route = route_of("outage" if judgement.severity == "sev1" else judgement.called, own)
    return replace(judgement, route=team or route)


def route_of(category: str, house: HouseWords) -> str:
    """Who takes tickets of a category, opsloop's or the house's own."""
    if own := house.categories.get(category):
        return own.route or _route(own.like, house)
    return _route(cast(Category, category), house)


def _route(category: Category, house: HouseWords) -> str:
    return house.routes.get(category, ROUTES[category])


def possible(severity: Severity, severities: Sequence[Severity]) -> Severity:
    """The nearest of these severities; of two as near the worse one. Of none: itself."""
    at = SEVERITIES.index
    return min(severities or (severity,), key=lambda s: (abs(at(s) - at(severity)), s))


def _in_words_of_the_house(judgement: Triage, words: OwnWords, house: HouseWords) -> Triage:
    """The judgement in the first category of the house that it fits, with a severity that this can have."""
    text = Text(f"{words.subject}. {words.body}") if house.categories else None
    ordered = sorted(house.categories.items(), key=lambda item: not item[1].words)
    for name, own in ordered:
        word = text.names("", own.words) if text and own.words else ""
        if own.like == judgement.category and (word or not own.words):
            terms = [judgement.because, f"“{word}” is a word for {name}" if word else ""]
            severity = possible(judgement.severity, own.severities)
            return replace(judgement, own=name, severity=severity, because="; ".join(filter(None, terms)))
    return judgement


def words_of(ticket: Ticket) -> OwnWords:
    """The person's own words without the quotations of an example."""
    words = own_words(ticket.subject, ticket.body, ticket.automatic)
    body = words.body.replace("’", "'")
    if ticket.example:
        quotes = (ticket.example.asked, ticket.example.got, ticket.example.expected)
        for quote in sorted(filter(None, quotes), key=len, reverse=True):
            body = re.sub(rf"[\"“„«]?{re.escape(quote)}[\"”“»]?", " ", body)
    return OwnWords(words.subject, _LONG_QUOTE.sub(" ", body), words.automatic)


def text_of(ticket: Ticket) -> str:
    """Subject and body of `words_of` in one."""
    words = words_of(ticket)
    return f"{words.subject}. {words.body}"


def is_over(judgement: Triage) -> bool:
    """True if the text tells of harm that has ended: by the definitions that is what sev3 means of an outage."""
    return judgement.category in ("outage", "performance") and judgement.severity == "sev3"
