"""Laws of what is the same revision, on any templates: stamps, spellings, differences."""

import copy
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from opsloop.core.release import identity, revisions, stamps
from tests.builders.rollouts import revision

NAMES = st.sampled_from(["a", "b", "team/x", "x~y"])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["", "1", "ü", "a && b"]))
VALUES = st.recursive(
    LEAVES, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(NAMES, v, max_size=3)), max_leaves=8
)
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from(["app", "proxy"]), "image": st.sampled_from(["shop:v1", "shop:v2"])}, optional={"args": VALUES}),
    min_size=1,
    max_size=2,
    unique_by=lambda c: c["name"],
)  # fmt: skip
TEMPLATES = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({}, optional={"annotations": st.dictionaries(NAMES, st.text(max_size=3), max_size=3)}),
        "spec": st.fixed_dictionaries({"containers": CONTAINERS}, optional={"volumes": VALUES, "extra": VALUES}),
    }
)  # fmt: skip


@given(TEMPLATES, st.sets(st.sampled_from(stamps.ANNOTATIONS)), st.booleans())
def test_stamps_never_make_a_new_revision(template: dict[str, Any], names: set[str], reloaded: bool) -> None:
    stamped = copy.deepcopy(template)
    annotations = stamped["metadata"].setdefault("annotations", {})
    annotations.update(dict.fromkeys(names, "now"))
    if reloaded:
        stamped["spec"]["containers"][0]["env"] = [{"name": "STAKATER_A_SECRET", "value": "1"}]
    assert revisions.digest(stamped) == revisions.digest(template)
    assert identity.identify(stamped, [revision(digest=revisions.digest(template))], {}) == revisions.digest(template)


def spec(**fields: Any) -> dict[str, Any]:
    return {"metadata": {}, "spec": {"containers": [{"name": "app", "image": "shop:v1"}], **fields}}


@given(TEMPLATES, TEMPLATES)
@example(spec(volumes=[None]), spec(volumes=[[]]))
@example(spec(volumes={"a": None}), spec())
@example(spec(extra=True), spec(extra=1))
def test_two_templates_have_one_digest_exactly_where_nothing_differs(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    paths = list(identity.differences(one, other))
    assert (paths == []) == (revisions.digest(one) == revisions.digest(other))
    assert paths == list(identity.differences(other, one))
    left = [revisions.digest(identity.without(t, paths)) for t in (one, other)]
    assert left[0] == left[1], "without what differs they are one"


@given(TEMPLATES, TEMPLATES)
def test_another_image_is_never_a_spelling_of_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """No path that may be left out hides an image."""
    paths = list(identity.differences(one, other))
    if revisions.images_of(one) != revisions.images_of(other):
        assert identity.too_unstable(paths) or identity.images_of_both_may_be_same(one, other)
    if identity.only_completed(one, other):
        assert revisions.images_of(one) == revisions.images_of(other)
