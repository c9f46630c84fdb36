"""The dependency graph of services: `spec.dependsOn` of all Releases of a namespace, or a recorded file."""

from collections.abc import Mapping, Sequence

from opsloop.core.facts import ReleaseView


class Graph:
    """Directed graph of service names: who needs whom. A name that is merely needed is a node as well. Cycles are allowed."""

    def __init__(self, needs: Mapping[str, Sequence[str]], namespaces: Mapping[str, str] | None = None) -> None:
        """`needs`: service → what it calls or reads directly; `namespaces`: service → namespace, where it is known."""
        self._needs = {name: tuple(dict.fromkeys(needed)) for name, needed in needs.items()}
        self._namespaces = namespaces or {}
        self._callers: dict[str, list[str]] = {}
        for name, needed in self._needs.items():
            for callee in needed:
                self._callers.setdefault(callee, []).append(name)
        self._down: dict[str, dict[str, int]] = {}
        self._up: dict[str, dict[str, int]] = {}

    @property
    def nodes(self) -> frozenset[str]:
        """Names of all services and of everything that one of them depends on."""
        return frozenset(self._needs).union(*self._needs.values())

    def namespace(self, name: str) -> str:
        """The service's namespace, "" where it is not known."""
        return self._namespaces.get(name, "")

    def callees(self, name: str) -> Sequence[str]:
        """What `name` depends on directly."""
        return self._needs.get(name, ())

    def callers(self, name: str) -> Sequence[str]:
        """What depends on `name` directly."""
        return self._callers.get(name, ())

    def dependencies(self, name: str) -> dict[str, int]:
        """Everything that `name` depends on, with the least number of hops; `name` itself is not in it."""
        if name not in self._down:
            self._down[name] = _walk(name, self._needs)
        return self._down[name]

    def dependents(self, name: str) -> dict[str, int]:
        """Everything that depends on `name`, with the least number of hops; `name` itself is not in it."""
        if name not in self._up:
            self._up[name] = _walk(name, self._callers)
        return self._up[name]


class Topology(Graph):
    """The graph of one namespace's Releases. A name in some dependsOn is a node, also where no Release has that name."""

    def __init__(self, releases: Sequence[ReleaseView]) -> None:
        """`releases`: all of the namespace; those under deletion are left out."""
        self.views = {
            view.release.metadata.name: view for view in releases if not view.release.metadata.deletion_timestamp
        }
        super().__init__({name: view.release.spec.depends_on for name, view in self.views.items()})

    def strangers(self, name: str) -> dict[str, ReleaseView]:
        """The Releases that have nothing to do with `name`: neither depends on the other, nor both on a third; in order."""
        related = {name, *self.dependencies(name)}
        return {
            other: view
            for other, view in sorted(self.views.items())
            if other not in related and not related & self.dependencies(other).keys()
        }


def _walk(name: str, edges: Mapping[str, Sequence[str]]) -> dict[str, int]:
    hops, frontier = {name: 0}, [name]
    for current in frontier:
        for other in edges.get(current, ()):
            if other not in hops:
                hops[other] = hops[current] + 1
                frontier.append(other)
    del hops[name]
    return hops
