"""Which names a change concerns. Pure: nothing here branches on what kind of event it was."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from opsloop import names
from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import Model
from opsloop.api.release import Release
from opsloop.core.release.live import ACTIVE
from opsloop.shell.ports import Object
from opsloop.shell.watch.cache import Cache
from opsloop.shell.watch.workqueue import Key

M = TypeVar("M", bound=Model)
AFTERGLOW = timedelta(minutes=30)  # a resolved Incident looks at readings this long: it may reopen


def wakes(kind: str, obj: Object, cache: Cache) -> set[Key]:
    """The names to look at because this object changed, appeared or went."""
    meta = obj["metadata"]
    namespace, name = meta.get("namespace", ""), meta["name"]
    own = {(kind, namespace, name)}
    match kind:
        case "Release":
            return own | _of_release(namespace, name, cache)
        case "Incident":
            return own | _of_incident(_read(Incident, obj, cache), cache)
        case "Runbook":
            return own | _incidents(i for i in cache.incidents(namespace) if i.is_open)
        case "EvalCase":
            return own | _of_case(_read(EvalCase, obj, cache), cache)
        case "Deployment":
            return _releases_of(namespace, name, cache)
    return set()


def wakes_for_reading(namespace: str, release: str, cache: Cache, now: datetime) -> set[Key]:
    """The names to look at because the reading of this Release's SLO changed."""
    fresh = (i for i in cache.incidents(namespace) if i.spec.release == release and _fresh(i, now))
    return {("Release", namespace, release), ("Namespace", namespace, namespace)} | _incidents(fresh)


def _fresh(incident: Incident, now: datetime) -> bool:
    if incident.status.phase != "Resolved":
        return True
    return incident.status.resolved_at is not None and now - incident.status.resolved_at <= AFTERGLOW


def _of_release(namespace: str, name: str, cache: Cache) -> set[Key]:
    release = cache.model(Release, namespace, name)
    live = release.status.live if release else ""
    waiting = (
        i for i in cache.incidents(namespace) if i.spec.release == name and (not _closed(i) or live in i.status.blocked)
    )  # a blocked revision that is live again reopens also what was closed long ago
    cases = {("EvalCase", namespace, c.metadata.name) for c in cache.evalcases(namespace) if c.spec.release == name}
    return {("Namespace", namespace, namespace)} | _incidents(waiting) | cases


def _of_incident(incident: Incident | None, cache: Cache) -> set[Key]:
    if incident is None:
        return set()
    namespace, found = incident.metadata.namespace, set[Key]()
    if incident.spec.release:
        found.add(("Release", namespace, incident.spec.release))
    if any(play.state == "Requested" for play in incident.status.plays):
        found |= {("Runbook", namespace, r.metadata.name) for r in cache.runbooks(namespace)}
    if incident.status.merged_into:
        found.add(("Incident", namespace, incident.status.merged_into))
    if incident.status.eval_case:
        found.add(("EvalCase", namespace, incident.status.eval_case))
    return found


def _of_case(case: EvalCase | None, cache: Cache) -> set[Key]:
    if case is None:
        return set()
    namespace = case.metadata.namespace
    found = {("Incident", namespace, case.spec.origin.incident)} if case.spec.origin.incident else set()
    return found | ({("Release", namespace, case.spec.release)} if _awaited(case, cache) else set())


def _awaited(case: EvalCase, cache: Cache) -> bool:
    release = cache.model(Release, case.metadata.namespace, case.spec.release)
    return release is not None and release.status.target is not None and release.status.target.state in ACTIVE


def _releases_of(namespace: str, deployment: str, cache: Cache) -> set[Key]:
    found = (
        r
        for r in cache.releases(namespace)
        if deployment in (r.spec.workload_ref.name, names.canary_name(r.spec.workload_ref.name))
    )
    return {("Release", namespace, r.metadata.name) for r in found}


def _read(model: type[M], obj: Object, cache: Cache) -> M | None:
    """The object as a model: from the cache, or, where it was deleted, as it was; None where it cannot be parsed."""
    known = cache.model(model, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
    try:
        return known or model.model_validate(obj)
    except ValidationError:
        return None


def _closed(incident: Incident) -> bool:
    return any(c.type == "LoopClosed" and c.status == "True" for c in incident.status.conditions)


def _incidents(incidents: Iterable[Incident]) -> set[Key]:
    return {("Incident", i.metadata.namespace, i.metadata.name) for i in incidents}
