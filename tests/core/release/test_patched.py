"""spec.templatePatch: what is refused of it, what it starts from, and what a block of it means."""

from pathlib import Path
from typing import Any

import pytest

from opsloop.api.release import Release, TemplatePatch
from opsloop.api.revision import Revision
from opsloop.core.facts import AdmissionAnswer
from opsloop.core.release import patched, revisions
from opsloop.core.release.wanted import wanted
from tests.builders import yamls
from tests.builders.objects import V1, V2, V3, V4, at, release, template, workload
from tests.builders.rollouts import ADOPTED, BLOCK, TEMPLATES, TRIED, end_of, facts, release_asking, status_with

MEMORY = {"spec": {"containers": [{"name": "answers", "resources": {"limits": {"memory": "2Gi"}}}]}}
EXAMPLE = yamls.load((Path(__file__).resolve().parents[3] / "docs/examples/release-patch.yaml").read_text())


def containers(*items: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(items)}}


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        pytest.param(MEMORY, "", id="a limit fits"),
        pytest.param(containers({"name": "proxy", "image": "proxy:1"}), "", id="so does another container with its image"),
        pytest.param(containers({"name": "answer"}), "spec.containers: answer has no image; the Deployment has answers", id="a misspelt name would be a new container"),
        pytest.param(containers({"image": "shop:v2"}), "spec.containers[0].name is missing: it says which item is meant", id="a container without its name"),
        pytest.param({"spec": {"containers": {"answers": {}}}}, "spec.containers: an object, where a list of items with name belongs", id="containers by name"),
        pytest.param(containers("answers"), "spec.containers[0]: a single value, where an item with name belongs", id="a list of names"),
        pytest.param(containers({"name": "answers", "env": {"A": "1"}}), "spec.containers[0].env: an object, where a list of items with name belongs", id="variables by name"),
        pytest.param(containers({"name": "answers", "image": 7}), "spec.containers: answers has no image", id="a number as an image"),
        pytest.param(containers({"name": "answers", "$patch": "delete"}), "spec.containers: no container is left", id="the only container deleted"),
        pytest.param({"metadata": {"labels": {"$patch": "merge"}}}, "metadata.labels.$patch: 'merge' is none of replace, delete", id="a directive that there is none of"),
        pytest.param({"metadata": {"labels": ["a"]}}, "metadata.labels: a list, and the template has an object there", id="labels as a list"),
        pytest.param({"spec": {"volumes": [{"name": "a", "$retainKeys": ["name"], "emptyDir": {}}]}}, "", id="a volume of which nothing was there"),
        pytest.param({"metadata": {"annotations": {"a": "b" * 70_000}}}, None, id="a patch that is too long"),
    ],
)  # fmt: skip
def test_what_is_refused_of_a_patch_names_its_field(patch: dict[str, Any], said: str | None) -> None:
    same = template()
    merged, problem = patched.apply(same, patch)
    if said is None:
        assert "70" in problem and "at most 65536 are taken" in problem
    else:
        assert problem == (f"spec.templatePatch.{said}" if said else "")
    assert same == template() and (merged is same) == bool(problem)


def test_the_example_of_the_docs_changes_what_it_names() -> None:
    start = template()
    start["spec"]["containers"][0]["env"] = [{"name": "CACHE", "value": "off"}, {"name": "OLD_CACHE", "value": "1"}]
    (container,) = patched.apply(start, patched.patch_of(Release.model_validate(EXAMPLE).spec))[0]["spec"]["containers"]
    assert container["env"] == [{"name": "CACHE", "value": "on"}]
    assert container["resources"] == {"limits": {"memory": "2Gi"}}


def test_nulls_are_part_of_a_patch() -> None:
    def digest_of(**labels: Any) -> str:
        spec = release().spec.model_copy(update={"template_patch": TemplatePatch(metadata={"labels": labels})})
        return patched.digest_of(spec)

    assert len({digest_of(a=None), digest_of(a="1"), digest_of(b=None)}) == 3
    assert patched.digest_of(release().spec) == ""


def of_patch(digest: str = V4, patch: str = "p1", base: str = V1, **more: Any) -> Revision:
    return TRIED.model_copy(update={"digest": digest, "patch": patch, "base": base, "images": ADOPTED.images, **more})


@pytest.mark.parametrize(
    ("history", "state"),
    [
        pytest.param((ADOPTED, of_patch(blocked=BLOCK)), ("Dark", ""), id="the images of a blocked patch ran well without it: another patch is tried"),
        pytest.param((ADOPTED.model_copy(update={"proven_at": None}), of_patch(blocked=BLOCK)), ("Dark", ""), id="also where they are not proven yet"),
        pytest.param((ADOPTED.model_copy(update={"images": {"answers": "shop:v0"}}), of_patch(blocked=BLOCK)), ("Refused", "Blocked"), id="not where they never ran without a patch"),
    ],
)  # fmt: skip
def test_a_blocked_patch_is_blamed_alone_where_its_images_ran_without_it(
    history: tuple[Revision, ...], state: tuple[str, str]
) -> None:
    asking = release_asking("v9", images={"answers": "shop:v1"}, templatePatch=MEMORY, slo=None)
    new, _ = patched.apply(template("shop:v1"), MEMORY)
    answers = {revisions.digest(new): AdmissionAnswer(template=new)}
    assert end_of(facts(asking, status_with(None, *history), answers=answers)) == state


@pytest.mark.parametrize(
    ("patch", "to"),
    [
        pytest.param("p1", V1, id="harm that came with a patch is gone without it, whatever the images"),
        pytest.param("", None, id="harm that came with a change beside the images is for people"),
    ],
)  # fmt: skip
def test_a_rollback_from_a_patch_goes_to_the_same_images(patch: str, to: str | None) -> None:
    bad = of_patch(patch=patch, live_since=at(50))
    found = revisions.rollback_target([ADOPTED, bad], V4)
    assert (found[0].digest if found else None) == to


def test_what_a_patch_was_merged_into_is_where_the_next_target_starts() -> None:
    live = of_patch(live_since=at(50), base_images={})
    asking = release_asking("v2", templatePatch=None)
    found = wanted(facts(asking, status_with(None, ADOPTED, live, live=V4)), status_with(None, ADOPTED, live, live=V4))
    assert found is not None and (found.digest, found.base, found.problem) == (V2, "", None)


@pytest.mark.parametrize(
    ("history", "templates"),
    [
        pytest.param((of_patch(live_since=at(50)),), TEMPLATES, id="the revision is not listed any more"),
        pytest.param((ADOPTED, of_patch(live_since=at(50))), {V4: TEMPLATES[V4], V3: TEMPLATES[V3]}, id="its template is gone"),
    ],
)  # fmt: skip
def test_a_base_that_is_lost_is_said_with_what_to_do(history: tuple[Revision, ...], templates: Any) -> None:
    situation = facts(
        release_asking("v2"), status_with(None, *history, live=V4), templates=templates, workload=workload("shop:v4")
    )
    assert end_of(situation) == ("Refused", "BaseMissing")
    found = wanted(situation, situation.release.status)
    assert found is not None and found.problem is not None and "kubectl edit deployment/answers" in found.problem[1]
