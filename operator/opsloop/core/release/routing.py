"""A canary behind an HTTPRoute: exact weights on the route, the readiness gates as the second lock.

Up: pods, then gates, then the weight. Down: the weight, then gates, then pods. The weight is recorded before it is written;
0 goes out first, and puts the route back as it was found. What somebody lowers stays low until a person orders more, and
what somebody raises is lowered within a look.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from opsloop.api.target import Target
from opsloop.core import gateways, http_route, http_rules
from opsloop.core.actions import SetRoute
from opsloop.core.http_route import Backends
from opsloop.core.http_rules import Extra
from opsloop.core.release import commands
from opsloop.core.release.outcome import Cancel, Hold, Lower, Outcome, Progress, Reject, Rollout
from opsloop.core.release.pods import WEIGHT_LOWER
from opsloop.core.release.rollout_state import WRITE_REFUSED, refusal_of
from opsloop.core.release.route_back import ROUTE_CONTESTED, asked, backends_of, is_of
from opsloop.core.release.route_ready import extra_of, hindered
from opsloop.core.release.target import TRAFFIC_CHANGED

# Named reasons
ROUTE_NOT_TAKEN = "RouteNotTaken"  # a Gateway has not taken the weight that was written
RULE_REFUSED = "RuleRefused"  # a Gateway does not accept the route with the rule for testers or copies: it is taken off

MOST_MEDDLED = 3  # so many times in one try somebody changes what was reached, before it is left to them
EXACT = 1e-6  # percent: shares are fractions of whole numbers
TAKES = timedelta(seconds=30)  # for a Gateway to take a weight, before that is said to be missing


def traffic_changed(rollout: Rollout) -> Outcome | None:
    """Cancel where the spec names another route, or none, than when the target was recorded."""
    if rollout.target.state == "Promoting" or rollout.target.route == asked(rollout.facts):
        return None
    return Cancel(TRAFFIC_CHANGED, "strategy.traffic or strategy.httpRoute changed; the canary starts again with it")


def contested(rollout: Rollout) -> Outcome | None:
    """Cancel where somebody has changed the route again and again: put back once more, and then left to them."""
    seen, times = _seen(rollout), rollout.target.meddled
    if seen is None or times < MOST_MEDDLED:
        return None
    name, who = seen[0]["metadata"]["name"], http_route.manager(seen[0]) or "somebody"
    text = (
        f"HTTPRoute {name} was written otherwise {times} times in this try, last by {who}; have it leave the weights alone, then"
        " annotate opsloop.dev/retry"
    )
    return Cancel(ROUTE_CONTESTED, text)


def with_meddling(rollout: Rollout) -> Target:
    """The target, with one more time that somebody has changed what opsloop wrote last, where that is about to be written over."""
    seen, target = _seen(rollout), rollout.target
    if seen is None or target.state != "Stepping" or refusal_of(rollout.facts, "route", target.digest):
        return target
    if not http_route.was_changed(*seen) or (surplus_on_route(rollout) is None and route_lower(rollout) is not None):
        return target
    return target.model_copy(update={"meddled": target.meddled + 1})


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


def rules_refused(rollout: Rollout) -> Outcome | None:
    """Reject where a Gateway does not accept the route that has rules of this step: its users may get errors."""
    seen = _seen(rollout)
    if seen is None or not rollout.target.by_rules or not http_route.own_rules(seen[0]):
        return None
    told = gateways.refusals(seen[0])
    if not told:
        return None
    text = f"with the rule for {rollout.target.step_words}, {told[0][1]}; the route is put back"
    return Reject(RULE_REFUSED, text, block=False)


def route_lower(rollout: Rollout) -> Outcome | None:
    """Hold where somebody lowered the weight on the route, or took its rules off: raising it again is a person's decision."""
    seen, target = _seen(rollout), rollout.target
    if seen is None:
        return None
    (low, _), extra = http_route.shares(*seen), _extra(target)
    gone = extra is not None and target.shown and http_rules.missing(*seen, extra)
    if not gone and low >= target.routed - EXACT:
        return None
    if commands.ordered_weight(rollout.status, target):
        return None  # it is raised again, and what was ordered follows
    name = seen[0]["metadata"]["name"]
    text = f"HTTPRoute {name} gives the canary {low:g} %, {target.routed} % was written: somebody lowered it"
    if gone:
        text = f"HTTPRoute {name} has lost the rule for {target.step_words}, or it was changed"
    return Hold(WEIGHT_LOWER, f"{text}; annotate opsloop.dev/retry to start again, or opsloop.dev/promote to go on")


def route_being_reached(rollout: Rollout) -> Outcome | None:
    """Progress, with the write, until the route has the decided weight and its Gateways have taken it."""
    seen, target = _seen(rollout), rollout.target
    if seen is None:
        return None
    low, high = http_route.shares(*seen)
    name, words, extra = seen[0]["metadata"]["name"], target.step_words, _extra(target)
    other = http_rules.surplus(*seen, extra) or (extra is not None and http_rules.missing(*seen, extra))
    if other or max(target.weight - low, high - target.weight) > EXACT:
        refusal = refusal_of(rollout.facts, "route", target.digest)
        if refusal and rollout.now < refusal.again_at:
            return Hold(WRITE_REFUSED, f"{words} of HTTPRoute {name} is refused: {refusal.message}")
        write = SetRoute(
            rollout.facts.release.metadata.name, name, seen[1], target.weight, (low, high), target.digest, extra
        )
        return Progress(f"{words} is written to HTTPRoute {name}", actions=(write,))
    if target.reached_at is None and not gateways.is_taken(seen[0]):
        text = f"HTTPRoute {name} has {words}; its Gateway has not taken that yet"
        late = bool(target.traffic) and rollout.now - target.traffic[-1] > TAKES
        return Hold(ROUTE_NOT_TAKEN, text) if late else Progress(text)
    return None


def surplus_on_route(rollout: Rollout) -> SetRoute | None:
    """Lowers the canary's share on the route to what may be; None where it is not above that.

    That is the decided weight while it steps, what was reached while it is promoted, and nothing while it is dark or while
    no pod of it is ready: a route goes on sending requests to a Service without pods. Rules of the step before, which the
    same write takes off that reaches the next one, are no surplus until then.
    """
    seen, target = _seen(rollout), rollout.target
    if seen is None:
        return None
    most = {"Stepping": target.weight, "Promoting": target.routed}.get(target.state, 0)
    if not _is_served(rollout):
        most = 0
    if http_route.shares(*seen)[1] <= most + EXACT and not _has_surplus(rollout, *seen):
        return None
    weight = min(most, target.routed)
    return SetRoute(
        rollout.facts.release.metadata.name, seen[0]["metadata"]["name"], seen[1], weight, None, target.digest
    )


def routed(rollout: Rollout) -> Target:
    """The target, with nothing reached on the route where no pod of it is ready: its weight is written again when one is."""
    target = rollout.target
    reached = target.routed or target.shown
    if target.route is None or not reached or _is_served(rollout) or target.state == "Promoting":
        return target
    return target.model_copy(update={"routed": 0, "shown": False, "reached_at": None})


def _has_surplus(rollout: Rollout, stored: Mapping[str, Any], backends: Backends) -> bool:
    target, extra = rollout.target, _extra(rollout.target)
    if target.state != "Stepping" or not _is_served(rollout):
        return bool(http_route.own_rules(stored))
    was_reached = target.shown or target.reached_at is not None
    return was_reached and http_rules.surplus(stored, backends, extra)


def _extra(target: Target) -> Extra | None:
    """The rules of the decided step; None where it has a weight."""
    return extra_of(target.match, target.mirror) if target.state == "Stepping" else None


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
