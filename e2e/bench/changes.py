"""What each status write changed, from the versions that a watch showed: the way to find needless ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from e2e.harness.recorder import Version

KEYS = ("type", "digest", "key", "id", "case", "name")  # by which items of a list are told apart


def changed(old: Any, new: Any, path: str = "") -> set[str]:
    """Paths that differ: `conditions[Held].message`, `weight.actual`; a whole new part counts as one."""
    if old == new:
        return set()
    if isinstance(old, dict) and isinstance(new, dict):
        inside = (changed(old.get(k), new.get(k), f"{path}.{k}" if path else str(k)) for k in old.keys() | new.keys())
        return set().union(*inside)
    if isinstance(old, list) and isinstance(new, list) and (key := _key([*old, *new])):
        before, after = ({item[key]: item for item in items} for items in (old, new))
        return set().union(
            *(changed(before.get(k), after.get(k), f"{path}[{k}]") for k in before.keys() | after.keys())
        )
    return {path}


def _key(items: list[Any]) -> str:
    """The key that all these items have; "" where there is none."""
    return next((k for k in KEYS if items and all(isinstance(i, dict) and k in i for i in items)), "")


def writes(versions: Iterable[Version]) -> list[tuple[str, float, list[str]]]:
    """(name, when seen, what changed) of each version whose status differs from the one before."""
    last: dict[str, Version] = {}
    changes = []
    for version in versions:
        if version.name in last and (paths := changed(last[version.name].status, version.status)):
            changes.append((version.name, version.at, sorted(paths)))
        last[version.name] = version
    return changes


def causes(versions: Iterable[Version]) -> dict[str, int]:
    """How many writes changed exactly these paths, most frequent first. Keys like `answers: burnBand, phase`."""
    counts = Counter(
        f"{name}: {', '.join(paths[:6])}{' …' if len(paths) > 6 else ''}" for name, _, paths in writes(versions)
    )
    return dict(counts.most_common())
