"""Revisions: what is the same, where a rollback goes, what a target starts from, what is kept."""

import copy
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.revision import Blocked, Revision
from opsloop.core.release import revisions
from tests.builders.objects import T0, V1, V2, V3, V4, at, template

BLOCKED = Blocked(reason="RolledBack", at=at(0))


def revision(
    digest: str, number: int = 1, reason: str = "Adopted", since: datetime | None = T0, **more: Any
) -> Revision:
    base = {"digest": digest, "number": number, "version": f"v{number}", "reason": reason, "first_seen": at(0)}
    return Revision.model_validate({**base, "live_since": since, **more})


def changed(path: str, value: Any) -> dict[str, Any]:
    new = copy.deepcopy(template())
    *parents, last = path.split("/")
    place: Any = new
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    place[last] = value
    return new


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(template(), True, id="the same template"),
        pytest.param(changed("metadata/annotations", {"kubectl.kubernetes.io/restartedAt": "2026"}), True, id="rollout restart is no new revision"),
        pytest.param(changed("metadata/creationTimestamp", None), True, id="nor is a null that a server writes"),
        pytest.param(changed("spec/securityContext", {}), True, id="nor an empty object"),
        pytest.param(changed("spec/volumes", []), True, id="nor an empty list"),
        pytest.param(changed("metadata/annotations", {"a": "b"}), False, id="another annotation is"),
        pytest.param(changed("metadata/annotations", {"cattle.io/timestamp": "2026", "rollme": "x7Fq2"}), True, id="nor Rancher's redeploy, nor a random string"),
        pytest.param(changed("metadata/annotations", {"reloader.stakater.com/last-reloaded-from": "{}"}), True, id="nor a reload that is noted in an annotation"),
        pytest.param(changed("spec/containers/0/env", [{"name": "STAKATER_SHOP_CONFIGMAP", "value": "e3b0"}]), True, id="nor one that is noted in an environment variable"),
        pytest.param(changed("metadata/annotations", {"checksum/config": "e3b0"}), False, id="a checksum is: whoever wrote the chart ships the config with it"),
        pytest.param(changed("metadata/annotations", {"example.com/reloaded-at": "1"}), True, id="an annotation that the Release ignores is none"),
        pytest.param(changed("metadata/labels/build", "7"), False, id="a label is"),
        pytest.param(changed("metadata/labels/example.com", "7"), True, id="unless the Release ignores it"),
        pytest.param(changed("spec/containers/0/env", [{"name": "BUILD_AT", "value": "1"}]), True, id="as with an environment variable"),
        pytest.param(changed("spec/containers/0/image", "shop:v2"), False, id="an image is"),
        pytest.param(changed("spec/containers/0/env", [{"name": "A", "value": "0"}]), False, id="an environment variable is"),
        pytest.param(changed("spec/hostNetwork", False), False, id="an explicit false is not the same as nothing"),
    ],
)  # fmt: skip
def test_which_templates_are_one_revision(other: dict[str, Any], same: bool) -> None:
    ignored = ("example.com/*", "example.com", "BUILD_AT")
    assert (revisions.digest(other, ignored) == revisions.digest(template(), ignored)) == same


def test_the_order_of_keys_does_not_matter_and_the_template_is_not_touched() -> None:
    one = template()
    turned = {key: one[key] for key in reversed(one)}
    before = copy.deepcopy(one)
    assert revisions.digest(turned) == revisions.digest(one)
    assert one == before


def test_images_are_set_on_a_copy_and_unknown_containers_are_named() -> None:
    base = template()
    new, unknown = revisions.with_images(base, {"answers": "shop:v2", "sidecar": "x", "other": "y"})
    assert (revisions.images_of(new), unknown) == ({"answers": "shop:v2"}, ["other", "sidecar"])
    assert base == template()


def test_init_containers_and_native_sidecars_have_images_too() -> None:
    base = template()
    base["spec"]["initContainers"] = [
        {"name": "migrate", "image": "shop:v1"},
        {"name": "proxy", "image": "proxy:v1", "restartPolicy": "Always"},
    ]
    new, unknown = revisions.with_images(base, {"answers": "shop:v2", "migrate": "shop:v2"})
    assert unknown == [] and revisions.images_of(new) == {
        "answers": "shop:v2",
        "migrate": "shop:v2",
        "proxy": "proxy:v1",
    }


@pytest.mark.parametrize(
    ("images", "spec_images", "version"),
    [
        pytest.param({"a": "shop:v2"}, {"a": "shop:v2"}, "LABEL", id="the wanted images have the wanted label"),
        pytest.param({"a": "shop:v3"}, {"a": "shop:v2"}, "v3", id="others are called by their tag"),
        pytest.param({"a": "reg:5000/shop"}, {"a": "x"}, "shop", id="a port of a registry is no tag"),
        pytest.param({"a": "shop@sha256:" + "a" * 64}, {"a": "x"}, "sha256:" + "a" * 17, id="a digest is cut to be read"),
        pytest.param({"a": "shop:v3@sha256:" + "a" * 64}, {"a": "x"}, "v3", id="a tag beside a digest is the one that people know"),
        pytest.param({"a": "shop:v2@sha256:" + "a" * 64}, {"a": "shop:v2"}, "LABEL", id="the wanted image with its digest added"),
        pytest.param({"a": "shop:v2@sha256:" + "a" * 64}, {"a": "shop:v2@sha256:" + "b" * 64}, "v2", id="not with another digest than the wanted one"),
        pytest.param({"b": "shop:v9"}, {"a": "x"}, "v9", id="a container of another name will do"),
        pytest.param({}, {"a": "x"}, "", id="no container has no version"),
    ],
)  # fmt: skip
def test_version_of_a_template(images: dict[str, str], spec_images: dict[str, str], version: str) -> None:
    assert revisions.version_of(images, spec_images, "LABEL") == version


LIVE = revision(V2, 2, "Drifted", at(50), images={"answers": "shop:bad"})


@pytest.mark.parametrize(
    ("others", "target"),
    [
        pytest.param([revision(V1, proven_at=at(20))], (V1, True), id="to the proven last-good"),
        pytest.param([revision(V1)], (V1, False), id="to the adopted one, said as unproven"),
        pytest.param([revision(V1, since=at(0)), revision(V3, 3, "Canaried", at(10))], (V3, False), id="where nothing could be proven, to what was promoted and served longest"),
        pytest.param([revision(V1, since=at(0)), revision(V3, 3, "Canaried", at(45))], (V1, False), id="not to what was promoted a moment before"),
        pytest.param([revision(V1, since=at(0)), revision(V3, 3, "Canaried", at(10), never_ran=True)], (V1, False), id="nor to what never ran"),
        pytest.param([revision(V1, proven_at=at(20)), revision(V3, 3, "Canaried", at(30), proven_at=at(40))], (V3, True), id="to the newest proven one"),
        pytest.param([revision(V1, since=at(45), proven_at=at(20)), revision(V3, 3, "Canaried", at(30), proven_at=at(40))], (V1, True), id="newest is what was live last, not the highest number"),
        pytest.param([revision(V1, proven_at=at(20)), revision(V3, 3, "Canaried", at(30), proven_at=at(40), blocked=BLOCKED)], (V1, True), id="never to a blocked one"),
        pytest.param([revision(V1, blocked=BLOCKED)], None, id="refused where only blocked ones are left"),
        pytest.param([revision(V3, 3, "Canaried", None)], None, id="never to what was never live"),
        pytest.param([revision(V3, 3, "Drifted", at(10))], None, id="never to an unproven change by hand"),
        pytest.param([], None, id="refused where there is nothing else"),
        pytest.param([revision(V1, proven_at=at(20)), revision(V3, 3, since=at(30), proven_at=at(40), images={"answers": "shop:bad"})], (V1, True), id="never to one with the images that it flees from"),
        pytest.param([revision(V3, 3, since=at(30), proven_at=at(40), images={"answers": "shop:bad"})], None, id="refused where only such are left"),
    ],
)  # fmt: skip
def test_target_of_a_rollback(others: list[Revision], target: tuple[str, bool] | None) -> None:
    destination = revisions.rollback_target([*others, LIVE], V2)
    assert (destination and (destination[0].digest, destination[1])) == target


BY_HAND = revision(V2, 2, "Drifted", at(9))


@pytest.mark.parametrize(
    ("known", "live", "base"),
    [
        pytest.param([revision(V1)], V1, V1, id="the adopted template"),
        pytest.param([revision(V1), BY_HAND], V2, V2, id="the last change by hand"),
        pytest.param([revision(V1, since=at(20)), BY_HAND], V1, V1, id="not a change by hand that was taken back"),
        pytest.param([revision(V1), BY_HAND, revision(V4, 4, "Canaried", at(20))], V4, V4, id="a promoted one, with its images taken out again"),
        pytest.param([revision(V1), revision(V2, 2, "Drifted", at(9), blocked=BLOCKED)], V2, V1, id="not a blocked live: what was live last and is not blocked"),
        pytest.param([revision(V2, 2, "Drifted", at(9), blocked=BLOCKED)], V2, V2, id="a blocked live where nothing else was"),
        pytest.param([revision(V4, 4, "Canaried", None)], V1, None, id="nothing where live is not known"),
    ],
)  # fmt: skip
def test_base_of_a_target(known: list[Revision], live: str, base: str | None) -> None:
    start = revisions.base(known, live)
    assert (start.digest if start else None) == base


def pod_of(**images: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": name, "image": image} for name, image in images.items()]}}


def test_a_target_starts_without_the_images_that_opsloop_set_before() -> None:
    adopted = pod_of(app="app:1", proxy="proxy:1")
    promoted, _ = revisions.with_images(adopted, {"app": "app:2", "proxy": "proxy:2"})
    images = revisions.images_of(promoted)
    made = revision(
        V2, 2, "Canaried", images=images, base_images=revisions.base_images(adopted, {"app": "", "proxy": ""})
    )
    base = revisions.without_own_images(promoted, made)
    assert base == adopted, "a container that the spec does not name any more gets its own image again"
    by_hand = {"app": "app:2", "proxy": "proxy:by-hand"}
    assert revisions.kept_base_images(made, by_hand) == {"app": "app:1"}, "but one that somebody set keeps that"


IMAGES = {"answers": "shop:v2"}


@pytest.mark.parametrize(
    ("known", "blocked"),
    [
        pytest.param([revision(V2, 2, images=IMAGES, blocked=BLOCKED)], V2, id="the images of a blocked revision, whatever else changed"),
        pytest.param([revision(V2, 2, images=IMAGES)], None, id="not those of one that is allowed"),
        pytest.param([revision(V2, 2, images={"answers": "shop:v3"}, blocked=BLOCKED)], None, id="not other images"),
        pytest.param([revision(V2, 2, images=IMAGES, blocked=BLOCKED), revision(V3, 3, images=IMAGES, proven_at=at(9))], None, id="not where they proved themselves in another template"),
        pytest.param([revision(V2, 2, images=IMAGES, blocked=BLOCKED, proven_at=at(9))], V2, id="a proof before the block does not count"),
    ],
)  # fmt: skip
def test_images_that_are_blocked(known: list[Revision], blocked: str | None) -> None:
    found = revisions.blocked_images(known, IMAGES)
    assert (found.digest if found else None) == blocked


def test_the_first_reason_of_a_block_stays() -> None:
    again = Blocked(reason="EvalFailed", at=at(9))
    known = revisions.block(revisions.block([revision(V1), revision(V2, 2)], V2, BLOCKED), V2, again)
    assert [r.blocked for r in known] == [None, BLOCKED]


def digest_of(number: int) -> str:
    return f"{number:016x}"


def test_old_revisions_are_forgotten_but_not_what_is_named_or_blocked() -> None:
    known = [revision(digest_of(n), n, blocked=BLOCKED if n in (2, 3) else None) for n in range(1, 31)]
    left = revisions.prune(known, {digest_of(1)}, most=10)
    assert [r.number for r in left] == [1, 2, 3, *range(24, 31)]


def test_blocked_ones_are_bounded_too() -> None:
    known = [revision(digest_of(n), n, blocked=BLOCKED) for n in range(1, 60)]
    left = revisions.prune(known, {digest_of(1)})
    assert len(left) == 40 and left[0].number == 1 and left[-1].number == 59


def lived(number: int, unsafe: bool = False, **more: Any) -> Revision:
    return revision(digest_of(number), number, since=at(number), rollback_unsafe=unsafe, **more)


def test_a_migration_is_remembered_as_long_as_a_revision_before_it_could_be_gone_back_to() -> None:
    """However many came after it: else the rollback to last-good would cross it unseen."""
    known = [lived(1), *(lived(n, unsafe=n == 2) for n in range(2, 60))]
    left = revisions.prune(known, {digest_of(1), digest_of(59)})
    unsafe = revisions.unsafe_between(left, digest_of(59), digest_of(1))
    assert unsafe is not None and unsafe.number == 2 and len(left) == 20
    gone = revisions.prune(known, {digest_of(40), digest_of(59)})
    assert len(gone) == 20 and revisions.unsafe_between(gone, digest_of(59), digest_of(40)) is None


def test_many_migrations_are_bounded_and_the_last_one_is_never_forgotten() -> None:
    known = [lived(1), lived(2, True), *(lived(n, n < 30, blocked=BLOCKED if n > 30 else None) for n in range(3, 100))]
    left = revisions.prune(known, {digest_of(1)})
    assert len(left) == 40 and {1, 29} <= {r.number for r in left}


@given(st.lists(st.booleans(), min_size=2, max_size=70), st.data())
def test_pruning_lets_no_rollback_cross_a_migration_that_it_would_not_have_crossed(
    marks: list[bool], data: Any
) -> None:
    known = [lived(n, unsafe) for n, unsafe in enumerate(marks, start=1)]
    kept = data.draw(st.sets(st.sampled_from(range(1, len(marks) + 1)), max_size=4)) | {len(marks)}
    left = revisions.prune(known, {digest_of(n) for n in kept})
    for to in left:
        before = revisions.unsafe_between(known, digest_of(len(marks)), to.digest)
        after = revisions.unsafe_between(left, digest_of(len(marks)), to.digest)
        assert (before is None) == (after is None)


def test_numbers_only_go_up() -> None:
    assert revisions.next_number([]) == 1
    assert revisions.next_number([revision(V1, 7), revision(V2, 2)]) == 8
