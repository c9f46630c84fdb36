"""What a drill is to do, and what was found before it: the input of its refusals, its plan and its run."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from opsloop.api.incident import Incident
from opsloop.api.meta import API_VERSION
from opsloop.api.release import Release
from opsloop.api.revision import Revision
from opsloop.api.runbook import Runbook
from opsloop.core.evalcase.capture import case_name
from opsloop.core.gate.evidence import Missing, SliPoint
from opsloop.core.release import identity
from opsloop.core.release.revisions import images_of
from opsloop.names import INCIDENT, RELEASE

Template = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """One drill. `good` is the live pod template before it, `bad` the one that breaks the service.

    `before` and `fix` are version and images of the Release's spec. `deadline` is the time for which users may be harmed,
    `patience` that of each later wait, `learning` that for a case and a postmortem. `case` holds request and expect of an
    EvalCase that the caller brings; None: opsloop captures its own. `tickets` are sent to the intake once the harm is detected.
    """

    namespace: str
    release: str
    workload: str
    good: Template
    bad: Template
    before: tuple[str, Mapping[str, str]]
    fix: tuple[str, Mapping[str, str]]
    deadline: timedelta
    patience: timedelta
    learning: timedelta
    case: Mapping[str, Any] | None = None
    tickets: tuple[Mapping[str, Any], ...] = ()

    @property
    def changes(self) -> str:
        """The difference between good and bad, for a person."""
        return identity.sentence(self.good, self.bad)

    @property
    def fix_images(self) -> str:
        """The images of the fix, for a person."""
        return ", ".join(f"{name}={image}" for name, image in sorted(self.fix[1].items()))


def own_case(order: Order, incident: str, bad: str, good: str) -> dict[str, Any]:
    """The caller's EvalCase as a regression case of this Incident; bad and good are digests of the revisions that prove it."""
    spec = {
        **(order.case or {}),
        "release": order.release,
        "mustPass": True,
        "origin": {"kind": "regression", "incident": incident},
        "proof": {"bad": bad, "good": good},
    }
    labels = {RELEASE: order.release, INCIDENT: incident}
    meta = {"name": case_name(incident), "namespace": order.namespace, "labels": labels}
    return {"apiVersion": API_VERSION, "kind": "EvalCase", "metadata": meta, "spec": spec}


APPLIERS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
"""Labels and annotations by which tools mark what they apply again and again."""


def appliers_of(*objects: Mapping[str, Any]) -> tuple[str, ...]:
    """Tools that apply one of these objects again and again."""
    marks = {
        mark
        for item in objects
        for kept in ("labels", "annotations")
        for mark in (item.get("metadata") or {}).get(kept) or {}
    }
    return tuple(sorted({APPLIERS[mark] for mark in marks if mark in APPLIERS}))


@dataclass(frozen=True, slots=True)
class Grounds:
    """What was found before the drill. `events`: of the SLI in the last minute. `rights`: what the caller lacks, in words.

    `appliers`: tools that apply the Deployment or the Release again and again. `rules`: number of alerting rules that Prometheus has. `stops`: the Stops of the namespace, each with its reason.
    """

    order: Order
    release: Release
    replicas: int
    paused: bool
    runbooks: tuple[Runbook, ...]
    incidents: tuple[Incident, ...]
    stops: tuple[str, ...]
    rights: tuple[str, ...]
    events: SliPoint | Missing
    rules: int | Missing
    least_alerts: int
    appliers: tuple[str, ...] = ()

    def revision_of(self, template: Template) -> Revision | None:
        """The revision of the Release that this template is, if it is one."""
        history = self.release.status.revisions
        digest = identity.identify(template, history, {}, self.release.spec.ignore_stamps)
        return next((r for r in history if r.digest == digest), None)

    @property
    def containers(self) -> tuple[str, ...]:
        """Names of the containers of the live template."""
        return tuple(images_of(self.order.good))
