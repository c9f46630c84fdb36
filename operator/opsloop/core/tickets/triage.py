"""Triage of a user's ticket from its text alone: category, severity, route. Ordered rules, each testable.

Quotations (question, answer and expectation) say nothing about the kind of ticket and are left out.
"""

import re

from opsloop.api.meta import Severity
from opsloop.core.facts import Category, Ticket, Triage

ROUTES: dict[Category, str] = {
    "outage": "on-call",
    "performance": "on-call",
    "bug": "engineering",
    "billing": "billing",
    "account": "accounts",
    "question": "support",
    "feature_request": "product",
}

_LONG_QUOTE = re.compile(r"(?<!\S)[\"“„«][^\"“”„«»]{25,}[\"”“»]")


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})", re.IGNORECASE)


_FEATURE = _words(
    r"would (love|like) to (see|have)|it would be (lovely|great|nice|handy|good)|could you add|(please|pls) (add|support|let us)"
    r"|would you consider|i wish|would help\b|great addition|feature request|suggestion\b|idea:"
)
_BILLING = _words(
    r"refund|invoice|(charged|billed|debited)\s+(me\s+)?(twice|double|two times|too much)|double payment|paid double"
    r"|duplicate charge|two (debits|payments)|same (payment|sum)|credit card bill|took [^.]*(twice|two times)|my statement|overcharged"
)
_ACCOUNT = _words(
    r"password|log ?in\b|login|sign[- ]?in\b|locked (out|after)|my account|the account|two accounts|an account|registered with"
    r"|second factor|two-factor|mail address|order history|delete my data"
)
_FAILS = _words(
    r"error|erroring|fail|broken|can ?not\b|can.?t\b|could ?n.t|could not|unable|unavailable|is down|dead\b|crash|refuse|declin"
    r"|timed? ?out|does ?n.?t work|doesnt|not work|won.?t|wont|wrong|incorrect|false\b|nonsense|not true|untrue|outdated|contradict"
    r"|makes things up|made up|different things|gone\b|vanish|missing|disappear|empty|blank|lost\b|stuck|hang|5\d\d\b|nothing but"
    r"|not a single|flat for|never (appears|arrives|comes)|gives up|do(es)? not (come|load|open|print|go through)|keep getting"
)
_SLOW = _words(
    r"slow|sluggish|spinner|loading|takes? (ages|forever|too long|like)|(\d+|\w+) seconds|minute[s]? (wait|before)|for a minute"
    r"|(long|one-minute|the) wait|lag|half a minute|forever"
)
_WORKED = _words(
    r"in the end|did succeed|finishes|then it is there|eventually|worked after|it is fine now|went through after"
)
_STANDING = _words(
    r"typo|(for|since) (months|weeks|years|ages)|has been there|since (i|my) first|since spring|in spring|always (been|has)"
    r"|came in the wrong|printed|on my printer|the app of|its own update|for as long|has had the"
)
_ASKS = _words(
    r"how|where|which|what|when|who|whom|can i|could i|may i|do you|does your|is your|are you|is there|if\b[^?]*can i"
)
_OVER = _words(
    r"last (week|month|year|mon|tues|wednes|thurs|fri|satur|sun)|yesterday|(two|three|four|\d+) (days|weeks|months) ago|in (january"
    r"|february|march|april|may|june|july|august|september|october|november|december)\b|last night|the other day"
)
_NOW = _words(
    r"right now|just now|since (now|this morning|today|noon|lunch)|today|suddenly|this (morning|afternoon|evening)|at the moment"
    r"|(an|one|half an|two) hours? ago|minutes? (ago|now)|for [\w ]*minutes|currently|keeps?\b|ten minutes|still\b|is anyone|just me"
)
_SETTLED = _words(
    r"(is|was|been|works) fine (now|ever|again)|has been (fine )?ever since|was settled|only reporting|just wanted to say|i keep it|fine again"
)
_BLOCKED = _words(
    r"can ?not (buy|order|pay|place|finish|check|add|use|open)|can.?t (buy|order|pay|add|do|open)|cant (buy|order|pay|add)|unable to"
    r"|no way to|nothing to pay|could not be placed|doesn.?t work|is (down|broken|dead)|catalogue dead|all i get|every time|given up"
    r"|stays grey|does nothing but|returns me|everything (is |erroring)|fails\b|take the order by phone|hangs and then|and adding any"
)
_PARTLY = _words(
    r"half of the time|sometimes|one time in|every (second|third|3rd|other|2nd)|once it|second try|third (try|went)|in the end"
    r"|eventually|can still|the rest (works|is)|works every|otherwise \d|other things|twice since|germany it was fine|rest of"
)
_OTHERS_DATA = _words(
    r"(somebody|someone) else|stranger|another (customer|person)'?s|other people'?s (data|orders|names)"
)


def triage(ticket: Ticket, team: str = "") -> Triage:
    """Category, severity and route; `team` owns the concerned Release, if one is known."""
    text = own_words(ticket)
    category = category_of(text)
    return Triage(category, severity_of(text, category), team or ROUTES[category])


def own_words(ticket: Ticket) -> str:
    """Subject and body without the user's quotations."""
    text = f"{ticket.subject}. {ticket.body}".replace("’", "'")
    if ticket.example:
        quotes = (ticket.example.asked, ticket.example.got, ticket.example.expected)
        for quote in sorted(filter(None, quotes), key=len, reverse=True):
            text = re.sub(rf"[\"“„«]?{re.escape(quote)}[\"”“»]?", " ", text)
    return _LONG_QUOTE.sub(" ", text)


def category_of(text: str) -> Category:
    """The first rule that fits; a text that tells of no harm is a question."""
    if _FEATURE.search(text):
        return "feature_request"
    if _BILLING.search(text):
        return "billing"
    if _ACCOUNT.search(text) and not has_now(text):
        return "account"
    if _STANDING.search(text) and not has_now(text):
        return "bug"
    asks = "?" in text and _ASKS.search(text) is not None
    fails, slow = _FAILS.search(text), _SLOW.search(text)
    if slow and (not fails or _WORKED.search(text)):
        return "performance"
    return "outage" if fails else "question" if asks or not slow else "performance"


def severity_of(text: str, category: Category) -> Severity:
    """sev1: cannot use it at all, or other people's data; sev2: fails sometimes or in part; sev3: one person; sev4: no harm."""
    if _OTHERS_DATA.search(text):
        return "sev1"
    if category in ("question", "feature_request"):
        return "sev4"
    if category in ("bug", "billing", "account") or is_over(text):
        return "sev3"
    return "sev1" if category == "outage" and is_blocked(text) else "sev2"


def is_over(text: str) -> bool:
    """True if the text tells of the past. "Yesterday it was right, today it is wrong" is present."""
    return bool(_SETTLED.search(text)) or (bool(_OVER.search(text)) and not has_now(text))


def has_now(text: str) -> bool:
    """True if the text says that it is happening now or began today."""
    return _NOW.search(text) is not None


def is_blocked(text: str) -> bool:
    """True if the reporter cannot go on at all."""
    return bool(_BLOCKED.search(text)) and not _PARTLY.search(text)
