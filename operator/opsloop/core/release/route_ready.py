"""Whether the weights of the HTTPRoute that the spec names can be moved, and the Service that the canary has for it."""

from collections.abc import Iterable, Mapping
from typing import Any

from opsloop.api.strategy import HttpRoute, Match, Mirror, Step
from opsloop.core import conditions, gateways, http_route, http_rules
from opsloop.core.actions import DeleteCanaryService, EnsureCanaryService
from opsloop.core.decision import SOONEST_LOOK
from opsloop.core.facts import ReleaseFacts, RouteFacts, WorkloadFacts
from opsloop.core.http_route import Backends
from opsloop.core.http_rules import Extra
from opsloop.core.release import ReleaseBuilder
from opsloop.core.release.alone import LOOK_AGAIN, UNREADABLE
from opsloop.core.release.rollout_state import WRITE_REFUSED, Obstacle, refusal_of
from opsloop.core.release.route_back import ROUTE_MISSING, asked, backends_of
from opsloop.core.selectors import serves
from opsloop.names import CANARY, RELEASE, canary_name

# Named reasons
ROUTE_FORBIDDEN = "RouteForbidden"  # opsloop may not read HTTPRoutes
ROUTE_TAKEN = "RouteTaken"  # another Release's canary has weights on the HTTPRoute: one after the other
RULE_MISSING = "RuleMissing"  # no rule of the HTTPRoute sends anything to the Service
RULE_AMBIGUOUS = "RuleAmbiguous"  # a rule has the Service twice: whose weight is to be moved?
SERVICE_MISSING = "ServiceMissing"  # the Service does not exist, or does not select the live pods
CANARY_SERVICE_MISSING = "CanaryServiceMissing"  # the canary's own Service is not there yet
ROUTE_NOT_ACCEPTED = "RouteNotAccepted"  # no Gateway has accepted the HTTPRoute
REFS_NOT_RESOLVED = "RefsNotResolved"  # a Gateway does not find what the HTTPRoute refers to
ROUTE_UNREACHABLE = "RouteWeightUnreachable"  # whole numbers cannot say a weight beside the rule's other backends
WARM_ON_ROUTE = "WarmOnRoute"  # warm pods have the HTTPRoute's traffic until the Deployment is available
RULE_UNFIT = "RuleUnfit"  # the HTTPRoute cannot have the rule that a step with match or mirror adds
MIRROR_UNSUPPORTED = "MirrorUnsupported"  # a Gateway does not say that it can copy requests, so it may answer errors
ROUTE_READY = "RouteReady"  # the weights of the HTTPRoute can be moved
BY_PODS = "ByPods"  # the number of canary pods makes the weights, no HTTPRoute

OWN_LABELS = ("app.kubernetes.io/managed-by", RELEASE, CANARY)
"""Labels that the canary's Service has of its own, whatever the live pods' Service has."""
FIELDS = ("name", "port", "protocol", "targetPort", "appProtocol")
"""Fields of the live pods' Service's ports that the canary's has too."""


def hindered(facts: ReleaseFacts, workload: WorkloadFacts, route: HttpRoute) -> Obstacle | None:
    """Why the weights of the route cannot be moved, with what to do; None where they can."""
    if (warm := facts.release.status.warm) is not None and warm.routed:
        return Obstacle(
            WARM_ON_ROUTE, f"the warm pods of {warm.version} have its traffic until their Deployment is available"
        )
    found, backends = (
        facts.routes.get(route.name, RouteFacts(route.name, None, ROUTE_MISSING)),
        backends_of(facts, route),
    )
    if found.stored is None:
        return Obstacle(found.reason, found.message or _missing(route.name))
    if other := http_route.marked_by_other(found.stored, facts.release.metadata.name):
        text = f"the canary of Release {other} has weights on HTTPRoute {route.name}; this one waits until it is over"
        return Obstacle(ROUTE_TAKEN, text)
    if http_route.twice(found.stored, backends):
        text = f"a rule of HTTPRoute {route.name} has Service {backends.stable} in two backendRefs: make it one"
        return Obstacle(RULE_AMBIGUOUS, text)
    if not http_route.splits(found.stored, backends):
        among = f", among {', '.join(backends.rules)}" if backends.rules else ""
        text = (
            f"no rule of HTTPRoute {route.name}{among} has Service {backends.stable} with a weight in its backendRefs; name the"
            " Service of the live pods in strategy.httpRoute.service"
        )
        return Obstacle(RULE_MISSING, text)
    steps = facts.release.spec.strategy.steps
    if text := http_route.unreachable(found.stored, backends, (step.weight for step in steps if 0 < step.weight < 100)):
        return Obstacle(ROUTE_UNREACHABLE, f"HTTPRoute {route.name}: {text}")
    if (unfit := _unfit(found, backends, steps)) is not None:
        return unfit
    return _services(facts, workload, backends) or _not_taken_in(found.stored, route)


def extra_of(match: Match | None, mirror: Mirror | None) -> Extra | None:
    """The rules that a step adds to the route; None where it has a weight."""
    if match is not None:
        return Extra(headers=tuple((header.name, header.value) for header in match.headers))
    return Extra(percent=mirror.percent, methods=tuple(mirror.methods)) if mirror is not None else None


def _unfit(found: RouteFacts, backends: Backends, steps: Iterable[Step]) -> Obstacle | None:
    """Why the rules of a step cannot be added to the route; None where those of all steps can."""
    for step in steps:
        extra = extra_of(step.match, step.mirror)
        if extra is None or found.stored is None:
            continue
        if extra.percent:
            needed = {gateways.MIRROR, gateways.METHODS} | ({gateways.PERCENT} if extra.percent < 100 else set())
            if text := gateways.lacking(found.features, needed):
                text = f"{step.words} on HTTPRoute {found.name}: {text}; leave the step out, or use another Gateway"
                return Obstacle(MIRROR_UNSUPPORTED, text)
        if text := http_rules.unfit(found.stored, backends, extra):
            return Obstacle(RULE_UNFIT, f"{step.words} on HTTPRoute {found.name}: {text}")
    return None


def _missing(name: str) -> str:
    return (
        f"there is no HTTPRoute {name} in this namespace; create it (Gateway API v1) or correct strategy.httpRoute.name"
    )


def _services(facts: ReleaseFacts, workload: WorkloadFacts, backends: Backends) -> Obstacle | None:
    if facts.beside is None:
        return Obstacle(
            UNREADABLE, "opsloop may not list services and poddisruptionbudgets: which labels must a canary not have?"
        )
    stable = facts.beside.services.get(backends.stable)
    if stable is None or not serves(stable["spec"].get("selector") or {}, _labels(workload)):
        text = f"Service {backends.stable} does not exist, or does not select the pods of Deployment {workload.name}"
        return Obstacle(SERVICE_MISSING, f"{text}; correct strategy.httpRoute.service")
    if refusal := refusal_of(facts, "service", ""):
        return Obstacle(WRITE_REFUSED, f"Service {backends.canary} is refused: {refusal.message}")
    if not has_own(facts, backends.canary):
        return Obstacle(CANARY_SERVICE_MISSING, f"Service {backends.canary} is being made")
    return None


def _not_taken_in(stored: Mapping[str, Any], route: HttpRoute) -> Obstacle | None:
    told = gateways.refusals(stored)
    if not told:
        return None
    kind, text = told[0]
    reason = ROUTE_NOT_ACCEPTED if kind == "Accepted" else REFS_NOT_RESOLVED
    return Obstacle(reason, f"HTTPRoute {route.name}: {text}")


def _labels(workload: WorkloadFacts) -> dict[str, str]:
    return (workload.template.get("metadata") or {}).get("labels") or {}


def has_own(facts: ReleaseFacts, name: str, key: str = CANARY) -> bool:
    """True where the Service is there and this Release's; `key` is the label by which it selects pods."""
    service = facts.beside.services.get(name) if facts.beside is not None else None
    labels = ((service or {}).get("metadata") or {}).get("labels") or {}
    return bool(labels.get(key) == facts.release.metadata.name)


def keep(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Condition RouteReady, and the canary's own Service: there while the spec names a route, so that a ref to it resolves."""
    facts, route = builder.facts, asked(builder.facts)
    canary = canary_name(facts.release.spec.workload_ref.name)
    if route is None:
        if conditions.get(builder.status.conditions, "RouteReady") is not None:
            builder.condition("RouteReady", None, BY_PODS, "the number of canary pods makes the weights")
        if has_own(facts, canary) and not builder.status.route:
            builder.execute(DeleteCanaryService(facts.release.metadata.name, canary))
        return
    if wanted := _service(facts, route):
        refusal = refusal_of(facts, "service", "")
        if facts.stop is None and not (refusal and builder.now < refusal.again_at):
            builder.execute(wanted)
            builder.look_again(SOONEST_LOOK)
    found = _refused(builder) or hindered(facts, workload, route)
    ready = f"the weights of HTTPRoute {route.name} can be moved"
    builder.condition(
        "RouteReady", found is None, found.reason if found else ROUTE_READY, found.message if found else ready
    )
    if found is not None:
        builder.look_again(LOOK_AGAIN)  # nobody tells when a route has changed


def _refused(builder: ReleaseBuilder) -> Obstacle | None:
    """The API server does not let a route be put back: users may be sent to a canary that is gone."""
    target = builder.status.target
    refusal = next((one for one in builder.facts.refusals if one.write == "route"), None)
    if refusal is None or not builder.status.route or (target is not None and target.is_active):
        return None
    text = f"the weights of HTTPRoute {builder.status.route} cannot be put back: {refusal.message}; it is tried again and again"
    return Obstacle(WRITE_REFUSED, text)


def _service(facts: ReleaseFacts, route: HttpRoute) -> EnsureCanaryService | None:
    backends = backends_of(facts, route)
    return service_of(facts, backends.stable, backends.canary)


def service_of(facts: ReleaseFacts, stable: str, name: str, key: str = CANARY) -> EnsureCanaryService | None:
    """A Service of opsloop's own as it should be, like that of the live pods (`stable`); None where it is so, or nobody knows."""
    services = facts.beside.services if facts.beside is not None else {}
    live, own, added = services.get(stable), services.get(name), (*OWN_LABELS, key)
    if live is None:
        return None
    ports = _ports(live)
    labels = {k: v for k, v in (live["metadata"].get("labels") or {}).items() if k not in added}
    if own is not None and has_own(facts, name, key):
        kept = {label: value for label, value in own["metadata"]["labels"].items() if label not in added}
        if _ports(own) == ports and kept == labels:
            return None
    return EnsureCanaryService(facts.release.metadata.name, name, labels, ports, "", key)


def _ports(service: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    return tuple({key: port[key] for key in FIELDS if key in port} for port in service["spec"].get("ports") or [])
