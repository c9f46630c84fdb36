"""Stories of harm without a reading: all pods die, Prometheus is blind or flaps. The SLI is silent exactly then."""

import copy

import pytest

from opsloop.core import conditions
from opsloop.core.reported import Alert
from opsloop.errors import Unavailable
from opsloop.shell.ports import DEPLOYMENTS
from tests.sim.shift import Shift, resolved, seconds, story
from tests.sim.shop import NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def heard(shift: Shift) -> list[str]:
    """What reached the pager, in order: `action reason severity`."""
    return [f"{p['action']} {p['reason']} {p['severity']}" for p in shift.operator.pager.pages]


def incidents(shift: Shift) -> list[str]:
    """Name, kind of the signal and severity of each Incident."""
    found = shift.shop.objects("incidents")
    return [
        f"{i['metadata']['name']} {i['spec']['signal']['kind']} {i.get('status', {}).get('severity')}" for i in found
    ]


def available(shift: Shift) -> tuple[str, str]:
    condition = conditions.get(shift.release().status.conditions, "Available")
    return (condition.status, condition.reason) if condition else ("", "")


def critical(shift: Shift, name: str = "Down") -> None:
    now = shift.shop.clock.now()
    labels = {"alertname": name, "service": "answers", "severity": "critical"}
    shift.shop.report(name.lower(), (Alert(name, "firing", now, labels, {}, now),))


@story
async def test_all_pods_die_for_a_quarter_of_an_hour_which_is_one_page_and_one_end(shift: Shift) -> None:
    shift.shop.down = True
    await shift.until("paged", lambda: bool(heard(shift)), most=66)
    critical(shift)
    await seconds(shift, 900)
    assert heard(shift) == ["trigger Severity sev1"] and incidents(shift) == ["answers-1 workload sev1"]
    assert shift.incident().status.title == "answers: no pod is available"  # type: ignore[union-attr]
    shift.shop.down = False
    now = shift.shop.clock.now()
    await shift.until("mitigated", lambda: shift.incident().status.phase == "Mitigated" or resolved(shift), most=5)  # type: ignore[union-attr]
    ended = Alert(
        "Down", "resolved", now, {"alertname": "Down", "service": "answers", "severity": "critical"}, {}, now, now
    )
    shift.shop.report("end", (ended,))
    await shift.until("resolved", lambda: resolved(shift), most=130)
    await seconds(shift, 30)
    assert heard(shift) == ["trigger Severity sev1", "resolve Resolved sev1"] and len(incidents(shift)) == 1


@story
async def test_a_restart_of_all_pods_at_once_is_no_outage(shift: Shift) -> None:
    shift.shop.down = True
    await seconds(shift, 50)
    shift.shop.down = False
    await seconds(shift, 120)
    assert incidents(shift) == [] and available(shift) == ("True", "PodsAvailable")


@story
async def test_a_crash_loop_is_one_page_until_its_pods_stay(shift: Shift) -> None:
    for _ in range(5):
        shift.shop.down = True
        await seconds(shift, 70)
        shift.shop.down = False
        await seconds(shift, 20)
    assert heard(shift) == ["trigger Severity sev1"]
    await shift.until("resolved", lambda: resolved(shift), most=130)
    await seconds(shift, 2)
    assert heard(shift) == ["trigger Severity sev1", "resolve Resolved sev1"]


@story
async def test_pods_that_die_again_within_the_grace_page_again_in_the_same_thread(shift: Shift) -> None:
    for calls in (1, 2):
        shift.shop.down = True
        await shift.until(f"call {calls}", lambda n=calls: len(heard(shift)) == 2 * n - 1, most=70)  # type: ignore[misc]
        shift.shop.down = False
        await shift.until("resolved", lambda: resolved(shift), most=140)
        await seconds(shift, 2)
    assert heard(shift)[2:] == ["trigger Reopened sev1", "resolve Resolved sev1"]
    assert len({p["dedup_key"] for p in shift.operator.pager.pages}) == 1 and len(incidents(shift)) == 1


@story
async def test_a_breach_that_becomes_an_outage_stays_one_incident_and_one_page(shift: Shift) -> None:
    shift.shop.errors["v1"] = 0.8
    await shift.until("paged", lambda: bool(heard(shift)), most=30)
    shift.shop.down = True
    await seconds(shift, 120)
    assert incidents(shift) == ["answers-1 burn sev1"] and heard(shift) == ["trigger Severity sev1"]
    assert any(e.type == "Outage" for e in shift.incident().status.timeline)  # type: ignore[union-attr]
    shift.shop.down, shift.shop.errors["v1"] = False, 0.0
    await shift.until("resolved", lambda: resolved(shift), most=60)


@story
async def test_an_operator_that_starts_in_mid_outage_pages_too(shift: Shift) -> None:
    await shift.operator.stop()
    shift.shop.down = True
    for _ in range(300):
        shift.shop.tick()
    await shift.until("paged", lambda: heard(shift) == ["trigger Severity sev1"], most=66)


@story
async def test_what_nobody_wants_or_never_served_is_no_outage(shift: Shift) -> None:
    shift.shop.change(replicas=0)
    await seconds(shift, 100)
    assert available(shift) == ("Unknown", "ScaledToZero")
    shift.shop.down = True
    shift.shop.change(replicas=4)
    await seconds(shift, 100)
    assert available(shift) == ("Unknown", "NotAvailableYet") and incidents(shift) == []


@story
async def test_a_deployment_that_was_deleted_is_an_outage(shift: Shift) -> None:
    await shift.shop.cluster.delete(DEPLOYMENTS, NS, "answers")
    await shift.until("paged", lambda: heard(shift) == ["trigger Severity sev1"], most=66)
    assert available(shift) == ("False", "WorkloadGone")


async def test_an_sli_that_nobody_can_read_is_told_and_pages_nobody() -> None:
    shift = Shift()
    await shift.adopt()
    stored = shift.release_object()
    stored["spec"]["slo"]["tellUnknownAfter"] = "5m"
    shift.shop.cluster.seed(stored)
    shift.shop.silent = True
    await seconds(shift, 290)
    assert incidents(shift) == []
    await shift.until("told", lambda: incidents(shift) == ["answers-1 telemetry sev3"], most=30)
    assert ("answers-1", "Opened") in shift.operator.fakes.events.posted
    await seconds(shift, 60)
    shift.shop.silent = False
    await shift.until("it ends by itself", lambda: resolved(shift), most=75)
    assert heard(shift) == [] and incidents(shift) == ["answers-1 telemetry sev3"]
    await shift.operator.stop()


async def test_prometheus_away_is_one_incident_for_a_namespace_of_a_dozen_releases() -> None:
    shift = Shift()
    await shift.adopt()
    stored, workload = shift.release_object(), shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert workload is not None
    stored["spec"]["slo"]["tellUnknownAfter"] = "40s"
    shift.shop.cluster.seed(stored)
    for name in (f"service-{n:02}" for n in range(11)):
        other, its = copy.deepcopy(stored), copy.deepcopy(workload)
        other["metadata"] = {"name": name, "namespace": NS, "labels": {}}
        other["spec"]["workloadRef"]["name"] = name
        its["metadata"] |= {"name": name, "uid": name}
        for one in (its, {key: value for key, value in other.items() if key != "status"}):
            shift.shop.cluster.seed(one)
    await seconds(shift, 10)
    shift.shop.telemetry.failure = Unavailable("connection refused")
    await shift.until("told", lambda: bool(incidents(shift)), most=150)
    await seconds(shift, 60)
    assert incidents(shift) == ["telemetry-of-the-namespace-1 telemetry sev3"]
    assert shift.shop.objects("incidents")[0]["status"]["title"] == "the SLIs of 12 Releases are unknown"
    shift.shop.telemetry.failure = None
    await shift.until(
        "it ends by itself", lambda: shift.shop.objects("incidents")[0]["status"]["phase"] == "Resolved", most=120
    )
    assert heard(shift) == []
    await shift.operator.stop()


@story
async def test_a_critical_alert_pages_while_telemetry_flaps(shift: Shift) -> None:
    """25 seconds silent, 5 seconds known, for ever: no minute of silence is ever whole."""
    critical(shift)
    for _ in range(5):
        shift.shop.silent = True
        await seconds(shift, 25)
        shift.shop.silent = False
        await seconds(shift, 5)
    assert heard(shift) == ["trigger Severity sev2"]


@story
async def test_a_critical_alert_pages_nobody_while_the_sli_is_known(shift: Shift) -> None:
    critical(shift)
    shift.shop.silent = True
    await seconds(shift, 25)
    shift.shop.silent = False
    await seconds(shift, 100)
    assert heard(shift) == [] and incidents(shift) == ["answers-1 alerts sev3"]


@story
async def test_traffic_that_is_gone_is_named_and_pages_only_with_missing_pods(shift: Shift) -> None:
    shift.shop.pass_quietly(3600)
    await seconds(shift, 2)
    shift.shop.rps = 0
    await seconds(shift, 90)
    telemetry = conditions.get(shift.release().status.conditions, "TelemetryKnown")
    assert telemetry is not None and (telemetry.status, telemetry.reason) == ("False", "TrafficGone")
    assert "are expected by the hour before" in telemetry.message
    assert incidents(shift) == [], "a quiet service with all its pods is no outage"
    shift.shop.below_minimum = True
    await shift.until("paged", lambda: heard(shift) == ["trigger Severity sev2"], most=5)
    assert incidents(shift) == ["answers-1 workload sev2"]
    shift.shop.rps = 48
    await shift.until("resolved", lambda: resolved(shift), most=150)
    await seconds(shift, 2)
    assert heard(shift) == ["trigger Severity sev2", "resolve Resolved sev2"]


async def budget(shift: Shift, **spec: object) -> None:
    """A PodDisruptionBudget, seen with the next change of the Deployment."""
    selector = {"matchLabels": {"app": "answers"}}
    meta = {"name": "answers", "namespace": NS}
    shift.shop.cluster.seed({"kind": "PodDisruptionBudget", "metadata": meta, "spec": {"selector": selector, **spec}})
    await seconds(shift, 16)
    shift.shop.change(replicas=4, progressDeadlineSeconds=601)
    await shift.until("it is met", lambda: said(shift, "BudgetMet") == ("True", "WithinBudget"))


@story
async def test_fewer_pods_than_a_budget_wants_is_an_incident_that_pages_nobody_and_ends_by_itself(shift: Shift) -> None:
    await budget(shift, minAvailable="75%")
    shift.shop.sick["v1"] = 2
    await seconds(shift, 50)
    assert incidents(shift) == [] and said(shift, "BudgetMet") == ("False", "BelowBudget")
    await shift.until("told", lambda: bool(incidents(shift)), most=20)
    assert incidents(shift) == ["answers-1 capacity sev3"] and heard(shift) == []
    assert "PodDisruptionBudget answers wants 3" in shift.incident().spec.signal.message  # type: ignore[union-attr]
    shift.shop.sick["v1"] = 0
    await shift.until("resolved", lambda: resolved(shift), most=130)
    assert heard(shift) == [] and len(incidents(shift)) == 1


@story
async def test_a_shortage_that_becomes_an_outage_pages_in_the_same_incident(shift: Shift) -> None:
    await budget(shift, maxUnavailable=1)
    shift.shop.sick["v1"] = 2
    await shift.until("told", lambda: bool(incidents(shift)), most=70)
    shift.shop.down = True
    await shift.until("paged", lambda: heard(shift) == ["trigger Severity sev1"], most=70)
    assert incidents(shift) == ["answers-1 capacity sev1"]
    shift.shop.down = False
    shift.shop.sick["v1"] = 0
    await shift.until("resolved", lambda: resolved(shift), most=200)
    assert heard(shift) == ["trigger Severity sev1", "resolve Resolved sev1"]


def said(shift: Shift, type_: str) -> tuple[str, str]:
    found = conditions.get(shift.release().status.conditions, type_)
    return (found.status, found.reason) if found else ("", "")


@story
async def test_a_rolling_update_within_the_budget_of_its_strategy_is_no_shortage(shift: Shift) -> None:
    await budget(shift, maxUnavailable=0)
    shift.shop.errors["v5"] = 0.0
    shift.shop.set_image("v5")
    await seconds(shift, 100)
    assert incidents(shift) == []


@story
async def test_a_push_of_which_no_pod_is_ever_ready_is_rolled_back_and_has_a_postmortem(shift: Shift) -> None:
    shift.shop.change(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}})
    shift.shop.sick["v2"] = 99
    shift.shop.set_image("v2")
    await shift.until("paged", lambda: bool(heard(shift)), most=90)
    await shift.until("rolled back", lambda: bool(shift.release().status.rollback), most=30)
    await shift.until("resolved", lambda: resolved(shift), most=240)
    found = shift.incident()
    assert found is not None and found.status.cause is not None
    assert (found.status.cause.kind, found.status.cause.version) == ("bad_release", "v2")
    assert found.status.cause.evidence[0].name == "no pod since"
    assert [(p.type, p.state, p.reason) for p in found.status.plays] == [("rollback", "Helped", "PodsBack")]
    assert found.status.postmortem
