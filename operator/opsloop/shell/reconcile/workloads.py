"""Deployments and pods as facts: what Kubernetes says of them, in full."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from opsloop.api.meta import parse_time
from opsloop.core.evalcase.addresses import own_ports
from opsloop.core.facts import PodFacts, RolloutState, WorkloadFacts
from opsloop.core.release import revisions
from opsloop.core.release.availability import most_unavailable
from opsloop.names import GATE, REVISION
from opsloop.shell.ports import Object

CLOSED = "OutOfTraffic"  # reason of a gate that opsloop closed
CRASHES = "CrashLoopBackOff"
FAILING = (CRASHES, "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "CreateContainerConfigError",
           "InvalidImageName", "RunContainerError", "CreateContainerError")  # fmt: skip
PULL_FAILS = {"ErrImagePull": "ImagePullBackOff"}  # the two take turns: one word for both
DEFAULT_DEADLINE = 600  # seconds; Kubernetes' own default of progressDeadlineSeconds
LONGEST_SENTENCE = 400  # characters of what Kubernetes says


def workload(obj: Object, ignored: Sequence[str] = ()) -> WorkloadFacts:
    """The user's Deployment as facts; `ignored` are stamps that make no new revision."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status", {})
    replicas = spec.get("replicas", 1)
    manager = obj.get("opsloop", {}).get("templateManager", {})
    written_at = manager.get("time")
    state = _rollout_state(meta, spec, status)
    return WorkloadFacts(
        name=meta["name"],
        uid=meta.get("uid", ""),
        template=spec["template"],
        digest=revisions.digest(spec["template"], ignored),
        replicas=replicas,
        selector=spec["selector"].get("matchLabels", {}),
        selector_keys=_keys(spec["selector"]),
        settled=state.replaced and _available(status) >= replicas - most_unavailable(spec.get("strategy"), replicas),
        manager=manager.get("name", ""),
        scaler=obj.get("opsloop", {}).get("scaler", ""),
        written_at=parse_time(written_at) if written_at else None,
        available=_available(status),
        below_minimum=_condition(status, "Available").get("status") == "False",
        ready=max(status.get("readyReplicas", 0), _available(status)),
        min_ready=timedelta(seconds=spec.get("minReadySeconds", 0)),
        strategy=(spec.get("strategy") or {}).get("type", "RollingUpdate"),
        rollout=state,
    )


def _keys(selector: Object) -> frozenset[str]:
    asked = (expression["key"] for expression in selector.get("matchExpressions") or [])
    return frozenset((*(selector.get("matchLabels") or {}), *asked))


def _available(status: Object) -> int:
    available: int = status.get("availableReplicas", 0)
    return available


def _rollout_state(meta: Object, spec: Object, status: Object) -> RolloutState:
    """`replaced`: the template was observed, all pods have it and no older one is left."""
    replicas, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    observed = status.get("observedGeneration", 0) >= meta.get("generation", 0)
    replaced = observed and updated == status.get("replicas", 0) == replicas
    progress = _condition(status, "Progressing")
    stalled = progress.get("status") == "False"
    completed = progress.get("reason") == "NewReplicaSetAvailable" and updated == status.get("replicas", 0)
    return RolloutState(
        observed=observed,
        replaced=replaced,
        percent=_percent(status, updated) if observed else 0,
        completed=observed and completed and _available(status) > 0,
        serves=observed and _available(status) > status.get("replicas", 0) - updated,
        paused=bool(spec.get("paused")),
        failure=replica_failure(status),
        stalled=_sentence(progress) if stalled else "",
        stalled_at=_time(progress.get("lastUpdateTime")) if stalled else None,
        progressed_at=_time(progress.get("lastUpdateTime")) if progress.get("status") == "True" else None,
        deadline=timedelta(seconds=spec.get("progressDeadlineSeconds", DEFAULT_DEADLINE)),
    )


def _percent(status: Object, updated: int) -> int:
    """Share of the pods that have the present template. Pods that are ending are not counted: no endpoint has them."""
    pods: int = status.get("replicas", 0)
    return 100 if updated >= pods else 100 * updated // pods


def replica_failure(status: Object) -> str:
    """Why pods of a Deployment are not created (quota, admission); empty where they are."""
    failure = _condition(status, "ReplicaFailure")
    return _sentence(failure) if failure.get("status") == "True" else ""


def _sentence(condition: Object) -> str:
    return str(condition.get("message") or condition.get("reason", ""))[:LONGEST_SENTENCE]


def pod(obj: Object) -> PodFacts:
    """A canary or quarantined pod as facts."""
    meta, status = obj["metadata"], obj.get("status", {})
    conditions = {c["type"]: c.get("status") == "True" for c in status.get("conditions", [])}
    gate, scheduled = _condition(status, GATE), _condition(status, "PodScheduled")
    return PodFacts(
        name=meta["name"],
        digest=meta.get("labels", {}).get(REVISION, ""),
        ip=status.get("podIP", ""),
        containers_ready=conditions.get("ContainersReady", False),
        in_traffic=conditions.get(GATE, False),
        ready=conditions.get("Ready", False),
        failing=_failing(status),
        deleting="deletionTimestamp" in meta,
        labels=meta.get("labels", {}),
        ended=status.get("phase") in ("Failed", "Succeeded"),
        unschedulable=_sentence(scheduled) if scheduled.get("status") == "False" else "",
        ready_since=_time(_condition(status, "ContainersReady").get("lastTransitionTime")),
        own_ports=own_ports(obj.get("spec") or {}),
        closed_by_hand=gate.get("status") == "False" and gate.get("reason") != CLOSED,
    )


def _failing(status: Object) -> str:
    """The failure that the pod or one of its containers names; empty where none does."""
    if status.get("phase") == "Failed":
        return str(status.get("reason", "Failed"))
    for kind, prefix in (("initContainerStatuses", "init container "), ("containerStatuses", "")):
        for container in status.get(kind, []):
            if failure := _container_failure(container):
                return f"{prefix}{container.get('name')}: {failure}"
    return ""


def _container_failure(container: Object) -> str:
    """A word that stays the same while a crash loop or a pull takes its turns, so that it is written once."""
    state = container.get("state", {})
    reason = str((state.get("waiting") or {}).get("reason", ""))
    if reason in FAILING:
        return PULL_FAILS.get(reason, reason)
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    crashed = not container.get("ready") and ended.get("exitCode", 0) != 0
    return f"{CRASHES}, exit code {ended['exitCode']}" if crashed else ""


def _condition(status: Object, kind: str) -> Object:
    found: Object = next((c for c in status.get("conditions") or [] if c.get("type") == kind), {})
    return found


def _time(text: str | None) -> datetime | None:
    return parse_time(text) if text else None
