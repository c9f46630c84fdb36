"""Strategic merge of a patch into a pod template, as the API server merges one (k8s.io/apimachinery, strategicpatch).

It is done here and not by the server, because the template that it starts from is on no object: `kubectl patch` merges into
what is live (docs/decisions/template-patch.md). The same patches are asked of the server's own package in
tests/contract/test_strategic.py.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

DIRECTIVE, RETAIN, ORDER, TAKE = "$patch", "$retainKeys", "$setElementOrder/", "$deleteFromPrimitiveList/"

_CONTAINER = {
    "env": ("name", None),
    "ports": ("containerPort", None),
    "volumeDevices": ("devicePath", None),
    "volumeMounts": ("mountPath", None),
}
_SPEC = {
    "containers": ("name", _CONTAINER),
    "ephemeralContainers": ("name", _CONTAINER),
    "hostAliases": ("ip", None),
    "imagePullSecrets": ("name", None),
    "initContainers": ("name", _CONTAINER),
    "resourceClaims": ("name", None),
    "schedulingGates": ("name", None),
    "topologySpreadConstraints": ("topologyKey", None),
    "volumes": ("name", None),
}
MERGED: Mapping[str, Any] = {"spec": _SPEC}
"""Lists of a pod template that are merged item by item, with the field by which an item is known; all others are replaced."""

Keys = Mapping[str, Any] | None
Item = dict[str, Any]


class PatchInvalid(Exception):
    """The patch cannot be merged; the text begins with the path of the field in it."""


def merge(template: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the template with the patch merged into it. Raises PatchInvalid."""
    return _map(copy.deepcopy(dict(template)), copy.deepcopy(dict(patch)), MERGED, "")


def _map(old: Item, patch: Item, keys: Keys, path: str) -> Item:
    if DIRECTIVE in patch:
        return _whole(patch, path)
    old = _retained(old, patch, path)
    for name in [name for name in patch if name.startswith(ORDER)]:
        _ordered(old, patch, name, keys, path)
    for name, value in patch.items():
        if name.startswith(TAKE):
            _taken(old, name, value, path)
        elif value is None:
            old.pop(name, None)
        else:
            _field(old, name, value, keys, _join(path, name))
    return old


def _whole(patch: Item, path: str) -> Item:
    """The patch in place of what is there, or nothing."""
    how = patch.pop(DIRECTIVE)
    if how not in ("replace", "delete"):
        raise PatchInvalid(f"{_join(path, DIRECTIVE)}: {how!r} is none of replace, delete")
    return patch if how == "replace" else {}


def _field(old: Item, name: str, value: Any, keys: Keys, path: str) -> None:
    known = keys.get(name) if keys else None
    inner, key = (known[1], known[0]) if isinstance(known, tuple) else (known, "")
    if key:
        _check_items(value, key, path)
    before = old.get(name)
    if before is None:
        _set(old, name, _without_nulls(value))
    elif _said(before) != _said(value):
        raise PatchInvalid(f"{path}: {_said(value)}, and the template has {_said(before)} there")
    elif isinstance(value, dict):
        old[name] = _map(before, value, inner, path)
    elif isinstance(value, list) and key:
        old[name] = _items(before, value, key, inner, path)
    else:
        old[name] = value


def _set(old: Item, name: str, value: Any) -> None:
    """Takes a value where there is none: whatever a directive in it would act on is not there."""
    kept = _without_directives(value)
    if kept is _NOTHING:
        old.pop(name, None)
    else:
        old[name] = kept


def _items(old: list[Item], patch: list[Item], key: str, keys: Keys, path: str) -> list[Item]:
    """Both lists as one: items of the patch in its order, the others where they stood."""
    before, plain, replaced = old, [], False
    for index, item in enumerate(patch):
        how = item.get(DIRECTIVE)
        if how is None:
            plain.append((index, item))
        elif how == "delete":
            before = [one for one in before if one.get(key) != item[key]]
        elif how == "replace":
            replaced = True
        else:
            raise PatchInvalid(f"{path}[{index}].{DIRECTIVE}: {how!r} is none of replace, delete")
    merged = [] if replaced else list(before)
    for index, item in plain:
        at = next((n for n, one in enumerate(merged) if one.get(key) == item[key]), None)
        if at is None:
            merged.append(item)
        else:
            merged[at] = _map(merged[at], item, keys, f"{path}[{index}]")
    order = [item.get(key) for _, item in plain]
    return _in_order(merged, order, [] if replaced else [one.get(key) for one in before], lambda one: one.get(key))


def _ordered(old: Item, patch: Item, name: str, keys: Keys, path: str) -> None:
    """$setElementOrder/FIELD: what is listed in that order, the rest where it stood. Its list is merged first."""
    order, field = patch.pop(name), name.removeprefix(ORDER)
    known = keys.get(field) if keys else None
    key = known[0] if isinstance(known, tuple) else ""
    if not isinstance(order, list) or (key and not all(isinstance(one, dict) and key in one for one in order)):
        raise PatchInvalid(f"{_join(path, name)}: not a list{f' of items with {key}' if key else ''}")
    values = patch.pop(field, None)
    before = old.get(field)

    def of(one: Any) -> Any:
        return one.get(key) if key and isinstance(one, dict) else one

    stood = [of(one) for one in before] if isinstance(before, list) else []
    if values is not None:
        _field(old, field, values, keys, _join(path, field))
    if key and isinstance(values, list):
        stood = _stood(stood, values, key)
    if old.get(field):
        wanted = [of(one) for one in order]
        if not all(of(one) in wanted or of(one) in stood for one in old[field]):
            raise PatchInvalid(f"{_join(path, name)}: an item of {field} is not in this list")
        old[field] = _in_order(old[field], wanted, stood, of)


def _stood(stood: list[Any], patch: list[Item], key: str) -> list[Any]:
    """Where items stood, as the server has it beside $setElementOrder: new ones take the places of those that are deleted."""
    gone = [item.get(key) for item in patch if item.get(DIRECTIVE) == "delete"]
    replaced = any(item.get(DIRECTIVE) == "replace" for item in patch)
    kept = [one for one in stood if one not in gone]
    added = [item[key] for item in patch if DIRECTIVE not in item and item[key] not in kept]
    return kept if replaced else [*kept, *added][: len(stood)]


def _in_order(items: Sequence[Any], order: Sequence[Any], stood: Sequence[Any], of: Callable[[Any], Any]) -> list[Any]:
    """The items of `order` in that order; each other one before the first of them that it stood before."""
    named = sorted((one for one in items if of(one) in order), key=lambda one: order.index(of(one)))
    others = sorted((one for one in items if of(one) not in order), key=lambda one: stood.index(of(one)))
    result: list[Any] = []
    while named and others:
        left, right = of(others[0]), of(named[0])
        first = others if right in stood and stood.index(left) < stood.index(right) else named
        result.append(first.pop(0))
    return [*result, *named, *others]


def _retained(old: Item, patch: Item, path: str) -> Item:
    """$retainKeys: all other fields go; for unions such as the source of a volume."""
    if RETAIN not in patch:
        return old
    kept, place = patch.pop(RETAIN), _join(path, RETAIN)
    if not isinstance(kept, list):
        raise PatchInvalid(f"{place}: not a list of names of fields")
    if lost := sorted(
        n for n, v in patch.items() if v is not None and n not in kept and not n.startswith((ORDER, TAKE))
    ):
        raise PatchInvalid(f"{place}: {', '.join(lost)} is in the patch and not in this list")
    return {name: value for name, value in old.items() if name in kept}


def _taken(old: Item, name: str, value: Any, path: str) -> None:
    """$deleteFromPrimitiveList/FIELD: takes values out of a list."""
    field = name.removeprefix(TAKE)
    if not isinstance(value, list):
        raise PatchInvalid(f"{_join(path, name)}: not a list")
    if isinstance(old.get(field), list):
        old[field] = [one for one in old[field] if one not in value]


_NOTHING = object()


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        if DIRECTIVE in value:
            return _NOTHING
        return {n: kept for n, v in value.items() if (kept := _without_directives(v)) is not _NOTHING}
    if isinstance(value, list):
        return [kept for v in value if (kept := _without_directives(v)) is not _NOTHING]
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _check_items(value: Any, key: str, path: str) -> None:
    if not isinstance(value, list):
        raise PatchInvalid(f"{path}: {_said(value)}, where a list of items with {key} belongs")
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise PatchInvalid(f"{path}[{index}]: {_said(item)}, where an item with {key} belongs")
        if item.get(key) is None and item.get(DIRECTIVE) != "replace":
            raise PatchInvalid(f"{path}[{index}].{key} is missing: it says which item is meant")


def _said(value: Any) -> str:
    """What it is, of the three shapes that JSON has."""
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else "a single value"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
