"""The HTTPRoute of a rollout is put back as it was found: at the end of each canary, before its gates close and its pods end."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from opsloop.api.strategy import HttpRoute
from opsloop.api.target import Target
from opsloop.core import gateways, http_route
from opsloop.core.actions import SetRoute
from opsloop.core.decision import SOONEST_LOOK
from opsloop.core.facts import ReleaseFacts
from opsloop.core.http_route import Backends
from opsloop.core.release import ReleaseBuilder
from opsloop.names import CANARY, canary_name

# Named reasons
ROUTE_MISSING = "RouteMissing"  # there is no HTTPRoute of that name, or no Gateway API
ROUTE_CONTESTED = "RouteContested"  # somebody writes the HTTPRoute back again and again: it is left to them

DRAINS = timedelta(seconds=10)  # longest wait for Gateways before pods of a promoted canary end


def asked(facts: ReleaseFacts) -> HttpRoute | None:
    """What the spec says of the HTTPRoute; None where pods make the weights."""
    strategy = facts.release.spec.strategy
    return strategy.http_route if strategy.traffic == "httpRoute" else None


def backends_of(facts: ReleaseFacts, route: HttpRoute) -> Backends:
    """The refs of the route that are meant."""
    deployment = facts.release.spec.workload_ref.name
    return Backends(route.service or deployment, canary_name(deployment), tuple(route.rules))


def share_of(facts: ReleaseFacts, target: Target) -> int | None:
    """The canary's largest share on the target's route, in percent; None where pods make it."""
    if target.route is None:
        return None
    found = facts.routes.get(target.route.name)
    stored = found.stored if found else None
    return round(http_route.shares(stored, backends_of(facts, target.route))[1]) if stored else 0


def put_back(builder: ReleaseBuilder) -> bool:
    """Has the route's weights put back as they were found, as safety; True while they are not."""
    facts, name, target = builder.facts, builder.status.route, builder.status.target
    if not name:
        return False
    found, own = facts.routes.get(name), target is not None and target.is_active and is_of(target, name)
    if found is None:
        builder.look_again(SOONEST_LOOK)  # recorded by this very pass; the next one sees the route
        return True
    route = target.route if target is not None and target.route is not None and target.route.name == name else None
    backends = backends_of(facts, route or HttpRoute(name=name))
    left = _is_left(found.stored, target)
    if left or found.reason == ROUTE_MISSING or (found.stored is not None and _is_back(facts, found.stored, backends)):
        if not own:  # else its weight is written again when its pods are back, and has to be put back again
            builder.set(route="")
        return False
    builder.safety(SetRoute(facts.release.metadata.name, name, backends, 0, None, target.digest if target else ""))
    builder.look_again(SOONEST_LOOK)
    return True


def _is_left(stored: Mapping[str, Any] | None, target: Target | None) -> bool:
    """True where somebody writes it again and again: once opsloop's marks are off, it was put back, and what is there is theirs."""
    over = target is not None and (target.state, target.reason) == ("Cancelled", ROUTE_CONTESTED)
    return over and stored is not None and CANARY not in (stored["metadata"].get("labels") or {})


def is_of(target: Target, name: str) -> bool:
    """True where the target's weights are on the route of this name."""
    return target.route is not None and target.route.name == name


def _is_back(facts: ReleaseFacts, stored: Mapping[str, Any], backends: Backends) -> bool:
    """True where nothing of this Release's rollout is left on the route; what another Release's has moved is not its own."""
    others = http_route.marked_by_other(stored, facts.release.metadata.name)
    return bool(others) or not http_route.put_back(stored, backends)


def still_sends(builder: ReleaseBuilder, target: Target) -> bool:
    """True while Gateways may still send requests to a canary that was promoted: its pods end when they have taken the route."""
    if put_back(builder):
        return True
    found = builder.facts.routes.get(target.route.name) if target.route else None
    if found is None or found.stored is None or gateways.is_taken(found.stored):
        return False
    return target.ended_at is not None and builder.now - target.ended_at < DRAINS
