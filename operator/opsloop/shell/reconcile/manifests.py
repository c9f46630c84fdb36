"""Bodies of the objects that opsloop creates or applies."""

import copy
from collections.abc import Container, Mapping, Sequence
from typing import Any

from opsloop.api.meta import API_VERSION
from opsloop.core.actions import (
    CreateEvalCase,
    CreateIncident,
    EnsureCanary,
    EnsureCanaryService,
    EnsureRevision,
    EnsureWarm,
    StorePostmortem,
)
from opsloop.core.codec import encode_ledger, encode_page, encode_queue
from opsloop.core.reported import Ledger, Page, QueuedTicket
from opsloop.names import (
    CANARY,
    GATE,
    INBOX,
    INCIDENT,
    LEDGER,
    LEDGER_PAGE,
    RELEASE,
    REVISION,
    SUBJECT,
    TICKETS,
    WARM,
    canary_name,
    ledger_name,
    page_name,
    queue_name,
    revision_name,
    warm_name,
)
from opsloop.shell.ports import Object

MANAGED = {"app.kubernetes.io/managed-by": "opsloop"}


def owner(obj: Object) -> Object:
    """Metadata that makes `obj` the owner."""
    meta = obj["metadata"]
    reference = {
        "apiVersion": obj.get("apiVersion", API_VERSION),
        "kind": obj["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
    }
    return {"ownerReferences": [reference]}


def is_owned(obj: Object, uids: Container[str | None]) -> bool:
    """True where an object with one of these UIDs owns it. Labels alone would not tell: a selector may fit anybody's objects."""
    return any(owner.get("uid") in uids for owner in obj["metadata"].get("ownerReferences") or ())


def controller_revision(namespace: str, action: EnsureRevision) -> Object:
    """A stored pod template, without an owner: `shell.reconcile.garbage` deletes it when nothing refers to it any more."""
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
    """The canary: the target's template plus opsloop's labels and the readiness gate that keeps its pods dark.

    Its pods carry the live pods' labels, so that the Service selects them once they are ready; behind an HTTPRoute they have
    a Service of their own, and lack those labels by which live pods are found. Its own selector is the canary label alone,
    which no live pod carries.
    """
    return _gated(release, action, canary_name(action.deployment), CANARY)


def warm_deployment(release: Object, action: EnsureWarm) -> Object:
    """Pods of last-good that are kept warm: its template as above, without the labels by which live pods are found."""
    return _gated(release, action, warm_name(action.deployment), WARM)


def _gated(release: Object, action: EnsureCanary | EnsureWarm, name: str, key: str) -> Object:
    """A Deployment of opsloop's own, whose pods a gate keeps dark; `key` is the label that it selects them by."""
    template: dict[str, Any] = copy.deepcopy(dict(action.template))
    metadata = template.setdefault("metadata", {})
    metadata.pop("creationTimestamp", None)
    labels = {label: value for label, value in (metadata.get("labels") or {}).items() if label not in action.without}
    if isinstance(action, EnsureCanary):
        labels |= action.labels
        if action.annotations:
            metadata["annotations"] = {**(metadata.get("annotations") or {}), **action.annotations}
    metadata["labels"] = {**labels, key: action.release, REVISION: action.digest}
    gates = [g for g in template["spec"].get("readinessGates") or [] if g.get("conditionType") != GATE]
    template["spec"]["readinessGates"] = [*gates, {"conditionType": GATE}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": release["metadata"]["namespace"],
            "labels": {key: action.release, RELEASE: action.release, **MANAGED},
            **owner(release),
        },
        "spec": {
            "replicas": action.replicas,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": {key: action.release}},
            "template": template,
        },
    }


def canary_service(release: Object, action: EnsureCanaryService) -> Object:
    """The Service that selects pods of opsloop's own alone, for a route's backendRefs."""
    metadata = {
        "name": action.name,
        "namespace": release["metadata"]["namespace"],
        "labels": {**action.labels, action.key: action.release, RELEASE: action.release, **MANAGED},
        **owner(release),
    }
    spec = {
        "type": "ClusterIP",
        "selector": {action.key: action.release},
        "ports": [dict(port) for port in action.ports],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def postmortem(incident: Object, action: StorePostmortem, contents: Mapping[str, Any], version: str) -> Object:
    """The ConfigMap with the postmortem and the digest of its subject, owned by its Incident. `version`: as it was read, or ""."""
    labels = {INCIDENT: incident["metadata"]["name"], **MANAGED}
    body = config_map(action.name, labels, incident)
    annotations = {SUBJECT: action.digest, **contents["annotations"]}
    body["metadata"] |= {"namespace": incident["metadata"]["namespace"], "annotations": annotations}
    body["metadata"] |= {"resourceVersion": version} if version else {}
    return body | {"data": contents["data"], "binaryData": contents["binaryData"]}


def ledger(incident: Object, content: Ledger) -> Object:
    """The ConfigMap with an Incident's alerts but those of its pages, and its linked tickets; owned by it. Raises Invalid where they
    do not fit."""
    name = incident["metadata"]["name"]
    label = name[:63].rstrip("-.")  # the longest value that a label may have
    body = config_map(ledger_name(name), {INCIDENT: label, LEDGER: label}, incident)
    return body | {"binaryData": encode_ledger(content)}


def ledger_page(incident: Object, number: int, content: Page) -> Object:
    """The ConfigMap with further alerts of an Incident, owned by it. Raises Invalid where they do not fit."""
    name = incident["metadata"]["name"]
    label = name[:63].rstrip("-.")
    body = config_map(page_name(name, number), {INCIDENT: label, LEDGER_PAGE: label}, incident)
    return body | {"binaryData": encode_page(content)}


def ticket_queue(number: int, queue: Sequence[QueuedTicket]) -> Object:
    """The ConfigMap with a segment of the tickets that are linked to no Incident; the first is 0. Raises Invalid where it is too long."""
    return config_map(queue_name(number), {TICKETS: "true"}) | {"binaryData": encode_queue(queue)}


def inbox_entry(name: str, data: Mapping[str, str]) -> Object:
    """An immutable ConfigMap with alerts and tickets that are not filed yet."""
    return config_map(name, {INBOX: "true"}) | {"binaryData": dict(data), "immutable": True}


def config_map(name: str, labels: Mapping[str, str], owner_obj: Object | None = None) -> Object:
    """A ConfigMap without data; it is deleted with `owner_obj`."""
    meta = {"name": name, "labels": dict(labels), **(owner(owner_obj) if owner_obj else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


def new_incident(action: CreateIncident) -> Object:
    """An Incident; the API server refuses a second one of that name."""
    return _own_kind("Incident", action.name, action.spec.dump(), action.labels)


def new_eval_case(action: CreateEvalCase) -> Object:
    """An EvalCase, without an owner: it must survive the Incident that it was captured from."""
    return _own_kind("EvalCase", action.name, action.spec, action.labels)


def _own_kind(kind: str, name: str, spec: Mapping[str, Any], labels: Mapping[str, str]) -> Object:
    metadata = {"name": name, "labels": dict(labels)}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}
