"""VictoriaMetrics itself: a Release's readings, a canary's counts, raw samples and a whole backtest are what Prometheus says.

It runs where it was built before (tests/contract/model/backends.py). What it cannot be brought to say here (a node of the cluster that is
away), and what Thanos and Mimir say, is imitated in test_backends.py.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest

from opsloop.adapters.prometheus import Prometheus
from opsloop.core.readings import Unknown, Value
from opsloop.core.slo import promql
from opsloop.core.slo.pods import Labels
from opsloop.core.slo.splits import scope_of
from opsloop.core.slo.tiers import windows_of
from opsloop.errors import Invalid, OpsloopError
from opsloop.shell.slo.query import SliQuery
from tests.builders.past import START, history, release, telemetry
from tests.contract.model import backends, real
from tests.contract.test_backtest import ERAS, MINUTES, found, said

MOMENTS = [START + timedelta(minutes=minute, seconds=7) for minute in (60, 92, 110, 135, 200)]
NEAR = 0.03  # of an hour's events and more: VictoriaMetrics does not extrapolate to the ends of a window
SCRAPE = timedelta(seconds=15)


@pytest.fixture(scope="module")
def server() -> Iterator[real.Server]:
    """One that has the history."""
    program = backends.binary()
    if program is None:
        pytest.skip("it was not built here: python -m tests.contract.model.backends")
    with backends.victoria_metrics(program) as one:
        one.write(history(ERAS, MINUTES))
        backends.visible(one)
        yield one


@asynccontextmanager
async def asking(server: real.Server) -> AsyncIterator[Prometheus]:
    async with aiohttp.ClientSession() as session:
        yield Prometheus.over_http(session, f"http://127.0.0.1:{server.port}")


async def test_windows_are_read_as_from_prometheus(server: real.Server) -> None:
    """Each window of each tier, at five moments: the same is known, and the error ratios are close."""
    model, slo = telemetry(history(ERAS, MINUTES), MINUTES), release().spec.slo
    assert slo is not None
    async with asking(server) as there:
        for at in MOMENTS:
            answers = []
            for source in (there, model):
                query = SliQuery(source, timedelta(seconds=30), SCRAPE)
                labels = await query.labels(slo.sli, scope_of(release()), at)
                assert isinstance(labels, Labels), labels
                scope = replace(scope_of(release()), labels=labels)
                answers.append((await query.readings(slo, scope, windows_of(slo), {}, at)).windows)
            for window, wanted in answers[1].items():
                reading = answers[0][window]
                assert isinstance(wanted, Value) and isinstance(reading, Value), (at, window, reading, wanted)
                assert reading.total == pytest.approx(wanted.total, rel=NEAR)
                assert reading.bad / reading.total == pytest.approx(wanted.bad / wanted.total, rel=NEAR, abs=0.01)
                assert reading.coverage == pytest.approx(wanted.coverage, abs=0.02)


async def test_a_range_has_the_moments_that_were_asked_for(server: real.Server) -> None:
    """A canary's counts are of windows since its first pod: VictoriaMetrics would move them to multiples of the step."""
    start, step = START + timedelta(minutes=61, seconds=7), 30.0
    async with asking(server) as there:
        for points in (3, 120):
            (series,) = await there.range(
                "sum(http_requests_total)", start, start + timedelta(seconds=step * (points - 1)), step
            )
            assert [at for at, _ in series.points] == [start + timedelta(seconds=step * n) for n in range(points)]


async def test_raw_samples_have_their_own_times(server: real.Server) -> None:
    at = START + timedelta(minutes=100)
    async with asking(server) as there:
        series = await there.samples('http_requests_total{namespace="shop"}[2m]', at)
    assert len(series) == 8 and {len(one.points) for one in series} <= {7, 8}
    for one in series:
        gaps = {round((b - a).total_seconds(), 3) for (a, _), (b, _) in zip(one.points, one.points[1:], strict=False)}
        assert gaps == {15.0}


@pytest.mark.simulation  # half a minute
async def test_a_backtest_finds_what_it_finds_in_prometheus(server: real.Server) -> None:
    """Who was paged and when, for how long, what would have been stopped, and the deploys."""
    async with asking(server) as there:
        there_found = said(await found(there))
    tried, deploys, quality, pods = said(await found(telemetry(history(ERAS, MINUTES), MINUTES)))
    got, got_deploys, got_quality, got_pods = there_found
    assert (got_deploys, got_pods) == (deploys, pods)
    assert [(o, [e[:3] for e in episodes], unknown, rollouts) for o, episodes, unknown, rollouts in got] == [
        (o, [e[:3] for e in episodes], unknown, rollouts) for o, episodes, unknown, rollouts in tried
    ]
    assert (got_quality.apart, [part.share for part in got_quality.parts]) == (
        quality.apart,
        [part.share for part in quality.parts],
    )


async def test_what_it_refuses_is_named_and_is_no_empty_answer(server: real.Server) -> None:
    async with asking(server) as there:
        with pytest.raises(Invalid):
            await there.instant("sum(", MOMENTS[0])
        assert await there.instant("opsloop_no_such_series", MOMENTS[0]) == []


async def test_a_missing_or_empty_list_of_rules_harms_nobody(server: real.Server) -> None:
    """VictoriaMetrics has rules only with vmalert behind it."""
    async with asking(server) as there:
        try:
            rules = await asyncio.wait_for(there.rules(), 20)
        except OpsloopError as error:
            assert str(error)
        else:
            assert rules == []


async def test_an_sli_that_matches_nothing_is_unknown(server: real.Server) -> None:
    body = release().spec.slo
    assert body is not None and body.sli.requests is not None
    wrong = body.model_copy(
        update={
            "sli": body.sli.model_copy(
                update={"requests": body.sli.requests.model_copy(update={"counter": "hits_total"})}
            )
        }
    )
    async with asking(server) as there:
        query = SliQuery(there, timedelta(seconds=30), SCRAPE)
        assert await query.labels(wrong.sli, scope_of(release()), MOMENTS[0]) is None
        found = await query.readings(wrong, scope_of(release()), windows_of(wrong), {}, MOMENTS[0])
    assert all(isinstance(one, Unknown) for one in found.windows.values())
    assert promql.problem(wrong.sli) is None
