"""Quarantined pods: an old revision, started once to be asked, that no user, scrape or controller can find.

A Service finds pods by labels, Prometheus by annotations or labels, a ReplicaSet by its hash label and owner. So a
quarantined pod starts from *no* metadata of its template: whatever label a team may use, it cannot be copied by
mistake. (Copying all but a list of known labels would fail on the first label that the list does not know.)
"""

import copy
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from opsloop import names
from opsloop.api.evalcase import EvalCase
from opsloop.api.release import Release
from opsloop.core.selectors import Labels, serves
from opsloop.errors import Invalid

MAX_NAME = 63
ENDS_ITSELF_AFTER = 300  # seconds; the pod ends by itself even when the operator is gone
MANAGED_BY = "app.kubernetes.io/managed-by"

_DROPPED = ("readinessGates", "schedulingGates", "topologySpreadConstraints", "nodeName", "hostname", "subdomain")


def pod_name(case: str, digest: str, attempt: int) -> str:
    """`<case>-<digest>-<attempt>`, at most 63 characters, the same in every process that computes it."""
    tail = f"-{digest[:16]}-{attempt}"
    return _shortened(case.replace(".", "-"), MAX_NAME - len(tail), distinct=case) + tail


def label_value(case: str) -> str:
    """Value of the QUARANTINE label: the case's name, shortened with a hash where it is longer than a label may be."""
    return _shortened(case, MAX_NAME, distinct=case)


def _shortened(text: str, most: int, distinct: str) -> str:
    if text == distinct and len(text) <= most:
        return text
    mark = hashlib.sha256(distinct.encode()).hexdigest()[:8]
    return f"{text[: most - 9].rstrip('-.')}-{mark}"


def labels(case: str, release: str, digest: str) -> dict[str, str]:
    """All labels of a quarantined pod."""
    return {
        names.QUARANTINE: label_value(case),
        names.REVISION: digest,
        names.RELEASE: label_value(release),
        MANAGED_BY: "opsloop",
    }


def awaits_approval(case: EvalCase, release: Release) -> bool:
    """True while nobody has said that pods of this case's bad revision may be started.

    The approval names the bad revision: left in place, it has no power over another pair of revisions.
    """
    asks, pair = release.spec.evals is None or release.spec.evals.quarantine == "ask", case.spec.proof
    return asks and (pair is None or case.metadata.annotations.get(names.APPROVE) != pair.bad)


def selected_by(pod_labels: Labels, selectors: Iterable[Labels]) -> Labels | None:
    """The first selector that these labels satisfy. A Service with an empty selector selects nothing."""
    return next((s for s in selectors if serves(s, pod_labels)), None)


def refusal(template: Mapping[str, Any], pod_labels: Labels, selectors: Iterable[Labels]) -> str:
    """The sentence that refuses to start this template beside the live pods; "" where nothing speaks against it."""
    selector = selected_by(pod_labels, selectors)
    if selector is not None:
        text = ",".join(f"{k}={v}" for k, v in sorted(selector.items()))
        return f"a Service with selector {text} would send users to a quarantined pod; narrow that selector"
    spec = template.get("spec") or {}
    if spec.get("hostNetwork"):
        return "the pod uses hostNetwork: a second one on the node would take live traffic or fail on its port"
    claims = [v["persistentVolumeClaim"] for v in spec.get("volumes") or [] if v.get("persistentVolumeClaim")]
    writable = next((c for c in claims if not c.get("readOnly")), None)
    if writable:
        return f"the pod writes to PersistentVolumeClaim {writable.get('claimName')}, which live pods use"
    return ""


def pod_from_template(
    case: str,
    release: str,
    digest: str,
    name: str,
    namespace: str,
    template: Mapping[str, Any],
    service_selectors: Iterable[Labels] = (),
) -> dict[str, Any]:
    """The quarantined pod of a stored template. Raises Invalid with `refusal`'s sentence where it must not be started."""
    own_labels = labels(case, release, digest)
    reason = refusal(template, own_labels, service_selectors)
    if reason:
        raise Invalid(f"pod {name}: {reason}")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": own_labels},
        "spec": _spec(template.get("spec") or {}),
    }


def _spec(of_template: Mapping[str, Any]) -> dict[str, Any]:
    """Env, probes, volumes and service account stay: it must behave as it did. Its token is not mounted."""
    spec = copy.deepcopy({k: v for k, v in of_template.items() if k not in _DROPPED})
    spec["restartPolicy"] = "Never"
    spec["activeDeadlineSeconds"] = ENDS_ITSELF_AFTER
    spec["automountServiceAccountToken"] = False
    spec["terminationGracePeriodSeconds"] = min(5, spec.get("terminationGracePeriodSeconds") or 5)
    _drop_pod_affinity(spec)
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        for port in container.get("ports") or []:
            port.pop("hostPort", None)  # it would take a live pod's place on the node
    return spec


def _drop_pod_affinity(spec: dict[str, Any]) -> None:
    """Rules about nodes stay; rules about other pods are those of the live pods and could make it unschedulable."""
    affinity = {k: v for k, v in (spec.pop("affinity", None) or {}).items() if k == "nodeAffinity"}
    if affinity:
        spec["affinity"] = affinity


def is_name(text: str) -> bool:
    """True for a valid pod name, which cannot change the meaning of a URL path."""
    return re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", text) is not None and len(text) <= 253
