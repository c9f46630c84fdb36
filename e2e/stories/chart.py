"""The chart as people install it: its test, a second install, an upgrade, no rights on the cluster, and what an uninstall leaves.

One Deployment of the demo's service and a Release without an SLO; another namespace for the install that must not be.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from typing import Any

import yaml

from e2e.drill import prepare
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.harness.session import make_namespace, remove_namespaces, wait_removed
from e2e.stories.shifts import story_shift

NAME = "catalog"
OWNER = "owner"  # may do anything in the two namespaces, and nothing elsewhere
SECOND = "chart-20-second"  # namespace of the install that is refused
OF_KUBERNETES = {"configmap/kube-root-ca.crt", "serviceaccount/default"}  # in each namespace
LEASE = "lease.coordination.k8s.io/opsloop"  # of the process, not of the chart: the next install takes it over; docs/install.md
INSTANCE = "app.kubernetes.io/name=opsloop"


def chart(api: Client, name: str, seed: int) -> None:
    """Install with CRDs, `helm test`, a second install, upgrade, uninstall; then all again without rights on the cluster."""
    shift = story_shift(api, name, seed)
    _open(shift)
    before = _cluster_wide(shift)
    _install(shift, crds={"install": True})
    _adopted(shift)
    _tested(shift)
    _second_is_refused(shift, {})
    _upgraded(shift)
    _uninstalled(shift, before)
    _without_the_cluster(shift, before)
    remove_namespaces(api, [SECOND])
    prepare.clear(shift)


# --- an install that has the cluster


def _open(shift: Shift) -> None:
    prepare.make_empty(shift)
    remove_namespaces(shift.api, [SECOND])
    wait_removed(shift.api, shift.progress, [SECOND])
    make_namespace(shift.api, SECOND)
    prepare.apply_crds(shift.api)
    shop = [
        one
        for one in yaml.safe_load_all(prepare.manifests(shift))
        if one and one["metadata"]["name"] == NAME and one["kind"] in ("Deployment", "Service")
    ]
    shift.api.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(shop))
    _ship(shift, "v1")


def _ship(shift: Shift, version: str) -> None:
    spec: dict[str, Any] = {
        "workloadRef": {"name": NAME},
        "version": version,
        "images": {NAME: f"opsloop/helpdesk:{version}"},
        "strategy": {"canary": {"steps": [{"weight": 50}, {"weight": 100}]}},
    }
    shift.apply([{"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "metadata": {"name": NAME}, "spec": spec}])


def _values(shift: Shift, **more: Any) -> str:
    """The chart's defaults, but for what this cluster needs: the image that is on the node, and one namespace of many stories'."""
    image = {"repository": "opsloop/opsloop", "tag": "dev", "pullPolicy": "Never"}
    return yaml.safe_dump({"image": image, "watchNamespaces": [shift.namespace], **more})


def _install(shift: Shift, *words: str, **more: Any) -> None:
    # --take-ownership: the CRDs were applied by kubectl, as by many stories
    command = ["upgrade", "--install", shift.release_name, str(prepare.CHART), "-n", shift.ops, "--take-ownership"]
    began = time.monotonic()
    shift.api.helm(*command, "--wait", "--timeout", "120s", *words, "-f", "-", text=_values(shift, **more), seconds=150)
    shift.progress.say(f"   helm upgrade --install --wait: {time.monotonic() - began:.0f} s")


def _adopted(shift: Shift) -> None:
    def look() -> tuple[object, str]:
        status = shift.status(NAME)
        told = {c["type"]: c["status"] for c in status.get("conditions", [])}
        return told.get("Ready") == "True" and bool(status.get("live")), f"{status.get('phase')} {told}"

    shift.progress.wait("the Release to be adopted", 60, look)


def _tested(shift: Shift, *words: str) -> None:
    said = shift.api.helm("test", shift.release_name, "-n", shift.ops, "--timeout", "60s", *words, seconds=90)
    if "Phase:          Succeeded" not in said:
        raise StageFailed(f"helm test: {said}")
    shift.progress.say("   helm test: Succeeded")


def _second_is_refused(shift: Shift, rbac: Object, *words: str) -> None:
    """Asked by a dry run of the server, which looks at the cluster as an install does."""
    command = ["install", "second", str(prepare.CHART), "-n", SECOND, "--dry-run=server", *words, "-f", "-"]
    values = {"rbac": rbac, "crds": {"install": False}} if rbac else {"crds": {"install": False}}
    wanted = f"another install of opsloop, opsloop-{shift.ops}, looks after {shift.namespace} too"
    for namespaces in ([shift.namespace], [SECOND, shift.namespace]):
        try:
            shift.api.helm(*command, text=_values(shift, **{**values, "watchNamespaces": namespaces}))
        except RuntimeError as error:
            if wanted not in str(error):
                raise StageFailed(f"a second install is refused otherwise: {error}") from error
        else:
            raise StageFailed(f"a second install that looks after {namespaces} was not refused")
    shift.api.helm(*command, text=_values(shift, **{**values, "watchNamespaces": [SECOND]}))
    shift.progress.say(f"   a second install is refused: {wanted}; one for another namespace is not")


def _upgraded(shift: Shift) -> None:
    """Most switches at once: no Release notices."""
    before = shift.status(NAME)
    pod = shift.operator_pod()
    _install(
        shift,
        crds={"install": True},
        replicas=2,
        networkPolicy={"enabled": True},
        dashboards={"enabled": True},
        tick="2s",
        podAnnotations={"story": "upgraded"},
    )
    pods = [p["metadata"]["name"] for p in shift.api.items("pods", shift.ops, INSTANCE)]
    shift.progress.wait(
        "two new replicas", 60,
        lambda: (pod not in (now := [p["metadata"]["name"] for p in shift.api.items("pods", shift.ops, INSTANCE)]) and len(now) == 2, str(now)),
    )  # fmt: skip
    _tested(shift)
    after = shift.status(NAME)
    if (after["live"], after.get("target"), after["phase"]) != (before["live"], before.get("target"), before["phase"]):
        raise StageFailed(f"the upgrade changed the Release: {before} → {after}; pods {pods}")
    shift.progress.say(f"   upgraded from the defaults: {NAME} is {after['phase']} with the same live revision")


def _uninstalled(shift: Shift, before: set[str], *words: str) -> None:
    """Nothing of the install is left in any namespace or in the cluster, but the CRDs and all that people wrote."""
    live = shift.status(NAME)["live"]
    shift.api.helm("uninstall", shift.release_name, "-n", shift.ops, "--wait", *words, seconds=150)

    def gone() -> tuple[object, str]:
        left = [*_left(shift), *sorted(_cluster_wide(shift) - before)]
        return not left, f"left: {left}"

    shift.progress.wait("nothing of the install to be left", 60, gone)
    crds = shift.api.kubectl("get", "crd", "-o", "name").split()
    kept = [one for one in crds if one.endswith(".opsloop.dev")]
    if len(kept) < 5 or shift.status(NAME).get("live") != live:
        raise StageFailed(f"the uninstall took CRDs or Releases with it: {kept}, {shift.status(NAME)}")
    shift.progress.say(f"   helm uninstall left the {len(kept)} CRDs, the Release and its status, and nothing else")


def _left(shift: Shift) -> list[str]:
    """What an install leaves: all of its namespace, and what carries the chart's label in that of the Release."""
    kinds = shift.api.kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
    asked = ",".join(kind for kind in kinds if not kind.startswith("events"))
    own = set(shift.api.kubectl("get", asked, "-n", shift.ops, "-o", "name").split()) - {*OF_KUBERNETES, LEASE}
    labelled = shift.api.kubectl("get", asked, "-n", shift.namespace, "-l", INSTANCE, "-o", "name").split()
    return sorted([one for one in own if not one.endswith(f"/{OWNER}")] + labelled)


def _cluster_wide(shift: Shift) -> set[str]:
    """KIND/NAME of the chart's cluster-scoped objects for this install, but CRDs."""
    kinds = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
    found = shift.api.kubectl("get", kinds, "-l", INSTANCE, "-o", "name").split()
    return {one for one in found if f"/opsloop-{shift.ops}" in one}


# --- an install that has two namespaces


def _without_the_cluster(shift: Shift, before: set[str]) -> None:
    """By somebody who may do anything in two namespaces, and see nothing else."""
    as_owner = ("--kube-as-user", OWNER)
    _give(shift)
    rbac = {"cluster": False}
    _install(shift, *as_owner, rbac=rbac, crds={"install": False})
    if made := _cluster_wide(shift) - before:
        raise StageFailed(f"rbac.cluster: false made {made}")
    shift.progress.wait("a version to go live by it", 120, lambda: _live(shift, "v4"))
    _tested(shift, *as_owner)
    _intake_says_why(shift)
    _give(shift, SECOND)
    _second_is_refused(shift, rbac, *as_owner)
    _uninstalled(shift, before, *as_owner)


def _give(shift: Shift, *more: str) -> None:
    rbac = "rbac.authorization.k8s.io"
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    for namespace in more or (shift.namespace, shift.ops):
        meta = {"name": OWNER, "namespace": namespace}
        role = {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": [rule]}
        ref = {"apiGroup": rbac, "kind": "Role", "name": OWNER}
        subject = {"apiGroup": rbac, "kind": "User", "name": OWNER}
        binding = {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": meta, "roleRef": ref, "subjects": [subject]}  # fmt: skip
        shift.api.kubectl("apply", "-f", "-", text=yaml.safe_dump_all([role, binding]))
    if not more:
        _ship(shift, "v4")


def _live(shift: Shift, version: str) -> tuple[object, str]:
    target = shift.status(NAME).get("target") or {}
    return (target.get("version"), target.get("state")) == (version, "Promoted"), str(target)


def _intake_says_why(shift: Shift) -> None:
    """It cannot ask whose a token is: 503, with the sentence that the page has."""
    token = shift.api.kubectl("-n", shift.ops, "create", "token", "default", "--audience", "opsloop").strip()
    with shift.api.port_forward(shift.ops, "svc/opsloop-intake", 8080) as base:
        code, said = post(f"{base}/v1/namespaces/{shift.namespace}/alerts", token)
    if code != 503 or "tokenreviews" not in said:
        raise StageFailed(f"the intake should answer 503 and say that it may ask nobody: {code} {said}")
    shift.progress.say(f"   the intake: 503 {said[:160]}")


def post(url: str, token: str) -> tuple[int, str]:
    """Status and body of an empty storm, sent with a token."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=b'{"version": "4", "alerts": []}', headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
