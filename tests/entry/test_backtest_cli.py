"""`opsloop backtest` over a day of a shop: a bad deploy that was undone by hand, an outage, and a label that is mistyped."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from opsloop.entry.cli import commands, source_options
from opsloop.shell.ports import Source
from opsloop.simulator.prometheus.telemetry import ModelTelemetry
from tests.builders.past import HASHES, START, Era, history, telemetry

MINUTES = 400
ERAS = (
    Era(0, "v1", HASHES[0], 0.0005),
    Era(120, "v2", HASHES[1], 0.4),
    Era(150, "v1", HASHES[0], 0.0005),
    Era(360, "v3", HASHES[2], 0.0005),
)
RELEASE = """
kind: Release
apiVersion: opsloop.dev/v1alpha1
metadata: {name: answers, namespace: shop}
spec:
  workloadRef: {name: answers}
  slo:
    objective: 0.99
    sli: {requests: {counter: http_requests_total, bad: 'code=~"5.."'}}
"""
UNTIL = (START + timedelta(minutes=MINUTES)).isoformat()


@pytest.fixture(scope="module")
def world() -> ModelTelemetry:
    return telemetry(history(ERAS, MINUTES, outages=((300, 320, 0.6),)), MINUTES)


@pytest.fixture
def run(
    world: ModelTelemetry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Any:
    @asynccontextmanager
    async def opened(arguments: Any, name: str, cluster: Any) -> AsyncIterator[Source]:
        yield Source(world, world, timedelta(seconds=15), timedelta(0))  # type: ignore[arg-type]

    monkeypatch.setattr(source_options, "opened", opened)

    def command(*argv: str, text: str = RELEASE, code: int = 0) -> str:
        file = tmp_path / "release.yaml"
        file.write_text(text)
        found = commands.main(["backtest", "-f", str(file), "--since", "5h", "--until", UNTIL, "--step", "1m", *argv])
        said = capsys.readouterr()
        assert found == code, said.err
        return said.err if code else said.out

    return command


def test_what_would_have_paged_when_and_how_long(run: Any) -> None:
    found = json.loads(run("-o", "json", "--objective", "0.99,0.9"))
    strict, loose = found["objectives"]
    assert (strict["objective"], strict["pages"], loose["objective"]) == (0.99, 2, 0.9)
    deploy, outage = strict["incidents"]
    assert "2026-03-02T02:2" in deploy["calls"][0] and deploy["severity"] == "sev1"
    assert "2026-03-02T05:1" in outage["calls"][0] and outage["cause"] is None
    assert loose["pages"] == 0 and loose["each"][0]["budgetSpent"] < strict["each"][0]["budgetSpent"]
    assert strict["minutesOpen"] > 20


def test_which_deploys_would_have_been_stopped_or_rolled_back(run: Any) -> None:
    found = json.loads(run("-o", "json", "--step", "2m"))
    outcomes = [(one["version"], one["outcomes"]["0.99"]["outcome"]) for one in found["deploys"]]
    assert found["deploysBy"] == "kube_pod_container_info"
    assert outcomes == [("v2", "stopped"), ("v1", "passed"), ("v3", "passed")]
    stopped = found["deploys"][0]["outcomes"]["0.99"]
    assert stopped["canaryBad"] < stopped["servedBad"] and stopped["seconds"] <= 300
    back = found["objectives"][0]["incidents"][0]["rollback"]
    assert (back["from"], back["to"]) == ("v2", "v1") and back["confidence"] >= 0.8


def test_the_table_says_the_same(run: Any, tmp_path: Path) -> None:
    chart = tmp_path / "chart.svg"
    lines = run("--objective", "0.99,0.9", "--svg", str(chart)).splitlines()
    text = "\n".join(lines)
    assert lines[0].startswith("answers in shop, 2026-03-02 01:40 to 2026-03-02 06:40 UTC (5h in steps of 1m)")
    assert any(line.startswith("0.99 ") and " 1 of 3 " in line for line in lines)
    assert "an objective of 0.9 would have paged nobody" in text and "stopped after" in text
    assert "from v2 to v1" in text and "revisions are told apart by the names of the pods" in text
    assert "events/s beside 4 pods its first step takes" in text
    drawing = ElementTree.fromstring(chart.read_text())
    marks = [one.get("class") for one in drawing.iter() if one.get("class") in ("page", "stopped", "passed")]
    assert marks.count("page") == 2 and marks.count("stopped") == 1 and marks.count("passed") == 2


def test_a_part_that_never_matched_says_what_keeps_it(run: Any) -> None:
    wrong = RELEASE.replace('code=~"5.."', 'status=~"5.."')
    found = json.loads(run("-o", "json", text=wrong))
    bad = next(part for part in found["sli"]["parts"] if part["field"].endswith("bad"))
    assert bad["series"] == 0 and "the series have no such label" in bad["problem"]
    assert found["objectives"][0]["pages"] == 0
    assert "NeverMatched" in found["objectives"][0]["each"][0]["remarks"]


@pytest.mark.parametrize(
    ("text", "argv", "expected"),
    [
        pytest.param(RELEASE.replace("http_requests_total", "nothing_total"), (), "no series of nothing_total names a pod", id="no series"),
        pytest.param("kind: Runbook\nmetadata: {name: r}\n", (), "which Release? there: none", id="no Release"),
        pytest.param(RELEASE.replace("objective: 0.99", "objective: 99"), (), "spec.slo.objective", id="a percentage"),
        pytest.param(RELEASE, ("--max-queries", "3"), "budget of 3 queries is spent", id="too small a budget"),
        pytest.param(RELEASE, ("--max-queries", "40"), "that is more than --max-queries 40", id="a budget that will not do"),
    ],
)  # fmt: skip
def test_what_cannot_be_found_out_says_why(run: Any, text: str, argv: tuple[str, ...], expected: str) -> None:
    assert expected in run(*argv, text=text, code=2)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("--objective", "99.9"), "an objective is a fraction between 0 and 1, for example 0.999"),
        (("--since", "0s"), "must be longer than 0s"),
        (("--until", "yesterday"), "write for example 2026-11-28T00:00:00Z"),
        (("--header", "X-Scope-OrgID"), "write NAME=VALUE"),
    ],
)
def test_a_wrong_option_says_what_is_right(
    argv: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.main(["backtest", "-f", "x.yaml", *argv])
    assert ended.value.code == 2 and expected in capsys.readouterr().err


def test_an_empty_history_has_no_figures_and_no_error(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    late = history([Era(370, "v1", HASHES[0])], MINUTES)

    @asynccontextmanager
    async def opened(arguments: Any, name: str, cluster: Any) -> AsyncIterator[Source]:
        store = telemetry(late, MINUTES)
        yield Source(store, store, timedelta(seconds=15), timedelta(0))  # type: ignore[arg-type]

    monkeypatch.setattr(source_options, "opened", opened)
    found = json.loads(run("-o", "json"))
    each = found["objectives"][0]["each"][0]
    assert each["coverage"] < 0.25 and each["unknownSeconds"]["NoSeries"] > 3 * 3600
    assert found["deploys"] == [] and found["objectives"][0]["pages"] == 0
