"""What a pod under load may not exceed, and how that is folded into the result of its check."""

from datetime import timedelta
from math import inf, nan
from typing import Any

import pytest

from opsloop.api.evalcase import Measured
from opsloop.api.target import CaseResult
from opsloop.core.evalcase import gating
from opsloop.core.evalcase.measured import Seen, ended, expression, judged, together

MEMORY = Measured(name="memory", query='max(max_over_time(rss{pod="{{pod}}"}[{{window}}]))', max="200Mi")
HANDLES = Measured(name="handles", query='max(max_over_time(fds{pod="{{pod}}"}[{{window}}]))', max="100")


def test_the_expression_names_the_pod_and_whole_seconds() -> None:
    assert (
        expression(MEMORY, "a-canary-x", timedelta(seconds=65.2)) == 'max(max_over_time(rss{pod="a-canary-x"}[1m6s]))'
    )


@pytest.mark.parametrize(
    ("measured", "values", "fate", "said"),
    [
        pytest.param(MEMORY, [120 * 2**20], "Passed", "memory 120Mi of at most 200Mi", id="within its bound"),
        pytest.param(MEMORY, [200 * 2**20], "Passed", "memory 200Mi of at most 200Mi", id="at its bound"),
        pytest.param(MEMORY, [350 * 2**20], "Failed", "under load memory 350Mi of at most 200Mi", id="above its bound"),
        pytest.param(HANDLES, [1234.5], "Failed", "under load handles 1234 of at most 100", id="a number without a unit"),
        pytest.param(MEMORY, [1.0, 2.0], "NoAnswer", "memory: the query gives 2 series and not one; put max() or sum() around it", id="two containers"),
        pytest.param(MEMORY, [nan], "NoAnswer", "memory: Prometheus answers nan", id="no number"),
        pytest.param(MEMORY, [inf], "NoAnswer", "memory: Prometheus answers inf", id="an infinite one is no harm that was seen"),
    ],
)  # fmt: skip
def test_a_number(measured: Measured, values: list[float], fate: str, said: str) -> None:
    assert judged(measured, values) == Seen(fate, said)  # type: ignore[arg-type]


def pod(count: int = 0, state: str = "running", reason: str = "") -> dict[str, Any]:
    last = {"terminated": {"reason": reason}} if reason else {}
    now = {"terminated": {"reason": reason}} if state == "terminated" else {"running": {}}
    return {"status": {"containerStatuses": [{"name": "app", "restartCount": count, "state": now, "lastState": last}]}}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param(pod(), pod(), "", id="it ran on"),
        pytest.param(pod(2, reason="Error"), pod(2, reason="Error"), "", id="it had ended before the load"),
        pytest.param(pod(), pod(1, reason="OOMKilled"), "container app ended under load (OOMKilled)", id="it was restarted"),
        pytest.param(pod(), pod(0, "terminated", "OOMKilled"), "container app ended under load (OOMKilled)", id="a quarantined pod is not restarted"),
        pytest.param({}, pod(1, reason="OOMKilled"), "", id="how it was before is not known"),
        pytest.param(pod(), {}, "", id="how it is now is not known"),
    ],
)  # fmt: skip
def test_a_container_that_ended(before: dict[str, Any], after: dict[str, Any], said: str) -> None:
    assert ended(before, after) == (Seen("Failed", said) if said else Seen())


@pytest.mark.parametrize(
    ("seen", "fate"),
    [
        pytest.param([], "", id="nothing is measured"),
        pytest.param(["Passed", "Passed"], "Passed", id="all within"),
        pytest.param(["Passed", "NoAnswer"], "NoAnswer", id="one is not known: no pass"),
        pytest.param(["NoAnswer", "Failed"], "Failed", id="one above is a failure, whatever else is not known"),
    ],
)
def test_several(seen: list[Any], fate: str) -> None:
    assert together(Seen(one, "x") for one in seen).fate == fate


@pytest.mark.parametrize(
    ("good", "fate", "verdict", "said"),
    [
        pytest.param(100, "Passed", "passed", "busy: 100 of 100 replies good under 20/s for 5s, and the pod within its bounds", id="replies and pod are good"),
        pytest.param(100, "Failed", "failed", "busy failed: what was seen", id="each reply is good and memory is not"),
        pytest.param(100, "NoAnswer", "inconclusive", "no answer to busy (100 of 100: what was seen)", id="memory is not known: it waits"),
        pytest.param(50, "NoAnswer", "failed", "busy failed 50 of 100: what was seen", id="bad replies fail it, whatever memory is"),
    ],
)  # fmt: skip
def test_the_gate(good: int, fate: Any, verdict: str, said: str) -> None:
    result = CaseResult(
        case="busy", must_pass=True, asked=100, canary_passed=good, canary_runs=100, live_passed=0, live_runs=0,
        load="20/s for 5s", pod=fate, message="what was seen",
    )  # fmt: skip
    judgement = gating.judge([result], 0.0)
    assert judgement.verdict == verdict and said in judgement.message
