"""Deployments whose pods stand no second version beside them: a canary would share what only one may have, or not be dark."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from opsloop.core.facts import ReleaseFacts, WorkloadFacts
from opsloop.core.release.budgets import counts_dark_pods
from opsloop.core.release.rollout_state import Obstacle

# Named reasons
RUNS_ALONE = "RunsAlone"  # no canary may run beside the live pods: Recreate, a volume for one, a port of the node
PUBLISHES_UNREADY = "PublishesUnready"  # a Service sends requests to unready pods: no canary could be dark
BUDGET_COUNTS_CANARY = "BudgetCountsCanary"  # a dark canary has a budget allow no eviction of live pods
UNREADABLE = "Unreadable"  # opsloop may not list Services and PodDisruptionBudgets
FITS = "Fits"  # a canary can run dark beside the live pods

REFUSALS = (RUNS_ALONE, PUBLISHES_UNREADY)
LOOK_AGAIN = timedelta(seconds=30)  # Services are not watched: nobody tells when one that is in the way has changed

SHARED = ("ReadWriteMany", "ReadOnlyMany")  # access modes by which pods on any node use a claim
Claims = Mapping[str, Sequence[str]]
"""Name of a PersistentVolumeClaim → its access modes."""


def claims_of(template: Mapping[str, Any]) -> list[str]:
    """Names of the PersistentVolumeClaims that pods of this template mount."""
    volumes = (template.get("spec") or {}).get("volumes") or []
    mounted = (volume.get("persistentVolumeClaim") or {} for volume in volumes)
    return sorted({str(claim["claimName"]) for claim in mounted if claim.get("claimName")})


def refusal(facts: ReleaseFacts, workload: WorkloadFacts) -> Obstacle | None:
    """Why no canary may run beside this Deployment, with what to do instead; None where one may."""
    instead = f"ship with kubectl set image deployment/{workload.name}: it is watched, and rolled back if it does harm"
    if facts.release.spec.guard:
        instead = f"take spec.guard off (with spec.version and spec.images in), then {instead}"
    if cause := _cause(workload, facts.claims):
        return Obstacle(RUNS_ALONE, f"a canary cannot run beside the live pods: {cause}; {instead}")
    if facts.beside is not None and facts.beside.unready and not _by_route(facts):
        service = facts.beside.unready[0]
        cause = f"Service {service} has publishNotReadyAddresses, so that it sends users to a dark canary"
        mend = (
            f"take that away, or give {service} a selector that the canary's pods do not fit (label opsloop.dev/canary)"
        )
        return Obstacle(PUBLISHES_UNREADY, f"{cause}; {mend}, or {instead}")
    return None


def fits(facts: ReleaseFacts, workload: WorkloadFacts) -> tuple[bool | None, str, str]:
    """Condition CanaryFits, said at adoption: value, reason, message."""
    if hindered := refusal(facts, workload):
        return False, hindered.reason, hindered.message
    if facts.beside is None:
        return None, UNREADABLE, "opsloop may not list services and poddisruptionbudgets: do both fit a dark canary?"
    if (names := counts_dark_pods(facts.beside.budgets)) and not _by_route(facts):
        counted = f"PodDisruptionBudget {', '.join(names)} counts canary pods"
        text = f"{counted}: while they are dark it allows no eviction, so that no node is drained; a number in minAvailable does not"
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
