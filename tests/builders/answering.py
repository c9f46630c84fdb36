"""An API server beside which an operator looks at a Release whenever somebody reads it: acts of the command line, answered.

The operator is `core.release.decide` over the stored Release and a Deployment in memory; what it decides on the Release is stored
through the API server, a fake or a real one.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opsloop.api.release import Release
from opsloop.core.actions import SetTemplate
from opsloop.core.facts import WorkloadFacts
from opsloop.errors import NotFound
from opsloop.shell.ports import RELEASES, Object, Resource
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from tests.builders.objects import workload
from tests.builders.rollouts import NOW, decide, facts

NS = "shop"
STEPS = [{"weight": 20, "hold": "1h"}, {"weight": 50, "hold": "1h", "approve": True}, {"weight": 100}]


def release_body(version: str = "v4", namespace: str = NS, **spec: Any) -> Object:
    """A Release as a person writes it."""
    return {
        "apiVersion": "opsloop.dev/v1alpha1",
        "kind": "Release",
        "metadata": {"name": "answers", "namespace": namespace},
        "spec": {
            "workloadRef": {"name": "answers"},
            "version": version,
            "images": {"answers": f"shop:{version}"},
            "strategy": {"canary": {"steps": STEPS}},
            "slo": {"objective": 0.99, "sli": {"requests": {"counter": "answers_total", "bad": 'verdict="bad"'}}},
            **spec,
        },
    }


class Fake(FakeCluster):
    """An API server in memory that knows who asks."""

    def __init__(self, *objects: Object) -> None:
        super().__init__(*objects, clock=FakeClock(NOW))

    async def raw(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as the port has it
    ) -> tuple[int, bytes]:
        if path.endswith("selfsubjectreviews"):
            return 201, json.dumps({"status": {"userInfo": {"username": "alice"}}}).encode()
        raise NotFound(path)


class Answered:
    """The API server, with an operator that looks before each read of a Release; `works` is whether it does."""

    def __init__(self, cluster: Any, live: str = "v1", works: bool = True, **more: Any) -> None:
        self._cluster, self.works, self._more = cluster, works, more
        self.workload: WorkloadFacts = workload(f"shop:{live}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """The object, once the operator has looked at it."""
        stored: Object = await self._cluster.get(resource, namespace, name)
        if resource is not RELEASES or not self.works or not stored.get("status"):
            return stored
        return await self._look(stored)

    async def _look(self, stored: Object) -> Object:
        decision = decide(facts(Release.model_validate(stored), workload=self.workload, **self._more))
        for action in decision.actions:
            if isinstance(action, SetTemplate):
                self.workload = replace(self.workload, template=dict(action.template), digest=action.digest)
        if decision.status is None:
            return stored
        body = {**stored, "status": decision.status.dump()}
        answer: Object = await self._cluster.replace_status(RELEASES, stored["metadata"]["namespace"], body)
        return answer
