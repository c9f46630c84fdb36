"""Checks of a rollout through the whole operator: Jobs and webhooks that hold, pass and reject a canary, wherever the process dies."""

from collections import Counter
from dataclasses import replace

import pytest

from opsloop.api.check import CheckResult
from opsloop.api.meta import format_time
from opsloop.core import conditions
from opsloop.core.facts import Address
from opsloop.names import RELEASE
from opsloop.shell.ports import JOBS, RELEASES, STOPS, Object
from tests.sim import deaths
from tests.sim.operator import SETTINGS
from tests.sim.shift import Shift, release_object
from tests.sim.shop import NS, Shop

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

HOOK = "https://hooks.example.com/opsloop/confirm"
LOAD: Object = {"name": "load", "job": {"image": "k6:1", "deadline": "1m"}}
CONFIRM: Object = {"name": "confirm", "at": [20], "webhook": {"url": HOOK}}
WATCHED: Object = {"name": "watched", "at": [20], "dryRun": True, "job": {"image": "k6:2", "deadline": "1m"}}
SETTINGS_ = replace(SETTINGS, webhooks=(Address("https://hooks.example.com/opsloop/", (NS,)),))


def shift_with(*checks: Object) -> Shift:
    item = release_object()
    spec = {**item["spec"], "serviceAccountName": "checks"}
    spec["strategy"] = {"canary": {**spec["strategy"]["canary"], "checks": list(checks)}}
    del spec["evals"]
    shift = Shift(shop=Shop({**item, "spec": spec}, None), settings=SETTINGS_)
    shift.shop.cluster.seed({"kind": "ServiceAccount", "metadata": {"name": "checks", "namespace": NS}})
    shift.operator.fakes.caller.answers = [403, 403, 200]
    return shift


def end_jobs(shift: Shift, *failing: str) -> None:
    """As the Job controller does: what runs is over; containers of these images end with 99. A Job goes with its owner."""
    canaries = {d["metadata"]["uid"] for d in shift.shop.objects("deployments")}
    for job in shift.shop.objects("jobs"):
        if not any(owner["uid"] in canaries for owner in job["metadata"]["ownerReferences"]):
            shift.shop.cluster.remove(JOBS, NS, job["metadata"]["name"])
        elif not job.get("status"):
            finish(shift, job, 99 if image_of(job) in failing else 0)


def image_of(job: Object) -> str:
    return str(job["spec"]["template"]["spec"]["containers"][0]["image"])


def finish(shift: Shift, job: Object, code: int) -> None:
    """`code` below 0: its node was low on memory, and it has none."""
    name = job["metadata"]["name"]
    done = {"type": "Failed" if code else "Complete", "status": "True"}
    done["lastTransitionTime"] = format_time(shift.shop.clock.now())
    shift.shop.cluster.seed({**job, "status": {"conditions": [done]}})
    ended = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
    status: Object = {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [{"name": "step", "state": ended}],
    }
    if code < 0:
        status = {"phase": "Failed", "reason": "Evicted", "message": "the node was low on memory"}
    meta = {"name": f"{name}-x", "namespace": NS, "labels": {"batch.kubernetes.io/job-name": name}}
    spec = {"containers": [{"name": "step", "image": image_of(job)}]}
    shift.shop.cluster.seed({"kind": "Pod", "metadata": meta, "spec": spec, "status": status})


async def shipped(shift: Shift) -> None:
    await shift.adopt()
    shift.shop.ship("v4")


def results(shift: Shift) -> list[tuple[str, int, str]]:
    target = shift.release().status.target
    return [(r.name, r.weight, r.result) for r in target.checks] if target else []


def the(shift: Shift, name: str) -> CheckResult:
    target = shift.release().status.target
    assert target is not None
    return next(r for r in target.checks if r.name == name)


def held(shift: Shift) -> str:
    found = conditions.get(shift.release().status.conditions, "Held")
    return found.reason if found and found.status == "True" else ""


def created(shift: Shift) -> Counter[str]:
    """Jobs that were stored, by name."""
    return Counter(w.name for w in shift.shop.cluster.written("create", "jobs"))


async def to_the_end(shift: Shift, *failing: str) -> None:
    for _ in range(300):
        await shift.one_second()
        end_jobs(shift, *failing)
        if shift.target()[1] in ("Promoted", "Rejected") and shift.quiet():
            await shift.one_second()
            return
    raise AssertionError(f"{shift.target()} {results(shift)} {held(shift)}")


async def test_each_check_holds_its_step_and_passes_it() -> None:
    shift = shift_with(LOAD, CONFIRM, WATCHED)
    await shipped(shift)
    await shift.until("the dark canary is loaded", lambda: bool(shift.shop.objects("jobs")))
    for _ in range(20):
        await shift.one_second()
    assert (held(shift), results(shift)) == ("WaitingForChecks", [("load", 0, "Running")])
    assert "v4" not in shift.shop.served, "it is dark until the load has passed"
    end_jobs(shift)
    await shift.until("it asks for a confirmation", lambda: held(shift) == "CheckNotConfirmed", most=20)
    assert shift.release().status.weight.wanted == 20
    await to_the_end(shift, "k6:2")
    assert shift.target() == ("v4", "Promoted")
    assert results(shift) == [("load", 0, "Passed"), ("confirm", 20, "Passed"), ("watched", 20, "Failed")]
    caller = shift.operator.fakes.caller
    assert [url for url, _ in caller.called] == [HOOK] * 3 and len({key for _, key in caller.called}) == 1
    assert {p["weight"] for p in caller.payloads} == {20} and caller.payloads[0]["hosts"]
    assert not shift.shop.objects("jobs"), "they went with their canary"
    posted = [reason for name, reason in shift.operator.events.posted if name == "answers"]
    assert posted.count("CheckPassed") == 2 and posted.count("CheckFailed") == 1
    assert shift.operator.fakes.instruments.checks == {
        ("load", "passed"): 1,
        ("confirm", "passed"): 1,
        ("watched", "failed"): 1,
    }
    await shift.operator.stop()


async def test_a_check_that_fails_rejects_a_version_that_served_nobody_and_it_stays_blocked() -> None:
    shift = shift_with(LOAD)
    shift.operator.fakes.logs.text = "p95=900ms, wanted <300ms\n"
    await shipped(shift)
    await to_the_end(shift, "k6:1")
    target = shift.release().status.target
    assert shift.target() == ("v4", "Rejected") and target is not None and target.reason == "CheckFailed"
    assert "exit code 99" in target.message and "p95=900ms" in target.message and "v4" not in shift.shop.served
    assert conditions.is_true(shift.release().status.conditions, "Rejected")
    shift.shop.ship("v4", paused=False)
    for _ in range(5):
        await shift.one_second()
    assert shift.target()[1] == "Rejected"
    await shift.operator.stop()


async def test_a_harness_that_gives_no_answer_holds_until_a_person_says_retry() -> None:
    shift = shift_with({**LOAD, "job": {"image": "k6:1", "deadline": "1m", "attempts": 2}})
    await shipped(shift)
    for _ in range(90):
        await shift.one_second()
        for job in [j for j in shift.shop.objects("jobs") if not j.get("status")]:
            finish(shift, job, -1)
    assert held(shift) == "CheckUnanswered" and the(shift, "load").result == "Unknown"
    assert "low on memory" in the(shift, "load").message and len(created(shift)) == 2
    stored = shift.release_object()
    stored["metadata"].setdefault("annotations", {})["opsloop.dev/retry"] = "1"
    shift.shop.cluster.seed(stored)
    await to_the_end(shift)
    assert shift.target() == ("v4", "Promoted") and len(created(shift)) == 3
    await shift.operator.stop()


async def test_a_stop_ends_the_load_and_it_begins_anew_when_the_stop_is_over() -> None:
    shift = shift_with(LOAD)
    await shipped(shift)
    await shift.until("the dark canary is loaded", lambda: bool(shift.shop.objects("jobs")))
    stop = {"kind": "Stop", "metadata": {"name": "now", "namespace": NS}, "spec": {"reason": "fire"}}
    shift.shop.cluster.seed(stop)
    await shift.until("the load is ended", lambda: not shift.shop.objects("jobs"), most=30)
    for _ in range(10):
        await shift.one_second()
    assert not shift.shop.objects("jobs") and shift.target() == ("v4", "Dark")
    shift.shop.cluster.remove(STOPS, NS, "now")
    await to_the_end(shift)
    assert shift.target() == ("v4", "Promoted")
    await shift.operator.stop()


async def test_an_abort_ends_the_load() -> None:
    shift = shift_with(LOAD)
    await shipped(shift)
    await shift.until("the dark canary is loaded", lambda: bool(shift.shop.objects("jobs")))
    stored = shift.release_object()
    stored["metadata"].setdefault("annotations", {})["opsloop.dev/abort"] = "v4"
    shift.shop.cluster.seed(stored)
    await shift.until("it is aborted", lambda: shift.target() == ("v4", "Cancelled"), most=5)
    await shift.until("the load is ended", lambda: not shift.shop.objects("jobs"), most=5)
    assert the(shift, "load").result == "Unknown"
    await shift.operator.stop()


async def test_without_the_right_of_its_account_nothing_runs_until_it_is_given() -> None:
    shift = shift_with(LOAD, {**CONFIRM, "at": [0], "webhook": {"url": "http://169.254.169.254/latest/meta-data"}})
    shift.operator.access.allows = False
    await shipped(shift)
    await shift.until("it says which right is missing", lambda: held(shift) == "JobsOff", most=30)
    shift.operator.access.allows = True
    await shift.until("it says which address", lambda: held(shift) == "AddressNotAllowed", most=60)
    for _ in range(20):
        await shift.one_second()
        end_jobs(shift)
    assert results(shift) == [("load", 0, "Passed")] and not shift.operator.fakes.caller.called
    assert shift.target() == ("v4", "Dark")
    await shift.operator.stop()


@pytest.mark.simulation
@pytest.mark.soak
@pytest.mark.parametrize(
    ("failing", "after"),
    [
        pytest.param((), False, id="before it, and all pass"),
        pytest.param(("k6:1",), True, id="after it, and the load fails"),
    ],
)
async def test_killed_at_any_write_it_ends_the_same_and_each_job_is_created_once(
    failing: tuple[str, ...], after: bool
) -> None:
    whole = shift_with(LOAD, CONFIRM)
    await shipped(whole)
    await to_the_end(whole, *failing)
    await whole.operator.stop()
    end = (whole.target(), results(whole))
    first = next(n for n, w in enumerate(whole.shop.cluster.writes) if w.resource == RELEASES and "v4" in str(w.body))
    for n in deaths.tried(first, len(whole.shop.cluster.writes) - 1, after * deaths.HALF):
        shift = shift_with(LOAD, CONFIRM)
        shift.shop.cluster.die_at(n, after)
        await shipped(shift)
        await to_the_end(shift, *failing)
        assert (n, shift.operator.deaths) == (n, 1)
        assert (n, shift.target(), results(shift)) == (n, *end)
        assert len(created(shift)) == 1 and RELEASE in str(shift.shop.cluster.written("create", "jobs")[0].body), n
        await shift.operator.stop()
