"""The Job of an errand: one container, restricted as the Pod Security Standard "restricted" asks, run once and ended by a deadline.

There is no field for a volume, a host's namespace, a capability or another ServiceAccount, so nobody who writes one can ask for it.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from opsloop.api.errand import Job
from opsloop.api.meta import ObjectMeta

NOBODY = 65534  # user and group of the container, whatever its image says
KEPT = 24 * 3600  # seconds for which a Job that ended is kept for people to look at
NO_POD = 60  # seconds after the deadline at which a Job ends whose pod never began
LONGEST_NAME = 63
SCRATCH = "64Mi"  # of /tmp, the one place that can be written


def job_name(incident: str, step: int, attempt: int) -> str:
    """Name of a play's Job, the same in every process that computes it; at most 63 characters."""
    return named(incident, f"-step-{step}-{attempt}")


def named(head: str, tail: str) -> str:
    """A name of at most 63 characters that ends with `tail`; a head that does not fit is cut, and marked by its hash."""
    if len(head) + len(tail) <= LONGEST_NAME and "." not in head:
        return head + tail
    mark = hashlib.sha256(head.encode()).hexdigest()[:8]
    short = head.replace(".", "-")[: LONGEST_NAME - len(tail) - 9].rstrip("-")
    return f"{short}-{mark}{tail}"


def owned_by(api_version: str, kind: str, meta: ObjectMeta) -> dict[str, Any]:
    """Reference to the owner of a Job, with which it is deleted."""
    return {"apiVersion": api_version, "kind": kind, "name": meta.name, "uid": meta.uid}


def manifest(
    meta: Mapping[str, Any], owner: Mapping[str, Any], account: str, job: Job, variables: Mapping[str, str]
) -> dict[str, Any]:
    """The Job; `meta` has its name, namespace and labels, which its pod has as well."""
    labels = {**meta["labels"], "app.kubernetes.io/managed-by": "opsloop"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**meta, "labels": labels, "ownerReferences": [dict(owner)]},
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
