"""The dependency graph of a namespace: `spec.dependsOn` of all its Releases."""

from collections.abc import Sequence

from opsloop.core.facts import ReleaseView


class Topology:
    """Directed graph of service names. A name in some dependsOn is a node, also where no Release has that name."""

    def __init__(self, releases: Sequence[ReleaseView]) -> None:
        """`releases`: all of the namespace; those under deletion are left out."""
        self.views = {
            view.release.metadata.name: view for view in releases if not view.release.metadata.deletion_timestamp
        }
        self._needs = {name: tuple(view.release.spec.depends_on) for name, view in self.views.items()}
        self._reach: dict[str, dict[str, int]] = {}

    @property
    def nodes(self) -> frozenset[str]:
        """Names of all Releases and of everything that one of them depends on."""
        return frozenset(self.views).union(*self._needs.values())

    def dependencies(self, name: str) -> dict[str, int]:
        """Everything that `name` depends on, with the least number of hops; `name` itself is not in it. Cycles end."""
        if name not in self._reach:
            self._reach[name] = self._walk(name)
        return self._reach[name]

    def _walk(self, name: str) -> dict[str, int]:
        hops, frontier = {name: 0}, [name]
        for current in frontier:
            for needed in self._needs.get(current, ()):
                if needed not in hops:
                    hops[needed] = hops[current] + 1
                    frontier.append(needed)
        del hops[name]
        return hops
