"""Webhooks and Jobs of an Incident that is over, or whose step is gone: what runs is ended, until it is gone. No key is told."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.core.actions import CallWebhook, EndJob
from opsloop.core.facts import Address, Errand, IncidentFacts
from tests.builders.incidents import BLOCKED_BAD, acts, after, book, burnt, decide, facts, play, service, sli
from tests.builders.objects import at
from tests.builders.rollouts import ADOPTED

JOB = {"type": "job", "job": {"image": "tools:1", "deadline": "1h"}}
GOING = Errand("Going")
MERGED: dict[str, Any] = {"phase": "Resolved", "mergedInto": "catalog-1"}
END = EndJob("answers-1", "answers-1-step-0-1")


def running(type_: str = "job", state: str = "Running", errand: Errand | None = GOING, books: Any = None, ratio: float = 0.5, **status: Any) -> IncidentFacts:  # fmt: skip
    """A Job that was begun 39 s ago."""
    step = play(state, type_, called_at=at(61), seen_at=at(65))
    item = burnt(**{"phase": "Mitigating", "plays": [step], **status})
    books = (book(True, steps=[JOB]),) if books is None else books
    return replace(facts(item, service(), sli(ratio, onset=at(-5)), runbooks=books), errand=errand)


DONE = Errand("Done", "Job is complete", at(99), "cleared")


@pytest.mark.parametrize(
    ("seen", "ended", "outcome"),
    [
        pytest.param(running(), [], ("Running", ""), id="a Job goes on while its Incident is open"),
        pytest.param(running(**MERGED), [END], ("Running", ""), id="merged: its Job is ended, and its play lasts until it is gone"),
        pytest.param(running(errand=None, **MERGED), [], ("NotProven", "EndedWithIncident"), id="then the play is over"),
        pytest.param(running(errand=DONE, **MERGED), [], ("NotProven", "EndedWithIncident"), id="a Job that ended by itself is left to be looked at"),
        pytest.param(running("webhook", **MERGED), [], ("NotProven", "EndedWithIncident"), id="a call cannot be taken back"),
        pytest.param(running(state="Requested", errand=None, **MERGED), [], ("Refused", "EndedWithIncident"), id="what was asked for is not granted any more"),
        pytest.param(running(state="Helped", errand=None, **MERGED), [], ("Helped", ""), id="what ended stays as it is"),
        pytest.param(running(ratio=0.0, phase="Resolved", resolvedAt=at(90)), [END], ("Running", ""), id="resolved: the same"),
        pytest.param(running(books=()), [END], ("Running", ""), id="its Runbook is gone: nobody answers for it any more"),
        pytest.param(running(errand=None, books=()), [], ("NotProven", "JobEnded"), id="then that is said"),
    ],
)  # fmt: skip
def test_a_job_ends_with_what_it_is_for(seen: IncidentFacts, ended: list[EndJob], outcome: tuple[str, str]) -> None:
    assert acts(seen, EndJob) == ended
    status = after(seen)
    assert (status.plays[0].state, status.plays[0].reason) == outcome
    assert not ended or decide(seen).look_again is not None


@pytest.mark.parametrize("verify", [{}, {"verify": "none"}])
@pytest.mark.parametrize("state", ["Done", "Failed"])
def test_the_log_of_a_job_is_told_however_it_ended_and_whatever_follows(verify: dict[str, Any], state: str) -> None:
    """Found on kind: a Job that was complete at the first look at its end told nothing."""
    ended = replace(DONE, state=state)  # type: ignore[arg-type]
    status = after(running(errand=ended, books=(book(True, steps=[{**JOB, **verify}]),)))
    assert [e.message for e in status.timeline if e.type == "JobLog"] == ["the Job's log ends: cleared"]


def test_the_log_of_a_job_that_ended_is_kept_also_where_its_incident_was_merged() -> None:
    assert any(e.type == "JobLog" and "cleared" in e.message for e in after(running(errand=DONE, **MERGED)).timeline)


def test_a_blocked_revision_that_is_pushed_again_ends_the_job_of_the_step_that_it_overtakes() -> None:
    rolled_back = play("Helped")
    job = play("Running", "job", called_at=at(61), seen_at=at(65))
    seen = running(plays=[rolled_back, job], rollback=None)
    pushed = service(known=(ADOPTED, BLOCKED_BAD))
    seen = replace(seen, root=replace(seen.root, release=pushed))  # type: ignore[type-var]
    assert [p.state for p in after(seen).plays if p.type == "job"] == ["DidNotHelp"]
    assert acts(seen, EndJob) == [END]


SECRET = "hunter2"
URL = f"https://hooks.example.com/opsloop/restart?token={SECRET}&now=1"
HOOK = {"type": "webhook", "webhook": {"url": URL}}
ALLOWED = (Address("https://hooks.example.com/opsloop/"),)


@pytest.mark.parametrize("addresses", [pytest.param(ALLOWED, id="allowed"), pytest.param((), id="not allowed")])
@pytest.mark.parametrize("mode", ["auto", "approve", "dryRun"])
def test_no_key_of_a_webhook_is_told_to_anybody(addresses: tuple[Address, ...], mode: str) -> None:
    """Neither in the status with its timeline and its page, nor in an Event; the call itself has it."""
    granted = book(mode != "dryRun", reason="DryRun" if mode == "dryRun" else "x", steps=[HOOK], safety={"mode": mode})
    meta = {"annotations": {"opsloop.dev/approve": "webhook-1"}}
    for plays in ([], [play("Requested", "webhook", started_at=None)]):
        seen = facts(burnt(plays=plays, meta=meta), seen=sli(0.5, onset=at(-5)), runbooks=(granted,))
        seen = replace(seen, addresses=addresses)
        decision = decide(seen)
        told = (
            f"{after(seen).dump()} {decision.events} {[a for a in decision.actions if not isinstance(a, CallWebhook)]}"
        )
        assert SECRET not in told
        if plays or mode == "approve":
            assert "hooks.example.com/opsloop/restart?token=…&now=…" in told
    called = acts(seen, CallWebhook)
    assert [c.url for c in called] == ([URL] if addresses and mode != "dryRun" else [])
