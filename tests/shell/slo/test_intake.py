"""SLIs as people bring them along (`intake/`), read by the poller from a model of Prometheus."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opsloop.adapters.prometheus import Prometheus
from opsloop.api.meta import ObjectMeta, parse_duration
from opsloop.api.release import Release, ReleaseSpec, WorkloadRef
from opsloop.api.revision import Revision
from opsloop.api.slo import Sli, Slo, Tier
from opsloop.api.target import Target
from opsloop.core.readings import Readings, Value, Verdict
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import remarks
from opsloop.shell.ports import NamespacedName
from opsloop.shell.slo.poller import Poller, ReadingStore
from opsloop.simulator.fakes.clock import START, FakeClock
from opsloop.simulator.prometheus.store import Store
from opsloop.simulator.prometheus.telemetry import ModelTelemetry
from tests.builders import yamls
from tests.builders.promtool import load
from tests.fakes.telemetry import FakeTelemetry, only

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

HERE = Path(__file__).parent / "intake"
FAST = {"long": "1h", "short": "5m", "factor": 14.4, "severity": "sev1"}
RAW = {"bad": "sum(increase(errors_total[{{window}}]))", "total": "sum(increase(requests_total[{{window}}]))"}
RESOLUTION = timedelta(seconds=15)
ONE, TWO = "1" * 16, "2" * 16


def case(name: str) -> Any:
    (path,) = HERE.glob(f"{name}*.yaml")
    return yamls.load(path.read_text())


def release(
    sli: dict[str, str],
    objective: float = 0.99,
    tiers: list[Any] | None = None,
    delay: timedelta | None = None,
    **status: Any,
) -> Release:
    spec = Slo(
        delay=delay, objective=objective, sli=Sli.model_validate(sli), tiers=[Tier(**tier) for tier in tiers or [FAST]]
    )
    known = [
        Revision(
            digest=digest, number=number, version=f"v{number}", reason="Adopted", first_seen=START, live_since=START
        )
        for number, digest in ((1, ONE), (2, TWO))
    ]
    return Release(
        metadata=ObjectMeta(name="answers", namespace="shop"),
        spec=ReleaseSpec(workload_ref=WorkloadRef(name="answers"), version="v1", images={"app": "shop:v1"}, slo=spec),
        status={"live": ONE, "revisions": known, **status},  # type: ignore[arg-type]
    )


class Reader:
    """A poller over samples that are scraped every 15 s from START on."""

    def __init__(self, item: Release, series: list[dict[str, str]], delay: timedelta = timedelta(0)) -> None:
        self.item, self.pods = item, [START]  # when its living pods were created
        self.clock, store = FakeClock(), Store()
        load(store, series, START)
        self.telemetry, self.store = ModelTelemetry(store, self.clock), ReadingStore()
        self.poller = Poller(
            only(self.telemetry, RESOLUTION, delay),
            self.clock,
            lambda: [self.item],
            self.store,
            lambda _: None,
            RESOLUTION,
            lambda _: False,
            created=self.created,
        )

    async def created(self, release: NamespacedName) -> list[datetime]:
        return self.pods

    async def at(self, span: str) -> Readings:
        """The readings at this time after START."""
        self.clock.advance((START + parse_duration(span) - self.clock.now()).total_seconds())
        await self.poller.pass_once()
        assert self.telemetry.unsupported == []
        return self.store.of(("shop", "answers"))

    async def verdict(self, span: str) -> Verdict:
        found = (await self.at(span)).verdict
        assert found is not None
        return found


async def test_an_sli_of_rates_is_refused_with_a_word_about_increase() -> None:
    given = case("01")
    objective, tiers = given["slo"]["objective"], given["slo"]["tiers"]
    verdict = await Reader(release(given["sli"], objective, tiers), given["series"]).verdict(given["at"])
    assert (verdict.band, verdict.reason) == ("unknown", slo.NOT_A_COUNT)
    assert slo.unknown_because(verdict).endswith(
        "spec.slo.sli.bad gives events per second; write increase() instead of rate()"
    )


@pytest.mark.parametrize(
    ("objective", "factors", "minute"),
    [
        pytest.param(0.9, (5, 3), 30, id="as the bad form does"),
        pytest.param(0.99, (14.4, 6), 9, id="with a tight objective, after minutes"),
    ],
)
async def test_good_series_that_are_gone_are_no_good_events(
    objective: float, factors: tuple[float, float], minute: int
) -> None:
    given = case("02")
    tiers = [{**tier, "factor": factor} for tier, factor in zip(given["slo"]["tiers"], factors, strict=True)]
    reader = Reader(release(given["sli"], objective, tiers), given["series"])
    fired = []
    for n in range(440, 481):
        verdict = await reader.verdict(f"{n}m")
        assert verdict.band != "unknown", slo.unknown_because(verdict)
        if verdict.firing and verdict.firing.tier.severity == "sev1":
            fired.append(n - 440)
    assert minute - 1 <= fired[0] <= minute + 1
    assert fired == list(range(fired[0], 41))


async def test_recorded_series_with_the_window_in_their_name_are_refused_with_that_sentence() -> None:
    given = case("06")
    verdict = await Reader(release(given["sli"]), given["series"]).verdict("2h")
    assert (verdict.band, verdict.reason) == ("unknown", slo.WINDOW_IN_NAME)
    assert "carry the window in their name" in slo.unknown_because(verdict)


async def test_a_constant_in_place_of_missing_data_covers_nothing() -> None:
    given = case("08")
    verdict = await Reader(release(given["sli"]), given["series"]).verdict("120m")
    long = verdict.tiers[0].long
    assert isinstance(long, Value)
    assert long.coverage == pytest.approx(0.17, abs=0.02)
    assert (verdict.band, verdict.reason, verdict.back) == ("unknown", slo.LOW_COVERAGE, None)


GAP = [
    # 2 hours as usual; then 40 % fail, and half an hour later nobody scrapes for 20 minutes
    {"series": 'requests_total{pod="web-1"}', "values": "0+60x599 _x79 40800+60x199"},
    {"series": 'errors_total{pod="web-1"}', "values": "0+0x479 24+24x119 _x79 4824+24x199"},
]
DIED = [
    {**GAP[0], "values": "0+60x599 _x79 0+60x199"},
    {**GAP[1], "values": "0+0x479 24+24x119 _x79 0+24x199"},
]


@pytest.mark.parametrize(
    ("series", "firing"),
    [
        pytest.param(GAP, True, id="the process lived on: what it counted in the gap is known"),
        pytest.param(DIED, False, id="it began anew in the gap: what it counted there is lost"),
    ],
)
async def test_a_gap_holds_no_page_back_where_counters_carry_on(series: list[dict[str, str]], firing: bool) -> None:
    tiers = [{**FAST, "factor": 30}]
    verdict = await Reader(release(RAW, 0.99, tiers), series).verdict("174m")
    long = verdict.tiers[0].long
    assert isinstance(long, Value)
    assert (verdict.firing is not None, long.coverage == 1) == (firing, firing)


ANSWERS: list[dict[str, Any]] = case("05")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("VictoriaMetrics cluster", slo.PARTIAL, id="isPartial is not whole"),
        pytest.param("Prometheus 2.48 to 2.53", "", id="a note among the warnings is whole"),
        pytest.param(
            "any Prometheus since 2.48", slo.QUERY_FAILED, id="a warning about the expression names the field"
        ),
        pytest.param("Thanos", slo.PARTIAL, id="a store that is away is not whole"),
    ],
)
async def test_answers_with_a_word_besides_the_data(name: str, reason: str) -> None:
    (body,) = [answer["body"] for answer in ANSWERS if answer["name"] == name]
    item, clock, store = release(RAW), FakeClock(), ReadingStore()
    poller = Poller(
        only(answering(body), RESOLUTION), clock, lambda: [item], store, lambda _: None, RESOLUTION, lambda _: False
    )
    await poller.pass_once()
    verdict = store.of(("shop", "answers")).verdict
    assert verdict is not None
    assert verdict.reason == (reason or slo.WITHIN_OBJECTIVE)
    if reason == slo.QUERY_FAILED:
        assert slo.unknown_because(verdict).startswith(
            "5m: QueryFailed: spec.slo.sli.bad: Prometheus warns of the query"
        )


@pytest.mark.parametrize("given", case("03")["cases"], ids=lambda given: given["name"])
async def test_bad_events_that_never_had_a_series_are_said(given: dict[str, Any]) -> None:
    readings = await Reader(release(given["sli"]), given["series"]).at("2h")
    assert readings.verdict is not None
    assert readings.verdict.band == "ok"
    (remark,) = readings.remarks
    assert remark.reason == remarks.NEVER_MATCHED
    assert remark.message.startswith("spec.slo.sli.bad matched no series in 1h")


async def test_the_first_increment_of_a_canary_s_errors_counts() -> None:
    given = case("04")
    stepping = Target(digest=TWO, version="v2", state="Stepping", started_at=START)
    reading = (await Reader(release(given["sli"], target=stepping), given["series"]).at("2h")).by_revision[TWO]
    assert isinstance(reading, Value)
    assert (reading.bad, reading.total) == (60, 300), (
        "60 errors within one scrape; the first 10 requests are older than a minute"
    )


async def test_samples_that_are_always_late_are_said_with_the_field_to_write() -> None:
    given = case("07")
    reader = Reader(release(given["sli"]), given["series"])
    for second in (0, 15, 30):
        readings = await reader.at(f"{7200 + second - 30}s")
    assert readings.verdict is not None
    assert readings.verdict.reason == slo.LOW_COVERAGE
    assert [remark.reason for remark in readings.remarks] == [remarks.LATE_DATA]
    assert "write spec.slo.delay: 2m (or prometheus.delay of the operator)" in readings.remarks[0].message


@pytest.mark.parametrize("whose", ["the Release's", "the operator's"])
async def test_with_a_delay_late_samples_are_whole(whose: str) -> None:
    given, two = case("07"), timedelta(minutes=2)
    own = whose == "the Release's"
    reader = Reader(release(given["sli"], delay=two if own else None), given["series"], timedelta(0) if own else two)
    readings = await reader.at("2h")
    assert readings.verdict is not None
    assert (readings.verdict.band, readings.verdict.at) == ("ok", START + timedelta(hours=2))
    assert readings.delay == two


NO_POD = [
    {"series": 'requests_total{code="200"}', "values": "0+150x480"},
    {"series": "errors_total", "values": "0x240 stale"},
]  # the counter of errors is there with 0 from the start; a relabelling takes it away


async def test_bad_events_of_nobody_that_vanish_while_a_pod_lives_on_are_unknown_for_one_short_window() -> None:
    reader = Reader(release(RAW), NO_POD)
    assert (await reader.verdict("60m")).band == "ok"
    gone = await reader.verdict("66m")
    assert (gone.band, gone.reason) == ("unknown", slo.VANISHED)
    assert (await reader.verdict("72m")).band == "ok"


async def test_bad_events_of_nobody_that_vanish_when_every_pod_was_replaced_are_none() -> None:
    reader = Reader(release(RAW), NO_POD)
    assert (await reader.verdict("60m")).band == "ok"
    reader.pods = [START + timedelta(minutes=61)]
    assert (await reader.verdict("66m")).band == "ok"


def pod(name: str, values: str, errors: str) -> list[dict[str, str]]:
    labels = f'pod="answers-7d9f8c6b5d-{name}"'
    return [
        {"series": f'requests_total{{code="200",{labels}}}', "values": values},
        {"series": f"errors_total{{{labels}}}", "values": errors},
    ]


@pytest.mark.parametrize(
    ("series", "reasons"),
    [
        pytest.param(
            pod("aaaaa", "0+150x600", "0x240 stale"),
            {"66m": slo.VANISHED, "90m": slo.VANISHED, "119m": slo.VANISHED, "126m": slo.WITHIN_OBJECTIVE},
            id="it lives on: unknown for an hour",
        ),
        pytest.param(
            pod("aaaaa", "0+150x240 stale", "0x240 stale") + pod("bbbbb", "_x240 0+150x240", "_x480"),
            {
                "65m": slo.WITHIN_OBJECTIVE,
                "65m15s": slo.WITHIN_OBJECTIVE,
                "66m": slo.WITHIN_OBJECTIVE,
                "72m": slo.WITHIN_OBJECTIVE,
            },
            id="its pod was restarted, of the same revision: none",
        ),
        pytest.param(
            pod("aaaaa", "0+150x240 0+150x240", "0x240 stale"),
            {"65m": slo.WITHIN_OBJECTIVE, "66m": slo.WITHIN_OBJECTIVE, "90m": slo.WITHIN_OBJECTIVE},
            id="its container was restarted in the same pod: none",
        ),
        pytest.param(
            pod("aaaaa", "0+150x240 stale", "0x240 stale") + pod("bbbbb", "0+150x600", "_x600"),
            {"66m": slo.WITHIN_OBJECTIVE},
            id="another pod lives on that never showed any: none",
        ),
        pytest.param(
            pod("aaaaa", "0+150x300 0+150x200", "0x240 stale"),
            {"66m": slo.VANISHED, "74m": slo.VANISHED, "77m": slo.WITHIN_OBJECTIVE},
            id="unknown until its container is restarted",
        ),
    ],
)
async def test_bad_events_vanish_from_a_living_process_not_with_it(
    series: list[dict[str, str]], reasons: dict[str, str]
) -> None:
    reader = Reader(release(RAW), series)
    assert (await reader.verdict("60m")).reason == slo.WITHIN_OBJECTIVE
    assert {at: (await reader.verdict(at)).reason for at in reasons} == reasons


async def test_a_new_process_of_the_operator_knows_what_vanished_before_it_began() -> None:
    reader = Reader(release(RAW), pod("aaaaa", "0+150x600", "0x240 stale"))
    assert (await reader.verdict("70m")).reason == slo.VANISHED


def answering(body: dict[str, Any]) -> Prometheus:
    """A Prometheus that has seen 3,000 good events in each window, and says this besides."""

    async def fetch(path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
        parts = [part for part in FakeTelemetry.asked(params["query"]) if part.split(":")[0] in ("total", "covered")]
        counts = {"total": "3000", "covered": "1"}
        samples = [{"metric": {"opsloop": part}, "value": [0, counts[part.split(":")[0]]]} for part in parts]
        return 200, json.dumps({**body, "data": {"resultType": "vector", "result": samples}}).encode()

    return Prometheus(fetch)
