"""A Bench: the composition root over an API server in memory, for tests of single parts of the shell."""

from dataclasses import dataclass, field
from typing import Any

from opsloop.entry.settings import Settings
from opsloop.entry.wiring import Operator
from opsloop.shell.ports import Object, ObjectKey
from opsloop.simulator.fakes.cluster import FakeCluster
from opsloop.simulator.fakes.ports import FakePorts
from tests.builders.objects import release_spec, template
from tests.fakes.telemetry import FakeTelemetry
from tests.sim.shop import NS

KINDS = {"releases": "Release", "incidents": "Incident", "runbooks": "Runbook", "evalcases": "EvalCase", "deployments": "Deployment"}  # fmt: skip


class CountingCluster(FakeCluster):
    """Counts what is read."""

    def __init__(self, *objects: Object) -> None:
        super().__init__(*objects)
        self.reads: list[str] = []

    async def get(self, resource: Any, namespace: str, name: str) -> Object:
        self.reads.append(f"get {resource.plural} {name}")
        return await super().get(resource, namespace, name)

    async def list(self, resource: Any, namespace: str, labels: Any = None) -> list[Object]:
        self.reads.append(f"list {resource.plural}")
        return await super().list(resource, namespace, labels)


@dataclass
class Bench(FakePorts):
    """An Operator whose queue does not run: a test calls its parts, and `requested` lists the reconciles asked for."""

    cluster: CountingCluster
    telemetry: FakeTelemetry = field(default_factory=FakeTelemetry)
    requested: list[ObjectKey] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.runtime = Operator(self.ports(), Settings()).runtime
        self.runtime.enqueue = self.requested.append
        self.runtime.stops.put("", ())
        self.see()

    def see(self) -> None:
        """Fills the cache with everything that is stored, as the watches do."""
        for (plural, _, _), obj in sorted(self.cluster._objects.items()):
            if plural in KINDS:
                self.runtime.cache.put(KINDS[plural], obj)

    def seed(self, body: Object) -> Object:
        stored = self.cluster.seed(body)
        self.see()
        return stored

    def cached(self, kind: str, name: str = "answers") -> Object:
        found = self.runtime.cache.get(kind, NS, name)
        assert found is not None
        return found


def bench(*objects: Object) -> Bench:
    """With the Release and the Deployment `answers`, v1 running."""
    return Bench(CountingCluster(deployment(), release(), *objects))


def release(**status: Any) -> Object:
    body: Object = {"kind": "Release", "metadata": {"name": "answers", "namespace": NS}, "spec": release_spec()}
    return {**body, "status": status} if status else body


def deployment(name: str = "answers", image: str = "shop:v1", replicas: int = 4, **meta: Any) -> Object:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "answers"}}, "template": template(image)}
    counts = {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas}
    return {"kind": "Deployment", "metadata": {"name": name, "namespace": NS, **meta}, "spec": spec, "status": counts}


def pod(
    name: str, labels: dict[str, str] | None = None, conditions: dict[str, str] | None = None, **status: Any
) -> Object:
    held = [{"type": t, "status": s} for t, s in (conditions or {}).items()]
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NS, "labels": labels or {}},
        "spec": template()["spec"],
        "status": {"conditions": held, "podIP": "10.0.0.1", **status},
    }
