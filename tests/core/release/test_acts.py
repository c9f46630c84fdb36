"""Orders of people on a Release: promote, abort, undo, restart. Each is obeyed once, or says why not."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.meta import format_time
from opsloop.api.records import Command
from opsloop.api.release import ReleaseStatus
from opsloop.core.actions import DeleteCanary, SetTemplate
from opsloop.core.facts import Refusal, RolloutState
from opsloop.core.release.commands import OBEYED, order
from opsloop.core.release.restart import RESTARTING, WRITTEN_WITHIN
from opsloop.core.release.stamps import RESTARTED_AT
from opsloop.core.stop import Stop
from tests.builders.objects import V1, V2, V4, at, digest, workload
from tests.builders.rollouts import (
    ADOPTED,
    BAD,
    BLOCK,
    HOLD,
    NOW,
    TEMPLATES,
    TRIED,
    actions_of,
    analysed,
    bad_live,
    canary,
    condition_of,
    dark,
    decide,
    end_of,
    facts,
    gates_closed,
    gates_opened,
    incident_with_rollback,
    record,
    release_asking,
    result,
    revision,
    status_after,
    status_with,
    step,
    target,
)

STOP = Stop("shop", "now", "alice: fire")
LONG = [{"weight": 20, "hold": "1h"}, {"weight": 50, "hold": "1h"}, {"weight": 100, "approve": True}]


def answer_of(status: ReleaseStatus, name: str) -> tuple[str, str]:
    """Reason and message of the command."""
    return next(((c.reason, c.message) for c in status.commands if c.name == name), ("", ""))


def promoting(value: str, state: str = "Stepping", item: dict[str, Any] | None = None, **more: Any) -> Any:
    """v4 at 20 % with an hour left to hold, or dark; a person orders it on."""
    asked = release_asking(annotations={"promote": value}, **{"steps": LONG, **(item or {})})
    if state == "Dark":
        return facts(asked, status_with(target()), **{"canary": canary(1), **more})
    return step(asked, **more)


@pytest.mark.parametrize(
    ("situation", "state", "weight"),
    [
        pytest.param(promoting("v4"), "Stepping", 50, id="the version alone is for the next step, whose hold is not waited for"),
        pytest.param(promoting("v4/50"), "Stepping", 50, id="it names the next step"),
        pytest.param(promoting("v4/100"), "Promoting", 100, id="it names the last one: all steps and the approval are skipped"),
        pytest.param(promoting("v4/100", "Dark"), "Promoting", 100, id="out of the dark, straight to live"),
        pytest.param(promoting(f"{V4}/100"), "Promoting", 100, id="a digest in place of the version"),
        pytest.param(promoting("v4/100 #2026-11-27 by alice"), "Promoting", 100, id="with a remark"),
        pytest.param(promoting("v4", readings=analysed(None)), "Stepping", 50, id="the SLI of the canary is silent: a person has looked"),
        pytest.param(promoting("v4", readings=analysed(0.0, total=4)), "Stepping", 50, id="too few events: a person has looked"),
        pytest.param(promoting("v3"), "Stepping", 20, id="another version"),
        pytest.param(promoting("v4/20"), "Stepping", 20, id="the step that is reached"),
        pytest.param(promoting("v4/70"), "Stepping", 20, id="a weight that no step has"),
        pytest.param(promoting("v4/100", stop=STOP), "Stepping", 20, id="an emergency stop stands"),
        pytest.param(promoting("v4/100", item={"paused": True}), "Stepping", 20, id="the Release is paused"),
        pytest.param(promoting("v4/100", readings=analysed(0.9)), "Rejected", 0, id="the canary is surely worse: it is rejected all the same"),
        pytest.param(promoting("v4/100", canary=canary(0)), "Stepping", 20, id="its pods are not ready yet"),
    ],
)  # fmt: skip
def test_a_promotion_by_order(situation: Any, state: str, weight: int) -> None:
    after = status_after(situation).target
    assert after is not None and (after.state, after.weight) == (state, weight)


def test_a_promotion_by_order_waits_for_eval_cases_and_is_rejected_by_one_that_fails() -> None:
    from opsloop.core.facts import EvalOutcome
    from tests.builders.objects import evalcase

    asked = {"steps": LONG, "evals": {"port": 8080}}
    situation = promoting("v4/100", item=asked, cases=(evalcase(),))
    assert end_of(situation)[0] == "Stepping" and condition_of(status_after(situation), "Held")[1] == "WaitingForEvals"
    failed = replace(situation, eval_outcome=EvalOutcome(V4, 0, (result(0),)))
    assert end_of(failed) == ("Rejected", "EvalFailed")


def test_the_order_is_obeyed_once_and_stands_for_this_try_only() -> None:
    spent = Command(name="promote", value="v4/100", digest=V4, weight=100, reason=OBEYED, at=at(60))
    item = release_asking(annotations={"promote": "v4/100"}, steps=LONG)
    earlier = facts(item, status_with(target("Stepping", reached_at=at(80)), commands=[spent]), canary=canary(1, 1))
    assert end_of(earlier)[0] == "Stepping"  # this try began at second 70
    fresh = spent.model_copy(update={"at": at(75)})
    now = facts(item, status_with(target("Stepping", reached_at=at(80)), commands=[fresh]), canary=canary(1, 1))
    assert end_of(now)[0] == "Promoting"


def test_an_order_to_a_reached_weight_skips_no_later_wait() -> None:
    given = Command(name="promote", value="v4/50", digest=V4, weight=50, reason=OBEYED, at=at(80))
    item = release_asking(annotations={"promote": "v4/50"}, steps=LONG)
    at_50 = target("Stepping", weight=50, pods=4, step=1, reached_at=at(90))
    assert end_of(facts(item, status_with(at_50, commands=[given]), canary=canary(4, 4))) == end_of(
        facts(release_asking(steps=LONG), status_with(at_50), canary=canary(4, 4))
    )


def test_promote_reopens_gates_after_a_second_loss() -> None:
    lost = {"lost": 2, "reached_at": None, "served": 0}
    held = step(release_asking(steps=LONG), canary=canary(1, 0), target=lost)
    assert condition_of(status_after(held), "Held") == ("True", "WeightLower") and gates_opened(held) == set()
    ordered = promoting("v4", canary=canary(1, 0), target=lost)
    assert gates_opened(ordered) == {"c0"}


# --- abort


def aborting(value: str = "v4", state: str = "Stepping", **more: Any) -> Any:
    item = release_asking(annotations={"abort": value}, steps=HOLD)
    return facts(item, status_with(target(state, reached_at=at(80))), **{"canary": canary(1, 1), **more})


def test_abort_closes_the_gates_first_and_ends_the_canary_without_a_block() -> None:
    situation = aborting()
    after = status_after(situation)
    assert end_of(situation) == ("Cancelled", "Aborted") and gates_closed(situation) == {"c0"}
    assert actions_of(situation, DeleteCanary) and all(r.blocked is None for r in after.revisions)
    assert answer_of(after, "abort")[0] == OBEYED and "retry" in answer_of(after, "abort")[1]
    assert condition_of(after, "Rejected") == ("True", "Aborted") and condition_of(after, "Progressing")[0] == "False"


@pytest.mark.parametrize(
    ("situation", "reason"),
    [
        pytest.param(aborting("v3"), "NothingToAbort", id="another version"),
        pytest.param(aborting(state="Rejected"), "NothingToAbort", id="the canary is over"),
        pytest.param(aborting(state="Promoting", workload=replace(workload("shop:v4"), settled=False)), "TemplateWritten", id="the Deployment has its template: undo is the way"),
    ],
)  # fmt: skip
def test_an_abort_that_is_refused_says_why(situation: Any, reason: str) -> None:
    before, after = situation.release.status.target, status_after(situation).target
    assert answer_of(status_after(situation), "abort")[0] == reason
    assert before is not None and after is not None and after.state == before.state


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(aborting(stop=STOP), id="while a stop stands"),
        pytest.param(aborting(state="Promoting"), id="a promotion that is not written yet"),
        pytest.param(aborting(V4), id="by digest"),
    ],
)
def test_abort_lowers_also(situation: Any) -> None:
    assert end_of(situation) == ("Cancelled", "Aborted")


def test_an_aborted_target_starts_again_on_retry_only() -> None:
    over = target("Cancelled", reason="Aborted", ended_at=at(90))
    assert end_of(facts(release_asking(), status_with(over))) == ("Cancelled", "Aborted")
    assert end_of(facts(release_asking(annotations={"retry": "2"}), status_with(over)))[0] == "Dark"


# --- undo

V3 = digest("shop:v3")
THIRD = revision("v3", "Canaried", live_since=at(30), proven_at=at(40))
LIVE_V4 = revision("v4", "Canaried", live_since=at(60))


def undoing(value: str = "v4", *known: Any, **more: Any) -> Any:
    """v4 is live since second 60, promoted by the spec; v3 was proven before, v1 adopted, v2 is blocked."""
    history = known or (ADOPTED, BAD.model_copy(update={"blocked": BLOCK}), THIRD, LIVE_V4)
    status = status_with(target("Promoted", ended_at=at(65)), *history, live=V4, **more.pop("status", {}))
    item = release_asking(annotations={"undo": value})
    return facts(item, status, **{"workload": workload("shop:v4"), **more})


def test_undo_goes_back_to_last_good_at_once_and_blocks_nothing() -> None:
    situation = undoing()
    after = status_after(situation)
    assert after.rollback is not None
    assert (after.rollback.incident, after.rollback.from_digest, after.rollback.to_digest) == ("", V4, V3)
    assert [(a.expect, a.digest) for a in actions_of(situation, SetTemplate)] == [(V4, V3)]
    assert next(r for r in after.revisions if r.digest == V4).blocked is None
    reason, message = answer_of(after, "undo")
    assert reason == OBEYED and "v3" in message and "which is proven" in message


@pytest.mark.parametrize(
    ("value", "to"),
    [
        pytest.param(f"v4/{V1}", V1, id="to a revision by its digest"),
        pytest.param(f"{V4}/{V1}", V1, id="live by its digest"),
        pytest.param("v4 #alice", V3, id="with a remark"),
    ],
)
def test_undo_to(value: str, to: str) -> None:
    after = status_after(undoing(value)).rollback
    assert after is not None and after.to_digest == to


@pytest.mark.parametrize(
    ("situation", "reason", "word"),
    [
        pytest.param(undoing(f"v4/{V2}"), "TargetBlocked", "unblock", id="to a blocked revision"),
        pytest.param(undoing("v3"), "NothingToUndo", "live is v4", id="another version is live"),
        pytest.param(undoing(f"v4/{digest('shop:v9')}"), "NothingToUndo", "no known revision", id="to a revision that nobody knows"),
        pytest.param(undoing(f"v4/{V4}"), "NothingToUndo", "live already", id="to what is live"),
        pytest.param(undoing("v4", LIVE_V4), "NothingToUndo", "no revision", id="there was none before"),
        pytest.param(undoing(stop=STOP), "Stopped", "fire", id="an emergency stop stands"),
        pytest.param(undoing(status={"rollback": record(from_digest=V4, to_digest=V1)}, incidents=(incident_with_rollback(from_=V4),)), "RollbackUnderWay", "already", id="an Incident rolls it back already"),
        pytest.param(undoing(templates={}), "TemplateMissing", "not stored", id="its template is gone"),
    ],
)  # fmt: skip
def test_an_undo_that_is_refused_says_why_and_writes_nothing(situation: Any, reason: str, word: str) -> None:
    found, message = answer_of(status_after(situation), "undo")
    assert (found, word in message) == (reason, True), message
    assert [a for a in actions_of(situation, SetTemplate) if a.digest != V1] == []


def test_an_undo_needs_no_incident_and_ends_when_the_deployment_is_rolled_out() -> None:
    written = record("Recorded", name="", from_digest=V4, to_digest=V3, at=at(95))
    going = undoing(status={"rollback": written, "commands": status_after(undoing()).commands})
    assert [a.digest for a in actions_of(going, SetTemplate)] == [V3]
    assert condition_of(status_after(going), "Progressing") == ("True", "RollingBack")
    there = replace(going, workload=workload("shop:v3"))
    after = status_after(there)
    assert after.rollback is not None and after.rollback.state == "Done" and after.live == V3
    assert condition_of(after, "Promoted") == ("False", "Undone") and condition_of(after, "Rejected") == (
        "True",
        "Undone",
    )
    assert after.target is not None and after.target.state == "Promoted"  # and no canary of v4 starts by itself


def test_an_incident_that_rolls_the_same_version_back_finds_it_gone() -> None:
    done = record("Done", name="", from_digest=V2, to_digest=V1)
    over = bad_live(incident_with_rollback(), workload=workload("shop:v1"), status={"rollback": done})
    after = status_after(over)
    assert after.rollback is not None and after.rollback.incident == ""


# --- restart


def restarting(value: str = "v1", *given: Command, **more: Any) -> Any:
    item = release_asking(version="v1", annotations={"restart": value})
    status = status_with(target("Promoted", "v1", ended_at=at(1)), commands=list(given), **more.pop("status", {}))
    return facts(item, status, **more)


def ordered(seconds: float = 99) -> Command:
    return Command(name="restart", value="v1", digest=V1, reason=RESTARTING, at=at(seconds))


def stamped(when: str) -> Any:
    live = workload("shop:v1")
    template = {**live.template, "metadata": {**live.template.get("metadata", {}), "annotations": {RESTARTED_AT: when}}}
    return replace(live, template=template)


def test_a_restart_is_recorded_then_the_stamp_is_written_and_nothing_else_changes() -> None:
    situation = restarting()
    after = status_after(situation)
    assert answer_of(after, "restart")[0] == RESTARTING
    (write,) = actions_of(situation, SetTemplate)
    assert (write.expect, write.digest) == (V1, V1)
    assert write.template["metadata"]["annotations"][RESTARTED_AT] == format_time(NOW)
    assert {k: v for k, v in write.template.items() if k != "metadata"} == {
        k: v for k, v in workload("shop:v1").template.items() if k != "metadata"
    }


def test_a_restart_is_done_when_the_deployment_has_its_stamp_and_is_not_done_again_when_that_goes() -> None:
    done = restarting("v1", ordered(), workload=stamped(format_time(at(99))))
    after = status_after(done)
    assert answer_of(after, "restart")[0] == OBEYED and actions_of(done, SetTemplate) == []
    assert actions_of(restarting("v1", *after.commands), SetTemplate) == []


@pytest.mark.parametrize(
    ("situation", "reason"),
    [
        pytest.param(restarting("v2"), "NothingToRestart", id="another version is live"),
        pytest.param(restarting(stop=STOP), "Stopped", id="an emergency stop stands"),
        pytest.param(restarting(status={"rollback": record(from_digest=V1, to_digest=V2)}, incidents=(incident_with_rollback(from_=V1, to=V2),)), "RollbackUnderWay", id="live is being rolled back"),
        pytest.param(restarting(workload=replace(workload("shop:v1"), rollout=RolloutState(paused=True))), "DeploymentPaused", id="the Deployment is paused"),
        pytest.param(restarting("v1", ordered(), workload=workload("shop:v2")), "RestartOvertaken", id="another template came before the stamp"),
        pytest.param(restarting("v1", ordered(), stop=STOP), "Stopped", id="a stop came before the stamp was written: it is withdrawn"),
        pytest.param(restarting("v1", ordered(99 - WRITTEN_WITHIN.total_seconds() - 1)), "WriteRefused", id="the write does not go through"),
    ],
)  # fmt: skip
def test_a_restart_that_does_not_happen_says_why(situation: Any, reason: str) -> None:
    assert answer_of(status_after(situation), "restart")[0] == reason
    assert [a for a in actions_of(situation, SetTemplate) if RESTARTED_AT in str(a.template)] == []


def test_what_is_asked_for_ends_where_the_remark_begins() -> None:
    assert [order(v) for v in ("v4/50", "v4/50 #x", " v4 # a # b", "v#4", "")] == ["v4/50", "v4/50", "v4", "v#4", ""]


def test_the_event_of_an_order_has_the_remark_and_the_answer_has_not() -> None:
    situation = promoting("v4 #2026 by alice")
    (event,) = [e for e in decide(situation).events if e.reason == "PromotionOrdered"]
    assert "by alice" in event.message and "alice" not in answer_of(status_after(situation), "promote")[1]


def test_nothing_moves_without_an_order() -> None:
    """Guards the tables above."""
    assert end_of(step(release_asking(steps=LONG)))[0] == "Stepping" and end_of(dark())[0] in ("Dark", "Stepping")
    assert status_after(step(release_asking(steps=LONG))).target.weight == 20  # type: ignore[union-attr]
    assert TRIED.version == "v4"


def test_an_order_to_a_weight_that_the_spec_has_no_more_orders_nothing_beyond_it() -> None:
    order = Command(name="promote", value="v4/50", digest=V4, weight=50, reason="Obeyed", at=at(80))
    steps = [{"weight": 20, "hold": "1h"}, {"weight": 100, "approve": True}]
    seen = step(release_asking(annotations={"promote": "v4/50"}, steps=steps))
    status = seen.release.status.model_copy(update={"commands": [order]})
    seen = replace(seen, release=seen.release.model_copy(update={"status": status}))
    after = status_after(seen).target
    assert after is not None and (after.state, after.weight) == ("Stepping", 20)


def test_an_approval_of_one_template_is_none_of_another_with_the_same_tag() -> None:
    other = target("Stepping", version="v4", digest="feedfeedfeedfeed", started_at=at(99))
    steps = [{"weight": 20}, {"weight": 50, "approve": True}, {"weight": 100}]
    known = status_with(other, ADOPTED, revision("v4", "Canaried", digest="feedfeedfeedfeed"))
    for named, reason in ((V4, "NothingToApprove"), ("feedfeedfeedfeed", "Obeyed")):
        asking = release_asking(annotations={"approve": f"{named}/50"}, steps=steps)
        seen = facts(asking, known, canary=canary(1, 1), templates={**TEMPLATES, "feedfeedfeedfeed": TEMPLATES[V4]})
        assert [command.reason for command in status_after(seen).commands] == [reason]


def test_a_restart_is_tried_though_a_write_before_it_was_refused() -> None:
    denied = restarting("v1 #new", refusals=(Refusal("template", V1, "denied by a policy of old", at(10)),))
    assert actions_of(denied, SetTemplate)
