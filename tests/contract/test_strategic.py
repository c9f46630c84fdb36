"""The merge of spec.templatePatch is that of the API server: the same patches are given to its own package, where Go is.

What is compared is what the server would store: it drops nulls, and a template is known by its digest.
"""

import random
from functools import lru_cache
from typing import Any

import pytest

from opsloop.core.release.revisions import canonical
from opsloop.core.release.strategic import merge
from tests.contract.admission import validator

BASE: dict[str, Any] = {
    "metadata": {"labels": {"app": "shop", "tier": "web"}, "annotations": {"note": "a"}},
    "spec": {
        "containers": [
            {
                "name": "app",
                "image": "shop:v1",
                "args": ["--port", "80"],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}],
                "ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 443}],
                "resources": {"limits": {"memory": "1Gi", "cpu": "1"}},
                "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
            },
            {"name": "side", "image": "side:1"},
        ],
        "initContainers": [{"name": "migrate", "image": "shop:v1"}],
        "volumes": [{"name": "cache", "emptyDir": {}}, {"name": "conf", "configMap": {"name": "conf"}}],
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "one"}, {"name": "two"}],
        "topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}],
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}],
        "nodeSelector": {"disk": "ssd"},
        "securityContext": {"runAsUser": 1, "supplementalGroups": [1, 2]},
    },
}


def app(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "app", **fields}]}}


def spec(**fields: Any) -> dict[str, Any]:
    return {"spec": fields}


ROWS = {
    "a container by its name": app(image="shop:v2"),
    "a new container goes before the others": spec(containers=[{"name": "new", "image": "new:1"}]),
    "a container is deleted": spec(containers=[{"name": "side", "$patch": "delete"}]),
    "a container that is not there is deleted": spec(containers=[{"name": "gone", "$patch": "delete"}]),
    "the containers are replaced": spec(containers=[{"$patch": "replace"}, {"name": "app", "image": "x"}]),
    "one container is replaced": spec(containers=[{"name": "side", "$patch": "replace", "image": "x"}]),
    "an init container that is a sidecar": spec(
        initContainers=[{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}]
    ),
    "a variable is changed and one is added": app(env=[{"name": "B", "value": "9"}, {"name": "Z", "value": "1"}]),
    "a variable is deleted": app(env=[{"name": "B", "$patch": "delete"}]),
    "a variable comes from a Secret": app(
        env=[{"name": "B", "value": None, "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    ),
    "variables in another order": app(env=[{"name": "C", "value": "3"}, {"name": "A", "value": "7"}]),
    "variables in a given order": {
        "spec": {"containers": [{"name": "app", "$setElementOrder/env": [{"name": "C"}, {"name": "A"}]}]}
    },
    "containers in a given order": {
        "spec": {
            "$setElementOrder/containers": [{"name": "side"}, {"name": "app"}],
            "containers": [{"name": "app", "image": "shop:v3"}],
        }
    },
    "a port is renamed": app(ports=[{"containerPort": 443, "name": "https"}]),
    "a port is deleted": app(ports=[{"containerPort": 80, "$patch": "delete"}]),
    "ports are replaced": app(ports=[{"$patch": "replace"}, {"containerPort": 8080}]),
    "arguments are replaced": app(args=["--port", "81"]),
    "a value of the arguments is taken out": app(**{"$deleteFromPrimitiveList/args": ["80"]}),
    "a limit": app(resources={"limits": {"memory": "2Gi"}}),
    "a limit is taken away by null": app(resources={"limits": {"cpu": None}}),
    "resources are replaced": app(resources={"$patch": "replace", "requests": {"cpu": "1"}}),
    "resources are deleted": app(resources={"$patch": "delete"}),
    "a probe where there was none, with a null in it": app(
        readinessProbe={"httpGet": {"path": "/", "port": 80, "scheme": None}}
    ),
    "a mount by its path": app(volumeMounts=[{"name": "conf", "mountPath": "/cache", "readOnly": True}]),
    "a volume gets another source, with nulls": spec(
        volumes=[{"name": "cache", "emptyDir": None, "hostPath": {"path": "/x"}}]
    ),
    "a volume gets another source, with retainKeys": spec(
        volumes=[{"name": "cache", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]
    ),
    "tolerations are replaced": spec(tolerations=[{"key": "gpu", "operator": "Exists"}]),
    "no tolerations": spec(tolerations=None),
    "an image pull secret is added": spec(imagePullSecrets=[{"name": "three"}]),
    "a spread by its topology key": spec(topologySpreadConstraints=[{"topologyKey": "zone", "maxSkew": 2}]),
    "another spread": spec(topologySpreadConstraints=[{"topologyKey": "host", "maxSkew": 2}]),
    "an alias by its address": spec(hostAliases=[{"ip": "10.0.0.1", "hostnames": ["b"]}]),
    "supplemental groups are replaced": spec(securityContext={"supplementalGroups": [3]}),
    "a label is added and one is taken away": {"metadata": {"labels": {"new": "1", "tier": None}}},
    "annotations are taken away": {"metadata": {"annotations": None}},
    "a node selector": spec(nodeSelector={"arch": "arm64", "disk": None}),
    "affinity, of which nothing was there": spec(
        affinity={"nodeAffinity": {"$patch": "replace", "requiredDuringSchedulingIgnoredDuringExecution": {}}}
    ),
    "a list in which there was nothing to delete": spec(schedulingGates=[{"name": "x", "$patch": "delete"}]),
}


@lru_cache(maxsize=1)
def packages() -> list[dict[str, Any]]:
    try:
        return validator.merge([*((BASE, patch) for patch in ROWS.values()), *made_up()])
    except validator.NotHere as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", ROWS)
def test_a_patch_is_merged_as_the_api_server_does(name: str) -> None:
    said = packages()[[*ROWS].index(name)]
    assert "error" not in said, said
    assert canonical(merge(BASE, ROWS[name])) == canonical(said["merged"])


MADE_UP = 400


@lru_cache(maxsize=1)
def made_up() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Templates and patches of lists by name, in any order, with deletions, replacements and given orders among them."""
    chance = random.Random(9)
    return [(_template(chance), _patch(chance)) for _ in range(MADE_UP)]


def _template(chance: random.Random) -> dict[str, Any]:
    names = chance.sample("abcdef", chance.randint(1, 5))
    ports = [{"containerPort": n, "name": f"p{n}"} for n in chance.sample(range(80, 90), 3)]
    containers = [{"name": name, "image": "i:1", "env": _env(chance), "ports": ports} for name in names]
    return {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": containers}}


def _env(chance: random.Random) -> list[dict[str, Any]]:
    return [{"name": n, "value": str(chance.randint(0, 9))} for n in chance.sample("ABCDEF", chance.randint(1, 5))]


def _patch(chance: random.Random) -> dict[str, Any]:
    containers: list[dict[str, Any]] = []
    for name in chance.sample("abcdefgh", chance.randint(1, 5)):
        env = [_directed(one, chance) for one in _env(chance)]
        changes: dict[str, Any] = chance.choice(
            [{"image": "i:2"}, {"env": env}, {"$patch": "delete"}, {"image": None}, {"command": ["x"]}]
        )
        one: dict[str, Any] = {"name": name, **changes}
        if "env" in changes and chance.random() < 0.4:
            one["$setElementOrder/env"] = [{"name": n["name"]} for n in env if "$patch" not in n]
        containers.append(one)
    if chance.random() < 0.1:
        containers.insert(0, {"$patch": "replace"})
    patch: dict[str, Any] = {"spec": {"containers": containers}}
    if chance.random() < 0.4:
        kept = [{"name": one["name"]} for one in containers if "$patch" not in one]
        patch["spec"]["$setElementOrder/containers"] = [*kept, {"name": "z"}]
    return patch


def _directed(item: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    return {"name": item["name"], "$patch": "delete"} if chance.random() < 0.3 else item


def test_so_are_patches_that_nobody_would_write() -> None:
    told, different = packages()[len(ROWS) :], []
    for (template, patch), said in zip(made_up(), told, strict=True):
        if "error" not in said and canonical(merge(template, patch)) != canonical(said["merged"]):
            different.append((template, patch, said))
    assert sum("error" not in said for said in told) > MADE_UP // 2
    assert not different, (len(different), different[0])
