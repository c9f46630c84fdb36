"""Checks of a rollout: when they begin, what an answer means, what a harness that fails means, and that one that only watches
decides nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.check import MOST_RESULTS, CheckResult, RolloutCheck
from opsloop.api.release import Release
from opsloop.core.actions import CallWebhook, DeleteCanary, EndJob, SetGates, StartJob
from opsloop.core.facts import Address, CheckFacts, Errand, EvalOutcome, ReleaseFacts
from opsloop.core.release import checks
from opsloop.core.stop import Stop
from tests.builders.objects import V4, at, evalcase
from tests.builders.rollouts import (
    ADOPTED,
    NOW,
    TRIED,
    actions_of,
    analysed,
    canary,
    condition_of,
    decide,
    end_of,
    facts,
    gates_closed,
    release_asking,
    result,
    status_after,
    status_with,
    target,
)

URL = "https://hooks.example.com/opsloop/confirm?token=hunter2"
ALLOWED = {"jobs": True, "webhooks": True}
KNOWN = CheckFacts(addresses=(Address("https://hooks.example.com/opsloop/"),), allowed=ALLOWED, account_exists=True)
JOB: dict[str, Any] = {"name": "load", "job": {"image": "k6:1", "deadline": "1m"}}
HOOK: dict[str, Any] = {"name": "confirm", "webhook": {"url": URL, "timeout": "5m"}}
STEPS = [{"weight": 20, "hold": "60s"}, {"weight": 100}]
GOING, DONE = Errand("Going"), Errand("Done", "Job j is complete", at(99), "p95=120ms")
FAILED = Errand("Failed", "Job j failed: exit code 99", at(99), "p95=900ms > 300ms", code=99)
EVICTED = Errand("Failed", "Job j failed: the node was low on memory", at(99))


def answered(code: int) -> Errand:
    return Errand("Done" if 200 <= code < 300 else "Failed", f"it answered {code}", at(99), code=code)


def asking(*asked: dict[str, Any], **spec: Any) -> Release:
    item = release_asking(steps=STEPS, canary={"checks": list(asked)}, **spec)
    return item.model_copy(update={"spec": item.spec.model_copy(update={"service_account_name": "checks"})})


def situation(item: Release, *ran: CheckResult, weight: int = 0, errands: Any = None, **more: Any) -> ReleaseFacts:
    """v4 dark, or at weight 20 and reached 50 s ago with 10 s of its hold to go."""
    state = target(checks=list(ran)) if weight == 0 else target("Stepping", reached_at=at(50), checks=list(ran))
    known = replace(KNOWN, errands=dict(errands or {}), **more.pop("known", {}))
    pods = canary(1, 1 if weight else 0)
    return facts(
        item, status_with(state, ADOPTED, TRIED), **{"canary": replace(pods, uid="u-1"), "checks": known, **more}
    )


def ran(item: Release, name: str, how: str = "Running", weight: int = 0, **more: Any) -> CheckResult:
    """A result of this try, begun 10 s ago."""
    check = next(c for c in item.spec.strategy.canary.checks if c.name == name)
    of = checks.mark(item, target(), check, weight)
    base = {"name": name, "weight": weight, "id": of, "result": how, "since": at(90), "dry_run": check.dry_run}
    return CheckResult.model_validate({**base, **more})


def run(
    asked: dict[str, Any], errand: Errand | None, weight: int = 0, seen: dict[str, Any] | None = None, **more: Any
) -> ReleaseFacts:
    """A check that runs, with what is known of its errand."""
    item = asking({**asked, "at": [weight]})
    begun = ran(item, asked["name"], weight=weight, **(seen or {}))
    return situation(item, begun, weight=weight, errands={checks.errand_of(begun): errand} if errand else {}, **more)


def told(seen: ReleaseFacts) -> tuple[str, str, str]:
    """State of the target, reason of the hold or the end, result of the first check."""
    status = status_after(seen)
    assert status.target is not None
    held = condition_of(status, "Held")
    reason = status.target.reason or (held[1] if held[0] == "True" else "")
    return status.target.state, reason, status.target.checks[0].result if status.target.checks else ""


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(situation(asking(JOB)), ("Dark", "WaitingForChecks", "Running"), id="a Job begins when the dark canary is ready"),
        pytest.param(situation(asking(HOOK)), ("Dark", "WaitingForChecks", "Running"), id="so does a webhook"),
        pytest.param(situation(asking({**JOB, "at": [20]})), ("Stepping", "", ""), id="not one of another weight"),
        pytest.param(situation(asking({**JOB, "at": [20]}), weight=20), ("Stepping", "", "Running"), id="at a weight it begins beside the hold"),
        pytest.param(situation(asking(JOB, paused=True)), ("Dark", "Paused", ""), id="not while the Release is paused"),
        pytest.param(situation(asking(JOB), stop=Stop("shop", "now", "alice")), ("Dark", "WaitingForChecks", ""), id="nor while a Stop stands"),
        pytest.param(run(JOB, GOING), ("Dark", "WaitingForChecks", "Running"), id="the canary waits for it"),
        pytest.param(run(JOB, DONE), ("Stepping", "", "Passed"), id="exit code 0: it goes on"),
        pytest.param(run(JOB, FAILED), ("Rejected", "CheckFailed", "Failed"), id="another exit code: rejected while it serves nobody"),
        pytest.param(run(JOB, FAILED, 20), ("Rejected", "CheckFailed", "Failed"), id="at a weight it does not wait for the hold"),
        pytest.param(run(JOB, FAILED, 20, canary=canary(0)), ("Rejected", "CheckFailed", "Failed"), id="nor for pods that went down"),
        pytest.param(run(JOB, EVICTED), ("Dark", "CheckUnanswered", "Running"), id="evicted: no answer, so once more"),
        pytest.param(run(JOB, EVICTED, seen={"attempt": 3}), ("Dark", "CheckUnanswered", "Unknown"), id="after its attempts it holds"),
        pytest.param(run({**JOB, "inconclusive": "abort"}, EVICTED, seen={"attempt": 3}), ("Rejected", "CheckUnanswered", "Unknown"), id="or is aborted"),
        pytest.param(run(JOB, Errand("Refused", "quota", at(99), reason="WriteRefused")), ("Dark", "CheckUnanswered", "Running"), id="its Job is refused: no answer"),
        pytest.param(run(JOB, GOING, seen={"since": at(-200)}), ("Dark", "CheckUnanswered", "Running"), id="nobody ended it by its deadline: no answer"),
        pytest.param(run(HOOK, answered(200)), ("Stepping", "", "Passed"), id="200: yes"),
        pytest.param(run(HOOK, answered(202)), ("Dark", "CheckNotConfirmed", "Running"), id="202: not yet"),
        pytest.param(run(HOOK, answered(403)), ("Dark", "CheckNotConfirmed", "Running"), id="403: not yet"),
        pytest.param(run(HOOK, answered(422)), ("Rejected", "CheckFailed", "Failed"), id="422: no"),
        pytest.param(run(HOOK, answered(404)), ("Dark", "CheckUnanswered", "Running"), id="404: no answer"),
        pytest.param(run(HOOK, answered(302)), ("Dark", "CheckUnanswered", "Running"), id="a redirect: no answer"),
        pytest.param(run(HOOK, answered(503)), ("Dark", "CheckUnanswered", "Running"), id="503: no answer"),
        pytest.param(run(HOOK, Errand("Failed", "refused", at(99))), ("Dark", "CheckUnanswered", "Running"), id="not reachable: no answer"),
        pytest.param(run(HOOK, answered(403), seen={"since": at(-300)}), ("Dark", "CheckUnanswered", "Unknown"), id="no yes within its time: it holds"),
        pytest.param(run({**HOOK, "dryRun": True}, answered(403)), ("Stepping", "", "Unknown"), id="only watching it is asked once"),
        pytest.param(run({**JOB, "dryRun": True}, GOING), ("Dark", "WaitingForChecks", "Running"), id="only watching a Job is waited for"),
        pytest.param(run({**JOB, "dryRun": True}, FAILED), ("Stepping", "", "Failed"), id="and rejects nothing"),
        pytest.param(run({**JOB, "dryRun": True}, EVICTED), ("Stepping", "", "Unknown"), id="nor is it tried again"),
    ],
)  # fmt: skip
def test_a_check(seen: ReleaseFacts, expected: tuple[str, str, str]) -> None:
    assert told(seen) == expected


@pytest.mark.parametrize(
    ("known", "asked", "reason"),
    [
        pytest.param({"account_exists": False}, JOB, "NoAccount", id="its ServiceAccount is not there"),
        pytest.param({"allowed": {"jobs": False}}, JOB, "Forbidden", id="its ServiceAccount may not create Jobs"),
        pytest.param({"allowed": {"jobs": True}}, HOOK, "Forbidden", id="nor call webhooks"),
        pytest.param({"runs_jobs": False}, JOB, "JobsOff", id="opsloop itself may not"),
        pytest.param({"addresses": ()}, HOOK, "AddressNotAllowed", id="the administrator allowed no such address"),
    ],
)
def test_what_must_not_be_made_is_not_made_and_says_what_is_missing(known: Any, asked: Any, reason: str) -> None:
    seen = situation(asking(asked), known=known)
    assert told(seen) == ("Dark", reason, "") and not actions_of(seen, StartJob, CallWebhook)
    watched = situation(asking({**asked, "dryRun": True}), known=known)
    assert not actions_of(watched, StartJob, CallWebhook)
    (only,) = status_after(watched).target.checks  # type: ignore[union-attr]
    assert (only.result, only.reason) == ("Unknown", reason), "it says so, and holds nothing"
    assert "hunter2" not in f"{status_after(seen).dump()} {decide(seen).events}"


def test_a_job_finds_the_canary_by_its_variables_and_ends_with_it() -> None:
    (start,) = actions_of(situation(asking(JOB)), StartJob)
    body, spec = start.body, start.body["spec"]["template"]["spec"]
    env = {one["name"]: one["value"] for one in spec["containers"][0]["env"]}
    assert env == {
        "OPSLOOP_RELEASE": "answers",
        "OPSLOOP_CHECK": "load",
        "OPSLOOP_VERSION": "v4",
        "OPSLOOP_REVISION": V4,
        "OPSLOOP_WEIGHT": "0",
        "OPSLOOP_CANARY_HOST": "10.0.0.0",
        "OPSLOOP_CANARY_HOSTS": "10.0.0.0",
    }
    (owner,) = body["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Deployment", "answers-canary", "u-1")
    assert spec["serviceAccountName"] == "checks" and not spec["automountServiceAccountToken"]


def test_no_job_is_created_while_the_canary_that_would_own_it_is_not_there() -> None:
    assert not actions_of(run(JOB, None, canary=None), StartJob) and actions_of(run(JOB, None), StartJob)


def test_a_webhook_learns_what_it_is_asked_about_and_nobody_learns_its_key() -> None:
    seen = situation(asking(HOOK))
    (call,) = actions_of(seen, CallWebhook)
    assert call.url == URL and call.payload["revision"] == V4 and call.payload["hosts"] == ["10.0.0.0"]
    assert (call.payload["weight"], call.payload["version"]) == (0, "v4")
    failed = run(HOOK, answered(422))
    assert "hunter2" not in f"{status_after(seen).dump()} {status_after(failed).dump()} {decide(failed).events}"


@pytest.mark.parametrize(
    ("seen", "calls"),
    [
        pytest.param(run(HOOK, GOING), 0, id="while it is called"),
        pytest.param(run(HOOK, answered(403)), 0, id="just after its answer"),
        pytest.param(run(HOOK, replace(answered(403), at=at(90))), 1, id="ten seconds later it is asked again"),
        pytest.param(run(HOOK, None), 1, id="by a process that knows of no answer"),
        pytest.param(run(HOOK, replace(answered(403), at=at(90)), stop=Stop("shop", "now", "alice")), 0, id="not while a Stop stands"),
    ],
)  # fmt: skip
def test_when_a_webhook_is_asked(seen: ReleaseFacts, calls: int) -> None:
    assert len(actions_of(seen, CallWebhook)) == calls


def test_the_next_attempt_is_another_job_and_begins_a_little_later() -> None:
    item = asking(JOB)
    begun = ran(item, "load")
    seen = run(JOB, EVICTED)
    assert not actions_of(seen, StartJob)
    (after,) = status_after(seen).target.checks  # type: ignore[union-attr]
    assert (after.attempt, after.since) == (2, NOW + checks.AGAIN) and "attempt 1 of 3" in after.message
    (first,) = actions_of(situation(item, begun), StartJob)
    (second,) = actions_of(situation(item, after.model_copy(update={"since": at(95)})), StartJob)
    names = {first.body["metadata"]["name"], second.body["metadata"]["name"]}
    assert len(names) == 2 and first == actions_of(situation(item, begun), StartJob)[0], "the same in every process"


def test_a_job_ends_before_its_canary_and_while_a_stop_stands() -> None:
    item = asking(JOB, HOOK)
    load, confirm = ran(item, "load"), ran(item, "confirm")
    errands = {checks.errand_of(load): GOING, checks.errand_of(confirm): answered(422)}
    seen = situation(item, load, confirm, errands=errands)
    acts = decide(seen).actions
    assert [type(a) for a in acts if isinstance(a, EndJob | DeleteCanary)] == [EndJob, DeleteCanary]
    after = status_after(seen).target
    assert after is not None and [r.result for r in after.checks] == ["Unknown", "Failed"]
    stopped = run(JOB, GOING, stop=Stop("shop", "now", "alice"))
    assert len(actions_of(stopped, EndJob)) == 1 and told(stopped)[2] == "Running"
    assert not actions_of(run(JOB, None, stop=Stop("shop", "now", "alice")), StartJob, EndJob)


def test_a_failed_check_takes_a_canary_out_of_traffic_first_and_blocks_its_revision() -> None:
    seen = run(JOB, FAILED, 20)
    assert gates_closed(seen) == {"c0"}
    after = status_after(seen)
    blocked = next(r.blocked for r in after.revisions if r.digest == V4)
    assert blocked is not None and blocked.reason == "CheckFailed" and "p95=900ms" in blocked.message
    assert any(e.reason == "CheckFailed" and e.type == "Warning" for e in decide(seen).events)


def test_a_check_that_was_corrected_begins_anew() -> None:
    wrong, right = asking(JOB), asking({**JOB, "job": {"image": "k6:2"}})
    held = ran(wrong, "load", "Unknown", message="no such image")
    assert told(situation(wrong, held))[1] == "CheckUnanswered"
    again = situation(right, held)
    assert told(again) == ("Dark", "WaitingForChecks", "Running") and len(actions_of(again, StartJob)) == 1
    begun = ran(wrong, "load")
    changed = situation(right, begun, errands={checks.errand_of(begun): GOING})
    assert len(actions_of(changed, EndJob)) == 1, "the Job of what is not asked any more"


def test_it_does_not_run_beside_eval_cases() -> None:
    """Its load may be what an EvalCase fails for."""
    item = asking(JOB, evals={"port": 8080})
    dark = situation(item, cases=(evalcase(),))
    assert told(dark)[1] == "WaitingForEvals" and not actions_of(dark, StartJob)
    passed = replace(dark, eval_outcome=EvalOutcome(V4, -1, (result(1),)))
    assert told(passed)[1] == "WaitingForChecks" and len(actions_of(passed, StartJob)) == 1
    after = status_after(passed).target
    assert after is not None and after.evals_step == -1, "a process that starts anew does not ask them beside the Job"


def ordered(*ran_: CheckResult, item: Release, weight: int = 20, **more: Any) -> ReleaseFacts:
    item = item.model_copy(
        update={"metadata": item.metadata.model_copy(update={"annotations": {"opsloop.dev/promote": "v4/100"}})}
    )
    return situation(item, *ran_, weight=weight, **more)


def test_an_order_to_promote_passes_what_runs_and_not_what_failed() -> None:
    item = asking({**JOB, "at": [20]})
    runs = ran(item, "load", weight=20)
    seen = ordered(runs, item=item, errands={checks.errand_of(runs): GOING})
    assert end_of(seen)[0] == "Promoting"
    after = status_after(seen).target
    assert after is not None and after.checks[0].result == "Running", "its Job ends at the next look, with the step"
    assert end_of(ordered(ran(item, "load", "Unknown", 20), item=item))[0] == "Promoting"
    failed = ordered(runs, item=item, errands={checks.errand_of(runs): FAILED})
    assert end_of(failed) == ("Rejected", "CheckFailed")


results = st.sampled_from(["Passed", "Failed", "Unknown"])
weights = st.sampled_from([0, 20])


@given(
    st.lists(results, min_size=1, max_size=3), weights, st.sampled_from([None, 0.0, 0.9]), st.booleans(), st.booleans()
)
def test_law_with_checks_that_only_watch_everything_is_decided_as_without_them(
    said: list[str], weight: int, ratio: float | None, paused: bool, evals: bool
) -> None:
    more: dict[str, Any] = {"evals": {"port": 8080}} if evals else {}
    watched = asking(
        *({**JOB, "name": f"c{n}", "at": [0, 20], "dryRun": True} for n in range(len(said))), paused=paused, **more
    )
    without = asking(paused=paused, **more)
    ran_ = [ran(watched, f"c{n}", how, weight) for n, how in enumerate(said)]
    seen: dict[str, Any] = {"weight": weight, "readings": analysed(ratio), "cases": (evalcase(),) if evals else ()}
    one, other = decide(situation(watched, *ran_, **seen)), decide(situation(without, **seen))
    assert (one.safety, one.actions, one.events, one.look_again) == (
        other.safety, other.actions, other.events, other.look_again,
    )  # fmt: skip
    a, b = (status_after(situation(i, *r, **seen)) for i, r in ((watched, ran_), (without, [])))
    assert a.target is not None and b.target is not None
    assert a.target.model_copy(update={"checks": []}) == b.target
    assert a.model_copy(update={"target": None}) == b.model_copy(update={"target": None})


@given(st.lists(results, max_size=4), weights)
def test_law_a_step_is_taken_only_where_each_check_that_decides_has_passed(said: list[str], weight: int) -> None:
    steps = [{"weight": 20}, {"weight": 100}]
    item = release_asking(
        steps=steps, canary={"checks": [{**JOB, "name": f"c{n}", "at": [weight]} for n in range(len(said))]}
    )
    item = item.model_copy(update={"spec": item.spec.model_copy(update={"service_account_name": "checks"})})
    seen = situation(item, *(ran(item, f"c{n}", how, weight) for n, how in enumerate(said)), weight=weight)
    after = status_after(seen).target
    assert after is not None
    took = after.state == ("Stepping" if weight == 0 else "Promoting")
    assert took == all(how == "Passed" for how in said)
    assert (after.state == "Rejected") == ("Failed" in said)


def test_results_are_bounded_and_the_latest_stay() -> None:
    many = [CheckResult(name=f"c{n % 8}", weight=n // 8, id="0" * 10, result="Passed", since=at(n)) for n in range(40)]
    kept = checks.bounded(many[:-1], many[-1:])
    assert len(kept) == MOST_RESULTS and kept[-1] == many[-1] and kept[0] == many[-MOST_RESULTS]
    long = replace(FAILED, tail="x" * 5000 + " the last line")
    (after,) = status_after(run(JOB, long)).target.checks  # type: ignore[union-attr]
    assert len(after.message) <= checks.LONGEST and after.message.endswith("the last line")


def test_the_gates_of_a_dark_canary_stay_closed_while_it_is_asked() -> None:
    for seen in (situation(asking(JOB)), run(JOB, GOING), run(HOOK, answered(403))):
        assert not [a for a in actions_of(seen, SetGates) if a.open]


def test_a_check_of_the_spec_reads_as_it_is_written() -> None:
    check = RolloutCheck.model_validate(JOB)
    assert check.at == [0] and check.job is not None and check.job.attempts == 3 and not check.dry_run
    assert check.job.deadline == timedelta(minutes=1)
