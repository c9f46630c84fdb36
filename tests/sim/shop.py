"""A shop in memory: an API server that reports changes, a Deployment controller, traffic by version, pods that answer.

One `tick` is one second of everything outside of opsloop; `tests.sim.operator` runs opsloop beside it.
"""

import copy
import json
from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from opsloop.api.meta import format_time, parse_time
from opsloop.core.codec import encode_entries
from opsloop.core.facts import ProbeReply
from opsloop.core.release.availability import most_unavailable
from opsloop.core.reported import Alert, Ticket
from opsloop.names import CANARY, GATE, INBOX, QUARANTINE, WARM
from opsloop.shell.ports import DEPLOYMENTS, PODS, RELEASES, REPLICASETS, Object, Resource
from opsloop.simulator.answers import answer
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.prober import Asked, FakeProber
from opsloop.simulator.kube.cluster import WatchedCluster
from opsloop.simulator.kube.rollout import active_or_latest, template_hash
from tests.builders.objects import template
from tests.fakes.telemetry import FakeTelemetry

NS = "shop"
REVISION = "deployment.kubernetes.io/revision"
RPS = 48
# Share of wrong answers by version. With v3 at a fifth of the traffic the whole service stays below what pages in its short
# windows, so that the canary's own analysis has the time that it takes.
ERRORS = {"v1": 0.0, "v2": 0.8, "v3": 0.6, "v4": 0.0, "v5": 0.0}


def version_of(pod_or_template: Object) -> str:
    image: str = pod_or_template["spec"]["containers"][0]["image"]
    return image.rpartition(":")[2]


class Shop:
    """The Deployment `answers`, its pods, its users."""

    def __init__(self, release: Object, runbook: Object | None) -> None:
        self.clock = FakeClock()
        self.cluster = WatchedCluster(self.clock)
        self.prober = FakeProber()
        self.telemetry = FakeTelemetry()
        self.asked: Counter[str] = Counter()  # version → eval requests that are no question
        self.served: set[str] = set()  # versions that users have had answers of
        self.errors = dict(ERRORS)
        self.below_minimum = False  # the Deployment `answers` has fewer available pods than its strategy allows
        self.rps: float = RPS  # requests of users per second
        self.silent = False  # Prometheus scrapes nothing
        self.sick: dict[str, int] = {}  # version → how many of its live pods are not ready, or not any more
        self.down = False  # no pod of the Deployment `answers` gets or stays ready
        self.quota = ""  # what the API server says to each new pod; empty: there is room
        self.full = ""  # what the scheduler says of each new pod; empty: a node has room
        self.start_up = 1  # seconds from a pod's address to its ready containers
        self._ips = iter(range(1, 100_000))
        self._started: dict[str, datetime] = {}  # pod → when it got its address
        meta, labels = {"name": "answers", "namespace": NS}, {"app": "answers"}
        spec = {"replicas": 4, "selector": {"matchLabels": labels}, "template": template("shop:v1")}
        service = {"kind": "Service", "metadata": dict(meta), "spec": {"selector": labels}}
        account = {"kind": "ServiceAccount", "metadata": {"name": "runbook", "namespace": NS}}
        for obj in (account, {"kind": "Deployment", "metadata": dict(meta), "spec": spec}, service, release, runbook):
            if obj is not None:
                self.cluster.seed(obj)
        for _ in range(4):
            self._controllers()

    # people
    def set_image(self, version: str, manager: str = "kubectl-set") -> None:
        """`kubectl set image`. Without a manager, managedFields stay as they are: fields were only removed."""
        stored = self._get(DEPLOYMENTS, "answers")
        stored["spec"]["template"]["spec"]["containers"][0]["image"] = f"shop:{version}"
        fields: Object = {"f:spec": {"f:template": {}}}
        at = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        if manager:
            others = [
                {**entry, "fieldsV1": {"f:spec": {"f:paused": {}}}}
                for entry in stored["metadata"].get("managedFields", [])
                if "f:paused" in entry["fieldsV1"]["f:spec"]
            ]
            written: Object = {"manager": manager, "time": at, "fieldsV1": fields}
            stored["metadata"]["managedFields"] = [*others, written]
        self.cluster.seed(stored)

    def ship(self, version: str, **spec: Any) -> None:
        """Edit the Release: the ordinary way."""
        stored = self._get(RELEASES, "answers")
        stored["spec"] |= {"version": version, "images": {"answers": f"shop:{version}"}, **spec}
        self.cluster.seed(stored)

    def annotate(self, resource: Resource, name: str, **annotations: str) -> None:
        stored = self._get(resource, name)
        stored["metadata"]["annotations"] = {f"opsloop.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}
        self.cluster.seed(stored)

    def report(self, name: str, alerts: tuple[Alert, ...] = (), tickets: tuple[Ticket, ...] = ()) -> None:
        """Stores inbox entries that the intake has answered 2xx for."""
        for part, data in enumerate(encode_entries(alerts, tickets)):
            meta = {"name": f"opsloop-inbox-{name}-{part}", "namespace": NS, "labels": {INBOX: "true"}}
            self.cluster.seed({"kind": "ConfigMap", "metadata": meta, "binaryData": data})

    def _get(self, resource: Resource, name: str) -> Object:
        stored = self.cluster.find(resource, NS, name)
        assert stored is not None
        return stored

    # the cluster
    def tick(self) -> None:
        """One second passes."""
        self.clock.advance(1)
        self._controllers()
        self._serve(1)

    def pass_quietly(self, seconds: float) -> None:
        """Time passes in which users go on as before and no pod starts or ends."""
        self.clock.advance(seconds)
        self._serve(seconds)

    def objects(self, plural: str) -> list[Object]:
        return [obj for (kind, _, _), obj in sorted(self.cluster._objects.items()) if kind == plural]

    def _controllers(self) -> None:
        names = {d["metadata"]["name"] for d in self.objects("deployments")}
        for pod in self.objects("pods"):
            if pod["metadata"]["labels"].get("deployment", "") not in ("", *names) or self._lost_its_owner(pod):
                self.cluster.remove(PODS, NS, pod["metadata"]["name"])
        for deployment in self.objects("deployments"):
            self._roll(deployment)
        for pod in self.objects("pods"):
            self._run(pod)
        self._report_sets()

    def _lost_its_owner(self, pod: Object) -> bool:
        owners = [one["name"] for one in pod["metadata"].get("ownerReferences", ())]
        return any(self.cluster.find(REPLICASETS, NS, name) is None for name in owners)

    def _own_pods(self, deployment: str) -> list[Object]:
        """Those that its ReplicaSets own. One that was deleted without its pods and is there again adopts them."""
        sets = {s["metadata"]["labels"]["pod-template-hash"]: s["metadata"]["name"] for s in self._sets(deployment)}
        for pod in self.objects("pods"):
            labels = pod["metadata"]["labels"]
            owner = sets.get(labels.get("pod-template-hash", ""))
            if labels.get("deployment") == deployment and owner and not pod["metadata"].get("ownerReferences"):
                self.cluster.seed({**pod, "metadata": {**pod["metadata"], "ownerReferences": [self._reference(owner)]}})
        pods = [p for p in self.objects("pods") if p["metadata"]["labels"].get("deployment") == deployment]
        return [p for p in pods if p["metadata"].get("ownerReferences")]

    def _roll(self, deployment: Object) -> None:
        """Surge by two: new pods first, an old one goes for each new one that is ready."""
        name, spec = deployment["metadata"]["name"], deployment["spec"]
        revision = template_hash(spec["template"])
        pods = self._own_pods(name)
        if spec.get("paused"):
            self._scale_paused(deployment, revision, [p for p in pods if not _ended(p)])
            return
        self._replica_set(deployment, revision)
        new = [p for p in pods if p["metadata"]["labels"]["pod-template-hash"] == revision]
        old = [p for p in pods if p not in new]
        ready = [p for p in new if _is(p, "ContainersReady")]
        allowed = most_unavailable(spec["strategy"], spec["replicas"]) if "strategy" in spec else 0
        for pod in old[max(0, spec["replicas"] - allowed - len(ready)) :]:
            self.cluster.remove(PODS, NS, pod["metadata"]["name"])
            old.remove(pod)
        for _ in range(0 if self.quota else min(2, spec["replicas"] - len([p for p in new if not _ended(p)]))):
            new.append(self._start(name, revision, spec["template"]))
        new = [p for p in new if not _ended(p)]
        for pod in new[spec["replicas"] :]:
            self.cluster.remove(PODS, NS, pod["metadata"]["name"])
        available = len(ready) + len(old)
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(new) + len(old),
            "updatedReplicas": len(new),
            "readyReplicas": len([p for p in (*new, *old) if _is(p, "Ready")]),
            "availableReplicas": available,
        }
        if conditions := self._conditions(deployment, status, len(new) < spec["replicas"]):
            status["conditions"] = conditions
        if deployment.get("status") != status:
            self.cluster.seed({**self._get(DEPLOYMENTS, name), "status": status})

    def _sets(self, deployment: str) -> list[Object]:
        """Its ReplicaSets, oldest first."""
        found = [s for s in self.objects("replicasets") if s["metadata"]["ownerReferences"][0]["name"] == deployment]
        return sorted(
            found, key=lambda s: (s["metadata"]["creationTimestamp"], int(s["metadata"]["uid"].rpartition("-")[2]))
        )

    def _scale_paused(self, deployment: Object, revision: str, pods: list[Object]) -> None:
        """As Kubernetes does: no new template is rolled out, no ReplicaSet made; the running one is scaled, from 0 the
        template's own or else the newest."""
        name, spec = deployment["metadata"]["name"], deployment["spec"]
        sets = {s["metadata"]["labels"]["pod-template-hash"]: s for s in self._sets(name)}
        target = active_or_latest([*sets], {p["metadata"]["labels"]["pod-template-hash"] for p in pods}, revision)
        for pod in pods[spec["replicas"] :]:
            self.cluster.remove(PODS, NS, pod["metadata"]["name"])
        pods = pods[: spec["replicas"]]
        for _ in range(spec["replicas"] - len(pods) if target else 0):
            template = copy.deepcopy(sets[target]["spec"]["template"])
            pods.append(self._start(name, target, template))
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods),
            "updatedReplicas": len([p for p in pods if p["metadata"]["labels"]["pod-template-hash"] == revision]),
            "availableReplicas": len([p for p in pods if _is(p, "ContainersReady")]),
            "conditions": [{"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}],
        }
        if deployment.get("status") != status:
            self.cluster.seed({**self._get(DEPLOYMENTS, name), "status": status})

    def _report_sets(self) -> None:
        pods = Counter(
            (
                p["metadata"]["labels"].get("deployment"),
                p["metadata"]["labels"].get("pod-template-hash"),
                _is(p, "Ready"),
            )
            for p in self.objects("pods")
            if not _ended(p) and p["metadata"].get("ownerReferences")
        )
        for one in self.objects("replicasets"):
            of = (one["metadata"]["ownerReferences"][0]["name"], one["metadata"]["labels"]["pod-template-hash"])
            ready = pods[(*of, True)]
            status = {"replicas": ready + pods[(*of, False)], "readyReplicas": ready, "availableReplicas": ready}
            if one.get("status") != status:
                spec = {**one["spec"], "replicas": status["replicas"]}
                self.cluster.seed({**one, "spec": spec, "status": status})

    def _conditions(self, deployment: Object, status: Object, short: bool) -> list[Object]:
        """As the Deployment controller writes them, where the Deployment names a deadline or pods are refused."""
        spec, now = deployment["spec"], self.clock.now()
        failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": self.quota}
        conditions: list[Object] = [failure] if self.quota and short else []
        if self.below_minimum:
            conditions.append({"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"})
        if "progressDeadlineSeconds" not in spec:
            return conditions
        before = deployment.get("status", {})
        told = {c["type"]: c for c in before.get("conditions", [])}.get("Progressing")
        moved = any(before.get(k) != status[k] for k in ("replicas", "updatedReplicas", "availableReplicas"))
        done = status["replicas"] == status["updatedReplicas"] == status["availableReplicas"] == spec["replicas"]
        value, reason = ("True", "NewReplicaSetAvailable") if done else ("True", "ReplicaSetUpdated")
        if told is not None and not done and not moved:
            late = (now - parse_time(told["lastUpdateTime"])).total_seconds() > spec["progressDeadlineSeconds"]
            if told["status"] == "False" or (late and told["reason"] != "NewReplicaSetAvailable"):
                value, reason = "False", "ProgressDeadlineExceeded"
        same = told is not None and (told["status"], told["reason"]) == (value, reason) and not (moved and not done)
        at = told["lastUpdateTime"] if told is not None and same else format_time(now)
        message = f'ReplicaSet "answers" {reason}'
        condition = {"type": "Progressing", "status": value, "reason": reason, "message": message, "lastUpdateTime": at}
        return [*conditions, condition]

    def _replica_set(self, deployment: Object, revision: str) -> None:
        """The ReplicaSet of the present template, as the Deployment controller makes it."""
        meta, name = deployment["metadata"], f"{deployment['metadata']['name']}-{revision}"
        sets = self._sets(meta["name"])
        highest = max((int(s["metadata"]["annotations"][REVISION]) for s in sets), default=0)
        if (found := self.cluster.find(REPLICASETS, NS, name)) is not None:
            if found["metadata"]["annotations"][REVISION] != str(highest):
                found["metadata"]["annotations"][REVISION] = str(highest + 1)
                self.cluster.seed(found)
            return
        pod_template = copy.deepcopy(deployment["spec"]["template"])
        labels = pod_template["metadata"].setdefault("labels", {})
        labels["pod-template-hash"] = revision
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"]}
        annotations = {REVISION: str(highest + 1)}
        metadata = {"name": name, "namespace": NS, "labels": dict(labels), "ownerReferences": [owner]}
        metadata["annotations"] = annotations
        self.cluster.seed(
            {"kind": "ReplicaSet", "metadata": metadata, "spec": {"replicas": 0, "template": pod_template}}
        )

    def _start(self, deployment: str, revision: str, pod_template: Object) -> Object:
        meta = pod_template["metadata"]
        labels = {**meta.get("labels", {}), "pod-template-hash": revision, "deployment": deployment}
        name, owners = f"{deployment}-{revision}-{next(self._ips):05}", [self._reference(f"{deployment}-{revision}")]
        annotations = {"annotations": dict(meta["annotations"])} if meta.get("annotations") else {}
        meta = {"name": name, "namespace": NS, "labels": labels, "ownerReferences": owners, **annotations}
        return self.cluster.seed({"kind": "Pod", "metadata": meta, "spec": pod_template["spec"]})

    def _reference(self, replica_set: str) -> Object:
        owner = self.cluster.find(REPLICASETS, NS, replica_set)
        uid = owner["metadata"]["uid"] if owner is not None else ""
        return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": replica_set, "uid": uid}

    def _run(self, pod: Object) -> None:
        """An address, ready containers a second later, Ready when its gates say so."""
        meta, status = pod["metadata"], pod.setdefault("status", {})
        before = json.dumps(status)
        if "podIP" not in status and self.full:
            scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": self.full}
            status |= {"phase": "Pending", "conditions": [scheduled]}
        elif "podIP" not in status:
            status["podIP"] = f"10.0.{next(self._ips)}"
            self._started[meta["name"]] = self.clock.now()
        elif self._is_sick(pod) or (self.down and meta["labels"].get("deployment") == "answers"):
            _set(status, "ContainersReady", False)
            _set(status, "Ready", False)
        elif not _ended(pod) and self._is_up(meta["name"]):
            _set(status, "ContainersReady", True)
            gates = [g["conditionType"] for g in pod["spec"].get("readinessGates", [])]
            _set(status, "Ready", all(_is(pod, gate) for gate in gates))
        if "podIP" in status:
            self.prober.pods[status["podIP"]] = partial(self._answer, version_of(pod))
        if json.dumps(status) != before:
            self.cluster.seed({"kind": "Pod", "metadata": meta, "spec": pod["spec"], "status": status})

    def _is_sick(self, pod: Object) -> bool:
        """The first pods of a version on the Deployment `answers` stay unready, as many as `sick` says."""
        version = version_of(pod)
        peers = [p["metadata"]["name"] for p in self.objects("pods")
                 if p["metadata"]["labels"].get("deployment") == "answers" and version_of(p) == version]  # fmt: skip
        return pod["metadata"]["name"] in sorted(peers)[: self.sick.get(version, 0)]

    def evict(self, pod: Object) -> None:
        """The kubelet's way: the pod stays in the list, Failed, with the conditions that it had."""
        status = {**pod["status"], "phase": "Failed", "reason": "Evicted"}
        status["conditions"] = [
            c if c["type"] not in ("Ready", "ContainersReady") else {**c, "status": "False"}
            for c in status["conditions"]
        ]
        self.cluster.seed({"kind": "Pod", "metadata": pod["metadata"], "spec": pod["spec"], "status": status})

    def change(self, **spec: Any) -> None:
        """Changes fields of the Deployment's spec: replicas (an autoscaler), paused, strategy, progressDeadlineSeconds."""
        stored = self._get(DEPLOYMENTS, "answers")
        stored["spec"] |= spec
        self.cluster.seed(stored)

    def _is_up(self, pod: str) -> bool:
        return self.clock.now() - self._started[pod] >= timedelta(seconds=self.start_up - 0.5)

    def _answer(self, version: str, asked: Asked) -> ProbeReply:
        faulty = ERRORS[version] > 0
        if not asked.path.startswith("/ask"):
            self.asked[version] += 1
            return answer(asked, faulty, self.asked[version] - 1)
        wrong = faulty and "boots" in asked.path  # v2 and v3 are wrong about boots, always
        return ProbeReply(200, json.dumps({"answer": "30 days" if not wrong else "7 days"}))

    # users, and what Prometheus makes of them

    def in_traffic(self) -> list[Object]:
        """Ready pods that the Service selects."""
        return [p for p in self.objects("pods") if p["metadata"]["labels"].get("app") == "answers" and _is(p, "Ready")]

    def open_canaries(self) -> list[Object]:
        canaries = [p for p in self.objects("pods") if CANARY in p["metadata"]["labels"]]
        return [p for p in canaries if _is(p, GATE) and not _ended(p)]

    def open_warm(self) -> list[Object]:
        warm = [p for p in self.objects("pods") if WARM in p["metadata"]["labels"]]
        return [p for p in warm if _is(p, GATE) and not _ended(p)]

    def quarantined(self) -> list[Object]:
        return [p for p in self.objects("pods") if QUARANTINE in p["metadata"]["labels"]]

    def _serve(self, seconds: float) -> None:
        """Users' requests of the last seconds, spread evenly over the ready pods, as Prometheus counts them."""
        pods = Counter(version_of(pod) for pod in self.in_traffic())
        start = self.clock.now() - timedelta(seconds=seconds)
        for version, count in sorted(pods.items()):
            self.served.add(version)
            if not self.silent:
                self.telemetry.serve(start, seconds, self.rps * count / pods.total(), self.errors[version], version)


def _ended(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def _is(pod: Object, condition: str) -> bool:
    return any(c["type"] == condition and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def _set(status: Object, condition: str, value: bool) -> None:
    conditions = status.setdefault("conditions", [])
    new = {"type": condition, "status": str(value)}
    stored = next((c for c in conditions if c["type"] == condition), None)
    if stored is None:
        conditions.append(new)
    else:
        stored.update(new)
