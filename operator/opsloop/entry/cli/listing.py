"""`opsloop get`: objects of opsloop's kinds as a table, JSON or YAML."""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import jsonpath
import yaml

from opsloop.api.kinds import ALL, Column, Kind
from opsloop.api.meta import API_VERSION, parse_time
from opsloop.core.text import line
from opsloop.entry.cli.found import bare, found, hint
from opsloop.entry.cli.out import say, say_rendered
from opsloop.errors import Invalid
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import Object, Resource

FORMS = ("table", "wide", "json", "yaml")
NOTHING = "-"
NAME = Column("Name", ".metadata.name", "")
NAMESPACE = Column("Namespace", ".metadata.namespace", "")


def words(kind: Kind) -> tuple[str, ...]:
    """The words by which a kind may be named, the plural first."""
    return tuple(w for w in (kind.plural, kind.name.lower(), kind.short, f"{kind.plural}.opsloop.dev") if w)


def kind_of(word: str) -> Kind:
    """The kind that a word names. Raises Invalid with what is there."""
    known = {each: kind for kind in ALL for each in words(kind)}
    if word.lower() not in known:
        raise Invalid(f"{word!r} is no kind of opsloop{hint(word.lower(), (kind.plural for kind in ALL))}")
    return known[word.lower()]


async def get(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Prints the objects of one kind (default: Releases), all or those that are named."""
    first, named = arguments.kind, list(arguments.names)
    if "/" in first:  # rel/answers
        first, named = first.partition("/")[0], [first, *named]
    kind = kind_of(first)
    resource = Resource(API_VERSION, kind.name, kind.plural)
    everywhere = bool(arguments.all_namespaces)
    if named and everywhere:
        raise Invalid("get: names are of one namespace; leave out either them or -A")
    if named:
        items = [await found(cluster, resource, arguments.namespace, bare(name, words(kind))) for name in named]
    else:
        items = await cluster.list(resource, "" if everywhere else arguments.namespace)
    items.sort(key=lambda item: (item["metadata"].get("namespace", ""), item["metadata"]["name"]))
    if arguments.output in ("json", "yaml"):
        body = items[0] if len(named) == 1 else {"apiVersion": "v1", "kind": "List", "items": items}
        say_rendered(serialized(body, arguments.output))
    elif not items:
        where = "any namespace" if everywhere else f"namespace {arguments.namespace}"
        say(f"there is no {kind.name} in {where}" + ("" if everywhere else "; -A looks in all"))
    else:
        columns = [column for column in kind.columns if arguments.output == "wide" or not column.wide]
        for row in table(items, [*([NAMESPACE] if everywhere else []), NAME, *columns], datetime.now(UTC)):
            say(row)
    return 0


def serialized(body: Any, form: str) -> str:
    """JSON or YAML, without the managed fields, as kubectl prints it; control characters are escaped in both."""
    clean = json.loads(json.dumps(body))
    for item in clean.get("items", [clean]) if isinstance(clean, dict) else []:
        item.get("metadata", {}).pop("managedFields", None)
    if form == "json":
        return json.dumps(clean, indent=2)
    return str(yaml.safe_dump(clean, sort_keys=False, allow_unicode=False)).rstrip()


def table(items: Sequence[Object], columns: Sequence[Column], now: datetime) -> list[str]:
    """Header and one row each, padded by column."""
    rows = [[c.name.upper() for c in columns], *([cell(item, c, now) for c in columns] for item in items)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(columns))]
    return ["   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def cell(item: Object, column: Column, now: datetime) -> str:
    """The value of one column; an age for a date."""
    values = jsonpath.findall(f"${column.path}", item)
    if not values or values[0] in ("", None):
        return NOTHING
    if column.type == "date":
        return age(parse_time(str(values[0])), now)
    return line(str(values[0]))


def age(since: datetime, now: datetime) -> str:
    """How long ago, as kubectl says it: 45s, 12m, 5h, 3d."""
    seconds = max(0, int((now - since).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size or (seconds >= size and unit != "m"):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
