"""What is found before a drill: with the caller's own rights, and nothing is written (a patch is tried as a dry run)."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from opsloop.api.incident import Incident
from opsloop.api.meta import API_VERSION, GROUP
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.core.drill.order import Grounds, Order, Template, appliers_of, own_case
from opsloop.core.gate.evidence import Missing, SliPoint
from opsloop.core.release.revisions import digest, with_images
from opsloop.errors import Invalid, Unavailable
from opsloop.shell.evidence import history
from opsloop.shell.evidence.sources import Raw, Sources, or_missing
from opsloop.shell.ports import INCIDENTS, RUNBOOKS, STOPS, Object

MINUTE = timedelta(minutes=1)
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
STRATEGIC = "application/strategic-merge-patch+json"


async def grounds(sources: Sources, order: Order, release: Release, deployment: Object) -> Grounds:
    """Everything that refusals and plan rest on. Raises where the API server itself does not answer."""
    cluster, namespace = sources.cluster, sources.namespace
    (incidents, runbooks, stops), rights, events, rules = await asyncio.gather(
        asyncio.gather(*(cluster.list(kind, namespace) for kind in (INCIDENTS, RUNBOOKS, STOPS))),
        _lacking(cluster, order),
        _events(sources, release),
        or_missing("Prometheus", sources.rules.rules()),
    )
    return Grounds(
        order=order,
        release=release,
        replicas=int(deployment["spec"].get("replicas", 1)),
        paused=bool(deployment["spec"].get("paused")),
        runbooks=tuple(Runbook.model_validate(item) for item in runbooks),
        incidents=tuple(Incident.model_validate(item) for item in incidents),
        stops=tuple(f"Stop {namespace}/{s['metadata']['name']}: {s['spec'].get('reason', '')}" for s in stops),
        rights=rights,
        events=events,
        rules=rules if isinstance(rules, Missing) else len(rules),
        least_alerts=sources.options.min_alerts,
        appliers=appliers_of(deployment, release.dump()),
    )


async def _events(sources: Sources, release: Release) -> SliPoint | Missing:
    """Events of the first objective in the last minute."""
    if release.spec.slo is None:
        return Missing("there is no spec.slo")
    now = sources.clock.now()

    async def asked() -> SliPoint:
        assert release.spec.slo is not None
        slo = await history.as_promql(sources.telemetry, release, release.spec.slo, now)
        return await history.whole(sources.telemetry, slo.sli, now - MINUTE, now)

    return await or_missing("Prometheus", asked())


def needed(order: Order) -> list[tuple[str, str, str, str]]:
    """(verb, API group, resource, name) of what a drill and its gate do."""
    own = [
        ("patch", "apps", "deployments", order.workload),
        ("patch", GROUP, "releases", order.release),
        ("list", GROUP, "incidents", ""),
        ("list", GROUP, "evalcases", ""),
        ("list", "apps", "replicasets", ""),
        ("list", "apps", "controllerrevisions", ""),
        ("list", "", "configmaps", ""),
        ("create", "", "pods", ""),
        ("delete", "", "pods", ""),
        ("get", "", "services/proxy", ""),
        ("get", "", "pods/proxy", ""),
    ]
    return own if order.case is None else [*own, ("create", GROUP, "evalcases", "")]


async def check_case(cluster: Raw, order: Order) -> None:
    """Has the API server try the caller's EvalCase, before anything is broken for it. Raises Invalid with what it says."""
    body = own_case(order, f"{order.release}-0", digest(order.bad), digest(order.good))
    path = f"/apis/{API_VERSION}/namespaces/{order.namespace}/evalcases"
    status, answer = await cluster.raw("POST", path, {"dryRun": "All"}, None, json.dumps(body))
    if not 200 <= status < 300:
        raise Invalid(f"--case: {_message(answer, status)}")


def _message(answer: bytes, status: int) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return f"the API server answered {status}: {answer[:200]!r}"


async def _lacking(cluster: Raw, order: Order) -> tuple[str, ...]:
    """Rights that the caller does not have, in words."""
    asked = needed(order)
    held = await asyncio.gather(*(_may(cluster, order.namespace, *right) for right in asked))
    return tuple(
        f"{verb} {resource}{f'.{group}' if group else ''}{f' {name}' if name else ''} in namespace {order.namespace}"
        for (verb, group, resource, name), may in zip(asked, held, strict=True)
        if not may
    )


async def _may(cluster: Raw, namespace: str, verb: str, group: str, resource: str, name: str) -> bool:
    plural, _, sub = resource.partition("/")
    wanted = {
        "namespace": namespace,
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": sub,
        "name": name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": wanted},
    }
    status, answer = await cluster.raw("POST", REVIEW, body=json.dumps(body))
    try:
        return bool(json.loads(answer)["status"]["allowed"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"the API server does not say what you may do ({status}): {answer[:200]!r}") from error


async def bad_template(
    cluster: Raw, namespace: str, deployment: Object, images: Mapping[str, str], patch: Mapping[str, Any] | None
) -> Template:
    """The template with these images, and with a strategic merge patch as the API server would store it.

    Raises Invalid where a container is not there, or the API server refuses the patch.
    """
    template, missing = with_images(deployment["spec"]["template"], images)
    if missing:
        raise Invalid(f"--bad-image: Deployment {deployment['metadata']['name']} has no container {', '.join(missing)}")
    if patch is None:
        return template
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{quote(deployment['metadata']['name'])}"
    body = json.dumps({"spec": {"template": patch}})
    status, answer = await cluster.raw("PATCH", path, {"dryRun": "All"}, {"Content-Type": STRATEGIC}, body)
    if not 200 <= status < 300:
        raise Invalid(f"--bad-patch: {_message(answer, status)}")
    patched, _ = with_images(json.loads(answer)["spec"]["template"], images)
    return patched
