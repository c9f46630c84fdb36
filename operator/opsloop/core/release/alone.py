"""Deployments whose pods stand no second version beside them: a canary would share what only one may have, or not be dark."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from opsloop.core.facts import ReleaseFacts, WorkloadFacts
from opsloop.core.release.budgets import counts_dark_pods
from opsloop.core.release.rollout_state import Obstacle
from opsloop.core.selectors import serves

# Named reasons
RUNS_ALONE = "RunsAlone"  # no canary may run beside the live pods: Recreate, a volume for one, a port of the node
PUBLISHES_UNREADY = "PublishesUnready"  # a Service sends requests to unready pods: no canary could be dark
BUDGET_COUNTS_CANARY = "BudgetCountsCanary"  # a budget counts canary pods in traffic: fewer evictions as a step starts
UNREADABLE = "Unreadable"  # opsloop may not list Services and PodDisruptionBudgets
NO_SERVICE = "NoService"  # no Service selects the pods: they pull their work, and a canary would not be dark
DIRECT = "Direct"  # strategy.type is direct: there is no canary
FITS = "Fits"  # a canary can run dark beside the live pods

REFUSALS = (RUNS_ALONE, PUBLISHES_UNREADY, NO_SERVICE)
LOOKED_AT_AGAIN = (PUBLISHES_UNREADY, NO_SERVICE)
LOOK_AGAIN = timedelta(seconds=30)  # Services are not watched: nobody tells when one that is in the way has changed

SHARED = ("ReadWriteMany", "ReadOnlyMany")  # access modes by which pods on any node use a claim
Claims = Mapping[str, Sequence[str]]
"""Name of a PersistentVolumeClaim → its access modes."""


def claims_of(template: Mapping[str, Any]) -> list[str]:
    """Names of the PersistentVolumeClaims that pods of this template mount."""
    volumes = (template.get("spec") or {}).get("volumes") or []
    mounted = (volume.get("persistentVolumeClaim") or {} for volume in volumes)
    return sorted({str(claim["claimName"]) for claim in mounted if claim.get("claimName")})


def refusal(facts: ReleaseFacts, workload: WorkloadFacts, canary: bool = True) -> Obstacle | None:
    """Why no canary may run beside this Deployment, with what to do instead; None where one may, or where none is wanted.

    With `canary` false: why not even one dark pod may, for a strategy that has no canary.
    """
    strategy = facts.release.spec.strategy
    if canary and strategy.type == "direct":
        return None
    instead = "write strategy: {type: direct}: the version is shipped at once, watched, and rolled back if it does harm"
    if cause := _cause(workload, facts.claims):
        return Obstacle(RUNS_ALONE, f"a canary cannot run beside the live pods: {cause}; {instead}")
    if facts.beside is not None and facts.beside.unready and not _by_route(facts):
        service = facts.beside.unready[0]
        cause = f"Service {service} has publishNotReadyAddresses, so that it sends users to a dark canary"
        mend = (
            f"take that away, or give {service} a selector that the canary's pods do not fit (label opsloop.dev/canary)"
        )
        return Obstacle(PUBLISHES_UNREADY, f"{cause}; {mend}, or {instead}")
    if is_not_behind_a_service(facts, workload) and not (canary and strategy.canary.without_service):
        cause = f"no Service selects the pods of Deployment {workload.name}, so that they work as soon as they start: no canary is dark, and no weight moves requests"
        consent = "to have a canary all the same, as a share of the pods: strategy: {canary: {withoutService: true}}"
        return Obstacle(NO_SERVICE, f"{cause}; {instead}; {consent}")
    return None


def is_not_behind_a_service(facts: ReleaseFacts, workload: WorkloadFacts) -> bool:
    """True where it is known that no Service of the namespace sends requests to the Deployment's pods."""
    labels = (workload.template.get("metadata") or {}).get("labels") or {}
    if facts.beside is None or _by_route(facts):
        return False
    return not any(serves((s["spec"].get("selector") or {}), labels) for s in facts.beside.services.values())


def fits(facts: ReleaseFacts, workload: WorkloadFacts) -> tuple[bool | None, str, str]:
    """Condition CanaryFits, said at adoption: value, reason, message."""
    if facts.release.spec.strategy.type == "direct":
        return True, DIRECT, "strategy.type is direct: no canary runs beside the live pods"
    if hindered := refusal(facts, workload):
        return False, hindered.reason, hindered.message
    if facts.beside is None:
        return None, UNREADABLE, "opsloop may not list services and poddisruptionbudgets: do both fit a dark canary?"
    if (names := counts_dark_pods(facts.beside.budgets)) and not _by_route(facts):
        counted = f"PodDisruptionBudget {', '.join(names)} counts canary pods in traffic"
        text = f"{counted}, not dark ones: while pods of a further step start it may allow no eviction; a number in minAvailable does not"
        return True, BUDGET_COUNTS_CANARY, text
    return True, FITS, "a canary can run dark beside the live pods"


def _by_route(facts: ReleaseFacts) -> bool:
    """True where canary pods have none of the labels by which live pods are found (`hidden`): they are dark to all."""
    return facts.release.spec.strategy.traffic == "httpRoute"


def _cause(workload: WorkloadFacts, claims: Claims) -> str:
    spec = workload.template.get("spec") or {}
    if workload.strategy == "Recreate":
        return "spec.strategy of the Deployment is Recreate"
    if spec.get("hostNetwork"):
        return "its pods use hostNetwork, so that no readiness gate keeps traffic away"
    for container in spec.get("containers") or []:
        port = next((p["hostPort"] for p in container.get("ports") or [] if p.get("hostPort")), None)
        if port:
            return f"container {container.get('name')} takes hostPort {port} of its node, past any readiness gate"
    return next((told for name in claims_of(workload.template) if (told := _claim(name, workload, claims))), "")


def _claim(name: str, workload: WorkloadFacts, claims: Claims) -> str:
    """Why this claim is for one pod; empty where pods share it, or live pods do so already."""
    modes = claims.get(name, ())
    if set(modes) & set(SHARED) or ("ReadWriteOnce" in modes and workload.replicas > 1):
        return ""
    return f"PersistentVolumeClaim {name} is {', '.join(modes) or 'of unknown access modes'}"
