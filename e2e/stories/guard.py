"""A guarded Deployment: Helm, kubectl and a tool that heals it ship by canaries; what was rejected runs nowhere, ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from e2e.cluster import paths
from e2e.drill.prepare import apply_crds, clear, install_operator, make_empty, wait_available
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.stories.shifts import story_shift

HOME = paths.REPO / "e2e" / "podinfo"
NAME = "podinfo"
FIRST, GOOD, BAD = "stefanprodan/podinfo:6.9.2", "opsloop/podinfo:good", "opsloop/podinfo:bad"
CANARY_LABEL = "opsloop.dev/canary"
HEALS_EVERY = 1.0  # seconds; Argo CD's self-heal comes after five


def guard(api: Client, name: str, seed: int) -> None:
    """Adoption, `helm upgrade` canaried, a bad image rejected, self-heal, 0 replicas, a restart that self-heal
    breaks off again and again, a write while opsloop is down, what
    kubectl says, the end of the guard, and an uninstall."""
    shift = story_shift(api, name, seed)
    make_empty(shift)
    apply_crds(shift.api)
    with TemporaryDirectory() as folder, _watched(shift) as ran:
        chart = _chart(Path(folder))
        _helm(shift, chart, FIRST)
        wait_available(shift.api, shift.progress, shift.namespace, NAME, 120)
        before = _pods(shift)
        install_operator(shift, unguardOnUninstall=True)
        _guard(shift)
        _expect(shift, "adoption moves no pod", _pods(shift) == before)
        _helm_upgrade(shift, chart, ran)
        _bad_image(shift, ran)
        _self_heal(shift, ran)
        _to_0_and_back(shift, ran)
        _restart_while_it_heals(shift)
        ran.discard(BAD)  # what Kubernetes starts of it until the Deployment is paused
        _while_down(shift, ran)
        _what_kubectl_says(shift)
        _end_of_guard(shift)
        _uninstall(shift)
        _expect(shift, f"no pod of the Deployment ever ran {BAD}", BAD not in ran)
    clear(shift)


def _helm_upgrade(shift: Shift, chart: Path, ran: set[str]) -> None:
    began = time.monotonic()
    _helm(shift, chart, GOOD)
    shift.progress.wait("the canary of good to take traffic", 60, lambda: _target(shift, "good", "Stepping"), every=0.3)
    _expect(shift, "no live pod has it before its canary has passed", GOOD not in ran)
    shift.progress.wait("good to be promoted", 120, lambda: _target(shift, "good", "Promoted"))
    shift.progress.wait("it to be paused again", 30, lambda: is_guarded(shift))
    _expect(shift, "every pod has good", {image for _, image in _pods(shift)} == {GOOD})
    shift.progress.say(
        f"`helm upgrade` is canaried and live after {time.monotonic() - began:.0f} s; the template is Helm's own"
    )


def _bad_image(shift: Shift, ran: set[str]) -> None:
    before = _pods(shift)
    said = _kubectl(shift, "set", "image", f"deployment/{NAME}", f"{NAME}={BAD}")
    _expect(shift, f"kubectl warns: {said.strip()!r}", "no pod runs this template before its canary has passed" in said)
    shift.progress.wait("bad to be rejected", 120, lambda: _target(shift, "bad", "Rejected"))
    shift.progress.wait(
        "its canary to go", 30, lambda: (shift.api.get("deployments", shift.namespace, f"{NAME}-canary") is None, "")
    )
    _expect(shift, "the template stays as it was written", _written(shift) == BAD)
    _expect(shift, "no pod was touched", _pods(shift) == before and BAD not in ran)


def _self_heal(shift: Shift, ran: set[str]) -> None:
    """What Argo CD's self-heal and Flux do: they write the manifest of git again and again, here the rejected one."""
    before, versions = _pods(shift), _generation(shift)
    manifest = yaml.safe_dump(_deployment(BAD))
    for _ in range(10):
        shift.api.kubectl("-n", shift.namespace, "apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-", text=manifest)  # fmt: skip
        time.sleep(HEALS_EVERY)
    _expect(
        shift, f"nothing fights: generation {versions} stays", _generation(shift) - versions <= 1
    )  # of the first apply
    _expect(shift, "self-heal starts no pod", _pods(shift) == before and BAD not in ran and is_paused(shift))


def _to_0_and_back(shift: Shift, ran: set[str]) -> None:
    _kubectl(shift, "scale", f"deployment/{NAME}", "--replicas=0")
    shift.progress.wait("no pod to be left", 60, lambda: (not _pods(shift), "pods"), every=0.3)
    ran.clear()
    _kubectl(shift, "scale", f"deployment/{NAME}", "--replicas=3")
    shift.progress.wait("three pods", 60, lambda: (_ready(shift) == 3, f"{_ready(shift)} of 3"), every=0.3)
    _expect(shift, f"from 0 replicas live's pods come back: {ran}", ran == {GOOD})


def _restart_while_it_heals(shift: Shift) -> None:
    """A tool that heals itself at once writes the rejected template back while live restarts: no pod of it is left, and no
    more pods are missing than the Deployment's strategy allows."""
    before, manifest = {name for name, _ in _pods(shift)}, yaml.safe_dump(_deployment(BAD))
    shift.api.kubectl("-n", shift.namespace, "annotate", "release", NAME, "opsloop.dev/restart=good")
    least, said, writes, began = 3, set[str](), 0, time.monotonic()

    def over() -> tuple[object, str]:
        nonlocal least, writes
        least = min(least, _serving(shift))
        said.add(str(_condition(shift, "Guarded").get("reason")))
        if _written(shift) != BAD:
            shift.api.kubectl("-n", shift.namespace, "apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-", text=manifest)  # fmt: skip
            writes += 1
        pods = _pods(shift)
        new = not before & {name for name, _ in pods} and {image for _, image in pods} == {GOOD}
        return new and is_guarded(shift)[0] and _serving(shift) == 3, f"{pods}, {said}"

    shift.progress.wait("every pod to be new and of good", 150, over, every=0.2)
    _expect(shift, f"the tool wrote {writes} times, and the pods moved all the same: {said}", "RollsOutPaused" in said)
    _expect(shift, f"at least {least} of 3 pods served at any time", least >= 2)
    stays = _generation(shift)
    time.sleep(3)
    _expect(shift, f"nothing fights after {time.monotonic() - began:.0f} s", _generation(shift) == stays)
    _expect(shift, "the template stays as the tool wrote it", _written(shift) == BAD)


def _while_down(shift: Shift, ran: set[str]) -> None:
    """A template written while no operator runs waits for it."""
    shift.api.kubectl("-n", shift.ops, "scale", "deployment/opsloop", "--replicas=0")
    shift.progress.wait("the operator to be gone", 60, lambda: (not shift.operator_pod(), "it runs"))
    before = _pods(shift)
    said = _kubectl(shift, "set", "image", f"deployment/{NAME}", f"{NAME}={FIRST}")
    _expect(shift, "kubectl warns without an operator", "no pod runs this template" in said)
    time.sleep(3)
    _expect(shift, "nothing moves", _pods(shift) == before)
    shift.api.kubectl("-n", shift.ops, "scale", "deployment/opsloop", "--replicas=1")
    shift.progress.wait("6.9.2 to be promoted", 180, lambda: _target(shift, "6.9.2", "Promoted"))
    shift.progress.wait("it to be paused again", 30, lambda: is_guarded(shift))
    _expect(
        shift, "what was written meanwhile was canaried and is live", {image for _, image in _pods(shift)} == {FIRST}
    )


def _what_kubectl_says(shift: Shift) -> None:
    """The rows of docs/gitops.md on kubectl, each tried."""
    before = _pods(shift)
    rows = {
        ("rollout", "status", f"deployment/{NAME}", "--timeout=5s"): "successfully rolled out",
        ("rollout", "restart", f"deployment/{NAME}"): "can't restart paused deployment",
        ("rollout", "undo", f"deployment/{NAME}"): "cannot rollback a paused deployment",
        ("rollout", "pause", f"deployment/{NAME}"): "already paused",
    }
    for command, says in rows.items():
        said = _kubectl(shift, *command)
        _expect(shift, f"kubectl {' '.join(command)}: {said.strip()[-90:]!r}", says in said)
    _kubectl(shift, "rollout", "resume", f"deployment/{NAME}")
    shift.progress.wait("it to be paused again after `rollout resume`", 30, lambda: is_guarded(shift))
    _expect(shift, "resuming at rest moves nothing", _pods(shift) == before)
    stamp = '{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}'
    _kubectl(shift, "patch", "deployment", NAME, "-p", stamp)
    shift.progress.wait(
        "a restart stamp to give new pods",
        90,
        lambda: (not set(_pods(shift)) & set(before) and _ready(shift) == 3, "old pods"),
    )
    shift.progress.wait("it to be paused again", 30, lambda: is_guarded(shift))


def _end_of_guard(shift: Shift) -> None:
    before = _pods(shift)
    _kubectl(shift, "set", "image", f"deployment/{NAME}", f"{NAME}={BAD}")
    shift.progress.wait("bad to be refused", 60, lambda: _target(shift, "bad", "Refused"))
    said = _kubectl(shift, "rollout", "status", f"deployment/{NAME}", "--timeout=3s")
    _expect(shift, f"`rollout status` waits while a template is held: {said.strip()[-90:]!r}", "Waiting" in said)
    shift.api.kubectl("-n", shift.namespace, "delete", "release", NAME)
    shift.progress.wait("it to be unpaused", 30, lambda: (not is_paused(shift), "paused"), every=0.3)
    time.sleep(3)
    _expect(shift, "removing the Release ships nothing", _pods(shift) == before and _written(shift) == FIRST)
    _kubectl(shift, "set", "image", f"deployment/{NAME}", f"{NAME}={GOOD}")
    said = _kubectl(shift, "rollout", "status", f"deployment/{NAME}", "--timeout=60s")
    _expect(shift, "it rolls out by itself, as before", "successfully rolled out" in said)


def _uninstall(shift: Shift) -> None:
    _guard(shift)
    before = _pods(shift)
    _kubectl(shift, "set", "image", f"deployment/{NAME}", f"{NAME}={BAD}")
    time.sleep(1)
    shift.api.helm("uninstall", shift.release_name, "--namespace", shift.ops, seconds=120)
    shift.progress.wait("no canary to be left", 30, lambda: (True, ""))
    _expect(shift, "an uninstall leaves what ran, unpaused", _pods(shift) == before and not is_paused(shift))
    _expect(shift, "with its template", _written(shift) == GOOD)


# what is written and looked at


def _chart(folder: Path) -> Path:
    """podinfo's manifests as a chart of one value: what a team has."""
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: podinfo\nversion: 0.1.0\n")
    deployment, service = manifests()
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "{{ .Values.image }}"
    (folder / "templates" / "podinfo.yaml").write_text(yaml.safe_dump_all([deployment, service]))
    return folder


def _helm(shift: Shift, chart: Path, image: str) -> None:
    shift.api.helm("upgrade", "--install", NAME, str(chart), "-n", shift.namespace, "--set", f"image={image}")


def manifests() -> list[Object]:
    """podinfo's Deployment and Service."""
    objects = [o for o in yaml.safe_load_all((HOME / "manifests" / "podinfo.yaml").read_text()) if o]
    objects[0]["spec"]["progressDeadlineSeconds"] = 60
    return objects


def _deployment(image: str) -> Object:
    deployment = manifests()[0]
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return dict(deployment)


def _guard(shift: Shift) -> None:
    canary = {"steps": [{"weight": 25, "hold": "3s"}, {"weight": 100}]}
    release = {
        "apiVersion": "opsloop.dev/v1alpha1",
        "kind": "Release",
        "metadata": {"name": NAME},
        "spec": {
            "workloadRef": {"name": NAME},
            "guard": True,
            "strategy": {"canary": canary},
            "evals": {"port": 9898, "repeats": 20},
        },
    }
    case = {
        "apiVersion": "opsloop.dev/v1alpha1",
        "kind": "EvalCase",
        "metadata": {"name": "says-its-version"},
        "spec": {
            "release": NAME,
            "request": {"path": "/version", "port": 9898},
            "expect": {"field": "version", "equals": "6.9.2"},
            "mustPass": True,
        },
    }
    shift.apply([case, release])
    shift.progress.wait("the Deployment to be guarded", 60, lambda: is_guarded(shift))


def is_guarded(shift: Shift) -> tuple[object, str]:
    """Whether the Release says so and the Deployment is paused, and what it says."""
    found = _condition(shift, "Guarded")
    return (found.get("status"), found.get("reason")) == ("True", "Guarded") and is_paused(shift), str(
        found.get("message")
    )


def _condition(shift: Shift, kind: str) -> Object:
    found: list[Object] = shift.status(NAME).get("conditions", [])
    return next((c for c in found if c["type"] == kind), {})


def _target(shift: Shift, version: str, state: str) -> tuple[object, str]:
    target = shift.status(NAME).get("target") or {}
    seen = f"{target.get('version')} {target.get('state')}: {target.get('message')}; {_condition(shift, 'Held').get('message')}"
    return (target.get("version"), target.get("state")) == (version, state), seen


def _live(shift: Shift) -> Any:
    return shift.api.get("deployments", shift.namespace, NAME) or {"spec": {}, "metadata": {}}


def _written(shift: Shift) -> str:
    return str(_live(shift)["spec"]["template"]["spec"]["containers"][0]["image"])


def is_paused(shift: Shift) -> bool:
    """Whether the Deployment is."""
    return bool(_live(shift)["spec"].get("paused"))


def _generation(shift: Shift) -> int:
    return int(_live(shift)["metadata"]["generation"])


def _own(shift: Shift) -> list[Object]:
    return [
        p
        for p in shift.api.items("pods", shift.namespace, f"app={NAME}")
        if CANARY_LABEL not in p["metadata"]["labels"]
    ]


def _pods(shift: Shift) -> list[tuple[str, str]]:
    """(name, image) of the Deployment's own pods that are not ending."""
    pods = [p for p in _own(shift) if "deletionTimestamp" not in p["metadata"]]
    return sorted((p["metadata"]["name"], p["spec"]["containers"][0]["image"]) for p in pods)


def _serving(shift: Shift) -> int:
    """Ready pods that the Service selects, whoever owns them."""
    ready = [{"type": "Ready", "status": "True"}.items() <= c.items() for p in _own(shift) for c in p["status"].get("conditions", [])]  # fmt: skip
    return sum(ready)


def _ready(shift: Shift) -> int:
    return int(_live(shift).get("status", {}).get("readyReplicas", 0))


def _kubectl(shift: Shift, *arguments: str) -> str:
    """What kubectl printed, errors and warnings included."""
    return shift.api.said("-n", shift.namespace, *arguments)


def _expect(shift: Shift, what: str, holds: bool) -> None:
    if not holds:
        raise StageFailed(
            f"{what}: no. Pods {_pods(shift)}; template {_written(shift)}; paused {is_paused(shift)}; {_condition(shift, 'Guarded')}"
        )
    shift.progress.say(f"   {what}")


@contextmanager
def _watched(shift: Shift) -> Iterator[set[str]]:
    """Images that pods of the Deployment itself were seen with, looked at several times a second until the end."""
    ran: set[str] = set()
    end = threading.Event()

    def look(api: Client) -> None:
        while not end.wait(0.2):
            try:
                pods = api.items("pods", shift.namespace, f"app={NAME}")
            except RuntimeError:
                continue
            ran.update(
                p["spec"]["containers"][0]["image"]
                for p in pods
                if CANARY_LABEL not in p["metadata"]["labels"] and "deletionTimestamp" not in p["metadata"]
            )

    with Client(shift.api.pace) as api:
        watcher = threading.Thread(target=look, args=(api,), daemon=True)
        watcher.start()
        try:
            yield ran
        finally:
            end.set()
            watcher.join(timeout=10)
