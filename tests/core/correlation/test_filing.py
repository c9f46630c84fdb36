"""What the operator adds to the groups: housekeeping, what waits, what joins, what may move, and what nothing is filed in."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.incident import Incident
from opsloop.core.actions import MoveAlerts
from opsloop.core.alerts.ledger import merge
from opsloop.core.correlation import filing
from opsloop.core.correlation.decide import Correlation, correlate
from opsloop.core.facts import CorrelationFacts, ReleaseView
from opsloop.core.reported import Alert, InboxEntry, Ledger
from tests.builders.correlation import NS, alert, at, incident, ledger, read_at, shop, view

PAGE = {"state": "Sent", "severity": "sev2", "dedupKey": "k", "decidedAt": at(-200)}


def plan(*alerts: Alert, now: float = 60, releases: tuple[ReleaseView, ...] = (), **facts: Any) -> Correlation:
    seen = CorrelationFacts(NS, read_at(at(now), releases), inbox=(InboxEntry(alerts, (), "inbox", "uid"),), **facts)
    return correlate(seen, at(now))


def opened(result: Correlation) -> dict[str, tuple[str, str, int]]:
    filed = result.alerts
    return {c.name: (c.spec.signal.kind, c.spec.signal.severity, len(filed.get(c.name, ()))) for c in result.creates}


def critical(name: str, service: str = "", **more: Any) -> Alert:
    return alert(name, service, severity="critical", **more)


# what opens nothing that pages


@pytest.mark.parametrize("name", ["Watchdog", "InfoInhibitor", "DeadMansSwitch"])
def test_what_fires_while_all_is_well_is_filed_nowhere(name: str) -> None:
    result = plan(critical(name))
    assert not result.creates and [(f.incident, f.reason) for f in result.filings] == [("", filing.ALWAYS_FIRES)]


def test_sixty_certificates_are_one_incident_that_pages_nobody_however_loud_they_are() -> None:
    result = plan(*(critical("CertificateExpiresSoon", f"site-{n}") for n in range(60)))
    assert opened(result) == {"certificateexpiressoon-1": ("housekeeping", "sev3", 60)}


def test_housekeeping_is_no_part_of_a_storm_on_the_same_service() -> None:
    result = plan(critical("Errors", "web"), alert("BackupTooOld", "web"))
    assert opened(result) == {"web-1": ("alerts", "sev2", 1), "backuptooold-1": ("housekeeping", "sev3", 1)}


def test_a_further_one_joins_the_open_housekeeping() -> None:
    there = incident("certificateexpiressoon-1", "alerts", release="", spec_kind="housekeeping")
    there = there.model_copy(update={"spec": there.spec.model_copy(update={"service": "CertificateExpiresSoon"})})
    held = ledger(alert("CertificateExpiresSoon", "a"))
    result = plan(alert("CertificateExpiresSoon", "b"), incidents=(there,), ledgers={"certificateexpiressoon-1": held})
    assert not result.creates and list(result.alerts) == ["certificateexpiressoon-1"]


# alerts without a Release


def test_sixty_deployments_that_fail_at_once_are_one_incident_of_their_namespace() -> None:
    result = plan(*(critical("DeploymentDown", f"team-{n}") for n in range(60)))
    assert opened(result) == {"namespace-shop-1": ("alerts", "sev2", 60)}


def test_ten_minutes_apart_with_another_name_they_are_others() -> None:
    early = [critical("DeploymentDown", f"a-{n}", start=-4000, seen=0) for n in range(4)]
    late = [critical("HighErrorRate", f"b-{n}") for n in range(4)]
    assert sorted(n for _, _, n in opened(plan(*early, *late)).values()) == [4, 4]


def test_the_first_of_many_wait_for_the_others_so_that_they_are_one_page() -> None:
    first = plan(critical("DeploymentDown", "team-1", seen=58))
    assert not first.creates and first.look_again is not None
    assert [f.reason for f in first.filings] == [filing.DEPENDENCY_UNCLEAR]
    assert opened(plan(critical("DeploymentDown", "team-1", seen=50))) == {"team-1-1": ("alerts", "sev2", 1)}


# what belongs to nothing


def test_a_lone_symptom_that_no_root_explains_is_seen_and_joined_by_the_next_of_its_kind() -> None:
    lone = alert("CPUThrottled", "web")
    first = plan(lone, releases=shop("no-slo", "no-slo", "no-slo"))
    assert opened(first) == {"web-1": ("alerts", "sev3", 1)} and [f.reason for f in first.filings] == [filing.OWN]
    there = incident("web-1", "alerts", ledger(lone))
    again = alert("CPUThrottled", "web", start=3000, seen=3000, pod="web-2")
    second = plan(again, now=3060, incidents=(there,), ledgers={"web-1": ledger(lone)}, releases=shop("no-slo"))
    assert list(second.alerts) == ["web-1"]


def test_a_critical_alert_does_not_disappear_in_an_old_one() -> None:
    old = alert("CPUThrottled", "web", start=-90_000)
    there = incident("web-1", "alerts", ledger(old))
    result = plan(
        critical("Errors", "web"), incidents=(there,), ledgers={"web-1": ledger(old)}, releases=(view("web", "no-slo"),)
    )
    assert opened(result) == {"web-2": ("alerts", "sev2", 1)}


def test_nor_in_one_that_is_over() -> None:
    over = incident("web-1", "burn", phase="Resolved", resolvedAt=at(-700))
    result = plan(critical("Errors", "web"), incidents=(over,), releases=(view("web"),))
    assert list(result.alerts) == ["web-2"]


def test_an_alert_that_speaks_again_after_its_incident_went_stale_is_a_new_one() -> None:
    forgotten = critical("Errors", "web")
    stale = {
        "type": "Mitigated",
        "status": "Unknown",
        "reason": "WentStale",
        "message": "",
        "lastTransitionTime": at(-9000),
    }
    over = incident("web-1", "alerts", ledger(forgotten), phase="Resolved", resolvedAt=at(-9000), conditions=[stale])
    result = plan(forgotten, incidents=(over,), ledgers={"web-1": ledger(forgotten)}, releases=(view("web", "no-slo"),))
    assert opened(result) == {"web-2": ("alerts", "sev2", 1)}


# what is measured


def test_harm_that_is_measured_takes_in_what_its_root_and_its_callers_say_as_long_as_it_lasts() -> None:
    burning = incident("answers-1", phase="Mitigating", onsetAt=at(-20_000))
    releases = (view("web", needs=("answers",)), view("answers", "fired"))
    result = plan(
        critical("PodNotReady", "answers"), critical("Errors", "web"), incidents=(burning,), releases=releases
    )
    assert not result.creates and {n: len(a) for n, a in result.alerts.items()} == {"answers-1": 2}


def test_a_service_that_is_well_by_its_own_sli_explains_nothing_on_others() -> None:
    alerts = (critical("PodNotReady", "answers"), critical("Errors", "web"))
    well = (view("web", "no-slo", ("answers",)), view("answers"))
    assert set(plan(*alerts, releases=well).alerts) == {"answers-1", "web-1"}
    unknown = (view("web", "no-slo", ("answers",)), view("answers", "no-slo"))
    assert set(plan(*alerts, releases=unknown).alerts) == {"answers-1"}


def test_alerts_join_the_incident_that_says_that_nobody_can_measure() -> None:
    silent = incident("answers-1", "alerts", spec_kind="telemetry")
    result = plan(critical("Down", "answers"), incidents=(silent,), releases=(view("answers", "unknown"),))
    assert not result.creates and list(result.alerts) == ["answers-1"]


# moves

PAIR = (view("web", "no-slo", ("db",)), view("search", "no-slo", ("db",)), view("db", "no-slo"))
WEB, SEARCH = alert("Errors", "web"), alert("Errors", "search", start=-900)
DB = critical("Errors", "db", start=-450)


def two(**status: object) -> dict[str, Any]:
    incidents = (incident("web-1", "alerts", ledger(WEB), **status), incident("search-1", "alerts", ledger(SEARCH)))
    return {"incidents": incidents, "ledgers": {"web-1": ledger(WEB), "search-1": ledger(SEARCH)}, "releases": PAIR}


def moves_of(result: Correlation) -> list[tuple[str, list[str]]]:
    return [(move.target, sorted(move.left)) for move in result.moves]


def test_two_incidents_are_one_once_an_alert_says_what_both_depend_on() -> None:
    result = plan(DB, **two())
    assert not result.creates
    (move,) = result.moves
    assert isinstance(move, MoveAlerts) and [a.fingerprint for a in move.alerts] in (
        [WEB.fingerprint],
        [SEARCH.fingerprint],
    )
    assert "db explains that" in move.came[0].why and move.came[0].turn == 1 and not move.came[0].out
    assert all(record.out and record.other == move.target for records in move.left.values() for record in records)


def test_what_people_were_paged_for_keeps_its_name_and_is_not_moved_to_where_nobody_would_be_paged() -> None:
    result = plan(DB, **two(page=PAGE, severity="sev2"))
    assert not any("web-1" in move.left for move in result.moves)
    assert not any(c.name == "web-1" for c in result.creates)


@pytest.mark.parametrize("phase", ["Mitigated"])
def test_once_mitigated_nothing_moves_any_more(phase: str) -> None:
    incidents = (
        incident("web-1", "alerts", ledger(WEB), phase=phase),
        incident("search-1", "alerts", ledger(SEARCH), phase=phase),
    )
    result = plan(DB, incidents=incidents, ledgers={"web-1": ledger(WEB), "search-1": ledger(SEARCH)}, releases=PAIR)
    assert result.moves == ()


def test_without_a_new_alert_nothing_is_grouped_anew() -> None:
    result = plan(WEB, replace(SEARCH, status="resolved", ends_at=at(50)), **two())
    assert result.moves == () and {f.reason for f in result.filings} == {filing.SAME_EPISODE}


def test_a_burn_that_opens_takes_over_what_its_callers_said() -> None:
    releases = (view("web", "no-slo", ("answers",)), view("answers", "fired"))
    there = incident("web-1", "alerts", ledger(WEB))
    result = plan(incidents=(there,), ledgers={"web-1": ledger(WEB)}, releases=releases, now=0)
    assert [c.name for c in result.creates] == ["answers-1"] and moves_of(result) == [("answers-1", ["web-1"])]


def test_the_end_of_an_alert_that_moved_follows_it() -> None:
    before = plan(DB, **two())
    (move,) = before.moves
    ((source, records),) = move.left.items()
    incidents: tuple[Incident, ...] = two()["incidents"]
    ledgers: dict[str, Ledger] = dict(two()["ledgers"])
    ledgers[move.target] = merge(ledgers[move.target], [*move.alerts, DB], moves=move.came)
    ledgers[source] = merge(ledgers[source], moves=records)
    end = replace(move.alerts[0], status="resolved", ends_at=at(70))
    after = plan(end, incidents=incidents, ledgers=ledgers, releases=PAIR, now=80)
    assert [(f.incident, f.reason) for f in after.filings] == [(move.target, filing.SAME_EPISODE)]
