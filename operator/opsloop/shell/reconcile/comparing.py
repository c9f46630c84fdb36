"""The facts of a comparison in quarantine: recorded requests, stored templates, and the pods that are asked."""

from collections.abc import Awaitable, Callable, Sequence
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
from opsloop.names import QUARANTINE
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
    if release is None or not comparison.is_wanted(incident, release, cases):
        return None
    subject = comparison.subject(incident.metadata.name)
    pods = await runtime.reader.list(PODS, namespace, {QUARANTINE: label_value(subject)})
    services = await runtime.reader.list(SERVICES, namespace)
    requests, remark = await _recorded(runtime, release)
    return ComparisonFacts(
        requests=requests,
        remark=remark,
        cases=comparison.written(cases),
        templates=await templates(runtime, namespace, release.metadata.name),
        pods=tuple(pod(p) for p in pods),
        service_selectors=tuple(s["spec"].get("selector") or {} for s in services),
        outcome=runtime.evals.compared(namespace, subject),
    )


async def _recorded(runtime: Runtime, release: Release) -> tuple[tuple[EvalRequest, ...], str]:
    """(requests, what there was in words)."""
    evals = release.spec.evals
    if evals is None or evals.recorded is None:
        return (), "no recorded requests (spec.evals.recorded)"
    name = evals.recorded.config_map
    try:
        stored = await runtime.reader.get(CONFIGMAPS, release.metadata.namespace, name)
    except NotFound:
        return (), f"ConfigMap {name} of spec.evals.recorded does not exist"
    texts: Sequence[str] = [text for _, text in sorted((stored.get("data") or {}).items())]
    found = sample(texts, evals.recorded.methods)
    requests = tuple(capture.request_of(release, seen, seen.body, evals.port) for seen in found.requests)
    return requests, f"{found.remark} of ConfigMap {name}"
