"""Weights on an HTTPRoute (Gateway API v1), as JSON: what the canary's share is, and the patches that move it.

Only weights of the refs to the live pods' Service and the ref to the canary's own Service are touched, in rules that have
the former; with them a label and an annotation that hold how the weights were found and what was written, so that whoever
finds the route can put them back. Rules that opsloop added (`core.http_rules`) are known by name and by the annotation. `spec.rules` is one atomic list to server-side apply, so nothing smaller than a JSON patch would do.

The share of a rule is canary / (canary + stable): its other backends keep their weights, and so the stable ref's weight is
divided where there are others with a weight, and is 100 where there are none.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from opsloop.names import CANARY, FIELD_MANAGER, WEIGHTS_BEFORE

Object = Mapping[str, Any]
Operations = list[dict[str, Any]]
DEFAULT = 1  # weight of a ref that names none
OWN = "opsloop-canary-"  # begins the names of rules that opsloop added
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
    own = own_rules(route)
    for index, rule in enumerate(route["spec"].get("rules") or []):
        if index in own:
            continue
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
    own = own_rules(route)
    rules: Iterable[Object] = (rule for at, rule in enumerate(route["spec"].get("rules") or []) if at not in own)
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


def was_changed(route: Object, backends: Backends) -> bool:
    """True where weights or rules are not as the annotation says that they were written last: somebody wrote them since."""
    held, rules = _held(route["metadata"]), route["spec"].get("rules") or []
    weights = [list(split.weights) for split in moving(route, backends)]
    own = [digest(rules[at]) for at in own_rules(route)]
    return ("wrote" in held and weights != held["wrote"]) or ("own" in held and own != held["own"])


def manager(route: Object) -> str:
    """The field manager, other than opsloop, that wrote the route last; empty where it does not say."""
    entries = [
        entry
        for entry in route["metadata"].get("managedFields") or []
        if entry.get("subresource") != "status" and entry.get("manager") != FIELD_MANAGER
    ]
    return str(max(entries, key=lambda entry: str(entry.get("time", "")))["manager"]) if entries else ""


def marked_by_other(route: Object, release: str) -> str:
    """The other Release whose rollout has moved weights of the route; empty where there is none."""
    mark = (route["metadata"].get("labels") or {}).get(CANARY, "")
    return mark if mark != release else ""


def own_rules(route: Object) -> list[int]:
    """Where the rules are that opsloop added: by their name, and by their matches where the CRD knows no names of rules."""
    told = set(_held(route["metadata"]).get("own") or ())
    rules: Sequence[Object] = route["spec"].get("rules") or []
    return [
        at
        for at, rule in enumerate(rules)
        if str(rule.get("name", "")).startswith(OWN) or (told and digest(rule) in told)
    ]


def digest(rule: Object) -> str:
    """What a rule is known by: its matches."""
    return sha256(json.dumps(rule.get("matches") or [], sort_keys=True).encode()).hexdigest()[:16]


def moved(route: Object, release: str, backends: Backends, weight: int, lower: bool = False) -> Operations:
    """The operations after which each rule gives the canary this share (1 to 99), with the marks; none where nothing differs.

    Rules that opsloop added go. With `lower`, rules that give the canary less are left as they are.

    Raises ValueError where a weight cannot be said (`unreachable`).
    """
    found = moving(route, backends)
    operations: Operations = []
    wrote = []
    for split in found:
        if lower and split.share <= weight:
            wrote.append(list(split.weights))
            continue
        operations += _divide(route, split, backends, weight)
        wrote.append(list(split.divided(weight) or ()))
    operations += without(own_rules(route))
    if not found:
        return operations
    record = {
        "service": backends.stable,
        "canary": backends.canary,
        "weights": _as_found(route, found, backends),
        "wrote": wrote,
    }
    return operations + marks(route, release, record)


def marks(route: Object, release: str, record: Mapping[str, Any]) -> Operations:
    """The label and the annotation, where they are not so already."""
    meta, text = route["metadata"], json.dumps(record)
    operations: Operations = []
    if (meta.get("annotations") or {}).get(WEIGHTS_BEFORE) != text:
        operations += _set(meta, "annotations", WEIGHTS_BEFORE, text)
    if not is_moved(route, release):
        operations += _set(meta, "labels", CANARY, release)
    return operations


def without(rules: Collection[int]) -> Operations:
    """The operations that take these rules away; the last ones of a patch, for the numbers of rules change."""
    return [{"op": "remove", "path": f"/spec/rules/{at}"} for at in sorted(rules, reverse=True)]


def put_back(route: Object, backends: Backends | None = None) -> Operations:
    """The operations after which the route is as it was found, without the marks; none where nothing is to be done.

    What the annotation says counts; where somebody took it away, `backends` says whose refs they are, and the stable
    Service gets what both have. A ref to the canary that gets nothing stays then: it may be of the team's own file. Where
    somebody has written other weights since, with none for the canary, theirs stay.
    """
    meta = route["metadata"]
    backends, weights, wrote = _before(meta, backends)
    operations: Operations = []
    if backends is not None:
        found = [split for split in moving(route, backends) if split.canary is not None]
        known = weights if len(weights) == len(found) else [None] * len(found)
        written = wrote if len(wrote) == len(found) else [None] * len(found)
        for split, before, last in zip(found, known, written, strict=True):
            theirs = before is None or (last is not None and last[0] != split.weights[0])
            if theirs and split.stable is not None and not split.weights[1]:
                continue
            operations += _undivide(route, split, backends, before)
    operations += without(own_rules(route))
    if WEIGHTS_BEFORE in (meta.get("annotations") or {}):
        operations.append({"op": "remove", "path": f"/metadata/annotations/{_escaped(WEIGHTS_BEFORE)}"})
    if CANARY in (meta.get("labels") or {}):
        operations.append({"op": "remove", "path": f"/metadata/labels/{_escaped(CANARY)}"})
    return operations


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


Pair = Sequence[int | None]


def _as_found(route: Object, found: Sequence[Split], backends: Backends) -> list[Pair]:
    """The weights to put back, a pair for each split: those held, and where the canary gets nothing those that are there."""
    _, held, _ = _before(route["metadata"], backends)
    kept: Sequence[Pair | None] = held if len(held) == len(found) else [None] * len(found)
    return [_pair(split, before) for split, before in zip(found, kept, strict=True)]


def _pair(split: Split, before: Pair | None) -> Pair:
    if split.stable is None:
        return before or [DEFAULT, None]
    if split.weights[1]:
        return before or [sum(split.weights) if split.others else DEFAULT, None]
    return [split.weights[0], None if split.canary is None else 0]


def _held(meta: Object) -> Mapping[str, Any]:
    """The annotation; empty where somebody has changed it so that it cannot be read."""
    try:
        held = json.loads((meta.get("annotations") or {}).get(WEIGHTS_BEFORE, "{}"))
    except ValueError:
        return {}
    return held if isinstance(held, dict) else {}


def _before(meta: Object, backends: Backends | None) -> tuple[Backends | None, list[Pair | None], list[Pair | None]]:
    """Whose refs the annotation names, with the weights as they were found and as they were written last."""
    held = _held(meta)
    try:
        weights = [(int(stable), None if canary is None else int(canary)) for stable, canary in held["weights"]]
        wrote = [(int(stable), int(canary)) for stable, canary in held.get("wrote") or ()]
        return Backends(str(held["service"]), str(held["canary"])), [*weights], [*wrote]
    except (KeyError, TypeError, ValueError):
        return backends, [], []


def _set(meta: Object, field: str, key: str, value: str) -> Operations:
    if not meta.get(field):
        return [{"op": "add", "path": f"/metadata/{field}", "value": {key: value}}]
    return [{"op": "add", "path": f"/metadata/{field}/{_escaped(key)}", "value": value}]


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
