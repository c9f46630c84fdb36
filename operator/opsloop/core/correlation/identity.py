"""Which Incident a group is, when the same alerts are grouped anew: identities that last while facts move.

An Incident stays the one that it was by its root and by the majority of its facts. A frozen one (people were paged, a play was
decided) keeps its root: it goes into the search as a fixed root, facts may leave it, and what they found says where they came
from. An Incident that lost all of its facts is merged into the one that has most of them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from opsloop.core.correlation.facts import Key
from opsloop.core.correlation.grouping import Group, Grouping
from opsloop.core.correlation.method import Seconds
from opsloop.core.correlation.search import Root


@dataclass(frozen=True, slots=True)
class Held:
    """An Incident as it stands: its root, since when, and the episodes that are filed in it."""

    name: str
    root: str
    at: Seconds
    keys: frozenset[Key]
    frozen: bool = False
    until: Seconds = 0.0  # of one whose harm is measured: until when it lasted
    split_from: str = ""  # the Incident that most of its facts came from
    merged_into: str = ""  # the Incident that most of its facts went to


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """An episode that went from one Incident to another; "" = none."""

    key: Key
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Settled:
    """Incident by name (those that go on, new ones, merged ones), the group of each that has one, and what moved."""

    incidents: Mapping[str, Held]
    groups: Mapping[str, Group]
    moves: tuple[Move, ...]
    names: tuple[str, ...] = ()  # Incident of each group, in the order of the grouping; "" = none


def fixed_roots(held: Iterable[Held]) -> list[Root]:
    """The roots that the next search may neither remove nor rename."""
    return [Root(h.root, h.at, fixed=True, until=h.until) for h in held if h.frozen and not h.merged_into]


def settle(grouping: Grouping, held: Mapping[str, Held], new_name: Callable[[Group], str]) -> Settled:
    """The Incidents after this grouping. `new_name` names one for a group that is none of those that are there: a new name, or
    that of an Incident which it joins, or "" for a group that opens none.
    """
    where = {key: h.name for h in held.values() if not h.merged_into for key in h.keys}
    owners = _owners(grouping.groups, held, where)
    incidents: dict[str, Held] = {}
    groups: dict[str, Group] = {}
    names = dict(owners)
    for number, name in sorted(owners.items()):
        known, groups[name] = held[name], grouping.groups[number]
        root = known.root if known.frozen else groups[name].service
        incidents[name] = replace(known, root=root, at=groups[name].at, keys=groups[name].keys)
    for number, group in enumerate(grouping.groups):
        if number in names:
            continue
        name = names[number] = new_name(group)
        if name in incidents or name in held:
            known = incidents.get(name) or replace(held[name], keys=frozenset())
            incidents[name] = replace(known, keys=known.keys | group.keys)
        elif name:
            came_from = _majority(group, where)
            incidents[name] = Held(name, group.service, group.at, group.keys, split_from=came_from)
        if name:
            groups.setdefault(name, group)
    now = {key: names[number] for number, group in enumerate(grouping.groups) if names[number] for key in group.keys}
    for name, known in held.items():
        if name not in incidents:
            incidents[name] = known if known.merged_into or known.frozen else _emptied(known, now)
    moves = (
        Move(key, where.get(key, ""), now.get(key, ""))
        for key in where.keys() | now.keys()
        if where.get(key, "") != now.get(key, "")
    )
    each = tuple(names[number] for number in range(len(grouping.groups)))
    return Settled(incidents, groups, tuple(sorted(m for m in moves if m.before)), each)


def _owners(groups: tuple[Group, ...], held: Mapping[str, Held], where: Mapping[Key, str]) -> dict[int, str]:
    """Number of a group → Incident that it is: frozen ones first, then by the same root, then by the facts that they share."""
    shared = [_facts_of(group, where) for group in groups]
    claims: list[tuple[bool, bool, int, Seconds, str, int]] = []
    for name, known in held.items():
        if known.merged_into:
            continue
        majority = sum(facts[name] for facts in shared) / 2
        for number, group in enumerate(groups):
            same = known.root == (group.root.service if group.root.fixed else group.service)
            fits = same if known.frozen else shared[number][name] > (0 if same else majority)
            if fits and known.frozen == group.root.fixed:
                away = abs(group.at - known.at) if known.frozen else 0.0
                claims.append((not known.frozen, not same, -shared[number][name], away, name, number))
    owners: dict[int, str] = {}
    for *_, name, number in sorted(claims):
        if number not in owners and name not in owners.values():
            owners[number] = name
    return owners


def _facts_of(group: Group, where: Mapping[Key, str]) -> Counter[str]:
    """Incident → facts of the group of which it holds an episode."""
    return Counter(
        name
        for attribution in group.attributions
        for name in {where[r.key] for r in attribution.fact.readings if r.key in where}
    )


def _majority(group: Group, where: Mapping[Key, str]) -> str:
    """The Incident that more than half of the group's facts came from, "" where none is."""
    shared = _facts_of(group, where)
    most = min(shared, key=lambda name: (-shared[name], name), default="")
    return most if most and 2 * shared[most] > len(group.attributions) else ""


def _emptied(known: Held, now: Mapping[Key, str]) -> Held:
    """An Incident without a group: merged into the one that has most of its episodes; as it was where none has any."""
    went = Counter(now[key] for key in known.keys if key in now)
    target = min(went, key=lambda name: (-went[name], name), default="")
    return replace(known, merged_into=target, keys=frozenset()) if target else known
