"""A tier that is about to page: does the harm go on, or was it a burst?"""

from datetime import timedelta

import pytest

from opsloop.api.slo import Tier
from opsloop.core.slo.bursts import Slot, is_burst, tells, width

SCRAPE = timedelta(seconds=15)
FAST = Tier(long=timedelta(hours=1), short=timedelta(minutes=5), factor=14.4, severity="sev1")
SLOW = Tier(long=timedelta(hours=6), short=timedelta(minutes=30), factor=6, severity="sev2")


def hour(*last: float, rate: float = 1.0) -> list[Slot | None]:
    """An hour at so many requests per second; `last` are the bad events of its last slots."""
    bad = [0.0] * (240 - len(last)) + list(last)
    return [Slot(b, max(b, rate * 15)) for b in bad]


@pytest.mark.parametrize(
    ("slots", "objective", "burst"),
    [
        pytest.param(hour(60), 0.999, True, id="60 bad events in one scrape"),
        pytest.param(hour(30, 30), 0.999, True, id="a burst across the border of two scrapes"),
        pytest.param(hour(1, 0, 0, 60), 0.999, True, id="a burst, and an error of its own before"),
        pytest.param(hour(30, *[0] * 12, 26), 0.999, True, id="two bursts three minutes apart"),
        pytest.param(hour(40, 0, 0, 40, 0, 0, 40), 0.999, False, id="three in two minutes are harm that goes on"),
        pytest.param(hour(15, 15, 15, 15, 15), 0.999, False, id="every request fails for five scrapes"),
        pytest.param(hour(15, 15, 15, 15), 0.999, True, id="four may be two bursts, each across a border"),
        pytest.param(hour(*[3.0] * 18), 0.999, False, id="a fifth fails for four minutes"),
        pytest.param(hour(*[1.0, 0.0] * 30), 0.999, False, id="one in thirty fails for a quarter of an hour"),
        pytest.param(hour(*[1.5] * 35, rate=0.1), 0.99, False, id="a quiet service of which every request fails"),
        pytest.param(hour(60, rate=0.1), 0.99, True, id="a quiet service with one retry storm"),
        pytest.param([None] * 236 + [Slot(15, 15)] * 4, 0.999, False, id="where most of the short window is missing, nobody sees a burst"),
        pytest.param([None] * 220 + [Slot(0, 15)] * 19 + [Slot(60, 60)], 0.999, True, id="a burst of a service that is an hour old"),
        pytest.param([Slot(0, 0)] * 240, 0.999, False, id="without an event nothing is held back"),
    ],
)  # fmt: skip
def test_a_burst_fires_no_tier(slots: list[Slot | None], objective: float, burst: bool) -> None:
    assert is_burst(FAST, objective, slots, SCRAPE) is burst


@pytest.mark.parametrize(
    ("tier", "resolution", "slot", "told"),
    [
        pytest.param(FAST, 15, 15, True, id="one scrape"),
        pytest.param(SLOW, 15, 90, True, id="six scrapes, so that six hours have 240 slots"),
        pytest.param(FAST, 60, 60, True, id="one scrape a minute"),
        pytest.param(FAST, 90, 90, False, id="three slots in the short window do not tell"),
    ],
)
def test_how_wide_a_slot_is(tier: Tier, resolution: int, slot: int, told: bool) -> None:
    assert width(tier, timedelta(seconds=resolution)) == timedelta(seconds=slot)
    assert tells(tier, timedelta(seconds=resolution)) is told
