"""A backtest in a real Prometheus: its range queries are instant queries, so it finds what it finds in the model.

Runs where a Prometheus is at hand (tests/contract/model/real.py).
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from opsloop.adapters.prometheus import Prometheus
from opsloop.core.backtest.results import Backtest
from opsloop.shell.backtest.ahead import Bounds
from opsloop.shell.backtest.run import Asking, backtest
from opsloop.shell.ports import Telemetry
from tests.builders.past import HASHES, START, Era, history, release, telemetry
from tests.contract.model import real

MINUTES = 240
ERAS = (Era(0, "v1", HASHES[0], 0.0005), Era(90, "v2", HASHES[1], 0.4), Era(130, "v1", HASHES[0], 0.0005))


@pytest.fixture(scope="module")
def binary() -> Path:
    found = real.binary()
    if found is None:
        pytest.skip("no Prometheus on this machine")
    return found


async def found(source: Telemetry) -> Backtest:
    since, until = START + timedelta(minutes=60), START + timedelta(minutes=MINUTES)
    scrape, step = timedelta(seconds=15), timedelta(seconds=30)
    asking = Asking(release(), (0.99, 0.95), since, until, step, scrape, timedelta(0), (), "")
    return await backtest(source, asking, Bounds(2000, 10_000_000, 60.0), lambda text: None)


def said(result: Backtest) -> Any:
    tried = [
        (t.objective, [(e.severity, e.spans, e.calls, e.cause) for e in t.episodes], t.each[0].sight.unknown,
         [(d.version, r.outcome, round(r.seconds)) for d, r in t.rollouts])
        for t in result.tried
    ]  # fmt: skip
    return tried, [(d.version, d.at, d.before) for d in result.deploys.found], result.quality, result.traffic.pods


@pytest.mark.simulation
@pytest.mark.asyncio
async def test_it_finds_the_same_as_in_the_model(binary: Path) -> None:
    series = history(ERAS, MINUTES)
    with real.running(binary) as server:
        server.write(series)
        async with aiohttp.ClientSession() as session:
            there = await found(Prometheus.over_http(session, f"http://127.0.0.1:{server.port}"))
    assert said(there) == said(await found(telemetry(series, MINUTES)))
    assert [one.pages for one in there.tried[0].episodes] == [True]
    assert there.queries < 300
