"""Rights that a step's account needs: the operator writes with its own, so it asks for whoever the Runbook acts for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opsloop.api.release import Release
from opsloop.api.runbook import Runbook

DEPLOYMENTS, RELEASES, JOBS, WEBHOOKS = "deployments", "releases", "jobs", "webhooks"


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource: of the object that the Release names (the Deployment) or is (the Release), else of the namespace."""

    verb: str
    group: str
    plural: str

    def object_of(self, release: Release) -> str:
        """Name of the object that the right is needed on."""
        names = {DEPLOYMENTS: release.spec.workload_ref.name, RELEASES: release.metadata.name}
        return names.get(self.plural, "")

    @property
    def is_on_object(self) -> bool:
        """True where the right is on one object, False where it is on the namespace."""
        return self.plural in (DEPLOYMENTS, RELEASES)

    @property
    def sentence(self) -> str:
        """What to grant."""
        return f"{self.verb} on {self.plural}{f'.{self.group}' if self.group else ''}"


PATCH_DEPLOYMENT = Right("patch", "apps", DEPLOYMENTS)
PATCH_RELEASE = Right("patch", "opsloop.dev", RELEASES)
CREATE_JOBS = Right("create", "batch", JOBS)
CALL_WEBHOOKS = Right("create", "opsloop.dev", WEBHOOKS)  # exists in RBAC only, as alerts and tickets do

RIGHTS: Mapping[str, Right] = {
    "rollback": PATCH_DEPLOYMENT,
    "scale": PATCH_DEPLOYMENT,
    "restart": PATCH_DEPLOYMENT,
    "abortCanary": PATCH_RELEASE,  # both only lower: whoever may pause a Release may do as much
    "freeze": PATCH_RELEASE,
    "job": CREATE_JOBS,
    "webhook": CALL_WEBHOOKS,
}
"""By type of step; one that is not here needs no right: it reads the SLI, or calls a person."""

UNLIMITED = ("wait", "escalate", "freeze", "abortCanary")
"""Steps that use up no limit and wait for none: they read, call a person, or only lower what users are exposed to."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is to the API server's authorizer. `extra` counts as well: OpenShift keeps the scopes there that a token is
    limited to, and a webhook may decide by anything in it."""

    name: str
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    uid: str = ""

    @property
    def review(self) -> dict[str, Any]:
        """Its part of the spec of a SubjectAccessReview."""
        extra = {key: list(values) for key, values in self.extra.items()}
        more = {"extra": extra, "uid": self.uid}
        return {"user": self.name, "groups": list(self.groups), **{key: value for key, value in more.items() if value}}


def identity(namespace: str, account: str) -> Identity:
    """A ServiceAccount without any token: what a token says besides, of the pod and the node that it is for, is not its own."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return Identity(f"system:serviceaccount:{namespace}:{account}", groups)


def reviewed(user: Mapping[str, Any]) -> Identity:
    """Whom a TokenReview names (its `status.user`)."""
    extra = {str(key): tuple(map(str, values or ())) for key, values in (user.get("extra") or {}).items()}
    return Identity(user.get("username", ""), tuple(user.get("groups") or ()), extra, user.get("uid", ""))


def rights_of(runbook: Runbook) -> tuple[Right, ...]:
    """Rights that the steps of a Runbook need, each once, in the order of the steps. dryRun does nothing and needs none."""
    if runbook.spec.safety.mode == "dryRun":
        return ()
    found = [RIGHTS[step.type] for step in runbook.spec.steps if step.type in RIGHTS]
    return tuple(dict.fromkeys(found))


def applies_to(runbook: Runbook, release: Release) -> bool:
    """True where the Release has the labels that the Runbook wants."""
    return all(release.metadata.labels.get(k) == v for k, v in runbook.spec.match.release_labels.items())


def concerned(runbook: Runbook, releases: Iterable[Release]) -> list[Release]:
    """The Releases that a Runbook is for."""
    return [release for release in releases if applies_to(runbook, release)]
