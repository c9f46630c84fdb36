"""Stories of pages with opsloop's own wiring in fake time: what a person hears of an Incident, once each, until its end."""

from datetime import timedelta
from typing import Literal

import pytest

from opsloop.core import conditions
from opsloop.core.reported import Alert
from opsloop.entry.release_metrics import IncidentCollector
from opsloop.errors import Unavailable
from opsloop.shell.ports import INCIDENTS, RUNBOOKS
from tests.sim.shift import Shift, resolved, seconds, story
from tests.sim.shop import ERRORS, NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def heard(shift: Shift) -> list[str]:
    """What reached the pager, in order: `action reason severity`."""
    return [f"{p['action']} {p['reason']} {p['severity']}" for p in shift.operator.pager.pages]


def paged(shift: Shift) -> tuple[str, str, str]:
    incident = shift.incident()
    found = conditions.get(incident.status.conditions, "Paged") if incident else None
    return (found.status, found.reason, found.message) if found else ("", "", "")


@story
async def test_a_shift_is_one_call_and_one_end(shift: Shift) -> None:
    await shift.mitigate()
    await seconds(shift, 30)
    assert heard(shift) == ["trigger Severity sev1", "resolve Resolved sev1"]
    (told,) = IncidentCollector(shift.operator.operator.cache.incidents).collect()
    assert told.samples == [], "no metric of an Incident that is over"
    assert len({p["dedup_key"] for p in shift.operator.pager.pages}) == 1


@story
async def test_reopened_it_pages_again(shift: Shift) -> None:
    await shift.mitigate()
    shift.shop.set_image("v3")
    await shift.until("v1 is written back once more", lambda: shift.wrote() == ["v1", "v1"])
    await shift.until("resolved", lambda: resolved(shift))
    await seconds(shift, 5)
    assert heard(shift) == [
        "trigger Severity sev1",
        "resolve Resolved sev1",
        "trigger Reopened sev1",
        "resolve Resolved sev1",
    ]
    assert len({p["dedup_key"] for p in shift.operator.pager.pages}) == 1, "one thread"


@story
async def test_each_push_of_a_blocked_revision_and_the_contest_is_heard(shift: Shift) -> None:
    await shift.mitigate()
    for _ in range(2):
        shift.shop.set_image("v2", manager="argocd")
        await shift.until("open again", lambda: not resolved(shift))
        await shift.until("resolved again", lambda: resolved(shift))
    shift.shop.set_image("v2", manager="argocd")
    await seconds(shift, 40)
    calls = [line for line in heard(shift) if line.startswith("trigger")]
    assert calls == ["trigger Severity sev1", *["trigger Reopened sev1"] * 2, "trigger Contested sev1"]
    (told,) = IncidentCollector(shift.operator.operator.cache.incidents).collect()
    shown = {sample.labels["condition"]: sample.labels["status"] for sample in told.samples}
    assert (shown["Contested"], shown["Paged"]) == ("True", "True"), "an alert can be written on it"


@story
async def test_a_rollback_that_does_not_help_calls_a_person_though_one_was_paged(shift: Shift) -> None:
    shift.shop.errors["v1"] = 0.8  # a dependency is down: no version helps
    shift.shop.set_image("v2")
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"])
    await shift.until("escalated", lambda: "trigger Escalated sev1" in heard(shift), most=300)
    assert heard(shift) == ["trigger Severity sev1", "trigger Escalated sev1"]
    shift.shop.errors["v1"] = ERRORS["v1"]
    await shift.until("resolved", lambda: resolved(shift))
    await seconds(shift, 5)
    assert heard(shift)[2:] == ["resolve Resolved sev1"]


@story
async def test_sev2_that_becomes_sev1_pages_again(shift: Shift) -> None:
    """A critical alert pages at sev2 while Prometheus is away; then the SLI comes back and shows a sev1 burn."""
    shift.shop.silent = True
    await seconds(shift, 70)
    now = shift.shop.clock.now()
    labels = {"alertname": "Down", "service": "answers", "severity": "critical"}
    shift.shop.report("alert", (Alert("f1", "firing", now, labels, {}, now),))
    await shift.until("paged at sev2", lambda: heard(shift) == ["trigger Severity sev2"], most=90)
    shift.shop.errors["v1"] = 0.8
    shift.shop.silent = False
    await shift.until("paged at sev1", lambda: len(heard(shift)) == 2, most=30)
    assert heard(shift)[1] == "trigger SeverityRaised sev1"


@story
async def test_a_receiver_that_answers_500_for_three_minutes_is_said_and_tried_until_it_takes_the_page(
    shift: Shift,
) -> None:
    pager, fakes = shift.operator.pager, shift.operator.fakes
    pager.failure = Unavailable("pager: 500 out of order")
    await shift.shop.cluster.delete(RUNBOOKS, NS, "bad-release")
    shift.shop.set_image("v2")
    await shift.until("it is said", lambda: paged(shift)[:2] == ("False", "Undelivered"), most=30)
    assert "500 out of order" in paged(shift)[2]
    assert ("answers-1", "PageUndelivered") in fakes.events.posted and fakes.instruments.pages_undelivered == 1
    await seconds(shift, 180)
    failed = fakes.instruments.pages["trigger", "failed"]
    assert pager.pages == [] and 6 <= failed <= 12, "with growing pauses"
    assert [e for e in fakes.events.posted if e == ("answers-1", "PageUndelivered")] == [
        ("answers-1", "PageUndelivered")
    ]
    pager.failure = None
    await shift.until("it is delivered", lambda: heard(shift) == ["trigger Severity sev1"], most=61)
    await seconds(shift, 2)
    assert paged(shift)[:2] == ("True", "Delivered") and fakes.instruments.pages_undelivered == 0


@story
async def test_a_page_that_nobody_took_is_given_up_with_the_incident_and_its_end_says_so(shift: Shift) -> None:
    pager, fakes = shift.operator.pager, shift.operator.fakes
    pager.failure = Unavailable("pager: 500 out of order")
    shift.shop.set_image("v2")
    await shift.until("resolved", lambda: resolved(shift))
    await seconds(shift, 3)
    assert ("answers-1", "PageGivenUp") in fakes.events.posted
    pager.failure = None
    await shift.until("its end is delivered", lambda: bool(pager.pages), most=61)
    assert heard(shift) == ["resolve Resolved sev1"] and "had not been delivered" in pager.pages[0]["message"]


@story
async def test_killed_while_the_pager_refuses_it_still_delivers(shift: Shift) -> None:
    shift.operator.pager.failure = Unavailable("pager: 500 out of order")
    await shift.shop.cluster.delete(RUNBOOKS, NS, "bad-release")
    shift.shop.set_image("v2")
    await shift.until("it is said", lambda: paged(shift)[1] == "Undelivered", most=30)
    await shift.operator.stop()
    shift.operator.pager.failure = None
    await shift.until("it is delivered", lambda: heard(shift) == ["trigger Severity sev1"], most=15)


@story
async def test_an_acknowledged_incident_is_acknowledged_at_the_pager(shift: Shift) -> None:
    await shift.shop.cluster.delete(RUNBOOKS, NS, "bad-release")
    shift.shop.set_image("v2")
    await shift.until("a page", lambda: bool(heard(shift)), most=30)
    shift.shop.annotate(INCIDENTS, "answers-1", acknowledge="true")
    await seconds(shift, 5)
    assert heard(shift) == ["trigger Severity sev1", "acknowledge Acknowledged sev1"]


@story
async def test_sixty_services_with_the_same_alert_at_the_same_time_are_one_page(shift: Shift) -> None:
    now = shift.shop.clock.now()
    for first in range(0, 60, 20):
        each = [
            {"alertname": "DeploymentDown", "deployment": f"team-{n}", "severity": "critical"}
            for n in range(first, first + 20)
        ]
        shift.shop.report(f"storm-{first}", tuple(Alert(a["deployment"], "firing", now, a, {}, now) for a in each))
        await seconds(shift, 2)
    await seconds(shift, 20)
    assert heard(shift) == ["trigger Severity sev2"]


@story
async def test_fourteen_services_that_fail_at_once_are_five_pages_and_one_that_says_how_many(shift: Shift) -> None:
    """Services without a Release: most of them, on the day of installation. Of faults that have nothing to do with each other."""
    now = shift.shop.clock.now()
    began = {f"service-{n:02}": now - timedelta(minutes=65 * n) for n in range(14)}

    def report(kind: str, status: Literal["firing", "resolved"]) -> None:
        at = shift.shop.clock.now()
        labels = [{"alertname": f"Down{name[-2:]}", "service": name, "severity": "critical"} for name in began]
        ended = at if status == "resolved" else None
        alerts = (Alert(each["service"], status, began[each["service"]], each, {}, at, ended) for each in labels)
        shift.shop.report(kind, tuple(alerts))

    report("storm", "firing")
    await seconds(shift, 20)
    keys = [p["dedup_key"] for p in shift.operator.pager.pages]
    assert len(set(keys)) == 6 and len(keys) == 7, "five, and one which says that it has doubled"
    told = [p["message"] for p in shift.operator.pager.pages if p["dedup_key"].startswith("shop/pages-")]
    assert [text.split(" of ")[0] for text in told] == ["6 Incidents", "12 Incidents"]
    report("end", "resolved")
    await seconds(shift, 130)
    ends = [p["dedup_key"] for p in shift.operator.pager.pages if p["action"] == "resolve"]
    assert sorted(ends) == sorted(set(keys)), "every thread ends once"


@story
async def test_an_incident_that_is_deleted_ends_its_thread(shift: Shift) -> None:
    await shift.shop.cluster.delete(RUNBOOKS, NS, "bad-release")
    shift.shop.set_image("v2")
    await shift.until("a page", lambda: bool(heard(shift)), most=30)
    shift.shop.errors["v2"] = 0.0
    await shift.shop.cluster.delete(INCIDENTS, NS, "answers-1")
    await seconds(shift, 5)
    assert heard(shift)[:2] == ["trigger Severity sev1", "resolve Deleted sev1"]
