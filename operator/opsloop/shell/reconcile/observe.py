"""Gathers the facts of one name: from the watch caches where possible, live where they do not reach."""

from typing import Any

from opsloop.api.meta import parse_time
from opsloop.api.release import Release
from opsloop.core.alerts import ledger
from opsloop.core.correlation.decide import relevant_incidents
from opsloop.core.evalcase.quarantine import label_value
from opsloop.core.facts import (
    CanaryFacts,
    CorrelationFacts,
    EvalCaseFacts,
    IncidentFacts,
    Ledger,
    PodFacts,
    ReleaseFacts,
    ReleaseView,
    RunbookFacts,
    WorkloadFacts,
)
from opsloop.core.release import revisions
from opsloop.errors import NotFound
from opsloop.names import CANARY, GATE, QUARANTINE, RELEASE, REVISION, canary_name, postmortem_name
from opsloop.shell.ports import CONFIGMAPS, CONTROLLERREVISIONS, PODS, SERVICES, Object
from opsloop.shell.runtime import Runtime

FAILING = ("CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "CreateContainerConfigError",
           "InvalidImageName", "RunContainerError", "CreateContainerError")  # fmt: skip


async def release_facts(runtime: Runtime, namespace: str, name: str) -> ReleaseFacts | None:
    """Facts of one Release; None where it is gone."""
    release = next((r for r in runtime.cache.releases(namespace) if r.metadata.name == name), None)
    if release is None:
        return None
    deployment = release.spec.workload_ref.name
    stored = runtime.cache.get("Deployment", namespace, deployment)
    return ReleaseFacts(
        release=release,
        workload=workload(stored) if stored else None,
        canary=await _canary(runtime, namespace, name, deployment),
        templates=await templates(runtime, namespace, name),
        incidents=tuple(i for i in runtime.cache.incidents(namespace) if i.spec.release == name),
        readings=runtime.readings.of((namespace, name)),
        cases=tuple(c for c in runtime.cache.evalcases(namespace) if c.spec.release == name),
        eval_outcome=runtime.evals.outcome(namespace, name),
    )


def workload(obj: Object) -> WorkloadFacts:
    """The user's Deployment as facts."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status", {})
    wanted = spec.get("replicas", 1)
    manager = obj.get("opsloop", {}).get("templateManager", {})
    written = manager.get("time")
    return WorkloadFacts(
        name=meta["name"],
        uid=meta.get("uid", ""),
        template=spec["template"],
        digest=revisions.digest(spec["template"]),
        resource_version=meta.get("resourceVersion", ""),
        replicas=wanted,
        selector=spec["selector"].get("matchLabels", {}),
        settled=_settled(meta, status, wanted),
        manager=manager.get("name", ""),
        written_at=parse_time(written) if written else None,
    )


def _settled(meta: Object, status: Object, wanted: int) -> bool:
    seen = status.get("observedGeneration", 0) >= meta.get("generation", 0)
    counts = (status.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas"))
    return bool(seen and all(count == wanted for count in counts))


async def templates(runtime: Runtime, namespace: str, release: str) -> dict[str, Any]:
    """digest → stored template; read once per process, afterwards our own writes keep it current."""
    known = runtime.owned.templates.get((namespace, release))
    if known is None:
        stored = await runtime.reader.list(CONTROLLERREVISIONS, namespace, {RELEASE: release})
        known = {o["metadata"]["labels"][REVISION]: o["data"] for o in stored if REVISION in o["metadata"]["labels"]}
        runtime.owned.templates[namespace, release] = known
    return dict(known)


async def _canary(runtime: Runtime, namespace: str, release: str, deployment: str) -> CanaryFacts | None:
    stored = runtime.cache.get("Deployment", namespace, canary_name(deployment))
    if stored is None or stored["metadata"].get("labels", {}).get(CANARY) != release:
        return None
    pods = await runtime.reader.list(PODS, namespace, {CANARY: release})
    return CanaryFacts(
        digest=stored["spec"]["template"]["metadata"]["labels"].get(REVISION, ""),
        replicas=stored["spec"].get("replicas", 1),
        pods=tuple(pod(p) for p in pods),
    )


def pod(obj: Object) -> PodFacts:
    """A canary or quarantined pod as facts."""
    meta, status = obj["metadata"], obj.get("status", {})
    conditions = {c["type"]: c.get("status") == "True" for c in status.get("conditions", [])}
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
    )


def _failing(status: Object) -> str:
    if status.get("phase") == "Failed":
        return str(status.get("reason", "Failed"))
    for container in status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") in FAILING:
            return f"{container.get('name')}: {waiting['reason']}"
    return ""


def view(runtime: Runtime, release: Release) -> ReleaseView:
    """What other kinds' decisions know of a Release."""
    live = revisions.find(release.status.revisions, release.status.live)
    return ReleaseView(release, runtime.readings.of(release.key), live.live_since if live else None)


async def incident_facts(runtime: Runtime, namespace: str, name: str) -> IncidentFacts | None:
    """Facts of one Incident; None where it is gone."""
    incident = next((i for i in runtime.cache.incidents(namespace) if i.metadata.name == name), None)
    if incident is None:
        return None
    views = tuple(view(runtime, r) for r in runtime.cache.releases(namespace))
    root = next((v for v in views if v.release.metadata.name == incident.spec.release), None)
    page = incident.status.page
    return IncidentFacts(
        incident=incident,
        root=root,
        releases=views,
        incidents=tuple(i for i in runtime.cache.incidents(namespace) if i.metadata.name != name),
        runbooks=tuple(runtime.cache.runbooks(namespace)),
        eval_cases=tuple(c for c in runtime.cache.evalcases(namespace) if c.spec.release == incident.spec.release),
        ledger=await _with_merged(runtime, namespace, name),
        postmortem=await _postmortem(runtime, namespace, name),
        page_sent_at=runtime.pages.sent_at(page.dedup_key) if page else None,
    )


async def _with_merged(runtime: Runtime, namespace: str, name: str) -> Ledger:
    """Its own ledger and those of the Incidents that were merged into it: their alerts and tickets are about its harm."""
    merged = [i.metadata.name for i in runtime.cache.incidents(namespace) if i.status.merged_into == name]
    own = await runtime.ledgers.ledger(namespace, name)
    return ledger.join([own, *[await runtime.ledgers.ledger(namespace, m) for m in merged]]) if merged else own


async def namespace_facts(runtime: Runtime, namespace: str) -> CorrelationFacts:
    """Facts for the correlator. Ledgers are read only where something waits to be filed or linked."""
    inbox = await runtime.inbox.entries(namespace)
    queue = await runtime.ledgers.queue(namespace)
    releases, incidents = runtime.cache.releases(namespace), runtime.cache.incidents(namespace)
    relevant = relevant_incidents(incidents, runtime.now(), runtime.reopen_grace) if inbox or queue else []
    return CorrelationFacts(
        namespace=namespace,
        releases=tuple(view(runtime, release) for release in releases),
        incidents=incidents,
        ledgers={i.metadata.name: await runtime.ledgers.ledger(namespace, i.metadata.name) for i in relevant},
        owners={w: r.metadata.name for r in releases if (w := r.spec.workload_ref.name) != r.metadata.name},
        inbox=inbox,
        queue=queue,
        since=runtime.inbox.since(namespace),
    )


async def _postmortem(runtime: Runtime, namespace: str, incident: str) -> str | None:
    if (namespace, incident) not in runtime.owned.postmortems:
        try:
            stored = await runtime.reader.get(CONFIGMAPS, namespace, postmortem_name(incident))
            text = (stored.get("data") or {}).get("postmortem.md")
        except NotFound:
            text = None
        runtime.owned.postmortems[namespace, incident] = text
    return runtime.owned.postmortems[namespace, incident]


async def runbook_facts(runtime: Runtime, namespace: str, name: str) -> RunbookFacts | None:
    """Facts of one Runbook; access is reviewed only for plays that ask for it."""
    runbook = next((r for r in runtime.cache.runbooks(namespace) if r.metadata.name == name), None)
    if runbook is None:
        return None
    asking = tuple(
        i
        for i in runtime.cache.incidents(namespace)
        if any(p.state == "Requested" and p.runbook == name for p in i.status.plays)
    )
    releases = tuple(runtime.cache.releases(namespace))
    concerned = {i.spec.release for i in asking}
    account = f"system:serviceaccount:{namespace}:{runbook.spec.service_account_name}"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    allowed = {
        r.metadata.name: await runtime.access.allowed(
            account, groups, "patch", "apps", "deployments", namespace, r.spec.workload_ref.name
        )
        for r in releases
        if r.metadata.name in concerned
    }
    return RunbookFacts(runbook=runbook, incidents=asking, releases=releases, allowed=allowed)


async def evalcase_facts(runtime: Runtime, namespace: str, name: str) -> EvalCaseFacts | None:
    """Facts of one EvalCase; pods and Services are listed only while it may need a proof."""
    case = next((c for c in runtime.cache.evalcases(namespace) if c.metadata.name == name), None)
    if case is None:
        return None
    release = next((r for r in runtime.cache.releases(namespace) if r.metadata.name == case.spec.release), None)
    status = case.status
    current = status.observed_generation == case.metadata.generation
    settled = current and status.proven in ("True", "False") and status.started_at is None  # its pods are gone
    if case.spec.proof is None or settled:
        return EvalCaseFacts(case, release, {}, (), runtime.evals.proof_outcomes(namespace, name))
    pods = await runtime.reader.list(PODS, namespace, {QUARANTINE: label_value(name)})
    services = await runtime.reader.list(SERVICES, namespace)
    return EvalCaseFacts(
        case=case,
        release=release,
        templates=await templates(runtime, namespace, case.spec.release),
        pods=tuple(pod(p) for p in pods),
        outcomes=runtime.evals.proof_outcomes(namespace, name),
        service_selectors=tuple(s["spec"].get("selector") or {} for s in services),
    )
