"""What the benchmarks of rollouts and of rest make of what they saw: no cluster is needed for that."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from e2e.bench import asker, back, idle, meter, metered, rollouts
from e2e.bench.rollouts import Found, reacted
from e2e.harness.audit import Request
from e2e.harness.progress import StageFailed
from opsloop.api.release import Release
from opsloop.core.release import patched
from opsloop.names import GATE_CLOSE, GATE_OPEN


def gate(at: float, pod: str, manager: str = GATE_CLOSE) -> Request:
    return Request(at, at + 0.01, "operator", "patch", "pods", "status", rollouts.NS, pod, 200, "opsloop", manager)


def answer(at: float, name: str) -> tuple[float, str]:
    return at, f'sum(increase(bench_requests_total{{service="{name}"}}[10s]))'


CLOSED = gate(20.5, "bad-01-canary-x")


def test_the_reading_that_counts_is_the_last_about_that_service_before_its_gate_was_closed() -> None:
    answers = [answer(15, "bad-01"), answer(20.4, "bad-01"), answer(20.45, "bad-02"), answer(20.6, "bad-01")]
    requests = [gate(9, "bad-01-canary-x"), gate(12, "bad-01-canary-x", GATE_OPEN), CLOSED, gate(21, "bad-01-canary-y")]
    wait, after = reacted(requests, answers, "bad-01", 10)
    assert (round(wait, 3), round(after, 3)) == (0.1, 10.5)


@pytest.mark.parametrize(
    ("requests", "answers", "says"),
    [
        pytest.param([], [answer(20, "bad-01")], "no gate of bad-01 was closed", id="no write"),
        pytest.param([gate(20, "bad-011-canary-x")], [answer(11, "bad-01")], "no gate", id="a write for another"),
        pytest.param([CLOSED], [answer(20, "bad-02")], "no answer about bad-01", id="a reading of another"),
        pytest.param([CLOSED], [answer(9, "bad-01")], "no answer", id="a reading from before it turned bad"),
    ],
)
def test_what_was_not_seen_is_no_figure(requests: list[Request], answers: list[tuple[float, str]], says: str) -> None:
    with pytest.raises(StageFailed, match=says):
        reacted(requests, answers, "bad-01", 10)


def test_the_table_has_three_numbers_of_each_beside_its_goal() -> None:
    found = Found(
        counts={"promoted": [90, 70, 80], "held": [10]},
        kinds={"promoted": Counter({"list pods": 30}), "held": Counter({"list stops": 2})},
        waits=[0.02, 0.04, 0.03],
        flips=[3.0, 5.0, 4.0],
        watched=120.0,
    )
    rows = {row["figure"]: row for row in rollouts.rows(found)}
    assert rows["API requests, promoted"] == {
        "figure": "API requests, promoted", "min / median / max": "70 / 80 / 90", "runs": "3", "goal": "≤ 30",
    }  # fmt: skip
    assert (
        rows["API requests in an hour of holding, extrapolated from 120 s"]["min / median / max"] == "300 / 300 / 300"
    )
    assert rows["bad reading → weight-0 write, ms"]["min / median / max"] == "20 / 30 / 40"
    assert not any("aborted" in figure for figure in rows), "what was not measured has no row"


def test_a_release_of_the_benchmark_is_one_and_its_patch_makes_another_version() -> None:
    body = metered.release("svc", "r0", rollouts.STEPS)
    release = Release.model_validate(body)
    assert release.spec.slo is not None and [s.weight for s in release.spec.strategy.steps] == [10, 25, 50, 100]
    assert release.spec.slo.sli.bad == (
        'sum(increase(bench_requests_total{service="svc",code="500",version=~"{{version}}"}[{{window}}]))'
    )
    sent: list[Any] = []

    class Api:
        def kubectl(self, *arguments: str) -> None:
            sent.append(json.loads(arguments[-1])["spec"])

    class Shift:
        api = Api()

    rollouts._patch(Shift(), "svc", "r1", rollouts.HELD)  # type: ignore[arg-type]
    changed = Release.model_validate({**body, "spec": {**body["spec"], **sent[0]}})
    before, refused = patched.apply(metered.idle_pod({"app": "svc"}), patched.patch_of(changed.spec))
    assert not refused and before["spec"]["containers"][0]["env"] == [{"name": "RUN", "value": "r1"}]
    assert before["spec"]["containers"][0]["command"] == ["sleep", "36000"]


def test_the_meter_and_the_demos_prometheus_fit_together() -> None:
    parts = [*metered._meter("ns"), *metered._prometheus("ns", "5s")]
    names = {(p["kind"], p["metadata"]["name"]): p for p in parts}
    config = yaml.safe_load(names["ConfigMap", "prometheus"]["data"]["prometheus.yml"])
    assert config["scrape_configs"][0]["static_configs"] == [{"targets": ["meter.ns.svc:8080"]}]
    mounted = {
        v["configMap"]["name"]
        for v in names["Deployment", "prometheus"]["spec"]["template"]["spec"]["volumes"]
        if "configMap" in v
    }
    assert mounted <= {name for kind, name in names if kind == "ConfigMap"}
    assert ("Service", "prometheus") in names and all(p["metadata"].get("namespace", "ns") == "ns" for p in parts)


def test_counters_grow_by_their_rates_and_what_was_counted_stays() -> None:
    now = [100.0]
    counters = meter.Counters(lambda: now[0])
    counters.set("a", "v1", 10, 0)
    assert 'code="200"} 0' in counters.exposition() and 'code="500"} 0' in counters.exposition()
    now[0] += 10
    counters.set("a", "v1", 10, 0.5)
    now[0] += 4
    text = counters.exposition()
    assert '{service="a",version="v1",code="200"} 120' in text and '{service="a",version="v1",code="500"} 20' in text


@pytest.fixture
def served() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    servers: list[ThreadingHTTPServer] = []

    def serve(handler: type[BaseHTTPRequestHandler]) -> str:
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def asked(url: str, body: bytes | None = None) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=5) as reply:
        return json.loads(reply.read())


def test_the_tap_passes_on_what_is_asked_and_says_when_it_had_answered(served: Any) -> None:
    class Prometheus(meter._Quiet):
        def do_POST(self) -> None:
            self.reply(200, json.dumps({"status": "success", "asked": self.content().decode()}).encode())

    counters, tap = meter.Counters(), meter.Tap(served(Prometheus), lambda: 7.0)
    through, control = served(meter.tapped(tap)), served(meter.control(counters, tap))
    assert asked(f"{through}/api/v1/query", b"query=up%7Ba%3D%22b%22%7D")["asked"] == "query=up%7Ba%3D%22b%22%7D"
    assert asked(f"{control}/set", json.dumps({"rates": [["a", "v1", 5, 0]]}).encode()) == {"set": 1}
    with urllib.request.urlopen(f"{control}/metrics", timeout=5) as reply:
        assert b'service="a"' in reply.read()
    while not tap.answers(0):  # it is noted right after the answer has been sent
        pass
    assert asked(f"{control}/answers?since=6") == [[7.0, 'up{a="b"}']]
    assert asked(f"{control}/answers?since=8") == []


def test_a_prometheus_that_does_not_answer_is_told_as_such() -> None:
    status, _, _ = meter.Tap("http://127.0.0.1:9").ask("POST", "/api/v1/query", b"query=up", {})
    assert status == 502


# --- back


def answers(*stretches: tuple[float, float, float]) -> list[asker.Answer]:
    """(from, until, share of v1): 200 answers a second, evenly mixed."""
    found = list[asker.Answer]()
    for since, until, share in stretches:
        for n in range(int((until - since) * 200)):
            good = int((n + 1) * share) > int(n * share)
            found.append((since + n / 200, n % 10, back.GOOD if good else back.BAD))
    return found


@pytest.mark.parametrize(
    ("stretches", "half", "all_of_it"),
    [
        pytest.param([(0, 10, 0), (10, 20, 0), (20, 24, 1)], 10, 10, id="all at once, ten seconds after the order"),
        pytest.param([(0, 10.5, 0), (10.5, 25, 0.47), (25, 29, 1)], 0.5, 15, id="about a half by warm pods at once, then the rest"),
        pytest.param([(0, 15, 0), (15, 20, 0.25), (20, 25, 0.75), (25, 29, 1)], 10, 15, id="pod by pod"),
    ],
)  # fmt: skip
def test_when_half_and_when_all_of_the_traffic_was_back(
    stretches: list[tuple[float, float, float]], half: float, all_of_it: float
) -> None:
    found = back.told(answers(*stretches), 10.0)
    assert found == pytest.approx((half, all_of_it), abs=0.5)


def test_a_bad_version_that_still_answers_at_the_end_is_no_figure() -> None:
    with pytest.raises(StageFailed, match="still answers"):
        back.told(answers((0, 20, 0.5)), 10.0)
    with pytest.raises(StageFailed, match="nobody asked"):
        back.told(answers((0, 5, 0)), 10.0)


def test_clients_stop_when_the_bad_version_is_gone_and_others_never_do() -> None:
    now = [10.0]
    gone, never = (asker.Seen(version, 3.0, lambda: now[0]) for version in ("v4", ""))
    assert not gone.is_over((10.0, 0, "v4")), "it answers"
    now[0] = 12.5
    assert not gone.is_over((12.5, 0, "v1")), "it may answer yet"
    now[0] = 13.5
    assert gone.is_over((13.5, 0, "v1")) and not never.is_over((13.5, 0, "v1"))


# --- rest


def test_a_minute_at_rest_is_told_beside_the_goals() -> None:
    row = idle.Row(1000, [31, 30, 32], [2.5, 1.5, 2.0], [140.4, 139.6, 141.0], Counter({"update leases": 90}))
    assert idle.table([row, idle.Row(7)]) == [
        {
            "Releases": "1,000", "API requests": "30 / 31 / 32 (≤ 30)", "CPU seconds": "1.50 / 2.00 / 2.50 (≤ 2)",
            "MiB at most": "140 / 140 / 141 (≤ 130)", "minutes": "3",
        }
    ]  # fmt: skip


def test_a_service_at_rest_reads_a_counter_of_its_own() -> None:
    _, body = idle.service(7, sli=True)
    release = Release.model_validate(body)
    assert release.spec.slo is not None and release.spec.slo.sli.requests is not None
    assert release.spec.slo.sli.requests.selector == 'service="svc-0007"'
    assert Release.model_validate(idle.service(7, sli=False)[1]).spec.slo is None
