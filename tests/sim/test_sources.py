"""A Release that is read from another Prometheus than the default, and what a person sees where that one cannot be read."""

import pytest

from opsloop.adapters.prometheus import Prometheus
from opsloop.core import conditions
from opsloop.shell.ports import Source
from tests.fakes.telemetry import FakeTelemetry
from tests.sim.shift import Shift, release_object, runbook_object
from tests.sim.shop import Shop

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def reading_from(source: str, other: Source | None = None) -> Shift:
    item = release_object()
    item["spec"]["slo"] |= {"source": source, "tellUnknownAfter": "5s"}
    shift = Shift(shop=Shop(item, runbook_object()))
    if other is not None:
        shift.operator.fakes.others = {"mimir": other}
    return shift


async def told(shift: Shift) -> tuple[str, str]:
    """The reason of TelemetryKnown, and the signal of the Incident about it."""
    await shift.until("an Incident tells of it", lambda: shift.incident() is not None)
    incident, known = shift.incident(), conditions.get(shift.release().status.conditions, "TelemetryKnown")
    await shift.operator.stop()
    assert incident is not None and known is not None and known.status == "False"
    assert incident.spec.signal.kind == "telemetry"
    return known.reason, incident.spec.signal.message


async def test_a_release_is_read_from_the_source_that_it_names() -> None:
    shift = reading_from("mimir")
    shift.operator.fakes.others = {"mimir": Source(shift.shop.telemetry, shift.operator.fakes.rules)}
    shift.operator.fakes.telemetry = FakeTelemetry()  # the default has no such series
    await shift.until(
        "its SLI is read", lambda: conditions.is_true(shift.release().status.conditions, "TelemetryKnown")
    )
    await shift.operator.stop()


async def test_a_source_that_does_not_exist_is_told_with_those_that_do() -> None:
    reason, message = await told(reading_from("mimir"))
    assert reason == "SourceUnknown"
    assert "spec.slo.source: there is no 'mimir'; the operator has default" in message


async def test_what_the_source_answers_reaches_whoever_reads_the_incident() -> None:
    async def refuse(path: str, params: object) -> tuple[int, bytes]:
        return 401, b"no org id\n"

    one = Prometheus(refuse, "Prometheus source mimir")
    reason, message = await told(reading_from("mimir", Source(one, one)))
    assert reason == "TelemetryUnreachable" and "Prometheus source mimir answered 401: no org id" in message
