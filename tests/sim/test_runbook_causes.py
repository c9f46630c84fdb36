"""Runbooks on Incidents that no SLI shows and no revision explains, and two Runbooks that act on one Release at the same moment."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.incident import Incident
from opsloop.core import conditions
from opsloop.core.reported import Alert
from opsloop.errors import Unavailable
from opsloop.shell.ports import INCIDENTS, Object
from tests.sim.operator import SETTINGS
from tests.sim.shift import Shift, release_object, runbook_object, seconds
from tests.sim.shop import NS, Shop
from tests.sim.test_runbook_steps import book, end_jobs, patches

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
JOB: Object = {"type": "job", "job": {"image": "tools:1", "deadline": "1m"}, "timeout": "2m"}
RESTART: Object = {"type": "restart", "timeout": "20s"}


def named(name: str, *steps: Object, severities: tuple[str, ...] = (), causes: tuple[str, ...] = ("unknown",), **safety: Any) -> Object:  # fmt: skip
    item = book(name, *steps, **safety)
    item["spec"]["match"] = {"causes": list(causes), **({"severities": list(severities)} if severities else {})}
    return item


def without_slo() -> Object:
    item = release_object()
    return {**item, "spec": {key: value for key, value in item["spec"].items() if key not in ("slo", "evals")}}


def told(shift: Shift, number: int = 1) -> Incident:
    stored = shift.shop.cluster.find(INCIDENTS, NS, f"answers-{number}")
    assert stored is not None
    return Incident.model_validate(stored)


def last(item: Incident) -> tuple[str, str, str]:
    (play,) = item.status.plays[-1:]
    return play.type, play.state, play.reason


def alert(shift: Shift, status: str) -> None:
    """Alertmanager repeats one critical alert, or tells its end."""
    now = shift.shop.clock.now()
    labels = {"alertname": "QueueStuck", "service": "answers", "severity": "critical"}
    one = Alert("f1", status, now, labels, {}, now)  # type: ignore[arg-type]
    shift.shop.report(f"{status}-{now.timestamp():.0f}", (one,))


async def test_critical_alerts_alone_have_the_job_run_that_was_written_for_them() -> None:
    shift = Shift(shop=Shop(without_slo(), named("stuck", JOB)))
    await seconds(shift, 5)
    alert(shift, "firing")
    await seconds(shift, 10)
    acting = conditions.get(told(shift).status.conditions, "Acting")
    assert acting is not None and acting.reason == "CauseOpen", "a cause may still be found"
    await shift.until("the Job is created", lambda: bool(shift.shop.cluster.written("create", "jobs")), most=80)
    end_jobs(shift)
    await seconds(shift, 10)
    item = told(shift)
    assert last(item)[:2] == ("job", "Running") and item.status.plays[0].effect_at is not None, (
        "alerts have the last word"
    )
    alert(shift, "resolved")
    await shift.until("mitigated", lambda: told(shift).status.phase == "Mitigated")
    assert last(told(shift)) == ("job", "Helped", "AlertsResolved")
    await shift.operator.stop()


async def test_alerts_of_which_nobody_speaks_any_more_take_their_job_along() -> None:
    """It is told to be forgotten, not helped; and the Job goes with it."""
    long = {**JOB, "job": {"image": "tools:1", "deadline": "100h"}, "timeout": "200h"}
    settings = replace(SETTINGS, repeat_interval=SETTINGS.tick * 120)
    shift = Shift(shop=Shop(without_slo(), named("stuck", long)), settings=settings)
    await seconds(shift, 5)
    alert(shift, "firing")
    await shift.until("the Job is created", lambda: bool(shift.shop.cluster.written("create", "jobs")), most=90)
    await shift.until("it is over", lambda: told(shift).status.phase == "Resolved", most=900)
    await seconds(shift, 15)
    assert shift.shop.objects("jobs") == [] and last(told(shift)) == ("job", "NotProven", "EndedWithIncident")
    await shift.operator.stop()


def by_alerts(number: int, severity: str) -> Object:
    """An open Incident on `answers` that calls people: beside one another they are not what an inbox would make."""
    signal = {"kind": "alerts", "at": "2026-01-05T09:00:00Z", "severity": severity, "message": "stuck"}
    spec = {"release": "answers", "service": "answers", "title": "stuck", "signal": signal}
    return {"kind": "Incident", "metadata": {"name": f"answers-{number}", "namespace": NS}, "spec": spec}


@pytest.mark.parametrize(
    ("cooldown", "at_once"),
    [
        pytest.param("1m", 1, id="the other one waits for the cooldown"),
        pytest.param("0s", 1, id="without one, until the first one is in effect"),
    ],
)
async def test_of_two_runbooks_that_are_asked_at_the_same_moment_one_act_follows(cooldown: str, at_once: int) -> None:
    one, two = (named(f"for-{s}", RESTART, severities=(s,), cooldown=cooldown) for s in ("sev1", "sev2"))
    shift = Shift(shop=Shop(without_slo(), one))
    shift.shop.cluster.seed(two)
    await seconds(shift, 10)
    shift.shop.cluster.seed(by_alerts(1, "sev1"))
    shift.shop.cluster.seed(by_alerts(2, "sev2"))
    await shift.until("one acts", lambda: bool(patches(shift)), most=90)
    await seconds(shift, 3)
    asked = [told(shift, n).status.plays[0].requested_at for n in (1, 2)]
    assert abs((asked[0] - asked[1]).total_seconds()) < 1, "at the same moment"
    assert len(patches(shift)) == at_once
    await seconds(shift, 200)
    plays = [p for n in (1, 2) for p in told(shift, n).status.plays if p.type == "restart"]
    begun = [p for p in plays if p.started_at is not None]
    assert len(patches(shift)) == len(begun) <= 2, [(p.state, p.reason, p.message) for p in plays]
    assert all(p.state not in ("Requested", "Running") for p in plays)
    await shift.operator.stop()


async def test_a_step_for_unknown_causes_gives_way_to_the_runbook_for_the_cause_that_is_found() -> None:
    shift = Shift(shop=Shop(release_object(), runbook_object()))
    shift.shop.cluster.seed(named("stuck", RESTART, mode="approve"))
    await shift.adopt()
    shift.shop.errors["v1"] = 0.5
    await shift.until("a restart is asked for", lambda: bool((one := shift.incident()) and one.status.plays), most=200)
    shift.shop.errors["v1"], shift.shop.errors["v2"] = 0.3, 1.0
    shift.shop.set_image("v2")
    await shift.until("v1 is back", lambda: shift.live == "v1" and len(told(shift).status.plays) == 2, most=60)
    asked, done = told(shift).status.plays
    assert (asked.runbook, asked.state, asked.reason) == ("stuck", "Refused", "CauseFound")
    assert (done.type, done.runbook) == ("rollback", "bad-release")
    await shift.operator.stop()


async def test_a_job_whose_delete_failed_when_the_alerts_ended_is_ended_all_the_same() -> None:
    long = {**JOB, "job": {"image": "tools:1", "deadline": "100h"}, "timeout": "200h"}
    shift = Shift(shop=Shop(without_slo(), named("stuck", long)))
    await seconds(shift, 5)
    alert(shift, "firing")
    await shift.until("the Job is there", lambda: bool(shift.shop.cluster.written("create", "jobs")), most=90)
    await seconds(shift, 5)
    real: Any = shift.shop.cluster.delete
    fails = [Unavailable("connection reset")]

    async def delete(resource: Any, *rest: Any, **more: Any) -> Any:
        if resource.plural == "jobs" and fails:
            raise fails.pop()
        return await real(resource, *rest, **more)

    shift.shop.cluster.delete = delete  # type: ignore[method-assign]
    alert(shift, "resolved")
    await shift.until("it is mitigated", lambda: told(shift).status.phase in ("Mitigated", "Resolved"))
    await seconds(shift, 60)
    assert not fails and not shift.shop.objects("jobs")
    await shift.operator.stop()
