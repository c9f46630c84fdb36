"""Stamps: what tools write on a pod template only to have its pods replaced.

A stamp says that somebody wanted new pods, or that an object which the pods read has changed; the template itself asks
for the same as before (docs/decisions/same-revision.md says why a chart's checksum counts and these do not).
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
ANNOTATIONS = (
    RESTARTED_AT,  # kubectl rollout restart, the restart of Argo CD, k9s, Lens and dashboards
    "cattle.io/timestamp",  # Rancher's redeploy
    "reloader.stakater.com/last-reloaded-from",  # Reloader, strategy annotations
    "wave.pusher.com/config-hash",  # Wave
    "vso.secrets.hashicorp.com/restartedAt",  # Vault Secrets Operator, rolloutRestartTargets
    "keel.sh/update-time",  # Keel, beside the image that it sets
    "rollme",  # a random string at each `helm upgrade`, from Helm's own tips
)
VARIABLES = ("STAKATER_*_CONFIGMAP", "STAKATER_*_SECRET")  # Reloader, its default strategy: a hash in each container


def unstamped(template: Mapping[str, Any], more: Iterable[str] = ()) -> dict[str, Any]:
    """The template without stamps; the given one is not touched.

    `more` are names of annotations, labels and environment variables, `*` for any characters (spec.ignoreStamps).
    """
    names = tuple(more)
    metadata, spec = dict(template.get("metadata") or {}), dict(template.get("spec") or {})
    for field, known in (("annotations", (*ANNOTATIONS, *names)), ("labels", names)):
        if metadata.get(field):
            metadata[field] = {k: v for k, v in metadata[field].items() if not _matches(k, known)}
    for field in ("containers", "initContainers"):
        if spec.get(field):
            spec[field] = [_without_variables(container, (*VARIABLES, *names)) for container in spec[field]]
    return {**template, "metadata": metadata, "spec": spec}


def _without_variables(container: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    if not container.get("env"):
        return container
    return {**container, "env": [v for v in container["env"] if not _matches(str(v.get("name", "")), names)]}


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
