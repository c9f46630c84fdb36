"""Whether a step did not help, by what a model of Prometheus answers: which series there are, and how often they are scraped."""

from datetime import timedelta

import pytest

from opsloop.api.slo import Sli, Slo, Tier
from opsloop.core.incident.effect import Act
from opsloop.core.readings import Told
from opsloop.core.slo import telling
from opsloop.core.slo.aftermath import judge
from opsloop.core.slo.splits import scope_of
from opsloop.shell.slo.acts import ActReader
from opsloop.shell.slo.query import SliQuery
from opsloop.simulator.fakes.clock import START, FakeClock
from opsloop.simulator.prometheus.store import Store
from opsloop.simulator.prometheus.telemetry import ModelTelemetry
from tests.builders.promtool import load
from tests.shell.slo.test_poller import ONE, release, revision

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

MINUTE = Tier(long=timedelta(minutes=10), short=timedelta(minutes=1), factor=5, severity="sev1")
ACT = Act(START + timedelta(minutes=8), START + timedelta(minutes=10))
SLIS = {
    name: Sli(
        bad=f'sum(increase(hits_total{{{label}=~"{{{{{name}}}}}", code="500"}}[{{{{window}}}}]))',
        total=f'sum(increase(hits_total{{{label}=~"{{{{{name}}}}}"}}[{{{{window}}}}]))',
    )
    for name, label in (("version", "version"), ("pods", "pod"))
}
UNSEEN = Told(False, telling.LIVE_NOT_FOUND, "")
BY_VERSION = Told(True, telling.TOLD_BY_VERSION, "")
LIVE, ANOTHER = "answers-5d9f8c6b5d-x2x4z", "answers-7f4b9d8c6f-abcde"


async def stays(by: str, labels: str, told: Told | None, seconds: int, minutes: int, more: str = "") -> bool:
    """Whether it is said at a look within so many minutes of the effect. A pod has 60 events a minute, all of them bad."""
    item = release(slo=Slo(objective=0.9, sli=SLIS[by], tiers=[MINUTE]))
    item = item.model_copy(
        update={
            "status": item.status.model_copy(
                update={"revisions": [revision(ONE, "v1", replica_sets=["answers-5d9f8c6b5d"])]}
            )
        }
    )
    store, clock = Store(), FakeClock()
    count = 60 * 40 // seconds
    series = [{"series": f'hits_total{{code="500", {labels}}}', "values": f"0+{seconds}x{count}"}]
    if more:  # pods that are gone before they were scraped three times
        absent = (60 * 10 + 30) // seconds
        series += [
            {"series": f'hits_total{{code="500", {labels}, instance="{n}"}}', "values": f"_x{absent} 1 2"} for n in more
        ]
    load(store, series, START, seconds)
    assumed = min(timedelta(seconds=seconds), timedelta(seconds=30))
    reader = ActReader(SliQuery(ModelTelemetry(store, clock), assumed, assumed), assumed)
    for second in range(15, 60 * minutes, 15):
        at = ACT.effect_at + timedelta(seconds=second)
        assert item.spec.slo is not None
        clock.advance((at - clock.now()).total_seconds())
        seen = await reader.read(item, item.spec.slo, scope_of(item), ACT, told, timedelta(0), at)
        if seen is not None and judge(None, seen, 0.5, 5) == "harmed":
            return True
    return False


@pytest.mark.parametrize(
    ("by", "labels", "told", "seconds", "minutes", "says"),
    [
        pytest.param("version", 'version="v1"', BY_VERSION, 15, 3, True, id="the series carry the version"),
        pytest.param("version", 'pod="x"', UNSEEN, 15, 3, True, id="they carry no version"),
        pytest.param("version", 'pod="x"', None, 15, 3, True, id="nobody knows yet whether they do"),
        pytest.param("pods", f'pod="{ANOTHER}"', UNSEEN, 15, 3, True, id="they carry the names of others"),
        pytest.param("pods", f'pod="{ANOTHER}"', BY_VERSION, 15, 2, False, id="the pods that run since are not seen yet"),
        pytest.param("pods", f'pod="{ANOTHER}"', BY_VERSION, 15, 4, True, id="for two minutes nobody sees them, and all fails"),
        pytest.param("version", 'version="v1"', BY_VERSION, 60, 8, True, id="two scrapes in the shortest window"),
        pytest.param("pods", f'pod="{LIVE}"', BY_VERSION, 60, 8, True, id="of the pods that run since as well"),
    ],
)  # fmt: skip
async def test_what_can_be_said(
    by: str, labels: str, told: Told | None, seconds: int, minutes: int, says: bool
) -> None:
    assert await stays(by, labels, told, seconds, minutes) is says


async def test_pods_that_end_before_their_third_scrape_do_not_keep_it_from_being_said() -> None:
    assert await stays("version", 'version="v1"', BY_VERSION, 15, 2, more="abcdefgh")
