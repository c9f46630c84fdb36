"""Maps a change to reconcile requests, as controller-runtime's map functions do. Pure; no branch on the type of event."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from opsloop import names
from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import Model
from opsloop.api.release import Release
from opsloop.core.release.outages import outage_since
from opsloop.core.topology import Graph
from opsloop.shell.ports import Object, ObjectKey
from opsloop.shell.watch.cache import Cache, paused_by

M = TypeVar("M", bound=Model)


def requests_for_object(kind: str, obj: Object, cache: Cache, before: Object | None = None) -> set[ObjectKey]:
    """Objects to reconcile because this one changed, appeared or was deleted; itself where its kind is reconciled.

    `before`: the object before a status write of our own, where it was one.
    """
    meta = obj["metadata"]
    namespace, name = meta.get("namespace", ""), meta["name"]
    own = {(kind, namespace, name)}
    match kind:
        case "Release":
            return own | _requests_for_release(namespace, name, cache) | _left_by(obj, cache)
        case "Incident":
            return own | _requests_for_incident(_parse(Incident, obj, cache), cache)
        case "Runbook":
            return own | _incident_keys(i for i in cache.incidents(namespace) if i.is_open)
        case "EvalCase":
            case = _parse(EvalCase, obj, cache)
            return own | _requests_for_case(case, cache, before is None or _gates_anew(before, obj))
        case "Deployment":
            return _requests_for_deployment(namespace, name, cache) | _left_paused(obj, cache)
    return set()


def is_echo(kind: str, change: str | None) -> bool:
    """True for a watch event that brings nothing new and concerns nobody: results of hundreds of cases that were just
    written here come back at once. `change` is the event's type, None in a list."""
    return kind == "EvalCase" and change == "MODIFIED"


def is_urgent(key: ObjectKey, cache: Cache) -> bool:
    """True for a Release that may have to take a version out of traffic, or back: a canary is there, or a rollback goes on."""
    kind, namespace, name = key
    release = cache.model(Release, namespace, name) if kind == "Release" else None
    if release is None:
        return False
    status, canary = release.status, names.canary_name(release.spec.workload_ref.name)
    if status.rollback is not None and status.rollback.is_active:
        return True
    return bool(status.target and status.target.weight) or cache.get("Deployment", namespace, canary) is not None


def requests_for_reading(namespace: str, release: str, cache: Cache, now: datetime, grace: timedelta) -> set[ObjectKey]:
    """Objects to reconcile because a reading of this Release's SLO changed.

    `grace` is the reopen grace: an Incident that was resolved within it may reopen, so it is reconciled as well.
    """
    concerned = (
        i
        for i in cache.incidents(namespace)
        if i.spec.release == release and (i.is_open or i.resolved_within(grace, now))
    )
    return {("Release", namespace, release), ("Namespace", namespace, namespace)} | _incident_keys(concerned)


def _requests_for_release(namespace: str, name: str, cache: Cache) -> set[ObjectKey]:
    """Its Incidents until their loop is closed, and any that blocked the live revision: that one reopens even if closed.

    All of them while no pod is available: one that was resolved lately reopens.
    """
    release = cache.model(Release, namespace, name)
    live = release.status.live if release else ""
    out = release is not None and outage_since(release) is not None
    concerned = (
        i
        for i in cache.incidents(namespace)
        if i.spec.release == name and (out or not _loop_closed(i) or live in i.status.blocked)
    )
    others = {("Release", namespace, r.metadata.name) for r in cache.releases(namespace) if _looks_at(r, name, release)}
    cases = {("EvalCase", namespace, c.metadata.name) for c in cache.evalcases(namespace) if c.spec.release == name}
    return (
        {("Namespace", namespace, namespace)}
        | _incident_keys(concerned)
        | cases
        | others
        | _unready(namespace, release, cache)
    )


def _unready(namespace: str, release: Release | None, cache: Cache) -> set[ObjectKey]:
    """Runbooks that may have waited for a Release to appear; all where one was deleted."""
    books = cache.runbooks(namespace)
    return {
        ("Runbook", namespace, book.metadata.name)
        for book in books
        if release is None or any(c.type == "Ready" and c.status == "False" for c in book.status.conditions)
    }


def _looks_at(other: Release, name: str, release: Release | None) -> bool:
    """True for a Release that waits for this one: to appear as its dependency, or to go from the Deployment of both."""
    if other.metadata.name == name:
        return False
    if name not in other.spec.depends_on and release is not None:
        return False
    said = {c.reason for c in other.status.conditions if c.type == "SpecResolved"}
    if name in other.spec.depends_on:
        return (release is None) != ("DependencyMissing" in said)
    return "WorkloadTaken" in said


def _requests_for_incident(incident: Incident | None, cache: Cache) -> set[ObjectKey]:
    if incident is None:
        return set()
    namespace, keys = incident.metadata.namespace, set[ObjectKey]()
    if incident.spec.release:
        keys.add(("Release", namespace, incident.spec.release))
    if any(play.state == "Requested" for play in incident.status.plays):
        keys |= {("Runbook", namespace, r.metadata.name) for r in cache.runbooks(namespace)}
    if any(freeze.release != incident.spec.release for freeze in incident.status.freezes):
        keys |= {("Release", namespace, r.metadata.name) for r in cache.releases(namespace)}
    if incident.status.phase == "Resolved" and incident.status.alerts.count:
        keys.add(("Namespace", namespace, namespace))  # it taught something of its alert rules
    if incident.status.merged_into:
        keys.add(("Incident", namespace, incident.status.merged_into))
    elif incident.status.phase != "Mitigated":
        keys |= _incident_keys(_that_it_may_explain(incident, cache))
    if incident.status.eval_case:
        keys.add(("EvalCase", namespace, incident.status.eval_case))
    return keys


def _that_it_may_explain(incident: Incident, cache: Cache) -> Iterable[Incident]:
    """Open Incidents of what depends on its root, which may be merged into it, and those merged into it whose page it takes on.

    While the root's first call is decided, they are looked at at once: people are called once for one fault.
    """
    messages = incident.status.page.messages if incident.status.page else []
    if len(messages) > 1:
        return ()
    namespace = incident.metadata.namespace
    others = [i for i in cache.incidents(namespace) if i.status.page is not None and i.spec.release]
    if not others:
        return ()
    graph = Graph({r.metadata.name: r.spec.depends_on for r in cache.releases(namespace)})
    callers = graph.dependents(incident.spec.release or incident.spec.service)
    return (
        i for i in others if (i.is_open and i.spec.release in callers) or i.status.merged_into == incident.metadata.name
    )


def _gates_anew(before: Object, after: Object) -> bool:
    """True where a status write changed what the case means to a canary. Its results do not, and there may be hundreds."""
    facets = ("proven", "observedGeneration", "steady")
    return any((before.get("status") or {}).get(f) != (after.get("status") or {}).get(f) for f in facets)


def _requests_for_case(case: EvalCase | None, cache: Cache, gates_anew: bool) -> set[ObjectKey]:
    if case is None:
        return set()
    namespace = case.metadata.namespace
    keys = {("Incident", namespace, case.spec.origin.incident)} if case.spec.origin.incident else set()
    if not gates_anew:
        return keys
    if case.spec.origin.kind == "regression":  # the same question after another Incident
        alike = (c for c in cache.evalcases(namespace) if c.spec.origin.kind == "regression")
        keys |= {("EvalCase", namespace, c.metadata.name) for c in alike if c.spec.request == case.spec.request}
    return keys | ({("Release", namespace, case.spec.release)} if _has_active_target(case, cache) else set())


def _has_active_target(case: EvalCase, cache: Cache) -> bool:
    release = cache.model(Release, case.metadata.namespace, case.spec.release)
    return release is not None and release.status.target is not None and release.status.target.is_active


def _requests_for_deployment(namespace: str, deployment: str, cache: Cache) -> set[ObjectKey]:
    releases = (
        r
        for r in cache.releases(namespace)
        if deployment in (own := r.spec.workload_ref.name, names.canary_name(own), names.warm_name(own))
    )
    return {("Release", namespace, r.metadata.name) for r in releases}


def left_paused(cache: Cache) -> set[ObjectKey]:
    """Deployments that opsloop has paused and whose Release was deleted, perhaps while no operator ran."""
    return {key for deployment in cache.list("Deployment") for key in _left_paused(deployment, cache)}


def _left_paused(deployment: Object, cache: Cache) -> set[ObjectKey]:
    """The Deployment itself, where opsloop has it paused and no Release speaks of it any more."""
    namespace, name = deployment["metadata"].get("namespace", ""), deployment["metadata"]["name"]
    cached = cache.get("Deployment", namespace, name)
    if cached is None or not cached["spec"].get("paused") or paused_by(cached) != names.FIELD_MANAGER:
        return set()
    spoken_of = any(release.spec.workload_ref.name == name for release in cache.releases(namespace))
    return set() if spoken_of else {("Deployment", namespace, name)}


def _left_by(release: Object, cache: Cache) -> set[ObjectKey]:
    """The Deployment of a Release that was deleted, where it is still paused."""
    namespace, name = (
        release["metadata"].get("namespace", ""),
        (release["spec"].get("workloadRef") or {}).get("name", ""),
    )
    deployment = cache.get("Deployment", namespace, name)
    return _left_paused(deployment, cache) if deployment is not None else set()


def _parse(model: type[M], obj: Object, cache: Cache) -> M | None:
    """The object as a model: from the cache, or as it was when it was deleted; None where it cannot be parsed."""
    cached = cache.model(model, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
    try:
        return cached or model.model_validate(obj)
    except ValidationError:
        return None


def _loop_closed(incident: Incident) -> bool:
    return any(c.type == "LoopClosed" and c.status == "True" for c in incident.status.conditions)


def _incident_keys(incidents: Iterable[Incident]) -> set[ObjectKey]:
    return {("Incident", i.metadata.namespace, i.metadata.name) for i in incidents}
