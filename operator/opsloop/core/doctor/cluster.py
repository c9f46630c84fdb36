"""What the cluster's objects say to a Release: the operator, its rights, budgets, autoscalers, quotas, connections, and who deploys."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from opsloop.api.meta import format_duration, quantity
from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.core.doctor.row import Row, unseen
from opsloop.core.facts import Budget
from opsloop.core.incident.changes import is_own
from opsloop.core.release import weights
from opsloop.core.release.budgets import counts_dark_pods, strictest
from opsloop.core.release.warm.start import warm_pods
from opsloop.core.selectors import serves

Object = Mapping[str, Any]

TOOLS: Sequence[tuple[str, str]] = (
    ("argocd", "Argo CD"), ("kustomize-controller", "Flux"), ("helm-controller", "Flux (Helm)"), ("flux", "Flux"), ("helm", "Helm"),
)  # fmt: skip
"""Beginning of a field manager → the tool; the first that fits."""
MARKS: Sequence[tuple[str, str]] = (
    ("argocd.argoproj.io/", "Argo CD"), ("kustomize.toolkit.fluxcd.io/", "Flux"), ("helm.toolkit.fluxcd.io/", "Flux (Helm)"),
    ("meta.helm.sh/", "Helm"),
)  # fmt: skip
"""Beginning of a label or annotation that a tool puts on what it applies."""
HEALING = ("Argo CD", "Flux", "Flux (Helm)")  # write what Git says again and again
PINNING = ("grpc", "h2c", "http2", "kubernetes.io/h2c", "kubernetes.io/ws", "kubernetes.io/wss", "ws", "wss", "tcp")
"""appProtocol, or the name of a port before its first -, of connections that carry many requests."""
RIGHTS: Sequence[tuple[str, str, str, str]] = (
    ("opsloop.dev", "releases/status", "update", "status of Releases"),
    ("apps", "deployments", "patch", "template of the Deployment, canary"),
    ("apps", "deployments", "create", "canary"),
    ("apps", "controllerrevisions", "create", "stored templates"),
    ("apps", "replicasets", "list", "pods of revisions"),
    ("", "pods", "list", "pods of the canary"),
    ("", "pods/status", "patch", "gates of canary pods"),
    ("", "pods", "get", "did a pod end under load"),
    ("", "pods", "patch", "labels of live pods while a canary runs"),
    ("", "services", "list", "is a dark canary dark"),
    ("policy", "poddisruptionbudgets", "list", "budgets"),
)
"""(group, resource with subresource, verb, what for) of the operator in a Release's namespace."""


def operator(release: Release) -> Row:
    """Has the operator seen the Release as it is?"""
    status, generation = release.status, release.metadata.generation
    look = "kubectl get pods -A -l app.kubernetes.io/name=opsloop; docs/operator-down.md has what goes without it"
    if status.observed_generation < generation:
        text = f"the operator has not looked at generation {generation} yet (status is of {status.observed_generation})"
        return Row("operator", "problem", text, look)
    for type_, wrong in (
        ("WorkloadMissing", "True"),
        ("SpecResolved", "False"),
        ("Stopped", "True"),
        ("Frozen", "True"),
    ):
        said = conditions.get(status.conditions, type_)
        if said is not None and said.status == wrong:
            return Row("operator", "problem", f"{said.type} is {said.status}: {said.reason}: {said.message}")
    return Row("operator", "ok", f"it has looked at generation {generation}; phase {status.phase}")


def account_of(operators: Iterable[Object], namespace: str) -> tuple[str, str] | None:
    """(namespace, name) of the account of the operator that looks after a namespace: of the one that names it, else of one that
    looks after all; None without one. `operators`: their Deployments."""
    found: dict[bool, tuple[str, str]] = {}
    for one in operators:
        if watches(one, namespace):
            account = str(one["spec"]["template"]["spec"].get("serviceAccountName", "default"))
            found.setdefault(bool(_watched(one)), (one["metadata"]["namespace"], account))
    return found.get(True) or found.get(False)


def watches(operator: Object, namespace: str) -> bool:
    """True where an operator's Deployment looks after a namespace: it names it, or none."""
    watched = _watched(operator)
    return not watched or namespace in watched


def _watched(operator: Object) -> list[str]:
    pod = operator["spec"]["template"]["spec"]
    told = {e.get("name"): e.get("value", "") for c in pod.get("containers") or () for e in c.get("env") or ()}
    return [part.strip() for part in str(told.get("OPSLOOP_NAMESPACES") or "").split(",") if part.strip()]


def rights(answers: Mapping[str, bool | None], account: str) -> Row:
    """What the API server said to each of RIGHTS (by `GROUP/RESOURCE VERB`), of the operator's own account."""
    if not account:
        return unseen("operator's rights", "its Deployment is not found, or may not be listed: nobody was asked about")
    refused = [what for what, allowed in answers.items() if allowed is False]
    if refused:
        mend = "the chart's Role or ClusterRole has them all: helm upgrade, and is the namespace in watchNamespaces?"
        return Row("operator's rights", "problem", f"{account} may not: {', '.join(refused)}", mend)
    if not answers or any(allowed is None for allowed in answers.values()):
        return unseen("operator's rights", "who asks may create no SubjectAccessReview")
    return Row(
        "operator's rights", "ok", f"{account} may open gates (patch pods/status) and all else that a canary needs"
    )


def workload(release: Release, deployment: Object | None) -> Row:
    """The Deployment, and whether a canary can run beside it, as the operator found."""
    name = release.spec.workload_ref.name
    if deployment is None:
        return Row("workload", "problem", f"there is no Deployment {name}", "spec.workloadRef.name")
    wanted, there = deployment["spec"].get("replicas", 1), (deployment.get("status") or {}).get("availableReplicas", 0)
    fits = conditions.get(release.status.conditions, "CanaryFits")
    if fits is not None and fits.status == "False":
        return Row("workload", "problem", f"{fits.reason}: {fits.message}")
    if there < wanted:
        return Row("workload", "problem", f"{there} of {wanted} pods of Deployment {name} are available")
    most = most_pods(release, wanted)
    if refused := weights.first_refusal(
        (s.weight for s in release.spec.strategy.steps if s.weight),
        wanted,
        release.spec.strategy.canary.max_canary_replicas,
    ):
        return Row("workload", "problem", refused)
    shares = ", ".join(
        f"{s.weight} is {_share(s.weight, wanted)} %"
        for s in release.spec.strategy.steps
        if 0 < s.weight < 100 and wanted
    )
    return Row(
        "workload",
        "ok",
        f"{wanted} pods; a canary adds up to {most} more"
        + (f"; by pods, weight {shares}" if shares else "")
        + _kept_warm(release, deployment),
    )


def _kept_warm(release: Release, deployment: Object) -> str:
    """What pods that are kept warm need: quotas and nodes must have that room, else they are the first to go."""
    keep = release.spec.strategy.keep_warm
    if keep is None:
        return ""
    count = warm_pods(keep, deployment["spec"].get("replicas", 1))
    containers = deployment["spec"]["template"]["spec"].get("containers") or ()
    asked = [(c.get("resources") or {}).get("requests") or {} for c in containers]
    each = ", ".join(
        f"{what} {' + '.join(str(r[what]) for r in asked if what in r)}"
        for what in ("cpu", "memory")
        if any(what in r for r in asked)
    )
    return (
        f"; keepWarm adds {count} more for {format_duration(keep.keep_for)} after each promotion"
        f" ({f'{each} each' if each else 'without requests'}), which quota and nodes must have room for"
    )


def _share(weight: int, live: int) -> int:
    return weights.share(weights.pods_for(weight, live), live)


def most_pods(release: Release, live: int) -> int:
    """The most canary pods that a step asks for."""
    return max((weights.pods_for(s.weight, live) for s in release.spec.strategy.steps if 0 < s.weight < 100), default=0)


def budgets(found: Sequence[Budget] | None, replicas: int) -> Row:
    """PodDisruptionBudgets that see the pods."""
    if found is None:
        return unseen("disruption budget", "PodDisruptionBudgets may not be listed")
    if names := counts_dark_pods(found):
        text = (
            f"{', '.join(names)} counts canary pods: while they are dark it allows no eviction, so no node is drained"
        )
        return Row("disruption budget", "note", text, "a number in minAvailable does not count them")
    strict = strictest(found, replicas)
    if strict is None:
        shared = f" ({', '.join(b.name for b in found)} is for several Deployments)" if found else ""
        return Row(
            "disruption budget",
            "note",
            f"none is for this Deployment alone{shared}: missing pods are told by BudgetMet only with one",
        )
    wanted, budget = strict
    if wanted >= replicas:
        text = f"{budget.name} wants {wanted} of {replicas} pods: no node with one of them can be drained"
        return Row("disruption budget", "problem", text, "lower minAvailable, or add a replica")
    return Row(
        "disruption budget",
        "ok",
        f"{budget.name} wants {wanted} of {replicas} pods; canary pods in traffic count as available ones",
    )


def autoscaler(found: Sequence[Object] | None, scaler: str, release: Release) -> Row:
    """HorizontalPodAutoscalers of the Deployment, or whatever else sets its number of pods."""
    name = release.spec.workload_ref.name
    if found is None:
        return unseen("autoscaler", "HorizontalPodAutoscalers may not be listed")
    own = [one for one in found if (one["spec"].get("scaleTargetRef") or {}).get("name") == name]
    if not own:
        by = f"; {scaler} sets its number of pods" if scaler and not is_own(scaler) else ""
        return Row("autoscaler", "ok", f"no HorizontalPodAutoscaler{by}; the play scale works")
    one = own[0]
    low, high = one["spec"].get("minReplicas", 1), one["spec"].get("maxReplicas", 1)
    text = f"{one['metadata']['name']} keeps {low} to {high} pods and counts canary pods in traffic: they have the live pods' labels"
    if low == high:
        return Row("autoscaler", "note", f"{text}; it cannot scale")
    return Row(
        "autoscaler",
        "note",
        f"{text}; the Runbook step scale is refused",
        "canary pods follow the live ones up and down within a tick",
    )


# --- quotas


def quota(found: Sequence[Object] | None, template: Object, pods: int) -> Row:
    """Is there room for so many more pods of this template?"""
    if found is None:
        return unseen("quota", "ResourceQuotas may not be listed")
    if not found:
        return Row("quota", "ok", "no ResourceQuota")
    if not pods:
        return Row("quota", "ok", "no canary pod is needed")
    needs = needs_of(template, pods)
    short, unsaid = [], []
    for one in found:
        hard, used = ((one.get("status") or {}).get(part) or {} for part in ("hard", "used"))
        if (one.get("spec") or {}).get("scopes") or (one.get("spec") or {}).get("scopeSelector"):
            continue  # it may be for other pods
        for resource, need in needs.items():
            if resource not in hard:
                continue
            room = quantity(hard[resource]) - quantity(used.get(resource, "0"))
            if need is None:
                unsaid.append(f"{one['metadata']['name']} wants {resource} of each pod, and the template gives none")
            elif need > room:
                short.append(
                    f"{one['metadata']['name']} has {_plain(room)} {resource} left, {pods} canary pods need {_plain(need)}"
                )
    if short:
        return Row(
            "quota",
            "problem",
            "; ".join(short),
            "raise the quota, or lower weights or strategy.canary.maxCanaryReplicas: a canary would wait for pods",
        )
    if unsaid:
        hint = "a LimitRange must give it to each pod, as it does where pods run already"
        return Row("quota", "note", "; ".join(unsaid), hint)
    return Row("quota", "ok", f"room for {pods} more pods")


def needs_of(template: Object, pods: int) -> dict[str, Decimal | None]:
    """Resource of a quota → what so many pods need of it; None where the template does not say."""
    containers = (template.get("spec") or {}).get("containers") or []
    needs: dict[str, Decimal | None] = {
        "pods": Decimal(pods),
        "count/pods": Decimal(pods),
        "count/deployments.apps": Decimal(1),
    }
    for kind in ("requests", "limits"):
        for resource in ("cpu", "memory"):
            given = [_of(container, kind, resource) for container in containers]
            known = [quantity(one) for one in given if one is not None]
            total = sum(known, Decimal(0)) * pods if len(known) == len(given) else None
            needs[f"{kind}.{resource}"] = total
            if kind == "requests":
                needs[resource] = total
    return needs


def _of(container: Object, kind: str, resource: str) -> str | None:
    """What a container says; its limit is its request where it gives none."""
    resources = container.get("resources") or {}
    found = (resources.get(kind) or {}).get(resource)
    return found if found is not None or kind == "limits" else (resources.get("limits") or {}).get(resource)


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


# --- who deploys, and who connects


def tool_of(deployment: Object, manager: str) -> str:
    """The tool that writes the Deployment: by marks on it, else by the field manager of its template; empty where none is known."""
    meta = deployment["metadata"]
    keys = [*(meta.get("labels") or {}), *(meta.get("annotations") or {})]
    marked = next((tool for begin, tool in MARKS if any(key.startswith(begin) for key in keys)), "")
    return marked or next((tool for begin, tool in TOOLS if manager.startswith(begin)), "")


def deployer(release: Release, deployment: Object, manager: str) -> Row:
    """Which guard mode the tool needs that writes the template."""
    tool, guard = tool_of(deployment, manager), release.spec.guard
    by = f"{tool} ({manager})" if tool and manager and not is_own(manager) else tool or manager or "nobody known"
    if guard:
        said = conditions.get(release.status.conditions, "Guarded")
        if said is not None and said.status == "False":
            return Row("who deploys", "problem", f"{said.reason}: {said.message}", "docs/gitops.md")
        more = {"Argo CD": "add the two health scripts of docs/gitops.md", "Flux": "leave wait off and name the Release in healthChecks",
                "Flux (Helm)": "leave wait off and name the Release in healthChecks", "Helm": "do not use --wait: a paused Deployment counts as ready"}  # fmt: skip
        return Row(
            "who deploys",
            "ok",
            f"{by} writes the template and guard is on: each change is canaried",
            more.get(tool, ""),
        )
    if tool in HEALING:
        text = f"{tool} writes the template again and again, and the Release writes images too: they would fight"
        return Row(
            "who deploys",
            "problem",
            text,
            "set spec.guard: true, and leave version, images and templatePatch out (docs/gitops.md)",
        )
    if tool == "Helm":
        text = f"{by} writes the template: the next helm upgrade ships past the canary, and its old images come back"
        return Row(
            "who deploys", "note", text, "set spec.guard: true, so that what Helm writes is canaried (docs/gitops.md)"
        )
    return Row("who deploys", "ok", f"the Release ships; the template was written last by {by}")


def connections(services: Iterable[Object] | None, template: Object) -> Row:
    """Do clients stay with the pod that they met? Then requests are shared otherwise than gates."""
    if services is None:
        return unseen("connections", "Services may not be listed")
    labels = (template.get("metadata") or {}).get("labels") or {}
    own = [s for s in services if serves((s.get("spec") or {}).get("selector") or {}, labels)]
    if not own:
        return Row(
            "connections",
            "problem",
            "no Service selects the pods: who sends them requests cannot be kept from a dark canary",
        )
    pinned = []
    for service in own:
        spec, name = service["spec"], service["metadata"]["name"]
        if spec.get("sessionAffinity") == "ClientIP":
            pinned.append(f"Service {name} has sessionAffinity: ClientIP")
        for port in spec.get("ports") or ():
            protocol = str(port.get("appProtocol") or str(port.get("name") or "").split("-")[0])
            if protocol in PINNING:
                pinned.append(f"port {port.get('name') or port.get('port')} of Service {name} is {protocol}")
    if pinned:
        text = f"{'; '.join(pinned)}: clients stay with their pod, so the canary's share of requests is not its share of pods"
        return Row(
            "connections",
            "note",
            text,
            "the analysis counts requests; opsloop status says the share of both where the SLI tells",
        )
    return Row(
        "connections",
        "ok",
        "each request may meet any pod; clients that keep connections alive stay with theirs for as long",
    )
