"""`python -m e2e.bench.tickets`: seconds of CPU that the ticket queue costs a look, by its length. No cluster needed.

A look compares at most MOST_COMPARED of them and leaves the others to the next one; here it compares all. The tickets are those of `e2e/demo` in many voices, all within the time of three open Incidents that explain none of them: the dearest
queue that there is.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from e2e.demo.tickets import tickets as voices
from opsloop.core.reported import Candidate, Looked, QueuedTicket, Ticket, Triage
from opsloop.core.tickets.arriving import parse_ticket
from opsloop.core.tickets.linking import ROOT, link_tickets, waiting_of

GOAL = 0.05  # seconds for a look at 9,000 tickets in which nothing changed
NUMBERS = (100, 1000, 9000)
NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
T = TypeVar("T")


def arrived(number: int) -> list[Ticket]:
    """So many tickets, each with an id and a minute of its own."""
    found: list[Ticket] = []
    seed = 0
    while len(found) < number:
        seed += 1
        for raw in voices(seed):
            plain = {key: value for key, value in raw.items() if key != "example"}
            found.append(replace(parse_ticket(plain, NOW), id=f"T-{len(found)}", created_at=NOW))
    return found[:number]


def incidents(onset: datetime) -> list[Candidate]:
    """Three open ones whose services no ticket names, and of whose symptoms none complains."""
    return [
        Candidate(f"{name}-1", name, {name: ROOT}, frozenset(), onset + timedelta(seconds=n), None, "sev2")
        for n, name in enumerate(("zorblax", "quibble", "fnord"))
    ]


def main() -> int:
    """Prints the table; 1 where a look in which nothing changed takes longer than the goal."""
    print(
        "| tickets | judged on arrival | compared first | nothing changed | one of 3 Incidents changed | a new one, 4 h ago |"
    )
    print("|---|---|---|---|---|---|")
    missed = False
    for number in NUMBERS:
        tickets = arrived(number)
        judging, _ = _timed(lambda tickets=tickets: waiting_of(tickets, (), {}))  # type: ignore[misc]
        # each told of harm, so that each is compared
        queue = tuple(QueuedTicket(ticket, Triage("outage", "sev2", "on-call")) for ticket in tickets)
        there = incidents(NOW - timedelta(minutes=5))

        def look(
            candidates: list[Candidate], looked: Looked, queue: tuple[QueuedTicket, ...] = queue
        ) -> tuple[float, Looked]:
            took, found = _timed(lambda: link_tickets((), queue, {}, candidates, looked=looked, most=len(queue)))
            return took, found.looked

        first, looked = look(there, Looked())
        same, _ = look(there, looked)
        other, _ = look([*there[:2], replace(there[2], affected={"fnord": ROOT, "blip": ROOT})], looked)
        far, _ = look([*there, replace(incidents(NOW - timedelta(hours=4))[0], incident="late-1")], looked)
        missed |= number == NUMBERS[-1] and same > GOAL
        print(f"| {number} | " + " | ".join(f"{took:.3f}" for took in (judging, first, same, other, far)) + " |")
    print(f"\nseconds of CPU; goal: nothing changed at {NUMBERS[-1]} tickets within {GOAL} s")
    return int(missed)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


if __name__ == "__main__":
    sys.exit(main())
