"""Storms of other faults, with known answers: alerts of a random application as several rule sets would raise them.

Alert names are those of public rule sets (kubernetes-mixin, awesome-prometheus-alerts, sloth, Istio dashboards), not those of the recorded
storms. Times have parameters of their own: each storm draws how long its rules take, up to 30 % off what the method assumes.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from opsloop.core.alert_rules import NO_RULES, AlertRule, AlertRules
from opsloop.core.correlation.paths import Known
from opsloop.core.reported import Alert
from opsloop.core.topology import Graph
from tests.correlation.faults import Fault, a_fault
from tests.correlation.shops import Shop, a_shop

OFF = 0.3  # how far a cluster's rules are from what the method assumes, at most
T0 = 1_780_000_000.0
NOISE = "noise"

# Kind of symptom → (names, seconds that the rule takes, its `for` in minutes where the text may tell it)
RULES: Mapping[str, tuple[tuple[str, ...], float, tuple[int, ...]]] = {
    "error": (("IstioHigh5xxErrorRate", "HttpErrorRatioTooHigh", "ServiceErrorsElevated"), 270, ()),
    "slow": (("IstioHighRequestLatency", "HttpSlowResponses", "RequestDurationP99High"), 300, ()),
    "starved": (("NoTrafficReceived", "ServiceIdle", "NoRequestsForService"), 730, ()),
    "dry": (("ConsumerIdle", "NoMessagesConsumed", "NoQueriesExecuted"), 730, ()),
    "crash": (("KubernetesPodCrashLooping", "ContainerRestartsOften"), 90, (10, 15)),
    "unready": (("KubernetesPodNotHealthy", "PodsNotReady"), 90, (10, 15)),
    "mismatch": (("KubernetesDeploymentReplicasMismatch",), 90, (10, 15)),
    "stuck": (("DeploymentRolloutNotFinished", "KubernetesContainerWaiting"), 90, (15, 30)),
    "oom": (("KubernetesContainerOomKiller",), 60, (0,)),
    "target": (("PrometheusTargetDown",), 60, (5, 10)),
    "throttled": (("ContainerCpuThrottled", "ContainerHighMemoryUsage"), 90, (5, 10)),
    "node": (("HostHighCpuLoad", "HostMemoryUnderPressure"), 90, (10,)),
}  # fmt: skip
POD_KINDS = ("crash", "unready", "oom", "stuck")
HYGIENE = (
    "BlackboxSslCertificateWillExpireSoon", "VeleroBackupFailed", "KubernetesHpaScaleMaximum", "KubernetesJobFailed",
    "HostOutOfDiskSpace", "HostClockSkew", "NamespaceQuotaAlmostUsed", "PersistentVolumeFillsUp", "CronJobTooLong",
)  # fmt: skip


@dataclass(slots=True)
class Storm:
    """Alerts, and the answers: fingerprint → Incident, several Incidents, or NOISE."""

    number: int
    graph: Graph
    kind: str
    alerts: list[Alert] = field(default_factory=list)
    truth: dict[str, str | frozenset[str]] = field(default_factory=dict)
    derived: set[str] = field(default_factory=set)  # companions: burn, probe, replicas, targets
    accept: dict[str, set[str]] = field(default_factory=dict)  # Incident → roots
    began: dict[str, tuple[str, float]] = field(default_factory=dict)  # Incident → where its fault is, and since when
    what: dict[str, str] = field(default_factory=dict)  # Incident → the kind of its fault
    felt: dict[str, dict[tuple[str, str], float]] = field(default_factory=dict)  # Incident → symptom → Unix time
    one_namespace: bool = False
    known: Known = field(default_factory=Known)
    rules: AlertRules = NO_RULES  # as the Prometheus of its cluster would tell them


WORLD = 30  # storms of one cluster: its application and its rules stay
LEAST = 3  # alerts of its own that every fault leaves, as in the recorded storms


def a_storm(seed: int) -> Storm:
    """Storm number `seed`: a third each with a single fault, with two or three, and with one to three among noise."""
    for attempt in range(1000):
        storm = _storm(seed, random.Random(seed // WORLD), random.Random(seed * 1000 + attempt))
        own = Counter(answer for answer in storm.truth.values() if isinstance(answer, str))
        if all(own[incident] >= LEAST for incident in storm.accept):
            return storm
    raise AssertionError(f"no storm {seed}")


def _storm(seed: int, world: random.Random, rng: random.Random) -> Storm:
    shop = a_shop(world)
    kind = ("single", "overlap", "noise")[seed % 3]
    count = {"single": 1, "overlap": rng.choice([2, 2, 3]), "noise": rng.choice([1, 2, 2, 3])}[kind]
    storm = Storm(seed, shop.graph, kind)
    maker = _Maker(storm, shop, world, rng)
    faults: list[Fault] = []
    at = T0 + rng.uniform(0, 3600)
    for number in range(count):
        fault = a_fault(shop, rng, {name for f in faults for name in f.accept})
        faults.append(fault)
        storm.accept[f"inc-{number}"] = fault.accept
        storm.began[f"inc-{number}"] = fault.root, at
        storm.what[f"inc-{number}"] = fault.what
        storm.felt[f"inc-{number}"] = {symptom: at + delay for symptom, delay in fault.symptoms.items()}
        maker.fault(fault, f"inc-{number}", at)
        at += rng.uniform(30, 780)
    if kind == "noise":
        maker.noise(rng.randint(6, 10))
    elif kind == "overlap" and rng.random() < 0.4:
        maker.noise(rng.randint(1, 2))
    namespaces = {shop.namespaces[f.root] for f in faults}
    storm.one_namespace = count > 1 and len(namespaces) == 1
    storm.known = _known(faults, shop, rng)
    storm.rules = _rules(maker, random.Random(f"rules of {seed // WORLD}"))
    return storm


def _known(faults: list[Fault], shop: Shop, rng: random.Random) -> Known:
    """What a cluster would know: also of changes that broke nothing."""
    changed = {name for f in faults for name in f.changed}
    changed |= {name for name in shop.services if rng.random() < 0.015}
    return Known(frozenset(n for f in faults for n in f.unready), frozenset(changed))


def _rules(maker: "_Maker", rng: random.Random) -> AlertRules:
    """`for` and range of each rule, so that it takes as long as it does; which share of the range has to fill, nobody tells."""
    found = []
    for kind, (_, takes, _) in RULES.items():
        lag, window = takes * maker.factor[kind], rng.choice([60.0, 120.0, 300.0, 300.0, 600.0])
        share = {"error": (0.1, 0.6), "slow": (0.1, 0.6), "starved": (0.9, 1.1), "dry": (0.9, 1.1)}.get(kind)
        if share is None:  # pods and nodes: their `for`, and some time until it is seen
            found.append(AlertRule(maker.names[kind], maker.holds[kind] * 60.0))
        else:
            holds = lag - rng.uniform(*share) * window - rng.uniform(15, 45)
            found.append(AlertRule(maker.names[kind], max(0.0, holds), window=window))
    found.append(AlertRule("BlackboxProbeFailed", 220.0))
    return AlertRules(tuple(found))


class _Maker:
    """Turns symptoms into alerts, as the rules of one cluster would."""

    def __init__(self, storm: Storm, shop: Shop, world: random.Random, rng: random.Random) -> None:
        """`world` draws what stays the same from storm to storm: which rules there are, and how long they take."""
        self.storm, self.shop, self.rng = storm, shop, rng
        self.factor = {kind: world.uniform(1 - OFF, 1 + OFF) for kind in RULES}
        self.jitter = world.uniform(10, 40)
        self.seen = {kind: world.uniform(0.8, 1.0) for kind in RULES}
        self.names = {kind: world.choice(names) for kind, (names, _, _) in RULES.items()}
        self.holds = {kind: world.choice(minutes) if minutes else 0 for kind, (_, _, minutes) in RULES.items()}
        self.told = {kind: world.random() < 0.75 for kind in RULES}
        self.spelling = world.choice(
            ["service_name", "service", "destination_canonical_service", "service.name", "app"]
        )
        self.slos = {s for s in shop.services if world.random() < 0.6}
        self.probed = world.random() < 0.6
        self.burn = {s: rng.lognormvariate(4.4, 0.6) for s in shop.needs}  # how many times too fast, when it fails
        self.top = max(shop.graph.nodes, key=lambda n: (len(shop.graph.dependencies(n)), n))

    def fault(self, fault: Fault, incident: str, at: float) -> None:
        for (kind, service), delay in sorted(fault.symptoms.items()):
            if self.rng.random() < self.seen[kind]:
                self._symptom(kind, service, at + delay, incident)
            if kind == "error" and service in self.slos:
                self._burns(service, at + delay, incident)
            if kind == "error" and self.probed and (service == self.top or self.rng.random() < 0.1):
                path = "health" if service == self.top else f"api/{service}"
                labels = {"instance": f"https://www.example.com/{path}", "job": "blackbox", "namespace": "monitoring"}
                self._raise("BlackboxProbeFailed", labels, at + delay + self._lag(250, 1.0), incident, derived=True)

    def noise(self, count: int) -> None:
        rng = self.rng
        for number in range(count):
            at, draw = T0 + rng.choice([rng.uniform(-300000, -10000), rng.uniform(0, 5000)]), rng.random()
            if draw < 0.65:
                labels = {
                    "namespace": rng.choice(["velero", "kube-system", *sorted(set(self.shop.namespaces.values()))])
                }
                labels |= {"name": f"thing-{number}", "job": "kube-state-metrics"}
                self._raise(rng.choice(HYGIENE), labels, at, NOISE)
            elif draw < 0.85:
                labels = {"namespace": f"team-{number}", "pod": f"other-{number}-7d9f8b6c5-abc12"}
                self._raise(rng.choice(["KubernetesPodCrashLooping", "ServiceErrorsElevated"]), labels, at, NOISE)
            else:
                service = rng.choice(self.shop.services)
                name = rng.choice(
                    [*["ContainerCpuThrottled"] * 3, *["RequestDurationP99High"] * 2, "ServiceErrorsElevated"]
                )
                self._raise(name, {"service": service, "stray": str(number)}, at, NOISE)

    def _symptom(self, kind: str, service: str, at: float, incident: str) -> None:
        rng, (_, takes, _) = self.rng, RULES[kind]
        text = (
            f"{service} is so for longer than {self.holds[kind]} minutes."
            if self.holds[kind] and self.told[kind]
            else ""
        )
        starts = at + self.holds[kind] * 60 + self._lag(takes, self.factor[kind])
        labels = {"namespace": self.shop.namespaces.get(service, "monitoring")}
        if kind == "node":
            labels |= {"instance": f"{service}:9100", "job": "node-exporter"}
        elif kind in POD_KINDS:
            labels |= {"service": "kube-state-metrics", "job": "kube-state-metrics"}
            for _ in range(rng.randint(1, 3)):
                pod = f"{service}-{rng.randrange(16**9):09x}-{rng.randrange(16**5):05x}"
                self._raise(self.names[kind], labels | {"pod": pod}, starts + rng.uniform(0, 30), incident, text)
            return
        elif kind == "mismatch":
            labels |= {"deployment": service, "service": "kube-state-metrics"}
        else:
            labels |= {self.spelling: service}
        self._raise(self.names[kind], labels, starts, incident, text, derived=kind in ("mismatch", "target"))

    def _burns(self, service: str, at: float, incident: str) -> None:
        for long, seconds, factor, chance in (("1h", 3600, 14.4, 0.85), ("6h", 21600, 6.0, 0.6)):
            if self.burn[service] > factor * 1.5 and self.rng.random() < chance:
                labels = {"slo": f"{service}-availability", "long": long, "namespace": self.shop.namespaces[service]}
                takes = self._lag(60 + seconds * factor / self.burn[service], 1.0)
                self._raise("SloBudgetBurnsFast", labels, at + takes, incident, derived=True)

    def _lag(self, takes: float, factor: float) -> float:
        return max(0.0, takes * factor + self.rng.gauss(0, self.jitter))

    def _raise(
        self, name: str, labels: Mapping[str, str], at: float, incident: str, text: str = "", derived: bool = False
    ) -> None:
        """Adds the alert; one that another fault raised already has both as its cause, and begins when the first does."""
        full = {"alertname": name, "severity": "critical" if self.rng.random() < 0.5 else "warning", **labels}
        identity = {key: value for key, value in full.items() if key != "severity"}
        fingerprint = hashlib.sha256(repr(sorted(identity.items())).encode()).hexdigest()[:16]
        starts = datetime.fromtimestamp(round(at / 15) * 15, UTC)
        known = self.storm.truth.get(fingerprint)
        if known is not None:
            if known != incident:
                self.storm.truth[fingerprint] = frozenset(
                    {incident} | (known if isinstance(known, frozenset) else {known})
                )
            index = next(i for i, a in enumerate(self.storm.alerts) if a.fingerprint == fingerprint)
            if starts >= self.storm.alerts[index].starts_at:
                return
            del self.storm.alerts[index]
        self.storm.truth.setdefault(fingerprint, incident)
        self.storm.alerts.append(Alert(fingerprint, "firing", starts, full, {"description": text}, starts))
        if derived:
            self.storm.derived.add(fingerprint)
