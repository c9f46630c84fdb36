"""What was filed: the ledger of every Incident, the tickets in the queue, what still waits in the inbox."""

import asyncio

from opsloop import names
from opsloop.core.codec import decode_ledger, decode_queue
from opsloop.core.facts import Ledger, QueuedTicket
from opsloop.core.gate.evidence import Desk, SentTicket
from opsloop.shell.ports import CONFIGMAPS, Object, Reader


async def desk(reader: Reader, namespace: str) -> Desk:
    """All of the namespace."""
    books, waiting, inbox = await asyncio.gather(
        reader.list(CONFIGMAPS, namespace), queue(reader, namespace), reader.list(CONFIGMAPS, namespace, _INBOX)
    )
    filed = [item for item in books if names.LEDGER in (item["metadata"].get("labels") or {})]
    return Desk(
        ledgers={item["metadata"]["name"].removesuffix(_SUFFIX): _ledger(item) for item in filed},
        queue=tuple(SentTicket(q.ticket.id, q.ticket.subject) for q in waiting),
        inbox=len(inbox),
    )


_INBOX = {names.INBOX: "true"}
_SUFFIX = names.ledger_name("")  # a label may be shorter than an Incident's name, so the name tells whose it is


def _ledger(item: Object) -> Ledger:
    return decode_ledger(item.get("binaryData") or {})


async def queue(reader: Reader, namespace: str) -> tuple[QueuedTicket, ...]:
    """Tickets that no Incident explains."""
    stored = await reader.list(CONFIGMAPS, namespace, {names.TICKETS: "true"})
    return tuple(ticket for item in stored for ticket in decode_queue(item.get("binaryData") or {}))
