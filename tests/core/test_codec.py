"""The stored ticket queue. Ledgers: tests/core/alerts; inbox entries: tests/core/test_intake."""

import random

import pytest

from opsloop.api.reported import TicketExample
from opsloop.core.codec import decode_queue, encode_queue
from opsloop.core.reported import QueuedTicket
from opsloop.core.tickets.triage import triage
from opsloop.errors import Invalid
from tests.builders.correlation import ticket


def test_a_stored_queue_is_decoded_unchanged() -> None:
    queue = tuple(
        QueuedTicket(t, triage(t))
        for t in (ticket("Dark mode"), ticket("x", id="T-2", example=TicketExample(asked="a", expected="b")))
    )
    assert decode_queue(encode_queue(queue)) == queue


def test_a_segment_that_is_too_long_is_refused() -> None:
    noise = random.Random(1)
    texts = ["".join(noise.choices("abcdefghijklmnopqrstuvwxyz ", k=16_000)) for _ in range(120)]
    judged = triage(ticket("x"))
    with pytest.raises(Invalid, match="tickets: 120 need"):
        encode_queue([QueuedTicket(ticket("x", text, id=str(n)), judged) for n, text in enumerate(texts)])
