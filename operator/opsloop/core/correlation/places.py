"""Nodes and namespaces as roots, for services that nobody's `dependsOn` names.

Without edges nothing ties two services together but where they run and that the same alert fires at the same time: three or more
of that kind are one fault of the place, not three.
"""

from collections import Counter
from collections.abc import Sequence

from opsloop.core.correlation.facts import Fact
from opsloop.core.correlation.method import Nats, Prices
from opsloop.core.topology import Graph

_NODE, _NAMESPACE = "node/", "namespace/"  # no service has a slash in its name


def is_place(root: str) -> bool:
    """True for a root that is a node or a namespace."""
    return root.startswith((_NODE, _NAMESPACE))


class Places:
    """The places of facts on services without neighbours."""

    def __init__(self, facts: Sequence[Fact], graph: Graph, prices: Prices) -> None:
        """`facts`: those of one storm."""
        self._prices = prices
        alone = [f for f in facts if f.service and not graph.callers(f.service) and not graph.callees(f.service)]
        self._places = {fact: _places(fact) for fact in alone}
        names: dict[str, Counter[str]] = {}
        for fact, places in self._places.items():
            for place in places:
                names.setdefault(place, Counter()).update(fact.alertnames)
        self._commonest = {place: min(count, key=lambda n: (-count[n], n)) for place, count in names.items()}

    def of(self, fact: Fact) -> dict[str, Nats]:
        """Place → price, of a fact on a service."""
        prices = self._prices
        return {
            place: prices.at_place + (0.0 if self._commonest[place] in fact.alertnames else prices.other_name)
            for place in self._places.get(fact, ())
        }


def _places(fact: Fact) -> list[str]:
    places = [_NODE + node for node in sorted(fact.nodes)]
    return [*places, _NAMESPACE + fact.entity.namespace] if fact.entity.namespace else places
