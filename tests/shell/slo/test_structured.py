"""SLIs that name a counter or a histogram, read by the poller from a model of Prometheus: nobody wrote PromQL."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.meta import ObjectMeta, parse_duration
from opsloop.api.release import Release, ReleaseSpec, WorkloadRef
from opsloop.api.revision import Revision
from opsloop.api.slo import Slo, Tier
from opsloop.api.target import Target
from opsloop.core.readings import Reading, Readings, Unknown, Value
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import telling
from opsloop.shell.slo.poller import Poller, ReadingStore
from opsloop.simulator.fakes.clock import START, FakeClock
from opsloop.simulator.prometheus.store import Store
from opsloop.simulator.prometheus.telemetry import ModelTelemetry
from tests.builders.promtool import load
from tests.fakes.telemetry import only

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

RESOLUTION = timedelta(seconds=15)
ONE, TWO = "1" * 16, "2" * 16
LIVE, CANARY = "web-5d9f8c6b5d", "web-canary-7f4b9d8c6f"
FAST = Tier(long=timedelta(hours=1), short=timedelta(minutes=5), factor=14.4, severity="sev1")
REQUESTS = {"requests": {"counter": "hits_total", "bad": 'code=~"5.."'}}
LATENCY = {"latency": {"histogram": "took_seconds", "threshold": 1}}
STEPPING = Target(digest=TWO, version="v2", state="Stepping", started_at=START)


def release(sli: dict[str, Any], **status: Any) -> Release:
    spec = Slo.model_validate({"objective": 0.9, "sli": sli, "tiers": [FAST.dump()]})
    revision = {"reason": "Adopted", "first_seen": START, "live_since": START}
    known = [
        Revision(digest=ONE, number=1, version="v1", replica_sets=[LIVE], **revision),  # type: ignore[arg-type]
        Revision(digest=TWO, number=2, version="v2", replica_sets=[CANARY], **revision),  # type: ignore[arg-type]
    ]
    return Release(
        metadata=ObjectMeta(name="web", namespace="shop"),
        spec=ReleaseSpec(workload_ref=WorkloadRef(name="web"), version="v1", images={"app": "shop:v1"}, slo=spec),
        status={"live": ONE, "revisions": known, **status},  # type: ignore[arg-type]
    )


class Reader:
    """A poller over samples that are scraped every 15 s from START on."""

    def __init__(self, item: Release, *series: tuple[str, str]) -> None:
        self.clock, store = FakeClock(), Store()
        load(store, [{"series": name, "values": values} for name, values in series], START)
        self.item, self.telemetry, self.store = item, ModelTelemetry(store, self.clock), ReadingStore()
        self.poller = Poller(
            only(self.telemetry, RESOLUTION), self.clock, lambda: [self.item], self.store, lambda _: None, RESOLUTION, lambda _: False
        )  # fmt: skip

    async def at(self, span: str) -> Readings:
        self.clock.advance((START + parse_duration(span) - self.clock.now()).total_seconds())
        await self.poller.pass_once()
        assert self.telemetry.unsupported == []
        return self.store.of(("shop", "web"))

    async def short(self, span: str) -> Reading:
        """The reading of the last five minutes."""
        verdict = (await self.at(span)).verdict
        assert verdict is not None
        return verdict.tiers[0].short


def counter(name: str, pod: str, **labels: str) -> str:
    made = [f'{key}="{value}"' for key, value in {"namespace": "shop", "pod": pod, **labels}.items()]
    return f"{name}{{{','.join(made)}}}"


def about(reading: Reading, bad: float, total: float) -> None:
    assert isinstance(reading, Value), reading
    assert reading.bad == pytest.approx(bad, abs=1)
    assert reading.total == pytest.approx(total, rel=0.03)


HEALTHY = (counter("hits_total", f"{LIVE}-aaaaa", code="200"), "0+150x480")


@pytest.mark.parametrize("form", ["good", "bad", "requests"])
async def test_the_first_error_of_each_pod_counts_in_every_form(form: str) -> None:
    """Four pods of a quiet service, each with an error or two in its first minutes: by increase() alone there is half of them."""
    matcher = {"good": 'code!~"5.."', "bad": 'code=~"5.."'}
    wrote = {form: f"sum(increase(hits_total{{{matcher.get(form)}}}[{{{{window}}}}]))"}
    sli = REQUESTS if form == "requests" else {**wrote, "total": "sum(increase(hits_total[{{window}}]))"}
    born = [
        (counter("hits_total", f"{LIVE}-bbbb{n}", code="500"), f"_x{460 + 4 * n} 1x2 2x40") for n in range(4)
    ]  # 1 error, and another 45 s later
    reader = Reader(release(sli), HEALTHY, *born)
    about(await reader.short("1h59m"), 8, 3008)


async def test_requests_of_a_counter_are_read_without_a_word_of_promql() -> None:
    failing = (counter("hits_total", f"{LIVE}-aaaaa", code="500"), "0+50x480")
    readings = await Reader(release(REQUESTS), HEALTHY, failing).at("2h")
    assert readings.verdict is not None
    about(readings.verdict.tiers[0].short, 1000, 4000)
    assert readings.verdict.band == "slow"
    assert readings.told is not None
    assert (readings.told.apart, readings.told.reason) == (True, telling.TOLD_BY_PODS)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(counter("hits_total", "web-api-5d9f8c6b5d-aaaaa", code="500"), id="a Deployment whose name begins alike"),
        pytest.param(counter("hits_total", "web-0", code="500"), id="a StatefulSet of the same name"),
        pytest.param(f'hits_total{{namespace="staging",pod="{LIVE}-aaaaa",code="500"}}', id="the same pods in another namespace"),
        pytest.param('hits_total{job="edge",code="500"}', id="series without a pod"),
    ],
)  # fmt: skip
async def test_the_requests_of_others_do_not_count(other: str) -> None:
    about(await Reader(release(REQUESTS), HEALTHY, (other, "0+150x480")).short("2h"), 0, 3000)


@pytest.mark.parametrize("label", ["pod", "kubernetes_pod_name", "exported_pod", "k8s_pod_name"])
async def test_the_label_with_the_pod_s_name_is_found(label: str) -> None:
    series = f'hits_total{{{label}="{LIVE}-aaaaa",instance="10.0.0.1:80",code="500"}}'
    other = f'hits_total{{{label}="db-0",code="500"}}'
    reader = Reader(release(REQUESTS, target=STEPPING), (series, "0+150x480"), (other, "0+150x480"))
    readings = await reader.at("2h")
    about(readings.by_revision[ONE], 600, 600)


async def test_an_exporter_s_own_pod_is_not_the_service_s() -> None:
    """A gateway that counts for others: `pod` is the gateway's, `exported_pod` is ours."""
    series = f'hits_total{{namespace="edge",pod="gateway-5d9f8c6b5d-ccccc",exported_pod="{LIVE}-aaaaa",exported_namespace="shop",code="500"}}'
    reader = Reader(release(REQUESTS, target=STEPPING), (series, "0+150x480"))
    about((await reader.at("2h")).by_revision[ONE], 600, 600)


async def test_a_label_that_a_person_named_is_taken() -> None:
    sli = {"requests": {**REQUESTS["requests"], "podLabel": "container"}}
    series = f'hits_total{{pod="{LIVE}-bbbbb",container="{LIVE}-aaaaa",code="500"}}'
    about((await Reader(release(sli, target=STEPPING), (series, "0+150x480")).at("2h")).by_revision[ONE], 600, 600)


async def test_without_pods_in_the_series_a_selector_is_needed_and_revisions_are_not_told() -> None:
    bare = ('hits_total{job="web",code="500"}', "0+150x480")
    reader = Reader(release(REQUESTS), bare)
    assert await reader.short("2h") == Unknown(
        slo.NO_SERIES, "spec.slo.sli: no series names a living pod of the Deployment; write a selector"
    )
    sli = {"requests": {**REQUESTS["requests"], "selector": 'job="web"'}}
    readings = await Reader(release(sli), bare).at("2h")
    assert readings.verdict is not None
    about(readings.verdict.tiers[0].short, 3000, 3000)
    assert readings.told is not None
    assert (readings.told.apart, readings.told.reason) == (False, slo.NOT_BY_VERSION)
    assert "name it in podLabel" in readings.told.message


async def test_canary_and_live_are_told_apart_by_their_pods() -> None:
    canary = (counter("hits_total", f"{CANARY}-bbbbb", code="500"), "_x440 0+30x40")
    split = (await Reader(release(REQUESTS, target=STEPPING), HEALTHY, canary).at("2h")).by_revision
    about(split[ONE], 0, 600)
    about(split[TWO], 120, 120)


async def test_what_a_series_was_born_with_counts() -> None:
    """Sixty errors in the canary's first scrape: increase() alone sees none of them."""
    series = (
        HEALTHY,
        (counter("hits_total", f"{CANARY}-bbbbb", code="200"), "_x475 10+60x5"),
        (counter("hits_total", f"{CANARY}-bbbbb", code="500"), "_x477 60x3"),
    )
    split = (await Reader(release(REQUESTS, target=STEPPING), *series).at("2h")).by_revision
    about(split[TWO], 60, 60 + 240)


async def test_one_error_for_each_path_counts() -> None:
    """Every series has one event in its life."""
    paths = [(counter("hits_total", f"{LIVE}-aaaaa", code="500", path=f"/{n}"), f"_x{470 + n % 10} 1x{10 - n % 10}") for n in range(40)]  # fmt: skip
    about(await Reader(release(REQUESTS), HEALTHY, *paths).short("2h"), 40, 3040)


async def test_after_an_outage_of_prometheus_old_counters_are_not_taken_for_new() -> None:
    """What was counted for days appears within one window: nothing in it was born there."""
    series = (counter("hits_total", f"{LIVE}-aaaaa", code="500"), "_x472 900000+1x8")
    reading = await Reader(release(REQUESTS), series).short("2h")
    assert isinstance(reading, Value)
    assert reading.total < 20


async def test_a_restart_counts_on() -> None:
    reset = (counter("hits_total", f"{LIVE}-aaaaa", code="500"), "0+10x470 0+10x9")
    reading = await Reader(release(REQUESTS), HEALTHY, reset).short("2h")
    assert isinstance(reading, Value)
    assert 180 <= reading.bad <= 200


@pytest.mark.parametrize("spelled", ["1", "1.0", "1e+00"])
async def test_a_bucket_s_bound_may_be_spelled_in_any_way(spelled: str) -> None:
    pod = f"{LIVE}-aaaaa"
    series = (
        (counter("took_seconds_count", pod), "0+150x480"),
        (counter("took_seconds_bucket", pod, le=spelled), "0+90x480"),
        (counter("took_seconds_bucket", pod, le="10"), "0+149x480"),
        (counter("took_seconds_bucket", pod, le="+Inf"), "0+150x480"),
    )
    about(await Reader(release(LATENCY), *series).short("2h"), 1200, 3000)


async def test_a_threshold_without_a_bucket_is_unknown_and_not_harm() -> None:
    pod = f"{LIVE}-aaaaa"
    series = (
        (counter("took_seconds_count", pod), "0+150x480"),
        (counter("took_seconds_bucket", pod, le="0.5"), "0+90x480"),
    )
    assert await Reader(release(LATENCY), *series).short("2h") == Unknown(
        slo.NO_BUCKET, "spec.slo.sli.latency.threshold: no bucket has the bound 1; write one that exists"
    )


async def test_a_prometheus_that_comes_back_with_other_labels_pages_nobody() -> None:
    """All series look born, so that all that they count in their lives counts in the windows: at once, as one burst does."""
    item = release(REQUESTS)
    assert item.spec.slo is not None
    slo_ = item.spec.slo.model_copy(update={"objective": 0.99})
    item = item.model_copy(update={"spec": item.spec.model_copy(update={"slo": slo_})})
    past = [  # an hour in which two thirds failed, then an hour in which all was well; relabelled 40 scrapes before the end
        (counter("hits_total", f"{LIVE}-aaaaa", code="200"), "0+50x240 12000+150x199 _x100"),
        (counter("hits_total", f"{LIVE}-aaaaa", code="500"), "0+100x240 24000+0x199 _x100"),
        (counter("hits_total", f"{LIVE}-aaaaa", code="200", cluster="eu"), "_x441 42000+150x99"),
        (counter("hits_total", f"{LIVE}-aaaaa", code="500", cluster="eu"), "_x441 24000+0x99"),
    ]
    reader, reasons = Reader(item, *past), set[str]()
    for minutes in (109, 110.5, 111, 112, 114, 116, 120, 130):
        verdict = (await reader.at(f"{round(minutes * 60)}s")).verdict
        assert verdict is not None and verdict.firing is None, (minutes, verdict)
        reasons.add(verdict.reason)
    assert slo.BURST_ONLY in reasons, "the windows do burn"
