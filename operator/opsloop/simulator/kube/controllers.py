"""kube-controller-manager, scheduler and kubelet: Deployments become ReplicaSets and pods, pods start, statuses follow."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from opsloop.api.meta import format_time
from opsloop.shell.ports import PODS, REPLICASETS, Object
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.kube.cluster import WatchedCluster
from opsloop.simulator.kube.pods import FAILED, Faults, Image, is_active, status
from opsloop.simulator.kube.rollout import Member, Moves, active_or_latest, bounds, moves, scaled, suffix, template_hash

PROGRESS_DEADLINE = 600  # seconds, Kubernetes' default
HASH = "pod-template-hash"


@dataclass(slots=True)
class _Life:
    """What is known of a pod besides its object."""

    deployment: str
    hash: str
    born: float
    ip: str
    ready_since: float | None = None
    left: str = ""  # the Deployment whose ReplicaSet was deleted without this pod


class Controllers:
    """Follows one namespace. `step` does nothing while nothing changed and no pod is about to."""

    def __init__(
        self,
        cluster: WatchedCluster,
        clock: FakeClock,
        namespace: str,
        image: Callable[[str], Image],
        now: Callable[[], float],
        random: Random,
    ) -> None:
        """`image` says how containers of an image start, `now` is seconds of the simulation."""
        self.faults = Faults()
        self._cluster, self._clock, self._namespace = cluster, clock, namespace
        self._image, self._now, self._random = image, now, random
        self._lives: dict[str, _Life] = {}
        self._progress: dict[str, tuple[object, float]] = {}
        self._failures: dict[str, str] = {}
        self._ips, self._names = itertools.count(1), itertools.count(random.randrange(10**9))
        self._dirty, self._due = True, 0.0

    def touch(self) -> None:
        """Something changed: the next step looks at everything."""
        self._dirty = True

    def cured(self) -> None:
        """There is room, quota and consent for new pods again."""
        self.faults.no_room, self.faults.quota, self.faults.refused = False, None, ""
        self._dirty = True

    def forget(self, pod: str) -> None:
        """Somebody deleted the pod."""
        self._lives.pop(pod, None)
        self._dirty = True

    def deployment_of(self, pod: str) -> str:
        """The Deployment that a pod was started for; empty for a pod of nobody."""
        life = self._lives.get(pod)
        return life.deployment if life else ""

    def ip(self, pod: str) -> str:
        """The pod's address."""
        return self._lives[pod].ip

    def step(self) -> None:
        """Everything that is due now; repeated until it comes to rest, as controllers that are quicker than pods."""
        if not self._dirty and self._now() < self._due:
            return
        for _ in range(6):
            self._dirty, self._due = False, float("inf")
            self._once()
            if not self._dirty:
                break

    def _once(self) -> None:
        deployments = {d["metadata"]["name"]: d for d in self._cluster.all("deployments")}
        for pod in self._cluster.all("pods"):
            name = pod["metadata"]["name"]
            if self.deployment_of(name) in ("", *deployments):
                self._run(pod)
            else:
                self._stop(name)
        self._collect(set(deployments))
        for replica_set in self._cluster.all("replicasets"):
            if replica_set["metadata"]["ownerReferences"][0]["name"] not in deployments:
                self._cluster.remove(REPLICASETS, self._namespace, replica_set["metadata"]["name"])
        for deployment in deployments.values():
            self._sync(deployment)

    def _collect(self, deployments: set[str]) -> None:
        """Pods of a ReplicaSet that was deleted: they end with it, or live on as nobody's; a new one of the same template
        adopts those."""
        sets = {s["metadata"]["name"] for s in self._cluster.all("replicasets")}
        for name, life in list(self._lives.items()):
            if not life.hash:
                continue
            pod = self._cluster._objects.get((PODS.plural, self._namespace, name))
            owned = bool(pod and pod["metadata"].get("ownerReferences"))
            stands = f"{life.left or life.deployment}-{life.hash}" in sets
            if life.left and stands and pod is not None:
                life.deployment, life.left = life.left, ""
                reference = self._reference(f"{life.deployment}-{life.hash}")
                self._cluster.seed({**pod, "metadata": {**pod["metadata"], "ownerReferences": [reference]}})
            elif life.deployment in deployments and not stands and owned:
                self._stop(name)
            elif life.deployment in deployments and not owned and not life.left:
                life.deployment, life.left = "", life.deployment
                self._dirty = True

    def _reference(self, owner: str) -> Object:
        stored = self._cluster._objects.get((REPLICASETS.plural, self._namespace, owner))
        uid = stored["metadata"]["uid"] if stored is not None else ""
        return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "controller": True, "uid": uid}

    # pods
    def _run(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        life = self._lives.get(name) or _Life("", "", self._now(), self._address())
        self._lives.setdefault(name, life)
        image = self._image(pod["spec"]["containers"][0]["image"])
        age = self._now() - life.born
        new = status(pod, image, age, life.ip, self._stamp(), self.faults, life.deployment)
        if new != pod.get("status"):
            self._cluster.seed({**pod, "status": new})
            self._dirty = True
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in new["conditions"])
        life.ready_since = (life.ready_since if life.ready_since is not None else self._now()) if ready else None
        if age < image.starts and not image.waiting and new["phase"] != FAILED:
            self._due = min(self._due, life.born + image.starts)

    def _start(self, deployment: Object, hash_: str) -> bool:
        """Creates a pod; False where the cluster refuses it."""
        name, faults = deployment["metadata"]["name"], self.faults
        if faults.quota is not None and len(self._lives) >= faults.quota:
            self._failures[name] = f'pods "{name}" is forbidden: exceeded quota: pods, limited: pods={faults.quota}'
        elif faults.refused:
            self._failures[name] = f"admission webhook denied the request: {faults.refused}"
        else:
            self._failures.pop(name, None)
            self._create(deployment, hash_)
            return True
        return False

    def _create(self, deployment: Object, hash_: str) -> None:
        template, owner = deployment["spec"]["template"], f"{deployment['metadata']['name']}-{hash_}"
        stored = self._cluster.find(REPLICASETS, self._namespace, owner)
        if stored is not None:
            template = stored["spec"]["template"]
        name = f"{owner}-{suffix(next(self._names))}"
        self._lives[name] = _Life(deployment["metadata"]["name"], hash_, self._now(), self._address())
        labels = {**template.get("metadata", {}).get("labels", {}), HASH: hash_}
        meta = {
            "name": name,
            "namespace": self._namespace,
            "labels": labels,
            "ownerReferences": [self._reference(owner)],
        }
        annotations = template.get("metadata", {}).get("annotations")
        if annotations:
            meta["annotations"] = dict(annotations)
        pod = self._cluster.seed({"kind": "Pod", "metadata": meta, "spec": template["spec"]})
        self._run(pod)
        self._dirty = True

    def _stop(self, pod: str) -> None:
        self._lives.pop(pod, None)
        self.faults.sick.discard(pod)
        self._cluster.remove(PODS, self._namespace, pod)
        self._dirty = True

    def evict(self, pod: str) -> None:
        """The kubelet evicts a pod: it has failed and stays as an object."""
        stored = self._cluster.find(PODS, self._namespace, pod)
        if stored is None:
            return
        conditions = [
            {**c, "status": "False"} if c["type"] in ("Ready", "ContainersReady") else c
            for c in stored["status"]["conditions"]
        ]
        ended = {**stored["status"], "phase": FAILED, "reason": "Evicted", "conditions": conditions}
        self._cluster.seed({**stored, "status": ended})
        self._dirty = True

    # Deployments
    def _sync(self, deployment: Object) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        name, wanted = meta["name"], template_hash(spec["template"])
        target = wanted
        if spec.get("paused"):
            sets = sorted(self._sets(name), key=lambda s: s["metadata"]["creationTimestamp"])
            present = {life.hash for life in self._lives.values() if life.deployment == name}
            target = active_or_latest([s["metadata"]["labels"][HASH] for s in sets], present, wanted)
        else:
            self._ensure_set(deployment, target)
        members = self._members(name, wanted, spec.get("minReadySeconds", 0))
        todo = scaled(spec, members) if spec.get("paused") else moves(spec, members)
        if not target:
            todo = Moves(0, todo.stop)  # no ReplicaSet, or two with pods: nothing is started
        self._carry_out(deployment, target, todo)
        members = self._members(name, wanted, spec.get("minReadySeconds", 0))
        self._report(deployment, members)
        self._report_sets(deployment, target)

    def _members(self, deployment: str, wanted: str, least: float) -> list[Member]:
        found = []
        for name, life in self._lives.items():
            if life.deployment != deployment:
                continue
            pod = self._cluster._objects.get((PODS.plural, self._namespace, name))
            if pod is None or not is_active(pod):
                continue
            since = life.ready_since
            available = since is not None and self._now() - since >= least
            if since is not None and not available:
                self._due = min(self._due, since + least)
            found.append(Member(name, life.hash == wanted, available))
        return found

    def _carry_out(self, deployment: Object, target: str, todo: Moves) -> None:
        for pod in todo.stop:
            self._stop(pod)
        for _ in range(todo.start):
            if not self._start(deployment, target):
                break
        if not todo.start:
            self._failures.pop(deployment["metadata"]["name"], None)

    def _report(self, deployment: Object, members: list[Member]) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        name, replicas = meta["name"], spec.get("replicas", 1)
        new, available = sum(m.new for m in members), sum(m.available for m in members)
        ready = sum(1 for m in members if self._lives[m.name].ready_since is not None)
        complete = new == replicas == available == len(members)
        counts = {
            "replicas": len(members),
            "updatedReplicas": new,
            "readyReplicas": ready,
            "availableReplicas": available,
            "unavailableReplicas": max(0, max(replicas, len(members)) - available),
        }
        report = {"observedGeneration": meta["generation"], **{k: v for k, v in counts.items() if v}}
        old = deployment.get("status", {})
        found = {"Available": self._available(spec, available), "Progressing": self._progressing(deployment, members)}
        if complete and not spec.get("paused"):
            found["Progressing"] = (
                "True",
                "NewReplicaSetAvailable",
                f'ReplicaSet "{name}" has successfully progressed.',
            )
        if failure := self._failures.get(name):
            found["ReplicaFailure"] = ("True", "FailedCreate", failure)
        report["conditions"] = [self._condition(name, old, kind, *value) for kind, value in found.items()]
        if report != old:
            self._cluster.seed({**deployment, "status": report})

    @staticmethod
    def _available(spec: Object, available: int) -> tuple[str, str, str]:
        if available >= spec.get("replicas", 1) - bounds(spec)[1]:
            return "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
        return "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."

    def _progressing(self, deployment: Object, members: list[Member]) -> tuple[str, str, str]:
        name, spec = deployment["metadata"]["name"], deployment["spec"]
        if spec.get("paused"):
            return "Unknown", "DeploymentPaused", "Deployment is paused"
        mark = (deployment["metadata"]["generation"], len(members), sum(m.available and m.new for m in members))
        if self._progress.get(name, (None, 0.0))[0] != mark:
            self._progress[name] = (mark, self._now())
        since, limit = self._progress[name][1], spec.get("progressDeadlineSeconds", PROGRESS_DEADLINE)
        if self._now() - since >= limit:
            return "False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.'
        self._due = min(self._due, since + limit)
        return "True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.'

    def _condition(self, name: str, old: Object, kind: str, value: str, reason: str, message: str) -> Object:
        before = next((c for c in old.get("conditions", ()) if c["type"] == kind), None)
        same = before is not None and (before["status"], before["reason"]) == (value, reason)
        if kind == "Progressing" and self._progress.get(name, (None, -1.0))[1] == self._now():
            same = False  # each step of progress is an update
        at = before["lastUpdateTime"] if before is not None and same else self._stamp()
        turned = before["lastTransitionTime"] if before is not None and before["status"] == value else self._stamp()
        return {
            "type": kind, "status": value, "reason": reason, "message": message,
            "lastUpdateTime": at, "lastTransitionTime": turned,
        }  # fmt: skip

    # ReplicaSets
    def _sets(self, deployment: str) -> list[Object]:
        found = [
            s for s in self._cluster.all("replicasets") if s["metadata"]["ownerReferences"][0]["name"] == deployment
        ]
        return sorted(found, key=lambda s: int(s["metadata"]["annotations"]["deployment.kubernetes.io/revision"]))

    def _ensure_set(self, deployment: Object, hash_: str) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        sets = self._sets(meta["name"])
        name = f"{meta['name']}-{hash_}"
        newest = sets[-1]["metadata"]["name"] if sets else ""
        if newest == name:
            return
        number = int(sets[-1]["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) + 1 if sets else 1
        stored = self._cluster.find(REPLICASETS, self._namespace, name)
        template = stored["spec"]["template"] if stored else spec["template"]
        labels = {**template.get("metadata", {}).get("labels", {}), HASH: hash_}
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"]}
        self._cluster.seed(
            {
                "kind": "ReplicaSet",
                "metadata": {
                    "name": name,
                    "namespace": self._namespace,
                    "labels": labels,
                    "annotations": {"deployment.kubernetes.io/revision": str(number)},
                    "ownerReferences": [owner | {"controller": True}],
                },
                "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
                "status": {"replicas": 0},
            }
        )
        limit = spec.get("revisionHistoryLimit", 10)
        served = {life.hash for life in self._lives.values() if life.deployment == meta["name"]} | {hash_}
        unused = [s for s in sets if s["metadata"]["labels"][HASH] not in served]
        for old in unused[: max(0, len(unused) - limit)]:
            self._cluster.remove(REPLICASETS, self._namespace, old["metadata"]["name"])

    def _report_sets(self, deployment: Object, target: str) -> None:
        name = deployment["metadata"]["name"]
        for replica_set in self._sets(name):
            hash_ = replica_set["metadata"]["labels"][HASH]
            lives = [life for life in self._lives.values() if (life.deployment, life.hash) == (name, hash_)]
            ready = sum(life.ready_since is not None for life in lives)
            report = {"replicas": len(lives), "readyReplicas": ready, "availableReplicas": ready}
            wanted = deployment["spec"].get("replicas", 1) if hash_ == target else len(lives)
            if replica_set.get("status") != report or replica_set["spec"]["replicas"] != wanted:
                spec = {**replica_set["spec"], "replicas": wanted}
                self._cluster.seed({**replica_set, "spec": spec, "status": report})

    def _address(self) -> str:
        number = next(self._ips)
        return f"10.1.{number // 250}.{number % 250 + 1}"

    def _stamp(self) -> str:
        return format_time(self._clock.now())
