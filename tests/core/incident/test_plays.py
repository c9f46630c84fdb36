"""Plays: which Runbook, in which order, on whose word; rollbacks as an Incident decides them; reopening."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.meta import format_time
from opsloop.core.actions import SendPage
from opsloop.core.facts import IncidentFacts
from opsloop.core.readings import Harm, Interval, Readings, SinceAct, Unknown, Verdict
from tests.builders.incidents import (
    BAD_CAUSE,
    DONE,
    NOW,
    ORDERED,
    acts,
    after,
    book,
    burnt,
    condition_of,
    decide,
    facts,
    play,
    plays,
    service,
    sli,
    timeline_keys,
)
from tests.builders.objects import V1, V2, V3, at, readings, release, runbook, value, view
from tests.builders.rollouts import ADOPTED, BAD, record, revision, target

TWO: dict[str, Any] = {"steps": [{"type": "wait", "timeout": "30s"}, {"type": "rollback"}]}
REQUESTED, RUNNING = play("Requested"), play("Running")


def asked(*done: Any, books: Any = None, approved: bool = False, **more: Any) -> IncidentFacts:
    status, meta = more.pop("status", {}), {"annotations": {"opsloop.dev/approve": "rollback-1"}} if approved else None
    item = burnt("Mitigating", plays=list(done), meta=meta, **status)
    return facts(item, runbooks=(book(),) if books is None else books, **more)


# --- which play


@pytest.mark.parametrize(
    ("seen", "last"),
    [
        pytest.param(facts(burnt()), ("rollback", 1, "Requested", ""), id="the Runbook's first play is asked for"),
        pytest.param(facts(burnt(), runbooks=()), ("escalate", 1, "Done", "NoRunbook"), id="no Runbook: a person"),
        pytest.param(facts(burnt(cause=None), service(live=V1, known=(ADOPTED,))), ("escalate", 1, "Done", "NoRunbook"), id="an unknown cause matches no Runbook for bad releases"),
        pytest.param(facts(burnt(), runbooks=(book(**TWO),)), ("wait", 1, "Requested", ""), id="plays come in their order"),
        pytest.param(asked(play("DidNotHelp", "wait"), books=(book(**TWO),)), ("rollback", 1, "Requested", ""), id="one that did not help is followed by the next"),
        pytest.param(asked(play("Refused", "wait"), books=(book(**TWO),)), ("rollback", 1, "Requested", ""), id="so is one that was refused"),
        pytest.param(asked(play("DidNotHelp")), ("escalate", 1, "Done", "Escalated"), id="after the last one comes a person"),
        pytest.param(asked(play("Helped")), ("escalate", 1, "Done", "Escalated"), id="a relapse after a play that helped goes on behind it"),
        pytest.param(asked(play("Done", "escalate", book="", reason="NoRunbook")), ("rollback", 1, "Requested", ""), id="a Runbook that fits by now is begun"),
        pytest.param(asked(play("Done", "escalate", book="", reason="Escalated")), ("escalate", 1, "Done", "Escalated"), id="after a person was called nothing more is done"),
    ],
)  # fmt: skip
def test_the_next_play(seen: IncidentFacts, last: tuple[str, int, str, str]) -> None:
    assert plays(seen)[-1] == last


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(facts(burnt("Mitigated"), seen=sli(0.0)), id="the harm is over"),
        pytest.param(facts(burnt("Resolved"), seen=sli(0.0)), id="it is resolved"),
        pytest.param(facts(burnt(severity="sev3", burn=None, cause=None), seen=sli(0.0)), id="users do not suffer"),
        pytest.param(facts(burnt(mergedInto="catalog-1")), id="it is merged"),
    ],
)
def test_no_play(seen: IncidentFacts) -> None:
    assert plays(seen) == []


def test_nothing_is_done_to_a_dependent_while_what_it_depends_on_breaches() -> None:
    root = view(release(status=service().status, dependsOn=["catalog"]), sli(0.5))
    catalog = view(release("catalog", dependsOn=[]), readings(0.5, NOW))
    status = after(facts(burnt(), releases=(root, catalog)))
    assert status.plays == [] and condition_of(status, "Acting") == ("False", "DependencyBreaching")


def named(name: str, **match: Any) -> Any:
    item = runbook(name)
    return item.model_copy(update={"spec": item.spec.model_validate({**item.spec.dump(), "match": match})})


@pytest.mark.parametrize(
    ("books", "chosen"),
    [
        pytest.param((named("b"), named("a")), "a", id="equally specific: by name"),
        pytest.param((named("a"), named("z", causes=["bad_release"])), "z", id="the more specific one"),
        pytest.param((named("a", causes=["bad_release"]), named("z", causes=["bad_release"], severities=["sev1"])), "z", id="by everything it asks for"),
        pytest.param((named("a", severities=["sev2"]), named("z")), "z", id="another severity does not fit"),
        pytest.param((named("a", releaseLabels={"team": "x"}), named("z")), "z", id="other labels do not fit"),
        pytest.param((named("a", releaseLabels={"team": "search"}), named("z")), "a", id="its labels do"),
        pytest.param((named("a", causes=["dependency"]),), "", id="none fits"),
    ],
)  # fmt: skip
def test_which_runbook(books: Any, chosen: str) -> None:
    seen = facts(burnt(), service(meta={"labels": {"team": "search"}}), runbooks=books)
    assert after(seen).plays[-1].runbook == chosen


# --- on whose word


@pytest.mark.parametrize(
    ("answer", "root", "state", "reason"),
    [
        pytest.param(book(), service(), "Requested", "", id="without an answer it waits"),
        pytest.param(book(True, attempt=2), service(), "Requested", "", id="an answer to another attempt is none"),
        pytest.param(book(True), service(), "Running", "", id="granted, it runs"),
        pytest.param(book(False, reason="DryRun"), service(), "Refused", "DryRun", id="refused, it is over"),
        pytest.param(book(True), service(live=V3), "Refused", "LiveIsAnother", id="the blamed revision is not live any more"),
        pytest.param(book(True), service(known=(BAD,)), "Refused", "NoLastGood", id="there is nothing to roll back to"),
        pytest.param(book(True), service(known=(revision("v1", "Drifted", live_since=at(0)), BAD)), "Refused", "NoLastGood", id="an unproven change by hand is nothing to roll back to"),
    ],
)  # fmt: skip
def test_a_requested_rollback(answer: Any, root: Any, state: str, reason: str) -> None:
    assert plays(asked(REQUESTED, books=(answer,), root=root))[0][2:] == (state, reason)


HALF_SURE = {**BAD_CAUSE, "confidence": 0.6}


@pytest.mark.parametrize(
    ("requested", "safety", "cause", "end"),
    [
        pytest.param(90, {}, HALF_SURE, ("Requested", ""), id="not sure yet: it waits for more evidence"),
        pytest.param(30, {}, HALF_SURE, ("Refused", "NotSureEnough"), id="not sure for a minute: a person decides"),
        pytest.param(30, {"minConfidence": 0.5}, HALF_SURE, ("Running", ""), id="sure enough for this Runbook"),
        pytest.param(30, {"mode": "approve"}, HALF_SURE, ("Running", ""), id="a person approved: the person is sure"),
        pytest.param(30, {}, BAD_CAUSE, ("Running", ""), id="sure"),
    ],
)  # fmt: skip
def test_a_rollback_runs_by_itself_only_where_the_cause_is_sure(
    requested: float, safety: dict[str, Any], cause: Any, end: tuple[str, str]
) -> None:
    wanted = play("Requested", requested_at=at(requested))
    page = {"state": "Sent", "severity": "sev1", "dedupKey": "x", "decidedAt": at(0)}
    person = safety.get("mode") == "approve"
    seen = asked(wanted, books=(book(True, safety=safety),), approved=person, status={"cause": cause, "page": page})
    assert plays(seen)[0][2:] == end


UNREAD = Readings(Verdict(at(100), 0.99, (), "unknown", None, None, "NoAnswer"))


@pytest.mark.parametrize(
    ("seen", "since", "mode", "end"),
    [
        pytest.param(UNREAD, 90, "auto", ("Requested", ""), id="the SLI cannot be read: it waits for a reading"),
        pytest.param(Readings(), 90, "auto", ("Requested", ""), id="nor was it read since the start"),
        pytest.param(UNREAD, -800, "auto", ("Refused", "TelemetryUnknown"), id="for as long as that is told: a person decides"),
        pytest.param(UNREAD, 90, "approve", ("Running", ""), id="a person approved"),
        pytest.param(Readings(Verdict(at(100), 0.99, (), "unknown", None, None, "TrafficGone")), 90, "auto", ("Running", ""), id="it can be read, and nothing happens in it"),
    ],
)  # fmt: skip
def test_nothing_is_undone_by_itself_for_a_harm_that_nobody_can_see(
    seen: Readings, since: float, mode: str, end: tuple[str, str]
) -> None:
    silent = {"type": "TelemetryKnown", "status": "False", "reason": "NoAnswer", "message": "", "lastTransitionTime": format_time(at(since))}  # fmt: skip
    root = service(live=V2, known=(ADOPTED, BAD), conditions=[silent])
    found = plays(
        asked(REQUESTED, books=(book(True, safety={"mode": mode}),), approved=mode == "approve", root=root, seen=seen)
    )
    assert found[0][2:] == end


def test_nothing_is_undone_for_a_harm_that_is_over_at_present() -> None:
    calm = Harm(tuple(Interval(at(n), at(n + 4), 0, 1000) for n in (92, 96)))
    status = after(asked(REQUESTED, books=(book(True),), seen=sli(0.5, harm=calm)))
    assert status.plays[0].state == "Requested" and condition_of(status, "Acting") == ("False", "HarmIsOver")


CANARY = service(live=V1, known=(ADOPTED, BAD))
CANARY = CANARY.model_copy(
    update={"status": CANARY.status.model_copy(update={"target": target("Cancelled", "v2", ended_at=at(85))})}
)


def test_a_blamed_canary_is_taken_out_and_live_is_not_rolled_back() -> None:
    status = after(asked(REQUESTED, books=(book(True),), root=CANARY))
    assert status.rollback is not None and (status.rollback.from_digest, status.rollback.to_digest) == (V2, V1)
    assert "take the canary v2 out" in next(e.message for e in status.timeline if e.key == "rollback-1")


def test_it_is_in_effect_since_it_left_the_traffic() -> None:
    assert after(asked(RUNNING, status={"rollback": ORDERED}, root=CANARY)).plays[0].effect_at == at(85)


def test_a_delayed_play_waits_and_says_until_when() -> None:
    granted = book(False, reason="Cooldown")
    delayed = granted.status.grants[0].model_copy(update={"not_before": at(130), "message": "from 12:02:10 UTC"})
    status = after(asked(REQUESTED, books=(granted.model_copy(update={"status": granted.status.model_copy(update={"grants": [delayed]})}),)))  # fmt: skip
    assert status.plays[0].state == "Requested" and condition_of(status, "Acting") == ("False", "Cooldown")


@pytest.mark.parametrize("books", [(), (named("other"),)])
def test_a_runbook_that_is_gone_refuses(books: Any) -> None:
    assert plays(asked(REQUESTED, books=books))[0][2:] == ("Refused", "NoRunbook")


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        pytest.param({"kind": "unknown", "confidence": 0.95}, "CauseNotARelease", id="nobody to blame"),
        pytest.param({**BAD_CAUSE, "release": "catalog"}, "CauseNotARelease", id="somebody else's revision"),
    ],
)
def test_a_rollback_needs_a_revision_of_the_root_to_blame(cause: Any, reason: str) -> None:
    assert plays(asked(REQUESTED, books=(book(True),), status={"cause": cause}))[0][2:] == ("Refused", reason)


def test_a_granted_rollback_is_a_decision_for_the_release_to_carry_out() -> None:
    seen = asked(REQUESTED, books=(book(True),))
    status = after(seen)
    assert status.rollback is not None
    assert (status.rollback.release, status.rollback.from_digest, status.rollback.to_digest) == ("answers", V2, V1)
    assert status.rollback.attempt == 1 and status.phase == "Mitigating" and decide(seen).actions == ()
    assert "(last-good)" in next(e.message for e in status.timeline if e.key == "rollback-1")


def test_an_unproven_target_is_said_to_be_unproven() -> None:
    adopted = revision(live_since=at(0))
    status = after(asked(REQUESTED, books=(book(True),), root=service(known=(adopted, BAD))))
    assert "unproven" in next(e.message for e in status.timeline if e.key == "rollback-1")


# --- how it ends

RUNS: dict[str, Any] = {"rollback": ORDERED}


@pytest.mark.parametrize(
    ("seen", "end"),
    [
        pytest.param(asked(RUNNING, status=RUNS, root=service(rollback=record())), ("Running", ""), id="the Release has it in hand"),
        pytest.param(asked(RUNNING, status=RUNS, root=service(rollback=record("Refused", reason="TemplateMissing"))), ("Refused", "ReleaseRefused"), id="the Release refused it: that is not a play that did not help"),
        pytest.param(asked(RUNNING, status=RUNS, root=service(rollback=DONE, live=V1)), ("Running", ""), id="done, and the SLI is not back yet"),
        pytest.param(asked(RUNNING, status=RUNS, root=service(rollback=DONE, live=V1), seen=sli(0.0)), ("Helped", "SliBack"), id="done, and the SLI is back"),
        pytest.param(asked(play(started_at=at(-30)), status=RUNS, root=service(rollback=record("Done", done_at=at(-30)), live=V1)), ("NotProven", "TimedOut"), id="the SLI was not back in time"),
        pytest.param(asked(play("Running", "wait", started_at=at(60)), books=(book(**TWO),)), ("NotProven", "TimedOut"), id="watching has an end as well"),
        pytest.param(asked(play("Requested"), seen=sli(0.0)), ("Refused", "SliBack"), id="the SLI was back before anybody granted it"),
    ],
)  # fmt: skip
def test_how_a_play_ends(seen: IncidentFacts, end: tuple[str, str]) -> None:
    assert plays(seen)[0][2:] == end


IN_EFFECT = record("Written", replaced=100, effect_at=at(80))


AT_ONCE = Unknown("NotRead")


def since(bad: float, total: float, just_before: Any = AT_ONCE, effect: float = 80) -> Readings:
    """The windows still hold the harm; so many events were counted since the rollback was in effect."""
    span = timedelta(seconds=15)
    act = SinceAct(at(effect), value(bad / total, total), span, just_before, timedelta(seconds=1))
    return sli(0.5, since_act=act)


def running(state: str = "Running", **more: Any) -> Any:
    return play(state, **{"effect_at": at(80), "before": {"bad": 800, "total": 1000}, **more})


@pytest.mark.parametrize(
    ("current", "seen", "end"),
    [
        pytest.param(running(), since(0, 1000), ("Helped", "SliBack"), id="surely better since: it helped, though the windows still hold the harm"),
        pytest.param(running(), since(500, 1000), ("DidNotHelp", "StillHarmed"), id="surely as bad since: it did not help"),
        pytest.param(running(), since(0, 10), ("Running", ""), id="too few events yet"),
        pytest.param(running(), since(0, 1000, effect=70), ("Running", ""), id="counts since another act say nothing"),
        pytest.param(running(), since(0, 1000, value(0.0, 1000)), ("NotProven", "BackBeforeEffect"), id="the harm had gone before it was in effect"),
        pytest.param(running(), since(0, 1000, value(0.4, 1000)), ("Helped", "SliBack"), id="it was there until then: the rollback ended it"),
        pytest.param(running(started_at=at(-200)), since(0, 10), ("Running", ""), id="the time-out counts from the effect, not from the start"),
    ],
)  # fmt: skip
def test_a_rollback_is_judged_by_what_happened_after_it_was_in_effect(current: Any, seen: Readings, end: Any) -> None:
    situation = asked(current, status=RUNS, root=service(rollback=IN_EFFECT, live=V1), seen=seen)
    assert plays(situation)[0][2:] == end


@pytest.mark.parametrize(
    ("began", "root", "end"),
    [
        pytest.param(-400, service(rollback=record("Written", replaced=40), live=V1), ("Running", ""), id="pods that take minutes are waited for: the Deployment has a deadline of its own"),
        pytest.param(-400, service(rollback=record("Failed", reason="ReplicaFailure"), live=V1), ("NotProven", "NotInEffect"), id="it hangs: the next step runs"),
        pytest.param(60, service(), ("Running", ""), id="the Release has not taken it up yet"),
        pytest.param(30, service(), ("NotProven", "NotInEffect"), id="nor within a minute"),
    ],
)  # fmt: skip
def test_a_rollback_that_does_not_get_in_effect(began: float, root: Any, end: tuple[str, str]) -> None:
    situation = asked(play("Running", started_at=at(began)), status=RUNS, root=root)
    assert plays(situation)[0][2:] == end


def test_a_rollback_on_its_way_says_how_far_it_is() -> None:
    half = service(rollback=record("Written", replaced=40), live=V1)
    assert "40 %" in str(after(asked(RUNNING, status=RUNS, root=half)).conditions)


@pytest.mark.parametrize(
    "began", [pytest.param(-s, id=f"{100 + s} s after it was decided") for s in (-50, -40, 0, 500)]
)
def test_a_rollout_that_takes_long_is_not_looked_at_in_a_busy_loop(began: float) -> None:
    on_its_way = service(rollback=record("Written", effect_at=None, replaced=50), live=V1)
    current = running(started_at=at(began), requested_at=at(began), effect_at=None)
    again = decide(asked(current, status=RUNS, root=on_its_way)).look_again
    assert again is not None and again > timedelta(0)


def test_a_rollback_that_did_not_help_takes_the_blame_back() -> None:
    status = after(asked(running(), status=RUNS, root=service(rollback=IN_EFFECT, live=V1), seen=since(500, 1000)))
    assert status.exonerated == [V2] and status.cause is not None
    assert (status.cause.kind, status.cause.reason) == ("unknown", "Exonerated")
    assert "exonerated-1" in timeline_keys(status)


def test_a_time_out_exonerates_nobody_and_the_next_step_runs() -> None:
    late = asked(running(effect_at=at(-30)), status=RUNS, root=service(rollback=IN_EFFECT, live=V1), seen=since(0, 10))
    status = after(late)
    assert (status.plays[0].state, status.exonerated) == ("NotProven", []) and status.cause is not None
    assert status.cause.kind == "bad_release"
    again = replace(late, incident=late.incident.model_copy(update={"status": status}))
    assert plays(again)[-1] == ("escalate", 1, "Done", "Escalated")
    assert "not surely back in time" in after(again).plays[-1].message


@pytest.mark.parametrize(
    ("state", "seen", "asked_for"),
    [
        pytest.param("Helped", since(0, 1000), 1, id="after one that helped nothing is asked for while windows drain"),
        pytest.param("Helped", since(0, 10), 1, id="nor while nobody can say"),
        pytest.param("Helped", since(900, 1000), 2, id="harm that came back is another matter: the next step runs"),
    ],
)
def test_what_follows_a_rollback_that_was_judged(state: str, seen: Readings, asked_for: int) -> None:
    situation = asked(running(state=state), status=RUNS, root=service(rollback=IN_EFFECT, live=V1), seen=seen)
    assert len(plays(situation)) == asked_for


def test_mitigated_at_once_but_resolved_only_when_no_window_holds_the_harm() -> None:
    helped = running(state="Helped")
    status = after(asked(helped, status={**RUNS, "backSince": at(81)}, root=service(rollback=IN_EFFECT, live=V1), seen=since(0, 1000)))  # fmt: skip
    assert status.phase == "Mitigated" and status.mitigated_at == at(81)


def test_a_done_rollback_is_told_with_its_time() -> None:
    status = after(asked(RUNNING, status=RUNS, root=service(rollback=DONE, live=V1)))
    assert next(e.at for e in status.timeline if e.key == "rolled-back-1") == at(80)


def test_a_play_that_helped_ends_the_acting() -> None:
    status = after(asked(RUNNING, status=RUNS, root=service(rollback=DONE, live=V1), seen=sli(0.0)))
    assert condition_of(status, "Acting") == ("False", "SliBack")


# --- escalation


def test_escalation_pages_where_nobody_was_paged_and_says_so() -> None:
    seen = facts(burnt(page=None, severity="sev2"), runbooks=())
    status = after(seen)
    assert len(acts(seen, SendPage)) == 1 and status.page is not None and "escalated-1" in timeline_keys(status)


def test_who_was_called_and_waits_for_no_play_is_not_called_again() -> None:
    seen = facts(burnt(), runbooks=())
    assert acts(seen, SendPage) == [] and "escalated-1" in timeline_keys(after(seen))


@pytest.mark.parametrize(
    ("last", "books", "reason"),
    [
        pytest.param(play("DidNotHelp"), (book(),), "Escalated", id="the Runbook is at its end"),
        pytest.param(play("Refused"), (), "NoRunbook", id="the Runbook is gone that people thought would act"),
    ],
)
def test_an_escalation_pages_whoever_was_paged_before(last: Any, books: Any, reason: str) -> None:
    (sent,) = acts(facts(burnt("Mitigating", plays=[last]), runbooks=books), SendPage)
    assert (sent.message.reason, sent.message.number, sent.thread) == (reason, 2, "uid-answers-1")


def test_the_second_escalation_has_a_key_of_its_own() -> None:
    many = [play("Done", "escalate", book="", reason="Escalated")] + [
        play("DidNotHelp", attempt=n) for n in range(1, 32)
    ]
    item = burnt("Mitigating", plays=many)
    assert "escalated-2" in timeline_keys(after(facts(item)))


def test_plays_are_bounded() -> None:
    many = [play("DidNotHelp", attempt=n) for n in range(1, 33)]
    assert len(after(asked(*many)).plays) == 32


@pytest.mark.parametrize(
    ("safety", "approved", "type_", "state"),
    [
        pytest.param({}, False, "rollback", "Running", id="granted"),
        pytest.param({"mode": "dryRun"}, True, "rollback", "Requested", id="the mode was lowered to dryRun since"),
        pytest.param({"mode": "approve"}, False, "rollback", "Requested", id="to approve: nobody approved it"),
        pytest.param({"mode": "approve"}, True, "rollback", "Running", id="to approve, and a person did"),
        pytest.param({}, False, "wait", "Requested", id="what was granted was a step of another type, which stood there before"),
    ],
)  # fmt: skip
def test_a_grant_is_of_the_mode_and_of_the_step_as_they_are_now(
    safety: dict[str, Any], approved: bool, type_: str, state: str
) -> None:
    granted = book(True, safety=safety)
    grants = [one.model_copy(update={"type": type_}) for one in granted.status.grants]
    granted = granted.model_copy(update={"status": granted.status.model_copy(update={"grants": grants})})
    assert plays(asked(REQUESTED, books=(granted,), approved=approved))[0][2] == state
