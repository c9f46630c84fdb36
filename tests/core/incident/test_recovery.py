"""Recovery by signal: pods, telemetry and alerts end what they opened; none of it while no pod is available."""

from typing import Any

import pytest

from opsloop.api.incident import Incident, IncidentSpec, Signal
from opsloop.api.release import Release, ReleaseStatus
from opsloop.core.readings import Readings
from opsloop.core.reported import Ledger
from tests.builders.incidents import after, alert, alerts_only, burnt, facts, service, sli, timeline_keys
from tests.builders.objects import V1, at


def opened_by(kind: str, severity: str = "sev1", **status: Any) -> Incident:
    item = burnt(burn=None, cause=None, severity=severity, **status)
    signal = Signal.model_validate({"kind": kind, "at": at(0), "severity": severity})
    spec = IncidentSpec(release="answers", service="answers", title="t", signal=signal)
    return item.model_copy(update={"spec": spec})


def root(available: tuple[str, str, float] | None = None, telemetry: tuple[str, str, float] | None = None) -> Release:
    """With these conditions: status, reason, second of the last transition."""
    held = service(live=V1)
    conditions = [
        {"type": type_, "status": c[0], "reason": c[1], "message": "", "lastTransitionTime": at(c[2])}
        for type_, c in (("Available", available), ("TelemetryKnown", telemetry))
        if c is not None
    ]
    status = ReleaseStatus.model_validate({**held.status.dump(), "conditions": conditions})
    return held.model_copy(update={"status": status})


SERVES, DOWN = ("True", "PodsAvailable", 60.0), ("False", "NoPodAvailable", 30.0)
FIRING = Ledger(alerts=(alert("firing"),))


@pytest.mark.parametrize(
    ("item", "release", "seen", "ledger", "expected"),
    [
        pytest.param(opened_by("workload", outageAt=at(30)), root(DOWN), sli(None), Ledger(), ("False", "NoPodAvailable"), id="no pod is available"),
        pytest.param(opened_by("workload", outageAt=at(30)), root(SERVES), sli(None), Ledger(), ("True", "PodsBack"), id="pods serve again, though the SLI has not seen them yet"),
        pytest.param(opened_by("workload", outageAt=at(30)), root(SERVES), sli(None), FIRING, ("True", "PodsBack"), id="also while an alert fires whose end nobody sends"),
        pytest.param(opened_by("workload", outageAt=at(30)), root(("Unknown", "ScaledToZero", 60)), sli(None), Ledger(), ("True", "PodsBack"), id="nobody wants pods any more"),
        pytest.param(opened_by("workload", outageAt=at(30)), root(("Unknown", "NotAvailableYet", 60)), sli(None), Ledger(), ("Unknown", "NotBack"), id="scaled to 0 and up again, pods must prove themselves"),
        pytest.param(burnt(outageAt=at(30)), root(DOWN), sli(0.0), Ledger(), ("False", "NoPodAvailable"), id="a burn does not end while no pod is available, whatever its SLI says"),
        pytest.param(burnt(outageAt=at(30)), root(SERVES), sli(0.5), Ledger(), ("False", "NotBack"), id="nor by pods that err"),
        pytest.param(opened_by("alerts", "sev3", outageAt=at(30)), root(SERVES), sli(0.0), FIRING, ("False", "NotBack"), id="what alerts opened ends with its alerts"),
        pytest.param(opened_by("telemetry", "sev3"), root(SERVES, ("False", "NoSeries", 10)), sli(None), Ledger(), ("False", "TelemetryUnknown"), id="nobody can read the SLI"),
        pytest.param(opened_by("telemetry", "sev3"), root(SERVES, ("True", "Known", 60)), sli(0.0), Ledger(), ("True", "TelemetryBack"), id="it is read again"),
        pytest.param(opened_by("telemetry", "sev3"), root(SERVES, ("False", "NoEvents", 10)), sli(None), Ledger(), ("True", "TelemetryBack"), id="it is read, and nothing happens in it"),
        pytest.param(opened_by("telemetry", "sev3"), root(SERVES, ("Unknown", "NotRead", 60)), sli(None), Ledger(), ("Unknown", "TelemetryBack"), id="a process that has just begun has not read it yet"),
    ],
)  # fmt: skip
def test_recovery(item: Incident, release: Release, seen: Readings, ledger: Ledger, expected: tuple[str, str]) -> None:
    status = after(facts(item, release, seen, ledger=ledger))
    assert [(c.status, c.reason) for c in status.conditions if c.type == "Mitigated"] == [expected]


def test_pods_must_stay_for_two_minutes() -> None:
    item = opened_by("workload", outageAt=at(-100))
    fresh = after(facts(item, root(("True", "PodsAvailable", -19)), sli(None)))
    steady = after(facts(item, root(("True", "PodsAvailable", -20)), sli(None)))
    assert (fresh.phase, steady.phase) == ("Mitigated", "Resolved")


# --- an outage as evidence


def test_an_outage_raises_an_open_incident_once_it_lasts() -> None:
    item = alerts_only("sev3")
    young, old = root(("False", "NoPodAvailable", 41)), root(("False", "NoPodAvailable", 40))
    assert after(facts(item, young, sli(None))).severity == "sev3"
    status = after(facts(item, old, sli(None)))
    assert (status.severity, status.outage_at, status.title) == ("sev1", at(40), "answers: no pod is available")
    assert status.page is not None and "outage-" in "".join(timeline_keys(status))


def test_an_outage_within_the_grace_reopens_what_an_outage_or_a_burn_had_opened() -> None:
    down = root(("False", "NoPodAvailable", 40))
    for item in (opened_by("workload", phase="Resolved", outageAt=at(-50), resolvedAt=at(0)), burnt("Resolved")):
        assert after(facts(item, down, sli(None))).reopened == 1
    alerts = opened_by("alerts", "sev3", phase="Resolved", resolvedAt=at(0))
    assert after(facts(alerts, down, sli(None))).reopened == 0


def test_nothing_is_rolled_back_for_an_outage_alone() -> None:
    status = after(facts(opened_by("workload", outageAt=at(30)), root(DOWN), sli(None)))
    assert status.plays == [] and status.rollback is None
