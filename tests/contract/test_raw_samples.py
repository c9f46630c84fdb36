"""Raw samples of a range selector: the model against a real Prometheus, on the same series sets.

The real one is a binary on this machine (`tests/contract/model/real.py`); without one its recorded answers are compared,
of 2.53. With OPSLOOP_RECORD=1 a live run replaces them: do that when the generator of series sets or a question changed.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from opsloop.adapters.prometheus import Prometheus
from opsloop.errors import Invalid
from opsloop.shell.ports import Series, Telemetry
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.prometheus.store import Store
from opsloop.simulator.prometheus.syntax import Dialect
from opsloop.simulator.prometheus.telemetry import ModelTelemetry
from tests.contract.model import real
from tests.contract.model.world import World, world

pytestmark = pytest.mark.asyncio

SETS = 16
RECORDED = Path(__file__).parent / "recorded" / "raw_samples_2.json"
RECORD = "OPSLOOP_RECORD"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

Samples = dict[str, list[list[float]]] | None
"""Labels as JSON → [milliseconds, value]; None where the query is refused."""


@cache
def made(number: int) -> World:
    return world(number)


def questions(one: World) -> list[tuple[str, int]]:
    """(query, milliseconds): ranges that begin and end on a sample and between two, one metric and several, what is refused."""
    case, step = f'case="{one.number}"', one.interval
    end = one.checkpoints[-1]
    spans = (step, 3 * step, 20 * step)
    plain = [(f"ask_total{{{case}}}[{span}ms]", at) for span in spans for at in (end, end - 5 * step - 411)]
    both = f'{{__name__=~"latency_bucket|latency_count",{case},version=~"v1|v2"}}[{6 * step}ms]'
    refused = [(f"ask_total{{{case}}}", end), (f"sum(increase(ask_total{{{case}}}[{step}ms]))", end)]
    return [*plain, (both, end), (f"{both} offset {2 * step}ms", end), *refused, ("ask_total[", end)]


async def answers(source: Telemetry, number: int) -> list[Samples]:
    found = list[Samples]()
    for query, at in questions(made(number)):
        try:
            found.append(_packed(await source.samples(query, datetime.fromtimestamp(at / 1000, UTC))))
        except Invalid:
            found.append(None)
    return found


def _packed(series: Sequence[Series]) -> Samples:
    return {
        json.dumps(dict(sorted(one.labels.items()))): [[round(at.timestamp() * 1000), v] for at, v in one.points]
        for one in series
    }


def modelled(number: int) -> ModelTelemetry:
    one, store = made(number), Store()
    for labels, arrivals in one.series.items():
        series = store.series(dict(labels))
        for arrival in arrivals:
            store.add(series, arrival.at, arrival.value)
    return ModelTelemetry(store, FakeClock(datetime.fromtimestamp(one.checkpoints[-1] / 1000, UTC)))


def written(one: World) -> Iterator[real.Written]:
    return ((dict(labels), [(a.at, a.value) for a in arrivals]) for labels, arrivals in one.series.items())


@pytest.fixture(scope="module")
def live() -> Iterator[Prometheus]:
    """The adapter over a real server that has all sets."""
    server = real.binary()
    if server is None or real.dialect(real.version(server)) is not Dialect.V2_53:
        pytest.skip("no Prometheus 2.53 here: python -m tests.contract.model.real fetches one")
    with real.running(server) as running:
        running.write(chain.from_iterable(written(made(number)) for number in range(SETS)))

        async def fetch(path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
            return running._send(path, urlencode(params).encode(), FORM)

        yield Prometheus(fetch)


@cache
def recorded() -> list[Any]:
    return list(json.loads(RECORDED.read_text()))


async def test_a_real_prometheus_gives_the_same_samples(live: Prometheus) -> None:
    found = [await answers(live, number) for number in range(SETS)]
    assert found == [await answers(modelled(number), number) for number in range(SETS)]
    if os.environ.get(RECORD):
        RECORDED.write_text(json.dumps(found, separators=(",", ":")) + "\n")


@pytest.mark.parametrize("number", range(SETS))
async def test_a_recorded_prometheus_gave_the_same_samples(number: int) -> None:
    assert await answers(modelled(number), number) == recorded()[number]


async def test_the_record_has_samples_and_refusals() -> None:
    """Else equal answers say nothing."""
    every = list(chain.from_iterable(recorded()))
    assert sum(answer is None for answer in every) == 3 * SETS
    assert sum(len(points) for answer in every if answer for points in answer.values()) > 2_000
