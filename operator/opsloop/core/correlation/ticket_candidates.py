"""Incidents as tickets see them: the affected services by their distance from the root, the symptoms, and the onset."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypedDict

from opsloop.api.incident import Incident, IncidentSpec
from opsloop.core.correlation.facts import DEAD, DRY, FAIL, GONE, SLOW, STARVED, Reader
from opsloop.core.correlation.grouping import Group
from opsloop.core.reported import Alert, Candidate, HouseWords
from opsloop.core.tickets import linking
from opsloop.core.topology import Graph, Topology

MOST_ALERTS = 2000  # of one Incident that are read for its candidate: services and symptoms show in the first ones
_SYMPTOMS: Mapping[str, str] = {
    FAIL: linking.FAILING,
    DEAD: linking.FAILING,
    STARVED: linking.FAILING,
    DRY: linking.FAILING,
    SLOW: linking.SLOW,
}


def of_group(name: str, group: Group, graph: Graph) -> Candidate:
    """A group of a replay. Offline nobody knows a severity, so that of its alerts is taken for serious."""
    kinds = [(a.fact.service, a.fact.kind) for a in group.attributions]
    harmed = affected(group.service, kinds, graph)
    return Candidate(
        incident=name,
        root=group.service,
        affected=harmed,
        **_beside(group.service, harmed, graph),
        symptoms=symptoms(kinds),
        onset=datetime.fromtimestamp(group.at, UTC),
        ended=None,
        severity="sev2",
    )


def of_incident(
    name: str,
    spec: IncidentSpec,
    incident: Incident | None,
    alerts: Sequence[Alert],
    topology: Topology,
    reader: Reader,
    house: HouseWords,
    learnt: Mapping[str, Mapping[str, int]],
) -> Candidate:
    """An Incident with the alerts of its ledger, read as they were grouped; `incident` None = it is about to be created.
    `learnt`: service → words that corrections taught."""
    root = spec.release or spec.service
    view = topology.views.get(spec.release)
    readings = [reading for alert in alerts[:MOST_ALERTS] if (reading := reader(alert)).kind]
    kinds = [(reading.entity.name, reading.kind) for reading in readings]
    burned = spec.signal.kind == "burn" or (incident is not None and incident.burned)
    # An alert that fired for days before tells of another fault, by the method's own reach, and not when this one began
    earliest = spec.signal.at.timestamp() - reader.method.reach
    onsets = [reading.onset for reading in readings if reading.onset >= earliest]
    starts = [spec.signal.at, *(datetime.fromtimestamp(onset, UTC) for onset in onsets)]
    starts += [incident.status.onset_at] if incident and incident.status.onset_at else []
    starts += [view.readings.onset] if view and view.readings.onset and burned else []
    harmed = affected(root, kinds, topology)
    return Candidate(
        incident=name,
        root=root,
        affected=harmed,
        **_beside(root, harmed, topology),
        symptoms=symptoms(kinds) | ({linking.FAILING} if burned else frozenset()),
        onset=min(starts),
        ended=incident.status.resolved_at if incident and not incident.is_open else None,
        severity=min(spec.signal.severity, incident.status.severity) if incident else spec.signal.severity,
        team=view.release.metadata.labels.get("team", "") if view else "",
        known_as=known_as(topology, house),
        learnt=learnt,
    )


def affected(root: str, kinds: Iterable[tuple[str, str]], graph: Graph) -> dict[str, float]:
    """Service → what a word for it is worth; what merely gets no requests counts least."""
    above = graph.dependents(root)
    of: dict[str, set[str]] = {}
    for service, kind in kinds:
        if service:
            of.setdefault(service, set()).add(kind)
    found = {root: linking.ROOT} if root else {}
    for service, has in of.items():
        if service == root:
            continue
        hops = above.get(service, 0)
        far = linking.ONE_HOP if hops == 1 else linking.FURTHER
        found[service] = linking.STARVED if has <= GONE else far
    return found


class _Beside(TypedDict):
    reached: dict[str, float]
    elsewhere: frozenset[str]
    entry: bool


def _beside(root: str, harmed: Mapping[str, float], graph: Graph) -> _Beside:
    """What else is known of services: which need the root though nothing is told of them, and which have nothing to do with it."""
    above = {name: hops for name, hops in graph.dependents(root).items() if name not in harmed}
    reached = {name: linking.ONE_HOP if hops == 1 else linking.FURTHER for name, hops in above.items()}
    entry = any(graph.callees(name) and not graph.callers(name) for name in (*harmed, *reached))
    return _Beside(reached=reached, elsewhere=graph.nodes - harmed.keys() - reached.keys(), entry=entry)


def symptoms(kinds: Iterable[tuple[str, str]]) -> frozenset[str]:
    """FAILING and SLOW, as far as facts of these kinds tell."""
    return frozenset(_SYMPTOMS[kind] for _, kind in kinds if kind in _SYMPTOMS)


def known_as(topology: Topology, house: HouseWords) -> dict[str, Sequence[str]]:
    """Service → how its users call it: as its Release says, then as the house does."""
    found: dict[str, Sequence[str]] = {name: view.release.spec.known_as for name, view in topology.views.items()}
    for name, words in house.known_as.items():
        found[name] = (*found.get(name, ()), *words)
    return {name: words for name, words in found.items() if words}
