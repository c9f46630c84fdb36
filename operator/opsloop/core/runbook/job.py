"""The Job of a step: one container, restricted as the Pod Security Standard "restricted" asks, run once and ended by a deadline.

There is no field for a volume, a host's namespace, a capability or another ServiceAccount, so no Runbook can ask for one.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from opsloop.api.incident import Incident
from opsloop.api.meta import API_VERSION
from opsloop.api.runbook_step import Job
from opsloop.names import INCIDENT

NOBODY = 65534  # user and group of the container, whatever its image says
KEPT = 24 * 3600  # seconds for which a Job that ended is kept for people to look at
NO_POD = 60  # seconds after the deadline at which a Job ends whose pod never began
LONGEST_NAME = 63
SCRATCH = "64Mi"  # of /tmp, the one place that can be written


def job_name(incident: str, step: int, attempt: int) -> str:
    """Name of a play's Job, the same in every process that computes it; at most 63 characters."""
    tail = f"-step-{step}-{attempt}"
    if len(incident) + len(tail) <= LONGEST_NAME and "." not in incident:
        return incident + tail
    mark = hashlib.sha256(incident.encode()).hexdigest()[:8]
    head = incident.replace(".", "-")[: LONGEST_NAME - len(tail) - 9].rstrip("-")
    return f"{head}-{mark}{tail}"


def manifest(name: str, incident: Incident, account: str, job: Job, variables: Mapping[str, str]) -> dict[str, Any]:
    """The Job, owned by its Incident."""
    meta = incident.metadata
    owner = {"apiVersion": API_VERSION, "kind": "Incident", "name": meta.name, "uid": meta.uid}
    labels = {INCIDENT: meta.name[:63].rstrip("-."), "app.kubernetes.io/managed-by": "opsloop"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": meta.namespace, "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": _seconds(job) + NO_POD,
            "ttlSecondsAfterFinished": KEPT,
            "template": {"metadata": {"labels": labels}, "spec": _pod(account, job, variables)},
        },
    }


def _seconds(job: Job) -> int:
    return max(1, int(job.deadline.total_seconds()))


def _pod(account: str, job: Job, variables: Mapping[str, str]) -> dict[str, Any]:
    limits = {"cpu": job.cpu, "memory": job.memory}
    env = {**{one.name: one.value for one in job.env}, **variables}
    container = {
        "name": "step",
        "image": job.image,
        **({"command": list(job.command)} if job.command else {}),
        **({"args": list(job.args)} if job.args else {}),
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "resources": {"limits": limits, "requests": {"cpu": "10m", "memory": job.memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": _seconds(
            job
        ),  # of the pod: it stays with its log, which the Job's own deadline would delete
        "terminationGracePeriodSeconds": 5,
        "serviceAccountName": account,
        "automountServiceAccountToken": job.token,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": SCRATCH}}],
    }
