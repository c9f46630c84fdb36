"""Gathers the facts of one object: from the watch cache where possible, live for kinds that are not watched."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import parse_time
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.core.alerts import pages
from opsloop.core.correlation.decide import relevant_incidents
from opsloop.core.correlation.experience import teachers
from opsloop.core.evalcase.quarantine import label_value
from opsloop.core.facts import (
    CanaryFacts,
    CorrelationFacts,
    Deployed,
    EvalCaseFacts,
    Experience,
    FieldWrite,
    GuardFacts,
    IncidentFacts,
    Neighbour,
    ReleaseFacts,
    ReleaseView,
    RunbookFacts,
    WorkloadFacts,
)
from opsloop.core.release import revisions
from opsloop.core.release.alone import claims_of
from opsloop.core.release.rollout_state import trouble_of
from opsloop.core.reported import Asked, InboxEntry, Ledger, Looked, Taught
from opsloop.core.runbook.rights import CREATE_JOBS, concerned, identity, rights_of
from opsloop.errors import Forbidden, NotFound
from opsloop.names import CANARY, QUARANTINE, RELEASE, REVISION, SUBJECT, WARM, canary_name, postmortem_name, warm_name
from opsloop.shell.ports import CLAIMS, CONFIGMAPS, CONTROLLERREVISIONS, PODS, SERVICES, Object
from opsloop.shell.reconcile import admission, comparing, guarded, live_pods, own
from opsloop.shell.reconcile.addresses import addresses
from opsloop.shell.reconcile.beside import beside
from opsloop.shell.reconcile.checks import account_exists
from opsloop.shell.reconcile.checks import facts as check_facts
from opsloop.shell.reconcile.objects import is_explained_by_objects, with_objects
from opsloop.shell.reconcile.own_pods import own_pods
from opsloop.shell.reconcile.replica_sets import replica_sets
from opsloop.shell.reconcile.routes import routes
from opsloop.shell.reconcile.workloads import pod, replica_failure, workload
from opsloop.shell.runtime import Runtime
from opsloop.shell.watch.cache import SYNTHETIC

MOST_REVIEWS = 20  # Releases on which a Runbook's access is reviewed before anybody asks for a play

TROUBLE_AGAIN = timedelta(seconds=3)  # between two lists of a Deployment's pods while a rollout is waited for
TOGETHER = 8  # ledgers that are read beside each other


async def release_facts(runtime: Runtime, namespace: str, name: str) -> ReleaseFacts | None:
    """Facts of one Release; None where it does not exist."""
    release = runtime.cache.model(Release, namespace, name)
    if release is None:
        runtime.replica_sets.pop((namespace, name), None)
        runtime.addresses.pop((namespace, name), None)
        return None
    deployment = release.spec.workload_ref.name
    stored = runtime.cache.get("Deployment", namespace, deployment)
    canary = own.find(runtime, namespace, canary_name(deployment), CANARY, name)
    known = await templates(runtime, namespace, name)
    stored, guard = await guarded.seen(runtime, release, stored, known) if stored else (None, None)
    seen = await _workload(runtime, release, stored, guard) if stored else None
    kept = own.find(runtime, namespace, warm_name(deployment), WARM, name)
    sets = await replica_sets(runtime, release, stored, canary, kept)
    canary_facts = await _own(runtime, release, CANARY, canary) if canary else None
    of_live, due = await live_pods.seen(runtime, release, stored)
    facts = ReleaseFacts(
        release=release,
        workload=await admission.identified(runtime, release, known, seen) if seen else None,
        canary=canary_facts,
        warm=await _own(runtime, release, WARM, kept) if kept else None,
        templates=known,
        incidents=tuple(i for i in runtime.cache.incidents(namespace) if i.spec.release == name),
        readings=runtime.readings.of((namespace, name)),
        cases=tuple(c for c in runtime.cache.evalcases(namespace) if c.spec.release == name),
        eval_outcome=runtime.evals.outcome(namespace, name),
        refusals=runtime.refusals.of((namespace, name)),
        replica_sets=sets,
        addresses=await addresses(runtime, release, stored, sets, canary, kept) if stored else None,
        written=runtime.owned.written.get((namespace, name)),
        claims=await _claims(runtime, namespace, stored["spec"]["template"]) if stored else {},
        neighbours=tuple(
            Neighbour(r.metadata.name, r.spec.workload_ref.name, r.metadata.creation_timestamp)
            for r in runtime.cache.releases(namespace)
        ),
        beside=await beside(runtime, release, stored) if stored else None,
        routes=await routes(runtime, release),
        stop=runtime.stops.of(namespace),
        freezing=tuple(i for i in runtime.cache.incidents(namespace) if i.is_open and i.status.freezes),
        deliveries=runtime.pages.deliveries(release.metadata.uid or name),
        routing=runtime.routing,
        checks=await check_facts(runtime, release, canary_facts),
        live_pods=of_live,
        live_pods_due=due,
    )
    return replace(facts, answers=await admission.answers(runtime, facts))


async def _workload(runtime: Runtime, release: Release, stored: Object, guard: GuardFacts | None) -> WorkloadFacts:
    """The Deployment; while a promotion or a rollback waits for it, or pods are kept warm that might make room, with what keeps
    its pods from starting."""
    facts, status = replace(workload(stored, release.spec.ignore_stamps), guard=guard), release.status
    promoting = status.target is not None and status.target.state == "Promoting"
    waited_for = promoting or (status.rollback is not None and status.rollback.is_active)
    waited_for |= status.warm is not None and status.warm.state != "Over"
    if facts.settled or not waited_for or not facts.selector:
        return facts
    trouble, unscheduled = await _trouble(runtime, release, facts.selector)
    return replace(facts, rollout=replace(facts.rollout, trouble=trouble, unscheduled=unscheduled))


async def _trouble(runtime: Runtime, release: Release, selector: Mapping[str, str]) -> tuple[str, str]:
    """What keeps live pods from starting, and why one fits no node: for people, so that they are not listed at every look."""
    now, known = runtime.now(), runtime.owned.trouble.get(release.key)
    if known is None or now - known[0] >= TROUBLE_AGAIN:
        pods = await runtime.reader.list(PODS, release.metadata.namespace, selector)
        own = [pod(p) for p in pods if not {CANARY, WARM} & set(p["metadata"].get("labels", {}))]
        unscheduled = next((p.unschedulable for p in own if p.unschedulable and not p.deleting), "")
        known = runtime.owned.trouble[release.key] = (now, (trouble_of(own), unscheduled))
    return known[1]


async def _claims(runtime: Runtime, namespace: str, template: Object) -> dict[str, tuple[str, ...]]:
    """Access modes of the claims that a template mounts; one that cannot be read is left out, and asked for again."""
    claims = runtime.owned.claims
    for name in claims_of(template):
        if (namespace, name) not in claims:
            with contextlib.suppress(NotFound, Forbidden):
                claim = await runtime.reader.get(CLAIMS, namespace, name)
                claims[namespace, name] = tuple(claim["spec"].get("accessModes") or ())
    return {name: claims[namespace, name] for name in claims_of(template) if (namespace, name) in claims}


async def templates(runtime: Runtime, namespace: str, release: str) -> dict[str, Any]:
    """Stored templates of a Release by digest; listed once per process."""
    owned = runtime.owned.templates.get((namespace, release))
    if owned is None:
        stored = await runtime.reader.list(CONTROLLERREVISIONS, namespace, {RELEASE: release})
        owned = {o["metadata"]["labels"][REVISION]: o["data"] for o in stored if REVISION in o["metadata"]["labels"]}
        runtime.owned.templates[namespace, release] = owned
    return dict(owned)


async def _own(runtime: Runtime, release: Release, key: str, stored: Object) -> CanaryFacts:
    return CanaryFacts(
        images=revisions.images_of(stored["spec"]["template"]),
        labels=stored["spec"]["template"]["metadata"]["labels"],
        digest=stored["spec"]["template"]["metadata"]["labels"].get(REVISION, ""),
        replicas=stored["spec"].get("replicas", 1),
        pods=await own_pods(runtime, release, key, stored),
        failure=replica_failure(stored.get("status", {})),
        uid=stored["metadata"].get("uid", ""),
    )


def view(runtime: Runtime, release: Release) -> ReleaseView:
    """A Release with its readings, for the decisions of other kinds: the same one while neither has changed."""
    key = release.key
    readings, known = runtime.readings.of(key), runtime.views.get(key)
    if known is None or known.release is not release or known.readings is not readings:
        live = revisions.find(release.status.revisions, release.status.live)
        changed_at = live.live_since if live and not live.never_ran else None
        known = runtime.views[key] = ReleaseView(release, readings, changed_at)
    return known


async def incident_facts(runtime: Runtime, namespace: str, name: str) -> IncidentFacts | None:
    """Facts of one Incident; None where it does not exist."""
    incident = runtime.cache.model(Incident, namespace, name)
    if incident is None:
        return None
    views = tuple(view(runtime, r) for r in runtime.cache.releases(namespace))
    root = next((v for v in views if v.release.metadata.name == incident.spec.release), None)
    page = incident.status.page
    return IncidentFacts(
        incident=incident,
        root=await with_objects(runtime, incident, root, await _runs(runtime, incident, root.release))
        if root
        else None,
        releases=views,
        incidents=tuple(i for i in runtime.cache.incidents(namespace) if i.metadata.name != name),
        runbooks=tuple(runtime.cache.runbooks(namespace)),
        eval_cases=tuple(c for c in runtime.cache.evalcases(namespace) if c.spec.release == incident.spec.release),
        ledger=await _with_merged(runtime, namespace, name),
        postmortem=await _postmortem(runtime, namespace, name),
        deliveries=runtime.pages.deliveries(page.dedup_key) if page else {},
        routing=runtime.routing,
        stop=runtime.stops.of(namespace),
        heard_since=runtime.heard_since(),
        writes=_writes(runtime.cache.get("Incident", namespace, name) or {}),
        stored_at=runtime.activity.stored_at(namespace, name),
        busy=runtime.activity.busy(runtime.now()),
        deployed=_deployed(runtime, root.release) if root else None,
        errand=await runtime.errands.of(incident),
        addresses=runtime.errands.addresses,
        comparison=await comparing.facts(runtime, incident, root.release if root else None, templates),
        taken=runtime.evals.taken(namespace, name),
    )


async def _runs(runtime: Runtime, incident: Incident, release: Release) -> Object | None:
    """The Release's Deployment as its pods run it, where the Incident's cause is looked for."""
    namespace = release.metadata.namespace
    stored = runtime.cache.get("Deployment", namespace, release.spec.workload_ref.name)
    if stored is None or not release.spec.guard or not is_explained_by_objects(incident):
        return stored
    runs, _ = await guarded.seen(runtime, release, stored, await templates(runtime, namespace, release.metadata.name))
    return runs


def _deployed(runtime: Runtime, release: Release) -> Deployed | None:
    """The Release's Deployment as plays see it."""
    name = release.spec.workload_ref.name
    stored = runtime.cache.get("Deployment", release.metadata.namespace, name)
    if stored is None:
        return None
    spec, scaler = stored["spec"], (stored.get(SYNTHETIC) or {}).get("scaler", "")
    return Deployed(name, spec.get("replicas", 1), scaler, spec["selector"].get("matchLabels") or {})


def _writes(incident: Object) -> dict[str, FieldWrite]:
    """Last writes of fields that people write, by field; without those of which nothing is noted."""
    noted: dict[str, dict[str, str]] = incident.get(SYNTHETIC) or {}
    return {
        name: FieldWrite(write["name"], parse_time(write["time"])) for name, write in noted.items() if write.get("time")
    }


async def _with_merged(runtime: Runtime, namespace: str, name: str) -> Ledger:
    """The Incident's ledger joined with those of the Incidents that were merged into it."""
    merged = [i.metadata.name for i in runtime.cache.incidents(namespace) if i.status.merged_into == name]
    own = await runtime.ledgers.ledger(namespace, name)
    return pages.join(own, [await runtime.ledgers.ledger(namespace, m) for m in merged])


async def namespace_facts(runtime: Runtime, namespace: str) -> CorrelationFacts:
    """Facts for the correlator. Ledgers are read only where something waits to be filed or linked, or may move; the inbox is
    left for later where it was looked at just now, and something else asked for this look."""
    due = runtime.inbox.has_more(namespace) or not runtime.intake_due_in(("Namespace", namespace, namespace))
    inbox = await runtime.inbox.entries(namespace) if due else ()
    queue = await runtime.ledgers.queue(namespace)
    releases, incidents = runtime.cache.releases(namespace), runtime.cache.incidents(namespace)
    told = inbox or queue or any(i.is_open and i.status.alerts.count for i in incidents)
    experience = await runtime.experience.of(namespace) if incidents else Experience()
    relevant = relevant_incidents(incidents, runtime.now(), runtime.reopen_grace) if told else []
    names = {
        i.metadata.name for i in (*relevant, *teachers(incidents, experience, runtime.reopen_grace, runtime.now()))
    }
    asked = tuple(a for entry in inbox for a in entry.asked)
    about = {i.metadata.name for i in incidents if any(_may_hold(i, a) for a in asked)}
    return CorrelationFacts(
        namespace=namespace,
        releases=tuple(view(runtime, release) for release in releases),
        incidents=(*incidents, *map(_nameless, runtime.cache.unreadable_incidents(namespace))),
        ledgers=await _ledgers(runtime, namespace, names),
        owners={w: r.metadata.name for r in releases if (w := r.spec.workload_ref.name) != r.metadata.name},
        inbox=inbox,
        queue=queue,
        since=runtime.inbox.since(namespace),
        heard_since=runtime.heard_since(),
        rules=runtime.rules.known,
        experience=experience,
        house=runtime.house,
        looked=runtime.looked.get(namespace, Looked()),
        written=runtime.activity.filed_of(namespace, runtime.now()),
        busy=runtime.activity.busy(runtime.now()),
        crowded=runtime.inbox.has_more(namespace),
        taught=await runtime.taught.of(namespace) if asked or queue or _has_tickets(inbox) else Taught(),
        further=await _ledgers(runtime, namespace, about - names),
    )


async def _ledgers(runtime: Runtime, namespace: str, incidents: Iterable[str]) -> dict[str, Ledger]:
    """The ledgers by Incident; a process that knows none yet reads some at a time."""
    found, names = dict[str, Ledger](), sorted(incidents)
    for first in range(0, len(names), TOGETHER):
        some = names[first : first + TOGETHER]
        read = await asyncio.gather(*(runtime.ledgers.ledger(namespace, name) for name in some))
        found.update(zip(some, read, strict=True))
    return found


def _has_tickets(inbox: Iterable[InboxEntry]) -> bool:
    return any(entry.tickets for entry in inbox)


def _may_hold(incident: Incident, asked: Asked) -> bool:
    """True of the Incident that a ticket shall go to, and of those that may hold it; a status lists the first ones only."""
    listed = any(ticket.id == asked.ticket for ticket in incident.status.tickets)
    return listed or incident.metadata.name == asked.link or bool(incident.status.dropped.get("tickets"))


def _nameless(stored: Object) -> Incident:
    """An Incident of which no more than its name is known: over, and nobody's, but the next number is not its own."""
    signal = {"kind": "alerts", "at": "1970-01-01T00:00:00Z", "severity": "sev4"}
    meta = {"name": stored["metadata"]["name"], "namespace": stored["metadata"].get("namespace", "")}
    spec = {"service": "", "title": "cannot be parsed", "signal": signal}
    status = {"phase": "Resolved", "mergedInto": meta["name"]}
    return Incident.model_validate({"metadata": meta, "spec": spec, "status": status})


async def _postmortem(runtime: Runtime, namespace: str, incident: str) -> str | None:
    """Digest of the stored postmortem's subject; "" where an older opsloop stored none. Read once per process."""
    if (namespace, incident) not in runtime.owned.postmortems:
        try:
            stored = await runtime.reader.get(CONFIGMAPS, namespace, postmortem_name(incident))
            digest = (stored["metadata"].get("annotations") or {}).get(SUBJECT, "")
        except NotFound:
            digest = None
        runtime.owned.postmortems[namespace, incident] = digest
    return runtime.owned.postmortems[namespace, incident]


async def runbook_facts(runtime: Runtime, namespace: str, name: str) -> RunbookFacts | None:
    """Facts of one Runbook; access is reviewed for the Releases of requested plays, and for all until it is Ready."""
    runbook = runtime.cache.model(Runbook, namespace, name)
    if runbook is None:
        return None
    incidents, releases = tuple(runtime.cache.incidents(namespace)), tuple(runtime.cache.releases(namespace))
    requesting = tuple(
        i for i in incidents if any(p.state == "Requested" and p.runbook == name for p in i.status.plays)
    )
    asked = {i.spec.release for i in requesting}
    reviewed = [r for r in releases if r.metadata.name in asked]
    reviewed += [r for r in concerned(runbook, releases) if r not in reviewed][:MOST_REVIEWS]
    account = identity(namespace, runbook.spec.service_account_name)
    needed = [(right, r.metadata.name, right.object_of(r)) for right in rights_of(runbook) for r in reviewed]
    absent = asked - {release.metadata.name for release in releases}  # what is nobody's Deployment needs no Release
    needed += [(right, name, "") for right in rights_of(runbook) if not right.is_on_object for name in sorted(absent)]
    allowed = {
        (right.plural, name): await runtime.access.allowed(
            account, right.verb, right.group, right.plural, namespace, on
        )
        for right, name, on in needed
    }
    return RunbookFacts(
        runbook=runbook,
        incidents=requesting,
        releases=releases,
        allowed=allowed,
        stop=runtime.stops.of(namespace),
        others=tuple(b for b in runtime.cache.runbooks(namespace) if b.metadata.name != name),
        known=incidents,
        addresses=runtime.errands.addresses,
        runs_jobs=CREATE_JOBS not in rights_of(runbook)
        or await runtime.access.may("create", "batch", "jobs", namespace),
        account_exists=await account_exists(runtime, namespace, runbook.spec.service_account_name),
    )


async def evalcase_facts(runtime: Runtime, namespace: str, name: str) -> EvalCaseFacts | None:
    """Facts of one EvalCase; pods and Services are listed only while it may need a proof."""
    case = runtime.cache.model(EvalCase, namespace, name)
    if case is None:
        return None
    release = runtime.cache.model(Release, namespace, case.spec.release)
    status, deployment = case.status, None
    if release is not None:
        deployment = runtime.cache.get("Deployment", namespace, release.spec.workload_ref.name)
    answers: dict[str, Any] = {
        "outcomes": runtime.evals.proof_outcomes(namespace, name),
        "stop": runtime.stops.of(namespace),
        "live_outcome": runtime.evals.live_outcome(namespace, name),
        "sounded": runtime.evals.sounded(namespace, name),
        "others": tuple(c for c in runtime.cache.evalcases(namespace) if c.spec.release == case.spec.release)
        if case.spec.origin.kind == "regression"
        else (),
        "live_selector": (deployment["spec"]["selector"].get("matchLabels") or {}) if deployment else {},
    }
    current = status.observed_generation == case.metadata.generation
    proven = current and status.proven in ("True", "False") and status.started_at is None  # its pods are deleted
    if case.spec.proof is None or proven:
        return EvalCaseFacts(case, release, {}, (), **answers)
    pods = await runtime.reader.list(PODS, namespace, {QUARANTINE: label_value(name)})
    services = await runtime.reader.list(SERVICES, namespace)
    return EvalCaseFacts(
        case=case,
        release=release,
        templates=await templates(runtime, namespace, case.spec.release),
        pods=tuple(pod(p) for p in pods),
        service_selectors=tuple(s["spec"].get("selector") or {} for s in services),
        **answers,
    )
