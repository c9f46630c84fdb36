"""Deployments whose pods stand no second version beside them: a canary would share what only one may have."""

from collections.abc import Mapping, Sequence
from typing import Any

from opsloop.core.facts import WorkloadFacts

# Named reasons
RUNS_ALONE = "RunsAlone"  # no canary may run beside the live pods: Recreate, a volume for one, a port of the node

SHARED = ("ReadWriteMany", "ReadOnlyMany")  # access modes by which pods on any node use a claim
Claims = Mapping[str, Sequence[str]]
"""Name of a PersistentVolumeClaim → its access modes."""


def claims_of(template: Mapping[str, Any]) -> list[str]:
    """Names of the PersistentVolumeClaims that pods of this template mount."""
    volumes = (template.get("spec") or {}).get("volumes") or []
    mounted = (volume.get("persistentVolumeClaim") or {} for volume in volumes)
    return sorted({str(claim["claimName"]) for claim in mounted if claim.get("claimName")})


def refusal(workload: WorkloadFacts, claims: Claims) -> str:
    """Why no canary may run beside this Deployment, with what to do instead; empty where one may."""
    cause = _cause(workload, claims)
    instead = f"ship with kubectl set image deployment/{workload.name}: it is watched, and rolled back if it does harm"
    return f"a canary cannot run beside the live pods: {cause}; {instead}" if cause else ""


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
