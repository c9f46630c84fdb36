"""Stories of a dependency whose Incident is open: it explains a dependent's breach only while it is harmed itself."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.meta import format_time
from opsloop.shell.ports import RELEASES
from tests.builders.objects import BURN, release_spec
from tests.sim.shift import Shift, resolved
from tests.sim.shop import NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
HOUR = 3600.0


def _open_incident_on_catalog(shift: Shift, mitigated: dict[str, Any], **status: Any) -> None:
    """Seeds catalog, which `answers` needs, with an Incident that began two hours ago and is open still."""
    began = format_time(shift.shop.clock.now() - timedelta(hours=2))
    answers = shift.release_object()
    answers["spec"]["dependsOn"] = ["catalog"]
    spec = release_spec(slo=None, dependsOn=[], workloadRef={"name": "catalog"})
    signal = {"kind": "burn", "at": began, "severity": "sev1", "burn": BURN.dump()}
    incident = {"release": "catalog", "service": "catalog", "title": "catalog burns", "signal": signal}
    sent = {"state": "Sent", "severity": "sev1", "dedupKey": "catalog", "decidedAt": began, "sentAt": began}
    base = {"phase": "Mitigated", "severity": "sev1", "detectedAt": began, "burn": BURN.dump(), "page": sent}
    condition = {"type": "Mitigated", "message": "", "lastTransitionTime": began, **mitigated}
    for kind, name, body, held in (
        ("Release", "catalog", {k: v for k, v in spec.items() if v is not None}, {}),
        ("Incident", "catalog-1", incident, {**base, "conditions": [condition], **status}),
    ):
        meta = {"name": name, "namespace": NS}
        shift.shop.cluster.seed({"kind": kind, "metadata": meta, "spec": body, "status": held})
    shift.shop.cluster.seed(answers)


@pytest.mark.parametrize(
    ("mitigated", "status"),
    [
        pytest.param({"status": "Unknown", "reason": "TelemetryUnknown"}, {}, id="nobody knows of it since two hours"),
        pytest.param(
            {"status": "True", "reason": "SliBack"},
            {"backSince": "2026-01-01T00:00:00.000Z"},
            id="it was back long ago and is not resolved yet",
        ),
    ],
)
async def test_an_open_incident_of_a_dependency_swallows_no_breach(
    mitigated: dict[str, str], status: dict[str, str]
) -> None:
    shift = Shift()
    await shift.adopt()
    _open_incident_on_catalog(shift, mitigated, **status)
    await shift.one_second()
    assert shift.shop.cluster.find(RELEASES, NS, "catalog") is not None
    shift.shop.set_image("v2")
    await shift.until("an Incident of its own is open", lambda: shift.incident() is not None, most=15)
    await shift.until("it pages", lambda: any(p["incident"] == "answers-1" for p in shift.operator.pager.pages), most=5)
    await shift.until("v1 is written back", lambda: shift.live == "v1", most=15)
    await shift.until("resolved", lambda: resolved(shift))
    await shift.operator.stop()
