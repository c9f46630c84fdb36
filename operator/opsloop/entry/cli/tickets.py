"""`opsloop tickets`: linked tickets and the queue; corrections of them, written with the caller's own rights; what was learnt."""

import argparse
import asyncio
import uuid

from opsloop import names
from opsloop.api.reported import LinkedTicket
from opsloop.core.alerts import corrections, ledger
from opsloop.core.reported import HouseWords, QueuedTicket, Taught
from opsloop.core.tickets import corrected, taught
from opsloop.entry.cli.out import say
from opsloop.entry.cli.people import caller
from opsloop.errors import Forbidden, Invalid, NotFound, Unavailable
from opsloop.shell.evidence.intake import filings, queue
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import CONFIGMAPS, Object, Reader

POLL = 0.5  # seconds between two looks for the answer
TRIES = 60


async def listing(arguments: argparse.Namespace, reader: Reader) -> int:
    """Prints the linked tickets with score and evidence, then the ticket queue, with what people corrected."""
    records = await filings(reader, arguments.namespace)
    linked = [(name, t) for name, stored in sorted(records.ledgers.items()) for t in ledger.tickets_of(stored)]
    for name, ticket in linked:
        _print_linked(name, ticket)
    waiting = await queue(reader, arguments.namespace)
    for queued in waiting:
        _print_queued(queued)
    if records.inbox:
        say(f"{records.inbox} inbox entries are not filed yet")
    say(f"{len(linked)} linked, {len(waiting)} in the queue")
    return 0


def _print_linked(incident: str, ticket: LinkedTicket) -> None:
    say(f"{ticket.id}  linked to {incident} ({ticket.score:.0%})  {ticket.category} → {ticket.route}  {ticket.subject}")
    if change := ticket.corrected:
        say(f"    corrected by {change.by} at {change.at:%Y-%m-%d %H:%M} UTC: {', '.join(change.fields)}")
    for fact in ticket.evidence:
        say(f"    {fact.name}: {fact.value}" + (f"  [{fact.source}]" if fact.source else ""))


def _print_queued(queued: QueuedTicket) -> None:
    triage = corrected.of_queue(queued, HouseWords())
    name = corrections.latest(queued.corrections).get("category")
    called = name.after if name else triage.called
    say(f"{queued.ticket.id}  in the queue  {called} → {triage.route}  {queued.ticket.subject}")
    for matter, value in corrections.shown(queued.corrections).items():
        say(f"    corrected, {matter}: {value}")


async def learnt(arguments: argparse.Namespace, reader: Reader) -> int:
    """Prints what people's corrections taught, as counts."""
    known = await _taught(reader, arguments.namespace)
    words = [(s, w, n) for s, found in taught.learnt_words(known).items() for w, n in found.items()]
    for service, word, number in words:
        say(f"“{word}” means {service}: {number} corrected tickets")
    found = taught.pulls(known)
    for (before, after), pull in found.items():
        say(f"{before} is likelier {after} where the model doubts: +{pull:.2f}")
    say(f"{len(words)} words and {len(found)} categories learnt, of {len(known.lessons)} lessons")
    if words or found:
        say("take one back: opsloop tickets forget SERVICE WORD, or opsloop tickets forget CATEGORY CATEGORY")
    return 0


async def link(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Links a ticket to an Incident."""
    return await _ask(arguments, cluster, ticket=arguments.ticket, link=arguments.incident)


async def unlink(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Takes a ticket out of its Incident, or keeps it in the queue."""
    return await _ask(arguments, cluster, ticket=arguments.ticket, unlink="true")


async def change(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Changes the route, category or severity of a ticket."""
    return await _ask(arguments, cluster, ticket=arguments.ticket, **{arguments.what: arguments.to})


async def forget(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Takes back something that was learnt."""
    return await _ask(arguments, cluster, forget=f"{arguments.first} {arguments.second}")


async def _ask(arguments: argparse.Namespace, cluster: Cluster, **data: str) -> int:
    """Puts the correction into the inbox and waits for the answer. Raises Invalid where it was refused."""
    namespace, name = arguments.namespace, f"{names.INBOX_PREFIX}{uuid.uuid4().hex}"
    meta = {"name": name, "namespace": namespace, "labels": {names.INBOX: "true"}}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "immutable": True}
    try:
        stored = await cluster.create(CONFIGMAPS, namespace, body | {"data": {"by": await caller(cluster), **data}})
    except Forbidden as error:
        raise Forbidden(
            f"{error}; it takes create on configmaps and correct on tickets.opsloop.dev (role on-call)"
        ) from error
    for _ in range(TRIES):
        if await _answered(arguments, cluster, stored):
            return 0
        await asyncio.sleep(POLL)
    raise Unavailable(f"stored as ConfigMap {name}, and not taken up within {POLL * TRIES:.0f} s: does opsloop run?")


async def _answered(arguments: argparse.Namespace, cluster: Cluster, asked: Object) -> bool:
    try:
        await cluster.get(CONFIGMAPS, arguments.namespace, asked["metadata"]["name"])
        return False
    except NotFound:
        pass
    known = await _taught(cluster, arguments.namespace)
    answer = next((a for a in known.answers if a.id == asked["metadata"]["uid"]), None)
    if answer is None:
        raise Unavailable("it was taken up, and its answer is not among the latest ones: see `opsloop tickets`")
    if not answer.done:
        raise Invalid(answer.text)
    say(answer.text)
    return True


async def _taught(reader: Reader, namespace: str) -> Taught:
    try:
        return taught.load((await reader.get(CONFIGMAPS, namespace, names.CORRECTIONS)).get("data") or {})
    except NotFound:
        return Taught()
