"""A canary behind an HTTPRoute: exact weights on the route, the readiness gates as the second lock.

Up: pods, then gates, then the weight. Down: the weight, then gates, then pods. The weight is recorded before it is written;
0 goes out first, and puts the route back as it was found. What somebody lowers stays low until a person orders more, and
what somebody raises is lowered within a look.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from opsloop.api.release import Target
from opsloop.core import http_route
from opsloop.core.actions import SetRoute
from opsloop.core.http_route import Backends
from opsloop.core.release import commands
from opsloop.core.release.outcome import Cancel, Hold, Lower, Outcome, Progress, Rollout
from opsloop.core.release.pods import WEIGHT_LOWER
from opsloop.core.release.rollout_state import WRITE_REFUSED, refusal_of
from opsloop.core.release.route_back import asked, backends_of, is_of
from opsloop.core.release.route_ready import hindered
from opsloop.core.release.target import TRAFFIC_CHANGED

# Named reasons
ROUTE_NOT_TAKEN = "RouteNotTaken"  # a Gateway has not taken the weight that was written

EXACT = 1e-6  # percent: shares are fractions of whole numbers
TAKES = timedelta(seconds=30)  # for a Gateway to take a weight, before that is said to be missing


def traffic_changed(rollout: Rollout) -> Outcome | None:
    """Cancel where the spec names another route, or none, than when the target was recorded."""
    if rollout.target.state == "Promoting" or rollout.target.route == asked(rollout.facts):
        return None
    return Cancel(TRAFFIC_CHANGED, "strategy.traffic or strategy.httpRoute changed; the canary starts again with it")


def earlier_route(rollout: Rollout) -> Outcome | None:
    """Hold while an earlier target's route is not put back: users of it would be sent to this target's pods."""
    name = rollout.status.route
    if not name or is_of(rollout.target, name):
        return None
    return Hold(WRITE_REFUSED, f"the weights of HTTPRoute {name} are not put back yet; it is tried again and again")


def route_hindered(rollout: Rollout) -> Outcome | None:
    """Hold while something stands in the way of moving the route's weights."""
    route = rollout.target.route
    found = hindered(rollout.facts, rollout.workload, route) if route else None
    return Hold(found.reason, found.message) if found else None


def route_higher(rollout: Rollout) -> Outcome | None:
    """Lower while the canary's share on the route is above what may be."""
    return Lower() if surplus_on_route(rollout) else None


def route_lower(rollout: Rollout) -> Outcome | None:
    """Hold where somebody lowered the weight on the route: raising it again is a person's decision."""
    seen, target = _seen(rollout), rollout.target
    if seen is None or http_route.shares(*seen)[0] >= target.routed - EXACT:
        return None
    if commands.ordered_weight(rollout.status, target):
        return None  # it is raised again, and what was ordered follows
    low, name = http_route.shares(*seen)[0], seen[0]["metadata"]["name"]
    text = f"HTTPRoute {name} gives the canary {low:g} %, {target.routed} % was written: somebody lowered it"
    return Hold(WEIGHT_LOWER, f"{text}; annotate opsloop.dev/retry to start again, or opsloop.dev/promote to go on")


def route_being_reached(rollout: Rollout) -> Outcome | None:
    """Progress, with the write, until the route has the decided weight and its Gateways have taken it."""
    seen, target = _seen(rollout), rollout.target
    if seen is None:
        return None
    low, high = http_route.shares(*seen)
    name = seen[0]["metadata"]["name"]
    if max(target.weight - low, high - target.weight) > EXACT:
        refusal = refusal_of(rollout.facts, "route", target.digest)
        if refusal and rollout.now < refusal.again_at:
            return Hold(WRITE_REFUSED, f"the weight of HTTPRoute {name} is refused: {refusal.message}")
        write = SetRoute(rollout.facts.release.metadata.name, name, seen[1], target.weight, (low, high), target.digest)
        return Progress(f"weight {target.weight} is written to HTTPRoute {name}", actions=(write,))
    if target.reached_at is None and not http_route.is_taken(seen[0]):
        text = f"HTTPRoute {name} has weight {target.weight}; its Gateway has not taken that yet"
        late = bool(target.traffic) and rollout.now - target.traffic[-1] > TAKES
        return Hold(ROUTE_NOT_TAKEN, text) if late else Progress(text)
    return None


def surplus_on_route(rollout: Rollout) -> SetRoute | None:
    """Lowers the canary's share on the route to what may be; None where it is not above that.

    That is the decided weight while it steps, what was reached while it is promoted, and nothing while it is dark or while
    no pod of it is ready: a route goes on sending requests to a Service without pods.
    """
    seen, target = _seen(rollout), rollout.target
    if seen is None:
        return None
    most = {"Stepping": target.weight, "Promoting": target.routed}.get(target.state, 0)
    if not _is_served(rollout):
        most = 0
    if http_route.shares(*seen)[1] <= most + EXACT:
        return None
    weight = min(most, target.routed)
    return SetRoute(
        rollout.facts.release.metadata.name, seen[0]["metadata"]["name"], seen[1], weight, None, target.digest
    )


def routed(rollout: Rollout) -> Target:
    """The target, with nothing reached on the route where no pod of it is ready: its weight is written again when one is."""
    target = rollout.target
    if target.route is None or not target.routed or _is_served(rollout) or target.state == "Promoting":
        return target
    return target.model_copy(update={"routed": 0, "reached_at": None})


def _is_served(rollout: Rollout) -> bool:
    return any(pod.ready for pod in rollout.in_traffic)


def _seen(rollout: Rollout) -> tuple[Mapping[str, Any], Backends] | None:
    """The target's route as it is stored; None where there is none, or pods make the weight."""
    route = rollout.target.route
    found = rollout.facts.routes.get(route.name) if route else None
    return (
        None
        if route is None or found is None or found.stored is None
        else (found.stored, backends_of(rollout.facts, route))
    )
