"""Stories of plays with opsloop's own wiring in fake time: limits that delay, and what is said of the outcome."""

from dataclasses import replace
from datetime import timedelta

import pytest

from opsloop.core import conditions
from opsloop.shell.ports import CONFIGMAPS, RUNBOOKS
from tests.builders.objects import V1
from tests.sim.operator import SETTINGS
from tests.sim.shift import Shift, release_object, resolved, runbook_object, seconds, story
from tests.sim.shop import NS, Shop, version_of

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def limit(shift: Shift, **safety: object) -> None:
    """Edits the Runbook's safety."""
    book = shift.shop.cluster.find(RUNBOOKS, NS, "bad-release")
    assert book is not None
    shift.shop.cluster.seed({**book, "spec": {**book["spec"], "safety": {"mode": "auto", **safety}}})


@story
async def test_the_hour_s_plays_are_used_up_so_the_next_bad_version_waits_for_its_turn_and_is_rolled_back(
    shift: Shift,
) -> None:
    limit(shift, maxPerHour=1)
    await shift.mitigate()
    shift.shop.set_image("v3")
    await seconds(shift, 20)
    incident, book = shift.incident(), shift.shop.cluster.find(RUNBOOKS, NS, "bad-release")
    assert incident is not None and book is not None and shift.wrote() == ["v1"]
    assert incident.status.plays[-1].state == "Requested"
    acting = conditions.get(incident.status.conditions, "Acting")
    assert acting is not None and acting.reason == "TooManyThisHour"
    until = book["status"]["grants"][-1]["notBefore"]
    assert until[11:19] in acting.message  # the time of day
    shift.shop.pass_quietly(3600)
    await shift.operator.stop()  # the clock jumped: a new process looks at everything, as after an hour of timers
    await shift.until("v1 is written back once more", lambda: shift.wrote() == ["v1", "v1"])
    await shift.until("resolved", lambda: resolved(shift))


async def test_a_cooldown_delays_the_play_of_the_next_incident_and_refuses_it_not_for_good() -> None:
    shift = Shift(settings=replace(SETTINGS, reopen_grace=timedelta(0)))
    await shift.adopt()
    limit(shift, cooldown="1m")
    await shift.mitigate()
    shift.shop.set_image("v3")
    await seconds(shift, 20)
    assert len(shift.shop.objects("incidents")) == 2 and shift.wrote() == ["v1"]
    await shift.until("v1 is written back once more", lambda: shift.wrote() == ["v1", "v1"], most=60)
    await shift.operator.stop()


@story
async def test_watching_uses_up_no_limit(shift: Shift) -> None:
    limit(shift, maxPerHour=1)
    book = shift.shop.cluster.find(RUNBOOKS, NS, "bad-release")
    assert book is not None
    book["spec"]["steps"] = [{"type": "wait", "timeout": "5s"}, {"type": "rollback", "timeout": "2m"}]
    shift.shop.cluster.seed(book)
    shift.shop.set_image("v2")
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"], most=60)


EACH_FIVE = replace(
    SETTINGS, tick=timedelta(seconds=5), prometheus_resolution=timedelta(seconds=5)
)  # stories of an hour


def ordinary(sure: float = 0.8) -> Shift:
    """Acts from a confidence of `sure`. The README's SLO and Runbook: the default tiers' windows of an hour and of five minutes, a time-out of five minutes."""
    release, book = release_object(), runbook_object()
    tiers = [{"long": "1h", "short": "5m", "factor": 14.4, "severity": "sev1"}]
    release["spec"]["slo"] |= {"objective": 0.999, "tiers": tiers, "resolveAfter": "5m", "bakeTime": "10m"}
    book["spec"]["safety"] = {"mode": "auto", "minConfidence": sure}
    book["spec"]["steps"] = [{"type": "rollback", "timeout": "5m"}, {"type": "escalate"}]
    shift = Shift(shop=Shop(release, book), settings=EACH_FIVE)
    shift.shop.telemetry.scrape = EACH_FIVE.prometheus_resolution
    shift.shop.errors |= {"v1": 0.0005, "v2": 0.8}  # as all services do, v1 errs a little
    return shift


async def adopted_for_hours(shift: Shift) -> None:
    shift.shop.pass_quietly(4 * 3600)  # before opsloop comes: all windows are covered from its first look on
    await shift.until("v1 is adopted", lambda: shift.release().status.live == V1)
    await seconds(shift, 2)
    shift.shop.pass_quietly(11 * 60)
    await shift.until("v1 is last-good", lambda: bool(shift.release().status.revisions[0].proven_at))


async def test_a_rollback_that_works_is_known_long_before_a_window_of_five_minutes_has_drained() -> None:
    shift = ordinary()
    await adopted_for_hours(shift)
    shift.shop.set_image("v2")
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"], most=120)
    await shift.until("no pod of v2 is left", lambda: {version_of(p) for p in shift.shop.in_traffic()} == {"v1"})
    gone = shift.second
    await shift.until("it helped", lambda: shift.incident().status.plays[-1].state == "Helped", most=20)  # type: ignore[union-attr]
    await shift.until("mitigated", lambda: shift.incident().status.phase == "Mitigated", most=10)  # type: ignore[union-attr]
    assert (
        shift.second - gone <= 25
    )  # three scrapes and two looks; 700 requests are enough to be sure of less than 1.4 % errors
    await shift.until("resolved", lambda: resolved(shift), most=700)
    incident = shift.incident()
    assert incident is not None and [(p.type, p.state) for p in incident.status.plays] == [("rollback", "Helped")]
    assert incident.status.exonerated == [] and incident.status.reopened == 0
    await shift.operator.stop()


async def test_a_rollback_that_does_not_help_takes_block_and_blame_back_and_calls_a_person() -> None:
    """v2 is pushed a moment before what it depends on fails: the database's outage goes on with v1."""
    shift = ordinary(sure=0.3)
    await adopted_for_hours(shift)
    shift.shop.set_image("v2")
    shift.shop.errors |= {"v1": 0.8}
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"], most=120)
    await shift.until("it did not help", lambda: shift.incident().status.plays[0].state == "DidNotHelp", most=30)  # type: ignore[union-attr]
    await seconds(shift, 3)
    incident, release = shift.incident(), shift.release().status
    assert incident is not None and incident.status.cause is not None
    assert (incident.status.cause.kind, incident.status.cause.reason) == ("unknown", "Exonerated")
    assert [(p.type, p.state) for p in incident.status.plays] == [("rollback", "DidNotHelp"), ("escalate", "Done")]
    blocked = {r.version: r.blocked.reason for r in release.revisions if r.blocked}
    assert blocked == {"v2": "NeedsCanary"}

    shift.shop.errors |= {"v1": 0.0, "v2": 0.0}
    await shift.until("the database is back", lambda: resolved(shift), most=1000)
    text = stored_postmortem(shift)
    assert "it was not the cause" in text and "by a rollback" not in text and "is blocked" not in text
    shift.shop.ship("v2", evals=None)
    await shift.until("v2 goes again as a canary", lambda: shift.target() == ("v2", "Stepping"))
    await shift.until("and is promoted", lambda: shift.target() == ("v2", "Promoted"))
    await seconds(shift, 5)
    assert shift.live == "v2"
    await shift.operator.stop()


async def test_an_outage_that_was_over_before_the_rollback_took_effect_earns_it_no_credit() -> None:
    """Pods need half a minute to start: the outage of the database ends while v2 still serves."""
    shift = ordinary(sure=0.3)
    await adopted_for_hours(shift)
    shift.shop.set_image("v2")
    shift.shop.errors |= {"v1": 0.8}
    await seconds(shift, 10)  # v2 is rolled out
    shift.shop.start_up = 30
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"], most=150)
    shift.shop.errors |= {"v1": 0.0005, "v2": 0.0005}
    await shift.until("resolved", lambda: resolved(shift), most=1000)
    incident, release = shift.incident(), shift.release().status
    assert incident is not None and incident.status.cause is not None
    rollbacks = [(p.state, p.reason) for p in incident.status.plays if p.type == "rollback"]
    assert rollbacks == [("NotProven", "BackBeforeEffect")]
    assert incident.status.cause.kind == "unknown"
    assert {r.version: r.blocked.reason for r in release.revisions if r.blocked} == {"v2": "NeedsCanary"}
    await shift.operator.stop()


def stored_postmortem(shift: Shift) -> str:
    stored = shift.shop.cluster.find(CONFIGMAPS, NS, "answers-1-postmortem")
    assert stored is not None
    return str(stored["data"]["postmortem.md"])
