"""Changes beside the template: what pods use, who wrote it last, and whether it is to blame."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.cause import Cause
from opsloop.core.facts import ObjectChange, ObjectChanges, ReleaseView
from opsloop.core.incident import cause as causes
from opsloop.core.incident.changes import MOST_OBJECTS, Used, scaling, used_by, writes
from opsloop.core.readings import Readings, SideBySide
from opsloop.core.statistics.evidence import Interval as PairCounts
from opsloop.core.topology import Topology
from tests.builders.objects import V1, V2, at
from tests.core.incident.test_cause import calm, harm, service

ONSET = at(100)
SETTINGS = Used("ConfigMap", "settings")


def container(**more: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "answers", **more}]}}


def volumes(*found: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": [], "volumes": list(found)}}


@pytest.mark.parametrize(
    ("template", "used"),
    [
        pytest.param({}, [], id="a template without a spec uses nothing"),
        pytest.param(volumes({"name": "tmp", "emptyDir": {}}), [], id="an empty directory is no object"),
        pytest.param(volumes({"configMap": {"name": "settings"}}), ["ConfigMap settings"], id="a ConfigMap that is mounted"),
        pytest.param(volumes({"secret": {"secretName": "tls"}}), ["Secret tls"], id="a Secret that is mounted"),
        pytest.param(
            volumes({"projected": {"sources": [{"configMap": {"name": "a"}}, {"secret": {"name": "b"}}, {"serviceAccountToken": {}}]}}),
            ["ConfigMap a", "Secret b"], id="parts of a projected volume",
        ),
        pytest.param(container(envFrom=[{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}]), ["ConfigMap a", "Secret b"], id="an environment from whole objects"),
        pytest.param(
            container(env=[{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "x"}}}, {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "b"}}}, {"name": "Z", "value": "1"}]),
            ["ConfigMap a", "Secret b"], id="single variables",
        ),
        pytest.param({"spec": {"initContainers": [{"envFrom": [{"configMapRef": {"name": "a"}}]}], "containers": []}}, ["ConfigMap a"], id="an init container"),
        pytest.param(container(envFrom=[{"configMapRef": {"name": "a"}}] * 3), ["ConfigMap a"], id="each object once"),
    ],
)  # fmt: skip
def test_what_pods_use(template: dict[str, Any], used: list[str]) -> None:
    assert [u.what for u in used_by(template)] == used


def test_no_more_than_twenty_objects_are_read_and_config_maps_come_first() -> None:
    many = [{"secret": {"secretName": f"s{n:02}"}} for n in range(30)] + [{"configMap": {"name": "settings"}}]
    found = used_by(volumes(*many))
    assert len(found) == MOST_OBJECTS and found[0] == SETTINGS


def entry(manager: str, time: str, *fields: str) -> dict[str, Any]:
    return {"manager": manager, "time": time, "fieldsV1": {field: {} for field in fields or ("f:data",)}}


@pytest.mark.parametrize(
    ("metadata", "written"),
    [
        pytest.param({"managedFields": [entry("helm", "2026-01-05T10:00:00Z"), entry("kubectl-edit", "2026-01-05T10:30:00Z")]}, [("helm", "10:00"), ("kubectl-edit", "10:30")], id="each writer's last write"),
        pytest.param({"managedFields": [entry("helm", "2026-01-05T10:00:00Z"), entry("kubectl-annotate", "2026-01-05T10:30:00Z", "f:metadata")]}, [("helm", "10:00")], id="an annotation changes no content"),
        pytest.param({"managedFields": [entry("helm", "2026-01-05T10:00:00Z"), entry("opsloop", "2026-01-05T10:30:00Z")]}, [("helm", "10:00")], id="what opsloop writes is no suspect"),
        pytest.param({"managedFields": [entry("opsloop", "2026-01-05T10:00:00Z")]}, [], id="nor is an object that only opsloop writes"),
        pytest.param({"creationTimestamp": "2026-01-05T09:00:00Z"}, [("", "09:00")], id="without managedFields, when it was made"),
        pytest.param({}, [], id="an object that says nothing"),
    ],
)  # fmt: skip
def test_who_wrote_it(metadata: dict[str, Any], written: list[tuple[str, str]]) -> None:
    found = writes(SETTINGS, metadata)
    assert [(one.manager, f"{one.at:%H:%M}") for one in found] == written
    assert {one.what for one in found} <= {"ConfigMap settings"}


@pytest.mark.parametrize(
    ("scaled", "what", "fewer"),
    [
        pytest.param({}, "", False, id="nobody scaled it"),
        pytest.param({"from": 4, "to": 2}, "", False, id="when is not known: no suspect"),
        pytest.param({"name": "hpa", "time": "2026-01-05T10:00:00Z", "from": 4, "to": 2}, "Deployment answers scaled from 4 to 2 pods", True, id="fewer pods"),
        pytest.param({"name": "hpa", "time": "2026-01-05T10:00:00Z", "from": 2, "to": 4}, "Deployment answers scaled from 2 to 4 pods", False, id="more pods"),
        pytest.param({"name": "hpa", "time": "2026-01-05T10:00:00Z"}, "Deployment answers scaled", False, id="nobody saw from where to where"),
        pytest.param({"name": "opsloop", "time": "2026-01-05T10:00:00Z", "from": 4, "to": 2}, "", False, id="opsloop itself is no suspect"),
    ],
)  # fmt: skip
def test_scaling(scaled: dict[str, Any], what: str, fewer: bool) -> None:
    found = scaling("answers", scaled)
    assert ("", False) if found is None else (found.what, found.fewer) == (what, fewer)
    assert (found is None) == (what == "")


def config(seconds: float, manager: str = "kubectl-edit") -> ObjectChange:
    return ObjectChange("config", "ConfigMap settings", at(seconds), manager)


def scaled_at(seconds: float, fewer: bool = True) -> ObjectChange:
    return ObjectChange("scaling", "Deployment answers scaled", at(seconds), "kubectl", fewer)


def with_changes(root: ReleaseView, *found: ObjectChange, unseen: tuple[str, ...] = ()) -> ReleaseView:
    return replace(root, objects=ObjectChanges(found, unseen))


def explain(root: ReleaseView) -> Cause:
    return causes.explain(root, Topology((root,)), ONSET)


def both_serve(own: float, other: float) -> Readings:
    seen = harm()
    assert seen.harm is not None
    both = tuple(PairCounts(60 * n, 60 * n + 60, own * 1000, 1000, other * 1000, 1000) for n in range(2))
    return replace(seen, harm=replace(seen.harm, side_by_side=SideBySide(V2, V1, both)))


ALONE = calm("answers", seen=harm())
PUSHED_LONG_AGO = service(since=at(-1100), exposed_since=at(-1095), rolled_out_at=at(-1080), seen=harm())
PUSHED = service(since=at(90), exposed_since=at(92), rolled_out_at=at(110), manager="helm", seen=harm())


@pytest.mark.parametrize(
    ("root", "kind", "reason"),
    [
        pytest.param(with_changes(ALONE, config(40)), "config", "ConfigChanged", id="a ConfigMap was written a minute before: it is blamed"),
        pytest.param(with_changes(PUSHED_LONG_AGO, config(40)), "config", "ConfigChanged", id="not the harmless push of 20 minutes ago"),
        pytest.param(with_changes(ALONE, config(100 - 3700)), "unknown", "NothingChanged", id="what was written over an hour before is no suspect"),
        pytest.param(with_changes(ALONE, config(300)), "unknown", "NothingChanged", id="nor what was written after the harm began"),
        pytest.param(with_changes(ALONE, config(100 - 3000)), "unknown", "NoneOfThese", id="what was written fifty minutes before explains less than what nobody knows"),
        pytest.param(with_changes(PUSHED, config(-3000)), "bad_release", "ChangedJustBefore", id="an old ConfigMap takes nothing from a bad push"),
        pytest.param(with_changes(PUSHED, config(91, "helm")), "bad_release", "ChangedJustBefore", id="one upgrade of one tool wrote both: the revision answers for it"),
        pytest.param(with_changes(replace(PUSHED, readings=both_serve(0.8, 0.0)), config(40)), "bad_release", "VersionIsBad", id="only the new revision is harmed: not what both use"),
        pytest.param(with_changes(replace(PUSHED, readings=both_serve(0.8, 0.8)), config(40)), "config", "ConfigChanged", id="both revisions are harmed alike: what both use"),
        pytest.param(with_changes(ALONE, config(40), config(400, "helm")), "config", "ConfigChanged", id="a later write that was to mend it hides nothing"),
        pytest.param(with_changes(ALONE, scaled_at(60)), "scaling", "Scaled", id="pods were taken away shortly before"),
        pytest.param(with_changes(ALONE, scaled_at(60, fewer=False)), "unknown", "NoneOfThese", id="pods were added: less likely than what nobody knows"),
        pytest.param(with_changes(ALONE, scaled_at(60), config(60)), "config", "ConfigChanged", id="of both at once rather the configuration"),
    ],
)  # fmt: skip
def test_blamed_object(root: ReleaseView, kind: str, reason: str) -> None:
    cause = explain(root)
    assert (cause.kind, cause.reason) == (kind, reason), cause.evidence
    assert (cause.object != "") == (kind in ("config", "scaling"))


def test_the_cause_names_the_object_its_writer_and_the_time() -> None:
    cause = explain(with_changes(ALONE, config(40)))
    assert (cause.object, cause.manager, cause.changed_at) == ("ConfigMap settings", "kubectl-edit", at(40))
    assert cause.release == "answers" and cause.revision == cause.version == ""


@pytest.mark.parametrize(
    "push",
    [
        pytest.param(PUSHED, id="a rollout that was watched"),
        pytest.param(service(since=at(90), manager="helm", seen=harm()), id="a rollout that nobody watched"),
    ],
)
@pytest.mark.parametrize("manager", ["kubectl-edit", ""])
def test_a_config_map_of_another_writer_takes_its_share_from_a_push_of_the_same_minute(
    push: ReleaseView, manager: str
) -> None:
    """Undoing the revision would not undo the ConfigMap."""
    cause, alone = explain(with_changes(push, config(85, manager))), explain(push)
    assert cause.confidence < 0.8 < alone.confidence
    assert "ConfigMap settings" in causes.ranking(cause)


def test_what_one_tool_wrote_at_once_is_one_change_and_the_rest_of_it_is_said() -> None:
    cause, alone = explain(with_changes(PUSHED, config(60, "helm"))), explain(PUSHED)
    assert cause.confidence == alone.confidence > 0.8
    assert any(e.name == "written with it" and "ConfigMap settings" in e.value for e in cause.evidence)


@pytest.mark.parametrize("root", [pytest.param(PUSHED, id="a push"), pytest.param(ALONE, id="nothing")])
def test_what_cannot_be_seen_is_said_in_the_ranking_and_changes_no_share(root: ReleaseView) -> None:
    unseen = "Secret tls cannot be seen: opsloop may not read it"
    cause, seeing = explain(with_changes(root, unseen=(unseen,))), explain(root)
    assert unseen in causes.ranking(cause)
    assert (cause.kind, cause.confidence) == (seeing.kind, seeing.confidence)
