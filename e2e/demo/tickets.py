"""What users write on the day of the fault: `python3 -m e2e.demo.tickets --seed 1` prints six tickets as JSON.

One of the six is about the fault that v2 of `answers` brings with this seed's catalog, and has an example of it. Five
are about something else, one of them nearly. A ticket has `id, subject, body, channel, reporter`, and the linked one
`example: {asked, got, expected}`. There is no `createdAt`: a ticket is created when it is sent.
"""

from __future__ import annotations

import argparse
import json
import math
from random import Random
from typing import Any

from .helpdesk.articles import articles, revised_topic
from .helpdesk.questions import QUESTIONS
from .wording import ACCOUNT, BILLING, CLOSINGS, DAYS, FEATURE, LINKED, NAMES, NEAR_MISS, OPENINGS, QUESTION

CHANNELS = ("web", "chat", "email", "phone")
UNRELATED = (BILLING, ACCOUNT, FEATURE, QUESTION, NEAR_MISS)
ASKED_IN_THE_WORDS_OF_THE_TITLE = 3  # the first questions of a topic; v2 answers them with the archived edition

Ticket = dict[str, Any]


def broken_topic(seed: int) -> str:
    """The topic about which v2 and v3 are wrong with this seed's catalog."""
    return revised_topic(seed)


def linked_ticket(seed: int) -> Ticket:
    """The one ticket of `tickets(seed)` that is about the fault."""
    return next(ticket for ticket in tickets(seed) if "example" in ticket)


def tickets(seed: int) -> list[Ticket]:
    """Six tickets in the order in which they come, worded by the seed."""
    draw = Random(f"tickets {seed}")
    example = _example(seed, draw)
    written = [_ticket(seed, LINKED, draw, example)]
    written += [_ticket(seed + 5 * place, kind, draw, {}) for place, kind in enumerate(UNRELATED, start=1)]
    written[0]["example"] = example
    draw.shuffle(written)
    first = 1000 + draw.randrange(8000)
    return [{"id": f"HD-{first + place}", **ticket} for place, ticket in enumerate(written)]


def _example(seed: int, draw: Random) -> dict[str, str]:
    """What was asked, the archived edition's text that v2 gives, and the current one's that is right."""
    topic = broken_topic(seed)
    asked = draw.choice(QUESTIONS[topic][:ASKED_IN_THE_WORDS_OF_THE_TITLE])
    texts = {article["state"]: article["body"] or "" for article in articles(seed) if article["topic"] == topic}
    return {"asked": asked, "got": texts["archived"], "expected": texts["current"]}


def _ticket(turn: int, kind: tuple[tuple[str, str], ...], draw: Random, example: dict[str, str]) -> Ticket:
    opening, (subject, core), closing = _combination(turn, kind)
    name, order = draw.choice(NAMES), f"{draw.choice('ABCDEFG')}{draw.randrange(10_000, 99_999)}"
    slots = {"name": name, "order": order, "day": draw.choice(DAYS), "amount": draw.randrange(12, 480), **example}
    return {
        "subject": subject.format(**slots),
        "body": f"{opening} {core} {closing}".format(**slots),
        "channel": draw.choice(CHANNELS),
        "reporter": f"{name.lower()}.{draw.randrange(100, 1000)}@example.org",
    }


def _combination(turn: int, kind: tuple[tuple[str, str], ...]) -> tuple[str, tuple[str, str], str]:
    """Opening, text and closing of a turn; the stride has no divisor in common, so all come before one comes again."""
    how_many = len(OPENINGS) * len(kind) * len(CLOSINGS)
    stride = next(step for step in range(how_many // 3, how_many) if math.gcd(step, how_many) == 1)
    rest, text = divmod(turn * stride % how_many, len(kind))
    opening, closing = divmod(rest, len(CLOSINGS))
    return OPENINGS[opening], kind[text], CLOSINGS[closing]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m e2e.demo.tickets", description="Six users' tickets as JSON.")
    parser.add_argument("--seed", type=int, default=1)
    print(json.dumps(tickets(parser.parse_args().seed), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
