"""What a house says of its tickets, in configuration: one JSON object, the chart's value `tickets`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opsloop.core.intake import parse_json, require_object, shown
from opsloop.core.reported import HouseWords
from opsloop.core.text import line
from opsloop.core.tickets.arriving import refuse_misspelt, shown_name
from opsloop.core.tickets.desks import Desk, desks_of, ready_made
from opsloop.core.tickets.triage import ROUTES
from opsloop.errors import Invalid

FIELDS = ("desks", "routes", "knownAs")
MAX_ROUTE = 64  # characters, as in the status of an Incident
MAX_WORD = 64


@dataclass(frozen=True, slots=True)
class House:
    """`desks`: name in the address → how its payloads are read, the ready-made ones included; `words`: its routes and names."""

    desks: Mapping[str, Desk] = field(default_factory=ready_made)
    words: HouseWords = field(default_factory=HouseWords)


def read_house(raw: bytes) -> House:
    """The configuration. Raises Invalid that names what is wrong."""
    content: Any = parse_json(raw)
    require_object(content, "tickets")
    refuse_misspelt(content, FIELDS)
    if unknown := [name for name in content if name not in FIELDS]:
        raise Invalid(f"{shown_name(unknown[0])}: there is no such field; there are {', '.join(FIELDS)}")
    routes, names = (_texts(content.get(name), name) for name in ("routes", "knownAs"))
    for category, route in routes.items():
        if category not in ROUTES:
            raise Invalid(f"routes.{shown_name(category)}: there is no such category; there are {', '.join(ROUTES)}")
        _fits(route, f"routes.{category}", MAX_ROUTE)
    known_as: dict[str, tuple[str, ...]] = {}
    for service, words in names.items():
        where = f"knownAs.{shown_name(service)}"
        if not isinstance(words, list):
            raise Invalid(f"{where}: {shown(words)} is not a list of words")
        known_as[service] = tuple(_fits(word, where, MAX_WORD) for word in words)
    return House(desks_of(content.get("desks") or {}), HouseWords(routes, known_as))


def _texts(value: Any, path: str) -> dict[str, Any]:
    return dict(require_object(value or {}, path))


def _fits(value: Any, path: str, most: int) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= most:
        raise Invalid(f"{path}: {shown(value)} is not a text of 1 to {most} characters")
    return line(value)
