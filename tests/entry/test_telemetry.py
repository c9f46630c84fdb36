import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from opsloop.api.evalcase import EvalCase, EvalCaseStatus
from opsloop.api.release import Release, ReleaseStatus
from opsloop.api.runbook import Runbook, RunbookStatus
from opsloop.api.slo import Tier
from opsloop.core import conditions
from opsloop.core.readings import Reading, TierVerdict, Unknown, Value, Verdict
from opsloop.core.slo.budget import Spent
from opsloop.entry.health import MOST_LAG, MOST_SILENCE, Health
from opsloop.entry.telemetry import Metrics, build_app, serve, setup_logging
from opsloop.shell.ports import ObjectKey
from opsloop.shell.watch.workqueue import Queue
from tests.builders.objects import evalcase, incident, release, runbook


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    setup_logging(stream=out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_log_line_is_one_line_of_json_with_its_object(stream: io.StringIO) -> None:
    logging.getLogger("opsloop.x").warning("first %s\nsecond", "line", extra={"object": "Release/shop/web"})
    (line,) = lines(stream)
    assert line.pop("ts", "")
    assert line == {
        "level": "warning",
        "logger": "opsloop.x",
        "message": "first line\nsecond",
        "object": "Release/shop/web",
    }


def test_a_traceback_stays_in_the_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("bug")
    except ValueError:
        logging.getLogger("opsloop.x").exception("failed")
    (line,) = lines(stream)
    assert "ValueError: bug" in str(line["error"])


def test_kopfs_line_per_event_is_left_out_and_its_objects_are_named(stream: io.StringIO) -> None:
    ref = {"kind": "Release", "name": "web", "namespace": "shop"}
    logging.getLogger("kopf.objects").info("Handler 'feed' succeeded.", extra={"k8s_ref": ref})
    logging.getLogger("kopf.objects").error("Handler failed.", extra={"k8s_ref": ref})
    (line,) = lines(stream)
    assert (line["message"], line["object"]) == ("Handler failed.", ref)


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    metrics.take()
    return metrics.registry.get_sample_value(name, labels)


def verdict(long: Reading, short: Reading) -> Verdict:
    tier = Tier(long=timedelta(minutes=1), short=timedelta(seconds=5), factor=14.4, severity="sev1")
    tiers = (TierVerdict(tier, None, long, short, None, None),)
    return Verdict(datetime(2026, 1, 5, tzinfo=UTC), 0.99, tiers, "unknown", None, None, "")


def observed(*seen: tuple[Release, Verdict | None]) -> Metrics:
    metrics = Metrics()
    metrics.watch_releases(lambda: seen)
    return metrics


RELEASE = {"namespace": "shop", "release": "answers"}
LABELS = {**RELEASE, "slo": "sli"}


def test_exact_readings_by_window_and_absent_while_unknown() -> None:
    known = observed((release(), verdict(Value(20, 100), Value(0, 10))))
    assert sample(known, "opsloop_release_burn_rate", **LABELS, window="1m") == pytest.approx(20)
    assert sample(known, "opsloop_release_sli_ratio", **LABELS, window="1m") == pytest.approx(0.8)
    assert sample(known, "opsloop_release_sli_ratio", **LABELS, window="5s") == 1
    half = observed((release(), verdict(Unknown("NoSeries"), Value(1, 10))))
    assert sample(half, "opsloop_release_burn_rate", **LABELS, window="1m") is None
    assert sample(half, "opsloop_release_burn_rate", **LABELS, window="5s") == pytest.approx(10)
    assert sample(half, "opsloop_release_telemetry_known", **LABELS) == 0
    unread = observed((release(), None))
    assert sample(unread, "opsloop_release_burn_rate", **LABELS, window="5s") is None
    assert sample(unread, "opsloop_release_telemetry_known", **LABELS) is None


def test_readings_are_those_of_the_scrape_and_go_with_their_release() -> None:
    seen = [(release(), verdict(Value(20, 100), Value(0, 10)))]
    metrics = Metrics()
    metrics.watch_releases(lambda: seen)
    assert sample(metrics, "opsloop_release_burn_rate", **LABELS, window="1m") == pytest.approx(20)
    seen[0] = (release(), verdict(Value(21, 100), Value(0, 10)))
    assert sample(metrics, "opsloop_release_burn_rate", **LABELS, window="1m") == pytest.approx(21)
    seen.clear()
    assert sample(metrics, "opsloop_release_burn_rate", **LABELS, window="1m") is None


def test_the_error_budget_with_the_time_that_it_lasts() -> None:
    seen = [(release(), verdict(Value(20, 100), Value(0, 10)))]
    budget: dict[str, Spent | None] = {"sli": Spent(0.25, 0.5)}
    metrics = Metrics()
    metrics.watch_releases(lambda: seen, lambda key, name: budget[name])
    assert sample(metrics, "opsloop_release_error_budget_left_ratio", **LABELS) == pytest.approx(0.75)
    assert sample(metrics, "opsloop_release_error_budget_coverage_ratio", **LABELS) == 0.5
    month = 30 * 86400
    assert sample(metrics, "opsloop_release_error_budget_exhausted_seconds", **LABELS) == pytest.approx(
        month * 0.75 / 20
    )
    seen[0] = (release(), verdict(Value(0, 100), Value(0, 10)))
    assert sample(metrics, "opsloop_release_error_budget_exhausted_seconds", **LABELS) == float("inf")
    seen[0] = (release(), verdict(Unknown("NoSeries"), Unknown("NoSeries")))
    assert sample(metrics, "opsloop_release_error_budget_exhausted_seconds", **LABELS) is None, "at which rate?"
    assert sample(metrics, "opsloop_release_error_budget_left_ratio", **LABELS) == pytest.approx(0.75)
    budget["sli"] = None
    assert sample(metrics, "opsloop_release_error_budget_left_ratio", **LABELS) is None
    budget["sli"] = Spent(0.25, 0.5)
    seen.clear()
    assert sample(metrics, "opsloop_release_error_budget_left_ratio", **LABELS) is None, "gone with its Release"


def test_each_condition_of_a_release_is_a_series_with_its_reason() -> None:
    held = conditions.put([], "Held", "True", "WaitingForApproval", "…", datetime(2026, 1, 5, tzinfo=UTC))
    metrics = observed((release(status=ReleaseStatus(conditions=held)), None))
    labels = {**RELEASE, "condition": "Held", "status": "True", "reason": "WaitingForApproval"}
    assert sample(metrics, "opsloop_release_condition", **labels) == 1


WAITS = conditions.put([], "Waits", "Unknown", "ForAPerson", "…", datetime(2026, 1, 5, tzinfo=UTC))


@pytest.mark.parametrize(
    ("kind", "waiting"),
    [
        ("evalcase", evalcase().model_copy(update={"status": EvalCaseStatus(conditions=WAITS)})),
        ("runbook", runbook().model_copy(update={"status": RunbookStatus(conditions=WAITS)})),
    ],
)
def test_what_an_object_waits_for_is_a_series_and_goes_with_it(kind: str, waiting: EvalCase | Runbook) -> None:
    metrics, found = Metrics(), [waiting]
    metrics.watch_conditions(kind, lambda: found)
    labels = {"namespace": "shop", kind: waiting.metadata.name, "condition": "Waits", "status": "Unknown"}
    assert sample(metrics, f"opsloop_{kind}_condition", **labels, reason="ForAPerson") == 1
    found.clear()
    assert sample(metrics, f"opsloop_{kind}_condition", **labels, reason="ForAPerson") is None


@pytest.mark.parametrize(("phase", "shown"), [("Open", 1.0), ("Resolved", None)])
def test_an_incident_that_is_over_waits_for_nobody(phase: str, shown: float | None) -> None:
    metrics = Metrics()
    metrics.watch_incidents(lambda: [incident("answers-1", {"phase": phase, "conditions": WAITS})])
    labels = {"namespace": "shop", "incident": "answers-1", "condition": "Waits", "status": "Unknown"}
    assert sample(metrics, "opsloop_incident_condition", **labels, reason="ForAPerson") == shown


def test_pages_by_receiver_action_and_result_and_how_many_each_did_not_take() -> None:
    metrics = Metrics()
    for result in ("failed", "failed", "sent"):
        metrics.page("oncall", "trigger", result)
    metrics.page("chat", "trigger", "sent")
    metrics.undelivered("oncall", 2)
    assert sample(metrics, "opsloop_pages_total", receiver="oncall", action="trigger", result="failed") == 2
    assert sample(metrics, "opsloop_pages_total", receiver="chat", action="trigger", result="sent") == 1
    assert sample(metrics, "opsloop_pages_undelivered", receiver="oncall") == 2


def test_counts_by_kind_result_verb_and_code() -> None:
    metrics = Metrics()
    metrics.reconciled(("Release", "shop", "web"), "ok", 0.2)
    metrics.reconciled(("Release", "shop", "web"), "conflict", 0.2)
    metrics.api("update", "releases", "409")
    metrics.intake("alerts", 202, 3)
    assert sample(metrics, "opsloop_reconciles_total", kind="Release", result="conflict") == 1
    assert sample(metrics, "opsloop_reconcile_seconds_count", kind="Release") == 2
    assert sample(metrics, "opsloop_api_requests_total", verb="update", resource="releases", code="409") == 1
    assert sample(metrics, "opsloop_intake_requests_total", route="alerts", code="202") == 1
    assert sample(metrics, "opsloop_intake_stored_total", route="alerts") == 3


async def test_queue_and_leader_are_read_when_somebody_scrapes() -> None:
    async def handler(key: ObjectKey) -> None: ...

    metrics, queue = Metrics(), Queue(handler)
    metrics.watch(queue, lambda: True)
    queue.lead([("Release", "shop", "web")])
    assert sample(metrics, "opsloop_queue_depth") == 1
    assert sample(metrics, "opsloop_leader") == 1
    assert (sample(metrics, "opsloop_queue_oldest_seconds") or 0) >= 0


class Situation:
    """A process of which each part can be made to fail."""

    def __init__(self) -> None:
        self.time, self.elector, self.listed = 0.0, True, True
        self.health = Health(lambda: self.elector, lambda: self.listed, Metrics(), lambda: self.time)


def silent(s: Situation) -> None:
    s.time = MOST_SILENCE + 1


def stuck(s: Situation) -> None:
    s.time = MOST_LAG + 1.5


def no_elector(s: Situation) -> None:
    s.elector = False


@pytest.mark.parametrize(
    ("happens", "problem"),
    [
        pytest.param(silent, "no watch event and no resync", id="the API server has not spoken for 15 minutes"),
        pytest.param(stuck, "the event loop is", id="the event loop is late"),
        pytest.param(no_elector, "Lease elector", id="the elector has stopped"),
    ],
)
def test_what_is_not_alive(happens: object, problem: str) -> None:
    situation = Situation()
    assert situation.health.problems() == []
    assert callable(happens)
    happens(situation)
    assert any(problem in p for p in situation.health.problems())


def test_a_resync_or_an_event_ends_the_silence() -> None:
    situation = Situation()
    silent(situation)
    situation.health.touch()
    assert not any("no watch event" in p for p in situation.health.problems())


@pytest.mark.looptime
async def test_the_beat_measures_how_late_the_loop_is() -> None:
    loop, metrics, skipped = asyncio.get_running_loop(), Metrics(), 0.0
    health = Health(lambda: True, lambda: True, metrics, lambda: loop.time() + skipped)
    beat = asyncio.create_task(health.beat())
    await asyncio.sleep(3.5)
    assert health.problems() == []
    skipped = 10.0  # something blocked the loop for 10 s
    await asyncio.sleep(1)
    assert any("event loop" in p for p in health.problems())
    assert sample(metrics, "opsloop_loop_lag_seconds") == pytest.approx(10)
    await asyncio.sleep(2)
    assert health.problems() == []
    beat.cancel()


async def test_the_endpoints_answer() -> None:
    situation = Situation()
    metrics = Metrics()
    metrics.api("get", "releases", "200")
    runner = await serve(build_app(metrics, situation.health), 0, "127.0.0.1")
    port = runner.addresses[0][1]

    async def ask(path: str) -> tuple[int, str]:
        async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, await answer.text()

    async with aiohttp.ClientSession() as session:
        status, text = await ask("/metrics")
        assert status == 200
        assert 'opsloop_api_requests_total{code="200",resource="releases",verb="get"} 1.0' in text
        if sys.platform == "linux":
            assert "process_resident_memory_bytes" in text
        assert (await ask("/livez"))[0] == (await ask("/readyz"))[0] == 200
        situation.elector = situation.listed = False
        assert await ask("/livez") == (503, '{"ok": false, "problems": ["the Lease elector has stopped"]}')
        assert await ask("/readyz") == (503, '{"ok": false, "problems": ["the first LIST is not done"]}')
    await runner.cleanup()


async def test_a_scrape_keeps_the_event_loop_from_nothing_and_tells_one_moment() -> None:
    """Objects that come while a thread renders belong to the next scrape."""
    metrics, seen, looks = Metrics(), [release()], list[str]()
    metrics.watch_releases(lambda: [(one, None) for one in seen])
    seen[0] = release(status=ReleaseStatus(conditions=WAITS))
    rendering = asyncio.create_task(metrics.rendered())
    await asyncio.sleep(0)
    seen.clear()
    looks.append((await rendering).decode())
    looks.append((await metrics.rendered()).decode())
    assert ["ForAPerson" in text for text in looks] == [True, False]
