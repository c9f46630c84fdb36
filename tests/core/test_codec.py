"""The stored ticket queue. Ledgers: tests/core/alerts; inbox entries: tests/core/test_intake."""

import random

import pytest

from opsloop.api.incident import TicketExample
from opsloop.core import codec
from opsloop.core.codec import decode_queue, encode_queue
from opsloop.core.facts import QueuedTicket
from opsloop.core.tickets.triage import triage
from tests.builders.correlation import ticket


def test_a_stored_queue_is_decoded_unchanged() -> None:
    queue = tuple(
        QueuedTicket(t, triage(t))
        for t in (ticket("Dark mode"), ticket("x", id="T-2", example=TicketExample(asked="a", expected="b")))
    )
    assert decode_queue(encode_queue(queue)[0]) == queue


def test_a_queue_that_gets_too_long_loses_text_first() -> None:
    noise = random.Random(1)
    texts = ["".join(noise.choices("abcdefghijklmnopqrstuvwxyz ", k=16_000)) for _ in range(120)]
    queue = tuple(
        QueuedTicket(t, triage(ticket("x"))) for t in (ticket("x", text, id=str(n)) for n, text in enumerate(texts))
    )
    kept = decode_queue(encode_queue(queue)[0])
    assert len(kept) == 120 and all(len(q.ticket.body) == 500 for q in kept)


def test_texts_go_before_tickets_and_what_is_kept_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_OBJECT", 9 * 1024)
    noise, judged = random.Random(2), triage(ticket("Dark mode"))
    texts = ["".join(noise.choices("abcdefghijklmnopqrstuvwxyz ", k=300)) for _ in range(90)]
    data, kept = encode_queue([QueuedTicket(ticket(f"wish {n}", t, id=f"T-{n}"), judged) for n, t in enumerate(texts)])
    assert len(kept) == 90 and decode_queue(data) == kept
    data, kept = encode_queue([QueuedTicket(ticket(t, id=f"T-{n}"), judged) for n, t in enumerate(texts)])
    assert 0 < len(kept) < 90 and decode_queue(data) == kept  # subjects are never cut
