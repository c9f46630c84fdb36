"""Labels and annotations of one's own: what a pod gets, and that it loses all of that and no more."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.pod_metadata import Added, PodMetadataRecord
from opsloop.api.release import Release, ReleaseStatus
from opsloop.core import conditions
from opsloop.core.actions import EnsureCanary, MarkPods
from opsloop.core.facts import LivePod, Refusal, ReleaseFacts
from opsloop.core.release.pod_metadata import CONDITION, MOST_AT_ONCE, PODS_REFUSED, is_marked, patch
from opsloop.core.stop import Stop
from opsloop.names import LIVE_METADATA
from opsloop.shell.reconcile import manifests
from opsloop.simulator.fakes.cluster import json_patch
from tests.builders.objects import T0, at, digest, template
from tests.builders.rollouts import (
    NOW,
    TEMPLATES,
    actions_of,
    canary,
    condition_of,
    dark,
    decide,
    facts,
    release_asking,
    status_after,
    status_with,
    step,
    target,
)

LIVE = {"labels": {"track": "live"}, "annotations": {"example.com/note": "a canary is there"}}
ADDED = Added.model_validate(LIVE)
POD = LivePod("a", "7", {"app": "answers", "pod-template-hash": "x"}, {})


def patched(pod: LivePod, wanted: Added, release: str = "answers") -> LivePod:
    """The pod as it is stored afterwards."""
    meta: dict[str, Any] = {"resourceVersion": pod.version, "labels": dict(pod.labels)}
    meta |= {"annotations": dict(pod.annotations)} if pod.annotations else {}
    operations = [dict(op) for op in patch(pod, wanted, release)]
    stored = json_patch({"metadata": meta}, operations)["metadata"] if operations else meta
    return LivePod(pod.name, pod.version, stored["labels"], stored.get("annotations") or {})


@pytest.mark.parametrize(
    ("labels", "annotations"),
    [
        pytest.param({"app": "a"}, {}, id="a pod without annotations"),
        pytest.param({"app": "a"}, {"x": "y"}, id="a pod with another annotation"),
        pytest.param(
            {"app": "a", "track": "mine"}, {}, id="a pod that has one of the keys from elsewhere, which stays"
        ),
        pytest.param({"app": "a", "track": "live"}, {}, id="a pod that has the very value"),
        pytest.param({}, {}, id="a pod without labels"),
    ],
)
def test_a_pod_gets_them_and_is_afterwards_what_it_was(labels: dict[str, str], annotations: dict[str, str]) -> None:
    pod = LivePod("a", "7", labels, annotations)
    marked = patched(pod, ADDED)
    assert marked.labels == {"track": "live", **labels, LIVE_METADATA: "true"}
    assert {**marked.annotations, LIVE_METADATA: ""} == {**annotations, **LIVE["annotations"], LIVE_METADATA: ""}
    assert patch(marked, ADDED, "answers") == (), "once is enough"
    assert patched(marked, Added()) == pod


def test_a_pod_that_has_all_of_the_keys_from_elsewhere_is_left_alone() -> None:
    pod = LivePod("a", "7", {"app": "a", "track": "mine"}, {"example.com/note": "b"})
    assert patch(pod, ADDED, "answers") == ()


@pytest.mark.parametrize(
    ("labels", "then"),
    [
        pytest.param({"track": "hand"}, {"track": "hand"}, id="a value that somebody wrote meanwhile stays"),
        pytest.param({"track": None}, {}, id="what somebody took off stays off"),
        pytest.param({"new": "one"}, {"new": "one"}, id="what somebody added stays"),
    ],
)
def test_what_people_change_on_a_marked_pod_is_theirs(labels: dict[str, str | None], then: dict[str, str]) -> None:
    marked = patched(POD, ADDED)
    changed = {key: value for key, value in {**marked.labels, **labels}.items() if value is not None}
    by_hand = LivePod("a", "8", changed, marked.annotations)
    assert patch(by_hand, ADDED, "answers") == (), "nobody is fought"
    assert patched(by_hand, Added()).labels == {**POD.labels, **then}


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", '{"labels": 3}', '{"labels": {"track": "live"}}', '{"labels": {"track": ["live", 3]}}',
     '{"labels": {"track": [["live"], null]}}'],
)  # fmt: skip
def test_a_record_that_somebody_has_overwritten_keeps_no_pod_marked(text: str) -> None:
    marked = patched(POD, ADDED)
    broken = LivePod("a", "8", marked.labels, {**marked.annotations, LIVE_METADATA: text})
    left = patched(broken, Added())
    assert not is_marked(left) and all(isinstance(value, str) for value in left.labels.values())


def test_a_patch_is_for_the_pod_as_it_was_seen_and_says_what_was_there() -> None:
    first, *rest = patch(POD, ADDED, "answers")
    assert first == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"} and rest
    noted = json.loads(patched(POD, ADDED).annotations[LIVE_METADATA])
    assert noted == {
        "release": "answers",
        "labels": {"track": ["live", None]},
        "annotations": {"example.com/note": ["a canary is there", None]},
    }


KEYS = st.dictionaries(st.sampled_from(["app", "track", "a.b/c", "a~b", "z"]), st.sampled_from(["", "1", "2"]))


@given(KEYS, KEYS, st.lists(st.tuples(KEYS, KEYS), min_size=1, max_size=4))
def test_whatever_canaries_came_in_between_a_pod_ends_as_it_began(
    labels: dict[str, str], annotations: dict[str, str], canaries: list[tuple[dict[str, str], dict[str, str]]]
) -> None:
    before = pod = LivePod("a", "7", labels, annotations)
    for own in canaries:
        pod = patched(pod, Added(labels=own[0], annotations=own[1]))
        assert (own[0] | labels).items() <= pod.labels.items() and (
            own[1] | annotations
        ).items() <= pod.annotations.items()
    assert patched(pod, Added()) == before


# --- the decision

CANARY_OWN = {"labels": {"track": "canary"}, "annotations": {}}
UNDER_WAY: dict[str, Any] = {"reached_at": at(95), "served": 1}


def asking(**own: Any) -> Release:
    return release_asking(canary={"canaryMetadata": CANARY_OWN, "liveMetadata": LIVE, **own})


def recorded(**more: Any) -> PodMetadataRecord:
    base = {"digest": digest("shop:v4"), "since": at(70), "canary": CANARY_OWN, "live": LIVE, "marked": True}
    return PodMetadataRecord.model_validate({**base, **more})


def running(state: str = "Stepping", known: PodMetadataRecord | None = None, **more: Any) -> ReleaseFacts:
    """A canary whose metadata is recorded, with one live pod that has none of it yet."""
    at_step = UNDER_WAY if state == "Stepping" else {}
    status = status_with(target(state, **at_step), pod_metadata=known or recorded())
    return facts(asking(), status, **{"canary": canary(1, 1), "live_pods": (POD,), **more})


def marks(situation: ReleaseFacts) -> list[MarkPods]:
    return actions_of(situation, MarkPods)


def created(situation: ReleaseFacts) -> EnsureCanary:
    (ensure,) = actions_of(situation, EnsureCanary)
    assert isinstance(ensure, EnsureCanary)
    return ensure


def test_they_are_recorded_before_the_first_pod_of_the_canary_is_created_and_given_to_it() -> None:
    situation = dark(asking())
    assert status_after(situation).pod_metadata == recorded()
    assert created(situation).labels == {"track": "canary"}


@pytest.mark.parametrize(
    ("state", "more", "marked"),
    [
        pytest.param("Dark", {}, ["a"], id="in the dark phase"),
        pytest.param("Stepping", {}, ["a"], id="at a step"),
        pytest.param("Promoting", {}, [], id="not while the Deployment gets the template: its old pods go anyway"),
        pytest.param("Stepping", {"stop": Stop("ops", "now", "alice", T0)}, [], id="not while a Stop stands"),
        pytest.param("Stepping", {"live_pods": None}, [], id="not before they are listed"),
        pytest.param("Stepping", {"live_pods": (patched(POD, ADDED),)}, [], id="not twice"),
    ],
)
def test_when_live_pods_get_them(state: str, more: dict[str, Any], marked: list[str]) -> None:
    found = marks(running(state, **more))
    assert [name for action in found for name, _ in action.patches] == marked
    assert all(action.on for action in found)


def test_a_canary_that_is_over_takes_them_off_and_forgets_them_when_none_is_left() -> None:
    over = target("Rejected", ended_at=at(90), reason="PodsFailing")
    status = status_with(over, pod_metadata=recorded())
    left = facts(asking(), status, live_pods=(patched(POD, ADDED), POD))
    (action,) = marks(left)
    assert not action.on and [name for name, _ in action.patches] == ["a"]
    assert status_after(left).pod_metadata == recorded()
    assert status_after(facts(asking(), status, live_pods=None)).pod_metadata == recorded(), (
        "not before they are listed"
    )
    assert status_after(facts(asking(), status, live_pods=(POD,))).pod_metadata is None


def test_many_pods_are_marked_some_at_a_time() -> None:
    found = marks(running(live_pods=tuple(replace(POD, name=f"p{n}") for n in range(MOST_AT_ONCE + 1))))
    assert [len(action.patches) for action in found] == [MOST_AT_ONCE]


def test_what_the_api_server_refuses_holds_up_no_canary_and_is_said() -> None:
    refusal = Refusal("pods", digest("shop:v4"), "pods are none of yours", at(130))
    situation = running(refusals=(refusal,))
    assert not marks(situation), "not before its time"
    assert condition_of(status_after(situation), CONDITION) == ("False", PODS_REFUSED)
    assert marks(running(refusals=(replace(refusal, again_at=at(99)),)))


@pytest.mark.parametrize(
    ("own", "left_out"),
    [
        pytest.param({"labels": {"app": "x"}}, "label app", id="a label that the template has, by which its Service finds the pods"),
        pytest.param({"labels": {"release": "x"}}, "label release", id="a label that only the new version's template has"),
        pytest.param({"labels": {"zone": "x"}}, "label zone", id="a label that an expression of the selector asks for"),
        pytest.param({"annotations": {"checked": "x"}}, "annotation checked", id="an annotation of the template"),
        pytest.param({"labels": {"track": "x"}}, "", id="a key that nobody has"),
    ],
)  # fmt: skip
def test_a_key_in_use_is_left_out_by_name(own: dict[str, Any], left_out: str) -> None:
    with_more = template("shop:v4", release="two")
    with_more["metadata"]["annotations"] = {"checked": "y"}
    situation = dark(
        asking(canaryMetadata=own, liveMetadata=own), templates={**TEMPLATES, digest("shop:v4"): with_more}
    )
    assert situation.workload is not None
    situation = replace(situation, workload=replace(situation.workload, selector_keys=frozenset({"app", "zone"})))
    told = conditions.get(status_after(situation).conditions, CONDITION)
    assert told is not None and told.status == ("False" if left_out else "True") and left_out in told.message
    ensure, record = created(situation), status_after(situation).pod_metadata
    given = {} if left_out else {"track": "x"}
    assert {**ensure.labels, **ensure.annotations} == given
    assert (record.live.labels if record else {}) == given


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        pytest.param({"track": "stable"}, ("False", "KeyInUse"), id="another value, by which a Service may select it"),
        pytest.param({"track": "live"}, ("True", "AsWritten"), id="the very value"),
        pytest.param(patched(POD, ADDED).labels, ("True", "AsWritten"), id="opsloop's own"),
    ],
)
def test_a_key_that_a_live_pod_has_from_elsewhere_is_left_and_named(
    labels: dict[str, str], told: tuple[str, str]
) -> None:
    annotations = patched(POD, ADDED).annotations if LIVE_METADATA in labels else {}
    situation = running(live_pods=(replace(POD, name="b"), LivePod("c", "8", {**POD.labels, **labels}, annotations)))
    found = conditions.get(status_after(situation).conditions, CONDITION)
    assert found is not None and (found.status, found.reason) == told
    assert ("such as c: label track" in found.message) == (told[0] == "False")


@pytest.mark.parametrize(
    ("started", "given"),
    [
        pytest.param(
            {"retry": "1"}, CANARY_OWN["labels"], id="one that is tried again: the canary that is there is deleted"
        ),
        pytest.param({}, {}, id="one that was there before opsloop knew of labels keeps its pods as they are"),
    ],
)
def test_what_pods_of_a_canary_get_that_is_there_already(started: dict[str, str], given: dict[str, str]) -> None:
    item = release_asking(annotations=started, canary={"canaryMetadata": CANARY_OWN, "liveMetadata": LIVE})
    known = recorded() if started else None
    situation = facts(item, status_with(target("Stepping", **UNDER_WAY), pod_metadata=known), canary=canary(1, 1))
    record = status_after(situation).pod_metadata
    assert record is not None and record.canary.labels == given
    assert (record.since == NOW) == bool(started)


@pytest.mark.parametrize(
    ("found", "record"),
    [
        pytest.param((patched(POD, ADDED),), True, id="whatever the Release asks for"),
        pytest.param((), False, id="unless there are none"),
    ],
)
def test_pods_that_an_earlier_release_of_its_name_left_marked_are_put_back(
    found: tuple[LivePod, ...], record: bool
) -> None:
    adopting = facts(release_asking(), ReleaseStatus(), live_pods=found)
    assert [(action.on, len(action.patches)) for action in marks(adopting)] == ([(False, 1)] if record else [])
    assert (status_after(adopting).pod_metadata is not None) == record


def test_a_list_that_is_put_off_is_looked_at_when_it_is_due() -> None:
    situation = running(live_pods=(patched(POD, ADDED),), live_pods_due=timedelta(milliseconds=300))
    assert decide(situation).look_again == timedelta(milliseconds=300)


def test_who_asks_for_nothing_hears_nothing_and_nothing_is_kept() -> None:
    status = status_after(step())
    assert conditions.get(status.conditions, CONDITION) is None and status.pod_metadata is None
    assert not marks(step())


def test_the_canary_s_pods_carry_them_beside_the_labels_of_the_template() -> None:
    ensure = EnsureCanary(
        "answers", "answers", digest("shop:v4"), template("shop:v4"), 1, (), {"track": "canary"}, {"a": "b"}
    )
    made = manifests.canary_deployment(
        {"metadata": {"name": "answers", "namespace": "shop", "uid": "u"}, "kind": "Release"}, ensure
    )
    meta = made["spec"]["template"]["metadata"]
    assert meta["labels"].items() >= {"app": "answers", "track": "canary"}.items() and meta["annotations"] == {"a": "b"}
