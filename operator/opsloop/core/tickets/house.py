"""What a house says of its tickets, in configuration: one JSON object, the chart's value `tickets`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opsloop.core.intake import parse_json, require_object
from opsloop.core.tickets.arriving import refuse_misspelt, shown_name
from opsloop.core.tickets.desks import Desk, desks_of, ready_made
from opsloop.errors import Invalid

FIELDS = ("desks",)


@dataclass(frozen=True, slots=True)
class House:
    """`desks`: name in the address → how its payloads are read, the ready-made ones included."""

    desks: Mapping[str, Desk] = field(default_factory=ready_made)


def read_house(raw: bytes) -> House:
    """The configuration. Raises Invalid that names what is wrong."""
    content: Any = parse_json(raw)
    require_object(content, "tickets")
    refuse_misspelt(content, FIELDS)
    if unknown := [name for name in content if name not in FIELDS]:
        raise Invalid(f"{shown_name(unknown[0])}: there is no such field; there are {', '.join(FIELDS)}")
    return House(desks=desks_of(content.get("desks") or {}))
