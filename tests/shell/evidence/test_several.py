"""A Release with several objectives: the gate looks at the one of the Incident, and at what became of the others."""

from types import SimpleNamespace
from typing import Any

import pytest

from opsloop.api.slo import Objective, Sli
from opsloop.core.gate.evidence import Missing, OtherObjective, SliPoint
from opsloop.core.gate.scope import root_with_slo
from opsloop.core.slo import promql
from opsloop.errors import Unavailable
from opsloop.shell.evidence.gather import _Shift
from opsloop.shell.ports import Sample
from tests.builders.gate_shift import MITIGATED, NOW, answers, at, incident
from tests.builders.objects import BURN
from tests.fakes.telemetry import FakeTelemetry

pytestmark = pytest.mark.asyncio

SLOW = Sli(bad="late[{{window}}]", total="timed[{{window}}]")


def release() -> Any:
    item = answers()
    assert item.spec.slo is not None
    also = [Objective(name="latency", objective=0.95, sli=SLOW)]
    slo = item.spec.slo.model_copy(update={"name": "availability", "also": also})
    return item.model_copy(update={"spec": item.spec.model_copy(update={"slo": slo})})


def looking(burned: str, telemetry: FakeTelemetry) -> _Shift:
    item = incident()
    status = item.status.model_copy(update={"burn": BURN.model_copy(update={"slo": burned})})
    sources: Any = SimpleNamespace(telemetry=telemetry)
    return _Shift(sources, item.model_copy(update={"status": status}), (release(),), at(NOW))


def answering(bad: float, total: float) -> FakeTelemetry:
    part, whole = promql.single_queries(SLOW, at(NOW) - at(MITIGATED)).values()
    return FakeTelemetry(scripted={part: [Sample({}, bad, at(NOW))], whole: [Sample({}, total, at(NOW))]})


@pytest.mark.parametrize(("burned", "objective"), [("latency", 0.95), ("availability", 0.99), ("gone", 0.99)])
async def test_the_gate_recomputes_the_objective_that_the_incident_is_about(burned: str, objective: float) -> None:
    shift = looking(burned, FakeTelemetry())
    root = root_with_slo((release(),), shift.incident)
    assert not isinstance(root, Missing) and root[1].objective == objective


async def test_the_others_are_added_up_since_the_recovery() -> None:
    found = await looking("availability", answering(70, 1000)).others_since_mitigated()
    assert found == (OtherObjective("latency", 0.05, SliPoint(at(NOW), 70, 1000)),)


async def test_another_objective_that_cannot_be_read_is_missing() -> None:
    found = await looking("availability", FakeTelemetry(failure=Unavailable("refused"))).others_since_mitigated()
    assert isinstance(found, Missing) and "refused" in found.why
