"""The pods of last-good that are kept warm, at each look: started, kept dark, opened by a way back, closed and removed."""

from datetime import timedelta

from opsloop.api.meta import format_time
from opsloop.api.warm import WarmPods
from opsloop.core import conditions
from opsloop.core.actions import DeleteCanaryService, DeleteWarm, EnsureWarm, SetWarm
from opsloop.core.facts import WorkloadFacts
from opsloop.core.release import ReleaseBuilder, revisions, route_back, route_ready
from opsloop.core.release.hidden import hidden_labels
from opsloop.core.release.pods import TICK
from opsloop.core.release.rollout_state import Obstacle, refusal_of, trouble_of
from opsloop.core.release.wanted import template_of
from opsloop.core.release.warm import leave, serve, start
from opsloop.core.release.warm.start import CONDITION, WARM_STARTING
from opsloop.names import WARM, warm_name

# Named reasons
KEPT_WARM = "KeptWarm"  # pods of last-good are ready, without traffic
NO_PROMOTION = "NoPromotion"  # nothing was promoted since keepWarm is asked for

STARTS = timedelta(seconds=10)  # between two looks at pods that start: a gate keeps Kubernetes from telling


def keep(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """What these pods need after all else was decided; sets the condition LastGoodWarm."""
    start.begin(builder, workload)
    record = builder.status.warm
    if record is None or record.state == "Over":
        clear(builder)
    elif serve.is_wanted(builder, workload, record):
        serve.serve(builder, workload, record)
        _ensure(builder, workload)
    elif record.state == "Serving":
        _leave_traffic(builder, workload, record)
    elif why := leave.cause(builder, workload, record):
        clear(builder, why)
    else:
        _stay_dark(builder, workload, record)
    _tell(builder)


def _stay_dark(builder: ReleaseBuilder, workload: WorkloadFacts, record: WarmPods) -> None:
    """Dark, ready, and counted down from the time at which the promoted template became live."""
    serve.close_surplus(builder, record)
    started = sum(1 for pod in serve.of(builder.facts, record) if serve.is_started(pod, workload, builder))
    changes: dict[str, object] = {}
    if record.until is None and builder.status.live == record.beside:
        spec, live = (
            builder.facts.release.spec.strategy.keep_warm,
            revisions.find(builder.status.revisions, record.beside),
        )
        assert spec is not None
        changes["until"] = (live.live_since if live and live.live_since else builder.now) + spec.keep_for
    if record.state == "Starting" and started >= record.replicas:
        text = f"{record.replicas} pods of {record.version} are ready and without traffic"
        changes |= {"state": "Warm", "reason": KEPT_WARM, "message": text}
        builder.event(KEPT_WARM, text)
    elif record.state == "Starting":
        text = f"{record.replicas} pods of {record.version} are starting, to be kept warm"
        trouble = trouble_of(serve.of(builder.facts, record))
        changes["message"] = f"{text}; {trouble}" if trouble else text
    record = record.model_copy(update=changes)
    builder.set(warm=record)
    _ensure(builder, workload)
    if record.state == "Starting":
        builder.look_again(TICK if record.until is None else STARTS)
    if record.until is not None:
        builder.look_again(record.until - builder.now)


def _leave_traffic(builder: ReleaseBuilder, workload: WorkloadFacts, record: WarmPods) -> None:
    """Traffic before pods: the route, then the gates; gone where the Deployment took over, dark again where it did not."""
    ended = record.ended_at or builder.now
    record = record.model_copy(update={"ended_at": ended})
    builder.set(warm=record)
    if not serve.is_off_route(builder, record):
        return
    if builder.status.live == record.digest and workload.settled:
        text = f"Deployment {workload.name} is available with {record.version}"
        clear(builder, Obstacle(serve.TOOK_OVER, text))
        return
    if why := leave.cause(builder, workload, record):
        clear(builder, why)
        return
    dark = {"state": "Warm", "pods": 0, "routed": 0, "route": None, "opened_at": None, "ended_at": None}
    text = f"the way back to {record.version} was given up: its warm pods are dark again"
    record = record.model_copy(update={**dark, "reason": serve.DARK_AGAIN, "message": text})
    builder.set(warm=record)
    serve.close_surplus(builder, record)
    builder.look_again(TICK)


def clear(builder: ReleaseBuilder, why: Obstacle | None = None) -> None:
    """Takes the pods out of traffic and deletes them with what belongs to them; with a cause, which is recorded and told."""
    facts, record = builder.facts, builder.status.warm
    name = facts.release.metadata.name
    if record is not None and why is not None and record.state != "Over":
        changes = {"state": "Over", "pods": 0, "reason": why.reason, "message": why.message[:1000]}
        ended = {"ended_at": record.ended_at or builder.now}
        builder.event("WarmGone", f"the warm pods of {record.version} go: {why.message}")
        record = record.model_copy(update=changes | ended)
        builder.set(warm=record)
    if record is not None and record.routed and serve.is_off_route(builder, record):
        builder.set(warm=record.model_copy(update={"routed": 0}))
    if facts.warm is not None:
        serving = tuple(p.name for p in facts.warm.pods if p.in_traffic and not p.deleting and not p.ended)
        if serving:
            builder.safety(SetWarm(name, serving, False, {}, why.reason if why else "they are not kept any more"))
        builder.execute(DeleteWarm(name))
        builder.look_again(TICK)
    service = warm_name(facts.release.spec.workload_ref.name)
    if route_ready.has_own(facts, service, WARM) and not (record is not None and record.routed):
        builder.execute(DeleteCanaryService(name, service, WARM))


def _ensure(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """The Deployment of these pods, and their Service where the spec names a route."""
    facts, record, name = builder.facts, builder.status.warm, builder.facts.release.metadata.name
    if record is None or facts.stop is not None or record.digest not in facts.templates:
        return
    if facts.warm is not None and facts.warm.digest != record.digest:
        serve.close_surplus(builder, record)
        builder.execute(DeleteWarm(name))
        builder.look_again(TICK)
        return
    refusal = refusal_of(facts, "warm", record.digest)
    waits = refusal is not None and builder.now < refusal.again_at
    surplus = sum(1 for pod in serve.of(facts, record) if pod.in_traffic) > record.pods
    if (facts.warm is None or facts.warm.replicas != record.replicas) and not waits and not surplus:
        template = template_of(facts, builder.status, record.digest)
        labels = (template.get("metadata") or {}).get("labels") or {}
        selectors = facts.beside.selectors if facts.beside is not None else ()
        hidden = hidden_labels(labels, [{"matchLabels": workload.selector}, *selectors])
        if facts.warm is not None:  # other labels would replace the pods
            hidden = tuple(sorted(key for key in labels if key not in facts.warm.labels))
        builder.execute(EnsureWarm(name, workload.name, record.digest, template, record.replicas, hidden))
    if (route := record.route or route_back.asked(facts)) is not None:
        service = route_ready.service_of(facts, route.service or workload.name, warm_name(workload.name), WARM)
        refused = refusal_of(facts, "warm-service", service.digest) if service is not None else None
        if service is not None and (refused is None or builder.now >= refused.again_at):
            builder.execute(service)


def _tell(builder: ReleaseBuilder) -> None:
    record, asked = builder.status.warm, builder.facts.release.spec.strategy.keep_warm is not None
    told = conditions.get(builder.status.conditions, CONDITION)
    if record is None:
        if asked and told is None:
            builder.condition(
                CONDITION, False, NO_PROMOTION, "pods of last-good are kept warm after the next promotion"
            )
        elif not asked and told is not None:
            builder.condition(CONDITION, False, leave.KEEP_WARM_OFF, "strategy.keepWarm is not set")
        return
    until = f", until {format_time(record.until)}" if record.until is not None and record.state == "Warm" else ""
    warm = record.state in ("Warm", "Serving")
    builder.condition(CONDITION, warm, record.reason or WARM_STARTING, f"{record.message}{until}")
