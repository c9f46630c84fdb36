"""Triage of a user's ticket from its text alone: category, severity, route.

The mail is taken apart, quotations of an example are left out, and the learnt model judges the rest.
"""

import re
from collections.abc import Mapping

from opsloop.core.reported import Category, Ticket, Triage
from opsloop.core.tickets.mail import OwnWords, own_words
from opsloop.core.tickets.model import judge

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


def triage(ticket: Ticket, team: str = "", own_routes: Mapping[str, str] | None = None) -> Triage:
    """Category, severity and route; `team` owns the concerned Release, if one is known. `own_routes`: of the house, by category."""
    own = own_routes or {}
    words = words_of(ticket)
    if words.automatic:
        return Triage("unknown", "sev4", team or _route("unknown", own), f"an {words.automatic}, which nobody wrote")
    found = judge(words.subject, words.body)
    if (
        ticket.example
        and ticket.example.got.strip() != ticket.example.expected.strip()
        and found.severity not in ("sev1", "sev2")
    ):
        # What was expected and did not come back is a failure, however it is worded; once its quotations are left out little is said
        return Triage(
            "outage", "sev2", team or _route("outage", own), "its example: what came back is not what was expected"
        )
    # other people's data, for one, wait for no office hours
    route = _route("outage" if found.severity == "sev1" else found.category, own)
    return Triage(found.category, found.severity, team or route, "; ".join(found.because))


def _route(category: Category, own: Mapping[str, str]) -> str:
    return own.get(category, ROUTES[category])


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
