"""Incidents that need no alert: outages and silence; which of them, on which root, and when to look again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.release import ReleaseStatus
from opsloop.core.correlation.decide import Correlation, correlate
from opsloop.core.correlation.measured import TELEMETRY
from opsloop.core.facts import CorrelationFacts, ReleaseView
from tests.builders.correlation import NOW, NS, Health, at, incident, view


def with_condition(
    name: str, type_: str, reason: str, since: float, health: Health = "unknown", **more: Any
) -> ReleaseView:
    held = view(name, health, **more)
    condition = {
        "type": type_,
        "status": "False",
        "reason": reason,
        "message": "0 of 4",
        "lastTransitionTime": at(since),
    }
    status = ReleaseStatus.model_validate({"conditions": [condition]})
    return replace(held, release=held.release.model_copy(update={"status": status}))


def out(name: str, since: float = -60, health: Health = "unknown", **more: Any) -> ReleaseView:
    return with_condition(name, "Available", "NoPodAvailable", since, health, **more)


def starved(name: str, pods: str = "BelowMinimum", since: float = -60) -> ReleaseView:
    """Its traffic is gone, and pods are missing."""
    held = silent(name, since, "TrafficGone")
    pods_missing = {
        "type": "Available",
        "status": "True",
        "reason": pods,
        "message": "1 of 4",
        "lastTransitionTime": at(-9000),
    }
    status = ReleaseStatus.model_validate(
        {"conditions": [*(c.dump() for c in held.release.status.conditions), pods_missing]}
    )
    return replace(held, release=held.release.model_copy(update={"status": status}))


def silent(name: str, since: float = -900, reason: str = "NoSeries") -> ReleaseView:
    return with_condition(name, "TelemetryKnown", reason, since)


def away(name: str, since: float = -900) -> ReleaseView:
    return silent(name, since, "TelemetryUnreachable")


BLIND = incident("telemetry-1", "alerts", release="")
BLIND = BLIND.model_copy(update={"spec": BLIND.spec.model_copy(update={"service": TELEMETRY})})


def plan(*releases: ReleaseView, incidents: tuple[Any, ...] = ()) -> Correlation:
    return correlate(CorrelationFacts(NS, releases=releases, incidents=incidents), NOW)


RESOLVED: dict[str, Any] = {"phase": "Resolved", "resolvedAt": at(-600)}


@pytest.mark.parametrize(
    ("releases", "incidents", "opened"),
    [
        pytest.param((out("answers"),), (), {"answers-1": "workload sev1"}, id="no pod for a minute"),
        pytest.param((out("answers", -59),), (), {}, id="not for a minute yet"),
        pytest.param((out("answers", health="no-slo"),), (), {"answers-1": "workload sev1"}, id="without an SLO as well"),
        pytest.param((out("answers"),), (incident("answers-1"),), {}, id="one that is open is enough"),
        pytest.param((out("answers"),), (incident("answers-1", **RESOLVED),), {}, id="one that reopens as well"),
        pytest.param((out("answers"),), (incident("answers-1", "alerts", **RESOLVED),), {"answers-2": "workload sev1"}, id="one of alerts does not reopen"),
        pytest.param((out("web", needs=("answers",)), out("answers", health="no-slo")), (), {"answers-1": "workload sev1"}, id="a service whose dependency is down as well is its victim"),
        pytest.param((view("web", "fired", ("answers",)), out("answers", -5, "no-slo")), (), {"answers-1": "workload sev1"}, id="a dependent that breaches confirms an outage of seconds"),
        pytest.param((out("answers", health="fired"),), (), {"answers-1": "workload sev1"}, id="burning and down is one Incident"),
        pytest.param((out("answers", -5, "fired"),), (), {"answers-1": "burn sev1"}, id="its own burn does not wait for the minute"),
        pytest.param((starved("answers"),), (), {"answers-1": "workload sev2"}, id="traffic that is gone while pods are missing"),
        pytest.param((starved("answers", since=-59),), (), {}, id="for a minute"),
        pytest.param((starved("answers", "PodsAvailable", -9000),), (), {}, id="not with all pods there: quiet nights are no outage"),
        pytest.param((silent("answers"),), (), {"answers-1": "telemetry sev3"}, id="a quarter of an hour without a reading"),
        pytest.param((silent("answers", -899),), (), {}, id="not a quarter of an hour yet"),
        pytest.param((silent("answers", reason="NoEvents"),), (), {}, id="a quiet night is no silence"),
        pytest.param((silent("answers"),), (incident("answers-1", "alerts"),), {}, id="an Incident that is open says enough"),
        pytest.param((away("web"), away("answers", -880)), (), {"telemetry-of-the-namespace-1": "telemetry sev3"}, id="Prometheus is away: one Incident for all"),
        pytest.param((away("web"), view("answers")), (), {"web-1": "telemetry sev3"}, id="for one alone it is its own"),
        pytest.param((silent("web"), silent("answers", -880)), (), {"web-1": "telemetry sev3"}, id="an SLI without series is its own as well"),
        pytest.param((away("web"), away("answers"), silent("catalog")), (), {"catalog-1": "telemetry sev3", "telemetry-of-the-namespace-1": "telemetry sev3"}, id="also beside a Prometheus that is away"),
        pytest.param(tuple(silent(f"s{n}", -900 + n) for n in range(6)), (), {"telemetry-of-the-namespace-1": "telemetry sev3"}, id="more than five are told of together, whatever the reason"),
        pytest.param((away("web"), away("answers")), (BLIND,), {}, id="one that is open speaks for all"),
    ],
)  # fmt: skip
def test_measured_harm(releases: tuple[ReleaseView, ...], incidents: tuple[Any, ...], opened: dict[str, str]) -> None:
    result = plan(*releases, incidents=incidents)
    assert {c.name: f"{c.spec.signal.kind} {c.spec.signal.severity}" for c in result.creates} == opened


def test_it_looks_again_when_an_outage_or_a_silence_becomes_an_incident() -> None:
    assert plan(out("answers", -59)).look_again == timedelta(seconds=1)
    assert plan(silent("answers", -890)).look_again == timedelta(seconds=10)
    assert plan(view("answers")).look_again is None


def test_the_one_incident_says_how_many_and_which() -> None:
    (created,) = plan(*(away(f"s{n:02}") for n in range(60))).creates
    assert created.spec.title == "the SLIs of 60 Releases are unknown" and created.spec.release == ""
    assert "s00, s01" in created.spec.signal.message and "and 52 more" in created.spec.signal.message


def test_the_outage_signal_says_since_when_and_how_many() -> None:
    (created,) = plan(out("answers")).creates
    assert "0 of 4, since 08:59:00 UTC" in created.spec.signal.message
