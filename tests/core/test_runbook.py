"""The Runbook's answers: limits over many incidents, access, approval."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from opsloop.api.incident import Incident
from opsloop.api.runbook import Grant, Runbook
from opsloop.core.facts import RunbookFacts
from opsloop.core.runbook import decide as decisions
from tests.builders.objects import at, incident, release, runbook

NOW = at(1000)


def asking(name: str = "answers-1", type_: str = "rollback", attempt: int = 1, state: str = "Requested", book: str = "bad-release", **meta: Any) -> Incident:  # fmt: skip
    play = {"runbook": book, "step": 0, "type": type_, "attempt": attempt, "state": state, "requestedAt": at(990)}
    return incident(name, {"plays": [play]}, **meta)


def grant(
    before: float,
    incident: str = "other-1",
    release: str = "answers",
    granted: bool = True,
    attempt: int = 1,
    type_: str = "",
) -> Grant:
    when = NOW - timedelta(seconds=before)
    return Grant(
        incident=incident, release=release, step=0, type=type_, attempt=attempt, granted=granted, reason="x", at=when
    )


def with_grants(*grants: Grant, **safety: Any) -> Runbook:
    book = runbook(**safety)
    return book.model_copy(update={"status": book.status.model_copy(update={"grants": list(grants)})})


def may(**releases: bool) -> dict[tuple[str, str], bool]:
    """Access to Deployments and Releases, by Release; without a name to all that there is."""
    known = releases or {"answers": True}
    return {(plural, name): yes for plural in ("deployments", "releases") for name, yes in known.items()}


def answers(
    book: Runbook, *incidents: Incident, allowed: dict[str, bool] | None = None, now: datetime = NOW
) -> list[Grant]:
    """Grants that this look adds."""
    access = (
        may()
        if allowed is None
        else {(p, name): yes for p in ("deployments", "releases") for name, yes in allowed.items()}
    )
    decision = decisions.decide(RunbookFacts(book, incidents, (release(),), access), now)
    old = len(book.status.grants)
    return decision.status.grants[old:] if decision.status else []  # type: ignore[attr-defined]


APPROVED: dict[str, Any] = {"annotations": {"opsloop.dev/approve": "rollback-1"}}


@pytest.mark.parametrize(
    ("book", "ask", "allowed", "reason"),
    [
        pytest.param(runbook(), asking(), None, "Granted", id="within all limits it is granted"),
        pytest.param(runbook(), asking(), {"answers": False}, "Forbidden", id="an account that may not patch the Deployment is refused"),
        pytest.param(runbook(), asking(), {}, None, id="without an access review there is no answer"),
        pytest.param(runbook(mode="dryRun"), asking(), None, "DryRun", id="dryRun only says what it would do"),
        pytest.param(runbook(mode="dryRun"), asking(), {"answers": False}, "DryRun", id="dryRun asks for no access"),
        pytest.param(runbook(mode="approve"), asking(), None, None, id="approve waits for a person"),
        pytest.param(runbook(mode="approve"), asking(**APPROVED), None, "Granted", id="approved, it is granted"),
        pytest.param(runbook(mode="approve"), asking(attempt=2, **APPROVED), None, None, id="an approval is for one attempt"),
        pytest.param(runbook(mode="approve"), asking(**APPROVED), {"answers": False}, "Forbidden", id="an approval is no access"),
        pytest.param(runbook(), asking(type_="wait"), {}, "Granted", id="watching needs no access"),
        pytest.param(with_grants(grant(30), cooldown="1m"), asking(), None, "Cooldown", id="another incident's play on the same Release was a moment ago"),
        pytest.param(with_grants(grant(90), cooldown="1m"), asking(), None, "Granted", id="the cooldown is over"),
        pytest.param(with_grants(grant(30, release="web"), cooldown="1m"), asking(), None, "Granted", id="another Release's cooldown does not matter"),
        pytest.param(with_grants(grant(30, "answers-1"), cooldown="1m"), asking(attempt=2), None, "Granted", id="the same incident has no cooldown"),
        pytest.param(with_grants(grant(30, granted=False), cooldown="1m"), asking(), None, "Granted", id="a refusal begins no cooldown"),
        pytest.param(with_grants(grant(3000, "a-1", "a"), grant(2000, "b-1", "b"), maxPerHour=2), asking(), None, "TooManyThisHour", id="the hour's plays are used up, by whomever"),
        pytest.param(with_grants(grant(3700, "a-1", "a"), grant(2000, "b-1", "b"), maxPerHour=2), asking(), None, "Granted", id="an hour ago is over"),
        pytest.param(with_grants(grant(3000, "a-1"), grant(2000, "a-2"), maxPerHourAndRelease=2), asking(), None, "TooManyThisHour", id="this Release's plays of the hour are used up"),
        pytest.param(with_grants(grant(3000, "a-1", "a"), grant(2000, "b-1", "b"), maxPerHourAndRelease=1), asking(), None, "Granted", id="other Releases use up nothing of this one's"),
        pytest.param(with_grants(grant(3000, type_="wait"), grant(20, type_="wait"), maxPerHour=1), asking(), None, "Granted", id="watching uses up no limit and begins no cooldown"),
        pytest.param(with_grants(grant(20), maxPerHour=1), asking(type_="wait"), {}, "Granted", id="watching is never delayed"),
        pytest.param(with_grants(grant(3000, "a-1", granted=False), maxPerHour=1), asking(), None, "Granted", id="refusals are not counted"),
    ],
)  # fmt: skip
def test_the_answer_to_a_play(
    book: Runbook, ask: Incident, allowed: dict[str, bool] | None, reason: str | None
) -> None:
    assert [g.reason for g in answers(book, ask, allowed=allowed)] == ([reason] if reason else [])


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(asking(state="Running"), id="that runs already"),
        pytest.param(asking(state="Refused"), id="that was refused"),
        pytest.param(asking(book="other"), id="of another Runbook"),
    ],
)
def test_no_answer_to_a_play(ask: Incident) -> None:
    assert answers(runbook(), ask) == []


def test_a_play_is_answered_once_whatever_the_answer_was() -> None:
    assert answers(with_grants(grant(5, "answers-1", granted=False)), asking()) == []


@pytest.mark.parametrize(
    ("book", "free"),
    [
        pytest.param(with_grants(grant(30), cooldown="1m"), 30, id="until the cooldown is over"),
        pytest.param(with_grants(grant(3000, "a-1", "a"), grant(2000, "b-1", "b"), maxPerHour=2), 600, id="until the oldest of the hour is an hour old"),
        pytest.param(with_grants(grant(3000, "a-1", "a"), grant(20), maxPerHour=2, cooldown="1m"), 600, id="until all limits allow it"),
        pytest.param(with_grants(grant(3000, "a-1"), grant(2000, "a-2"), grant(1000, "a-3"), maxPerHourAndRelease=2), 1600, id="until as many are left as the limit allows"),
    ],
)  # fmt: skip
def test_a_limit_delays_and_then_the_play_runs(book: Runbook, free: float) -> None:
    facts = RunbookFacts(book, (asking(),), (release(),), may())
    delayed = decisions.decide(facts, NOW)
    answer = delayed.status.grants[-1]  # type: ignore[union-attr]
    assert (answer.granted, answer.not_before) == (False, NOW + timedelta(seconds=free))
    assert f"{answer.not_before:%H:%M:%S}" in answer.message and delayed.look_again == min(
        timedelta(seconds=free), decisions.REVIEW_AGAIN
    )
    waiting = replace(facts, runbook=book.model_copy(update={"status": delayed.status}))
    early = decisions.decide(waiting, NOW + timedelta(seconds=free - 1))
    assert early.status is None and early.look_again == timedelta(seconds=1) and early.events == ()
    later = decisions.decide(waiting, NOW + timedelta(seconds=free))
    assert [(g.granted, g.not_before) for g in later.status.grants if g.incident == "answers-1"][-1:] == [(True, None)]  # type: ignore[union-attr]


def acts_on(item: Incident, release: str = "answers", **play: Any) -> Incident:
    """The Incident, on this Release, with its play so."""
    spec = item.spec.model_copy(update={"release": release})
    plays = [item.status.plays[0].model_copy(update=play)]
    return item.model_copy(update={"spec": spec, "status": item.status.model_copy(update={"plays": plays})})


OTHER = asking("answers-2", "restart", state="Running", book="other")
HELD = asking("answers-2", "restart", book="other")


@pytest.mark.parametrize(
    ("other", "granted", "reason"),
    [
        pytest.param(OTHER, None, "UnderWay", id="another Incident's restart is not in effect yet"),
        pytest.param(acts_on(OTHER, effect_at=at(995)), None, "Granted", id="it is"),
        pytest.param(acts_on(OTHER, release="web"), None, "Granted", id="it is of another Release"),
        pytest.param(acts_on(OTHER, type="job"), None, "Granted", id="a Job replaces no pods"),
        pytest.param(acts_on(OTHER, state="NotProven"), None, "Granted", id="it is over"),
        pytest.param(HELD, 2, "UnderWay", id="another Runbook has granted one that is about to begin"),
        pytest.param(HELD, 61, "Granted", id="one that did not begin for a minute keeps nobody waiting"),
        pytest.param(HELD, None, "Granted", id="nor does one that nobody granted"),
    ],
)  # fmt: skip
def test_one_deployment_is_acted_on_by_one_incident_at_a_time(
    other: Incident, granted: float | None, reason: str
) -> None:
    given = [grant(granted, "answers-2", type_="restart")] if granted is not None else []
    book = runbook("other")
    others = (book.model_copy(update={"status": book.status.model_copy(update={"grants": given})}),)
    mine = asking(type_="rollback")
    facts = RunbookFacts(runbook(cooldown="0s"), (mine,), (release(),), may(), others=others, known=(mine, other))
    decision = decisions.decide(facts, NOW)
    answer = decision.status.grants[-1]  # type: ignore[union-attr]
    assert answer.reason == reason
    if reason == "UnderWay":
        waiting = replace(facts, runbook=facts.runbook.model_copy(update={"status": decision.status}))
        again = decisions.decide(waiting, NOW + timedelta(seconds=20))
        assert again.status is None and again.events == () and again.look_again == timedelta(seconds=15)


def test_an_incident_without_a_release_has_what_needs_none_and_is_told_of_the_rest() -> None:
    nobodys = {type_: acts_on(asking(type_=type_), release="") for type_ in ("rollback", "job")}
    for type_, reason in (("rollback", "NoRelease"), ("job", "Granted")):
        facts = RunbookFacts(runbook(), (nobodys[type_],), (release(),), {("jobs", ""): True}, runs_jobs=True)
        assert [g.reason for g in decisions.decide(facts, NOW).status.grants] == [reason]  # type: ignore[union-attr]


def test_two_incidents_at_once_do_not_slip_through_the_limit_together() -> None:
    both = answers(runbook(maxPerHour=1), asking("answers-1"), asking("answers-2"))
    assert [(g.incident, g.granted) for g in both] == [("answers-1", True), ("answers-2", False)]


def test_a_refusal_for_access_says_what_to_grant() -> None:
    (refused,) = answers(runbook(), asking(), allowed={"answers": False})
    assert "ServiceAccount runbook" in refused.message and "patch" in refused.message


def test_the_memory_of_answers_is_bounded_and_keeps_the_newest() -> None:
    many = [grant(4000 - n, f"old-{n}") for n in range(100)]
    decision = decisions.decide(RunbookFacts(with_grants(*many), (asking(),), (release(),), may()), NOW)
    grants = decision.status.grants  # type: ignore[union-attr]
    assert len(grants) <= 100 and grants[-1].incident == "answers-1"


def test_no_number_of_refusals_makes_room_for_one_more_play() -> None:
    many = [grant(3000, "a-1"), *(grant(2000 - n, f"old-{n}", granted=False) for n in range(99))]
    book, seen = with_grants(*many, maxPerHour=1), RunbookFacts
    for n in range(60):
        ask = asking(f"answers-{n}")
        status = decisions.decide(seen(book, (ask,), (release(),), may()), NOW).status
        book = book.model_copy(update={"status": status})
    assert {g.reason for g in book.status.grants if g.incident.startswith("answers-")} == {"TooManyThisHour"}


def test_nothing_is_written_when_nothing_is_asked() -> None:
    book = runbook()
    first = decisions.decide(RunbookFacts(book, (), (), {}), NOW)
    settled = book.model_copy(update={"status": first.status})
    assert decisions.decide(RunbookFacts(settled, (), (), {}), at(2000)).status is None


@pytest.mark.parametrize(
    ("book", "allowed", "ready"),
    [
        pytest.param(runbook(), {"answers": True}, ("True", "Ready"), id="its account may patch the Deployment"),
        pytest.param(runbook(), {"answers": False}, ("False", "Forbidden"), id="its account may patch none"),
        pytest.param(runbook(mode="dryRun"), {}, ("True", "Ready"), id="a dry run needs no permission"),
        pytest.param(runbook(), {}, None, id="nothing is said before the access is reviewed"),
    ],
)
def test_ready(book: Runbook, allowed: dict[str, bool], ready: tuple[str, str] | None) -> None:
    decision = decisions.decide(RunbookFacts(book, (), (release(),), may(**allowed) if allowed else {}), NOW)
    conditions = decision.status.conditions if decision.status else []  # type: ignore[attr-defined]
    assert [(c.status, c.reason) for c in conditions] == ([ready] if ready else [])
    told = [event.reason for event in decision.events]
    assert told == ([ready[1]] if ready and ready[0] == "False" else [])
    if decision.status is not None:
        again = book.model_copy(update={"status": decision.status})
        assert (
            decisions.decide(RunbookFacts(again, (), (release(),), may(**allowed) if allowed else {}), NOW).events == ()
        ), "told once"


def test_a_runbook_for_no_release_is_not_ready() -> None:
    match = runbook().spec.match.model_copy(update={"release_labels": {"tier": "gold"}})
    book = runbook()
    book = book.model_copy(update={"spec": book.spec.model_copy(update={"match": match})})
    decision = decisions.decide(RunbookFacts(book, (), (release(),), may()), NOW)
    assert decision.status is not None
    (ready,) = decision.status.conditions  # type: ignore[attr-defined]
    assert (ready.status, ready.reason) == ("False", "NoRelease") and "tier=gold" in ready.message


def matched(mode: str = "auto", **match: Any) -> Runbook:
    base = runbook(mode=mode)
    return base.model_copy(update={"spec": base.spec.model_validate({**base.spec.dump(), "match": match})})


@pytest.mark.parametrize(
    ("book", "exists", "reason", "words"),
    [
        pytest.param(matched(causes=["bad-release"]), True, "UnknownCause", "known are bad_release", id="no cause of that name is ever found"),
        pytest.param(matched(causes=["bad-release", "config"]), True, "Ready", "never for the unknown cause bad-release", id="one of two is"),
        pytest.param(matched(severities=["sev3"]), True, "NeverPages", "sev1 and sev2", id="it is for what pages nobody"),
        pytest.param(matched(), False, "NoAccount", "no ServiceAccount runbook", id="its account does not exist"),
        pytest.param(matched("dryRun"), False, "NoAccount", "no ServiceAccount runbook", id="so it says before it is switched on, too"),
        pytest.param(matched(), None, "Ready", "auto", id="opsloop may not look for its account"),
    ],
)  # fmt: skip
def test_what_could_never_act_says_so(book: Runbook, exists: bool | None, reason: str, words: str) -> None:
    decision = decisions.decide(RunbookFacts(book, (), (release(),), may(), account_exists=exists), NOW)
    (ready,) = decision.status.conditions  # type: ignore[union-attr]
    assert ready.reason == reason and words in ready.message
    assert decision.look_again == (decisions.REVIEW_AGAIN if reason == "Ready" else decisions.LOOK_AGAIN)


def test_the_right_that_is_missing_is_named_with_the_steps_that_need_it() -> None:
    steps = [{"type": "rollback"}, {"type": "abortCanary"}]
    book = runbook()
    book = book.model_copy(update={"spec": book.spec.model_validate({**book.spec.dump(), "steps": steps})})
    access = {("deployments", "answers"): True, ("releases", "answers"): False}
    decision = decisions.decide(RunbookFacts(book, (), (release(),), access), NOW)
    (ready,) = decision.status.conditions  # type: ignore[union-attr]
    assert (ready.status, ready.reason) == ("False", "Forbidden")
    assert "patch on releases.opsloop.dev" in ready.message and "abortCanary would be refused" in ready.message


def test_limits_count_plays_of_other_runbooks_and_those_that_only_incidents_remember() -> None:
    other = with_grants(grant(1000, "a-1", "a")).model_copy(update={"metadata": runbook("other").metadata})
    begun = incident(
        "b-1",
        {
            "plays": [
                {
                    "runbook": "gone",
                    "step": 0,
                    "type": "restart",
                    "attempt": 1,
                    "state": "Helped",
                    "requestedAt": at(1),
                    "startedAt": at(2),
                }
            ]
        },
    )
    for book, facts, reason in (
        (runbook(maxPerHour=2), {"others": (other,)}, "Granted"),
        (runbook(maxPerHour=2), {"others": (other,), "known": (begun,)}, "TooManyThisHour"),
        (runbook(maxPerHour=1), {"known": (begun,)}, "TooManyThisHour"),
    ):
        decision = decisions.decide(RunbookFacts(book, (asking(),), (release(),), may(), **facts), NOW)
        assert decision.status.grants[-1].reason == reason  # type: ignore[union-attr]


@pytest.mark.parametrize("type_", ["freeze", "abortCanary"])
def test_what_only_lowers_waits_for_no_limit_and_uses_none_up(type_: str) -> None:
    used_up = with_grants(grant(20), maxPerHour=1)
    assert [g.reason for g in answers(used_up, asking(type_=type_))] == ["Granted"]
    assert [g.reason for g in answers(with_grants(grant(20, type_=type_), maxPerHour=1), asking())] == ["Granted"]


def test_an_approval_that_nobody_gives_is_not_waited_for_for_ever() -> None:
    book = runbook(mode="approve", approveWithin="5m")
    waiting = decisions.decide(RunbookFacts(book, (asking(),), (release(),), may()), NOW)
    assert waiting.look_again == timedelta(seconds=290)  # it was asked for 10 s ago
    (refused,) = answers(book, asking(), now=at(990 + 300))
    assert refused.reason == "NotApproved" and "safety.approveWithin" in refused.message
