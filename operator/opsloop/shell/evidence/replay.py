"""The regression case asked again, now: of quarantined pods of the bad and the good revision, and of the live pods."""

import asyncio
from datetime import timedelta
from typing import Any

from opsloop import names
from opsloop.api.evalcase import EvalCase
from opsloop.api.release import Release
from opsloop.core.evalcase import quarantine
from opsloop.core.evalcase.expectation import SERVER_ERRORS, Answer, answer
from opsloop.core.evalcase.hidden import hide
from opsloop.core.evalcase.share import standing
from opsloop.core.facts import ProbeReply
from opsloop.core.gate.evidence import CaseRun, LiveAnswer, Missing, Replay
from opsloop.core.release.revisions import digest
from opsloop.errors import Invalid, Unavailable
from opsloop.shell.evals.secret_headers import SecretReader
from opsloop.shell.evidence.cluster import Spellings, is_owned, running_template, spellings, without_hash
from opsloop.shell.evidence.sources import Sources, or_missing
from opsloop.shell.ports import CONTROLLERREVISIONS, DEPLOYMENTS, PODS, REPLICASETS, SERVICES, Object

MOST_LIVE = 10  # live pods that are asked


async def replay(sources: Sources, case: EvalCase, release: Release) -> Replay:
    """Asks both revisions side by side. Their pods are removed, also after an error.

    Raises Invalid where the Release or the case does not allow it.
    """
    if release.spec.evals and release.spec.evals.quarantine == "never":
        raise Invalid(
            f"Release {release.metadata.name} says evals.quarantine: never, so no old revision may be started"
        )
    if case.spec.load is not None:
        raise Invalid(
            f"EvalCase {case.metadata.name} is a check under load, which is sent by opsloop alone: see its status"
        )
    if case.spec.proof is None:
        raise Invalid(f"EvalCase {case.metadata.name} names no revisions that prove it")
    if quarantine.awaits_approval(case, release):
        raise Invalid(
            f"EvalCase {case.metadata.name} has no annotation {names.APPROVE}={case.spec.proof.bad}, and Release"
            f" {release.metadata.name} says evals.quarantine: ask, so no pod of that revision may be started"
        )
    bad, good = await asyncio.gather(
        *(
            or_missing("quarantine", _run(sources, case, release, d))
            for d in (case.spec.proof.bad, case.spec.proof.good)
        )
    )
    return Replay(bad, good)


async def _run(sources: Sources, case: EvalCase, release: Release, wanted: str) -> CaseRun:
    """Starts a pod of the stored template, asks it, and removes it."""
    name = release.metadata.name
    stored = await sources.cluster.get(CONTROLLERREVISIONS, sources.namespace, names.revision_name(name, wanted))
    template = stored.get("data") or {}
    if not Spellings(release, {}).is_stored(wanted, template):
        raise Invalid(f"the template stored as {wanted} has digest {digest(template)}")
    pod = quarantine.pod_from_template(
        case=f"gate-{case.metadata.name}",  # another label than the reconciler's, which tidies up its own pods
        release=name,
        digest=wanted,
        name=quarantine.pod_name(f"gate-{case.metadata.name}", wanted, _attempt(sources)),
        namespace=sources.namespace,
        template=template,
        service_selectors=await _selectors(sources),
    )
    created = await sources.cluster.create(PODS, sources.namespace, pod)
    try:
        await _until_ready(sources, pod["metadata"]["name"])
        given, reply = await _ask(sources, pod["metadata"]["name"], case)
    finally:
        await asyncio.shield(_remove(sources, created))
    return CaseRun(wanted, given.fit == "passed", given.message, reply.body)


def _attempt(sources: Sources) -> int:
    """A number of its own for each run, so that two gates use different pods."""
    return int(sources.clock.now().timestamp() * 1000) % 1_000_000_000


async def _selectors(sources: Sources) -> list[dict[str, str]]:
    services = await sources.cluster.list(SERVICES, sources.namespace)
    return [(service.get("spec") or {}).get("selector") or {} for service in services]


async def _until_ready(sources: Sources, name: str) -> None:
    """Waits until the pod is ready. Raises Unavailable with the kubelet's reasons after `patience`, or once it has ended."""
    deadline = sources.clock.now() + timedelta(seconds=sources.patience)
    while True:
        status = (await sources.cluster.get(PODS, sources.namespace, name)).get("status") or {}
        if is_ready(status):
            return
        if status.get("phase") in ("Failed", "Succeeded"):
            raise Unavailable(
                f"pod {name} ended ({status.get('reason') or status['phase']}) {_waits_for(status)}".strip()
            )
        if sources.clock.now() >= deadline:
            raise Unavailable(f"pod {name} is not ready after {sources.patience:g} s {_waits_for(status)}".strip())
        await asyncio.sleep(sources.pause)


def is_ready(status: dict[str, Any]) -> bool:
    """True where the condition Ready is True."""
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or [])


def _waits_for(status: dict[str, Any]) -> str:
    states = [c.get("state") or {} for c in status.get("containerStatuses") or []]
    reasons = [s[k].get("reason", "") for s in states for k in ("waiting", "terminated") if s.get(k)]
    return f"({', '.join(filter(None, reasons))})" if any(reasons) else ""


async def _ask(sources: Sources, pod: str, case: EvalCase) -> tuple[Answer, ProbeReply]:
    """The answer that the pod's answers give together, and the reply that it was read from.

    Raises Unavailable where too few answers came to say anything.
    """
    asked, passed, told = case.spec.repeats or 1, 0, None
    for number in range(1, asked + 1):
        given, reply = await _once(sources, pod, case)
        passed += given.fit == "passed"
        told = told or ((given, reply) if given.fit == "failed" else None)
        stands = standing(passed, number, asked, case.spec.min_share)
        if stands == "passed":
            return Answer("passed"), reply
        if stands == "failed":
            return told or (given, reply)
    raise Unavailable(f"pod {pod}: {passed} of {asked} answers say nothing")


async def _once(sources: Sources, pod: str, case: EvalCase) -> tuple[Answer, ProbeReply]:
    """One answer and the reply that it was read from; asked again after a time-out or a server error.

    Raises Unavailable where there is no answer. Secrets are read with the caller's own rights.
    """
    headers = await SecretReader(sources.cluster, sources.namespace).of(case.spec.request)
    if isinstance(headers, Answer):
        raise Unavailable(f"pod {pod}: {headers.message}")
    replies: list[ProbeReply] = []
    while True:
        replies.append(hide(await sources.prober.ask(pod, case.spec.request, headers.headers), headers.values))
        given = answer(case.spec.expect, replies, SERVER_ERRORS)
        if given is None:
            await asyncio.sleep(sources.pause)
        elif given.fit == "no_answer":
            raise Unavailable(f"pod {pod}: {given.message}")
        else:
            return given, replies[-1]


async def _remove(sources: Sources, pod: Object) -> None:
    """Deletes the pod; one that cannot be deleted ends by itself (activeDeadlineSeconds)."""
    meta = pod["metadata"]
    await or_missing("remove", sources.cluster.delete(PODS, sources.namespace, meta["name"], meta.get("uid", "")))


async def live_answers(sources: Sources, case: EvalCase, release: Release) -> tuple[LiveAnswer, ...]:
    """Ready pods of the Deployment's current template, each asked once; at most MOST_LIVE of them.

    Raises Invalid for a check under load: no pod that serves users is loaded.
    """
    if case.spec.load is not None:
        raise Invalid(f"EvalCase {case.metadata.name} is a check under load, and live pods are not loaded")
    pods = await _current_pods(sources, release)
    answers = await asyncio.gather(*(_ask(sources, pod, case) for pod in pods))
    return tuple(
        LiveAnswer(pod, given.fit == "passed", given.message) for pod, (given, _) in zip(pods, answers, strict=True)
    )


async def _current_pods(sources: Sources, release: Release) -> list[str]:
    name, spelled = release.spec.workload_ref.name, await spellings(sources.cluster, release)
    deployment = await sources.cluster.get(DEPLOYMENTS, sources.namespace, name)
    sets = await sources.cluster.list(REPLICASETS, sources.namespace)
    owned = [rs for rs in sets if is_owned(rs, {deployment["metadata"]["uid"]})]
    live = spelled.digest_of(running_template(deployment, owned))
    owners = {rs["metadata"]["uid"] for rs in owned if spelled.digest_of(without_hash(rs["spec"]["template"])) == live}
    pods = await sources.cluster.list(PODS, sources.namespace)
    mine = [p for p in pods if is_owned(p, owners) and is_ready(p.get("status") or {})]
    return sorted(p["metadata"]["name"] for p in mine if not p["metadata"].get("deletionTimestamp"))[:MOST_LIVE]


def missing_case(case: EvalCase | Missing | None) -> Missing:
    """Why nothing could be asked."""
    return case if isinstance(case, Missing) else Missing("there is no EvalCase that could be asked")
