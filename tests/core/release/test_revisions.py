"""Revisions: what is the same, where a rollback goes, what a target starts from, what is kept."""

import copy
from datetime import datetime
from typing import Any

import pytest

from opsloop.api.release import Blocked, Revision
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
        pytest.param(changed("metadata/annotations", {revisions.RESTARTED_AT: "2026"}), True, id="rollout restart is no new revision"),
        pytest.param(changed("metadata/creationTimestamp", None), True, id="nor is a null that a server writes"),
        pytest.param(changed("spec/securityContext", {}), True, id="nor an empty object"),
        pytest.param(changed("spec/volumes", []), True, id="nor an empty list"),
        pytest.param(changed("metadata/annotations", {"a": "b"}), False, id="another annotation is"),
        pytest.param(changed("spec/containers/0/image", "shop:v2"), False, id="an image is"),
        pytest.param(changed("spec/containers/0/env", [{"name": "A", "value": "0"}]), False, id="an environment variable is"),
        pytest.param(changed("spec/hostNetwork", False), False, id="an explicit false is not the same as nothing"),
    ],
)  # fmt: skip
def test_which_templates_are_one_revision(other: dict[str, Any], same: bool) -> None:
    assert (revisions.digest(other) == revisions.digest(template())) == same


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


@pytest.mark.parametrize(
    ("images", "spec_images", "version"),
    [
        pytest.param({"a": "shop:v2"}, {"a": "shop:v2"}, "LABEL", id="the wanted images have the wanted label"),
        pytest.param({"a": "shop:v3"}, {"a": "shop:v2"}, "v3", id="others are called by their tag"),
        pytest.param({"a": "reg:5000/shop"}, {"a": "x"}, "shop", id="a port of a registry is no tag"),
        pytest.param({"a": "shop@sha256:" + "a" * 64}, {"a": "x"}, "sha256:" + "a" * 17, id="a digest is cut to be read"),
        pytest.param({"b": "shop:v9"}, {"a": "x"}, "v9", id="a container of another name will do"),
        pytest.param({}, {"a": "x"}, "", id="no container has no version"),
    ],
)  # fmt: skip
def test_version_of_a_template(images: dict[str, str], spec_images: dict[str, str], version: str) -> None:
    assert revisions.version_of(images, spec_images, "LABEL") == version


LIVE = revision(V2, 2, "Drifted", at(50))


@pytest.mark.parametrize(
    ("others", "target"),
    [
        pytest.param([revision(V1, proven_at=at(20))], (V1, True), id="to the proven last-good"),
        pytest.param([revision(V1)], (V1, False), id="to the adopted one, said as unproven"),
        pytest.param([revision(V1, proven_at=at(20)), revision(V3, 3, "Canaried", at(30), proven_at=at(40))], (V3, True), id="to the newest proven one"),
        pytest.param([revision(V1, since=at(45), proven_at=at(20)), revision(V3, 3, "Canaried", at(30), proven_at=at(40))], (V1, True), id="newest is what was live last, not the highest number"),
        pytest.param([revision(V1, proven_at=at(20)), revision(V3, 3, "Canaried", at(30), proven_at=at(40), blocked=BLOCKED)], (V1, True), id="never to a blocked one"),
        pytest.param([revision(V1, blocked=BLOCKED)], None, id="refused where only blocked ones are left"),
        pytest.param([revision(V3, 3, "Canaried", None)], None, id="never to what was never live"),
        pytest.param([revision(V3, 3, "Drifted", at(10))], None, id="never to an unproven change by hand"),
        pytest.param([], None, id="refused where there is nothing else"),
    ],
)  # fmt: skip
def test_target_of_a_rollback(others: list[Revision], target: tuple[str, bool] | None) -> None:
    destination = revisions.rollback_target([*others, LIVE], V2)
    assert (destination and (destination[0].digest, destination[1])) == target


@pytest.mark.parametrize(
    ("known", "base"),
    [
        pytest.param([revision(V1)], V1, id="the adopted template"),
        pytest.param([revision(V1), revision(V2, 2, "Drifted", at(9))], V2, id="the last change by hand"),
        pytest.param([revision(V1), revision(V2, 2, "Drifted", at(9), blocked=BLOCKED)], V1, id="not a blocked change by hand"),
        pytest.param([revision(V1), revision(V4, 4, "Canaried", at(9))], V1, id="never a promoted one: a dropped patch would stay"),
        pytest.param([revision(V4, 4, "Canaried")], None, id="nothing where nothing was adopted"),
    ],
)  # fmt: skip
def test_base_of_a_target(known: list[Revision], base: str | None) -> None:
    start = revisions.base(known)
    assert (start.digest if start else None) == base


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


def test_numbers_only_go_up() -> None:
    assert revisions.next_number([]) == 1
    assert revisions.next_number([revision(V1, 7), revision(V2, 2)]) == 8
