"""Facts: what many alerts say together, one thing about one entity at one time.

All alerts of a fact go where the fact goes, so that neither the cost nor the weight of a storm grows with the number of its
alerts: three pods that are not ready, or a rule that fires twice, are one fact.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from opsloop.core.alerts.labels import as_spelled, loudness, name_of, node_of
from opsloop.core.correlation import classes
from opsloop.core.correlation.classes import Classifier
from opsloop.core.correlation.entities import OUTSIDE, SERVICE, Entity, EntityReader
from opsloop.core.correlation.method import Method, Seconds
from opsloop.core.correlation.onsets import Rules, lag_of, rule_of, window_of
from opsloop.core.reported import Alert
from opsloop.core.topology import Graph

FAIL, SLOW, STARVED, DRY, DEAD, SAT = "fail", "slow", "starved", "dry", "dead", "sat"
HARM, GONE = frozenset({FAIL, SLOW}), frozenset({STARVED, DRY})  # kinds that tell of harm, and of traffic that is gone

_KINDS: Mapping[str, str] = {
    classes.ERROR: FAIL, classes.BURN: FAIL, classes.PROBE: FAIL, classes.OTHER: FAIL, classes.LATENCY: SLOW,
    classes.STARVED: STARVED, classes.DRY: DRY, classes.WORKLOAD: DEAD, classes.SATURATION: SAT,
}  # fmt: skip

MOST_KNOWN = 20_000  # readings that are kept, so that an alert is read once
_WINDOW = 3600.0  # seconds; of a burn that does not tell its own

Key = tuple[str, float]  # an episode: fingerprint, startsAt as Unix time


@dataclass(frozen=True, slots=True)
class Reading:
    """One episode of an alert, read. `kind` "" = never correlated: hygiene, or about something outside."""

    key: Key
    alertname: str
    rule: str  # `onsets.rule_of`
    kind: str
    entity: Entity
    onset: Seconds  # Unix time
    spread: Seconds
    lag: Seconds
    node: str = ""  # on which its pod runs, where the labels say so
    window: Seconds = 0.0  # of a burn: it fires within so long after errors began


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """Episodes that say the same of one entity at about the same time; `onset` is their median, weighted by 1/spread²."""

    kind: str
    entity: Entity
    onset: Seconds
    spread: Seconds
    readings: tuple[Reading, ...]

    @property
    def service(self) -> str:
        """The service that it is about, "" for a node or a namespace."""
        return self.entity.name if self.entity.kind == SERVICE else ""

    @property
    def alertnames(self) -> frozenset[str]:
        """Names of its alerts."""
        return frozenset(reading.alertname for reading in self.readings)

    @property
    def nodes(self) -> frozenset[str]:
        """Nodes that its alerts name."""
        return frozenset(reading.node for reading in self.readings if reading.node)


class Reader:
    """Reads alerts, each once: class, entity and lag are kept by fingerprint and rule."""

    def __init__(
        self,
        graph: Graph,
        method: Method,
        rules: Rules | None = None,
        aliases: Mapping[str, str] | None = None,
        home: str = "",
        strangers: bool = False,
    ) -> None:
        """`aliases`, `home` and `strangers` as in `entities.EntityReader`."""
        self.graph, self.method, self.rules = graph, method, rules or Rules()
        self.class_of = Classifier(method.words)
        self._entity_of = EntityReader(graph, aliases, home, strangers)
        self._known: dict[Key, Reading] = {}
        self._entities: dict[Entity, Entity] = {}  # one object for each

    def __call__(self, alert: Alert) -> Reading:
        """The alert's reading."""
        key = alert.fingerprint, alert.starts_at.timestamp()
        if key not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
                self._entities.clear()
            self._known[key] = self._read(alert, key)
        return self._known[key]

    def _read(self, alert: Alert, key: Key) -> Reading:
        name, rule = name_of(alert), rule_of(alert.labels)
        of_class = self.class_of(name)
        kind = _KINDS.get(of_class, "")
        if of_class == classes.OTHER and not loudness(alert):
            kind = ""  # nobody knows what it says, and whoever wrote it says that it does not matter
        read = self._entity_of(alert.labels, of_class)
        entity = self._entities.setdefault(read, read)
        if not kind or entity.kind == OUTSIDE:
            return Reading(key, name, rule, "", entity, key[1], 0.0, 0.0)
        lag = lag_of(alert, of_class, self.method, self.rules)
        node = node_of(as_spelled(alert.labels))
        window = (window_of(alert.labels) or _WINDOW) if of_class == classes.BURN else 0.0
        return Reading(key, name, rule, kind, entity, key[1] - lag.expected, lag.spread, lag.expected, node, window)


def facts_of(readings: Iterable[Reading], split: Seconds) -> list[Fact]:
    """The facts, by onset; readings of one entity and kind whose onsets are more than `split` apart are several."""
    groups: dict[tuple[Entity, str], list[Reading]] = {}
    for reading in readings:
        if reading.kind:
            groups.setdefault((reading.entity, reading.kind), []).append(reading)
    facts = [
        _fact(kind, entity, cluster) for (entity, kind), group in groups.items() for cluster in _clusters(group, split)
    ]
    return sorted(facts, key=lambda f: (f.onset, f.entity, f.kind))


def _clusters(readings: list[Reading], split: Seconds) -> list[list[Reading]]:
    """Readings of one fact each. A burn joins the errors that began within its window: it fires the later the fewer fail."""
    clusters: list[list[Reading]] = []
    for reading in sorted((r for r in readings if not r.window), key=lambda r: (r.onset, r.key)):
        if not clusters or reading.onset - clusters[-1][-1].onset > split:
            clusters.append([])
        clusters[-1].append(reading)
    for burn in sorted((r for r in readings if r.window), key=lambda r: (r.key[1], r.key)):
        fits = [c for c in clusters if burn.key[1] - burn.window <= c[0].onset <= burn.key[1]]
        if fits:
            min(fits, key=lambda c: (abs(c[0].onset - burn.onset), c[0].onset)).append(burn)
        else:
            clusters.append([burn])
    return clusters


def weighted_median(values: Sequence[tuple[float, float]]) -> float:
    """The median of (value, weight > 0), at least one: the lowest value at which half of the weight is reached."""
    ordered = sorted(values)
    half, seen = sum(weight for _, weight in ordered) / 2, 0.0
    for value, weight in ordered:
        seen += weight
        if seen >= half * (1 - 1e-9):  # sums of floats: exactly half is reached, in whatever order they were added
            return value
    return ordered[-1][0]


def _fact(kind: str, entity: Entity, readings: list[Reading]) -> Fact:
    onset = weighted_median([(r.onset, r.spread**-2) for r in readings])
    return Fact(kind, entity, onset, min(r.spread for r in readings), tuple(readings))
