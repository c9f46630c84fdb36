"""The poller: one query per Release and tick, failures that stay where they are, wake-ups that mean something."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from opsloop.api.meta import ObjectMeta
from opsloop.api.release import Release, ReleaseSpec, WorkloadRef
from opsloop.api.revision import Revision
from opsloop.api.slo import Sli, Slo, Tier
from opsloop.api.target import Target
from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo import burn_rate as slo
from opsloop.errors import Invalid, Partial, TimedOut, Unavailable
from opsloop.shell.ports import NamespacedName, Sample
from opsloop.shell.slo.poller import PATIENCE, QUICK, QUICK_PLACES, SLOW_PLACES, Poller, ReadingStore
from opsloop.simulator.fakes.clock import START, FakeClock
from tests.fakes.telemetry import FakeTelemetry, only

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

V = 'version=~"{{version}}"'
SLI = Sli(good=f"good{{{V}}}[{{{{window}}}}]", total=f"total{{{V}}}[{{{{window}}}}]")
FAST = Tier(long=timedelta(minutes=1), short=timedelta(seconds=5), factor=14.4, severity="sev1")
DAY = Tier(long=timedelta(days=1), short=timedelta(hours=2), factor=3, severity="sev3")
ONE, TWO = "1" * 16, "2" * 16


def revision(digest: str, version: str, **kwargs: Any) -> Revision:
    return Revision(digest=digest, number=int(digest[0]), version=version, reason="Adopted", first_seen=START, **kwargs)


def release(name: str = "answers", *, slo: Slo | str | None = "default", **status: Any) -> Release:
    spec = Slo(objective=0.99, sli=SLI, tiers=[FAST], bake_time=timedelta(seconds=20)) if slo == "default" else slo
    return Release(
        metadata=ObjectMeta(name=name, namespace="shop"),
        spec=ReleaseSpec(workload_ref=WorkloadRef(name=name), version="v1", images={"app": "shop:v1"}, slo=spec),  # type: ignore[arg-type]
        status={"live": ONE, "revisions": [revision(ONE, "v1"), revision(TWO, "v2")], **status},  # type: ignore[arg-type]
    )


class Bench:
    """A poller with everything around it."""

    def __init__(self, *releases: Release, tick: float = 5) -> None:
        self.clock, self.telemetry, self.store = FakeClock(), FakeTelemetry(), ReadingStore()
        self.releases = list(releases)
        self.woken: list[NamespacedName] = []
        self.hot: set[NamespacedName] = set()
        self.poller = Poller(
            only(self.telemetry, timedelta(seconds=1)),
            self.clock,
            lambda: self.releases,
            self.store,
            self.woken.append,
            timedelta(seconds=tick),
            lambda key: key in self.hot,
        )

    async def tick(self, seconds: float = 5) -> None:
        self.clock.advance(seconds)
        await self.poller.pass_once()

    def short(self, name: str = "answers") -> Reading:
        verdict = self.store.of(("shop", name)).verdict
        assert verdict is not None
        return verdict.tiers[0].short

    def wakes(self) -> Iterator[str]:
        while self.woken:
            yield self.woken.pop(0)[1]


def healthy(bench: Bench, seconds: float = 3600) -> Bench:
    """Good traffic from long ago until `seconds` after the start."""
    bench.telemetry.serve(START - timedelta(hours=1), 3600 + seconds)
    return bench


async def test_a_healthy_release_is_read_by_one_query_and_wakes_once() -> None:
    bench = healthy(Bench(release()))
    for _ in range(3):
        await bench.tick()
    verdict = bench.store.of(("shop", "answers")).verdict
    assert verdict is not None
    assert (verdict.band, verdict.back, verdict.firing) == ("ok", True, None)
    assert verdict.at == bench.clock.now()
    assert len(bench.telemetry.instants) == 3
    assert list(bench.wakes()) == ["answers"]


async def test_releases_without_an_slo_are_left_alone() -> None:
    bench = Bench(release(slo=None))
    await bench.tick()
    assert bench.telemetry.instants == []
    assert bench.store.of(("shop", "answers")).verdict is None
    assert list(bench.wakes()) == []


async def test_a_release_that_is_gone_is_forgotten() -> None:
    bench = healthy(Bench(release()))
    await bench.tick()
    bench.releases = []
    await bench.tick()
    assert bench.store.of(("shop", "answers")).verdict is None


async def test_a_bad_release_fires_with_its_onset_and_comes_back() -> None:
    bench = Bench(release(revisions=[revision(ONE, "v1", proven_at=START)]))
    begin = bench.telemetry.serve(START - timedelta(hours=1), 3600 + 20)
    end = bench.telemetry.serve(begin, 60, error=0.2)
    bench.telemetry.serve(end, 600)
    bands = []
    for _ in range(20):
        await bench.tick()
        readings = bench.store.of(("shop", "answers"))
        assert readings.verdict is not None
        bands.append(readings.verdict.band)
        if readings.verdict.firing:
            assert readings.onset is not None
            assert abs((readings.onset - begin).total_seconds()) <= 1
    assert "fast" in bands
    assert bands[-1] == "ok"
    assert bench.store.of(("shop", "answers")).onset is None
    ratios = [asked for asked in bench.telemetry.ranges if "ratio:" in asked[0]]
    assert len(ratios) == 1, "the onset is asked for once per stretch"
    query, start, until, step = ratios[0]
    assert (until - start, step) == (timedelta(minutes=2), 1.0)
    assert "ratio:5s" in query


async def test_only_changes_wake() -> None:
    bench = Bench(release())
    begin = bench.telemetry.serve(START - timedelta(hours=1), 3600 + 10)
    bench.telemetry.serve(begin, 600, error=0.5)
    await bench.tick()
    assert list(bench.wakes()) == ["answers"]
    await bench.tick()
    assert list(bench.wakes()) == [], "the second tick said the same"
    await bench.tick()
    assert list(bench.wakes()) == ["answers"], "the third burns"


@pytest.mark.parametrize(
    ("state", "wakes"),
    [
        pytest.param("Dark", 3, id="a dark canary wants every tick"),
        pytest.param("Stepping", 3, id="so does a stepping one"),
        pytest.param("Promoting", 3, id="and a promoting one"),
        pytest.param("Promoted", 1, id="a promoted one only changes"),
        pytest.param("Rejected", 1, id="a rejected one only changes"),
    ],
)
async def test_an_active_target_is_woken_on_every_tick(state: str, wakes: int) -> None:
    target = Target(digest=TWO, version="v2", state=state, started_at=START)  # type: ignore[arg-type]
    bench = healthy(Bench(release(target=target)))
    for _ in range(3):
        await bench.tick()
    assert len(list(bench.wakes())) == wakes


async def test_an_open_incident_is_woken_on_every_tick() -> None:
    bench = healthy(Bench(release()))
    bench.hot.add(("shop", "answers"))
    for _ in range(3):
        await bench.tick()
    assert len(list(bench.wakes())) == 3


async def test_versions_are_told_apart_only_while_it_matters() -> None:
    bench = healthy(Bench(release()))
    await bench.tick()
    assert bench.store.of(("shop", "answers")).by_revision == {}
    stepping = Target(digest=TWO, version="v2", state="Stepping", started_at=START)
    bench.releases = [release(target=stepping)]
    bench.telemetry.serve(START, 600, rps=10, error=0.2, version="v2")
    await bench.tick(60)
    split = bench.store.of(("shop", "answers")).by_revision
    assert split[ONE] == Value(0, 3000)
    canary = split[TWO]
    assert isinstance(canary, Value)
    assert canary.total == 600
    assert canary.error_ratio == pytest.approx(0.2)


async def test_two_revisions_with_one_version_label_are_not_told_apart() -> None:
    stepping = Target(digest=TWO, version="v1", state="Stepping", started_at=START)
    bench = healthy(Bench(release(target=stepping, revisions=[revision(ONE, "v1"), revision(TWO, "v1")])))
    await bench.tick()
    merged = Unknown(
        slo.NOT_BY_VERSION,
        "version v1 is the label of two revisions; give each version its own, or write {{pods}} into the SLI",
    )
    assert bench.store.of(("shop", "answers")).by_revision == {ONE: merged, TWO: merged}


async def test_in_an_incident_the_last_good_version_is_read_too() -> None:
    bench = healthy(Bench(release(live=TWO, last_good=ONE)))
    bench.hot.add(("shop", "answers"))
    await bench.tick()
    assert set(bench.store.of(("shop", "answers")).by_revision) == {ONE, TWO}


async def test_the_bake_is_read_until_the_live_revision_is_proven() -> None:
    bench = healthy(Bench(release()))
    await bench.tick()
    assert bench.store.of(("shop", "answers")).bake == Value(0, 1000)
    bench.releases = [release(revisions=[revision(ONE, "v1", proven_at=START)])]
    await bench.tick()
    assert bench.store.of(("shop", "answers")).bake is None


FAILURES = [
    pytest.param(Unavailable("refused"), Unknown(slo.UNREACHABLE, "refused"), id="Prometheus cannot be reached"),
    pytest.param(TimedOut("too slow"), Unknown(slo.TIMEOUT, "too slow"), id="Prometheus is slow"),
    pytest.param(Partial("a shard is away"), Unknown(slo.PARTIAL, "a shard is away"), id="Prometheus warns"),
]


@pytest.mark.parametrize(("error", "reading"), FAILURES)
async def test_a_failed_read_is_unknown_until_the_next_tick(error: Exception, reading: Unknown) -> None:
    bench = healthy(Bench(release(target=Target(digest=TWO, version="v2", state="Stepping", started_at=START))))
    await bench.tick()
    bench.telemetry.failure = error  # type: ignore[assignment]
    await bench.tick()
    now = bench.store.of(("shop", "answers"))
    assert bench.short() == now.bake == reading
    assert set(now.by_revision.values()) == {reading}
    assert now.verdict is not None
    assert (now.verdict.band, now.verdict.back) == ("unknown", None)
    bench.telemetry.failure = None
    await bench.tick()
    assert isinstance(bench.short(), Value)


async def test_a_query_that_never_answers_is_given_up_and_unknown() -> None:
    bench = healthy(Bench(release()))
    bench.telemetry.stalled = True
    started = asyncio.get_running_loop().time()
    await bench.tick()
    assert asyncio.get_running_loop().time() - started == pytest.approx((QUICK + PATIENCE) * 5)
    assert bench.short() == Unknown(slo.TIMEOUT, "No answer within 10 s")


@pytest.mark.parametrize(
    ("part", "field"),
    [
        pytest.param("good{", "spec.slo.sli.good", id="the expression for good"),
        pytest.param("total{", "spec.slo.sli.total", id="the expression for total"),
    ],
)
async def test_a_refused_query_names_the_field_at_fault(part: str, field: str) -> None:
    bench = Bench(release())
    bench.telemetry.refused[part] = Invalid("parse error")
    await bench.tick()
    assert bench.short() == Unknown(slo.QUERY_FAILED, f"{field}: parse error")


async def test_an_sli_that_cannot_be_read_is_not_asked() -> None:
    windowless = Slo(objective=0.99, sli=Sli(good="g", total="t[{{window}}]"), tiers=[FAST])
    bench = Bench(release(slo=windowless))
    await bench.tick()
    reading = bench.short()
    assert isinstance(reading, Unknown)
    assert reading.reason == slo.QUERY_FAILED
    assert reading.detail.startswith("spec.slo.sli.good does not hold {{window}}")
    assert bench.telemetry.instants == []


async def test_one_failing_release_does_not_hurt_the_others() -> None:
    odd = Slo(objective=0.99, sli=Sli(bad="odd[{{window}}]", total="t[{{window}}]"), tiers=[FAST])
    bench = healthy(Bench(release("web", slo=odd), release()))
    bench.telemetry.refused["odd["] = Invalid("parse error")
    await bench.tick()
    assert isinstance(bench.short("web"), Unknown)
    assert isinstance(bench.short(), Value)


async def test_a_fault_of_our_own_leaves_no_old_reading_behind() -> None:
    bench = healthy(Bench(release(), release("web")))
    await bench.tick()
    bench.telemetry.refused["good{"] = ZeroDivisionError("a bug")  # type: ignore[assignment]
    await bench.tick()
    assert bench.short() == Unknown(slo.NOT_READ)
    assert bench.short("web") == Unknown(slo.NOT_READ)


async def test_what_follows_a_reading_cannot_stop_the_pass() -> None:
    bench = healthy(Bench(release(), release("web")))
    seen: list[NamespacedName] = []

    def on_change(key: NamespacedName) -> None:
        seen.append(key)
        raise RuntimeError("a bug")

    bench.poller._on_change = on_change
    await bench.tick()
    assert len(seen) == 2


async def test_long_windows_are_read_seldom_and_stand_in_between() -> None:
    bench = healthy(
        Bench(release(slo=Slo(objective=0.99, sli=SLI, tiers=[FAST, DAY], bake_time=timedelta(seconds=20))))
    )
    asked = []
    for _ in range(145):
        await bench.tick()
        asked.append({label.split(":")[1] for label in FakeTelemetry.asked(bench.telemetry.instants[-1])})
    reads_of_a_day = [n for n, windows in enumerate(asked) if "1d" in windows]
    assert reads_of_a_day == [0, 144], "a day is read every 12 minutes"
    assert [n for n, windows in enumerate(asked) if "2h" in windows][:3] == [0, 12, 24]
    assert all("5s" in windows for windows in asked)


async def test_a_long_window_outlives_failed_reads_for_three_intervals() -> None:
    bench = healthy(Bench(release(slo=Slo(objective=0.99, sli=SLI, tiers=[FAST, DAY]))))
    await bench.tick()
    bench.telemetry.failure = Unavailable("refused")

    async def two_hours(seconds: float) -> Reading:
        await bench.tick(seconds)
        verdict = bench.store.of(("shop", "answers")).verdict
        assert verdict is not None
        return verdict.tiers[1].short

    assert isinstance(await two_hours(60), Value)
    assert isinstance(await two_hours(120), Value)
    assert await two_hours(5) == Unknown(slo.STALE, "last read 185 s ago; TelemetryUnreachable: refused")
    bench.telemetry.failure = None
    assert isinstance(await two_hours(5), Value)


async def test_a_slow_burn_in_windows_that_outlive_failed_reads_hides_no_silence() -> None:
    """Below what pages, in hours that stand: nobody can say whether to page now, so critical alerts may."""
    bench = Bench(release(slo=Slo(objective=0.99, sli=SLI, tiers=[FAST, DAY])))
    bench.telemetry.serve(START - timedelta(hours=30), 30 * 3600 + 600, error=0.02)
    for _ in range(5):
        await bench.tick()
    assert bench.store.of(("shop", "answers")).silent == timedelta(0)
    bench.telemetry.failure = Unavailable("refused")
    for _ in range(12):
        await bench.tick()
    now = bench.store.of(("shop", "answers"))
    assert now.verdict is not None
    assert (now.verdict.band, now.silent) == ("slow", timedelta(seconds=60))


async def test_a_changed_slo_starts_anew() -> None:
    bench = healthy(Bench(release()))
    await bench.tick()
    tight = Slo(objective=0.999, sli=SLI, tiers=[FAST, DAY])
    bench.releases = [release(slo=tight)]
    await bench.tick()
    verdict = bench.store.of(("shop", "answers")).verdict
    assert verdict is not None
    assert (verdict.objective, len(verdict.tiers)) == (0.999, 2)


async def passes(bench: Bench, seconds: float) -> list[float]:
    """Let it run; the seconds at which it asked."""
    started = asyncio.get_running_loop().time()
    running = asyncio.create_task(bench.poller.run())
    await asyncio.sleep(seconds)
    running.cancel()
    return [round(moment - started, 3) for moment in bench.telemetry.moments]


async def test_it_runs_on_the_tick() -> None:
    bench = healthy(Bench(release()))
    assert await passes(bench, 16) == [0, 5, 10, 15]


async def test_a_nudge_reads_at_once_and_a_storm_once_a_second() -> None:
    bench = healthy(Bench(release()))
    loop = asyncio.get_running_loop()
    for delay in (2, 2.1, 2.2, 2.3):
        loop.call_later(delay, bench.poller.nudge)
    assert await passes(bench, 9) == [0, 2, 3, 8]


class Loaded(FakeTelemetry):
    """Answers to expressions about `slow…` take some seconds; notes who asked when, and how many waited at a time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.waiting, self.most = seconds, 0, 0
        self.asked_by: dict[str, list[float]] = {}

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        name = query.split("sum(")[1].split("{")[0]
        self.asked_by.setdefault(name, []).append(round(asyncio.get_running_loop().time() - self.began, 2))
        if name.startswith("slow"):
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            try:
                await asyncio.sleep(self.seconds)
            finally:
                self.waiting -= 1
        return await super().instant(query, at)

    began = 0.0


def of(name: str) -> Release:
    """A Release whose SLI has series of this name."""
    sli = Sli(good=f"{name}{{{V}}}[{{{{window}}}}]", total=f"{name}{{{V}}}[{{{{window}}}}]")
    return release(name, slo=Slo(objective=0.99, sli=sli, tiers=[FAST], bake_time=timedelta(seconds=20)))


async def loaded(seconds: float, slow: int, runs: float) -> tuple[Loaded, Bench]:
    bench = Bench(*(of(f"slow{n}") for n in range(slow)), *(of(f"web{n}") for n in range(20)))
    telemetry = Loaded(seconds)
    bench.poller = Poller(
        only(telemetry, timedelta(seconds=1)), bench.clock, lambda: bench.releases, bench.store, bench.woken.append,
        timedelta(seconds=5), lambda key: key in bench.hot,
    )  # fmt: skip
    telemetry.serve(START - timedelta(hours=1), 7200)
    telemetry.began = asyncio.get_running_loop().time()
    running = asyncio.create_task(bench.poller.run())
    await asyncio.sleep(runs)
    running.cancel()
    return telemetry, bench


@pytest.mark.parametrize(
    ("slow", "seconds"),
    [
        pytest.param(1, 3600, id="one query that never ends"),
        pytest.param(100, 3600, id="a hundred of them"),
        pytest.param(100, 3, id="a hundred that take three seconds each"),
    ],
)
async def test_slow_queries_delay_no_other_release(slow: int, seconds: float) -> None:
    telemetry, _ = await loaded(seconds, slow, runs=120)
    for name, moments in telemetry.asked_by.items():
        if name.startswith("web"):
            rests = [later - earlier for earlier, later in pairwise(moments)]
            assert moments[0] <= 20, "at the start everybody is tried among the quick ones"
            assert max(rests) <= 5.5, f"{name} is read on every tick"


async def test_slow_queries_cost_prometheus_a_bounded_share() -> None:
    telemetry, _ = await loaded(3600, 100, runs=300)
    asked = sum(len(moments) for name, moments in telemetry.asked_by.items() if name.startswith("slow"))
    assert telemetry.most <= QUICK_PLACES + SLOW_PLACES
    assert asked <= 100 + 300 / (PATIENCE * 5) * SLOW_PLACES


async def test_a_query_that_takes_long_is_read_more_seldom_and_says_so() -> None:
    telemetry, bench = await loaded(3, 1, runs=100)
    rests = [b - a for a, b in pairwise(telemetry.asked_by["slow0"][2:])]
    assert rests and all(rest == pytest.approx(5 * 3, abs=0.5) for rest in rests), "a fifth of the time"
    assert bench.store.of(("shop", "slow0")).interval == timedelta(seconds=15)
    assert isinstance(bench.short("slow0"), Value)


async def test_a_refused_query_backs_off_to_a_minute() -> None:
    bench = healthy(Bench(release()))
    bench.telemetry.refused["good{"] = Invalid("parse error")
    moments = await passes(bench, 300)
    rests = [b - a for a, b in pairwise(moments[::2])]  # each read asks the whole and then the field at fault
    assert rests[:3] == [10, 20, 40]
    assert set(rests[3:]) == {60}


async def test_when_prometheus_answers_again_nobody_waits_for_his_turn() -> None:
    bench = healthy(Bench(*(release(f"r{n}") for n in range(60))))
    bench.telemetry.stalled = True
    loop = asyncio.get_running_loop()
    loop.call_later(100, lambda: setattr(bench.telemetry, "stalled", False))
    running = asyncio.create_task(bench.poller.run())
    await asyncio.sleep(100 + 11)
    running.cancel()
    assert all(isinstance(bench.short(f"r{n}"), Value) for n in range(60)), "one query that hangs on, and all are read"


async def test_readings_that_become_old_are_told_once() -> None:
    bench = healthy(Bench(release()))
    await bench.tick()
    assert list(bench.wakes()) == ["answers"]
    bench.telemetry.stalled = True
    bench.clock.advance(15)
    bench.poller.report_old()
    assert list(bench.wakes()) == [], "three intervals are no age"
    bench.clock.advance(1)
    bench.poller.report_old()
    bench.poller.report_old()
    assert list(bench.wakes()) == ["answers"]


async def test_a_release_that_is_gone_is_not_waited_for() -> None:
    bench = Bench(release())
    bench.telemetry.stalled = True
    running = asyncio.create_task(bench.poller.run())
    await asyncio.sleep(1)
    bench.releases = []
    await asyncio.sleep(6)
    assert bench.poller._turns == {}
    running.cancel()


async def test_the_hours_that_tell_what_traffic_to_expect_are_asked_for_once_and_other_days_every_ten_minutes() -> None:
    bench = healthy(Bench(release()), seconds=0)
    bench.telemetry.serve(START, 3600, rps=0)
    asked = []
    for _ in range(130):
        before = len(bench.telemetry.instants)
        await bench.tick()
        asked.append(len(bench.telemetry.instants) - before)
    more = [(n, count - 1) for n, count in enumerate(asked) if count > 1]
    assert more == [(0, 3), (120, 2)], "with the first tick of the silence, and ten minutes later"
    short = bench.short()
    assert isinstance(short, Unknown) and (short.reason, short.detail[:15]) == ("TrafficGone", "no events in 1m")
    bench.telemetry.serve(bench.clock.now(), 60)
    await bench.tick()
    assert isinstance(bench.short(), Value)
