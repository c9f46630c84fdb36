"""The queue of tickets that no Incident explains: one ConfigMap per namespace, readable, with each ticket's route."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from opsloop.core.codec import MAX_OBJECT, dump_ticket, load_ticket, pack, unpack
from opsloop.core.tickets.triage import Queued, Triage
from opsloop.errors import Invalid

QUEUE_KEY = "tickets.json.gz"
SHORT = 500  # characters of a body that is kept when the queue gets too long


def encode_queue(queue: Sequence[Queued]) -> dict[str, str]:
    """binaryData below MAX_OBJECT: long texts are cut first, then the oldest tickets fall out."""
    items = list(queue)
    for _ in range(64):
        data = pack({"tickets": [dump_ticket(q.ticket) | asdict(q.triage) for q in items]})
        if len(data) <= MAX_OBJECT:
            return {QUEUE_KEY: data}
        short = [replace(q, ticket=replace(q.ticket, body=q.ticket.body[:SHORT])) for q in items]
        items = short if short != items else sorted(items, key=lambda q: q.ticket.received_at)[len(items) // 8 + 1 :]
    raise Invalid("tickets: the queue does not fit into a ConfigMap")


def decode_queue(binary_data: Mapping[str, str]) -> tuple[Queued, ...]:
    """The inverse of `encode_queue`. Raises Invalid for what opsloop did not write."""
    content = unpack(binary_data, QUEUE_KEY)
    try:
        return tuple(
            Queued(load_ticket(item), Triage(item["category"], item["severity"], item["route"]))
            for item in content["tickets"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"binaryData.{QUEUE_KEY}: not a ticket queue ({error!r})") from error
