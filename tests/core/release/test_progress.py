"""Progressing, Promoted, Rejected, Healthy, Ready: what kubectl wait and CI learn the end of a rollout by."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.meta import Condition
from opsloop.api.records import Command
from opsloop.api.release import ReleaseStatus
from opsloop.core.facts import Neighbour
from opsloop.core.release import counted, progress
from opsloop.core.stop import Stop
from tests.builders.objects import V4, at, readings, workload
from tests.builders.rollouts import (
    NOW,
    bad_live,
    canary,
    condition_of,
    facts,
    incident_with_rollback,
    record,
    release_asking,
    status_after,
    status_with,
    target,
)

NAMES = ("Progressing", "Promoted", "Rejected")
LIVE_V4: dict[str, Any] = {"workload": workload("shop:v4")}


def ended(state: str, reason: str, **more: Any) -> Any:
    return facts(release_asking(), status_with(target(state, reason=reason, ended_at=at(80))), **more)


def live(**more: Any) -> Any:
    """v4 is live, as the spec asks."""
    status = status_with(target("Promoted", reason="Promoted", ended_at=at(80)), live=V4)
    return facts(release_asking(), status, **{**LIVE_V4, **more})


UNKNOWN_NOW = readings(0.0, NOW)
assert UNKNOWN_NOW.verdict is not None
SILENT = replace(UNKNOWN_NOW, verdict=replace(UNKNOWN_NOW.verdict, band="unknown", reason="NoSeries"))
RETRIED = release_asking(annotations={"retry": "2"})
ROLLED = {"status": {"rollback": record("Done")}, "workload": workload("shop:v1")}


@pytest.mark.parametrize(
    ("situation", "reason", "truths"),
    [
        pytest.param(facts(release_asking(), status_with(target()), canary=canary(0)), "WaitingForPods", "TFF", id="a dark canary starts"),
        pytest.param(facts(release_asking(paused=True), status_with(target()), canary=canary(1)), "Paused", "TFF", id="a canary is held: it is not over"),
        pytest.param(live(), "Promoted", "FTF", id="the version of the spec is live"),
        pytest.param(ended("Rejected", "PodsFailing"), "PodsFailing", "FFT", id="it was rejected"),
        pytest.param(ended("Cancelled", "Aborted"), "Aborted", "FFT", id="it was aborted"),
        pytest.param(ended("Cancelled", "IncidentOpen"), "IncidentOpen", "FFT", id="it was taken out for an Incident, and waits for a person"),
        pytest.param(ended("Cancelled", "NotTheCanary", incidents=(incident_with_rollback(from_=V4),)), "NotTheCanary", "TFF", id="it was taken out for live's harm: it starts again by itself"),
        pytest.param(facts(release_asking("v5"), status_with(target("Promoted", reason="Promoted", ended_at=at(80)), live=V4), answers={}, **LIVE_V4), "Shipping", "TFF", id="the spec was changed, and its target waits for admission: the version before counts no more"),
        pytest.param(facts(RETRIED, status_with(target("Rejected", reason="PodsFailing", ended_at=at(80))), answers={}), "Shipping", "TFF", id="a retry is not answered yet: the rejection before counts no more"),
        pytest.param(facts(release_asking("v5"), status_with(target("Rejected", ended_at=at(80))), stop=Stop("shop", "now", "fire")), "Stopped", "TFF", id="an emergency stop stands"),
        pytest.param(facts(release_asking(), status_with(target("Promoted", ended_at=at(80))), workload=None), "WorkloadMissing", "?FF", id="the Deployment is gone"),
        pytest.param(bad_live(status={"rollback": record("Written")}, workload=replace(workload("shop:v1"), settled=False)), "RollingBack", "TFF", id="a version that is not the spec's is rolled back to the spec's"),
        pytest.param(facts(release_asking(), status_with(target("Promoted", ended_at=at(80)), live=V4, rollback=record("Done", from_digest=V4)), workload=workload("shop:v1")), "RolledBack", "FFT", id="it was promoted and rolled back since"),
        pytest.param(facts(release_asking(), status_with(target("Promoted", ended_at=at(80)), live=V4), workload=workload("shop:v2")), "ChangedByHand", "FFF", id="somebody put another version on the Deployment since"),
    ],
)  # fmt: skip
def test_the_end_of_a_rollout(situation: Any, reason: str, truths: str) -> None:
    after = status_after(situation)
    told = {"T": "True", "F": "False", "?": "Unknown"}
    assert [condition_of(after, name) for name in NAMES] == [(told[t], reason) for t in truths]


def test_a_release_whose_deployment_another_one_has_is_rejected_whatever_it_said_before() -> None:
    other = Neighbour("aaa", "answers")
    before = status_after(live())
    taken = replace(live(), neighbours=(other,))
    taken = replace(taken, release=taken.release.model_copy(update={"status": before}))
    after = status_after(taken)
    assert [condition_of(after, name) for name in NAMES] == [
        ("False", "WorkloadTaken"),
        ("False", "WorkloadTaken"),
        ("True", "WorkloadTaken"),
    ]
    assert condition_of(after, "Ready") == ("False", "WorkloadTaken")


def test_the_conditions_are_of_the_generation_that_is_written_with_them() -> None:
    item = release_asking("v5").model_copy(
        update={"metadata": release_asking().metadata.model_copy(update={"generation": 7})}
    )
    before = status_after(live())
    after = status_after(facts(item, before.model_copy(update={"observed_generation": 6}), answers={}, **LIVE_V4))
    assert after.observed_generation == 7 and condition_of(after, "Promoted")[0] == "False"


@pytest.mark.parametrize(
    ("situation", "healthy", "ready"),
    [
        pytest.param(live(), ("True", "NotBurning"), ("True", "Ready"), id="within its budget"),
        pytest.param(live(readings=readings(0.9, NOW)), ("False", "Burning"), ("False", "Burning"), id="it burns as fast as what pages"),
        pytest.param(live(workload=replace(workload("shop:v4"), available=0, ready=0)), ("Unknown", "NotAvailableYet"), ("True", "Ready"), id="no pod was ever seen available"),
        pytest.param(live(readings=SILENT), ("Unknown", "NoSeries"), ("True", "Ready"), id="the SLI is unknown: neither healthy nor failing"),
        pytest.param(ended("Rejected", "PodsFailing"), ("True", "NotBurning"), ("False", "PodsFailing"), id="live is well, and is not what the spec asks for"),
    ],
)  # fmt: skip
def test_healthy_and_ready(situation: Any, healthy: tuple[str, str], ready: tuple[str, str]) -> None:
    after = status_after(situation)
    assert (condition_of(after, "Healthy"), condition_of(after, "Ready")) == (healthy, ready)


# --- what is counted


def status(state: str, started: float = 70, over: float | None = None, **more: Any) -> ReleaseStatus:
    ends: dict[str, Any] = {} if over is None else {"ended_at": at(over)}
    return status_with(target(state, started_at=at(started), **ends, **more))


@pytest.mark.parametrize(
    ("before", "after", "counted_as"),
    [
        pytest.param(status("Promoting"), status("Promoted", over=90), counted.Ended("promoted", timedelta(seconds=20)), id="a promotion"),
        pytest.param(status("Dark"), status("Rejected", over=80), counted.Ended("rejected", timedelta(seconds=10)), id="a rejection"),
        pytest.param(status_with(None), status("Refused", over=70), counted.Ended("refused", None), id="a refusal"),
        pytest.param(status("Rejected", over=80), status("Promoted", over=90), counted.Ended("promoted", timedelta(seconds=20)), id="a promotion that hung, and came after all"),
        pytest.param(status("Promoted", over=90), status("Promoted", over=90), None, id="nothing new"),
        pytest.param(status("Dark"), status("Stepping"), None, id="it goes on"),
        pytest.param(status_with(None), status("Promoted", over=70, reason="SpecBackToLive"), None, id="the spec asks for what is live"),
    ],
)  # fmt: skip
def test_a_rollout_is_counted_by_the_write_that_ends_it(
    before: ReleaseStatus, after: ReleaseStatus, counted_as: Any
) -> None:
    assert counted.ended(before, after) == counted_as


def test_a_command_is_counted_by_each_of_its_answers_once() -> None:
    ordered = Command(name="restart", value="v1", reason="Restarting", at=at(1))
    done = ordered.model_copy(update={"reason": "Obeyed"})
    none, first, second = (status_with(None, commands=c) for c in ([], [ordered], [done]))
    assert counted.answered(none, first) == [("restart", "Restarting")]
    assert counted.answered(first, second) == [("restart", "Obeyed")] and counted.answered(second, second) == []


def test_a_version_that_a_freeze_holds_is_under_way_and_says_so() -> None:
    held = Condition(type="Frozen", status="True", reason="Frozen", message="web-1 freezes", last_transition_time=at(1))
    before = status_after(live())
    status_ = before.model_copy(update={"conditions": [*before.conditions, held]})
    reason, message = progress._on_its_way(facts(release_asking("v5"), status_), status_, None)
    assert (reason, message) == ("Frozen", "web-1 freezes")
