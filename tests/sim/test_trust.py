"""What is trusted of a reading: SLIs as people bring them along, and answers of Prometheus that are not what they look like."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from opsloop.adapters.prometheus import Prometheus
from opsloop.core import conditions
from opsloop.shell.ports import Object
from opsloop.simulator.prometheus.store import Store, milliseconds
from opsloop.simulator.prometheus.telemetry import ModelTelemetry
from tests.builders.objects import V1
from tests.sim.shift import Shift, release_object, resolved, runbook_object, seconds
from tests.sim.shop import RPS, Shop, version_of

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

ERRORS, ALL = 'http_requests_total{status="500"}', "http_requests_total"


def counted(bad: str = ERRORS, total: str = ALL, of: str = "bad") -> dict[str, str]:
    return {name: f"sum(increase({series}[{{{{window}}}}]))" for name, series in ((of, bad), ("total", total))}


class LabelledShop(Shop):
    """Counters of each pod with its version, by status and path, that Prometheus reads each second."""

    def __init__(self, release: Object, runbook: Object | None) -> None:
        self.samples = Store()
        self.counts: Counter[tuple[str, str, str, str]] = Counter()  # pod, version, status, path
        self.late = 0.0  # seconds until a sample can be asked for
        self.path_per_error = False  # each error is the first one of its path
        self.from_the_start = False  # the counter of errors is there before the first one
        self.unlabelled = False  # a relabelling drops what has status 500
        super().__init__(release, runbook)
        self.telemetry: Any = ModelTelemetry(self.samples, self.clock)

    def _serve(self, seconds: float) -> None:
        pods, now = self.in_traffic(), int(self.clock.now().timestamp())
        for pod in pods:
            version, wrong = version_of(pod), self.errors[version_of(pod)]
            requests = round(RPS * seconds / len(pods))
            self.served.add(version)
            for status, count in (("200", round(requests * (1 - wrong))), ("500", round(requests * wrong))):
                path = f"/{now}" if status == "500" and self.path_per_error else "/"
                if count or (status == "500" and self.from_the_start):
                    self.counts[pod["metadata"]["name"], version, status, path] += count
        if not self.silent:
            self._scrape({pod["metadata"]["name"] for pod in self.objects("pods")})

    def _scrape(self, alive: set[str]) -> None:
        at = milliseconds(self.clock.now())
        for (pod, version, status, path), count in self.counts.items():
            if pod in alive and not (self.unlabelled and status == "500"):
                labels = {"pod": pod, "namespace": "shop", "version": version, "status": status, "path": path}
                self.samples.append({"__name__": ALL, **labels}, at, count, at + 1000 * self.late)
        wrong = sum(self.errors[version_of(pod)] for pod in self.in_traffic()) / max(len(self.in_traffic()), 1)
        for name, rate in (
            ("job:requests:rate", RPS),
            ("job:errors:rate", RPS * wrong),
        ):  # a rule of a team records them
            self.samples.append({"__name__": name}, at, rate, at)


async def adopted(sli: dict[str, str], objective: float = 0.99, **errors: float) -> tuple[Shift, LabelledShop]:
    item = release_object()
    item["spec"]["slo"] |= {"sli": sli, "objective": objective}
    item["spec"].pop("evals")
    shop = LabelledShop(item, runbook_object())
    shift = Shift(shop=shop)
    shop.errors |= errors
    await shift.until("v1 is adopted", lambda: shift.release().status.live == V1)
    return shift, shop


def known(shift: Shift) -> tuple[str, str, str]:
    found = conditions.get(shift.release().status.conditions, "TelemetryKnown")
    return (found.status, found.reason, found.message) if found else ("", "", "")


async def test_an_sli_of_rates_is_refused_with_a_word_about_increase() -> None:
    rates = {name: text.replace("increase", "rate") for name, text in counted().items()}
    shift, _ = await adopted(rates)
    await seconds(shift, 20)
    state, reason, message = known(shift)
    assert (state, reason) == ("False", "NotACount") and "increase()" in message
    await shift.operator.stop()


async def test_a_recorded_rate_is_told_from_a_count_by_its_numbers() -> None:
    """Its PromQL has no rate(): only over time it shows that an hour has as many events as five minutes."""
    item = release_object()
    sli = {
        "bad": "sum(avg_over_time(job:errors:rate[{{window}}]))",
        "total": "sum(avg_over_time(job:requests:rate[{{window}}]))",
    }
    tiers = [{"long": "30s", "short": "3s", "factor": 14.4, "severity": "sev1"}]
    item["spec"]["slo"] |= {"sli": sli, "tiers": tiers}
    item["spec"].pop("evals")
    shift = Shift(shop=LabelledShop(item, runbook_object()))
    await shift.until("it is said", lambda: known(shift)[:2] == ("False", "NotACount"), most=120)
    assert "spec.slo.sli.total is about the same over all windows" in known(shift)[2]
    shift.shop.set_image("v2")
    await seconds(shift, 60)
    assert shift.wrote() == [], "nothing is undone on numbers that are no counts"
    await shift.operator.stop()


async def test_a_version_that_never_answers_well_has_no_good_series_and_is_rolled_back() -> None:
    """Objective 0.95: 72 % must be bad, so that the long window fires only after the short one has no good series."""
    shift, _ = await adopted(counted('http_requests_total{status="200"}', of="good"), objective=0.95, v2=1.0)
    await shift.until("v1 is last-good", lambda: bool(shift.release().status.revisions[0].proven_at))
    shift.shop.set_image("v2")
    await shift.until("an Incident pages", lambda: bool(shift.operator.pager.pages), most=20)
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"], most=5)
    await shift.until("resolved", lambda: resolved(shift))
    await shift.operator.stop()


async def test_errors_that_vanish_from_living_pods_are_not_health() -> None:
    shift, shop = await adopted(counted())
    shop.from_the_start = True
    await seconds(shift, 20)
    assert known(shift)[:2] == ("True", "Known")
    shop.unlabelled = True
    await shift.until("it is said", lambda: known(shift)[:2] == ("False", "Vanished"), most=20)
    await shift.operator.stop()


async def test_errors_that_no_series_was_ever_matched_by_are_said() -> None:
    shift, _ = await adopted(counted('http_requests_total{code="500"}'), v1=0.2)
    await seconds(shift, 20)
    state, reason, message = known(shift)
    assert (state, reason) == ("True", "NeverMatched") and "spec.slo.sli.bad matched no series" in message
    await shift.operator.stop()


async def test_a_canary_whose_errors_are_each_the_first_of_their_path_is_rejected() -> None:
    """A series is born with its first error, and increase() never sees it."""
    by_version = counted(
        'http_requests_total{status="500",version=~"{{version}}"}', 'http_requests_total{version=~"{{version}}"}'
    )
    shift, shop = await adopted(by_version, v3=0.5)
    shop.path_per_error = True
    await shift.until("v1 is last-good", lambda: bool(shift.release().status.revisions[0].proven_at))
    shift.shop.ship("v3")
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    assert shift.wrote() == []
    await shift.operator.stop()


async def test_recording_rules_with_the_window_in_their_name_are_refused_with_that_sentence() -> None:
    shift, _ = await adopted(
        {"bad": "sum(svc:errors:increase{{window}})", "total": "sum(svc:requests:increase{{window}})"}
    )
    await seconds(shift, 20)
    state, reason, message = known(shift)
    assert (state, reason) == ("False", "WindowInName") and "carry the window in their name" in message
    await shift.operator.stop()


async def test_samples_that_are_always_late_name_the_field_and_with_it_they_are_whole() -> None:
    """6 s with scrapes of 1 s, as 90 s are with scrapes of 15 s."""
    shift, shop = await adopted(counted(), v2=0.8)
    shop.late = 6.0
    await seconds(shift, 30)
    state, _, message = known(shift)
    assert state == "False" and "spec.slo.delay: 30s" in message
    stored = shift.release_object()
    stored["spec"]["slo"]["delay"] = "8s"
    shift.shop.cluster.seed(stored)
    await shift.until("the SLI is known", lambda: known(shift)[0] == "True", most=40)
    await shift.until("v1 is last-good", lambda: bool(shift.release().status.revisions[0].proven_at))
    shift.shop.set_image("v2")
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"], most=30)
    await shift.operator.stop()


async def test_a_constant_in_place_of_missing_data_does_not_make_two_seconds_of_errors_a_whole_window() -> None:
    """After a gap as long as the long window half of the requests fail for 2 of its 10 seconds: below 14.4 times the budget."""
    shift, shop = await adopted({name: f"{text} or vector(0)" for name, text in counted().items()})
    shop.from_the_start = (
        True  # else the first second of errors counts as a birth, and that of good requests is lost in the gap
    )
    await seconds(shift, 20)
    shift.shop.silent = True
    await seconds(shift, 12)
    shift.shop.silent, shift.shop.errors["v1"] = False, 0.5
    await seconds(shift, 3)
    shift.shop.errors["v1"] = 0.0
    await seconds(shift, 20)
    assert shift.incident() is None and shift.operator.pager.pages == []
    await shift.operator.stop()


def speaking(shop: Shop, words: dict[str, Any]) -> Prometheus:
    """The shop's telemetry over HTTP; each answer has these words besides its data."""
    inner = shop.telemetry

    async def fetch(path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
        if path.endswith("query"):
            at = datetime.fromtimestamp(float(params["time"]), UTC)
            found = await inner.instant(params["query"], at)
            data = [{"metric": s.labels, "value": [float(params["time"]), str(s.value)]} for s in found]
            return 200, answer("vector", data)
        start, end = (datetime.fromtimestamp(float(params[name]), UTC) for name in ("start", "end"))
        series = await inner.range(params["query"], start, end, float(params["step"]))
        rows = [{"metric": s.labels, "values": [[at.timestamp(), str(v)] for at, v in s.points]} for s in series]
        return 200, answer("matrix", rows)

    def answer(kind: str, result: list[Any]) -> bytes:
        return json.dumps({"status": "success", **words, "data": {"resultType": kind, "result": result}}).encode()

    return Prometheus(fetch)


async def spoken(words: dict[str, Any]) -> Shift:
    shift = Shift()
    await shift.adopt()
    shift.operator.fakes.telemetry = speaking(shift.shop, words)
    await shift.operator.stop()  # a new process, with the port over HTTP
    return shift


async def test_an_answer_that_is_partial_promotes_nothing() -> None:
    shift = await spoken({"isPartial": True})
    shift.shop.ship("v4", evals=None)
    await seconds(shift, 40)
    assert known(shift)[:2] == ("False", "PartialResponse") and shift.wrote() == []
    await shift.operator.stop()


async def test_notes_about_the_names_of_metrics_stop_no_promotion() -> None:
    note = (
        'PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "answers" (1:14)'
    )
    shift = await spoken({"warnings": [note]})
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.operator.stop()
