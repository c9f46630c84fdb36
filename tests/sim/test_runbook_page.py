"""Each Runbook of docs/runbooks.md is played in fake time against a service whose new version answers wrongly."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from opsloop.api.meta import format_time
from opsloop.api.play import Play
from opsloop.api.runbook import Runbook
from opsloop.api.runbook_step import StepType
from opsloop.core import conditions
from opsloop.core.release.stamps import RESTARTED_AT as RESTARTED
from opsloop.entry.settings import load
from opsloop.shell.ports import DEPLOYMENTS, JOBS, RELEASES, Object
from tests.builders import yamls
from tests.sim.operator import SETTINGS
from tests.sim.shift import Shift, release_object, seconds
from tests.sim.shop import NS, Shop
from tests.sim.test_runbook_causes import alert, without_slo

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "runbooks.md"
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BOOKS: dict[str, Object] = {}
for document in map(yamls.load, BLOCK.findall(PAGE.read_text())):
    if "kind" in document:
        BOOKS[document["metadata"]["name"]] = document
VALUES = next(d["runbooks"] for d in map(yamls.load, BLOCK.findall(PAGE.read_text())) if "runbooks" in d)


def shift_of(name: str, version_two: float = 0.8) -> Shift:
    """A shop with this Runbook of the page alone; v2 answers this share of questions wrongly."""
    book = {**BOOKS[name], "metadata": {**BOOKS[name]["metadata"], "namespace": NS}}
    settings = replace(SETTINGS, webhooks=load({"OPSLOOP_WEBHOOKS": json.dumps(VALUES["webhooks"])}).webhooks)
    shift = Shift(shop=Shop(release_object(), book), settings=settings)
    shift.shop.errors["v2"] = version_two
    return shift


def plays(shift: Shift) -> list[Play]:
    incident = shift.incident()
    return incident.status.plays if incident else []


def played(shift: Shift) -> list[tuple[str, str, str]]:
    return [(p.type, p.state, p.reason) for p in plays(shift)]


def messages(shift: Shift) -> str:
    incident = shift.incident()
    return "\n".join(entry.message for entry in incident.status.timeline) if incident else ""


def deployment(shift: Shift) -> dict[str, Any]:
    stored = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored is not None
    return stored


def acts(shift: Shift) -> int:
    """Writes to the user's Deployment."""
    return sum(w.name == "answers" for w in shift.shop.cluster.written("json_patch", "deployments"))


async def test_every_step_that_there_is_has_a_runbook_on_the_page_and_the_models_read_each_whole() -> None:
    assert {step["type"] for book in BOOKS.values() for step in book["spec"]["steps"]} == set(get_args(StepType))
    for book in BOOKS.values():
        read = Runbook.model_validate(book)
        assert read.model_dump(mode="json", by_alias=True, exclude_unset=True)["spec"] == book["spec"]


async def test_a_cause_that_nobody_knows() -> None:
    """Critical alerts, and a Release without an SLO."""
    book = {**BOOKS["nobody-knows"], "metadata": {"name": "nobody-knows", "namespace": NS}}
    shift = Shift(shop=Shop(without_slo(), book))
    await seconds(shift, 5)
    alert(shift, "firing")
    await seconds(shift, 45)
    assert played(shift) == [] and acts(shift) == 0
    await shift.until("it is restarted", lambda: acts(shift) == 1, most=40)
    await seconds(shift, 10)
    alert(shift, "resolved")
    await shift.until("mitigated", lambda: played(shift) == [("restart", "Helped", "AlertsResolved")])
    assert "nobody-knows: chosen by cause unknown; mode auto" in messages(shift)
    await shift.operator.stop()


async def test_rollback() -> None:
    shift = shift_of("bad-release")
    await shift.adopt()
    await shift.mitigate()
    assert played(shift) == [("rollback", "Helped", "SliBack")] and acts(shift) == 1
    assert "bad-release: chosen by cause bad_release; mode auto" in messages(shift)
    await shift.operator.stop()


async def test_abort_canary() -> None:
    """A canary that is younger than the harm may be its fix, so it goes on, until the Runbook takes it out."""
    shift = shift_of("no-canary-meanwhile")
    await shift.adopt()
    shift.shop.errors |= {"v1": 0.5, "v4": 0.5}
    await shift.until("it watches", lambda: ("wait", "Running", "") in played(shift))
    shift.shop.ship("v4")
    await shift.until("v4 is a canary", lambda: bool((t := shift.release().status.target) and t.version == "v4"))
    await shift.until("it is taken out", lambda: plays(shift)[-1].type == "abortCanary", most=60)
    await shift.until("with its pods", lambda: not shift.shop.open_canaries())
    target = shift.release().status.target
    assert target is not None and (target.state, target.reason) == ("Cancelled", "AbortedByRunbook")
    assert [r.version for r in shift.release().status.revisions if r.blocked] == []
    assert "take the canary v4 out of traffic: the readiness gates of its pods are closed" in messages(shift)
    await shift.until("that did not help", lambda: played(shift)[1][1] in ("DidNotHelp", "NotProven"), most=90)
    assert played(shift)[-1][0] in ("abortCanary", "escalate") and acts(shift) == 0
    await shift.operator.stop()


async def test_scale() -> None:
    shift = shift_of("more-pods")
    await shift.adopt()
    shift.shop.set_image("v2")
    await shift.until("6 pods", lambda: deployment(shift)["status"].get("availableReplicas") == 6)
    shift.shop.errors["v2"] = 0.0  # the new pods took the load off
    await shift.until("it helped", lambda: ("scale", "Helped", "SliBack") in played(shift))
    record = shift.release().status.act
    assert record is not None and (record.state, record.from_replicas, record.to_replicas) == ("Done", 4, 6)
    assert "scale Deployment answers from 4 to 6 pods (spec.replicas)" in messages(shift) and acts(shift) == 1
    await shift.operator.stop()


async def test_restart() -> None:
    shift = shift_of("restart-first")
    await shift.adopt()
    shift.shop.set_image("v2")
    before = {p["metadata"]["name"] for p in shift.shop.in_traffic()}
    await shift.until("stamped", lambda: RESTARTED in str(deployment(shift)["spec"]["template"]))
    shift.shop.errors["v2"] = 0.0  # a leak, which new pods do not have yet
    await shift.until("it helped", lambda: ("restart", "Helped", "SliBack") in played(shift))
    assert not before & {p["metadata"]["name"] for p in shift.shop.in_traffic()} and acts(shift) == 1
    assert [r.version for r in shift.release().status.revisions] == ["v1", "v2"], "a restart makes no new revision"
    await shift.operator.stop()


async def test_freeze_holds_new_canaries_and_lets_the_fix_pass() -> None:
    shift = shift_of("hold-still")
    await shift.adopt()
    shift.shop.set_image("v2")
    await shift.until("frozen", lambda: ("freeze", "Done", "InPlace") in played(shift))
    shift.shop.ship("v4")
    await seconds(shift, 3)
    found = conditions.get(shift.release().status.conditions, "Frozen")
    assert found is not None and (found.status, found.reason) == ("True", "Frozen")
    assert "one change at a time while users suffer" in found.message and "answers-1" in found.message
    target = shift.release().status.target
    assert target is None or target.version != "v4"
    shift.shop.annotate(RELEASES, "answers", fixes="answers-1")
    await shift.until("the fix starts", lambda: bool((t := shift.release().status.target) and t.version == "v4"))
    found = conditions.get(shift.release().status.conditions, "Frozen")
    assert found is not None and (found.status, found.reason) == ("False", "FixPasses")
    await shift.operator.stop()


async def test_webhook() -> None:
    shift = shift_of("call-the-cdn")
    await shift.adopt()
    shift.shop.set_image("v2")
    caller = shift.operator.fakes.caller
    await shift.until("it is called", lambda: bool(caller.called))
    shift.shop.errors["v2"] = 0.0  # the cache is empty
    await shift.until("it helped", lambda: ("webhook", "Helped", "SliBack") in played(shift))
    ((url, key),) = caller.called
    assert url == "https://hooks.example.com/opsloop/purge" and key.endswith("-webhook-1")
    assert caller.payloads[0]["incident"] == "answers-1" and caller.payloads[0]["message"] == "purge the cache"
    assert "POST https://hooks.example.com/opsloop/purge" in messages(shift)
    await shift.operator.stop()


async def test_job() -> None:
    shift = shift_of("clear-the-queue")
    await shift.adopt()
    shift.shop.set_image("v2")
    await shift.until("it is created", lambda: shift.shop.cluster.find(JOBS, NS, "answers-1-step-0-1") is not None)
    job = shift.shop.cluster.find(JOBS, NS, "answers-1-step-0-1")
    assert job is not None and job["spec"]["template"]["spec"]["serviceAccountName"] == "runbook"
    await seconds(shift, 6)
    shift.operator.fakes.logs.text = "looking\n12 messages are gone\n"
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": "answers-1-step-0-1-x",
            "namespace": NS,
            "labels": {"batch.kubernetes.io/job-name": "answers-1-step-0-1"},
        },
    }
    shift.shop.cluster.seed({**pod, "spec": {"containers": [{"name": "step", "image": "tools:1"}]}})
    done = {"type": "Complete", "status": "True", "lastTransitionTime": format_time(shift.shop.clock.now())}
    shift.shop.cluster.seed({**job, "status": {"conditions": [done]}})
    shift.shop.errors["v2"] = 0.0
    await shift.until("it helped", lambda: ("job", "Helped", "SliBack") in played(shift))
    assert "the Job's log ends: looking\n12 messages are gone" in messages(shift)
    assert "as ServiceAccount runbook without its token, ended after 2m" in messages(shift)
    assert len(shift.shop.cluster.written("create", "jobs")) == 1
    await shift.operator.stop()


async def test_wait_and_escalate() -> None:
    shift = shift_of("only-watch")
    await shift.adopt()
    shift.shop.set_image("v2")
    await shift.until("a person is called", lambda: [p[0] for p in played(shift)] == ["wait", "escalate"])
    await seconds(shift, 2)
    assert played(shift)[0][1:] == ("NotProven", "TimedOut") and acts(shift) == 0
    assert [p["reason"] for p in shift.operator.pager.pages] == ["Severity", "Escalated"]
    await shift.operator.stop()


async def test_a_dry_run_writes_exactly_what_it_would_do() -> None:
    shift = shift_of("rehearsal")
    await shift.adopt()
    shift.shop.set_image("v2")
    await shift.until("both are told", lambda: [p[:1] for p in played(shift)][-1:] == [("escalate",)])
    assert [p[1:] for p in played(shift)][:2] == [("Refused", "DryRun")] * 2 and acts(shift) == 0
    told = [p.message for p in plays(shift)]
    assert told[0].startswith(
        "dryRun: would roll back v2 to v1 (last-good): the pod template of Deployment answers is replaced"
    )
    assert told[1].startswith(f"dryRun: would restart the pods of Deployment answers: {RESTARTED}=")
    await shift.operator.stop()
