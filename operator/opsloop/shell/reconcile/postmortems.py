"""Stores a postmortem: reads what is stored, and the SLI over the time of the harm where that is not stored yet."""

from opsloop.core.actions import StorePostmortem
from opsloop.core.postmortem import document, render, stored
from opsloop.core.postmortem.curve import Curve, span_to_read
from opsloop.errors import NotFound
from opsloop.shell.ports import CONFIGMAPS, Object
from opsloop.shell.reconcile import manifests
from opsloop.shell.runtime import Runtime


async def store(runtime: Runtime, namespace: str, obj: Object, action: StorePostmortem) -> None:
    """Renders and applies the ConfigMap `action.name` as it was read: a Conflict where somebody wrote it meanwhile."""
    name = action.incident.metadata.name
    try:
        found: Object | None = await runtime.reader.get(CONFIGMAPS, namespace, action.name)
    except NotFound:
        found = None
    before = stored.read(found)
    edits, curve = stored.kept(before), await _curve(runtime, action, before.curve)
    made = document.document(action.incident, action.release, action.case, curve, edits.kept)
    contents = stored.contents(before, edits, made, render.render(made, "md"))
    await runtime.writer.apply(CONFIGMAPS, namespace, manifests.postmortem(obj, action, contents, before.version))
    runtime.owned.postmortems[namespace, name] = action.digest
    runtime.enqueue(("Incident", namespace, name))


async def _curve(runtime: Runtime, action: StorePostmortem, known: Curve | None) -> Curve | None:
    """The stored one where it holds the whole harm and what came after it, else as Prometheus answers now, else again the stored one."""
    status, signal = action.incident.status, action.incident.spec.signal
    burn, onset, end = status.burn or signal.burn, status.onset_at, status.resolved_at or status.mitigated_at
    if burn is None or onset is None or action.release is None:
        return known
    span = span_to_read(onset, end, runtime.now())
    if known and end and known.covers(onset, max(end, span[1])):
        return known
    return await runtime.curve(action.release.key, burn.slo, span) or known
