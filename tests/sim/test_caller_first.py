"""The whole operator where a caller is read as burning before what it depends on: one alert at the pager for one fault."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from opsloop.shell.ports import INCIDENTS, RELEASES
from opsloop.simulator.chains import Part, chain
from opsloop.simulator.episode import live_through
from opsloop.simulator.record import Record
from opsloop.simulator.weather import DEPENDENCY, EVENT, MAIN, happen
from opsloop.simulator.world import NS, World

pytestmark = pytest.mark.simulation

FIRES = 1020.0  # seconds after the event: half of the answers bad for so long are in the caller's 1h window
LATER: list[Part] = [(0, 0.5, FIRES + 240), (FIRES + 240, 0.95, 900)]


def _no_release(world: World) -> None:
    world.cluster.remove(RELEASES, NS, DEPENDENCY)


def _unread(world: World) -> None:
    stored = world.get(RELEASES, DEPENDENCY)
    stored["spec"]["slo"]["sli"] = {"bad": "nothing_bad[{{window}}]", "total": "nothing[{{window}}]"}
    world.cluster.seed(stored)


@cache
def lived(
    parts: tuple[Part, ...], begun: Callable[[World], None] | None = None, alerts: float = 0, own: tuple[float, float] = (0, 0)
) -> tuple[Record, dict[str, Any]]:  # fmt: skip
    """What came of it, and the Incidents at the end. `alerts`: seconds that alerts are pending, 0 = there are none; `own`:
    (error ratio, seconds) by which the caller errs itself from the event on; `begun`: a second after the beginning."""
    weather = chain(1, "caller-first", parts, rps=50.0)
    weather.services = tuple(replace(s, wave=replace(s.wave, swing=0.0)) for s in weather.services)
    weather.alerts, weather.severity = alerts > 0, "critical"
    if own[1]:
        happen(weather, EVENT, f"{MAIN} errs", lambda w: w.outage(MAIN, *own))
    if begun is not None:
        happen(weather, 60.0, "", begun)
    kept: list[World] = []

    def meet(world: World) -> None:
        world.alerting.pending = alerts
        kept.append(world)

    episode = live_through(weather, begun=meet)
    assert episode.failures == []
    return episode.record, {i["metadata"]["name"]: i for i in kept[0].cluster.all(INCIDENTS.plural)}


def alerts_of(record: Record) -> list[list[str]]:
    """What was sent about each alert at the pager, in order: `Incident reason`."""
    keys = dict.fromkeys(page.key for page in record.pages)
    return [[f"{p.incident} {p.what}" for p in record.pages if p.key == key] for key in keys]


def opened(record: Record, incident: str) -> float:
    return record.incidents[incident].open[0][0]


def texts(incident: Any, kind: str) -> list[str]:
    return [entry["message"] for entry in incident["status"]["timeline"] if entry["type"] == kind]


def test_minutes_later_its_root_goes_on_with_its_page() -> None:
    record, incidents = lived(tuple(LATER))
    assert alerts_of(record) == [
        ["answers-1 trigger Severity sev1", "catalog-1 trigger RootFound sev1", "catalog-1 resolve Resolved sev1"]
    ]
    assert 0 < record.pages[0].at - opened(record, "answers-1") <= 45, "its dependency errs too: two scrapes at most"
    assert incidents["answers-1"]["status"]["mergedInto"] == "catalog-1"
    assert "its page goes on as that of catalog-1" in texts(incidents["answers-1"], "PageContinues")[0]
    assert re.search("people were called for answers-1 at .* UTC", texts(incidents["catalog-1"], "PageContinues")[0])


def test_seconds_later_nobody_is_called_for_the_caller() -> None:
    record, incidents = lived(((0, 0.5, 775), (775, 0.98, 900)))
    assert [one[0].split()[0] for one in alerts_of(record)] == ["catalog-1"]
    assert incidents["answers-1"]["status"]["mergedInto"] == "catalog-1"
    assert opened(record, "catalog-1") > opened(record, "answers-1")


def test_it_errs_more_and_never_burns_so_the_caller_is_called_for_within_two_scrapes() -> None:
    record, incidents = lived(((0, 0.5, 2000),))
    assert alerts_of(record) == [["answers-1 trigger Severity sev1", "answers-1 resolve Resolved sev1"]]
    assert 30 <= record.pages[0].at - opened(record, "answers-1") <= 45
    assert "catalog, which it depends on, errs more than it may" in texts(incidents["answers-1"], "PageWaits")[0]


def test_nothing_is_read_of_it_so_the_caller_is_called_for_at_once() -> None:
    record, incidents = lived(((0, 0.5, 2000),), _unread)
    assert alerts_of(record)[0][0] == "answers-1 trigger Severity sev1"
    assert record.pages[0].at - opened(record, "answers-1") <= 5 and not texts(incidents["answers-1"], "PageWaits")


def test_alerts_of_a_service_without_a_release_delay_the_sev1_of_its_caller_by_two_scrapes() -> None:
    """They are a sev2, so that they explain no sev1: people hear of both, and of the caller why it came later."""
    record, incidents = lived(((0, 1.0, 1500),), _no_release, 300.0)
    assert [one[0] for one in alerts_of(record)] == [
        "catalog-1 trigger Severity sev2",
        "answers-1 trigger Severity sev1",
    ]
    called = next(page.at for page in record.pages if page.incident == "answers-1")
    assert 30 <= called - opened(record, "answers-1") <= 45
    assert "catalog, which it depends on, has alerts that fire" in texts(incidents["answers-1"], "PageWaits")[0]


def test_what_breaks_long_after_is_another_thing_to_wake_people_for_and_both_say_so() -> None:
    record, incidents = lived(((2100, 0.98, 1500),), own=(0.5, 4000.0))
    calls = [one[0] for one in alerts_of(record)]
    assert calls == ["answers-1 trigger Severity sev1", "catalog-1 trigger Severity sev1"]
    assert "catalog-1" in texts(incidents["answers-1"], "Dependency")[0]
    assert "answers depends on catalog and breaches too" in texts(incidents["catalog-1"], "Affected")[0]
