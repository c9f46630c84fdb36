"""Stories of Runbook steps beside the page's: deaths at every write, limits, refusals, migrations, approvals that nobody gives."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.meta import format_time
from opsloop.core import conditions
from opsloop.core.facts import Address
from opsloop.core.release.stamps import RESTARTED_AT as RESTARTED
from opsloop.errors import Forbidden, Unavailable
from opsloop.shell.ports import DEPLOYMENTS, INCIDENTS, JOBS, RUNBOOKS, STOPS, Object
from opsloop.shell.watch.stops import Stops
from tests.sim import deaths
from tests.sim.operator import SETTINGS
from tests.sim.shift import Shift, release_object, runbook_object, seconds
from tests.sim.shop import NS, Shop

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SCALE: Object = {"type": "scale", "scale": {"replicas": 6}, "timeout": "20s"}
RESTART: Object = {"type": "restart", "timeout": "20s"}
FREEZE: Object = {"type": "freeze", "freeze": {"duration": "1h", "reason": "hold still"}}


def book(name: str, *steps: Object, **safety: Any) -> Object:
    base = runbook_object()
    spec = {**base["spec"], "match": {}, "steps": list(steps), "safety": {"mode": "auto", **safety}}
    return {**base, "metadata": {"name": name, "namespace": NS}, "spec": spec}


HOOK = "https://hooks.example.com/opsloop/restart"
WEBHOOK: Object = {"type": "webhook", "webhook": {"url": HOOK}, "timeout": "20s", "verify": "none"}
JOB: Object = {"type": "job", "job": {"image": "tools:1", "deadline": "1m"}, "timeout": "20s", "verify": "none"}
NAME = "answers-1-step-0-1"


def shift_with(*steps: Object, **safety: Any) -> Shift:
    settings = replace(SETTINGS, webhooks=(Address("https://hooks.example.com/opsloop/", (NS,)),))
    return Shift(shop=Shop(release_object(), book("steps", *steps, **safety)), settings=settings)


def end_jobs(shift: Shift) -> None:
    """As the Job controller does, a moment later: whatever Job runs is complete."""
    for job in shift.shop.objects("jobs"):
        if not job.get("status"):
            done = {"type": "Complete", "status": "True", "lastTransitionTime": format_time(shift.shop.clock.now())}
            shift.shop.cluster.seed({**job, "status": {"conditions": [done]}})


async def to_the_end(shift: Shift, most: int = 300) -> None:
    for _ in range(most):
        await shift.one_second()
        end_jobs(shift)
        if plays(shift)[-1:] == [("escalate", "Done", "Escalated")]:
            return
    raise AssertionError(plays(shift))


def errands(shift: Shift) -> tuple[int, int]:
    """Calls and created Jobs so far."""
    return len(shift.operator.fakes.caller.called), len(shift.shop.cluster.written("create", "jobs"))


def plays(shift: Shift) -> list[tuple[str, str, str]]:
    incident = shift.incident()
    return [(p.type, p.state, p.reason) for p in incident.status.plays] if incident else []


def patches(shift: Shift) -> list[str]:
    """Writes to the user's Deployment, by what they change."""
    return [w.body[1]["path"] for w in shift.shop.cluster.written("json_patch", "deployments") if w.name == "answers"]


def message_of(shift: Shift, type_: str) -> str:
    incident = shift.incident()
    assert incident is not None
    found = conditions.get(incident.status.conditions, type_)
    return found.message if found else ""


async def pushed(shift: Shift) -> None:
    await shift.adopt()
    shift.shop.set_image("v2")


ENDS = [
    pytest.param((SCALE,), ["/spec/replicas"], id="scale"),
    pytest.param((RESTART,), ["/spec/template"], id="restart"),
    pytest.param((FREEZE, RESTART, SCALE), ["/spec/template", "/spec/replicas"], id="one after the other"),
]


@pytest.mark.simulation
@pytest.mark.soak
@pytest.mark.parametrize("after", [pytest.param(False, id="before it"), pytest.param(True, id="after it")])
@pytest.mark.parametrize(("steps", "written"), ENDS)
async def test_killed_at_any_write_no_step_acts_twice(
    steps: tuple[Object, ...], written: list[str], after: bool
) -> None:
    whole = shift_with(*steps)
    await pushed(whole)
    await whole.until("a person is called", lambda: plays(whole)[-1:] == [("escalate", "Done", "Escalated")], most=200)
    await whole.operator.stop()
    first = next(n for n, w in enumerate(whole.shop.cluster.writes) if w.resource == INCIDENTS)
    assert patches(whole) == written
    for n in deaths.tried(first + 1, len(whole.shop.cluster.writes) - 1, after * deaths.HALF + len(written)):
        shift = shift_with(*steps)
        shift.shop.cluster.die_at(n, after)
        await pushed(shift)
        await shift.until("the end", lambda s=shift: plays(s)[-1:] == [("escalate", "Done", "Escalated")], most=300)  # type: ignore[misc]
        assert (n, patches(shift), plays(shift)) == (n, written, plays(whole))
        await shift.operator.stop()


@pytest.mark.simulation
@pytest.mark.soak
@pytest.mark.parametrize("after", [pytest.param(False, id="before it"), pytest.param(True, id="after it")])
@pytest.mark.parametrize(
    ("step", "made"), [pytest.param(WEBHOOK, (1, 0), id="webhook"), pytest.param(JOB, (0, 1), id="job")]
)
async def test_killed_at_any_write_nothing_is_called_or_created_twice(
    step: Object, made: tuple[int, int], after: bool
) -> None:
    whole = shift_with(step)
    await pushed(whole)
    await to_the_end(whole)
    await whole.operator.stop()
    first = next(n for n, w in enumerate(whole.shop.cluster.writes) if w.resource == INCIDENTS)
    assert errands(whole) == made and plays(whole)[0][1:] == ("Done", "InPlace")
    unknown = 0
    for n in deaths.tried(first + 1, len(whole.shop.cluster.writes) - 1, after * deaths.HALF + (step is JOB)):
        shift = shift_with(step)
        shift.shop.cluster.die_at(n, after)
        await pushed(shift)
        await to_the_end(shift)
        (type_, state, reason), calls = plays(shift)[0], errands(shift)
        unknown += (state, reason) == ("NotProven", "OutcomeUnknown")
        assert (type_, state, reason) in (
            (step["type"], "Done", "InPlace"),
            ("webhook", "NotProven", "OutcomeUnknown"),
        ), n
        assert calls == made or (calls == (0, 0) and reason == "OutcomeUnknown"), n
        await shift.operator.stop()
    assert unknown <= 3, "only where it died around the call itself"


async def test_an_address_that_nobody_allowed_is_never_called_and_the_runbook_said_so_before() -> None:
    shift = shift_with({**WEBHOOK, "webhook": {"url": "http://169.254.169.254/latest/meta-data"}})
    await shift.adopt()
    said = shift.shop.cluster.find(RUNBOOKS, NS, "steps")
    assert said is not None and said["status"]["conditions"][0]["reason"] == "AddressNotAllowed"
    shift.shop.set_image("v2")
    await to_the_end(shift)
    assert plays(shift)[0] == ("webhook", "Refused", "AddressNotAllowed") and errands(shift) == (0, 0)
    await shift.operator.stop()


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        pytest.param(500, ("webhook", "NotProven", "WebhookFailed"), id="it fails"),
        pytest.param(302, ("webhook", "NotProven", "WebhookFailed"), id="it redirects"),
        pytest.param(Forbidden("a private address"), ("webhook", "Refused", "AddressNotAllowed"), id="its name leads into the cluster"),
        pytest.param(Unavailable("refused"), ("webhook", "NotProven", "WebhookFailed"), id="nobody answers"),
    ],
)  # fmt: skip
async def test_what_a_webhook_may_answer(answer: Any, end: tuple[str, str, str]) -> None:
    shift = shift_with(WEBHOOK)
    shift.operator.fakes.caller.answers = [answer]
    await pushed(shift)
    await to_the_end(shift)
    assert plays(shift)[0] == end and errands(shift) == (1, 0)
    await shift.operator.stop()


async def test_a_job_that_fails_is_no_job_that_did_not_help_and_its_log_is_told() -> None:
    shift = shift_with(JOB)
    await pushed(shift)
    await shift.until("it is created", lambda: shift.shop.cluster.find(JOBS, NS, NAME) is not None)
    job = shift.shop.cluster.find(JOBS, NS, NAME)
    assert job is not None
    failed = {
        "type": "Failed",
        "status": "True",
        "reason": "DeadlineExceeded",
        "message": "Job was active longer than specified deadline",
    }
    shift.shop.cluster.seed({**job, "status": {"conditions": [failed]}})
    await shift.until("it ends", lambda: plays(shift)[0] == ("job", "NotProven", "JobFailed"))
    incident = shift.incident()
    assert incident is not None and "longer than specified deadline" in incident.status.plays[0].message
    assert any(e.type == "JobLog" for e in incident.status.timeline)
    await shift.operator.stop()


async def test_somebody_elses_job_of_that_name_is_not_taken_for_the_plays() -> None:
    shift = shift_with(JOB)
    await shift.adopt()
    meta = {"name": NAME, "namespace": NS}
    shift.shop.cluster.seed(
        {"kind": "Job", "metadata": meta, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    )
    shift.shop.set_image("v2")
    await to_the_end(shift)
    assert plays(shift)[0] == ("job", "Refused", "WriteRefused")
    await shift.operator.stop()


async def test_a_stop_ends_a_job_that_runs_and_nothing_begins_it_again() -> None:
    shift = shift_with(JOB)
    await pushed(shift)
    await shift.until("it is created", lambda: shift.shop.cluster.find(JOBS, NS, NAME) is not None)
    await seconds(shift, 6)
    shift.shop.cluster.seed({"kind": "Stop", "metadata": {"name": "now", "namespace": NS}, "spec": {"reason": "fire"}})
    await shift.until("it is ended", lambda: shift.shop.cluster.find(JOBS, NS, NAME) is None, most=20)
    assert plays(shift)[0] == ("job", "NotProven", "JobEnded")
    shift.shop.cluster.remove(STOPS, NS, "now")
    await seconds(shift, 20)
    assert errands(shift) == (0, 1)
    await shift.operator.stop()


async def test_a_job_that_somebody_deletes_is_not_created_again() -> None:
    shift = shift_with(JOB)
    await pushed(shift)
    await shift.until(
        "it is seen", lambda: bool((i := shift.incident()) and i.status.plays and i.status.plays[0].seen_at), most=60
    )
    shift.shop.cluster.remove(JOBS, NS, NAME)
    await to_the_end(shift)
    assert plays(shift)[0] == ("job", "NotProven", "JobGone") and errands(shift) == (0, 1)
    await shift.operator.stop()


async def test_the_hours_plays_are_those_of_all_runbooks_also_of_one_that_was_deleted_and_made_again() -> None:
    shift = shift_with(RESTART, SCALE, maxPerHour=1)
    await pushed(shift)
    await shift.until("the second step waits", lambda: plays(shift)[-1:] == [("scale", "Requested", "")], most=120)
    await seconds(shift, 3)
    assert "1 plays were granted within an hour" in message_of(shift, "Acting") and len(patches(shift)) == 1
    shift.shop.cluster.remove(RUNBOOKS, NS, "steps")
    await shift.operator.stop()  # and another leader
    shift.shop.cluster.seed(book("steps", RESTART, SCALE, maxPerHour=1))
    shift.shop.cluster.seed(book("other", SCALE, maxPerHour=1))
    await seconds(shift, 30)
    assert len(patches(shift)) == 1, "neither buys a new hour"
    await shift.operator.stop()


async def test_a_step_without_the_right_is_refused_and_the_runbook_said_so_before() -> None:
    shift = shift_with({**RESTART, "ifRefused": "escalate"}, SCALE)
    shift.operator.access.allows = False
    await shift.adopt()
    said = shift.shop.cluster.find(RUNBOOKS, NS, "steps")
    assert said is not None and said["status"]["conditions"][0]["reason"] in ("Forbidden", "NoAccount")
    shift.shop.set_image("v2")
    await shift.until("a person is called", lambda: plays(shift)[-1:] == [("escalate", "Done", "Escalated")])
    assert plays(shift)[0] == ("restart", "Refused", "Forbidden") and patches(shift) == []
    assert len(plays(shift)) == 2, "ifRefused: escalate passes over what is left"
    await shift.operator.stop()


async def test_nobody_approves_so_the_step_ends_and_the_next_one_asks_again() -> None:
    shift = shift_with(RESTART, mode="approve", approveWithin="20s")
    await pushed(shift)
    await shift.until("it waits", lambda: plays(shift) == [("restart", "Requested", "")])
    await seconds(shift, 2)
    text = message_of(shift, "Acting")
    assert f"{RESTARTED}=" in text and "opsloop.dev/approve=restart-1" in text
    assert any(
        "restart-1 waits for an approval" in p["details"].get("text", str(p)) for p in shift.operator.pager.pages
    )
    await shift.until("it ends", lambda: plays(shift)[0] == ("restart", "Refused", "NotApproved"), most=40)
    await shift.until("a person is called", lambda: plays(shift)[-1][0] == "escalate")
    assert patches(shift) == []
    await shift.operator.stop()


async def test_approved_it_runs() -> None:
    shift = shift_with(RESTART, mode="approve")
    await pushed(shift)
    await shift.until("it waits", lambda: plays(shift) == [("restart", "Requested", "")])
    shift.shop.annotate(INCIDENTS, "answers-1", approve="restart-1")
    await shift.until("it runs", lambda: patches(shift) == ["/spec/template"])
    await shift.operator.stop()


async def test_after_a_migration_nothing_is_rolled_back_and_a_person_is_called_at_once() -> None:
    shift = shift_with({"type": "rollback"}, RESTART)
    await shift.adopt()
    stored = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored is not None
    stored["spec"]["template"]["metadata"]["annotations"] = {"opsloop.dev/rollback-safe": "false"}
    shift.shop.cluster.seed(stored)
    shift.shop.set_image("v2")
    await shift.until("a person is called", lambda: plays(shift)[-1:] == [("escalate", "Done", "RollbackUnsafe")])
    assert plays(shift)[0] == ("rollback", "Refused", "RollbackUnsafe") and len(plays(shift)) == 2
    await seconds(shift, 20)
    assert patches(shift) == [] and shift.live == "v2"
    assert any(p["reason"] == "RollbackUnsafe" for p in shift.operator.pager.pages)
    await shift.operator.stop()


async def test_a_stop_withdraws_a_restart_that_was_not_written_and_it_is_asked_for_again_afterwards() -> None:
    shift = shift_with(RESTART)
    await shift.adopt()
    meta = {"name": "now", "namespace": NS}
    shift.shop.cluster.seed({"kind": "Stop", "metadata": meta, "spec": {"reason": "the site is on fire"}})
    await seconds(shift, 2)
    shift.shop.set_image("v2")
    await shift.until("paged", lambda: bool(shift.operator.pager.pages))
    await seconds(shift, 60)
    assert patches(shift) == []
    shift.shop.cluster.remove(STOPS, NS, "now")
    await shift.until("it is restarted", lambda: patches(shift) == ["/spec/template"])
    await shift.operator.stop()


async def test_a_freeze_ends_by_itself_and_what_waited_starts() -> None:
    shift = shift_with({"type": "freeze", "freeze": {"duration": "20s", "scope": "namespace", "reason": "hold still"}})
    await pushed(shift)
    await shift.until("frozen", lambda: plays(shift)[:1] == [("freeze", "Done", "InPlace")])
    shift.shop.ship("v4")
    await seconds(shift, 5)
    assert (shift.release().status.target or None) is None or shift.release().status.target.version != "v4"  # type: ignore[union-attr]
    await shift.until(
        "v4 starts", lambda: bool((t := shift.release().status.target) and t.version == "v4" and t.is_active), most=40
    )
    found = conditions.get(shift.release().status.conditions, "Frozen")
    assert found is not None and (found.status, found.reason) == ("False", "Thawed")
    await shift.operator.stop()


async def test_what_was_passed_over_and_why_is_in_the_timeline() -> None:
    shift = Shift(shop=Shop(release_object(), book("any", RESTART)))
    for name, match in (
        ("z-cause", {"causes": ["bad_release"]}),
        ("config", {"causes": ["config"]}),
        ("quiet", {"severities": ["sev2"]}),
    ):
        other = book(name, {"type": "rollback"})
        other["spec"]["match"] = match
        shift.shop.cluster.seed(other)
    await shift.adopt()
    await shift.mitigate()
    incident = shift.incident()
    assert incident is not None
    (entry,) = [e for e in incident.status.timeline if e.type == "Runbook"]
    assert entry.message.startswith("z-cause: chosen by cause bad_release; mode auto")
    for words in (
        "any (it fits too, and asks for less)",
        "config (it is for config, the cause is bad_release)",
        "quiet (it is for sev2, this is sev1)",
    ):
        assert words in entry.message
    await shift.operator.stop()


async def test_a_lowered_mode_stops_what_was_granted_and_has_not_begun() -> None:
    shift = shift_with({"type": "rollback"}, minConfidence=1.0)
    await pushed(shift)
    waits = [("rollback", "Requested", "")]
    await shift.until("it waits", lambda: plays(shift)[:1] == waits and "minConfidence" in message_of(shift, "Acting"))
    stored = shift.shop.cluster.find(RUNBOOKS, NS, "steps")
    assert stored is not None
    stored["spec"]["safety"]["mode"] = "dryRun"
    shift.shop.cluster.seed(stored)
    await seconds(shift, 15)
    assert patches(shift) == []
    await shift.operator.stop()


async def test_a_job_ends_with_its_play() -> None:
    shift = shift_with({**JOB, "job": {"image": "tools:1", "deadline": "2h"}, "verify": "sli"})
    await pushed(shift)
    await shift.until("it is created", lambda: shift.shop.cluster.find(JOBS, NS, NAME) is not None)
    shift.shop.errors["v2"] = 0.0
    await shift.until("mitigated", lambda: plays(shift)[0][1] == "Helped", most=900)
    await seconds(shift, 5)
    assert shift.shop.cluster.find(JOBS, NS, NAME) is None
    await shift.operator.stop()


async def test_a_job_that_a_stop_ends_is_deleted_until_it_is_gone() -> None:
    shift = shift_with(JOB)
    await pushed(shift)
    await shift.until("it is created", lambda: shift.shop.cluster.find(JOBS, NS, NAME) is not None)
    await seconds(shift, 6)
    real, failed = shift.shop.cluster.delete, list[int]()

    async def delete(resource: Any, *arguments: Any, **more: Any) -> Any:
        if resource is JOBS and not failed:
            failed.append(1)
            raise Unavailable("500")
        return await real(resource, *arguments, **more)

    shift.shop.cluster.delete = delete  # type: ignore[method-assign]
    shift.shop.cluster.seed({"kind": "Stop", "metadata": {"name": "now", "namespace": NS}, "spec": {"reason": "fire"}})
    for _ in range(40):
        shift.operator.failures.clear()
        try:
            await shift.one_second()
        except AssertionError as error:
            assert "retryable" in str(error)
    assert failed and shift.shop.cluster.find(JOBS, NS, NAME) is None
    await shift.operator.stop()


async def test_jobs_that_may_not_be_read_any_more_keep_no_incident_from_going_on() -> None:
    shift = shift_with(JOB)
    await pushed(shift)
    await shift.until("it is created", lambda: shift.shop.cluster.find(JOBS, NS, NAME) is not None)
    await seconds(shift, 6)
    await shift.operator.stop()
    real = shift.shop.cluster.get

    async def get(resource: Any, *arguments: Any, **more: Any) -> Any:
        if resource is JOBS:
            raise Forbidden("no right")
        return await real(resource, *arguments, **more)

    shift.shop.cluster.get = get  # type: ignore[method-assign]
    await shift.until("it goes on", lambda: plays(shift)[0][1] != "Running", most=400)
    await shift.operator.stop()


async def test_a_play_ends_where_its_deployment_is_gone() -> None:
    shift = shift_with(RESTART)
    await pushed(shift)
    await shift.until("it is ordered", lambda: shift.release().status.act is not None)
    shift.shop.cluster.remove(DEPLOYMENTS, NS, "answers")
    await shift.until("it ends", lambda: plays(shift)[0][1] != "Running", most=300)
    await shift.operator.stop()


async def test_a_call_that_a_stop_withheld_was_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    shift = shift_with(WEBHOOK)
    await pushed(shift)
    real, on = Stops.stands, [True]

    async def stands(
        self: Stops, namespace: str
    ) -> bool:  # it is seen by the live read and not yet by the periodic one
        return on[0] or await real(self, namespace)

    monkeypatch.setattr(Stops, "stands", stands)
    await shift.until("it was to begin", lambda: plays(shift)[:1] == [("webhook", "Refused", "Stopped")], most=120)
    on[0] = False
    await seconds(shift, 5)
    assert errands(shift)[0] == 0
    await shift.operator.stop()
