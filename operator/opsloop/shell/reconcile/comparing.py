"""The facts of a comparison in quarantine: recorded requests, stored templates, and the pods that are asked."""

from collections.abc import Awaitable, Callable
from typing import Any

from opsloop.api.eval_request import EvalRequest
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core.evalcase import capture
from opsloop.core.evalcase.quarantine import label_value
from opsloop.core.facts import ComparisonFacts
from opsloop.core.incident import comparison
from opsloop.core.recorded.sample import sample
from opsloop.errors import NotFound
from opsloop.names import QUARANTINE, requests_name
from opsloop.shell.ports import CONFIGMAPS, PODS, SERVICES
from opsloop.shell.reconcile.workloads import pod
from opsloop.shell.runtime import Runtime

Templates = Callable[
    [Runtime, str, str], Awaitable[dict[str, Any]]
]  # (namespace, Release) → stored templates by digest


async def facts(
    runtime: Runtime, incident: Incident, release: Release | None, templates: Templates
) -> ComparisonFacts | None:
    """None where no comparison is wanted: nothing is read or listed then."""
    namespace = incident.metadata.namespace
    cases = [c for c in runtime.cache.evalcases(namespace) if c.spec.release == incident.spec.release]
    if not comparison.is_wanted(incident, release, cases):
        return None
    subject = comparison.subject(incident.metadata.name)
    pods = await runtime.reader.list(PODS, namespace, {QUARANTINE: label_value(subject)})
    if release is None:  # deleted meanwhile: what was started for it must go
        return ComparisonFacts(pods=tuple(pod(p) for p in pods), outcome=runtime.evals.compared(namespace, subject))
    services = await runtime.reader.list(SERVICES, namespace)
    requests, failed, remark = await _recorded(runtime, incident, release)
    return ComparisonFacts(
        requests=requests,
        failed=failed,
        remark=remark,
        cases=comparison.written(cases),
        templates=await templates(runtime, namespace, release.metadata.name),
        pods=tuple(pod(p) for p in pods),
        service_selectors=tuple(s["spec"].get("selector") or {} for s in services),
        outcome=runtime.evals.compared(namespace, subject),
    )


async def _recorded(
    runtime: Runtime, incident: Incident, release: Release
) -> tuple[tuple[EvalRequest, ...], tuple[EvalRequest, ...], str]:
    """(requests, those that were recorded as bad, what there was in words)."""
    evals = release.spec.evals
    if evals is None or evals.recorded is None:
        return (), (), "no recorded requests (spec.evals.recorded)"
    named, taken = evals.recorded.config_map, incident.status.sampled
    sources = [requests_name(incident.metadata.name)] if taken and taken.requests else []
    sources += [named] if named else []
    texts, missing = list[str](), list[str]()
    for name in sources:
        try:
            stored = await runtime.reader.get(CONFIGMAPS, release.metadata.namespace, name)
            texts += [text for _, text in sorted((stored.get("data") or {}).items())]
        except NotFound:
            missing.append(f"ConfigMap {name} of spec.evals.recorded does not exist")
    if not texts:
        return (), (), "; ".join(missing) or (taken.message if taken else f"{evals.recorded.path} was not asked yet")
    found = sample(texts, evals.recorded.methods)
    pairs = [(seen, capture.request_of(release, seen, seen.body, evals.port)) for seen in found.requests]
    failed = tuple(request for seen, request in pairs if seen.is_bad)
    return tuple(request for _, request in pairs), failed, f"{found.remark} of {' and '.join(sources)}"
