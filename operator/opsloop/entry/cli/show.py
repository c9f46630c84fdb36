"""`opsloop timeline`: prints stored records for a person."""

import argparse
from collections.abc import Iterable
from datetime import datetime

from opsloop.api.incident import Incident, TimelineEntry
from opsloop.entry.cli.found import found
from opsloop.entry.cli.out import say
from opsloop.shell.ports import INCIDENTS, Reader


async def timeline(arguments: argparse.Namespace, reader: Reader) -> int:
    """Prints an Incident's timeline, with times relative to the onset and the evidence of each entry."""
    incident = await incident_of(reader, arguments.namespace, arguments.incident)
    status = incident.status
    entries = sorted(status.timeline, key=lambda entry: entry.at)
    zero = status.onset_at or (entries[0].at if entries else incident.spec.signal.at)
    say(f"{incident.metadata.name}: {status.title or incident.spec.title} ({status.severity}, {status.phase})")
    say(
        f"0:00 is the onset, {zero:%Y-%m-%d %H:%M:%S} UTC"
        if status.onset_at
        else f"0:00 is {zero:%Y-%m-%d %H:%M:%S} UTC"
    )
    for text in _lines(entries, zero):
        say(text)
    if status.folded:
        say(f"({status.folded} earlier entries were folded away)")
    return 0


def _lines(entries: Iterable[TimelineEntry], zero: datetime) -> Iterable[str]:
    entries = list(entries)
    kinds = max((len(entry.type) for entry in entries), default=0)
    for entry in entries:
        yield f"{since(zero, entry.at):>9}  {entry.type:<{kinds}}  {entry.message} ({entry.actor})"
        for fact in entry.evidence:
            source = f"  [{fact.source}]" if fact.source else ""
            yield f"{'':>9}  {'':<{kinds}}    {fact.name}: {fact.value}{source}"


def since(zero: datetime, at: datetime) -> str:
    """Formats a time relative to `zero`, for example `+1:05.2`: minutes, seconds and tenths, and hours if any."""
    tenths = round((at - zero).total_seconds() * 10)
    sign, tenths = ("-" if tenths < 0 else "+"), abs(tenths)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02d}" if hours else str(minutes)
    return f"{sign}{clock}:{rest // 10:02d}.{rest % 10}"


async def incident_of(reader: Reader, namespace: str, name: str) -> Incident:
    """The Incident. Raises NotFound in a sentence."""
    return Incident.model_validate(await found(reader, INCIDENTS, namespace, name))
