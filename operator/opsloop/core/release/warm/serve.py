"""Pods that are kept warm take traffic while the Deployment goes back to their revision, and leave it when that is available."""

from datetime import timedelta

from opsloop.api.release import ReleaseStatus
from opsloop.api.strategy import HttpRoute
from opsloop.api.warm import WarmPods
from opsloop.core import gateways, http_route
from opsloop.core.actions import SetRoute, SetTemplate, SetWarm
from opsloop.core.facts import PodFacts, ReleaseFacts, WorkloadFacts
from opsloop.core.http_route import Backends
from opsloop.core.release import ReleaseBuilder, route_back
from opsloop.core.release.hidden import missing_labels
from opsloop.core.release.pods import TICK
from opsloop.core.release.rollout_state import refusal_of
from opsloop.core.release.route_ready import has_own
from opsloop.core.release.routing import EXACT
from opsloop.core.release.wanted import template_of
from opsloop.core.release.warm.leave import NO_ROOM, no_room
from opsloop.names import WARM, warm_name

# Named reasons
WARM_SERVES = "WarmServes"  # warm pods of last-good take traffic until the Deployment is available with it
TOOK_OVER = "TookOver"  # the Deployment is available with last-good: its warm pods have left the traffic
DARK_AGAIN = "DarkAgain"  # the way back was given up: the warm pods are dark again

LENDS = timedelta(seconds=10)  # a way back that lacks room for so long gets that of one more warm pod


def is_wanted(builder: ReleaseBuilder, workload: WorkloadFacts, record: WarmPods) -> bool:
    """True while the Deployment goes back to their revision, by a decision that is recorded, and is not available with it."""
    serving = record.state == "Serving"
    if builder.facts.stop is not None and not serving:
        return False
    if serving and (not workload.replicas or builder.facts.release.spec.strategy.keep_warm is None):
        return False
    going = _goes_to(builder.status) == record.digest
    return going or (serving and builder.status.live == record.digest and not workload.settled)


def _goes_to(status: ReleaseStatus) -> str:
    """Digest that a rollback, an undo or a promotion is bringing to the Deployment."""
    if status.rollback is not None and status.rollback.is_active:
        return status.rollback.to_digest
    return status.target.digest if status.target is not None and status.target.state == "Promoting" else ""


def serve(builder: ReleaseBuilder, workload: WorkloadFacts, record: WarmPods) -> None:
    """Records that they take traffic, then opens them; before the template is written, where that is decided just now."""
    first = record.state != "Serving"
    if first:
        by = "HTTPRoute" if route_back.asked(builder.facts) else "pods"
        text = (
            f"{record.replicas} warm pods of {record.version} take traffic, by {by}, until its Deployment is available"
        )
        changes = {"state": "Serving", "pods": record.replicas, "route": route_back.asked(builder.facts)}
        changes |= {
            "opened_at": builder.now,
            "served_at": None,
            "ended_at": None,
            "reason": WARM_SERVES,
            "message": text,
        }
        record = record.model_copy(update=changes)
        builder.event(WARM_SERVES, text, "Warning")
    record = _lent(builder, workload, record)
    builder.set(warm=record)
    close_surplus(builder, record)
    if builder.facts.stop is None:
        _open(builder, workload, record, first)
    _notice(builder, record)
    if record.route is not None:
        _route(builder, record.route)
    builder.look_again(TICK)


def _lent(builder: ReleaseBuilder, workload: WorkloadFacts, record: WarmPods) -> WarmPods:
    """The record with one pod less where the way back lacks room: what it frees is for a pod of the same revision."""
    state = workload.rollout
    since = max(t for t in (record.opened_at, record.ended_at, state.progressed_at, record.since) if t is not None)
    lacks = (state.failure or state.unscheduled) and no_room(builder.facts, workload, record)
    if not lacks or record.pods <= 1 or builder.now - since < LENDS:
        return record
    builder.event(NO_ROOM, f"one warm pod of {record.version} makes room: {lacks}", "Warning")
    fewer = {"pods": record.pods - 1, "replicas": max(1, record.replicas - 1), "ended_at": builder.now}
    return record.model_copy(update=fewer)


def _open(builder: ReleaseBuilder, workload: WorkloadFacts, record: WarmPods, first: bool) -> None:
    """Opens ready pods up to the decided number. A pod that cannot be opened must not keep the template from being written, so
    that only the first try comes before it."""
    found = of(builder.facts, record)
    missing = record.pods - sum(1 for pod in found if pod.in_traffic)
    dark = [pod.name for pod in found if not pod.in_traffic and is_started(pod, workload, builder)][: max(0, missing)]
    if not dark:
        return
    action = SetWarm(builder.facts.release.metadata.name, tuple(dark), True, labels_of(builder, record), record.message)
    write = next((a for a in builder.actions if isinstance(a, SetTemplate)), None)
    if first and write is not None:
        builder.exchange(write, action)
        builder.execute(write)
    else:
        builder.execute(action)


def _notice(builder: ReleaseBuilder, record: WarmPods) -> None:
    """Records when all of them were seen in traffic, also on the rollback, of which an Incident tells."""
    serving = [pod for pod in of(builder.facts, record) if pod.in_traffic and pod.ready]
    if record.served_at is not None or not record.pods or len(serving) < record.pods:
        return
    builder.set(warm=record.model_copy(update={"served_at": builder.now}))
    builder.event("WarmInTraffic", f"{len(serving)} warm pods of {record.version} are in traffic")
    _on_rollback(builder, warm=len(serving), warm_at=builder.now)


def _on_rollback(builder: ReleaseBuilder, **changes: object) -> None:
    rollback, record = builder.status.rollback, builder.status.warm
    if rollback is not None and record is not None and rollback.is_active and rollback.to_digest == record.digest:
        builder.set(rollback=rollback.model_copy(update=changes))


# --- the route: gates first, then all of the weight; at the end the weight first


def _route(builder: ReleaseBuilder, route: HttpRoute) -> None:
    """All of the route's traffic goes to the warm pods once all of them are ready; nothing while none is."""
    facts, record = builder.facts, builder.status.warm
    found = facts.routes.get(route.name)
    if record is None or found is None or found.stored is None or builder.status.route:
        return  # a canary's own weights are put back first
    name, stored, backends = facts.release.metadata.name, found.stored, backends_of(facts, route)
    low, high = http_route.shares(stored, backends)
    if record.routed and any(kind == "ResolvedRefs" for kind, _ in gateways.refusals(stored)):
        is_off_route(builder, record)  # the Service is gone: every request would fail
        builder.set(warm=record.model_copy(update={"routed": 0}))
    elif not any(pod.in_traffic and pod.ready for pod in of(facts, record)):
        if high > 0:
            builder.safety(SetRoute(name, route.name, backends, 0, None, record.digest))
        builder.set(warm=record.model_copy(update={"routed": 0}))
    elif low >= 100 - EXACT:
        if gateways.is_taken(stored) and (rollback := builder.status.rollback) and rollback.effect_at is None:
            _on_rollback(builder, effect_at=builder.now)
    elif record.served_at is not None and facts.stop is None and _may_move(builder, route):
        builder.set(warm=record.model_copy(update={"routed": 100}))
        builder.execute(SetRoute(name, route.name, backends, 100, (low, high), record.digest))


def _may_move(builder: ReleaseBuilder, route: HttpRoute) -> bool:
    facts, found = builder.facts, builder.facts.routes[route.name].stored
    assert found is not None
    refusal = refusal_of(facts, "route", builder.status.warm.digest if builder.status.warm else "")
    if refusal is not None and builder.now < refusal.again_at:
        return False
    if not has_own(facts, backends_of(facts, route).canary, WARM):
        return False  # it was refused, or somebody else has a Service of that name
    free = not http_route.marked_by_other(found, facts.release.metadata.name)
    return free and bool(http_route.moving(found, backends_of(facts, route)))


def is_off_route(builder: ReleaseBuilder, record: WarmPods) -> bool:
    """Has the route put back as it was found, as safety; True once it is, and its Gateways have taken that."""
    if record.route is None or not record.routed:
        return True
    facts, found = builder.facts, builder.facts.routes.get(record.route.name)
    builder.look_again(TICK)
    if found is None:
        return False  # the next look reads it
    backends = backends_of(facts, record.route)
    name, stored = facts.release.metadata.name, found.stored
    if stored is not None and http_route.is_moved(stored, name) and http_route.put_back(stored, backends):
        builder.safety(SetRoute(name, record.route.name, backends, 0, None, record.digest))
        return False
    taken = found.stored is None or gateways.is_taken(found.stored)
    return taken or record.ended_at is None or builder.now - record.ended_at >= route_back.DRAINS


def backends_of(facts: ReleaseFacts, route: HttpRoute) -> Backends:
    """The refs of the route that are meant: the live pods' Service, and that of the warm pods."""
    deployment = facts.release.spec.workload_ref.name
    return Backends(route.service or deployment, warm_name(deployment), tuple(route.rules))


# --- pods


def of(facts: ReleaseFacts, record: WarmPods) -> list[PodFacts]:
    """Pods of the record's revision that are there to stay, by name."""
    pods = facts.warm.pods if facts.warm is not None else ()
    there = (pod for pod in pods if pod.digest == record.digest and not pod.deleting and not pod.ended)
    return sorted(there, key=lambda pod: pod.name)


def is_started(pod: PodFacts, workload: WorkloadFacts, builder: ReleaseBuilder) -> bool:
    """True once the pod's containers are ready for as long as the Deployment demands."""
    return pod.containers_ready and (pod.ready_since is None or builder.now - pod.ready_since >= workload.min_ready)


def labels_of(builder: ReleaseBuilder, record: WarmPods) -> dict[str, str]:
    """Labels that the pods lack while they are dark. Behind a route they have a Service of their own, and never get them."""
    facts = builder.facts
    if record.route is not None or facts.warm is None or record.digest not in facts.templates:
        return {}
    return missing_labels(facts.warm, template_of(facts, builder.status, record.digest))


def close_surplus(builder: ReleaseBuilder, record: WarmPods) -> bool:
    """Takes pods beyond the decided number out of traffic, as safety; True where there were any."""
    facts = builder.facts
    pods = [
        pod for pod in (facts.warm.pods if facts.warm else ()) if pod.in_traffic and not pod.deleting and not pod.ended
    ]
    allowed = {pod.name for pod in [p for p in of(facts, record) if p.in_traffic][: record.pods]}
    labels, name = labels_of(builder, record), facts.release.metadata.name
    surplus = tuple(pod.name for pod in pods if pod.name not in allowed)
    if record.state != "Serving":  # a gate that somebody closed by hand, and an earlier version, left the labels on
        every = facts.warm.pods if facts.warm else ()
        left = (p.name for p in every if not p.in_traffic and not p.ended and any(key in p.labels for key in labels))
        surplus += tuple(left)
    if surplus:
        builder.safety(SetWarm(name, surplus, False, labels, "more warm pods in traffic than decided"))
    return bool(surplus)
