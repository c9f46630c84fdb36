"""Labels of one's own in a whole rollout: on canary pods from their creation, on live pods by a patch, on none afterwards."""

import copy
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.errors import Forbidden
from opsloop.names import CANARY, LIVE_METADATA
from opsloop.shell.ports import PODS, RELEASES, STOPS, Object, Resource
from tests.sim import deaths
from tests.sim.shift import Shift, release_object, runbook_object, seconds
from tests.sim.shop import NS, Shop

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
STEPS = [{"weight": 20, "hold": "3s"}, {"weight": 50, "hold": "3s"}, {"weight": 100}]
CANARY_OWN = {"labels": {"track": "canary"}, "annotations": {"example.com/chaos": "off"}}
LIVE_OWN = {"labels": {"track": "live"}, "annotations": {"example.com/beside": "a canary"}}


class Labelled(Shift):
    """Asserts at every store that only the canary's pods have its labels, each from its creation, that only live pods have
    live's, and that the user's template has none of them."""

    def __init__(self, **own: Any) -> None:
        release = release_object()
        release["spec"].pop("evals")
        metadata = {"canaryMetadata": CANARY_OWN, "liveMetadata": LIVE_OWN}
        release["spec"]["strategy"]["canary"] |= {"steps": STEPS, **metadata, **own}
        super().__init__(shop=Shop(release, runbook_object()))
        self.marked: set[str] = set()
        follow = self.shop.cluster.on_store

        def see(stored: Object) -> None:
            follow(stored)
            meta = stored["metadata"]
            if stored["kind"] == "Pod":
                is_canary = CANARY in meta["labels"]
                assert meta["labels"].get("track") in (("canary",) if is_canary else ("live", "before", None))
                assert not is_canary or meta["annotations"]["example.com/chaos"] == "off"
                self.marked |= {meta["name"]} if meta["labels"].get("track") == "live" else set()
            if stored["kind"] == "Deployment" and meta["name"] == "answers":
                assert "track" not in str(stored["spec"])

        self.shop.cluster.on_store = see

    def live_pods(self) -> list[Object]:
        return [p for p in self.shop.objects("pods") if CANARY not in p["metadata"]["labels"]]

    def tracks(self) -> list[str | None]:
        return [p["metadata"]["labels"].get("track") for p in self.live_pods()]

    def metadata(self) -> dict[str, Any]:
        return {
            p["metadata"]["name"]: (p["metadata"]["labels"], p["metadata"].get("annotations") or {})
            for p in self.live_pods()
        }

    def patches(self) -> Counter[str]:
        """Times that each pod was patched."""
        return Counter(w.name for w in self.shop.cluster.written("json_patch", "pods"))

    def over(self) -> bool:
        return self.quiet() and self.release().status.pod_metadata is None

    def condition(self) -> tuple[str, str]:
        found = conditions.get(self.release().status.conditions, "MetadataFits")
        return (found.status, found.reason) if found else ("", "")


def has_own(shift: Labelled) -> bool:
    """A live pod that somebody has labelled by the same key."""
    stored = shift.shop.cluster.find(PODS, NS, min(shift.metadata()))
    assert stored is not None
    stored["metadata"]["labels"]["track"] = "before"
    shift.shop.cluster.seed(stored)
    return True


async def test_a_rejected_canary_leaves_live_pods_as_they_were_two_writes_for_each() -> None:
    shift = Labelled()
    await shift.adopt()
    has_own(shift)
    before = copy.deepcopy(shift.metadata())
    shift.shop.ship("v3")
    await shift.until("live pods have their labels", lambda: Counter(shift.tracks()) == {"live": 3, "before": 1})
    await shift.until("what one had before is left and named", lambda: shift.condition() == ("False", "KeyInUse"))
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    await shift.until("it is over", shift.over)
    assert shift.metadata() == before
    assert set(shift.patches().values()) == {2} and len(shift.patches()) == 4
    listed = list[Resource]()
    reads = shift.shop.cluster.list

    async def noted(resource: Resource, *more: Any) -> list[Object]:
        listed.append(resource)
        return await reads(resource, *more)

    shift.shop.cluster.list = noted  # type: ignore[assignment, method-assign]
    await seconds(shift, 20)
    assert set(shift.patches().values()) == {2} and PODS not in listed, "at rest no pod is looked at"
    await shift.operator.stop()


async def test_a_promoted_canary_costs_one_write_for_each_pod_and_leaves_nothing() -> None:
    shift = Labelled()
    await shift.adopt()
    shift.shop.ship("v4")
    await shift.until("v4 takes traffic", lambda: shift.release().status.weight.wanted == 20)
    shift.shop.change(replicas=6)
    await shift.until("pods that come up have them as well", lambda: shift.tracks() == ["live"] * 6)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("it is over", shift.over)
    assert len(shift.marked) == 6 and shift.patches() == Counter(shift.marked)
    assert shift.tracks() == [None] * 6 and not shift.shop.cluster.find(PODS, NS, min(shift.marked))
    assert shift.condition() == ("True", "AsWritten")
    await shift.operator.stop()


async def test_an_abort_and_a_deleted_release_leave_none_behind() -> None:
    shift = Labelled()
    await shift.adopt()
    before = copy.deepcopy(shift.metadata())
    for end in ("abort", "delete"):
        shift.shop.ship("v4" if end == "abort" else "v5")
        await shift.until("live pods have their labels", lambda: shift.tracks() == ["live"] * 4)
        if end == "abort":
            shift.shop.annotate(RELEASES, "answers", abort="v4")
            await shift.until("it is over", shift.over)
        else:
            shift.shop.cluster.remove(RELEASES, NS, "answers")
            await shift.until("no pod is marked", lambda: shift.metadata() == before)
        assert shift.metadata() == before
    await shift.operator.stop()


async def test_a_release_that_is_deleted_while_no_operator_runs_leaves_none_behind() -> None:
    shift = Labelled()
    await shift.adopt()
    before = copy.deepcopy(shift.metadata())
    shift.shop.ship("v4")
    await shift.until("live pods have their labels", lambda: shift.tracks() == ["live"] * 4)
    await shift.operator.stop()
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    shift.shop.cluster.changes.clear()
    await shift.until("no pod is marked", lambda: shift.metadata() == before)
    await shift.operator.stop()


async def test_marked_pods_of_a_release_that_nobody_saw_go_are_found_at_the_next_list() -> None:
    shift = Labelled()
    await shift.adopt()
    notes = json.dumps({"release": "gone", "labels": {"team": ["x", None]}, "annotations": {}})
    meta = {"name": "left", "namespace": NS, "labels": {LIVE_METADATA: "true", "team": "x"}}
    shift.shop.cluster.seed(
        {"kind": "Pod", "metadata": {**meta, "annotations": {LIVE_METADATA: notes}}, "spec": stored_pod_spec(shift)}
    )
    await seconds(shift, 5)
    assert shift.metadata()["left"][0]["team"] == "x"
    await shift.operator.operator.resync()
    await shift.until("it is as it was", lambda: shift.metadata()["left"] == ({}, {}))
    await shift.operator.stop()


async def test_a_release_that_is_made_anew_takes_off_what_the_one_before_left_and_nothing_of_others() -> None:
    shift = Labelled()
    await shift.adopt()
    before = copy.deepcopy(shift.metadata())
    shift.shop.ship("v4")
    await shift.until("live pods have their labels", lambda: shift.tracks() == ["live"] * 4)
    stored = shift.release_object()
    fresh = {**stored, "metadata": {"name": "answers", "namespace": NS}}
    notes = json.dumps({"release": "other", "labels": {"team": ["x", None]}, "annotations": {}})
    meta = {"name": "others", "namespace": NS, "labels": {LIVE_METADATA: "true", "team": "x"}}
    others = shift.shop.cluster.seed(
        {"kind": "Pod", "metadata": {**meta, "annotations": {LIVE_METADATA: notes}}, "spec": stored_pod_spec(shift)}
    )
    del fresh["status"]
    fresh["spec"]["version"], fresh["spec"]["images"] = "v1", {"answers": "shop:v1"}
    for word in ("canaryMetadata", "liveMetadata"):  # nor does it ask for any
        del fresh["spec"]["strategy"]["canary"][word]
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    shift.shop.cluster.seed(fresh)
    await shift.until("it is adopted", lambda: bool(shift.release().status.live))
    await shift.until("it is over", shift.over)
    now = shift.metadata()
    assert now.pop("others") == (others["metadata"]["labels"], others["metadata"]["annotations"])
    assert now == before
    await shift.operator.stop()


def stored_pod_spec(shift: Labelled) -> Object:
    spec: Object = shift.live_pods()[0]["spec"]
    return spec


async def test_one_canary_after_the_other_marks_anew_and_other_words_of_the_spec_wait_for_the_next() -> None:
    shift = Labelled()
    await shift.adopt()
    before = copy.deepcopy(shift.metadata())
    shift.shop.ship("v4")
    await shift.until("live pods have their labels", lambda: shift.tracks() == ["live"] * 4)
    stored = shift.release_object()
    stored["spec"]["strategy"]["canary"]["liveMetadata"] = {"labels": {"beside": "v3"}}
    shift.shop.cluster.seed(stored)
    await seconds(shift, 2)
    assert shift.tracks() == ["live"] * 4
    shift.shop.ship("v3")
    await shift.until(
        "live pods have the other one", lambda: all(p[0].get("beside") == "v3" for p in shift.metadata().values())
    )
    assert shift.tracks() == [None] * 4
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    await shift.until("it is over", shift.over)
    assert shift.metadata() == before
    await shift.operator.stop()


async def test_a_stop_marks_none_and_takes_them_off_where_the_canary_is_over() -> None:
    shift = Labelled()
    await shift.adopt()
    stop = {"kind": "Stop", "metadata": {"name": "now", "namespace": NS}, "spec": {"reason": "alice"}}
    shift.shop.ship("v4")
    await shift.until("live pods have their labels", lambda: shift.tracks() == ["live"] * 4)
    shift.shop.cluster.seed(stop)
    shift.shop.change(replicas=5)
    await seconds(shift, 5)
    assert shift.tracks().count("live") == 4
    shift.shop.annotate(RELEASES, "answers", abort="v4")
    await shift.until("it is over", shift.over)
    assert shift.tracks() == [None] * 5
    shift.shop.cluster.remove(STOPS, NS, "now")
    await shift.operator.stop()


async def test_without_the_right_to_patch_pods_the_canary_goes_on_and_it_is_said() -> None:
    shift = Labelled()
    await shift.adopt()
    whole = shift.shop.cluster.json_patch

    async def refused(resource: Resource, namespace: str, name: str, ops: Sequence[Object], **more: Any) -> Object:
        if resource == PODS:
            raise Forbidden('pods "a" is forbidden: no patch')
        return await whole(resource, namespace, name, ops, **more)

    shift.shop.cluster.json_patch = refused  # type: ignore[assignment, method-assign]
    shift.shop.ship("v4")
    await shift.until("it is said", lambda: shift.condition() == ("False", "PodsRefused"))
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("it is over", shift.over)
    assert not shift.marked and LIVE_METADATA not in str(shift.metadata())
    await shift.operator.stop()


async def _played(die_at: int | None, after: bool, version: str) -> Labelled:
    shift = Labelled()
    try:
        await shift.adopt()
        has_own(shift)
        if die_at is not None:
            shift.shop.cluster.die_at(die_at, after=after)
        shift.shop.ship(version)
        end = "Promoted" if version == "v4" else "Rejected"
        await shift.until(f"{version} is {end}", lambda: shift.target() == (version, end))
        await shift.until("it is over", shift.over)
    finally:
        await shift.operator.stop()
    return shift


def _end(shift: Labelled) -> Any:
    own = sorted(str(labels.get("track")) + str(annotations) for labels, annotations in shift.metadata().values())
    return shift.live, shift.target(), own, len(shift.marked)


@pytest.mark.simulation
@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
@pytest.mark.parametrize("version", ["v4", "v3"])
async def test_dying_at_any_write_it_ends_the_same(version: str, after: bool) -> None:
    whole = await _played(None, False, version)
    writes = whole.shop.cluster.writes
    first = next(n for n, w in enumerate(writes, 1) if w.verb == "apply" and w.resource.plural == "deployments")
    for n in deaths.tried(1, len(writes) - first + 3, ["v4", "v3"].index(version) * 2 + after):
        assert _end(await _played(n, after, version)) == _end(whole), f"died at write {n} {after}"
