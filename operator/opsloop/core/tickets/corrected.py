"""Judgements on tickets as people corrected them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from opsloop.api.meta import Severity
from opsloop.core.alerts.corrections import latest
from opsloop.core.reported import Category, Correction, HouseWords, QueuedTicket, Triage
from opsloop.core.tickets.triage import ROUTES


def judged(triage: Triage, records: Sequence[Correction], house: HouseWords) -> Triage:
    """The judgement with what people changed of it."""
    found = latest(records)
    if category := found.get("category"):
        triage = in_category(triage, category.after, house)
    if severity := found.get("severity"):
        triage = replace(triage, severity=cast(Severity, severity.after))
    if route := found.get("route"):
        triage = replace(triage, route=route.after)
    return triage


def of_queue(queued: QueuedTicket, house: HouseWords) -> Triage:
    """The judgement on a ticket of the queue, as people corrected it."""
    return judged(queued.triage, queued.corrections, house)


def in_category(triage: Triage, name: str, house: HouseWords) -> Triage:
    """The judgement in another category: of the house, or opsloop's own; `unknown` where there is none of that name any more."""
    if own := house.categories.get(name):
        return replace(triage, category=own.like, own=name)
    if name in ROUTES:
        return replace(triage, category=cast(Category, name), own="")
    return replace(triage, category="unknown", own=name)
