"""How often it is asked what counters carried over a gap."""

from datetime import timedelta
from typing import cast

import pytest

from opsloop.api.slo import Sli, Slo, Tier
from opsloop.core.readings import Reading, Value
from opsloop.core.slo import burn_rate
from opsloop.core.slo.pods import Scope
from opsloop.shell.slo.carried import CarriedReader
from opsloop.shell.slo.query import SliQuery
from opsloop.simulator.fakes.clock import START

pytestmark = pytest.mark.asyncio

HOUR, SHORT, TICK, SCRAPE = timedelta(hours=1), timedelta(minutes=5), timedelta(seconds=5), timedelta(seconds=15)
RAW = Sli(bad="sum(increase(errors_total[{{window}}]))", total="sum(increase(requests_total[{{window}}]))")
SLO = Slo(objective=0.99, sli=RAW, tiers=[Tier(long=HOUR, short=SHORT, factor=14.4, severity="sev1")])
GAP: dict[timedelta, Reading] = {HOUR: Value(160, 1000, 0.5), SHORT: Value(16, 100)}
BOTH: dict[timedelta, Reading] = {HOUR: Value(160, 1000, 0.5), SHORT: Value(16, 100, 0.5)}


class Asked:
    """Answers with the same share for each window, and counts."""

    def __init__(self, share: float | None) -> None:
        self.times, self.share = 0, share

    async def carried(self, sli: object, scope: object, windows: set[timedelta], at: object) -> dict[timedelta, float]:
        self.times += 1
        return dict.fromkeys(windows, self.share) if self.share is not None else {}


@pytest.mark.parametrize(
    ("standing", "ticks", "share", "times", "coverage"),
    [
        pytest.param([GAP], 12, 1.0, 4, 1.0, id="once a scrape, though the SLI is read three times as often"),
        pytest.param([GAP], 12, None, 4, 0.5, id="no answer is asked for again at the next scrape"),
        pytest.param([GAP, BOTH], 2, 1.0, 2, 1.0, id="a further window in doubt is asked about at once"),
        pytest.param([{HOUR: Value(160, 1000), SHORT: Value(16, 100)}], 12, 1.0, 0, 1.0, id="without a gap nobody asks"),
    ],
)  # fmt: skip
async def test_what_counters_carried_is_asked(
    standing: list[dict[timedelta, Reading]], ticks: int, share: float | None, times: int, coverage: float
) -> None:
    asked = Asked(share)
    reader = CarriedReader(cast(SliQuery, asked), SCRAPE)
    for number in range(ticks):
        at, readings = START + number * TICK, standing[min(number, len(standing) - 1)]
        covered = await reader.read(SLO, Scope("shop", "web"), burn_rate.judge(SLO, readings, at), readings, at)
        found = covered[HOUR]
        assert isinstance(found, Value) and found.coverage == coverage
    assert asked.times == times
