"""Records of the intake in one namespace: ledgers, the ticket queue, and the inbox."""

import asyncio

from opsloop import names
from opsloop.core.alerts.pages import join
from opsloop.core.codec import decode_ledger, decode_page, decode_queue
from opsloop.core.gate.evidence import Filings, SentTicket
from opsloop.core.reported import Ledger, Page, QueuedTicket
from opsloop.shell.ports import CONFIGMAPS, Reader

_LEDGER_SUFFIX = names.ledger_name("")


async def filings(reader: Reader, namespace: str) -> Filings:
    """The ledger of every Incident, the tickets that wait in the queue, and the number of inbox entries.

    Raises Invalid where one of them is corrupt.
    """
    config_maps, queued, inbox = await asyncio.gather(
        reader.list(CONFIGMAPS, namespace),
        queue(reader, namespace),
        reader.list(CONFIGMAPS, namespace, {names.INBOX: "true"}),
    )
    ledgers = {
        # by name: the label may be shorter than an Incident's name
        item["metadata"]["name"].removesuffix(_LEDGER_SUFFIX): decode_ledger(item.get("binaryData") or {})
        for item in config_maps
        if names.LEDGER in (item["metadata"].get("labels") or {})
    }
    further: dict[str, list[Page]] = {}
    for item in config_maps:
        if names.LEDGER_PAGE in (item["metadata"].get("labels") or {}):
            ledger, _, _ = item["metadata"]["name"].rpartition("-")
            page = decode_page(item.get("binaryData") or {})
            further.setdefault(ledger.removesuffix(_LEDGER_SUFFIX), []).append(page)
    ledgers |= {
        name: join(ledgers.get(name, Ledger()), [Ledger(pages=tuple(found))]) for name, found in further.items()
    }
    return Filings(ledgers, tuple(SentTicket(q.ticket.id, q.ticket.subject) for q in queued), len(inbox))


async def queue(reader: Reader, namespace: str) -> tuple[QueuedTicket, ...]:
    """Tickets that are linked to no Incident."""
    config_maps = await reader.list(CONFIGMAPS, namespace, {names.TICKETS: "true"})
    return tuple(ticket for item in config_maps for ticket in decode_queue(item.get("binaryData") or {}))
