"""What an alert is about: a service of the graph, a node, a namespace, or something outside.

Labels are read from the most telling one on (`core.alerts.labels`): what names the destination or the workload before `service` and
`job`, which often name the exporter. A probe has a URL only: the segment of its path that is a service, else the service at
the top of the graph. A name that is known but not of the graph is outside: its alerts belong to nothing here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from opsloop.core.alerts.labels import as_spelled, candidates, is_exporter, namespace_of, node_of
from opsloop.core.correlation.classes import PROBE
from opsloop.core.topology import Graph

SERVICE, NODE, NAMESPACE, OUTSIDE = "service", "node", "namespace", "outside"


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """Something that an alert may be about; `kind` is one of the constants above."""

    kind: str
    name: str
    namespace: str = ""


class EntityReader:
    """Reads entities from labels, for one graph."""

    def __init__(
        self, graph: Graph, aliases: Mapping[str, str] | None = None, home: str = "", strangers: bool = False
    ) -> None:
        """`aliases`: Service or workload → service of the graph; `home`: namespace of services that have none of their own.

        `strangers`: a name that is not of the graph is a service all the same, without neighbours; else it is outside.
        """
        self._graph, self._home, self._strangers = graph, home, strangers
        self._names = {name: name for name in graph.nodes} | dict(aliases or {})
        self._stems = {_stem(name): name for name in sorted(self._names, reverse=True)}
        self._top = min(graph.nodes, key=lambda n: (-len(graph.dependencies(n)), n), default="")

    def __call__(self, labels: Mapping[str, str], kind: str) -> Entity:
        """The entity of an alert; `kind` is its class."""
        namespace, plain = namespace_of(labels), as_spelled(labels)
        if kind == PROBE and (url := _url(labels)):
            return Entity(SERVICE, self._probed(url)) if self._top else Entity(OUTSIDE, url)
        stranger = ""
        for name in candidates(plain):
            if service := self._known(name):
                return self._of_namespace(service, namespace)
            if not stranger and not is_exporter(name):
                stranger = name
        if service := self._prefix(plain.get("slo", "")) or self._prefix(plain.get("pod", "")):
            return self._of_namespace(service, namespace)
        if stranger:
            return self._stranger(stranger, namespace)
        if node := node_of(plain):
            return Entity(NODE, node)
        if "instance" in plain and (not namespace or "node" in plain.get("job", "")):
            return Entity(NODE, plain["instance"].rsplit(":", 1)[0])
        return Entity(NAMESPACE, namespace, namespace)

    def _known(self, name: str) -> str:
        return self._names.get(name, "")

    def _of_namespace(self, service: str, namespace: str) -> Entity:
        """The service, unless the alert speaks of a namesake in another namespace."""
        home = self._graph.namespace(service) or self._home
        if namespace and home and namespace != home:
            return self._stranger(service, namespace)
        return Entity(SERVICE, service)

    def _stranger(self, name: str, namespace: str) -> Entity:
        """Something that the graph does not know; a namesake elsewhere has its namespace in its name."""
        if not self._strangers:
            return Entity(OUTSIDE, name, namespace)
        own = namespace in ("", self._home) and name not in self._graph.nodes
        return Entity(SERVICE, name if own or not namespace else f"{namespace}-{name}", namespace or self._home)

    def _prefix(self, text: str) -> str:
        """The service whose name is the longest beginning of the text, by whole parts."""
        parts = text.split("-")
        for size in range(len(parts) - 1, 0, -1):
            if service := self._known("-".join(parts[:size])):
                return service
        return ""

    def _probed(self, url: str) -> str:
        try:
            parts = urlsplit(url)
            names = [*reversed(parts.path.split("/")), *(parts.hostname or "").split(".")]
        except ValueError:  # half an IPv6 address, for one
            return self._top
        stems = (self._stems.get(_stem(name)) for name in names if name)
        return self._names[next((name for name in stems if name), self._top)]


def _url(labels: Mapping[str, str]) -> str:
    """The label that is a URL, "" where none is."""
    return next((value for value in labels.values() if value.startswith(("http://", "https://"))), "")


def _stem(name: str) -> str:
    return name.lower().removesuffix("s")
