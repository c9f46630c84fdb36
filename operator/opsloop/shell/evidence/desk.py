"""What was filed: the ledger of every Incident, the tickets in the queue, what still waits in the inbox."""

import asyncio

from opsloop import names
from opsloop.core import codec, ledger
from opsloop.core.facts import Ledger
from opsloop.core.gate.evidence import Desk, SentTicket
from opsloop.errors import Invalid
from opsloop.shell.ports import CONFIGMAPS, Object, Reader


async def desk(reader: Reader, namespace: str) -> Desk:
    """All of the namespace."""
    every = await asyncio.gather(*(reader.list(CONFIGMAPS, namespace, labels) for labels in _LABELS))
    ledgers, queues, inbox = every
    mine = [item for item in ledgers if names.LEDGER in item["metadata"].get("labels", {})]
    return Desk(
        ledgers={item["metadata"]["labels"][names.LEDGER]: _ledger(item) for item in mine},
        queue=tuple(ticket for item in queues for ticket in queued(item)),
        inbox=len(inbox),
    )


_LABELS: tuple[dict[str, str] | None, ...] = (None, {names.TICKETS: "true"}, {names.INBOX: "true"})


def _ledger(item: Object) -> Ledger:
    return ledger.decode(item.get("binaryData") or {})


def queued(item: Object) -> list[SentTicket]:
    """Tickets of one `opsloop-tickets` ConfigMap."""
    data = item.get("binaryData") or {}
    found = []
    for key in sorted(data):
        tickets = codec.unpack(data, key).get("tickets")
        if not isinstance(tickets, list):
            raise Invalid(f"ConfigMap {item['metadata']['name']}: {key} holds no tickets")
        found += [SentTicket(str(t.get("id", "")), str(t.get("subject", ""))) for t in tickets if isinstance(t, dict)]
    return found
