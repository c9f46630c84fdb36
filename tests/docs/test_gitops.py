"""docs/gitops: the health scripts for Argo CD run in Lua, and the Kustomize configuration names fields that exist."""

from pathlib import Path
from typing import Any

import pytest
from lupa.lua51 import LuaRuntime  # type: ignore[import-untyped]  # gopher-lua, which Argo CD embeds, is Lua 5.1

from opsloop.api.kinds import KINDS
from opsloop.core.release import alone, canary, compared, guard, guarding, pods, rollout_state
from opsloop.core.stop import STOPPED
from tests.builders import yamls

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "gitops"


def health(script: str, obj: Any) -> tuple[str, str]:
    """(status, message) that a script returns for an object, as Argo CD runs it: a global `obj`, a table returned."""
    lua = LuaRuntime(unpack_returned_tuples=True, register_eval=False)
    lua.globals().obj = _table(lua, obj)
    result = lua.execute((FOLDER / script).read_text())
    return str(result["status"]), str(result["message"])


def _table(lua: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: _table(lua, inner) for key, inner in value.items()})
    return lua.table_from([_table(lua, inner) for inner in value]) if isinstance(value, list) else value


def condition(kind: str, status: str, reason: str, message: str = "so it is") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def release(*conditions: dict[str, str], observed: int = 2, **status: Any) -> dict[str, Any]:
    whole = {"observedGeneration": observed, "phase": "Healthy", "conditions": list(conditions), **status}
    return {"metadata": {"generation": 2}, "spec": {}, "status": whole}


SHIPPED = condition("Shipped", "True", compared.SHIPPED)
SHIPPING = condition("Shipped", "False", compared.SHIPPING)
GUARDED = condition("Guarded", "True", guarding.GUARDED)
REJECTED = {"version": "v3", "state": "Rejected", "message": "errs more than live"}


@pytest.mark.parametrize(
    ("obj", "status", "says"),
    [
        pytest.param({"metadata": {"generation": 1}, "spec": {}}, "Progressing", "not looked", id="a new one"),
        pytest.param(release(SHIPPED, observed=1), "Progressing", "not looked", id="one whose spec was changed just now"),
        pytest.param(release(SHIPPED, GUARDED), "Healthy", "Shipped", id="what is asked for is live"),
        pytest.param(release(SHIPPING, GUARDED, target={"version": "v4", "state": "Stepping"}), "Progressing", "Shipping", id="a canary is on its way"),
        pytest.param(release(SHIPPING, condition("Held", "True", canary.WAITING_FOR_APPROVAL)), "Suspended", "WaitingForApproval", id="a person has to approve"),
        pytest.param(release(SHIPPING, condition("Held", "True", canary.PAUSED)), "Suspended", "Paused", id="spec.paused"),
        pytest.param(release(SHIPPING, condition("Held", "True", pods.WEIGHT_LOWER)), "Suspended", "WeightLower", id="pods left the traffic twice"),
        pytest.param(release(SHIPPING, condition("Held", "True", rollout_state.REPLICA_FAILURE)), "Progressing", "ReplicaFailure", id="the cluster has no room yet"),
        pytest.param(release(SHIPPED, condition("Stopped", "True", STOPPED)), "Suspended", "Stopped", id="the emergency stop"),
        pytest.param(release(condition("Shipped", "False", "AnalysisFailed"), GUARDED, target=REJECTED), "Degraded", "v3 was rejected: errs", id="a rejected version"),
        pytest.param(release(SHIPPED, phase="Breaching", incident="answers-1"), "Degraded", "answers-1", id="live harms its users"),
        pytest.param(release(SHIPPING, phase="RollingBack"), "Degraded", "RollingBack", id="a rollback"),
        pytest.param(release(condition("WorkloadMissing", "True", compared.WORKLOAD_MISSING)), "Missing", "WorkloadMissing", id="no Deployment"),
        pytest.param(release(SHIPPED, condition("SpecResolved", "False", compared.WORKLOAD_TAKEN)), "Degraded", "WorkloadTaken", id="another Release has it"),
        pytest.param(release(SHIPPED, condition("Guarded", "False", guard.ADOPTION_WAITS)), "Progressing", "AdoptionWaits", id="not guarded yet"),
        pytest.param(release(SHIPPED, condition("Guarded", "False", guard.CONTESTED)), "Degraded", "GuardContested", id="not guarded any more"),
        pytest.param(release(SHIPPED, condition("Guarded", "False", guard.PAUSED_BY_OTHERS)), "Degraded", "PausedByOthers", id="paused by somebody"),
        pytest.param(release(SHIPPED, condition("Guarded", "False", guard.UNGUARDED)), "Healthy", "Shipped", id="guarded once"),
        pytest.param(release(SHIPPED, condition("CanaryFits", "False", alone.RUNS_ALONE)), "Healthy", "Shipped", id="no canary would fit, and none is wanted"),
    ],
)  # fmt: skip
def test_health_of_a_release(obj: dict[str, Any], status: str, says: str) -> None:
    found = health("argocd-release-health.lua", obj)
    assert found[0] == status and says in found[1]


def deployment(paused: bool = True, replicas: int = 3, updated: int = 3, available: int = 3, total: int = 3, **more: Any) -> dict[str, Any]:  # fmt: skip
    status = {"observedGeneration": 5, "replicas": total, "updatedReplicas": updated, "availableReplicas": available}
    paused_is = {"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}
    return {
        "metadata": {"generation": 5, **more.get("metadata", {})},
        "spec": {"replicas": replicas, "paused": paused},
        "status": {**status, "conditions": [more.get("condition", paused_is)]},
    }


@pytest.mark.parametrize(
    ("obj", "status"),
    [
        pytest.param(deployment(), "Healthy", id="paused at rest"),
        pytest.param(deployment(updated=0), "Progressing", id="paused, with a template that no pod runs"),
        pytest.param(deployment(paused=False), "Healthy", id="not paused, rolled out"),
        pytest.param(deployment(paused=False, updated=1), "Progressing", id="rolling out"),
        pytest.param(deployment(available=2), "Progressing", id="a pod is not available"),
        pytest.param(deployment(paused=False, total=4), "Progressing", id="an old pod is ending"),
        pytest.param(deployment(metadata={"generation": 6}), "Progressing", id="not seen by its controller"),
        pytest.param(deployment(paused=False, updated=1, condition={"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}), "Degraded", id="its deadline is over"),
    ],
)  # fmt: skip
def test_health_of_a_deployment(obj: dict[str, Any], status: str) -> None:
    assert health("argocd-deployment-health.lua", obj)[0] == status


def kstatus(obj: dict[str, Any]) -> str:
    """What kstatus (Flux `wait`, Helm 4) says of a Deployment with a progress deadline: its rules, in their order."""
    status, conditions = obj["status"], {c["type"]: c for c in obj["status"]["conditions"]}
    wanted, progress = obj["spec"]["replicas"], conditions.get("Progressing", {})
    if progress.get("reason") == "ProgressDeadlineExceeded":
        return "Failed"
    short = status["replicas"] < wanted or status["updatedReplicas"] < wanted or status["replicas"] > wanted
    if short or status["updatedReplicas"] > status["availableReplicas"]:
        return "InProgress"
    done = (progress.get("status"), progress.get("reason")) == ("True", "NewReplicaSetAvailable")
    return "Current" if done else "InProgress"


@pytest.mark.parametrize(
    ("obj", "says"),
    [
        pytest.param(deployment(), "InProgress", id="paused at rest, it is never Current: tools wait for the Release"),
        pytest.param(deployment(updated=0), "InProgress", id="nor with a template that is held"),
        pytest.param(deployment(paused=False, condition={"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}), "Current", id="after the guard it is"),
    ],
)  # fmt: skip
def test_what_kstatus_says_of_a_guarded_deployment(obj: dict[str, Any], says: str) -> None:
    assert kstatus(obj) == says


def _fields() -> list[tuple[str, str]]:
    rules = yamls.load((FOLDER / "kustomize-configuration.yaml").read_text())
    return [(spec["kind"], spec["path"]) for rule in rules["nameReference"] for spec in rule["fieldSpecs"]]


@pytest.mark.parametrize(("kind", "path"), _fields())
def test_kustomize_is_told_fields_that_exist(kind: str, path: str) -> None:
    model = next(k.model for k in KINDS if k.name == kind)
    schema = model.model_json_schema(by_alias=True)
    node: Any = schema
    for part in path.split("/"):
        node = _resolved(schema, node)["properties"][part]
    assert _resolved(schema, node).get("type") in ("string", "array")


def _resolved(schema: Any, node: Any) -> Any:
    """The node behind references, the one alternative that is not null, and the items of a list of objects."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        elif "anyOf" in node:
            node = next(one for one in node["anyOf"] if one.get("type") != "null")
        elif node.get("type") == "array" and "$ref" in node.get("items", {}):
            node = node["items"]
        else:
            return node
