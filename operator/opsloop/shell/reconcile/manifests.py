"""The objects that opsloop owns, as it writes them."""

import copy
from typing import Any

from opsloop.api.meta import API_VERSION
from opsloop.core.actions import EnsureCanary, EnsureRevision, StorePostmortem
from opsloop.names import CANARY, GATE, INCIDENT, RELEASE, REVISION, canary_name, revision_name
from opsloop.shell.ports import Object

MANAGED = {"app.kubernetes.io/managed-by": "opsloop"}


def owner(obj: Object) -> Object:
    """{"ownerReferences": […]} to this object."""
    meta = obj["metadata"]
    reference = {
        "apiVersion": obj.get("apiVersion", API_VERSION),
        "kind": obj["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
    }
    return {"ownerReferences": [reference]}


def controller_revision(namespace: str, action: EnsureRevision) -> Object:
    """A stored pod template. It has no owner; `shell.reconcile.garbage` removes it when nobody names it any more."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": revision_name(action.release, action.digest),
            "namespace": namespace,
            "labels": {RELEASE: action.release, REVISION: action.digest, **MANAGED},
        },
        "revision": action.number,
        "data": copy.deepcopy(dict(action.template)),
    }


def canary_deployment(release: Object, action: EnsureCanary) -> Object:
    """The canary: the target's template plus our labels and the readiness gate that keeps it dark.

    Its pods carry the live pods' labels, so that the Service selects them once they are ready; its own selector is the
    canary label alone, which no live pod carries.
    """
    template: dict[str, Any] = copy.deepcopy(dict(action.template))
    metadata = template.setdefault("metadata", {})
    metadata.pop("creationTimestamp", None)
    metadata["labels"] = {**(metadata.get("labels") or {}), CANARY: action.release, REVISION: action.digest}
    gates = [g for g in template["spec"].get("readinessGates") or [] if g.get("conditionType") != GATE]
    template["spec"]["readinessGates"] = [*gates, {"conditionType": GATE}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": canary_name(action.deployment),
            "namespace": release["metadata"]["namespace"],
            "labels": {CANARY: action.release, RELEASE: action.release, **MANAGED},
            **owner(release),
        },
        "spec": {
            "replicas": action.replicas,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": {CANARY: action.release}},
            "template": template,
        },
    }


def postmortem(incident: Object, action: StorePostmortem) -> Object:
    """The ConfigMap that holds the postmortem, owned by its Incident."""
    name = incident["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": action.name,
            "namespace": incident["metadata"]["namespace"],
            "labels": {INCIDENT: name, **MANAGED},
            **owner(incident),
        },
        "data": {"postmortem.md": action.markdown},
    }
