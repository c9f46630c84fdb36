from typing import Any

import pytest

from opsloop.api.incident import Incident
from opsloop.shell.ports import Object
from opsloop.shell.watch.cache import DELETED_KEPT, Cache, template_manager

TIME = "2026-01-05T09:00:00Z"


def incident(name: str, version: str = "1", uid: str = "", **spec: Any) -> Object:
    signal = {"kind": "alerts", "at": TIME, "severity": "sev3"}
    return {
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": version, "uid": uid or f"uid-{name}"},
        "spec": {"service": "answers", "title": "t", "signal": signal, **spec},
    }


def field(manager: str, time: str, fields: Object, **more: str) -> Object:
    return {"manager": manager, "time": time, "operation": "Update", "fieldsV1": fields, **more}


TEMPLATE: Object = {"f:spec": {"f:template": {"f:spec": {}}}}
REPLICAS: Object = {"f:spec": {"f:replicas": {}}}


@pytest.mark.parametrize(
    ("old", "new", "stored"),
    [
        pytest.param("9", "10", "10", id="a newer version replaces an older one, as numbers and not as text"),
        pytest.param("10", "9", "10", id="an echo from before our own write does not"),
        pytest.param("10", "10", "10", id="the same version once more is no news"),
        pytest.param("a", "b", "b", id="where versions are not numbers the later arrival wins"),
    ],
)
def test_versions(old: str, new: str, stored: str) -> None:
    cache = Cache()
    cache.put("Incident", incident("a", old))
    assert cache.put("Incident", incident("a", new)) is (stored == new != old)
    found = cache.get("Incident", "shop", "a")
    assert found and found["metadata"]["resourceVersion"] == stored


def test_managed_fields_are_not_kept_and_the_given_object_is_not_changed() -> None:
    cache, given = Cache(), incident("a")
    given["metadata"]["managedFields"] = [{}]
    cache.put("Incident", given)
    found = cache.get("Incident", "shop", "a")
    assert found and "managedFields" not in found["metadata"]
    assert given["metadata"]["managedFields"] == [{}]


def test_a_late_event_does_not_restore_a_deleted_object() -> None:
    cache = Cache()
    cache.put("Incident", incident("a", "5"))
    cache.drop("Incident", "shop", "a", "uid-a")
    assert not cache.put("Incident", incident("a", "6"))
    assert cache.put("Incident", incident("a", "7", uid="second"))


def test_a_late_deletion_of_the_predecessor_does_not_drop_its_successor() -> None:
    cache = Cache()
    cache.put("Incident", incident("a", "7", uid="second"))
    cache.drop("Incident", "shop", "a", "first")
    assert cache.get("Incident", "shop", "a")


def test_memory_of_deleted_objects_is_bounded() -> None:
    cache = Cache()
    for n in range(DELETED_KEPT + 1):
        cache.drop("Incident", "shop", str(n), f"uid-{n}")
    assert cache.put("Incident", incident("a", uid="uid-0"))
    assert not cache.put("Incident", incident("b", uid=f"uid-{DELETED_KEPT}"))


def test_prune_drops_objects_cached_before_the_list_and_missing_in_it() -> None:
    cache = Cache()
    for name in ("dead", "live", "reborn"):
        cache.put("Incident", incident(name))
    known = cache.uids("Incident")
    cache.put("Incident", incident("new", "2"))  # a watch brings these two during the LIST
    cache.put("Incident", incident("reborn", "3", uid="second"))
    gone = cache.prune("Incident", {("shop", "live")}, known)
    assert [o["metadata"]["name"] for o in gone] == ["dead"]
    assert [o["metadata"]["name"] for o in cache.list("Incident", "shop")] == ["live", "new", "reborn"]


def test_views_are_models_by_name_and_of_one_namespace() -> None:
    cache, other = Cache(), incident("c")
    other["metadata"]["namespace"] = "billing"
    for item in (incident("b"), incident("a"), other):
        cache.put("Incident", item)
    assert [i.metadata.name for i in cache.incidents("shop")] == ["a", "b"]
    assert [i.key for i in cache.incidents()] == [("billing", "c"), ("shop", "a"), ("shop", "b")]
    assert cache.model(Incident, "shop", "a") is cache.incidents("shop")[0]
    assert cache.model(Incident, "shop", "zzz") is None


def test_a_list_follows_what_is_put_and_dropped() -> None:
    cache = Cache()
    for namespace, name in (("shop", "web"), ("shop", "answers"), ("bank", "ledger")):
        cache.put("Release", {"metadata": {"name": name, "namespace": namespace, "uid": name}})

    def names(namespace: str | None) -> list[str]:
        return [one["metadata"]["name"] for one in cache.list("Release", namespace)]

    assert (names("shop"), names(None), names("park")) == (["answers", "web"], ["ledger", "answers", "web"], [])
    cache.drop("Release", "shop", "web")
    assert (names("shop"), names(None)) == (["answers"], ["ledger", "answers"])
    cache.put("Release", {"metadata": {"name": "swings", "namespace": "park", "uid": "swings"}})
    assert (names("shop"), names(None), names("park")) == (["answers"], ["ledger", "swings", "answers"], ["swings"])


def test_an_unparsable_object_is_skipped_and_reported_once_per_version() -> None:
    reports: list[tuple[str, ...]] = []
    cache = Cache(lambda *report: reports.append(report))
    cache.put("Incident", incident("bad", title=["no text"]))
    cache.put("Incident", incident("good"))
    for _ in range(3):
        assert [i.metadata.name for i in cache.incidents("shop")] == ["good"]
    assert [r[:3] for r in reports] == [("Incident", "shop", "bad")]
    assert reports[0][3].startswith("spec.title: Input should be a valid string")
    cache.put("Incident", incident("bad", "2"))
    assert [i.metadata.name for i in cache.incidents("shop")] == ["bad", "good"]


def test_keys_are_the_four_kinds_and_each_namespace_once() -> None:
    cache = Cache()
    cache.put("Incident", incident("a"))
    cache.put("Incident", incident("b"))
    cache.put("Deployment", {"metadata": {"name": "x", "namespace": "elsewhere"}})
    assert cache.keys() == (("Incident", "shop", "a"), ("Incident", "shop", "b"), ("Namespace", "shop", "shop"))


@pytest.mark.parametrize(
    ("fields", "manager"),
    [
        pytest.param([], "", id="nothing is known"),
        pytest.param([field("helm", TIME, REPLICAS)], "", id="who only scales did not write the template"),
        pytest.param(
            [field("kubectl-set", "2026-01-05T09:00:02Z", TEMPLATE), field("helm", "2026-01-05T09:00:01Z", TEMPLATE)],
            "kubectl-set",
            id="of two the last one counts",
        ),
        pytest.param(
            [field("helm", TIME, TEMPLATE), field("kube-controller-manager", "2026-01-05T10:00:00Z", TEMPLATE)],
            "helm",
            id="the controller manager is not a person's tool",
        ),
        pytest.param(
            [field("helm", TIME, TEMPLATE), field("x", "2026-01-05T10:00:00Z", TEMPLATE, subresource="status")],
            "helm",
            id="a status write is not a change of the template",
        ),
    ],
)
def test_who_last_wrote_the_template(fields: list[Object], manager: str) -> None:
    deployment = {"metadata": {"name": "answers", "namespace": "shop", "managedFields": fields}}
    assert template_manager(deployment).get("name", "") == manager
    cache = Cache()
    cache.put("Deployment", deployment)
    found = cache.get("Deployment", "shop", "answers")
    assert found and found["opsloop"]["templateManager"].get("name", "") == manager


def scalable(replicas: int, version: int, *fields: Object, uid: str = "u") -> Object:
    meta = {"name": "answers", "namespace": "shop", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": {**meta, "managedFields": list(fields)}, "spec": {"replicas": replicas}}


BOTH: Object = {"f:spec": {"f:replicas": {}, "f:template": {}}}
LATER = "2026-01-05T10:00:00Z"


@pytest.mark.parametrize(
    ("seen", "scaled"),
    [
        pytest.param([scalable(4, 1)], {}, id="nothing is known"),
        pytest.param([scalable(4, 1, field("kubectl", TIME, REPLICAS, subresource="scale"))], {"name": "kubectl", "time": TIME}, id="somebody scaled it before this process came"),
        pytest.param([scalable(4, 1, field("helm", TIME, BOTH))], {}, id="who wrote the template with it may have left the number as it was"),
        pytest.param(
            [scalable(4, 1, field("helm", TIME, BOTH)), scalable(2, 2, field("helm", LATER, BOTH))],
            {"from": 4, "to": 2, "name": "helm", "time": LATER}, id="unless it was seen to change",
        ),
        pytest.param(
            [scalable(4, 1), scalable(2, 2, field("hpa", TIME, REPLICAS)), scalable(2, 3, field("hpa", TIME, REPLICAS), field("helm", LATER, TEMPLATE))],
            {"from": 4, "to": 2, "name": "hpa", "time": TIME}, id="a later write of something else leaves it",
        ),
        pytest.param([scalable(4, 1), scalable(2, 2, uid="another")], {}, id="a Deployment that was made anew was not scaled"),
    ],
)  # fmt: skip
def test_who_last_changed_the_number_of_pods(seen: list[Object], scaled: Object) -> None:
    cache = Cache()
    for obj in seen:
        assert cache.put("Deployment", obj)
    found = cache.get("Deployment", "shop", "answers")
    assert found and found["opsloop"]["scaled"] == scaled
