"""Before the shift: a fresh namespace with the shop, its monitoring and the operator; until all is well."""

from __future__ import annotations

import json
import time

from e2e.api import kubectl
from e2e.drill.shift import Shift, apply_crds, install_operator, manifests

RELEASES = ("answers", "web", "catalog")


def prepare(shift: Shift) -> None:
    """From nothing to a shop that meets its SLOs, its live version proven."""
    say = shift.progress.say
    clear(shift)
    for name in (shift.namespace, shift.ops):
        kubectl("create", "namespace", name)
    kubectl("apply", "-f", "-", text=manifests(shift))
    say(f"the shop is applied to namespace {shift.namespace} (seed {shift.seed})")
    apply_crds()
    for name in ("releases.yaml", "runbook.yaml", "evalcases.yaml"):
        shift.apply(shift.objects(name))
    for deployment in ("prometheus", "alertmanager", "receiver", "catalog", "answers", "web", "shoppers"):
        kubectl("-n", shift.namespace, "rollout", "status", f"deployment/{deployment}", "--timeout=120s", seconds=130)
    say("the shop is open and shoppers ask")
    shift.progress.wait("shoppers to be served", 60, lambda: _served(shift))
    shift.progress.wait("Alertmanager to list no alert", 120, lambda: _quiet(shift))
    shift.began = time.time()
    install_operator(shift)
    say(f"the operator is installed in namespace {shift.ops} with its Helm chart")
    shift.progress.wait("v1 of all services to be proven last-good", 120, lambda: _proven(shift))
    say(f"v1 has met its SLO for the bake time: it is last-good ({shift.sli()})")


def clear(shift: Shift) -> None:
    """Remove what an earlier run left under these names."""
    for name in (shift.namespace, shift.ops):
        if shift.api.json(f"/api/v1/namespaces/{name}"):
            shift.progress.say(f"namespace {name} of an earlier run is removed")
            kubectl("delete", "namespace", name, "--wait=true", "--timeout=120s", seconds=130)


def _served(shift: Shift) -> tuple[object, str]:
    seen = shift.sli()
    return seen.startswith("SLI 1.0"), seen


def _quiet(shift: Shift) -> tuple[object, str]:
    """A slow start of the shop must not be taken for part of the storm."""
    found = shift.api.service(shift.namespace, "alertmanager:9093", "/api/v2/alerts")
    return found == [], f"{len(found) if isinstance(found, list) else 'no answer, not'} alerts"


def _proven(shift: Shift) -> tuple[object, str]:
    seen = {}
    for name in RELEASES:
        status = shift.status(name)
        revisions = status.get("revisions") or [{}]
        seen[name] = f"{status.get('phase', 'no status')}, {'proven' if revisions[0].get('provenAt') else 'not proven'}"
    return all(v.endswith(", proven") for v in seen.values()), json.dumps(seen)
