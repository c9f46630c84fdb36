"""A timed service: its histogram says what users saw, and everything else is as without it."""

import asyncio
from datetime import UTC, datetime

import pytest

from opsloop.simulator.burn import objectives
from opsloop.simulator.kinds import KINDS, weather
from opsloop.simulator.loop import LeapLoop, run
from opsloop.simulator.scraping import TIMED
from opsloop.simulator.service import Service, Timing, Version
from opsloop.simulator.traffic import Wave
from opsloop.simulator.world import STEP, World

VERSIONS = {"v1": Version("v1", 0.01, slow=0.004), "v2": Version("v2", 0.01, harm=True, slow=0.4)}
START = datetime(2026, 1, 5, 9, tzinfo=UTC)


def played(timing: Timing | None, seconds: float) -> World:
    """v2 is pushed after five minutes; a while later a fifth of all requests is slow for everybody."""

    async def play() -> World:
        world = World(7, START, (Service("answers", Wave(50), VERSIONS, timing=timing),), {"answers": "v1"})
        world.at(300, lambda: world.push("answers", "v2"))
        world.at(900, lambda: world.slowness("", 0.2, 300))
        while world.now() <= seconds:
            world.step()
            await asyncio.sleep(STEP)
        return world

    return run(play(), LeapLoop(float(STEP)))


async def _asked(world: World, query: str) -> float:
    (sample,) = await world.telemetry.instant(query, world.start_plus(world.now()))
    return sample.value


def asked(world: World, query: str) -> float:
    return asyncio.run(_asked(world, query))


def test_the_histogram_says_how_many_requests_were_slow() -> None:
    world = played(Timing(), 1500)
    tallies = [t for t in world.traffic["answers"].tallies if 600 < t.at <= 1500]
    late, total = sum(t.slow for t in tallies), sum(t.total for t in tallies)
    seen = asked(world, f'sum(increase({TIMED}_count[15m])) - sum(increase({TIMED}_bucket{{le="0.5"}}[15m]))')
    assert seen == pytest.approx(late, rel=0.05)
    assert asked(world, f"sum(increase({TIMED}_count[15m]))") == pytest.approx(total, rel=0.05)
    own = sum(t.own_slow for t in tallies) / total
    assert own == pytest.approx(0.4, abs=0.03), "by the version's own fault"
    during = [t for t in tallies if 900 < t.at <= 1200]
    assert sum(t.slow for t in during) / sum(t.total for t in during) == pytest.approx(0.4 + 0.6 * 0.2, abs=0.03)


def test_the_days_before_have_a_histogram_too() -> None:
    world = played(Timing(), 60)
    share = asked(world, f'1 - sum(increase({TIMED}_bucket{{le="0.5"}}[1d])) / sum(increase({TIMED}_count[1d]))')
    assert share == pytest.approx(0.004, rel=0.1)


def test_a_service_that_is_timed_has_the_same_requests_as_one_that_is_not() -> None:
    timed, plain = (played(timing, 900).traffic["answers"].tallies for timing in (Timing(), None))
    assert [(t.at, t.version, t.total, t.bad) for t in timed] == [(t.at, t.version, t.total, t.bad) for t in plain]
    assert not any(t.slow for t in plain)


def test_a_share_of_the_weathers_is_timed_and_their_oracle_knows_it() -> None:
    found = [weather(seed) for seed in range(1, 201)]
    timed = [one for one in found if one.main.timing is not None]
    assert 20 <= len(timed) <= 60
    assert {one.kind.partition("-")[0] for one in timed} >= {"quiet", "good", "bad"}
    slow = [v for one in timed for v in one.main.versions.values() if v.slow > one.main.timing.budget]  # type: ignore[union-attr]
    assert slow and all(v.harm for v in slow), "nobody who keeps the objective is called harmful"
    assert all(len(objectives(one.main)) == 2 for one in timed)
    assert all(weather(one.seed).main == one.main for one in timed[:5]), "the same seed is the same weather"
    assert "outage" in KINDS
