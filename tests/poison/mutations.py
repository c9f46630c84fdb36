"""Wrong versions of right things: of JSON, of its bytes, and of the headers that come with them."""

import copy
import gzip
import json
import random
from typing import Any

DEEPEST = 20
NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**40, 1e308, float("nan"), "", " ", "x" * 254, "x" * 5000, "\x00\x1b[2J\u202e", "日本" * 200,
    "\ud800", [], {}, [[]], {"": ""}, {"a": {"b": [1]}}, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z", "0002-01-01T00:00:00Z", "2026-02-30T00:00:00Z",
    "firing", "sev1", "../..", "{{window}}", "%s%n", "-", "a" * 63, "A/B:c",
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, ...]]:
    """The paths of what is in a JSON value, not deeper than DEEPEST."""
    found: list[tuple[Any, ...]] = []
    todo: list[tuple[tuple[Any, ...], Any]] = [((), value)]
    while todo:
        path, item = todo.pop()
        found.append(path)
        inner = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        if len(path) < DEEPEST:
            todo += [((*path, key), one) for key, one in inner]
    return found


def mutated(value: Any, dice: random.Random, kept: tuple[tuple[Any, ...], ...] = ()) -> Any:
    """A copy with one to three places changed; those of `kept` stay."""
    value = copy.deepcopy(value)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        free = [place for place in places(value) if place and place not in kept and not _above(place, kept)]
        if not free:
            break
        *parents, last = dice.choice(free)
        holder = value
        for key in parents:
            holder = holder[key]
        match dice.randrange(5):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, list):
                holder += [holder[last]] * dice.choice((1, 50))
            case 1:
                holder[str(last) + dice.choice(("", "x", "\x1b", "." * 300))] = holder.pop(last)
            case 2:
                holder[last] = _deep(holder[last], dice.choice((3, 20, 60)))
            case _:
                holder[last] = copy.deepcopy(dice.choice(NASTY))
    return value


def _above(place: tuple[Any, ...], kept: tuple[tuple[Any, ...], ...]) -> bool:
    return any(path[: len(place)] == place for path in kept)


def _deep(value: Any, levels: int) -> Any:
    for n in range(levels):
        value = [value] if n % 2 else {"a": value}
    return value


def sent(value: Any, dice: random.Random) -> tuple[bytes, dict[str, str]]:
    """A body, of JSON or of bytes, and its headers, of which something may be wrong."""
    raw = bytearray(value if isinstance(value, bytes) else json.dumps(value).encode())
    for _ in range(dice.choice((0, 0, 0, 1, 5))):
        raw[dice.randrange(len(raw))] = dice.randrange(256)
    data = bytes(raw[: dice.randrange(len(raw))] if dice.random() < 0.1 else raw)
    match dice.randrange(12):
        case 0:
            return gzip.compress(data), {"Content-Encoding": "gzip"}
        case 1:
            return data, {"Content-Encoding": dice.choice(("gzip", "deflate", "br", "gzip, gzip", "\x7f"))}
        case 2:
            return gzip.compress(data)[:-5], {"Content-Encoding": "gzip"}
        case 3:
            return gzip.compress(b" " * dice.choice((10, 9_000_000))), {"Content-Encoding": "gzip"}
        case 4:
            return data, {"Content-Type": dice.choice(("text/plain", "x", "application/json; charset=utf-16"))}
    return data, {}
