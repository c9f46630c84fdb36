"""Alerts that nobody repeats: they do not fire for ever, and their Incident ends without a claim that the harm is over."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opsloop.api.incident import Incident
from opsloop.core.intake import parse_alerts
from opsloop.core.reported import Alert
from opsloop.names import INBOX
from opsloop.shell.ports import INCIDENTS
from opsloop.shell.reconcile.reconciler import reconcile
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from tests.builders.correlation import NOW, NS, alert
from tests.shell.intake.test_correlation import Process, fill

CASE = Path(__file__).parent / "cases" / "09-silenced.jsonl"
SILENCED = alert("HighErrorRate", "answers", severity="critical")
HOUR = 3600.0


class Rig:
    """One process over a cluster without Releases."""

    def __init__(self) -> None:
        self.cluster = FakeCluster(clock=FakeClock(NOW))
        self.process = Process(self.cluster, ())
        self.bodies = 0

    async def hear(self, alerts: list[Alert]) -> None:
        self.bodies += 1
        fill(self.cluster, alerts, name=str(self.bodies))
        self.process.runtime.inbox.expect(NS)
        await self.process.look()
        self.cluster.clock.advance(11)  # what waited for its dependencies is due
        await self.process.look()

    async def after(self, hours: float) -> Incident:
        self.cluster.clock.advance(hours * HOUR)
        (stored,) = (o for (plural, _, _), o in self.cluster._objects.items() if plural == "incidents")
        name = stored["metadata"]["name"]
        self.process.runtime.cache.put("Incident", stored)
        for _ in range(3):
            await reconcile(self.process.runtime, ("Incident", NS, name))
        return Incident.model_validate(self.cluster.find(INCIDENTS, NS, name))


@pytest.fixture
def rig() -> Rig:
    return Rig()


def reason(incident: Incident) -> str:
    return next((c.reason for c in incident.status.conditions if c.type == "Mitigated"), "")


def first_body() -> list[Alert]:
    body: Any = json.loads(CASE.read_text().splitlines()[0])["body"]
    return list(parse_alerts(body, NOW))


async def test_a_silenced_alert_goes_stale_after_three_repeat_intervals(rig: Rig) -> None:
    await rig.hear(first_body())
    for hours in (1, 6, 4.9):
        known = await rig.after(hours)
        assert (known.status.phase, known.status.alerts.firing, known.status.alerts.stale) == ("Open", 1, 0)
    ended = await rig.after(0.2)
    assert (ended.status.phase, reason(ended)) == ("Resolved", "WentStale")
    assert (ended.status.alerts.firing, ended.status.alerts.stale, ended.status.alerts.count) == (0, 1, 1)
    assert ended.status.alerts.sample[0].status == "stale"
    assert ended.status.mitigated_at is None, "nobody said that the harm is over"
    kinds = {entry.type for entry in ended.status.timeline}
    assert "WentStale" in kinds and not kinds & {"Resolved", "Mitigated"}


async def test_a_repeated_alert_goes_on(rig: Rig) -> None:
    for n in range(6):
        await rig.hear([alert("HighErrorRate", "answers", severity="critical", seen=n * 4 * HOUR)])
        assert (await rig.after(4)).status.alerts.firing == 1, n
    assert (await rig.after(9)).status.phase == "Resolved"


async def test_repeats_within_a_quarter_of_an_hour_are_no_write(rig: Rig) -> None:
    await rig.hear([SILENCED])
    written = len(rig.cluster.written("replace", "configmaps"))
    for n in range(1, 4):
        await rig.hear([alert("HighErrorRate", "answers", severity="critical", seen=n * 60)])
    assert len(rig.cluster.written("replace", "configmaps")) == written


async def test_a_process_that_just_started_calls_nothing_stale(rig: Rig) -> None:
    await rig.hear([SILENCED])
    await rig.after(1)
    rig.cluster.clock.advance(40 * HOUR)  # opsloop was away, and nobody could reach it
    rig.process = Process(rig.cluster, ())
    assert (await rig.after(0.1)).status.alerts.firing == 1
    assert (await rig.after(4)).status.phase == "Resolved", "a repeat would have come by now"


async def test_the_interval_is_a_setting(rig: Rig) -> None:
    rig.process.runtime.repeat_interval = timedelta(minutes=30)
    await rig.hear([SILENCED])
    assert (await rig.after(1.4)).status.phase == "Open"
    assert (await rig.after(0.2)).status.phase == "Resolved"


async def test_one_that_ended_and_one_that_went_stale(rig: Rig) -> None:
    await rig.hear([SILENCED, alert("Other", "answers", severity="critical")])
    await rig.hear([alert("Other", "answers", "resolved", severity="critical", seen=60)])
    ended = await rig.after(13)
    assert (reason(ended), ended.status.alerts.stale, ended.status.alerts.firing) == ("WentStale", 1, 0)
    assert not any(INBOX in o["metadata"].get("labels", {}) for o in rig.cluster._objects.values())
