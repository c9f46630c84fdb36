"""The queue of tickets that no Incident explains, cut into segments of which each fits into one ConfigMap.

A ticket stays in the segment that it was put in first, so that a look writes what it changed and no more. Only where all segments
are full are texts cut, and then the oldest tickets left out; both are counted, for somebody to be told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from opsloop.core.reported import QueuedTicket

MOST_SEGMENTS = 12
SEGMENT = 1_000_000  # characters; prose has a third of that when it is compressed, and in base64
EACH = 400  # characters that a ticket needs besides its subject and body: its names, times and judgement
SHORTER = (500, 160, 0)  # characters of the texts that stay where the queue is full


@dataclass(frozen=True, slots=True)
class Fitted:
    """What of a queue finds room, and what it cost."""

    queue: tuple[QueuedTicket, ...]
    cut: int = 0  # texts that were cut
    left: int = 0  # tickets that were left out, the oldest


def size(queued: QueuedTicket) -> int:
    """Characters that it takes, about."""
    return EACH + len(queued.ticket.subject) + len(queued.ticket.body)


def fit(queue: Sequence[QueuedTicket], room: int = MOST_SEGMENTS * SEGMENT) -> Fitted:
    """As much of the queue as so many characters hold: whole, else with the oldest texts cut, else without the oldest tickets."""
    over = sum(map(size, queue)) - room
    if over <= 0:
        return Fitted(tuple(queue))
    oldest = sorted(range(len(queue)), key=lambda n: (queue[n].ticket.received_at, queue[n].ticket.id))
    kept = list(queue)
    changed: set[int] = set()
    for most in SHORTER:
        for n in oldest:
            if over <= 0:
                break
            body = kept[n].ticket.body
            if len(body) > most:
                over -= len(body) - most
                kept[n] = replace(kept[n], ticket=replace(kept[n].ticket, body=body[:most]))
                changed.add(n)
    gone: set[int] = set()
    for n in oldest:
        if over <= 0:
            break
        over -= size(kept[n])
        gone.add(n)
    return Fitted(tuple(q for n, q in enumerate(kept) if n not in gone), len(changed - gone), len(gone))


def arrange(queue: Sequence[QueuedTicket], segments: Sequence[Sequence[QueuedTicket]]) -> list[list[QueuedTicket]]:
    """The queue in segments: what is in one already stays there, what is new goes into the first with room. There may be empty ones."""
    home: dict[str, int] = {}
    for n, segment in enumerate(segments):
        for queued in segment:
            home.setdefault(queued.ticket.id, n)
    found: list[list[QueuedTicket]] = [[] for _ in segments]
    new: list[QueuedTicket] = []
    for queued in queue:
        (found[home[queued.ticket.id]] if queued.ticket.id in home else new).append(queued)
    room = [SEGMENT - sum(map(size, segment)) for segment in found]
    at = 0
    for queued in new:
        while at < len(found) and room[at] < size(queued):
            at += 1
        if at == len(found):
            found.append([])
            room.append(SEGMENT)
        found[at].append(queued)
        room[at] -= size(queued)
    return found
