"""How often a walk through the past reads the counts around the beginning of a harm."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.core.slo.splits import scope_of
from opsloop.shell.backtest.walk import _Reader
from opsloop.shell.slo.query import SliQuery
from opsloop.shell.slo.reader import History
from opsloop.simulator.fakes.clock import START
from tests.builders.objects import verdict
from tests.fakes.telemetry import FakeTelemetry
from tests.shell.slo.test_poller import ONE, TWO, release, revision

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("deploys", "read"),
    [
        pytest.param({}, [0, 1, 2, 3, 4, 5, 7, 9, 12, 15, 19, 24, 30, 38, 48, 60, 75, 94, 118, 148, 185, 232, 290, 363, 454, 568], id="less and less often, while nothing changes"),
        pytest.param({"live_since": 400}, [363, 400, 401, 402, 403, 404, 405, 407, 409, 412, 415, 419, 424, 430, 438, 448, 460, 475, 494, 518, 548, 585], id="anew from a deploy on"),
        pytest.param({"live_since": 400, "rolled_out_at": 410}, [363, 400, 401, 402, 403, 404, 405, 407, 409, 410, 411, 412, 413, 414, 415, 417, 419, 422, 425, 429, 434, 440, 448, 458, 470, 485, 504, 528, 558, 595], id="and from when it is through"),
    ],
)  # fmt: skip
@pytest.mark.asyncio
async def test_a_harm_is_read_anew_where_a_deploy_lies_after_the_last_read(
    deploys: dict[str, int], read: list[int]
) -> None:
    telemetry, seen = FakeTelemetry(), list[int]()
    telemetry.serve(START - timedelta(hours=2), 12 * 3600, error=0.5)

    async def created(_: Any) -> None:
        return None

    reader = _Reader(SliQuery(telemetry, MINUTE, MINUTE), MINUTE, MINUTE, timedelta(0), lambda _: None, created)
    spec = release().spec.slo
    assert spec is not None
    history = History(spec)
    for minute in range(601):
        at, before = START + minute * MINUTE, len(telemetry.ranges)
        known = {name: START + when * MINUTE for name, when in deploys.items() if when <= minute}
        item = release(revisions=[revision(ONE, "v1"), revision(TWO, "v2", **known)])
        await reader._harm(item, history, scope_of(item), verdict(0.5, at), at)
        seen += [minute] if len(telemetry.ranges) > before else []
    assert [minute for minute in seen if minute >= read[0]] == read
