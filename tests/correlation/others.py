"""A second, smaller generator: other applications, rule sets and fault mixes than `storms`, so that the method does not fit the first one.

Applications grow by attachment; rules have a `for` in whole minutes and a range; harm is partial (each fault has its own share of
callers that it reaches), and two or three faults lie where the same callers feel them; autoscalers at their limit fire for days.
"""

import random
from collections.abc import Mapping
from datetime import UTC, datetime

from opsloop.core.alert_rules import AlertRule, AlertRules
from opsloop.core.correlation.paths import Known
from opsloop.core.reported import Alert
from opsloop.core.topology import Graph
from tests.correlation.storms import NOISE, T0, WORLD, Storm

# Symptom → names, minutes of `for`, ranges in seconds, and the share of the range that has to fill
RULES: Mapping[str, tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...], tuple[float, float]]] = {
    "errors": (("AppErrorRateCritical", "Ingress5xxBudget", "GrpcFailedCalls"), (1, 2, 3, 5), (120, 300), (0.1, 0.5)),
    "slow": (("P95LatencyBreach", "SlowGrpcCalls"), (2, 3, 5), (120, 300), (0.2, 0.6)),
    "quiet": (("TrafficAbsent", "NoTrafficOnService"), (5, 10), (120, 300), (0.9, 1.1)),
    "dry": (("KafkaConsumerNoMessages", "NoOperationsOnCollection"), (5, 10), (120, 300), (0.9, 1.1)),
    "pods": (("PodCrashLoop", "DeploymentReplicasUnavailable", "PodNotReady"), (5, 10, 15), (0,), (0.0, 0.0)),
}
FAULTS = ("crash", "errors", "errors", "slow", "store", "crash quietly")


def a_storm(number: int) -> Storm:
    """Storm number `number`; WORLD storms share an application and its rules."""
    world, rng = random.Random(f"world {number // WORLD}"), random.Random(f"storm {number}")
    graph, queues = _application(world)
    storm = Storm(number, graph, "overlap")
    telling = _Rules(storm, world, rng)
    roots: list[str] = []
    at = T0
    for incident in (f"inc-{n}" for n in range(rng.choice([1, 2, 2, 2, 3]))):
        root = _beside(graph, roots, rng)
        roots.append(root)
        storm.accept[incident], storm.began[incident] = {root}, (root, at)
        _fault(telling, graph, queues, root, incident, at)
        at += rng.uniform(20, 900)
    for n in range(rng.randint(0, 6)):
        labels = {"horizontalpodautoscaler": f"hpa-{n}", "namespace": "prod"}
        telling.tell("KubeHpaMaxedOut", labels, T0 - rng.uniform(0, 500_000), NOISE)
    for n in range(rng.choice([0, 0, 1, 2])):
        telling.says("slow", rng.choice(sorted(graph.nodes)), T0 + rng.uniform(-9000, 9000), NOISE, stray=str(n))
    storm.kind = "overlap" if len(roots) > 1 or NOISE in storm.truth.values() else "single"
    storm.one_namespace = len(roots) > 1
    return storm


def _application(world: random.Random) -> tuple[Graph, dict[str, str]]:
    """Each new service is called by one to three older ones, rather by those that call many; some read a queue."""
    names = [f"{world.choice('bcdfgklmnprstvz')}{world.choice('aeiou')}{n}svc" for n in range(world.randint(14, 40))]
    needs: dict[str, list[str]] = {name: [] for name in names}
    for n, name in enumerate(names[1:], 1):
        weights = [len(needs[older]) + 1.0 for older in names[:n]]
        for caller in {*world.choices(names[:n], weights, k=world.choice([1, 1, 2, 3]))}:
            needs[caller].append(name)
    queues: dict[str, str] = {}
    for n in range(world.randint(0, 2)):
        queue, reader = f"topic{n}", f"reader{n}"
        needs[world.choice(names[1:])].append(queue)
        needs |= {queue: [], reader: [queue]}
        queues[reader] = queue
    return Graph(needs, dict.fromkeys(needs, "prod")), queues


def _beside(graph: Graph, roots: list[str], rng: random.Random) -> str:
    """A root whose harm the callers of the others feel as well, where there is one."""
    free = [name for name in sorted(graph.nodes) if name not in roots and graph.callers(name)]
    felt = {caller for root in roots for caller in graph.dependents(root)}
    shared = [name for name in free if felt & graph.dependents(name).keys()]
    return rng.choice(shared if shared and rng.random() < 0.7 else free)


def _fault(tell: "_Rules", graph: Graph, queues: Mapping[str, str], root: str, incident: str, at: float) -> None:
    rng, kind, share = tell.rng, tell.rng.choice(FAULTS), tell.rng.uniform(0.5, 1.0)
    known = tell.storm.known
    if kind.startswith("crash") or kind == "store":
        tell.says("pods", root, at, incident, pods=rng.randint(1, 3))
        known = Known(known.unready | {root}, known.changed)
    elif rng.random() < 0.6:
        known = Known(known.unready, known.changed | {root})
    tell.storm.known = known
    if kind == "crash quietly":
        tell.says("pods", root, at + 20, incident)
        return
    symptom = "slow" if kind == "slow" else "errors"
    if kind in ("errors", "slow"):
        tell.says(symptom, root, at, incident)
    harmed, frontier = {root}, [(root, at)]
    for name, since in frontier:
        for caller in graph.callers(name):
            if caller not in harmed and rng.random() < share:
                harmed.add(caller)
                frontier.append((caller, since + rng.uniform(0, 30)))
                tell.says(symptom, caller, frontier[-1][1], incident)
    for service in sorted(harmed - {root}):  # some stop early, and what only they call hears nothing any more
        if symptom == "errors" and rng.random() < 0.35:
            for callee in graph.callees(service):
                if callee not in harmed and set(graph.callers(callee)) <= harmed:
                    tell.says("quiet", callee, at + 30, incident)
    for reader, queue in queues.items():
        if queue == root or set(graph.callers(queue)) - {reader} <= harmed:
            tell.says("dry", reader, at + 20, incident)


class _Rules:
    """Alerts as the rules of one cluster raise them."""

    def __init__(self, storm: Storm, world: random.Random, rng: random.Random) -> None:
        self.storm, self.rng, self._rules, known = storm, rng, dict[str, tuple[str, float, float]](), list[AlertRule]()
        for kind, (names, minutes, ranges, share) in RULES.items():
            name, holds, window = world.choice(names), 60.0 * world.choice(minutes), float(world.choice(ranges))
            self._rules[kind] = name, holds + world.uniform(*share) * window + world.uniform(15, 75), holds
            known.append(AlertRule(name, holds, window=window or None))
        storm.rules = AlertRules(tuple(known))

    def says(self, kind: str, service: str, at: float, incident: str, pods: int = 0, stray: str = "") -> None:
        """An alert of each pod, or one of the service; one rule in ten does not fire."""
        name, lag, holds = self._rules[kind]
        if self.rng.random() < 0.1 and incident != NOISE:
            return
        starts = at + lag + self.rng.gauss(0, 20)
        text = f"so for more than {holds / 60:.0f} minutes" if kind == "pods" else ""
        for n in range(max(1, pods)):
            labels = {"service_name": service} | ({"pod": f"{service}-{n}"} if pods else {})
            self.tell(name, labels | ({"shard": stray} if stray else {}), starts + n, incident, text)

    def tell(self, name: str, labels: Mapping[str, str], at: float, incident: str, text: str = "") -> None:
        """Adds it; what several faults raise has them all as its cause, and begins with the first."""
        starts, full = datetime.fromtimestamp(round(at), UTC), {"alertname": name, "severity": "critical", **labels}
        fingerprint = repr(sorted(full.items()))
        storm, before = self.storm, self.storm.truth.get(fingerprint, incident)
        both = {incident, before} if isinstance(before, str) else {incident, *before}
        storm.truth[fingerprint] = incident if len(both) == 1 else frozenset(both)
        earlier = [a for a in storm.alerts if a.fingerprint == fingerprint and a.starts_at <= starts]
        if not earlier:
            storm.alerts = [a for a in storm.alerts if a.fingerprint != fingerprint]
            storm.alerts.append(Alert(fingerprint, "firing", starts, full, {"description": text}, starts))
