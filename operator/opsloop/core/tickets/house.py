"""What a house says of its tickets, in configuration: one JSON object, the chart's value `tickets`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from opsloop.core.intake import parse_json, require_object, shown
from opsloop.core.reported import Category, HouseWords, OwnCategory
from opsloop.core.text import line
from opsloop.core.tickets.arriving import refuse_misspelt, shown_name
from opsloop.core.tickets.desks import Desk, desks_of, ready_made
from opsloop.core.tickets.model import SEVERITIES
from opsloop.core.tickets.triage import ROUTES
from opsloop.errors import Invalid

FIELDS = ("desks", "routes", "knownAs", "categories")
OF_CATEGORY = ("like", "route", "severities", "words")
MOST_CATEGORIES = 50
MAX_ROUTE = 64  # characters, as in the status of an Incident
MAX_WORD = 64
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class House:
    """`desks`: name in the address → how its payloads are read, the ready-made ones included; `words`: its routes and names."""

    desks: Mapping[str, Desk] = field(default_factory=ready_made)
    words: HouseWords = field(default_factory=HouseWords)


def read_house(raw: bytes) -> House:
    """The configuration. Raises Invalid that names what is wrong."""
    content: Any = parse_json(raw)
    require_object(content, "tickets")
    _only(content, FIELDS)
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
    categories = {name: _category(name, own) for name, own in _texts(content.get("categories"), "categories").items()}
    if len(categories) > MOST_CATEGORIES:
        raise Invalid(f"categories: {len(categories)} are too many; at most {MOST_CATEGORIES}")
    return House(desks_of(content.get("desks") or {}), HouseWords(routes, known_as, categories))


def _category(name: str, content: Any) -> OwnCategory:
    """A category of the house. One of opsloop's own names is like itself."""
    path = f"categories.{shown_name(name)}"
    if not _NAME.fullmatch(name):
        raise Invalid(f"{path}: not a name; use 1 to 32 lower case letters, digits, _ and -, a letter first")
    require_object(content, path)
    _only(content, OF_CATEGORY, f"{path}.")
    like = content.get("like", name if name in ROUTES else None)
    if not isinstance(like, str) or like not in ROUTES:
        what = "missing" if like is None else f"{shown(like)} is no category of opsloop"
        raise Invalid(f"{path}.like: {what}; name the one that it is like: {', '.join(ROUTES)}")
    severities, words = (_list(content.get(key), f"{path}.{key}") for key in ("severities", "words"))
    if wrong := [severity for severity in severities if severity not in SEVERITIES]:
        raise Invalid(f"{path}.severities: {shown(wrong[0])} is no severity; there are {', '.join(SEVERITIES)}")
    route = _fits(content["route"], f"{path}.route", MAX_ROUTE) if "route" in content else ""
    return OwnCategory(
        cast(Category, like), route, tuple(severities), tuple(_fits(word, f"{path}.words", MAX_WORD) for word in words)
    )


def _only(content: Mapping[str, Any], known: Sequence[str], path: str = "") -> None:
    """Raises Invalid for a field that there is not."""
    refuse_misspelt(content, known, path)
    if unknown := [name for name in content if name not in known]:
        raise Invalid(f"{path}{shown_name(unknown[0])}: there is no such field; there are {', '.join(known)}")


def _list(value: Any, path: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise Invalid(f"{path}: {shown(value)} is not a list")
    return list(value or ())


def _texts(value: Any, path: str) -> dict[str, Any]:
    return dict(require_object(value or {}, path))


def _fits(value: Any, path: str, most: int) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= most:
        raise Invalid(f"{path}: {shown(value)} is not a text of 1 to {most} characters")
    return line(value)
