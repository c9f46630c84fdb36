"""Guarded Deployments in fake time, with a Deployment controller that obeys spec.paused: whatever writes a template ships it
by a canary, and what was not canaried never runs."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.names import CANARY
from opsloop.shell.ports import DEPLOYMENTS, RELEASES, REPLICASETS, Object
from tests.builders.objects import V1, V2, V3, V4
from tests.sim import deaths
from tests.sim.shift import Shift, release_object, runbook_object, seconds
from tests.sim.shop import NS, Shop, version_of
from tests.sim.test_admission import complete, pin, rewriting

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


class Guarded(Shift):
    """A shift whose Release guards its Deployment; `ran` are the versions that pods of the Deployment itself ever had."""

    def __init__(self, replicas: int = 4) -> None:
        release = release_object()
        release["spec"] = {k: v for k, v in release["spec"].items() if k not in ("version", "images", "evals")}
        release["spec"]["guard"] = True
        super().__init__(shop=Shop(release, runbook_object()))
        self.ran: set[str] = {"v1"}
        follow = self.shop.cluster.on_store

        def see(stored: Object) -> None:
            follow(stored)
            if stored["kind"] == "Pod" and CANARY not in stored["metadata"]["labels"]:
                self.ran.add(version_of(stored))

        self.shop.cluster.on_store = see

    def deployment(self) -> Object:
        found = self._find(DEPLOYMENTS, "answers")
        assert found is not None
        return found

    @property
    def written(self) -> str:
        """The version that the Deployment's template asks for."""
        return version_of(self.deployment()["spec"]["template"])

    @property
    def paused(self) -> bool:
        return bool(self.deployment()["spec"].get("paused"))

    def pods(self) -> list[str]:
        """Names of the Deployment's own pods."""
        pods = self.shop.objects("pods")
        return sorted(p["metadata"]["name"] for p in pods if p["metadata"]["labels"].get("deployment") == "answers")

    def running(self) -> set[str]:
        pods = self.shop.objects("pods")
        return {version_of(p) for p in pods if p["metadata"]["labels"].get("deployment") == "answers"}

    def guard(self) -> tuple[str, str]:
        found = conditions.get(self.release().status.conditions, "Guarded")
        return (found.status, found.reason) if found else ("", "")

    def patches(self) -> list[Any]:
        """What opsloop wrote to the Deployment: (version, paused), "" where it left the template alone."""
        found = []
        for write in self.shop.cluster.written("json_patch", "deployments"):
            fields = {op["path"]: op["value"] for op in write.body if op["op"] != "test"}
            template = fields.get("/spec/template")
            found.append((version_of(template) if template else "", fields.get("/spec/paused")))
        return found

    async def until_guarded(self) -> None:
        await self.until("it is paused at rest", lambda: self.guard() == ("True", "Guarded") and self.paused)

    def by_others(self, paused: bool) -> None:
        """`kubectl rollout pause` or `resume`."""
        stored = self.deployment()
        stored["spec"]["paused"] = paused
        stored["metadata"]["managedFields"] = [
            {"manager": "kubectl-rollout", "time": "2026-01-01T12:00:00Z", "fieldsV1": {"f:spec": {"f:paused": {}}}}
        ]
        self.shop.cluster.seed(stored)

    def edit(self, **spec: Any) -> None:
        stored = self.release_object()
        stored["spec"] = {k: v for k, v in (stored["spec"] | spec).items() if v is not None}
        self.shop.cluster.seed(stored)


def story(play: Callable[[Guarded], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """A test that starts with v1 adopted, last-good and guarded."""

    async def test() -> None:
        shift = Guarded()
        try:
            await shift.adopt()
            await shift.until_guarded()
            await play(shift)
        finally:
            await shift.operator.stop()

    test.__name__ = play.__name__
    return test


async def rejected(shift: Guarded) -> None:
    shift.shop.set_image("v3", manager="helm")
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    await shift.until("its canary is gone", shift.quiet)


@story
async def test_adoption_pauses_the_deployment_and_moves_no_pod(shift: Guarded) -> None:
    assert shift.patches() == [("", True)] and shift.running() == {"v1"}
    before = len(shift.shop.cluster.writes)
    await seconds(shift, 60)
    assert shift.shop.cluster.writes[before:] == [], "at rest nothing is written"


@story
async def test_a_template_that_anybody_writes_is_canaried_and_then_rolled_out(shift: Guarded) -> None:
    shift.shop.set_image("v4", manager="helm")
    await shift.until("v4 serves as a canary", lambda: bool(shift.shop.open_canaries()))
    assert shift.ran == {"v1"}, "no pod of the Deployment has it before the canary has passed"
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until_guarded()
    assert shift.running() == {"v4"} and shift.release().status.live == V4
    assert shift.patches() == [("", True), ("", False), ("", True)], "the template is left as it was written"


@story
async def test_a_rejected_template_stays_as_it_was_written_and_runs_nowhere(shift: Guarded) -> None:
    before = shift.pods()
    await rejected(shift)
    patches = shift.patches()
    for _ in range(20):  # Argo CD's self-heal, Flux: the template of git, again and again
        shift.shop.set_image("v3", manager="argocd-controller")
        await shift.one_second()
    assert shift.ran == {"v1"} and shift.pods() == before and shift.written == "v3" and shift.paused
    assert shift.patches() == patches, "nothing fights"
    target = shift.release().status.target
    assert (
        target is not None
        and target.digest == V3
        and [r.version for r in shift.release().status.revisions if r.blocked] == ["v3"]
    )


@story
async def test_after_0_replicas_the_first_pod_is_of_live(shift: Guarded) -> None:
    await rejected(shift)
    shift.shop.change(replicas=0)
    await shift.until("no pod is left", lambda: not shift.pods())
    shift.shop.change(replicas=3)
    await shift.until("they are back", lambda: len(shift.pods()) == 3)
    assert shift.ran == {"v1"} and shift.written == "v3"


@story
async def test_an_older_replica_set_of_a_template_that_is_held_back_is_deleted(shift: Guarded) -> None:
    shift.shop.set_image("v4")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until_guarded()
    stored = shift.release_object()
    revisions = stored["status"]["revisions"]
    revisions[0]["blocked"] = {"reason": "RolledBack", "message": "it was bad", "at": "2026-01-01T12:00:00Z"}
    stored["status"]["revisions"] = revisions
    shift.shop.cluster.seed(stored)
    shift.shop.set_image("v1", manager="argocd-controller")
    await seconds(shift, 2)
    shift.shop.change(replicas=0)
    await shift.until("no pod is left", lambda: not shift.pods())
    shift.ran.clear()
    shift.shop.change(replicas=3)
    await shift.until("they are back", lambda: len(shift.pods()) == 3)
    assert shift.ran == {"v4"} and shift.written == "v1" and shift.target() == ("v1", "Refused")


@story
async def test_pods_of_a_revision_that_was_not_canaried_are_answered_at_once(shift: Guarded) -> None:
    await rejected(shift)
    shift.shop.change(replicas=0)
    await shift.until("no pod is left", lambda: not shift.pods())
    for one in shift.shop.objects("replicasets"):  # somebody deletes live's: only the written template's could come
        if one["metadata"]["ownerReferences"][0]["name"] == "answers":
            shift.shop.cluster.remove(REPLICASETS, NS, one["metadata"]["name"])
    shift.shop.change(replicas=3)
    await shift.until("live is started", lambda: len(shift.pods()) == 3)
    await shift.until_guarded()
    assert shift.ran == {"v1"} and shift.written == "v3"


@story
async def test_unguarding_leaves_what_runs_and_ships_nothing_that_was_rejected(shift: Guarded) -> None:
    before = shift.pods()
    await rejected(shift)
    shift.edit(guard=None, version="v1", images={"answers": "shop:v1"})
    await seconds(shift, 5)
    assert (shift.paused, shift.written, shift.pods()) == (False, "v1", before)
    assert shift.guard() == ("False", "Unguarded") and shift.release().status.guard is None
    shift.shop.set_image("v4")
    await shift.until("it rolls out by itself, as before", lambda: shift.running() == {"v4"})


@story
async def test_a_release_that_is_deleted_leaves_what_runs(shift: Guarded) -> None:
    before = shift.pods()
    await rejected(shift)
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    await seconds(shift, 5)
    assert (shift.paused, shift.written, shift.pods()) == (False, "v1", before)


async def test_a_release_that_is_deleted_while_no_operator_runs_leaves_what_runs() -> None:
    shift = Guarded()
    await shift.adopt()
    await shift.until_guarded()
    before = shift.pods()
    await rejected(shift)
    await shift.operator.stop()
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    assert shift.paused
    await seconds(shift, 5)
    assert (shift.paused, shift.written, shift.pods()) == (False, "v1", before)
    await shift.operator.stop()


@story
async def test_unpaused_by_a_person_it_is_their_decision_and_watched_as_any_push(shift: Guarded) -> None:
    shift.shop.set_image("v2")
    shift.by_others(paused=False)
    await shift.until("v2 runs", lambda: "v2" in shift.running())
    await shift.until("an Incident is open", lambda: shift.incident() is not None)
    await shift.until("v1 is back", lambda: shift.running() == {"v1"})
    await shift.until_guarded()
    pushed = next(r for r in shift.release().status.revisions if r.version == "v2")
    assert pushed.shipped_without_canary and pushed.blocked is not None and pushed.digest == V2
    shift.shop.set_image("v2", manager="argocd-controller")
    shift.ran.clear()
    await seconds(shift, 10)
    assert "v2" not in shift.ran and shift.target() == ("v2", "Refused") and shift.release().status.live == V1


@story
async def test_self_heal_in_the_middle_of_a_rollback_is_answered_and_ends(shift: Guarded) -> None:
    """Argo CD writes the bad template back once while it is being rolled back."""
    shift.shop.start_up = 4
    shift.shop.set_image("v2")
    shift.by_others(paused=False)
    await shift.until("v1 is being written back", lambda: ("v1", False) in shift.patches())
    shift.shop.set_image("v2", manager="argocd-controller")
    await shift.until("v1 is back", lambda: shift.running() == {"v1"})
    await shift.until_guarded()
    assert shift.patches().count(("v1", False)) == 2 and shift.written == "v2"
    record = shift.release().status.rollback
    assert record is not None and record.state == "Done"


async def _heals(shift: Guarded, version: str, until: Callable[[], bool], most: int = 120) -> None:
    """A tool writes this version whenever another one has stood for a second, until that is so. In that second Kubernetes
    has seen the other one: its controller is quicker than tools."""
    stood = 0
    for _ in range(most):
        stood = stood + 1 if shift.written != version else 0
        if stood > 1:
            shift.shop.set_image(version, manager="argocd-controller")
        await shift.one_second()
        if until():
            return
    raise AssertionError(f"{shift.guard()}, {shift.running()}, {shift.release().status.guard}")


async def _fought_over(shift: Guarded, start_up: int = 4) -> None:
    """v2 was pushed past the guard and is rolled back, while a tool writes it again and again."""
    shift.shop.start_up = start_up
    shift.shop.set_image("v2")
    shift.by_others(paused=False)
    await shift.until("v1 is being written back", lambda: ("v1", False) in shift.patches())
    await _heals(shift, "v2", lambda: shift.guard()[1] == "RollsOutPaused")


@pytest.mark.parametrize("start_up", [2, 4, 9])
async def test_a_rollback_that_a_tool_keeps_breaking_off_ends_all_the_same(start_up: int) -> None:
    shift = Guarded()
    await shift.adopt()
    await shift.until_guarded()
    await _fought_over(shift, start_up)
    least = 4
    written = len(shift.patches())
    for _ in range(60):
        shift.shop.set_image("v2", manager="argocd-controller")
        await shift.one_second()
        least = min(least, len(shift.shop.in_traffic()))
    assert shift.running() == {"v1"} and len(shift.pods()) == 4, "also no pod without an owner is left"
    assert least >= 3, "not more than the Deployment's strategy allows were missing at any time"
    assert len(shift.patches()) == written and shift.written == "v2" and shift.paused, "nothing fights"
    assert shift.guard() == ("True", "Guarded")
    record, guard = shift.release().status.rollback, shift.release().status.guard
    assert record is not None and record.state == "Done"
    assert guard is not None and (guard.rolling, guard.orphaned, guard.answered) == ("", [], 0)
    shift.ran.clear()
    shift.shop.change(replicas=0)
    await shift.until("no pod is left", lambda: not shift.pods())
    shift.shop.change(replicas=3)
    await shift.until("they are back", lambda: len(shift.pods()) == 3)
    assert shift.ran == {"v1"}
    await shift.operator.stop()


@story
async def test_a_restart_while_a_tool_writes_its_rejected_template_gives_new_pods_of_live(shift: Guarded) -> None:
    await rejected(shift)
    before = set(shift.pods())
    shift.shop.start_up = 3
    shift.shop.annotate(RELEASES, "answers", restart="v1")
    await shift.until("the stamp is written", lambda: ("v1", False) in shift.patches())
    await _heals(shift, "v3", lambda: not before & set(shift.pods()) and shift.guard() == ("True", "Guarded"))
    assert shift.running() == {"v1"} and len(shift.pods()) == 4 and shift.written == "v3"
    stamps = {
        json.dumps(s["spec"]["template"]["metadata"].get("annotations"))
        for s in shift.shop.objects("replicasets")
        if s["spec"]["replicas"]
    }
    assert all("restartedAt" in one for one in stamps)
    await seconds(shift, 20)
    assert shift.running() == {"v1"}


@story
async def test_a_restart_that_kubernetes_never_gets_to_see_is_said_to_have_failed(shift: Guarded) -> None:
    await rejected(shift)
    shift.shop.annotate(RELEASES, "answers", restart="v1")
    for _ in range(90):
        await shift.one_second()
        if shift.written != "v3":
            shift.shop.set_image("v3", manager="argocd-controller")
    command = next(one for one in shift.release().status.commands if one.name == "restart")
    assert command.reason == "WriteRefused" and shift.running() == {"v1"} and len(shift.pods()) == 4
    assert shift.guard() == ("True", "Guarded") and len(shift.patches()) < 10


@story
async def test_a_restart_that_is_broken_off_once_goes_on_with_its_stamp(shift: Guarded) -> None:
    await rejected(shift)
    before = set(shift.pods())
    shift.shop.start_up = 4
    shift.shop.annotate(RELEASES, "answers", restart="v1")
    await shift.until("the stamp is written", lambda: ("v1", False) in shift.patches())
    shift.shop.set_image("v3", manager="argocd-controller")
    await shift.until("all pods are new", lambda: not before & set(shift.pods()) and shift.running() == {"v1"})
    await shift.until_guarded()
    assert shift.written == "v3"


@story
async def test_a_promotion_that_a_tool_keeps_breaking_off_ends_and_its_template_is_canaried_afterwards(
    shift: Guarded,
) -> None:
    shift.shop.start_up = 4
    shift.shop.set_image("v4", manager="helm")
    await shift.until("v4 is rolled out", lambda: "v4" in shift.running(), most=200)
    await _heals(shift, "v3", lambda: shift.target() == ("v3", "Rejected"), most=200)
    assert shift.running() == {"v4"} and shift.release().status.live == V4 and shift.paused


@story
async def test_what_is_finished_while_paused_never_comes_up_and_says_so(shift: Guarded) -> None:
    shift.shop.change(progressDeadlineSeconds=30)
    await seconds(shift, 2)
    await _fought_over(shift)
    shift.shop.sick["v1"] = 99
    await _heals(shift, "v2", lambda: shift.guard()[1] == "ProgressDeadlineExceeded")
    assert {version_of(p) for p in shift.shop.in_traffic()} == {"v2"}, "what serves goes as v1 becomes available"
    assert len(shift.shop.in_traffic()) == 3
    shift.shop.sick.clear()
    await shift.until("v1 is back", lambda: shift.running() == {"v1"})
    await shift.until_guarded()


@story
async def test_the_end_of_the_guard_meanwhile_leaves_no_pod_that_nobody_owns(shift: Guarded) -> None:
    await _fought_over(shift, start_up=9)
    shift.edit(guard=None, version="v1", images={"answers": "shop:v1"})
    await shift.until("v1 alone runs", lambda: shift.running() == {"v1"})
    assert (shift.paused, shift.written, len(shift.pods())) == (False, "v1", 4)


@story
async def test_a_release_that_is_deleted_meanwhile_leaves_no_pod_that_nobody_owns(shift: Guarded) -> None:
    await _fought_over(shift, start_up=9)
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    await shift.until("v1 alone runs", lambda: shift.running() == {"v1"})
    assert (shift.paused, shift.written, len(shift.pods())) == (False, "v1", 4)


@story
async def test_retry_meanwhile_rolls_out_as_before(shift: Guarded) -> None:
    await _fought_over(shift, start_up=9)
    shift.shop.annotate(RELEASES, "answers", retry="1")
    await shift.until("v1 is back", lambda: shift.running() == {"v1"})
    await shift.until_guarded()
    assert len(shift.pods()) == 4


@story
async def test_what_was_undone_comes_back_as_a_canary_when_its_template_is_written_again(shift: Guarded) -> None:
    shift.shop.set_image("v4", manager="helm")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=200)
    await shift.until_guarded()
    shift.shop.annotate(RELEASES, "answers", undo="v4")
    await shift.until("v1 is back", lambda: shift.running() == {"v1"})
    await shift.until_guarded()
    assert shift.written == "v1" and shift.target() == ("v1", "Promoted")
    shift.ran.clear()
    shift.shop.set_image("v4", manager="helm")
    await shift.until("v4 is tried again", lambda: shift.target()[0] == "v4" and bool(shift.shop.open_canaries()))
    assert "v4" not in shift.ran


@story
async def test_a_third_template_in_mid_promotion_is_held_and_canaried_afterwards(shift: Guarded) -> None:
    shift.shop.start_up = 4
    shift.shop.set_image("v4")
    await shift.until("v4 is rolled out", lambda: "v4" in shift.running(), most=200)
    shift.shop.set_image("v3", manager="helm")
    await shift.one_second()
    assert shift.patches()[-2:] == [("", True), ("v4", False)], "answered within a tick, and v4 goes on"
    await seconds(shift, 2)
    assert "v3" not in shift.running(), "what Kubernetes had started of it meanwhile was never ready"
    shift.ran.clear()
    await shift.until("v4 is live", lambda: shift.running() == {"v4"})
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"), most=200)
    assert shift.written == "v3" and "v3" not in shift.ran and shift.release().status.live == V4


@story
async def test_what_somebody_else_paused_is_never_unpaused(shift: Guarded) -> None:
    shift.by_others(paused=False)
    await seconds(shift, 1)
    shift.by_others(paused=True)
    shift.shop.set_image("v4")
    await seconds(shift, 30)
    assert shift.guard() == ("False", "PausedByOthers") and shift.paused and shift.ran == {"v1"}


@story
async def test_who_keeps_unpausing_is_told_and_no_longer_answered(shift: Guarded) -> None:
    for _ in range(4):
        shift.by_others(paused=False)
        await seconds(shift, 5)
    assert shift.guard() == ("False", "GuardContested") and not shift.paused
    written = len(shift.patches())
    await seconds(shift, 30)
    assert len(shift.patches()) == written
    shift.shop.annotate(RELEASES, "answers", retry="1")
    await shift.until_guarded()


async def _played(die_at: int | None, play: Callable[[Guarded], Awaitable[None]]) -> tuple[Guarded, int]:
    shift = Guarded()
    if die_at is not None:
        shift.shop.cluster.die_at(die_at)
    try:
        await play(shift)
    finally:
        await shift.operator.stop()
    return shift, len(shift.shop.cluster.writes)


async def _promoted(shift: Guarded) -> None:
    await shift.until_guarded()
    shift.shop.set_image("v4", manager="helm")
    await shift.until(
        "v4 is live", lambda: shift.running() == {"v4"} and shift.target() == ("v4", "Promoted"), most=200
    )
    await shift.until_guarded()


async def _rejected_and_let_go(shift: Guarded) -> None:
    await shift.until_guarded()
    await rejected(shift)
    shift.edit(guard=None, version="v1", images={"answers": "shop:v1"})
    await shift.until("it is let go", lambda: not shift.paused and shift.written == "v1")
    await seconds(shift, 3)


async def _rolled_back(shift: Guarded) -> None:
    await shift.adopt()
    await shift.until_guarded()
    shift.shop.set_image("v2")
    shift.by_others(paused=False)
    await shift.until("v2 is rolled back", lambda: shift.ran >= {"v2"} and shift.running() == {"v1"}, most=200)
    await shift.until_guarded()
    shift.shop.set_image("v2", manager="argocd-controller")
    await seconds(shift, 3)


async def _fought(shift: Guarded) -> None:
    await shift.adopt()
    await shift.until_guarded()
    shift.shop.start_up = 4
    shift.shop.set_image("v2")
    shift.by_others(paused=False)
    healed = False

    def over() -> bool:
        nonlocal healed
        healed = healed or shift.guard()[1] == "RollsOutPaused"
        return healed and shift.running() == {"v1"} and shift.guard() == ("True", "Guarded")

    await shift.until("v1 is being written back", lambda: ("v1", False) in shift.patches())
    await _heals(shift, "v2", over)
    await seconds(shift, 3)


def _end(shift: Guarded) -> Any:
    status = shift.release().status
    blocked = sorted(r.version for r in status.revisions if r.blocked)
    return shift.running(), shift.ran, status.live, blocked, shift.paused, shift.written


PLAYS: list[Callable[[Guarded], Awaitable[None]]] = [_promoted, _rejected_and_let_go, _rolled_back, _fought]


@pytest.mark.simulation
@pytest.mark.soak
@pytest.mark.parametrize(
    ("play", "ran"),
    [
        pytest.param(_promoted, {"v1", "v4"}, id="a promotion"),
        pytest.param(_rejected_and_let_go, {"v1"}, id="a rejection, and the end of the guard"),
        pytest.param(_rolled_back, {"v1", "v2"}, id="a push past the guard, rolled back, and written again"),
        pytest.param(_fought, {"v1", "v2"}, id="a rollback that a tool keeps breaking off"),
    ],
)
async def test_dying_at_any_write_it_ends_the_same(play: Callable[[Guarded], Awaitable[None]], ran: set[str]) -> None:
    whole, writes = await _played(None, play)
    assert whole.ran == ran
    for n in deaths.tried(1, writes, 2 * PLAYS.index(play)):
        shift, _ = await _played(n, play)
        assert _end(shift) == _end(whole), f"died at write {n}: {shift.shop.cluster.writes[n - 2 : n]}"


@pytest.mark.parametrize(
    "change", [pytest.param(complete, id="it fills in a field"), pytest.param(pin, id="it pins the image")]
)
async def test_what_the_api_server_makes_of_our_own_write_is_no_foreign_template(change: Any) -> None:
    shift = Guarded()
    await shift.adopt()
    await shift.until_guarded()
    shift.shop.set_image("v4", manager="helm")
    await shift.until("v4", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until_guarded()
    shift.shop.cluster.admission = rewriting(change)
    shift.shop.annotate(RELEASES, "answers", undo="v4")
    before = len(shift.patches())
    await seconds(shift, 90)
    record = shift.release().status.rollback
    assert record is not None and record.state == "Done"
    assert shift.patches()[before:] == [("v1", False), ("", True)]
    await shift.operator.stop()
