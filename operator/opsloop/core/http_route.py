"""Weights on an HTTPRoute (Gateway API v1), as JSON: what the canary's share is, and the patches that move it.

Only weights of the refs to the live pods' Service and the ref to the canary's own Service are touched, in rules that have
the former; with them a label and an annotation that hold how the weights were found, so that whoever finds the route can
put them back. `spec.rules` is one atomic list to server-side apply, so nothing smaller than a JSON patch would do.

The share of a rule is canary / (canary + stable): its other backends keep their weights, and so the stable ref's weight is
divided where there are others with a weight, and is 100 where there are none.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsloop.names import CANARY, WEIGHTS_BEFORE

Object = Mapping[str, Any]
Operations = list[dict[str, Any]]
DEFAULT = 1  # weight of a ref that names none
WHOLE = 100  # what a stable ref's weight is divided into where the rule sends nothing elsewhere


@dataclass(frozen=True, slots=True)
class Backends:
    """Which refs of a route are meant: Service of the live pods, Service of the canary, names of rules (none: all)."""

    stable: str
    canary: str
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """A rule that has at least one of both refs: where they are (None: missing) and their weights."""

    rule: int
    stable: int | None
    canary: int | None
    weights: tuple[int, int]  # stable, canary
    others: int  # sum of the other refs' weights

    @property
    def share(self) -> float:
        """The canary's part of what both get, in percent."""
        total = sum(self.weights)
        return 100 * self.weights[1] / total if total else 0.0

    def divided(self, weight: int) -> tuple[int, int] | None:
        """Weights of both refs for a share in percent; None where whole numbers cannot say it beside the other refs."""
        total = sum(self.weights) if self.others else WHOLE
        return (total - total * weight // 100, total * weight // 100) if total * weight % 100 == 0 else None


def splits(route: Object, backends: Backends) -> list[Split]:
    """The rules whose weights are moved: those that send something to the stable Service, and those that have the canary's."""
    found = []
    for index, rule in enumerate(route["spec"].get("rules") or []):
        refs = rule.get("backendRefs") or []
        stable, canary = _find(refs, backends.stable, route), _find(refs, backends.canary, route)
        wanted = not backends.rules or rule.get("name") in backends.rules
        weights = (_weight(refs, stable), _weight(refs, canary))
        if canary is None and (stable is None or not weights[0] or not wanted):
            continue
        others = sum(_weight(refs, at) for at in range(len(refs)) if at not in (stable, canary))
        found.append(Split(index, stable, canary, weights, others))
    return found


def moving(route: Object, backends: Backends) -> list[Split]:
    """Those of the splits that get requests at all."""
    return [split for split in splits(route, backends) if sum(split.weights)]


def shares(route: Object, backends: Backends) -> tuple[float, float]:
    """The smallest and the largest share of the canary over these rules, in percent; 0 and 0 without a rule."""
    found = [split.share for split in moving(route, backends)] or [0.0]
    return min(found), max(found)


def twice(route: Object, backends: Backends) -> bool:
    """True where a rule has the stable Service in two refs, so that nobody can say whose weight is to be moved."""
    rules: Iterable[Object] = route["spec"].get("rules") or []
    counts = (
        sum(_is(ref, backends.stable, route) for ref in rule.get("backendRefs") or [])
        for rule in rules
        if not backends.rules or rule.get("name") in backends.rules
    )
    return any(count > 1 for count in counts)


def unreachable(route: Object, backends: Backends, weights: Iterable[int]) -> str:
    """The arithmetic of the first weight that whole numbers cannot say on this route; empty where all can be said."""
    found = moving(route, backends)
    for weight in weights:
        for split in found:
            if split.divided(weight) is None:
                total = sum(split.weights)
                return (
                    f"rule {split.rule} gives Service {backends.stable} the weight {total} beside other backends, and {weight} % of"
                    f" {total} is no whole number: multiply the weights of that rule's backendRefs by 100"
                )
    return ""


def is_moved(route: Object, release: str) -> bool:
    """True where this Release's rollout has left its mark on the route."""
    meta = route["metadata"]
    return (meta.get("labels") or {}).get(CANARY) == release


def marked_by_other(route: Object, release: str) -> str:
    """The other Release whose rollout has moved weights of the route; empty where there is none."""
    mark = (route["metadata"].get("labels") or {}).get(CANARY, "")
    return mark if mark != release else ""


def moved(route: Object, release: str, backends: Backends, weight: int, lower: bool = False) -> Operations:
    """The operations after which each rule gives the canary this share (1 to 99), with the marks; none where nothing differs.

    With `lower`, rules that give it less are left as they are.

    Raises ValueError where a weight cannot be said (`unreachable`).
    """
    found = moving(route, backends)
    operations: Operations = []
    for split in found:
        if not lower or split.share > weight:
            operations += _divide(route, split, backends, weight)
    if not found:
        return []
    meta = route["metadata"]
    if WEIGHTS_BEFORE not in (meta.get("annotations") or {}) or all(split.canary is None for split in found):
        before = [
            [split.weights[0], None if split.canary is None else split.weights[1]]
            if split.stable is not None
            else [DEFAULT, None]
            for split in found
        ]
        text = json.dumps({"service": backends.stable, "canary": backends.canary, "weights": before})
        operations += _set(meta, "annotations", WEIGHTS_BEFORE, text)
    if not is_moved(route, release):
        operations += _set(meta, "labels", CANARY, release)
    return operations


def put_back(route: Object, backends: Backends | None = None) -> Operations:
    """The operations after which the weights are as they were found, without the marks; none where nothing is to be done.

    What the annotation says counts; where somebody took it away, `backends` says whose refs they are, and the stable
    Service gets what both have. A ref to the canary that gets nothing stays then: it may be of the team's own file.
    """
    meta = route["metadata"]
    backends, weights = _before(meta, backends)
    operations: Operations = []
    if backends is not None:
        found = [split for split in splits(route, backends) if split.canary is not None]
        known = weights if len(weights) == len(found) else [None] * len(found)
        for split, before in zip(found, known, strict=True):
            if before is None and split.stable is not None and not split.weights[1]:
                continue
            operations += _undivide(route, split, backends, before)
    if WEIGHTS_BEFORE in (meta.get("annotations") or {}):
        operations.append({"op": "remove", "path": f"/metadata/annotations/{_escaped(WEIGHTS_BEFORE)}"})
    if CANARY in (meta.get("labels") or {}):
        operations.append({"op": "remove", "path": f"/metadata/labels/{_escaped(CANARY)}"})
    return operations


def refusals(route: Object) -> list[tuple[str, str]]:
    """(type, sentence) of what Gateways say against the route as it is: `Accepted` or `ResolvedRefs` is not True.

    What is said of an earlier generation does not count; a route of which nobody says anything is not accepted yet.
    """
    generation = route["metadata"].get("generation", 0)
    parents: Sequence[Object] = (route.get("status") or {}).get("parents") or []
    told = []
    for parent in parents:
        name = (parent.get("parentRef") or {}).get("name", "")
        conditions = {c["type"]: c for c in parent.get("conditions") or []}
        for kind in ("Accepted", "ResolvedRefs"):
            condition = conditions.get(kind)
            current = condition is not None and condition.get("observedGeneration", generation) >= generation
            if condition is not None and current and condition.get("status") != "True":
                said = condition.get("message") or condition.get("reason", "")
                told.append((kind, f"Gateway {name} says {kind}={condition['status']}: {said}"))
    if not parents:
        told.append(("Accepted", "no Gateway has taken it yet: its parentRefs name none that is there"))
    return told


def is_taken(route: Object) -> bool:
    """True where every Gateway of the route has seen its present generation."""
    generation = route["metadata"].get("generation", 0)
    parents: Sequence[Object] = (route.get("status") or {}).get("parents") or []
    return all(
        condition.get("observedGeneration", generation) >= generation
        for parent in parents
        for condition in parent.get("conditions") or []
        if condition["type"] == "Accepted"
    )


# --- inside


def _is(ref: Object, service: str, route: Object) -> bool:
    here = route["metadata"].get("namespace", "")
    return (
        ref.get("name") == service
        and ref.get("kind", "Service") == "Service"
        and not ref.get("group")
        and ref.get("namespace", here) == here
    )


def _find(refs: Sequence[Object], service: str, route: Object) -> int | None:
    return next((at for at, ref in enumerate(refs) if _is(ref, service, route)), None)


def _weight(refs: Sequence[Object], at: int | None) -> int:
    return 0 if at is None else int(refs[at].get("weight", DEFAULT))


def _ref(route: Object, split: Split, service: str, weight: int) -> dict[str, Any]:
    """A ref to another Service, otherwise as the one that is there: port and filters."""
    refs = route["spec"]["rules"][split.rule]["backendRefs"]
    return {**refs[split.stable if split.stable is not None else split.canary], "name": service, "weight": weight}


def _divide(route: Object, split: Split, backends: Backends, weight: int) -> Operations:
    wanted = split.divided(weight)
    if wanted is None:
        raise ValueError(unreachable(route, backends, [weight]))
    refs = f"/spec/rules/{split.rule}/backendRefs"
    operations: Operations = []
    for at, service, now, then in zip(
        (split.stable, split.canary), (backends.stable, backends.canary), split.weights, wanted, strict=True
    ):
        if at is None:
            operations.append({"op": "add", "path": f"{refs}/-", "value": _ref(route, split, service, then)})
        elif now != then:
            operations.append({"op": "add", "path": f"{refs}/{at}/weight", "value": then})
    return operations


def _undivide(route: Object, split: Split, backends: Backends, before: Sequence[int | None] | None) -> Operations:
    """The stable ref's weight as it was found; the canary's ref goes, unless it was there before."""
    refs = f"/spec/rules/{split.rule}/backendRefs"
    stable, canary = before or (sum(split.weights) if split.others else DEFAULT, None)
    operations: Operations = []
    if split.stable is None:
        ref = _ref(route, split, backends.stable, stable or 0)
        operations.append({"op": "add", "path": f"{refs}/-", "value": ref})
    elif split.weights[0] != stable:
        operations.append({"op": "add", "path": f"{refs}/{split.stable}/weight", "value": stable})
    if canary is None:
        operations.append({"op": "remove", "path": f"{refs}/{split.canary}"})
    elif split.weights[1] != canary:
        operations.append({"op": "add", "path": f"{refs}/{split.canary}/weight", "value": canary})
    return operations


def _before(meta: Object, backends: Backends | None) -> tuple[Backends | None, list[Sequence[int | None] | None]]:
    """What the annotation holds; one that somebody has changed so that it cannot be read holds nothing."""
    try:
        held = json.loads((meta.get("annotations") or {})[WEIGHTS_BEFORE])
        weights = [(int(stable), None if canary is None else int(canary)) for stable, canary in held["weights"]]
        return Backends(str(held["service"]), str(held["canary"])), [*weights]
    except (KeyError, TypeError, ValueError):
        return backends, []


def _set(meta: Object, field: str, key: str, value: str) -> Operations:
    if not meta.get(field):
        return [{"op": "add", "path": f"/metadata/{field}", "value": {key: value}}]
    return [{"op": "add", "path": f"/metadata/{field}/{_escaped(key)}", "value": value}]


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
