"""The guard: when a Deployment is paused, unpaused and put right, row by row."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.pod_metadata import PodMetadataRecord
from opsloop.api.records import Guarding
from opsloop.api.release import ReleaseStatus
from opsloop.core.actions import DeleteReplicaSet, EnsureCanary, EnsureRevision, MarkPods, SetPaused, SetTemplate
from opsloop.core.facts import GuardFacts, LivePod, Refusal, ReleaseFacts, SetFacts, WorkloadFacts
from opsloop.core.release import guarding
from opsloop.core.stop import Stop
from opsloop.names import LIVE_METADATA
from tests.builders.objects import V1, V2, V3, V4, at, digest, release, release_spec, template, workload
from tests.builders.rollouts import (
    ADOPTED,
    BAD,
    BLOCK,
    TEMPLATES,
    TRIED,
    actions_of,
    canary,
    condition_of,
    decide,
    facts,
    gates_closed,
    incident_with_rollback,
    record,
    revision,
    status_after,
    status_with,
    target,
)


def guarded(annotations: dict[str, str] | None = None, **spec: Any) -> Any:
    whole = {k: v for k, v in release_spec(guard=True, dependsOn=[]).items() if k not in ("version", "images")}
    meta = {"annotations": {f"opsloop.dev/{k}": v for k, v in (annotations or {}).items()}}
    item = release(dependsOn=[], meta=meta)
    return item.model_copy(update={"spec": type(item.spec).model_validate({**whole, **spec})})


def one_set(version: str = "v1", pods: int = 4, ready: int | None = None, created: int = 0, uid: str = "") -> SetFacts:
    image = f"shop:{version}"
    return SetFacts(
        f"answers-{version}", uid or f"uid-{version}", "7", template(image), digest(image), pods, at(created),
        pods if ready is None else ready,
    )  # fmt: skip


def seen(
    asks: str = "v1", *sets: SetFacts, runs: str = "v1", paused: bool = True, by: str = "opsloop", settled: bool = True,
    replicas: int = 4, asked: Any = None,
) -> WorkloadFacts:  # fmt: skip
    """A Deployment whose template asks for one version while another one runs."""
    image = f"shop:{asks}"
    whole = asked or template(image)
    guard = GuardFacts(
        whole, digest(image), digest(image), paused, by if paused else "", sets or ((one_set(runs),) if paused else ())
    )
    return replace(workload(f"shop:{runs}", settled=settled, replicas=replicas), guard=guard)


def at_rest(**status: Any) -> ReleaseStatus:
    return status_with(target("Promoted", "v1", ended_at=at(1)), *status.pop("known", (ADOPTED,)), **status)


def situation(
    seen_as: WorkloadFacts, status: ReleaseStatus | None = None, item: Any = None, **more: Any
) -> ReleaseFacts:
    return facts(item or guarded(), status or at_rest(), workload=seen_as, **more)


ROLLING_V4 = Guarding(rolling=V4, since=at(90))
TO_V1 = Guarding(rolling=V1, since=at(90))
PROMOTING = target("Promoting", reached_at=at(90))
CONTEST = guarding.LIMIT + 1
STAMPED = template("shop:v1")
STAMPED["metadata"] = {**STAMPED["metadata"], "annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}
RESTARTED = replace(one_set("v1", 0, created=91, uid="uid-restarted"), template=STAMPED, revision=3)
RECREATED = replace(one_set("v1", 4), template=TEMPLATES[V1])


@pytest.mark.parametrize(
    ("given_", "writes", "told"),
    [
        pytest.param(situation(seen(paused=False)), [(True, "", V1)], ("False", "AdoptionWaits"), id="unpaused at rest it is paused, and its template is left alone"),
        pytest.param(situation(seen(paused=False, settled=False)), [], ("False", "AdoptionWaits"), id="not while it rolls out"),
        pytest.param(situation(seen()), [], ("True", "Guarded"), id="paused at rest nothing is written"),
        pytest.param(situation(seen(by="kubectl-rollout")), [], ("False", "PausedByOthers"), id="what somebody else paused is left alone"),
        pytest.param(situation(seen("v4", by="kubectl-rollout", runs="v1"), status_with(PROMOTING)), [], ("False", "PausedByOthers"), id="also where a promotion waits for it"),
        pytest.param(situation(seen("v4"), status_with(PROMOTING)), [(False, "", V4)], ("True", "GuardRollsOut"), id="a promotion unpauses, with the template that stands"),
        pytest.param(situation(seen("v4", runs="v4", paused=False), status_with(PROMOTING, live=V4, guard=ROLLING_V4)), [(True, "", V4)], ("True", "GuardRollsOut"), id="rolled out it is paused in the look that promotes"),
        pytest.param(situation(seen("v4", runs="v4", paused=False, settled=False), status_with(PROMOTING, live=V4, guard=ROLLING_V4)), [], ("True", "GuardRollsOut"), id="not before"),
        pytest.param(situation(seen("v3", runs="v3", paused=False, settled=False), status_with(PROMOTING, live=V4, guard=ROLLING_V4)), [(True, "", V3)], ("True", "GuardRollsOut"), id="another template meanwhile is answered by pausing"),
        pytest.param(situation(seen("v3", one_set("v1", 2), one_set("v4", 2), runs="v4", settled=False), status_with(PROMOTING, live=V4, guard=Guarding(rolling=V4, since=at(90), held=V3, answered=1))), [(False, "v4", V4)], ("True", "GuardRollsOut"), id="then what was under way goes on"),
        pytest.param(situation(seen("v4", runs="v4", paused=False), status_with(PROMOTING, live=V4, guard=Guarding(rolling=V4, since=at(90), held=V3))), [(True, "v3", V3)], ("True", "GuardRollsOut"), id="and theirs is put back by the write that pauses"),
        pytest.param(situation(seen("v3", one_set("v1", 2), one_set("v4", 2), runs="v4", settled=False), status_with(PROMOTING, live=V4, guard=Guarding(rolling=V4, since=at(90), held=V3, answered=CONTEST))), [], ("True", "RollsOutPaused"), id="answered too often it is finished while paused"),
        pytest.param(situation(seen("v3", one_set("v1", 2), one_set("v3", 2), runs="v1", settled=False), status_with(PROMOTING, live=V4, guard=Guarding(rolling=V4, since=at(90), held=V3, answered=CONTEST))), [], ("False", "GuardContested"), id="or contested, where Kubernetes has made no ReplicaSet of it"),
        pytest.param(situation(seen("v4", one_set("v1", 2), one_set("v4", 2), runs="v4", settled=False), status_with(PROMOTING, live=V4, guard=Guarding(rolling=V4, since=at(90), held=V3, answered=CONTEST))), [(False, "", V4)], ("True", "GuardRollsOut"), id="until the other side gives in"),
        pytest.param(situation(seen("v3", one_set("v1", 2), one_set("v4", 2), runs="v4", settled=False), status_with(PROMOTING, live=V4, guard=Guarding(rolling=V4, since=at(90), held=V3, answered=CONTEST)), guarded({"retry": "2"})), [(False, "v4", V4)], ("True", "GuardRollsOut"), id="or a person says retry"),
        pytest.param(situation(seen("v4", one_set("v1", 2), one_set("v3", 2), settled=False), at_rest(known=(ADOPTED, TRIED, revision("v3", "Canaried", blocked=BLOCK)))), [(False, "v1", V1)], ("True", "GuardRollsOut"), id="pods of a rejected revision beside live's are answered at once, also with a canary on its way"),
        pytest.param(situation(seen("v3", one_set("v1", 2), one_set("v4", 2), settled=False), status_with(target("Rejected", ended_at=at(80), reason="ProgressDeadlineExceeded"), ADOPTED, TRIED, revision("v3", "Canaried", blocked=BLOCK))), [(False, "v1", V1)], ("True", "GuardRollsOut"), id="pods of a promotion that hung give way to what serves"),
        pytest.param(situation(seen("v5", one_set("v1", 2), one_set("v4", 2), settled=False), status_with(target("Dark", "v5"), ADOPTED, TRIED, revision("v5", "Canaried"))), [], ("True", "Guarded"), id="or to the canary that is on its way"),
        pytest.param(situation(seen("v3", one_set("v3", 3), runs="v3", replicas=3), at_rest(known=(ADOPTED, revision("v3", "Canaried", blocked=BLOCK)))), [(False, "v1", V1)], ("True", "GuardRollsOut"), id="pods of a rejected revision alone are answered in the same way"),
        pytest.param(situation(seen("v3", one_set("v3", 0), replicas=3), at_rest(known=(ADOPTED, revision("v3", "Canaried", blocked=BLOCK)))), [(False, "v1", V1)], ("True", "GuardRollsOut"), id="no ReplicaSet of live is left to start its pods"),
        pytest.param(situation(seen("v1", asked=STAMPED)), [(False, "", V1)], ("True", "GuardRollsOut"), id="a restart stamp lets live roll out anew"),
        pytest.param(situation(seen("v3", one_set("v1"), RESTARTED), at_rest(known=(ADOPTED, revision("v3", "Canaried", blocked=BLOCK)), guard=Guarding(rolling=V1, since=at(90), held=V3, answered=1))), [(False, "v1", V1)], ("True", "GuardRollsOut"), id="a restart of which Kubernetes took the only new pod back, as another template came, goes on"),
        pytest.param(situation(seen("v1", asked=STAMPED), stop=Stop("shop", "emergency", "halt")), [], ("True", "Stopped"), id="not while opsloop is stopped"),
    ],
)  # fmt: skip
def test_what_is_written_to_a_guarded_deployment(
    given_: ReleaseFacts, writes: list[Any], told: tuple[str, str]
) -> None:
    found = [(a.paused, _version(a.template), a.digest) for a in actions_of(given_, SetPaused)]
    assert found == writes
    assert actions_of(given_, SetTemplate) == [], "a template alone is never written"
    assert condition_of(status_after(given_), "Guarded") == told


def _version(written: Any) -> str:
    return written["spec"]["containers"][0]["image"].partition(":")[2] if written else ""


def test_a_changed_template_becomes_the_target_and_starts_dark() -> None:
    given_ = situation(seen("v4"))
    status = status_after(given_)
    assert status.target is not None and (status.target.digest, status.target.version, status.target.state) == (
        V4,
        "v4",
        "Dark",
    )
    assert status.target.images == {"answers": "shop:v4"} and actions_of(given_, SetPaused) == []
    later = situation(seen("v4"), status_with(target()))
    assert [a.digest for a in actions_of(later, EnsureCanary)] == [V4]


def test_what_stood_for_a_while_is_one_target_and_what_is_put_back_is_none() -> None:
    judged = target("Rejected", ended_at=at(80), reason="AnalysisFailed")
    given_ = situation(seen("v4"), status_with(judged, ADOPTED, revision("v4", "Canaried", blocked=BLOCK)))
    assert status_after(given_).target == judged
    back = status_after(situation(seen("v1"), status_with(judged))).target
    assert back is not None and (back.state, back.reason) == ("Promoted", "SpecBackToLive")


@pytest.mark.parametrize(
    ("given_", "ready", "shipped"),
    [
        pytest.param(situation(seen()), "True", ("True", "Shipped"), id="at rest"),
        pytest.param(situation(seen("v4")), "False", ("False", "Shipping"), id="a template was written just now"),
        pytest.param(situation(seen("v4"), status_with(target("Rejected", ended_at=at(80), reason="AnalysisFailed", message="errs"), ADOPTED, revision("v4", "Canaried", blocked=BLOCK))), "False", ("False", "AnalysisFailed"), id="a rejected one stands"),
    ],
)  # fmt: skip
def test_what_ci_and_flux_wait_for(given_: ReleaseFacts, ready: str, shipped: tuple[str, str]) -> None:
    """kstatus, of a kind that it does not know: Ready=False is in progress, Ready=True is current."""
    status = status_after(given_)
    assert condition_of(status, "Ready")[0] == ready and condition_of(status, "Shipped") == shipped
    rejected = shipped[1] == "AnalysisFailed"
    assert condition_of(status, "Rejected")[0] == str(rejected)


def test_unpaused_by_a_person_it_is_what_they_shipped() -> None:
    status = status_after(situation(seen("v4", runs="v4", paused=False, settled=False)))
    pushed = next(r for r in status.revisions if r.digest == V4)
    assert status.live == V4 and pushed.shipped_without_canary


def test_a_rollback_goes_out_unpaused_and_what_was_held_is_stored_first_and_put_back() -> None:
    bad_live = status_with(target("Cancelled", "v5", ended_at=at(1), reason="x"), ADOPTED, BAD, live=V2)
    given_ = situation(
        seen("v5", runs="v2"),
        bad_live,
        incidents=(incident_with_rollback(),),
        templates={k: v for k, v in TEMPLATES.items() if k != digest("shop:v5")},
    )
    actions = [a for a in decide(given_).actions if isinstance(a, SetPaused | EnsureRevision)]
    assert [type(a) for a in actions] == [EnsureRevision, SetPaused]
    assert (actions[1].paused, actions[1].digest, _version(actions[1].template)) == (False, V1, "v1")  # type: ignore[union-attr]
    guard = status_after(given_).guard
    assert guard is not None and (guard.rolling, guard.held) == (V1, digest("shop:v5"))


@pytest.mark.parametrize("written_back", ["v2", "v5"])
def test_a_rollback_that_is_broken_off_goes_on_from_where_it_is(written_back: str) -> None:
    rolling = status_with(
        None, ADOPTED, BAD, live=V1, rollback=record("Written"), guard=TO_V1.model_copy(update={"answered": 1})
    )
    mixed = seen(written_back, one_set("v1", 1), one_set("v2", 3), settled=False)
    given_ = situation(mixed, rolling, incidents=(incident_with_rollback(),))
    assert [(a.paused, a.digest) for a in actions_of(given_, SetPaused)] == [(False, V1)]
    contested = rolling.model_copy(update={"guard": TO_V1.model_copy(update={"answered": CONTEST})})
    bad_only = seen(written_back, one_set("v2", 4), settled=False)
    after = status_after(situation(bad_only, contested, incidents=(incident_with_rollback(),)))
    assert after.rollback is not None and (after.rollback.state, after.rollback.reason) == ("Failed", "GuardContested")


@pytest.mark.parametrize(
    ("sets", "asks", "gone"),
    [
        pytest.param((one_set("v1", 4, created=0), one_set("v2", 0, created=5)), "v1", ["answers-v2"], id="a newer one would be started first, from 0"),
        pytest.param((one_set("v2", 0, created=0), one_set("v1", 4, created=5)), "v1", [], id="an older one stays, for the time after the guard"),
        pytest.param((one_set("v2", 0, created=0), one_set("v1", 4, created=5)), "v2", ["answers-v2"], id="but not the one of a template that is held back"),
        pytest.param((one_set("v1", 0, created=0), one_set("v2", 0, created=5)), "v1", ["answers-v2"], id="also at 0 replicas"),
        pytest.param((one_set("v2", 0, created=5),), "v1", [], id="none where live has none: nothing is known to start instead"),
    ],
)  # fmt: skip
def test_which_replica_sets_are_deleted(sets: tuple[SetFacts, ...], asks: str, gone: list[str]) -> None:
    guard = seen(asks, *sets).guard
    assert guard is not None
    assert [one.name for one in guarding.in_the_way(guard, V1)] == gone


def test_at_rest_they_are_deleted_as_they_were_observed() -> None:
    given_ = situation(seen("v1", one_set("v1"), one_set("v2", 0, created=5)))
    assert actions_of(given_, DeleteReplicaSet) == [DeleteReplicaSet("answers-v2", "uid-v2", "7")]


@pytest.mark.parametrize(
    ("asks", "put_back"),
    [
        pytest.param("v4", "v1", id="one that was held back is taken off"),
        pytest.param("v1", "", id="live's own is left alone"),
    ],
)
def test_the_end_of_the_guard_moves_nothing(asks: str, put_back: str) -> None:
    item = release(version="v1", dependsOn=[])
    given_ = situation(seen(asks), status_with(target("Dark"), guard=Guarding()), item, canary=canary())
    assert [(a.paused, _version(a.template), a.digest) for a in actions_of(given_, SetPaused)] == [
        (False, put_back, V1)
    ]
    after = status_after(given_)
    assert condition_of(after, "Guarded") == ("False", "Unguarded")
    assert after.target is not None and after.target.state == "Cancelled", "nobody would judge its canary"
    over = status_after(situation(replace(seen(asks), guard=None), after, item))
    assert over.guard is None


def test_the_end_of_the_guard_under_a_stop_takes_the_canary_out_and_unpauses_later() -> None:
    stopped = replace(
        situation(seen("v1"), status_with(target("Stepping"), ADOPTED, TRIED, guard=Guarding()), release(version="v1", dependsOn=[]), canary=canary(1, 1)),
        stop=Stop("shop", "now", "fire"),
    )  # fmt: skip
    assert gates_closed(stopped) == {"c0"} and not actions_of(stopped, SetPaused)
    assert condition_of(status_after(stopped), "Guarded")[1] == "Stopped"


@pytest.mark.parametrize(
    ("stop", "told"),
    [
        pytest.param(None, ["Restored"], id="what is restored is told"),
        pytest.param(Stop("shop", "now", "fire"), [], id="under a Stop nothing is, at no look"),
    ],
)
def test_pods_that_nobody_canaried(stop: Stop | None, told: list[str]) -> None:
    strays = seen("v3", one_set("v3", 3), runs="v3", replicas=3)
    given_ = situation(strays, at_rest(known=(ADOPTED, revision("v3", "Canaried", blocked=BLOCK))), stop=stop)
    assert [e.reason for e in decide(given_).events if e.reason == "Restored"] == told


def test_a_held_template_that_the_api_server_refuses_is_not_in_the_way_of_pausing() -> None:
    status = status_with(PROMOTING, live=V4, guard=Guarding(rolling=V4, since=at(90), held=V3))
    no = (Refusal("template", V3, "denied", at(110)),)
    given_ = situation(seen("v4", runs="v4", paused=False), status, refusals=no)
    assert [(a.paused, a.template) for a in actions_of(given_, SetPaused)] == [(True, None)]


@pytest.mark.parametrize(("resumed", "told"), [(0, "AdoptionWaits"), (1, "AdoptionWaits"), (2, "GuardContested")])
def test_who_unpauses_at_rest_is_answered_at_most_twice_an_hour(resumed: int, told: str) -> None:
    rested = status_after(situation(seen()))
    counted = rested.model_copy(update={"guard": Guarding(resumed=resumed, resumed_at=at(60) if resumed else None)})
    given_ = situation(seen(paused=False), counted)
    after = status_after(given_)
    assert condition_of(after, "Guarded") == ("False", told)
    assert len(actions_of(given_, SetPaused)) == (told == "AdoptionWaits")
    assert after.guard is not None and after.guard.resumed == min(resumed + 1, 2)


versions = st.sampled_from(["v1", "v2", "v3", "v4", "v5"])
sets_ = st.lists(st.builds(one_set, versions, st.integers(0, 3), created=st.integers(0, 9)), max_size=4)
STATES = (None, target("Dark"), PROMOTING, target("Rejected", ended_at=at(80), reason="AnalysisFailed"), target("Rejected", ended_at=at(80), reason="ProgressDeadlineExceeded"))  # fmt: skip


@given(
    asks=versions,
    runs=versions,
    sets=sets_,
    live=st.sampled_from([V1, V2, V4]),
    state=st.sampled_from(STATES),
    rolling=st.sampled_from(["", V1, V2, V4]),
    answered=st.integers(0, CONTEST),
    rolls_back=st.booleans(),
)
def test_nothing_but_live_a_promotion_or_a_rollback_is_ever_unpaused_for(
    asks: str, runs: str, sets: list[SetFacts], live: str, state: Any, rolling: str, answered: int, rolls_back: bool
) -> None:
    guard = Guarding(rolling=rolling, since=at(90) if rolling else None, answered=answered)
    back = {"rollback": record("Written")} if rolls_back else {}
    status = status_with(state, ADOPTED, BAD, TRIED, live=live, guard=guard, **back)
    given_ = situation(seen(asks, *sets, runs=runs), status, incidents=(incident_with_rollback(),))
    after = status_after(given_)
    may = {live, after.live, V4 if state is PROMOTING else live, V1 if rolls_back or after.rollback else live}
    may |= {r.digest for r in after.revisions if r.live_since is not None}
    for write in actions_of(given_, SetPaused):
        assert write.paused or write.digest in may
        assert (
            write.paused
            or (write.template is None) == (write.digest == digest(f"shop:{asks}"))
            or write.digest == digest(f"shop:{asks}")
        )
    assert decide(given_) == decide(given_) and actions_of(given_, SetTemplate) == []


def test_the_guard_writes_before_live_pods_are_patched() -> None:
    marked = LivePod("a", "7", {LIVE_METADATA: "true"}, {LIVE_METADATA: '{"release": "answers"}'})
    left = at_rest(pod_metadata=PodMetadataRecord(since=at(1), marked=True))
    actions = decide(situation(seen(paused=False), left, live_pods=(marked,))).actions
    assert [type(one) for one in actions if isinstance(one, SetPaused | MarkPods)] == [SetPaused, MarkPods]
