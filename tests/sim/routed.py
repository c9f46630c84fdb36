"""A shop behind a Gateway: users reach the pods of `answers` by the weights of an HTTPRoute, and by nothing else."""

import copy
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from opsloop.core import conditions
from opsloop.names import CANARY
from opsloop.shell.ports import HTTPROUTES, SERVICES, Object
from opsloop.simulator.kube.routes import NOBODY, accept, chosen, copied, receivers
from tests.sim.shift import Shift, release_object, runbook_object
from tests.sim.shop import NS, Shop, version_of

RULES: list[Object] = [
    {
        "matches": [{"path": {"type": "PathPrefix", "value": "/ask"}}],
        "filters": [
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x", "value": "<é&>"}]}}
        ],
        "backendRefs": [{"group": "", "kind": "Service", "name": "answers", "port": 80, "weight": 1}],
    },
    {
        "matches": [{"path": {"type": "PathPrefix", "value": "/static"}}],
        "backendRefs": [{"group": "", "kind": "Service", "name": "files", "port": 80, "weight": 1}],
    },
]
PORTS = [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]


class RoutedShop(Shop):
    """Its users come through the rule that takes GET /ask. `unserved` counts the requests that no pod answered.

    Testers send `testers` requests per second with x-canary: yes; whom these and copied requests reached is in `tested` and
    `copied`, by version.
    """

    def __init__(self, release: Object, rules: list[Object] | None = None) -> None:
        self.unserved, self.testers = 0.0, 0.0
        self.tested, self.copied = Counter[str](), Counter[str]()
        self.accepts = True  # the Gateway's controller works
        super().__init__(release, runbook_object())
        service = self._get(SERVICES, "answers")
        service["spec"]["ports"] = PORTS
        service["metadata"]["labels"] = {"team": "help"}
        self.cluster.seed(service)
        files = {
            "kind": "Service",
            "metadata": {"name": "files", "namespace": NS},
            "spec": {"selector": {"app": "files"}},
        }
        self.cluster.seed(files)
        self.route_as(copy.deepcopy(rules or RULES))
        accept(self.cluster)

    def route_as(self, rules: list[Object]) -> None:
        """Somebody applies the route's rules as they have them in a file; labels and annotations of others stay."""
        stored = self.cluster.find(HTTPROUTES, NS, "shop") or {
            "kind": "HTTPRoute",
            "metadata": {"name": "shop", "namespace": NS},
        }
        self.cluster.seed({**stored, "spec": {"parentRefs": [{"name": "edge"}], "rules": rules}})

    def route(self) -> Object:
        return self._get(HTTPROUTES, "shop")

    def weights(self, rule: int = 0) -> dict[str, int]:
        """Service → weight, of one rule."""
        return {ref["name"]: ref["weight"] for ref in self.route()["spec"]["rules"][rule]["backendRefs"]}

    def tick(self) -> None:
        super().tick()
        if self.accepts:
            accept(self.cluster)

    def _serve(self, seconds: float) -> None:
        route = self.cluster.find(HTTPROUTES, NS, "shop")
        pods = {p["metadata"]["name"]: p for p in self.objects("pods")}
        services = {s["metadata"]["name"]: s for s in self.objects("services")}
        taken = chosen(route, "/ask") if route else None
        found = receivers(taken, services, pods.values()) if taken else {NOBODY: 1.0}
        self.unserved += found.pop(NOBODY, 0.0) * self.rps * seconds
        if taken:
            for service, share in copied(taken).items():
                copies = {"backendRefs": [{"name": service}]}
                self._count(self.copied, receivers(copies, services, pods.values()), self.rps * share, seconds)
        if self.testers and route:
            own = chosen(route, "/ask", headers={"x-canary": "yes"})
            self._count(self.tested, receivers(own or {}, services, pods.values()), self.testers, seconds)
        shares: Counter[str] = Counter()
        for pod, share in found.items():
            shares[version_of(pods[pod])] += share  # type: ignore[assignment]
        start = self.clock.now() - timedelta(seconds=seconds)
        for version, share in sorted(shares.items()):
            self.served.add(version)
            if not self.silent:
                self.telemetry.serve(start, seconds, self.rps * share, self.errors[version], version)

    def _count(self, into: Counter[str], found: dict[str, float], rps: float, seconds: float) -> None:
        """Requests beside those of users: the SLI has them as well."""
        pods = {p["metadata"]["name"]: p for p in self.objects("pods")}
        start = self.clock.now() - timedelta(seconds=seconds)
        for pod, share in found.items():
            version = version_of(pods[pod]) if pod != NOBODY else NOBODY
            into[version] += share * rps * seconds  # type: ignore[assignment]
            if version and not self.silent:
                self.telemetry.serve(start, seconds, rps * share, self.errors[version], version)


class Routed(Shift):
    """A shift whose canary is behind the route. Asserts at every store that no weight is above the decided one."""

    shop: RoutedShop

    def __init__(self, rules: list[Object] | None = None, http_route: Object | None = None) -> None:
        release = release_object()
        release["spec"].pop("evals")
        release["spec"]["strategy"] |= {"traffic": "httpRoute", "httpRoute": http_route or {"name": "shop"}}
        super().__init__(shop=RoutedShop(release, rules))
        self.by_others = False  # somebody else writes the route just now
        self.rules = copy.deepcopy(self.shop.route()["spec"]["rules"])
        self.last = self.rules
        follow = self.shop.cluster.on_store

        def see(stored: Object) -> None:
            follow(stored)
            if stored["kind"] == "HTTPRoute":
                if not self.by_others and stored["spec"]["rules"] != self.last:
                    self._assert_route(stored)
                self.last = copy.deepcopy(stored["spec"]["rules"])

        self.shop.cluster.on_store = see

    def _assert_route(self, stored: Object) -> None:
        """Other rules, filters and refs are as they were; the canary's share is at most the decided weight."""
        target = self.release().status.target if self._find_release() else None
        found = stored["spec"]["rules"]
        own = [rule for rule in found if rule.get("name", "").startswith("opsloop-canary-")]
        assert found[len(found) - len(own) :] == own, "they stand last"
        assert not own or (target is not None and target.state == "Stepping" and target.by_rules), target
        for rule, before in zip(found[: len(found) - len(own)], self.rules, strict=True):
            assert {k: v for k, v in rule.items() if k != "backendRefs"} == {
                k: v for k, v in before.items() if k != "backendRefs"
            }
            ours = ("answers", "answers-canary")
            others = [ref for ref in rule["backendRefs"] if ref["name"] not in ours]
            assert others == [ref for ref in before["backendRefs"] if ref["name"] not in ours]
            weights = {ref["name"]: ref["weight"] for ref in rule["backendRefs"]}
            canary = weights.get("answers-canary", 0)
            share = 100 * canary / (canary + weights.get("answers", 0)) if canary else 0
            assert share == 0 or (target is not None and share <= target.weight), (share, target)

    def _find_release(self) -> bool:
        return bool(self.shop.objects("releases"))

    def as_found(self) -> bool:
        """The route is as it was before anything was canaried, without a mark."""
        route = self.shop.route()
        marks = str(route["metadata"].get("labels")) + str(route["metadata"].get("annotations"))
        return route["spec"]["rules"] == self.rules and "opsloop" not in marks

    def write(self, rules: list[Object]) -> None:
        """Somebody else writes the route's rules."""
        self.by_others = True
        self.shop.route_as(rules)
        self.by_others = False

    def edit(self, **spec: Any) -> None:
        stored = self.release_object()
        stored["spec"] = {k: v for k, v in (stored["spec"] | spec).items() if v is not None}
        self.shop.cluster.seed(stored)

    def condition(self, kind: str) -> tuple[str, str]:
        found = conditions.get(self.release().status.conditions, kind)
        return (found.status, found.reason) if found else ("", "")

    def canary_labels(self) -> set[str]:
        pods = [p for p in self.shop.objects("pods") if CANARY in p["metadata"]["labels"]]
        return {key for pod in pods for key in pod["metadata"]["labels"]}


def story(play: Callable[[Routed], Awaitable[None]], **how: Any) -> Callable[[], Awaitable[None]]:
    """A test that starts with v1 adopted and last-good, behind a route."""

    async def test() -> None:
        shift = Routed(**how)
        try:
            await shift.adopt()
            await play(shift)
        finally:
            await shift.operator.stop()

    test.__name__ = play.__name__
    return test
