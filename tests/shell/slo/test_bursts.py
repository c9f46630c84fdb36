"""The poller asks whether a tier is about to page for one burst, and only then."""

from datetime import timedelta

import pytest

from opsloop.core.readings import Verdict
from opsloop.core.slo.burn_rate import BURST_ONLY, TIER_FIRING
from opsloop.errors import Invalid
from opsloop.shell.slo.poller import Poller, ReadingStore
from opsloop.simulator.fakes.clock import START, FakeClock
from tests.builders.objects import release as built
from tests.fakes.telemetry import FakeTelemetry, only

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

HOUR = 3600.0
SLO = {"objective": 0.999, "sli": {"bad": "b[{{window}}]", "total": "t[{{window}}]"}}


class World:
    """One Release with the default tiers at one request per second, read every 15 seconds."""

    def __init__(self) -> None:
        self.telemetry, self.clock, self.store = FakeTelemetry(), FakeClock(), ReadingStore()
        self.item = built(slo=SLO)
        self.end = self.telemetry.serve(START - timedelta(hours=80), 80 * HOUR, rps=1)
        scrape = timedelta(seconds=15)
        releases, hot = (lambda: [self.item]), (lambda _: False)
        self.poller = Poller(
            only(self.telemetry, scrape), self.clock, releases, self.store, lambda _: None, scrape, hot
        )

    async def after(self, seconds: float, rps: float, error: float) -> Verdict:
        """The verdict after so many seconds more of such traffic."""
        self.end = self.telemetry.serve(self.end, seconds, rps, error)
        self.clock.advance(seconds)
        await self.poller.pass_once()
        found = self.store.of(self.item.key).verdict
        assert found is not None
        return found


async def test_a_burst_does_not_fire_and_says_so() -> None:
    world = World()
    await world.after(10, 7, 0.95)
    verdict = await world.after(20, 1, 0.0)
    assert (verdict.firing, verdict.band, verdict.reason) == (None, "slow", BURST_ONLY)
    assert any(tier.burst and (tier.burn_short or 0) > tier.tier.factor for tier in verdict.tiers)


async def test_harm_that_goes_on_fires_and_is_not_asked_about_again() -> None:
    world = World()
    verdict = await world.after(120, 1, 0.9)
    assert (verdict.band, verdict.reason) == ("fast", TIER_FIRING)
    asked = [query for query, *_ in world.telemetry.ranges if "total:30s" in query]
    assert len(asked) == 1
    await world.after(15, 1, 0.9)
    assert len([query for query, *_ in world.telemetry.ranges if "total:30s" in query]) == 1


async def test_a_quiet_service_costs_no_query() -> None:
    world = World()
    await world.after(60, 1, 0.0005)
    assert world.telemetry.ranges == []


async def test_without_an_answer_the_tier_fires() -> None:
    world = World()
    world.telemetry.refused["total:30s"] = Invalid("refused")
    await world.after(10, 7, 0.95)
    assert (await world.after(20, 1, 0.0)).reason == TIER_FIRING
