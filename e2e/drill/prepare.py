"""Before the shift: a fresh namespace with the shop, its monitoring and the operator; until all is well."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import yaml

from e2e.cluster import paths
from e2e.demo import render
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import Progress, StageFailed
from e2e.harness.session import make_namespace, remove_namespaces, wait_removed

RELEASES = ("answers", "web", "catalog")
SHOP = ("prometheus", "alertmanager", "receiver", "catalog", "answers", "web", "shoppers")
CRDS = paths.REPO / "crds"
CHART = paths.REPO / "charts" / "opsloop"
TRIES = 3  # to find the shop quiet: on a busy machine an alert may open an Incident before anything was broken


def prepare(shift: Shift, sabotage: Callable[[], None] = lambda: None) -> None:
    """From nothing to a shop that meets its SLOs, its live version proven and no Incident open.

    `sabotage` is called when the shop is applied, before its pods are waited for.
    """
    apply_crds(shift.api)
    for attempt in range(1, TRIES + 1):
        _open(shift, sabotage)
        names = [i["metadata"]["name"] for i in shift.incidents()]
        if not names:
            return
        early = f"{', '.join(names)} opened before anything was broken: {_titles(shift)}"
        if attempt == TRIES:
            raise StageFailed(f"the shop is not quiet on this machine: {early}")
        shift.progress.say(f"prepared anew, as {early}")


def _titles(shift: Shift) -> str:
    return "; ".join(str(i["spec"].get("title", "")) for i in shift.incidents())


def _open(shift: Shift, sabotage: Callable[[], None]) -> None:
    say = shift.progress.say
    make_empty(shift)
    shift.api.kubectl("apply", "-f", "-", text=manifests(shift))
    say(f"the shop is applied to namespace {shift.namespace} (seed {shift.seed})")
    sabotage()
    for name in ("releases.yaml", "runbook.yaml", "evalcases.yaml"):
        shift.apply(shift.objects(name))
    for deployment in SHOP:
        wait_available(shift.api, shift.progress, shift.namespace, deployment, 120)
    say("the shop is open and shoppers ask")
    shift.progress.wait("shoppers to be served", 60, lambda: _served(shift))
    shift.progress.wait("Alertmanager to list no alert", 120, lambda: quiet(shift))
    shift.began = time.time()
    install_operator(shift)
    say(f"the operator is installed in namespace {shift.ops} with its Helm chart")
    shift.progress.wait("v1 of all services to be proven last-good", 120, lambda: proven(shift, RELEASES))
    shift.progress.wait("Alertmanager to list no alert", 120, lambda: quiet(shift))
    say(f"v1 has met its SLO for the bake time: it is last-good ({shift.sli()})")


def make_empty(shift: Shift) -> None:
    """Both namespaces anew, with nothing of an earlier run."""
    clear(shift)
    wait_removed(shift.api, shift.progress, (shift.namespace, shift.ops))
    for name in (shift.namespace, shift.ops):
        make_namespace(shift.api, name)


def clear(shift: Shift) -> None:
    """Begins to remove what is under these names, the chart's cluster-wide objects included; idempotent."""
    shift.api.helm("uninstall", shift.release_name, "--namespace", shift.ops, "--ignore-not-found", check=False)
    remove_namespaces(shift.api, (shift.namespace, shift.ops))


def wait_available(api: Client, progress: Progress, namespace: str, name: str, seconds: float) -> None:
    """Until the Deployment's last version is on all of its pods and these are available."""

    def look() -> tuple[object, str]:
        deployment = api.get("deployments", namespace, name) or {"metadata": {}, "spec": {}}
        status, replicas = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
        observed = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1)
        updated, available = (status.get(k, 0) for k in ("updatedReplicas", "availableReplicas"))
        # as `rollout status`: old pods may still be ending
        return observed and updated >= replicas and available >= replicas, (
            f"{updated} of {replicas} pods updated, {available} available; {_waiting_pods(api, namespace, name)}"
        )

    progress.wait(f"Deployment {name} in {namespace} to be available", seconds, look)


def _waiting_pods(api: Client, namespace: str, name: str) -> str:
    pods = [p for p in api.items("pods", namespace) if p["metadata"]["name"].startswith(f"{name}-")]
    words = []
    for pod in pods:
        states = [s.get("state", {}).get("waiting", {}) for s in pod.get("status", {}).get("containerStatuses", [])]
        reasons = [w["reason"] for w in states if "reason" in w]
        words.append(" ".join([pod["metadata"]["name"], pod.get("status", {}).get("phase", ""), *reasons]))
    return "; ".join(words)


def _served(shift: Shift) -> tuple[object, str]:
    sli = shift.sli()
    return sli.startswith("SLI 1.0"), sli


def quiet(shift: Shift) -> tuple[object, str]:
    """A slow start of the shop must not be taken for part of the storm."""
    alerts = shift.api.service(shift.namespace, "alertmanager:9093", "/api/v2/alerts")
    if not isinstance(alerts, list):
        return False, "Alertmanager does not answer"
    return alerts == [], f"{len(alerts)} alerts: {sorted({a['labels'].get('alertname', '') for a in alerts})}"


def proven(shift: Shift, releases: Iterable[str]) -> tuple[object, str]:
    """Whether each of these Releases meets its SLO with a revision that is last-good."""
    phases = {}
    for name in releases:
        status = shift.status(name)
        revisions = status.get("revisions") or [{}]
        phases[name] = (
            f"{status.get('phase', 'no status')}, {'proven' if revisions[0].get('provenAt') else 'not proven'}"
        )
    return all(v.endswith(", proven") for v in phases.values()), json.dumps(phases)


def manifests(shift: Shift, share: float = 1.0) -> str:
    """The shop and its monitoring, for this namespace and seed, with this share of the load and the time-outs of this machine."""
    pace = shift.api.pace
    return render.render(shift.namespace, shift.ops, shift.seed, load=pace.load * share, patience=pace.deadlines)


def alert_sender(namespace: str, name: str) -> list[Object]:
    """An account that may send alerts of this namespace to the intake, and do nothing else."""
    rbac, meta = "rbac.authorization.k8s.io", {"name": name, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "Role",
            "metadata": meta,
            "rules": [{"apiGroups": ["opsloop.dev"], "resources": ["alerts"], "verbs": ["create"]}],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]


def apply_crds(api: Client) -> None:
    """By kubectl: many installs of the chart share them here."""
    api.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))


def install_operator(shift: Shift, **more: Any) -> None:
    """The chart, scoped to the shop's namespace; `more` are further values of it."""
    values: dict[str, Any] = {
        "image": {
            "repository": "opsloop/opsloop",
            "tag": "dev",
            "pullPolicy": "Never",
        },  # loaded on the node; never a registry's
        "crds": {"install": False},
        "unguardOnUninstall": False,  # seconds of each uninstall; the story of guarded Deployments has it
        "watchNamespaces": [shift.namespace],
        "prometheus": {"url": f"http://prometheus.{shift.namespace}.svc:9090", "resolution": "1s"},
        "pager": {"url": f"http://receiver.{shift.namespace}.svc:8080/page"},
        **more,
    }
    shift.api.helm(
        "upgrade", "--install", shift.release_name, str(CHART), "--namespace", shift.ops, "--values", "-",
        text=yaml.safe_dump(values),
    )  # fmt: skip
    try:
        wait_available(shift.api, shift.progress, shift.ops, "opsloop", 180)
    except StageFailed as error:
        logs = shift.api.kubectl("-n", shift.ops, "logs", "deploy/opsloop", "--tail=20", check=False)
        raise StageFailed(f"{error}\n{logs}") from error
