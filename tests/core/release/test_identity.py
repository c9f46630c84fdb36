"""Which revision a template is of, and what differs between two templates."""

import copy
from typing import Any

import pytest

from opsloop.core.release import identity, revisions
from tests.builders.objects import V1, V2, V4, template
from tests.builders.rollouts import ADOPTED, TRIED, revision

IGNORED = ("example.com/*",)
UNSTABLE = "/metadata/annotations/policy.example.com~1seen"


def seen(number: str, image: str = "shop:v4") -> dict[str, Any]:
    new = template(image)
    new["metadata"]["annotations"] = {"policy.example.com/seen": number}
    return new


def stamped(at: str) -> dict[str, Any]:
    new = template()
    new["metadata"]["annotations"] = {"example.com/at": at}
    return new


FILLED = revision("v4", digest=revisions.digest(identity.without(seen("1"), [UNSTABLE])), left_out=[UNSTABLE])


@pytest.mark.parametrize(
    ("seen_live", "known", "stored", "found"),
    [
        pytest.param(template(), [ADOPTED, TRIED], {}, V1, id="the digest is that of a revision"),
        pytest.param(template("shop:v2"), [ADOPTED, TRIED], {}, None, id="another template is a new one"),
        pytest.param(template("shop:v2"), [ADOPTED, TRIED.model_copy(update={"also": [V2]})], {}, V4, id="a revision was stored as this before"),
        pytest.param(seen("7"), [ADOPTED, FILLED], {}, FILLED.digest, id="only what is filled anew each time differs"),
        pytest.param(seen("7", "shop:v2"), [ADOPTED, FILLED], {}, None, id="but an image differs as well"),
        pytest.param(stamped("7"), [revision("v1", digest=V2)], {V2: stamped("1")}, V2, id="the digest of a revision is older than the rule: its template says so"),
    ],
)  # fmt: skip
def test_the_revision_of_a_template(
    seen_live: Any, known: list[Any], stored: dict[str, Any], found: str | None
) -> None:
    assert identity.identify(seen_live, known, stored, IGNORED) == found


def test_the_digests_of_one_revision_are_bounded_and_the_newest_stay() -> None:
    one = ADOPTED
    for number in range(40):
        one = identity.also_stored_as(one, f"{number:016x}")
    assert len(one.also) == 16 and one.also[-1] == f"{39:016x}"
    assert identity.also_stored_as(one, one.also[3]) is one and identity.also_stored_as(one, one.digest) is one


@pytest.mark.parametrize(
    ("one", "other", "paths"),
    [
        pytest.param({"a": 1}, {"a": 1}, [], id="nothing"),
        pytest.param({"a": {"b/c": 1}}, {"a": {"b/c": 2}}, ["/a/b~1c"], id="a value, with a slash in its name"),
        pytest.param({"a": [1, 2]}, {"a": [1, 3]}, ["/a/1"], id="an element"),
        pytest.param({"a": [1]}, {"a": [1, 2]}, ["/a"], id="the length of a list is the list's"),
        pytest.param({}, {"a": {}, "b": None, "c": []}, [], id="empty is the same as nothing"),
        pytest.param({}, {"a": False}, ["/a"], id="false is not"),
    ],
)
def test_where_two_templates_differ(one: Any, other: Any, paths: list[str]) -> None:
    assert list(identity.differences(one, other)) == paths
    assert list(identity.differences(other, one)) == paths
    assert list(identity.differences(identity.without(one, paths), identity.without(other, paths))) == []


@pytest.mark.parametrize(
    ("paths", "too_much"),
    [
        pytest.param(["/metadata/annotations/a"], False, id="an annotation can be left out"),
        pytest.param(["/spec/containers/0/env/1/value"], False, id="a variable as well"),
        pytest.param(["/spec/containers/0/image"], True, id="an image cannot"),
        pytest.param(["/spec/containers/0/name"], True, id="nor the name of a container"),
        pytest.param(["/spec/containers/0/env/1/name"], False, id="that of a variable can"),
        pytest.param(["/spec/initContainers"], True, id="nor a container that is there only sometimes"),
        pytest.param([f"/metadata/labels/{n}" for n in range(17)], True, id="nor more than can be named"),
    ],
)
def test_what_cannot_be_left_out_of_a_comparison(paths: list[str], too_much: bool) -> None:
    assert identity.too_unstable(paths) == too_much


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("shop:v1", "shop:v1", True, id="itself"),
        pytest.param("shop:v1", "shop@sha256:aa", True, id="its tag resolved"),
        pytest.param("shop:v1", "shop:v1@sha256:aa", True, id="its tag resolved and kept"),
        pytest.param("shop:v1", "mirror.example.com:5000/hub/shop:v1", True, id="from a mirror"),
        pytest.param("shop", "shop:latest", True, id="no tag is latest"),
        pytest.param("shop:v1", "shop:v2", False, id="another tag"),
        pytest.param("shop@sha256:aa", "shop@sha256:bb", False, id="another digest"),
        pytest.param("shop:v1@sha256:aa", "shop:v2@sha256:aa", False, id="two tags of one digest are two labels"),
        pytest.param("shop:v1", "store:v1", False, id="another name"),
    ],
)
def test_images_that_may_be_the_same(one: str, other: str, same: bool) -> None:
    assert identity.may_be_same_images({"a": one}, {"a": other}) == same
    assert identity.may_be_same_images({"a": other}, {"a": one}) == same
    assert not identity.may_be_same_images({"a": one}, {"a": other, "b": one})


def test_a_template_with_more_fields_is_only_completed_one_with_other_values_is_not() -> None:
    more = copy.deepcopy(template())
    more["spec"]["schedulerName"] = "default-scheduler"
    more["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent"
    assert identity.only_completed(template(), more)
    assert not identity.only_completed(more, template()), "something was taken away"
    assert not identity.only_completed(template("shop:v2"), more)
    sidecar = copy.deepcopy(template())
    sidecar["spec"]["containers"].append({"name": "proxy", "image": "proxy:1"})
    assert not identity.only_completed(template(), sidecar), "a container more is no field with a default"


def test_a_person_is_told_paths_and_both_values() -> None:
    text = identity.sentence(template(), template("shop@sha256:aa"))
    assert text == "/spec/containers/0/image: shop:v1 → shop@sha256:aa"
