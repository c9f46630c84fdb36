"""Secrets that a request carried, taken out of what came back before anybody compares or tells it.

A service that repeats its request would else put them into a status; and an expectation of a guessed text would tell, by
passing or failing, whether the Secret contains it.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from urllib.parse import quote, quote_plus

from opsloop.core.facts import ProbeReply

INSTEAD = "[redacted]"
SHORTEST = 8  # characters; a shorter value would be found in replies that do not have it, and spoil them


def unfit(value: str) -> str:
    """Why this value of a Secret cannot be sent; "" where it can."""
    if len(value) < SHORTEST:
        return f"is shorter than {SHORTEST} characters, so it could not be kept out of messages"
    if not all(" " <= letter <= "~" for letter in value):
        return "holds a line break or another character that no header may have"
    return ""


def hide(reply: ProbeReply, secrets: Iterable[str]) -> ProbeReply:
    """The reply without the secrets, however they are spelled in it."""
    spellings = sorted({s for secret in secrets for s in _spellings(secret)}, key=len, reverse=True)
    if not spellings:
        return reply
    headers = tuple((name, _without(spellings, value)) for name, value in reply.headers)
    body, error = _without(spellings, reply.body), _without(spellings, reply.error)
    return replace(reply, body=body, error=error, headers=headers)


def _without(spellings: Iterable[str], text: str) -> str:
    for spelling in spellings:
        text = text.replace(spelling, INSTEAD)
    return text


def _spellings(secret: str) -> Iterator[str]:
    """As it is, in JSON, in a URL, and in base64 alone and behind whatever stood before it."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret)[1:-1].replace("/", "\\/")
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    for shift in range(3):  # base64 spells three bytes at once; the letters that depend on the neighbours are left out
        spelled = base64.b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")
        inner = spelled[(0, 2, 3)[shift] : len(spelled) - (1 if (shift + len(secret)) % 3 else 0)]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")
