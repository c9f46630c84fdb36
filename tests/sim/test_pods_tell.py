"""A Deployment whose metrics carry no version label, as every Prometheus scrapes them: pods tell its revisions apart."""

from collections import Counter
from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.shell.ports import PODS, Object
from opsloop.simulator.prometheus.store import Store, milliseconds
from opsloop.simulator.prometheus.telemetry import ModelTelemetry
from tests.sim.shift import Shift, release_object, runbook_object, seconds
from tests.sim.shop import NS, RPS, Shop, version_of

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SLI = {"requests": {"counter": "http_requests_total", "bad": 'status=~"5.."'}}


class ScrapedShop(Shop):
    """Each pod has a counter by status, which Prometheus reads each second; a status appears with its first request."""

    def __init__(self, release: Object, runbook: Object | None, labels: bool = True) -> None:
        """Without `labels` the series name no pod, as those of a load balancer."""
        self.samples, self.labels = Store(), labels
        self.counts: Counter[tuple[str, str]] = Counter()
        super().__init__(release, runbook)
        self.telemetry: Any = ModelTelemetry(self.samples, self.clock)

    def _serve(self, seconds: float) -> None:
        pods = self.in_traffic()
        for pod in pods:
            self.served.add(version_of(pod))
            wrong = self.errors[version_of(pod)]
            for status, share in (("200", 1 - wrong), ("500", wrong)):
                if share:
                    self.counts[pod["metadata"]["name"], status] += round(RPS * seconds * share / len(pods))
        if not self.silent:
            self._scrape({pod["metadata"]["name"] for pod in self.objects("pods")})

    def _labels(self, pod: str) -> dict[str, str]:
        """What names the pod on its series."""
        return {"pod": pod, "namespace": "shop"} if pod else {}

    def _scrape(self, alive: set[str]) -> None:
        at, ends = milliseconds(self.clock.now()), Counter[tuple[str, str]]()
        for (pod, status), count in self.counts.items():
            if self.labels and pod in alive:
                ends[pod, status] = count
            elif not self.labels:
                ends["", status] += count
        for (pod, status), count in ends.items():
            name = {"__name__": "http_requests_total", "job": "answers", "status": status}
            self.samples.append({**name, **self._labels(pod)}, at, float(count))


class ShopByAddress(ScrapedShop):
    """Prometheus has only its own label: the address that it scrapes. Pods that are gone keep theirs in `addresses`."""

    def __init__(self, release: Object, runbook: Object | None, labels: bool = True) -> None:
        self.addresses: dict[str, str] = {}
        super().__init__(release, runbook, labels)

    def _labels(self, pod: str) -> dict[str, str]:
        stored = self.cluster.find(PODS, NS, pod)
        if stored is not None and (ip := stored["status"].get("podIP")):
            self.addresses[pod] = ip
        return {"instance": f"{self.addresses.get(pod, pod)}:8080"}


async def shift_with(sli: dict[str, Any], labels: bool = True, shop: type[ScrapedShop] = ScrapedShop) -> Shift:
    item = release_object()
    item["spec"]["slo"]["sli"] = sli
    item["spec"].pop("evals")
    shift = Shift(shop=shop(item, runbook_object(), labels))
    await shift.adopt()
    return shift


def condition(shift: Shift, name: str) -> tuple[str, str]:
    found = conditions.get(shift.release().status.conditions, name)
    return (found.status, found.reason) if found else ("", "")


async def end(shift: Shift) -> None:
    telemetry: Any = shift.shop.telemetry
    assert telemetry.unsupported == []
    await shift.operator.stop()


@pytest.mark.parametrize(
    "sli",
    [
        pytest.param(SLI, id="a counter that is named"),
        pytest.param({"bad": 'sum(increase(http_requests_total{status="500",pod=~"{{pods}}"}[{{window}}]))', "total": 'sum(increase(http_requests_total{pod=~"{{pods}}"}[{{window}}]))'}, id="PromQL with {{pods}}"),
    ],
)  # fmt: skip
async def test_a_bad_version_is_rejected_as_a_canary_and_a_good_one_is_promoted(sli: dict[str, Any]) -> None:
    shift = await shift_with(sli)
    await seconds(shift, 5)
    assert condition(shift, "RevisionsTold") == ("True", "ToldByPods"), "said at adoption"
    shift.shop.ship("v3")
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    assert shift.wrote() == []
    shift.shop.ship("v4")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    assert shift.live == "v4"
    await end(shift)


async def test_a_bad_version_by_hand_is_rolled_back() -> None:
    shift = await shift_with(SLI)
    shift.shop.set_image("v2")
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"])
    await shift.until("resolved", lambda: (i := shift.incident()) is not None and i.status.phase == "Resolved")
    assert [r.version for r in shift.release().status.revisions if r.blocked] == ["v2"]
    await end(shift)


async def test_two_revisions_with_the_same_version_label_are_told_by_their_pods() -> None:
    """The image changes, the label does not: a bad canary under live's own name."""
    shift = await shift_with(SLI)
    shift.shop.cluster.on_store = lambda _: None  # the shift's laws know revisions by their label
    shift.shop.ship("v1", images={"answers": "shop:v3"})
    await shift.until("v3 is rejected", lambda: shift.target() == ("v1", "Rejected"))
    assert shift.wrote() == []
    await end(shift)


async def test_a_version_label_that_the_metrics_do_not_carry_is_said_at_adoption() -> None:
    by_label = 'sum(increase(http_requests_total{%sversion=~"{{version}}"}[{{window}}]))'
    shift = await shift_with({"bad": by_label % 'status="500",', "total": by_label % ""})
    await seconds(shift, 70)
    assert condition(shift, "RevisionsTold") == ("False", "LiveNotFound")
    await end(shift)


async def test_where_nothing_tells_revisions_apart_it_is_said_at_adoption_and_a_good_version_goes_on() -> None:
    shift = await shift_with({"requests": {**SLI["requests"], "selector": 'job="answers"'}}, labels=False)
    await seconds(shift, 5)
    assert condition(shift, "RevisionsTold") == ("False", "NotByVersion")
    shift.shop.ship("v4")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await end(shift)


async def test_where_nothing_tells_revisions_apart_a_bad_canary_goes_with_the_service_s_sli() -> None:
    shift = await shift_with({"requests": {**SLI["requests"], "selector": 'job="answers"'}}, labels=False)
    shift.shop.ship("v3")
    await shift.until("v3 serves", lambda: bool(shift.shop.open_canaries()))
    await shift.until("it is out of traffic", lambda: not shift.shop.open_canaries())
    assert shift.target()[1] == "Cancelled"
    assert "v3" not in shift.wrote()
    await end(shift)


BY_JOB = {"requests": {**SLI["requests"], "selector": 'job="answers"'}}


async def test_addresses_tell_revisions_apart_where_nothing_names_a_pod() -> None:
    shift = await shift_with(BY_JOB, shop=ShopByAddress)
    await shift.until("told", lambda: condition(shift, "RevisionsTold") == ("True", "ToldByAddresses"), most=130)
    shift.shop.ship("v3")
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    target = shift.release().status.target
    assert target is not None and target.reason == "AnalysisFailed" and shift.wrote() == []
    shift.shop.ship("v4")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await seconds(shift, 120)  # so that it cannot be v4, of a moment ago
    shift.shop.set_image("v2")
    await shift.until("v4 is written back", lambda: shift.live == "v4" and len(shift.wrote()) == 2)
    await end(shift)
