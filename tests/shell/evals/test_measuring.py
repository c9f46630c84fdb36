"""A number of a loaded pod counts when it rests on samples from after the load; PromQL is answered by the model of Prometheus."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from opsloop.adapters.prometheus import NoPrometheus
from opsloop.api.evalcase import Load
from opsloop.core.evalcase.measured import PATIENCE, Seen
from opsloop.errors import Forbidden, Unavailable
from opsloop.shell.evals.measuring import Meter, measured_by
from opsloop.shell.ports import PODS, Sample, Source
from opsloop.simulator.fakes.cluster import FakeCluster
from opsloop.simulator.loop import LeapClock
from opsloop.simulator.prometheus.store import Store, milliseconds
from opsloop.simulator.prometheus.telemetry import ModelTelemetry

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

POD, LOAD_SECONDS = "answers-canary-x", 10
LOAD = Load.model_validate({
    "requestsPerSecond": 20, "duration": f"{LOAD_SECONDS}s",
    "measured": [{"name": "memory", "query": 'max(max_over_time(rss{pod="{{pod}}"}[{{window}}]))', "max": "200Mi"}],
})  # fmt: skip


def a_pod(restarts: int = 0) -> dict[str, Any]:
    last = {"terminated": {"reason": "OOMKilled"}} if restarts else {}
    statuses = [{"name": "app", "restartCount": restarts, "state": {"running": {}}, "lastState": last}]
    meta = {"name": POD, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": {"containerStatuses": statuses}}


class Seconds:
    """A load of ten seconds on a pod of which Prometheus gets these samples of MiB, by the second after the load's begin."""

    def __init__(self, samples: Mapping[float, float]) -> None:
        self.clock = LeapClock(asyncio.get_running_loop())
        self.store, self.cluster, self.start = Store(), FakeCluster(a_pod()), self.clock.now()
        for second, mebibytes in samples.items():
            at = milliseconds(self.start) + round(second * 1000)
            self.store.append({"__name__": "rss", "pod": POD}, at, mebibytes * 2**20)
        self.source = Source(ModelTelemetry(self.store, self.clock), NoPrometheus())

    async def seen(self, restarts: int = 0, source: str = "default") -> tuple[Seen, float]:
        """How the pod fared, and the seconds from the load's end until that was known."""
        loop = asyncio.get_running_loop()
        meter = Meter(
            self.cluster, self.clock, measured_by({"default": self.source}, lambda namespace, release: source)
        )
        before = await meter.before("shop", POD)
        await asyncio.sleep(LOAD_SECONDS)
        if restarts:
            self.cluster.remove(PODS, "shop", POD)
            self.cluster.seed(a_pod(restarts))
        over = loop.time()
        return await meter.after("shop", "answers", POD, LOAD, before), loop.time() - over


@pytest.mark.parametrize(
    ("samples", "fate", "said", "most"),
    [
        pytest.param({-20: 90, 0.5: 90, 15: 120}, "Passed", "memory 120Mi of at most 200Mi", 9, id="the scrape after the load shows it"),
        pytest.param({-20: 900, 15: 120}, "Passed", "memory 120Mi of at most 200Mi", 9, id="what was before the load does not count"),
        pytest.param({5: 300, 15: 120}, "Failed", "under load memory 300Mi of at most 200Mi", 9, id="a peak within the load does"),
        pytest.param({-20: 90, 5: 90}, "NoAnswer", f"memory: no sample of pod {POD} within 75 s of the load's end", 80, id="the last scrape was before its end"),
        pytest.param({5: 300, 65: 310}, "Failed", "under load memory 310Mi of at most 200Mi", 59, id="a scrape each minute is waited for"),
        pytest.param({}, "NoAnswer", f"memory: no sample of pod {POD} within 75 s of the load's end", 80, id="nobody scrapes it"),
    ],
)  # fmt: skip
async def test_samples(samples: Mapping[float, float], fate: str, said: str, most: float) -> None:
    seen, waited = await Seconds(samples).seen()
    assert (seen.fate, seen.message) == (fate, said) and waited <= most


@pytest.mark.parametrize(
    ("samples", "fate"),
    [
        pytest.param({15: 120}, "NoAnswer", id="its number is good: that it did not end is still not known"),
        pytest.param({15: 300}, "Failed", id="its number is bad"),
    ],
)
async def test_a_pod_that_may_not_be_read_is_said_with_the_refusal(samples: Mapping[float, float], fate: str) -> None:
    world = Seconds(samples)

    async def refused(*_: object) -> Any:
        raise Forbidden('pods "answers-canary-x" is forbidden')

    world.cluster.get = refused  # type: ignore[method-assign,assignment]
    seen, _ = await world.seen()
    assert seen.fate == fate
    if fate == "NoAnswer":
        assert "opsloop may not get pods" in seen.message and "is forbidden" in seen.message


async def test_an_error_of_prometheus_is_no_answer_and_says_so() -> None:
    world = Seconds({})

    class Lost(ModelTelemetry):
        async def instant(self, query: str, at: object = None) -> list[Sample]:
            raise Unavailable("no endpoints available")

    world.source = Source(Lost(world.store, world.clock), NoPrometheus())
    seen, waited = await world.seen()
    assert seen == Seen("NoAnswer", "memory: no endpoints available") and waited >= PATIENCE.total_seconds()


async def test_a_source_that_is_not_there_is_said_at_once() -> None:
    seen, waited = await Seconds({15: 120}).seen(source="eu")
    assert seen.fate == "NoAnswer" and "spec.slo.source" in seen.message and waited == 0


async def test_a_container_that_was_killed_has_failed_without_a_look_at_prometheus() -> None:
    seen, waited = await Seconds({15: 120}).seen(restarts=1)
    assert seen == Seen("Failed", "container app ended under load (OOMKilled)") and waited == 0
