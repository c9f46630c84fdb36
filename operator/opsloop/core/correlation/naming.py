"""What the root of a group is called: facts may lie on the service beside the one that is at fault.

1. A root that is only starved, beside another service of its group that its caller stopped calling: that caller is at fault.
2. A root that fails, and is slow or reads nothing, and that alone uses one silent service (a database, a cache): that one is at fault.
A root of which the cluster itself knows something keeps its name.
"""

from collections.abc import Collection, Mapping

from opsloop.core.correlation.facts import DEAD, DRY, FAIL, GONE, SLOW
from opsloop.core.correlation.paths import Known
from opsloop.core.topology import Graph

Kinds = Mapping[str, Collection[str]]  # service → kinds of the facts on it


def named(root: str, group: Kinds, storm: Kinds, graph: Graph, known: Known) -> str:
    """The service at fault, by the facts of the root's own group and those of the whole storm."""
    if root in known.unready or root in known.changed:
        return root
    own = set(storm.get(root, ()))
    if own and own <= GONE:
        return next((caller for caller in _failing_callers(root, group, graph)), root)
    if FAIL in own and own & {SLOW, DRY} and DEAD not in own:
        callees = [c for c in graph.callees(root) if c not in known.well]
        private = [c for c in callees if len(graph.callers(c)) == 1 and not storm.get(c)]
        if len(private) == 1 and not graph.callees(private[0]):
            return private[0]
    return root


def _failing_callers(root: str, kinds: Kinds, graph: Graph) -> list[str]:
    """Callers that fail and that call another starved service besides `root`, by name."""
    return sorted(
        caller
        for caller in graph.callers(root)
        if FAIL in kinds.get(caller, ())
        and any(callee != root and GONE.intersection(kinds.get(callee, ())) for callee in graph.callees(caller))
    )
