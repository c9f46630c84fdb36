"""The Incidents of a namespace as the method sees them, and what the cluster itself knows of its services."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache

from opsloop.api.incident import Incident
from opsloop.core.actions import CreateIncident
from opsloop.core.alert_rules import AlertRules
from opsloop.core.correlation.entities import SERVICE, Entity
from opsloop.core.correlation.facts import DEAD, FAIL, Key, Reader, Reading, weighted_median
from opsloop.core.correlation.identity import Held
from opsloop.core.correlation.lags import Lessons
from opsloop.core.correlation.method import Method, Seconds
from opsloop.core.correlation.onsets import Learnt, Rules
from opsloop.core.correlation.paths import Known
from opsloop.core.correlation.service_health import ServiceHealth, State, harm_began
from opsloop.core.facts import CorrelationFacts
from opsloop.core.incident import dependencies
from opsloop.core.incident.dependencies import root_of
from opsloop.core.release.budgets import shortage_since
from opsloop.core.release.outages import outage_since
from opsloop.core.topology import Graph

MEASURED = frozenset({"burn", "workload"})  # signals of harm that no alert had to tell
# Signals that tell of no harm of users, and whose Incidents take alerts of their root
SILENT = frozenset({"telemetry", "capacity"})
_NO_ALERT = "measured/"  # begins the keys of what is measured and no alert


def reader_of(facts: CorrelationFacts, health: ServiceHealth, method: Method) -> Reader:
    """The reader of the namespace: one object while its Releases stay the same, so that each alert is read once."""
    views = health.topology.views
    needs = tuple(sorted((name, tuple(view.release.spec.depends_on)) for name, view in views.items()))
    workloads = {view.release.spec.workload_ref.name: name for name, view in views.items()}
    aliases = workloads | {service: owner for service, owner in facts.owners.items() if owner in views}
    learnt = Lessons(facts.experience.past).learnt(method.lags.learn_from)
    return _reader(
        facts.namespace, needs, tuple(sorted(aliases.items())), method, facts.rules, tuple(sorted(learnt.items()))
    )


@lru_cache(maxsize=64)
def _reader(
    namespace: str,
    needs: tuple[tuple[str, tuple[str, ...]], ...],
    aliases: tuple[tuple[str, str], ...],
    method: Method,
    rules: AlertRules,
    learnt: tuple[tuple[str, Learnt], ...],
) -> Reader:
    nodes = {name for name, _ in needs}.union(*(needed for _, needed in needs))
    graph = Graph(dict(needs), dict.fromkeys(nodes, namespace))
    own = {name: owner for name, owner in aliases if name not in nodes}
    return Reader(graph, method, Rules(rules, dict(learnt)), aliases=own, home=namespace, strangers=True)


def known_of(health: ServiceHealth, now: datetime, method: Method) -> Known:
    """Pods that are missing, revisions that became live a moment ago, and services of which their own SLI says that they are well."""
    unready, changed, well = set[str](), set[str](), set[str]()
    for name, view in health.topology.views.items():
        if outage_since(view.release) is not None or shortage_since(view.release) is not None:
            unready.add(name)
        if view.changed_at is not None and (now - view.changed_at).total_seconds() <= method.reach:
            changed.add(name)
        if health.harm(name).state is State.HEALTHY:
            well.add(name)
    return Known(frozenset(unready), frozenset(changed), frozenset(well))


def measured_readings(health: ServiceHealth, method: Method) -> list[Reading]:
    """What SLIs and workloads say now, read like alerts: a burn is a failure since its onset, an outage a dead service."""
    found = []
    for name, view in health.topology.views.items():
        verdict, out = view.readings.verdict, outage_since(view.release)
        if verdict is not None and (verdict.burning or verdict.firing is not None):
            found.append(_reading(name, FAIL, view.readings.onset or verdict.at, method.spreads.error))
        if out is not None:
            found.append(_reading(name, DEAD, out, method.spreads.workload))
    return found


def _reading(name: str, kind: str, since: datetime, spread: Seconds) -> Reading:
    onset = since.timestamp()
    return Reading((f"{_NO_ALERT}{kind}/{name}", onset), "", "", kind, Entity(SERVICE, name), onset, spread, 0.0)


def held_of(
    incidents: Iterable[Incident],
    heads: Mapping[str, list[Key]],
    readings: Mapping[Key, Reading],
    health: ServiceHealth,
    now: datetime,
) -> dict[str, Held]:
    """The open Incidents; `heads`: Incident → episodes that it holds, `readings` of these."""
    held = {}
    for incident in incidents:
        if not incident.is_open:
            continue
        name, keys = incident.metadata.name, heads.get(incident.metadata.name, [])
        frozen, until = is_frozen(incident), 0.0
        at = harm_began(incident).timestamp()
        if is_measured(incident):
            view = health.topology.views.get(incident.spec.release)
            harmed = dependencies.is_harmed_now(view, incident)
            last = now if harmed else dependencies.last_harm(view, incident, now)
            until = max(at, (last or now).timestamp())
        elif told := [(r.onset, 1 / r.spread) for key in keys if (r := readings[key]).kind]:
            at = weighted_median(told)
        held[name] = Held(name, root_of(incident), at, frozenset(keys), frozen, until)
    return held


def held_of_new(creates: Mapping[str, CreateIncident], health: ServiceHealth, now: datetime) -> dict[str, Held]:
    """Incidents that measurements open in this very look."""
    held = {}
    for root, create in creates.items():
        if create.spec.signal.kind in MEASURED:
            view = health.topology.views.get(root)
            began = view.readings.onset or outage_since(view.release) if view else None
            at = min(began or now, now).timestamp()
            held[create.name] = Held(create.name, root, at, frozenset(), frozen=True, until=now.timestamp())
    return held


def is_measured(incident: Incident) -> bool:
    """True where an SLI or the workload told of the harm."""
    return incident.burned or incident.had_outage


def is_frozen(incident: Incident) -> bool:
    """True once its name is settled: its harm is measured, people were paged, a play was chosen, or it is mitigated."""
    status = incident.status
    told = status.page is not None or bool(status.plays) or status.rollback is not None
    return is_measured(incident) or told or status.phase != "Open"


def is_regrouped(incident: Incident) -> bool:
    """True while alerts may still leave it: until it is mitigated."""
    return incident.is_open and incident.status.phase in ("Open", "Mitigating")
