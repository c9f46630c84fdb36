"""How people and tools write a Deployment: the ways of the first experiment, each with its file and its change."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from e2e.api import environment, kubectl
from e2e.cluster import paths
from opsloop.shell.ports import Object

GOOD, BAD, NEW = "good", "bad", "new"
IMAGES = {GOOD: "registry.k8s.io/pause:3.10", BAD: "registry.k8s.io/pause:3.10.1", NEW: "registry.k8s.io/pause:3.10.1"}
EXTRA = {"name": "EXTRA", "value": "left by somebody"}


def manifest(namespace: str, name: str, version: str) -> Object:
    """A user's file. The bad one has an environment variable and an annotation that the others do not have."""
    env = [{"name": "MODE", "value": version}, *([EXTRA] if version == BAD else [])]
    annotations = {"team": "desk", **({"extra": "1"} if version == BAD else {})}
    requests = {"cpu": "1m", "memory": "1M"}
    container = {"name": "c", "image": IMAGES[version], "env": env, "resources": {"requests": requests}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {  # no replicas: they are the autoscaler's
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": annotations},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
            },
        },
    }


def autoscaler(namespace: str, name: str, least: int) -> Object:
    """A HorizontalPodAutoscaler without a metrics server: only its bounds act."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": 3},
    }


class User:
    """Somebody's Deployment. Every method returns what the tool complained of, "" where it did not."""

    def __init__(self, namespace: str, name: str) -> None:
        self.namespace, self.name = namespace, name

    def client_apply(self, version: str) -> str:
        """kubectl apply -f FILE."""
        return self._kubectl("apply", "-f", "-", file=manifest(self.namespace, self.name, version))

    def server_apply(self, version: str) -> str:
        """kubectl apply --server-side -f FILE, without --force-conflicts."""
        return self._kubectl("apply", "--server-side", "-f", "-", file=manifest(self.namespace, self.name, version))

    def helm_upgrade(self, version: str) -> str:
        """helm upgrade --install of a chart whose one template is the file."""
        with tempfile.TemporaryDirectory() as folder:
            chart = Path(folder)
            (chart / "templates").mkdir()
            (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 0.1.0\n")
            (chart / "templates" / "all.yaml").write_text(json.dumps(manifest(self.namespace, self.name, version)))
            command = [str(paths.HELM), "-n", self.namespace, "upgrade", "--install", self.name, folder]
            done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=False)
        return done.stderr.strip() if done.returncode else ""

    def set_image(self) -> str:
        """kubectl set image."""
        return self._kubectl("set", "image", f"deployment/{self.name}", f"c={IMAGES[BAD]}")

    def set_env(self) -> str:
        """kubectl set env."""
        return self._kubectl("set", "env", f"deployment/{self.name}", f"{EXTRA['name']}={EXTRA['value']}")

    def unset_env(self) -> str:
        """kubectl set env NAME-: it only takes away."""
        return self._kubectl("set", "env", f"deployment/{self.name}", "MODE-")

    def restart(self) -> str:
        """kubectl rollout restart; its annotation has seconds, so two in one second are one."""
        return self._kubectl("rollout", "restart", f"deployment/{self.name}")

    def scale(self) -> str:
        """kubectl scale."""
        return self._kubectl("scale", f"deployment/{self.name}", "--replicas=2")

    def raise_minimum(self) -> str:
        """An autoscaler whose least is 2: the controller scales within its period of 15 s."""
        return self._kubectl("apply", "-f", "-", file=autoscaler(self.namespace, self.name, 2))

    def _kubectl(self, *arguments: str, file: Object | None = None) -> str:
        try:
            kubectl("-n", self.namespace, *arguments, text=json.dumps(file) if file else None)
        except RuntimeError as error:
            return str(error)
        return ""


@dataclass(frozen=True)
class Way:
    """`put` writes a version's file, as this user always does; `change` is what goes wrong; `replicas` after it."""

    name: str
    put: Callable[[User, str], str]
    change: Callable[[User], str]
    new_revision: bool = True  # False: the digest must stay
    touches_template: bool = True
    only_adds: bool = False  # nothing that was there is changed, so restoring only takes away
    only_removes: bool = False  # the change itself only takes away
    replicas: int = 1


WAYS = (
    Way("client-side apply", User.client_apply, lambda u: u.client_apply(BAD)),
    Way("server-side apply", User.server_apply, lambda u: u.server_apply(BAD)),
    Way("set image", User.client_apply, User.set_image),
    Way("set env", User.client_apply, User.set_env, only_adds=True),
    Way("set env, removing", User.client_apply, User.unset_env, only_removes=True),
    Way("rollout restart", User.client_apply, User.restart, new_revision=False),
    Way("helm upgrade", User.helm_upgrade, lambda u: u.helm_upgrade(BAD)),
    Way("scale", User.client_apply, User.scale, new_revision=False, touches_template=False, replicas=2),
    Way("HPA minimum", User.client_apply, User.raise_minimum, new_revision=False, touches_template=False, replicas=2),
)
