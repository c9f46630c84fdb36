"""Situations of an on-call engineer, and the Incident of every alert, burn and ticket in them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from opsloop.api.slo import Tier
from opsloop.core.actions import Action, CreateIncident, DeleteInboxEntries, FileToLedger, NoteLooked, StoreTicketQueue
from opsloop.core.alerts.labels import alert_severity
from opsloop.core.correlation import filing
from opsloop.core.correlation.decide import Correlation, correlate, decide, relevant_incidents
from opsloop.core.correlation.filing import SETTLE
from opsloop.core.correlation.new_incident import slug
from opsloop.core.decision import Decision
from opsloop.core.facts import CorrelationFacts, ReleaseView
from opsloop.core.readings import TierVerdict, Value
from opsloop.core.reported import Alert, InboxEntry, Ledger, QueuedTicket, Ticket
from tests.builders.correlation import FAST, NOW, NS, alert, at, incident, ledger, read_at, shop, ticket, view
from tests.builders.objects import BURN


def facts_of(*alerts: Alert, tickets: tuple[Ticket, ...] = (), **facts: object) -> CorrelationFacts:
    facts.setdefault("releases", shop())
    return CorrelationFacts(NS, inbox=(InboxEntry(alerts, tickets, "inbox", "uid"),), **facts)  # type: ignore[arg-type]


def plan(*alerts: Alert, now: float = 0, **facts: object) -> Correlation:
    """What is concluded at `now`, with readings of then."""
    seen = facts_of(*alerts, **facts)  # type: ignore[arg-type]
    return correlate(replace(seen, releases=read_at(at(now), seen.releases)), at(now))


def held(result: Correlation) -> tuple[Alert, ...]:
    return tuple(f.alert for f in result.filings if f.held)


def where(result: Correlation) -> dict[str, list[str]]:
    return {name: sorted(a.labels["alertname"] for a in alerts) for name, alerts in result.alerts.items()}


WEB, ANSWERS = alert("ServiceErrorRatioHigh", "web"), alert("ServiceWrongAnswers", "answers", severity="critical")
STALE = alert("CatalogIndexStale", "catalog", severity="info")


# the storm


def test_a_storm_is_one_incident_and_a_stray_alert_another() -> None:
    storm = [alert("PodWrongAnswers", s, pod=f"{s}-7d9f8b6c5-x{n:04d}") for s in ("web", "answers") for n in range(20)]
    result = plan(*storm, STALE, releases=shop(web="burning", answers="burning"))
    assert {name: len(found) for name, found in result.alerts.items()} == {"answers-1": 40, "catalog-1": 1}
    opened = {c.name: c.spec for c in result.creates}
    assert opened["answers-1"].signal.severity == "sev3", "the SLO decides on the page"
    assert opened["catalog-1"].signal.severity == "sev4"
    assert opened["answers-1"].release == "answers"
    assert result.look_again is None


@pytest.mark.parametrize(
    ("alerts", "facts", "homes"),
    [
        pytest.param(
            [WEB],
            {"releases": shop(answers="burning")},
            {"answers-1": 1},
            id="a victim's alert goes to the dependency that burns",
        ),
        pytest.param(
            [WEB], {"releases": shop(catalog="fired")}, {"catalog-1": 1}, id="and to the deepest one, over two hops"
        ),
        pytest.param(
            [WEB, ANSWERS],
            {"releases": shop("burning", "burning", "burning")},
            {"catalog-1": 2},
            id="when all burn the deepest is the root",
        ),
        pytest.param(
            [WEB],
            {"incidents": (incident("answers-1", phase="Mitigated", backSince=at(-300)),)},
            {"answers-1": 1},
            id="a late alert after the rollback goes to the incident that burned a moment ago",
        ),
        pytest.param(
            [alert("ServiceErrorRatioHigh", "web", seen=-20)],
            {"incidents": (incident("answers-1", phase="Mitigated", backSince=at(-3600)),)},
            {"web-1": 1},
            id="but not to one that is open and whose service is well for an hour",
        ),
        pytest.param(
            [WEB, ANSWERS],
            {"releases": shop(answers="burning"), "incidents": (incident("catalog-1", "alerts", severity="sev4"),)},
            {"answers-1": 2},
            id="an open incident on a healthy dependency explains nothing",
        ),
        pytest.param(
            [alert("ServiceErrorRatioHigh", "web", start=-3600, seen=-20)],
            {"releases": (view("web", needs=("answers",)), view("answers", "fired", ("catalog",)), view("catalog"))},
            {"web-1": 1},
            id="what fired long before the harm is not explained by it",
        ),
        pytest.param(
            [alert("Errors", destination_service="answers.shop.svc.cluster.local")],
            {"releases": shop(answers="burning")},
            {"answers-1": 1},
            id="a mesh names a service by its host name",
        ),
        pytest.param(
            [alert("KubePodNotReady", "kube-state-metrics", pod="answers-6b7c9d5f4d-x2x4z", job="kube-state-metrics")],
            {"releases": shop(answers="burning")},
            {"answers-1": 1},
            id="the exporter's service label is not the culprit, the pod is",
        ),
        pytest.param(
            [alert("KubePodCrashLooping", pod="answers-canary-6b7c9d5f4d-x2x4z")],
            {"releases": shop(answers="burning")},
            {"answers-1": 1},
            id="a canary's pod is the release's",
        ),
        pytest.param(
            [alert("Errors", "help")],
            {"releases": (view("answers", "burning", workload="help"),)},
            {"answers-1": 1},
            id="an alert may name the workload instead of the release",
        ),
        pytest.param(
            [alert("Errors", "ask-svc")],
            {"releases": shop(answers="burning"), "owners": {"ask-svc": "answers"}},
            {"answers-1": 1},
            id="or a Service that leads to it",
        ),
        pytest.param(
            [alert("Errors", "answers", namespace="staging", seen=-20)],
            {"releases": shop(answers="burning")},
            {"staging-answers-1": 1},
            id="a service of the same name in another namespace is another one",
        ),
        pytest.param(
            [alert("KubeCPUOvercommit")],
            {},
            {"kubecpuovercommit-1": 1},
            id="an alert that names no service is an incident of its own",
        ),
        pytest.param(
            [alert("High5xx", "a", seen=-20), alert("High5xx", "b", seen=-20)],
            {"releases": (view("a", "burning"), view("b", "burning"))},
            {"a-1": 1, "b-1": 1},
            id="two storms at once with different roots are two",
        ),
        pytest.param(
            [alert("HighErrors", "front", seen=-20), alert("PoolFailing", "db", severity="critical")],
            {"releases": (view("front", "no-slo", ("db",)),)},
            {"db-1": 2},
            id="a dependency without an SLI is the root when failure alerts fire on it",
        ),
        pytest.param(
            [alert("HighErrors", "front", seen=-20)],
            {
                "releases": (view("front", "no-slo", ("db",)),),
                "incidents": (incident("db-1", "alerts", ledger(alert("PoolFailing", "db", start=-7200))),),
            },
            {"front-1": 1},
            id="nor one of hours ago whose end nobody has sent",
        ),
        pytest.param(
            [alert("HighErrors", "front", seen=-20), alert("CertificateExpiry", "db")],
            {"releases": (view("front", "no-slo", ("db",)),)},
            {"certificateexpiry-1": 1, "front-1": 1},
            id="but an alert on its certificate does not make it one",
        ),
        pytest.param(
            [alert("NoRequestsReceived", "db", severity="critical", seen=-20), alert("HighErrors", "front", seen=-20)],
            {"releases": (view("front", "no-slo", ("db",)), view("db", "no-slo"))},
            {"front-1": 2},
            id="that nobody calls a service is its caller's harm, not the service's",
        ),
        pytest.param(
            [
                alert("NoMessagesConsumed", "billing", severity="critical", seen=-20),
                alert("HighErrors", "front", seen=-20),
            ],
            {
                "releases": (
                    view("site", "no-slo", ("front",)),
                    view("front", "no-slo", ("queue",)),
                    view("billing", "no-slo", ("queue",)),
                )
            },
            {"front-1": 2},
            id="also where the caller hands over by a queue",
        ),
        pytest.param(
            [alert("NoRequestsReceived", "db", severity="critical", seen=-20)],
            {"releases": (view("front", "healthy", ("db",)), view("db", "no-slo"))},
            {"db-1": 1},
            id="with healthy callers it is an incident of its own",
        ),
        pytest.param(
            [alert("HighErrors", "a", seen=-20)],
            {"releases": (view("a", "burning", ("b",)), view("b", "healthy", ("a",)))},
            {"a-1": 1},
            id="a circle in dependsOn ends",
        ),
    ],
)
def test_an_alert_lands_on_the_root_that_explains_it(
    alerts: list[Alert], facts: dict[str, object], homes: dict[str, int]
) -> None:
    result = plan(*alerts, **facts)  # type: ignore[arg-type]
    assert {name: len(found) for name, found in result.alerts.items()} == homes


# waiting for the dependencies


def test_an_alert_waits_for_its_dependency_and_then_goes_there() -> None:
    first = plan(WEB)
    assert held(first) == (WEB,) and not first.creates
    assert [f.reason for f in first.filings] == [filing.DEPENDENCY_UNCLEAR]
    assert first.look_again == SETTLE
    second = plan(WEB, now=4, releases=shop(answers="burning"))
    assert where(second) == {"answers-1": ["ServiceErrorRatioHigh"]}


def test_an_alert_waits_no_longer_than_the_settling_time() -> None:
    assert held(plan(WEB, now=9.9)) and plan(WEB, now=9.9).look_again == timedelta(seconds=0.1)
    assert where(plan(WEB, now=10)) == {"web-1": ["ServiceErrorRatioHigh"]}


def test_a_process_that_just_started_settles_from_its_own_first_look() -> None:
    late = plan(WEB, now=20, since=at(15), releases=shop("unread", "unread", "unread"))
    assert held(late) == (WEB,), "readings are not there yet, though the alert is old"


def test_an_alert_on_a_service_without_dependencies_does_not_wait() -> None:
    assert not held(plan(STALE))


def test_an_alert_waits_while_a_deeper_dependency_is_unknown() -> None:
    assert held(plan(ANSWERS, releases=shop(answers="burning", catalog="unknown"))) == (ANSWERS,)
    assert not held(
        plan(ANSWERS, releases=shop(answers="burning", catalog="unknown"), incidents=(incident("answers-1"),))
    )


# sticking


OPEN = incident("web-1", "alerts", ledger(WEB))


@pytest.mark.parametrize(
    ("item", "incidents", "reason", "home"),
    [
        pytest.param(WEB, (OPEN,), filing.SAME_EPISODE, "web-1", id="the same notification again goes where it is"),
        pytest.param(
            alert("ServiceErrorRatioHigh", "web", start=60),
            (OPEN,),
            filing.SAME_FINGERPRINT,
            "web-1",
            id="a further episode as well",
        ),
        pytest.param(
            alert("ServiceErrorRatioHigh", "web", "resolved"),
            (incident("web-1", "alerts", ledger(WEB), phase="Resolved", resolvedAt=at(-7200)),),
            filing.SAME_EPISODE,
            "web-1",
            id="its end goes to the incident that holds its beginning, though that is closed",
        ),
        pytest.param(
            alert("ServiceErrorRatioHigh", "web", "resolved", start=-6),
            (incident("web-1", "alerts", ledger(WEB), phase="Resolved", resolvedAt=at(-7200)),),
            filing.SAME_FINGERPRINT,
            "web-1",
            id="also when Alertmanager moved its start",
        ),
        pytest.param(
            alert("ServiceErrorRatioHigh", "web", start=60),
            (incident("web-1", "burn", ledger(WEB), phase="Resolved", resolvedAt=at(-60)),),
            filing.AFTERMATH,
            "web-1",
            id="within the grace time it fires again into the resolved incident that a breach would reopen",
        ),
        pytest.param(
            alert("ServiceErrorRatioHigh", "web", start=60),
            (incident("web-1", "alerts", ledger(WEB), phase="Resolved", resolvedAt=at(-60)),),
            filing.AT_ROOT,
            "web-2",
            id="but not into one that nothing reopens: there nobody would see it",
        ),
        pytest.param(
            alert("ServiceErrorRatioHigh", "web", start=60),
            (incident("web-1", "alerts", ledger(WEB), phase="Resolved", resolvedAt=at(-7200)),),
            filing.AT_ROOT,
            "web-2",
            id="long after it is a new incident",
        ),
        pytest.param(
            WEB,
            (incident("web-1", "alerts", ledger(WEB), phase="Resolved", mergedInto="answers-1"), incident("answers-1")),
            filing.SAME_EPISODE,
            "answers-1",
            id="a merged incident's alerts go to the one that took it over",
        ),
        pytest.param(
            alert("Slow", "web", start=20),
            (incident("answers-1", onsetAt=at(-300), phase="Resolved", resolvedAt=at(-30)),),
            filing.AFTERMATH,
            "answers-1",
            id="a straggler after the resolution belongs to the storm that was",
        ),
        pytest.param(
            alert("Slow", "web", start=700),
            (incident("answers-1", onsetAt=at(-300), phase="Resolved", resolvedAt=at(-30)),),
            filing.OWN,
            "web-1",
            id="but not ten minutes later",
        ),
    ],
)
def test_an_alert_stays_where_it_was_filed(item: Alert, incidents: tuple[object, ...], reason: str, home: str) -> None:
    result = plan(item, now=60, incidents=incidents, ledgers={"web-1": ledger(WEB)})
    assert [(f.reason, f.incident) for f in result.filings] == [(reason, home)]


def test_the_end_of_an_alert_that_nobody_reported_opens_nothing() -> None:
    result = plan(alert("ServiceErrorRatioHigh", "web", "resolved"), now=60)
    assert [f.reason for f in result.filings] == [filing.RESOLVED_UNHEARD] and not result.creates and not held(result)


def test_an_alert_that_ended_between_two_looks_still_opens_an_incident() -> None:
    result = plan(WEB, alert("ServiceErrorRatioHigh", "web", "resolved"), now=60)
    assert {name: len(found) for name, found in result.alerts.items()} == {"web-1": 2}


# burns

UNKNOWN = {"type": "Mitigated", "status": "Unknown", "reason": "TelemetryUnknown", "message": ""}


@pytest.mark.parametrize(
    ("releases", "incidents", "opened"),
    [
        pytest.param(shop(answers="fired"), (), {"answers-1": "sev1"}, id="a fast burn opens a sev1"),
        pytest.param(shop(answers="fired-slow"), (), {"answers-1": "sev2"}, id="a slow one the severity of its tier"),
        pytest.param(shop("fired", "fired"), (), {"answers-1": "sev1"}, id="a victim's burn opens none of its own"),
        pytest.param(
            shop("fired", "burning"), (), {"answers-1": "sev1"}, id="also when the root's own tier has not fired yet"
        ),
        pytest.param(
            shop("fired", "unknown", "burning"), (), {"catalog-1": "sev1"}, id="the deepest that burns is the root"
        ),
        pytest.param(shop(answers="burning"), (), {}, id="burning without a fired tier opens nothing"),
        pytest.param(shop("unknown", "unknown", "unknown"), (), {}, id="unknown opens nothing"),
        pytest.param(shop(answers="fired"), (incident("answers-1"),), {}, id="one that is open is enough"),
        pytest.param(
            shop("fired", "healthy"),
            (incident("answers-1", phase="Mitigated", backSince=at(-4)),),
            {},
            id="nor for a victim whose window of 5 s still holds the harm",
        ),
        pytest.param(
            shop("fired", "healthy"),
            (incident("answers-1", phase="Mitigated", backSince=at(-6)),),
            {"web-1": "sev1"},
            id="a window after the dependency's recovery the breach is its own, though that Incident is open",
        ),
        pytest.param(
            shop("fired", "unknown"),
            (incident("answers-1", conditions=[{**UNKNOWN, "lastTransitionTime": at(-7200)}]),),
            {"web-1": "sev1"},
            id="an Incident on a dependency of which nobody knows for hours hides nothing",
        ),
        pytest.param(
            shop("fired", "unknown"),
            (),
            {"web-1": "sev1"},
            id="nor does one of which nobody knows and which has no Incident",
        ),
        pytest.param(
            shop("fired", "unknown"),
            (incident("answers-1", "telemetry", severity="sev3"),),
            {"web-1": "sev1"},
            id="nor the Incident that says that nobody knows of it",
        ),
        pytest.param(
            shop("fired", "burning"),
            (incident("answers-1", phase="Resolved", backSince=at(-600), resolvedAt=at(-590)),),
            {"answers-2": "sev1"},
            id="a dependency that burns anew below its own tiers is not reopened: its dependent's breach opens one",
        ),
        pytest.param(
            shop("fired", "healthy"),
            (incident("answers-1", phase="Resolved", backSince=at(-4), resolvedAt=at(-1)),),
            {},
            id="a dependency that has just ended opens nothing once more",
        ),
        pytest.param(
            shop(answers="fired"),
            (incident("catalog-1", "alerts", severity="sev4"),),
            {"answers-1": "sev1"},
            id="an alert on healthy catalog does not stand in the way of the page",
        ),
        pytest.param(
            shop(answers="fired", catalog="unknown"),
            (incident("catalog-1", "alerts", severity="sev3"),),
            {"answers-1": "sev1"},
            id="nor does one that has not paged",
        ),
        pytest.param(
            shop(answers="fired"),
            (incident("answers-1", phase="Resolved", resolvedAt=at(-600)),),
            {},
            id="within the grace time the resolved one is reopened, not doubled",
        ),
        pytest.param(
            shop(answers="fired"),
            (incident("answers-1", "alerts", phase="Resolved", resolvedAt=at(-600)),),
            {"answers-2": "sev1"},
            id="a resolved one that had only alerts is not reopened, so the burn opens its own",
        ),
        pytest.param(
            shop(answers="fired"),
            (incident("answers-1", phase="Resolved", resolvedAt=at(-1801)),),
            {"answers-2": "sev1"},
            id="after it there is a new one",
        ),
        pytest.param(
            (view("a", "fired", lastEpisode=7),), (), {"a-8": "sev1"}, id="numbers go on where deleted incidents ended"
        ),
        pytest.param(
            (view("a", "fired"), view("b", "fired")),
            (),
            {"a-1": "sev1", "b-1": "sev1"},
            id="two that do not depend on each other are two",
        ),
    ],
)
def test_a_burn_opens_one_incident_at_its_root(
    releases: tuple[ReleaseView, ...], incidents: tuple[object, ...], opened: dict[str, str]
) -> None:
    result = plan(releases=releases, incidents=incidents)
    assert {c.name: c.spec.signal.severity for c in result.creates} == opened
    assert all(c.spec.signal.kind == "burn" for c in result.creates)


TICKET = Tier.model_validate({"long": "72h", "short": "6h", "factor": 1, "severity": "sev3"})


def holding(name: str, last_hours: float, needs: tuple[str, ...] = ()) -> ReleaseView:
    """A ticket tier's windows are full of a harm; the tier of an hour saw this error ratio since."""
    held, hour = (
        view(name, "healthy", needs),
        Tier.model_validate({"long": "2h", "short": "1h", "factor": 14.4, "severity": "sev1"}),
    )
    full, now = Value(30_000, 1_000_000), Value(last_hours * 100_000, 100_000)
    firing = TierVerdict(TICKET, True, full, full, 3.0, 3.0)
    quiet = TierVerdict(hour, False, now, now, last_hours * 100, last_hours * 100)
    assert held.readings.verdict is not None
    seen = replace(held.readings.verdict, tiers=(quiet, firing), firing=firing, band="slow", back=False)
    return replace(held, readings=replace(held.readings, verdict=seen))


@pytest.mark.parametrize(
    ("releases", "ended", "opened"),
    [
        pytest.param((holding("answers", 0.0075),), -7200, {}, id="long after the grace its windows still hold the harm of before"),
        pytest.param((holding("answers", 0.03),), -7200, {"answers-2": "sev3"}, id="what burns since opens one"),
        pytest.param((holding("answers", 0.0075),), -22_000, {"answers-2": "sev3"}, id="so do windows that lie behind its end"),
        pytest.param((view("answers"), holding("web", 0.0075, ("answers",))), -7200, {}, id="a victim's windows hold it too"),
        pytest.param((view("answers"), holding("web", 0.0075, ("answers",))), -22_000, {"web-1": "sev3"}, id="but not behind its end"),
    ],
)  # fmt: skip
def test_a_harm_that_was_told_of_opens_no_second_incident(
    releases: tuple[ReleaseView, ...], ended: float, opened: dict[str, str]
) -> None:
    burn = BURN.dump()
    earlier = incident("answers-1", phase="Resolved", burn=burn, backSince=at(ended), resolvedAt=at(ended + 300))
    result = plan(releases=releases, incidents=(earlier,))
    assert {c.name: c.spec.signal.severity for c in result.creates} == opened


def test_the_burn_signal_carries_the_numbers_it_fired_on() -> None:
    (created,) = plan(releases=shop(answers="fired")).creates
    burn = created.spec.signal.burn
    assert burn is not None and (burn.long, burn.short, burn.factor) == ("1m", "5s", FAST.factor)
    assert (burn.burn_long, burn.error_ratio, burn.bad, burn.total, burn.objective) == (20.0, 0.2, 20, 100, 0.99)


def test_a_signal_from_a_dependents_tier_says_so() -> None:
    (created,) = plan(releases=shop("fired", "burning")).creates
    assert "web burns" in created.spec.signal.message and "own tier has not fired" in created.spec.signal.message


def test_alerts_of_the_same_pass_join_the_incident_that_the_burn_opens() -> None:
    result = plan(WEB, ANSWERS, releases=shop("fired", "fired"))
    assert [c.name for c in result.creates] == ["answers-1"] and len(result.alerts["answers-1"]) == 2


def test_a_new_incident_names_the_earlier_one_and_the_owning_team() -> None:
    old = incident("answers-3", phase="Resolved", resolvedAt=at(-9000))
    (created,) = plan(releases=(view("answers", "fired", labels={"team": "helpdesk"}),), incidents=(old,)).creates
    assert (created.name, created.spec.previous, created.spec.owner) == ("answers-4", "answers-3", "helpdesk")


@pytest.mark.parametrize(
    ("severity", "has_slo", "expected"),
    [
        pytest.param("critical", True, "sev3", id="where an SLO decides a critical alert does not page"),
        pytest.param("critical", False, "sev2", id="without an SLO it does"),
        pytest.param("warning", False, "sev3", id="a warning does not"),
        pytest.param("info", False, "sev4", id="anything else is only visible"),
    ],
)
def test_severity_of_alerts(severity: str, has_slo: bool, expected: str) -> None:
    assert alert_severity([alert("A", "b", severity=severity)], has_slo) == expected


# tickets


def test_a_ticket_before_the_incident_waits_and_is_linked_when_it_opens() -> None:
    complaint = ticket("Wrong answers since this morning", "Your help answers are wrong today.", created=-120)
    first = plan(tickets=(complaint,))
    assert [q.ticket.id for q in first.queue] == ["T-1"] and not first.links
    second = plan(queue=first.queue, releases=shop(answers="fired"))
    (found,) = second.links["answers-1"]
    assert found.id == "T-1" and found.score >= 0.6 and {e.name for e in found.evidence} >= {"Time", "Service"}
    assert second.queue == ()


def test_a_ticket_that_came_too_early_stays_in_the_queue() -> None:
    complaint = ticket("Wrong answers since this morning", "Your help answers are wrong.", created=-3600)
    assert not plan(tickets=(complaint,), releases=shop(answers="fired")).links


@pytest.mark.parametrize(
    "began", [pytest.param(-3 * 86_400, id="for three days"), pytest.param(-56 * 365 * 86_400, id="since 1970")]
)
def test_an_alert_that_has_fired_for_long_does_not_date_an_incident_away_from_its_tickets(began: float) -> None:
    complaint = ticket("Wrong answers since this morning", "Your help answers are wrong today.")
    stuck = replace(alert("AnswersErrors", "answers"), starts_at=at(began))
    found = correlate(facts_of(stuck, tickets=(complaint,), releases=shop(answers="fired")), at(10))
    assert [t.id for t in found.links["answers-1"]] == ["T-1"]


def test_a_linked_ticket_sent_again_changes_nothing() -> None:
    complaint = ticket("Wrong answers since this morning", "Your help answers are wrong.")
    held = plan(tickets=(complaint,), releases=shop(answers="fired")).links["answers-1"]
    again = plan(
        tickets=(complaint,),
        incidents=(incident("answers-1"),),
        ledgers={"answers-1": Ledger(tickets=tuple(t.dump() for t in held))},
    )
    assert not again.links and not again.queue


def test_relevant_incidents_are_open_lately_resolved_or_still_firing() -> None:
    closed = incident("b-1", phase="Resolved", resolvedAt=at(-7200))
    firing = incident("c-1", "alerts", ledger(WEB), phase="Resolved", resolvedAt=at(-7200))
    recent = incident("d-1", phase="Resolved", resolvedAt=at(-60))
    assert [i.metadata.name for i in relevant_incidents([incident("a-1"), closed, firing, recent], NOW)] == [
        "a-1",
        "c-1",
        "d-1",
    ]


@pytest.mark.parametrize("text", ["Node CPU 90%", "x" * 300, "", "Ünïcode/..//", "a.b.c"])
def test_a_slug_is_always_a_dns_label_of_at_most_40_characters(text: str) -> None:
    assert 0 < len(slug(text)) <= 40 and slug(text).strip("-") == slug(text) and slug(text).replace("-", "").isalnum()


# the Decision


def kinds(actions: tuple[Action, ...]) -> list[type[Action]]:
    return [type(action) for action in actions]


def test_inbox_entries_are_deleted_after_everything_else() -> None:
    decision = decide(facts_of(STALE, WEB, tickets=(ticket("Dark mode"),)), at(10))
    assert kinds(decision.actions) == [
        *(CreateIncident, CreateIncident, FileToLedger, FileToLedger),
        *(StoreTicketQueue, NoteLooked, DeleteInboxEntries),
    ]
    assert decision.actions[-1] == DeleteInboxEntries({"inbox": "uid"}) and decision.look_again is None


def test_an_entry_with_a_held_alert_stays() -> None:
    decision = decide(facts_of(STALE, WEB), at(0))
    assert kinds(decision.actions) == [CreateIncident, FileToLedger] and decision.look_again == SETTLE


def test_a_ledger_action_counts_the_reasons_of_its_filings() -> None:
    filed = decide(facts_of(WEB, ANSWERS, releases=shop(answers="burning")), at(0)).actions[1]
    assert isinstance(filed, FileToLedger) and filed.reasons == {filing.EXPLAINED: 1, filing.AT_ROOT: 1}


def test_an_unchanged_queue_is_not_stored() -> None:
    queue = correlate(facts_of(tickets=(ticket("Dark mode"),)), NOW).queue
    assert len(queue) == 1 and isinstance(queue[0], QueuedTicket)
    assert StoreTicketQueue not in kinds(decide(CorrelationFacts(NS, queue=queue), NOW).actions)


# many Incidents at once


def stormy(*fresh: Alert, since: float = 1, crowded: bool = False) -> Decision:
    """A look at these alerts, while fifty Incidents get some; the ledger of answers-1 was written so long ago."""
    storm = [alert("PodWrongAnswers", "answers", pod=f"answers-{n}") for n in range(20)]
    known = incident("answers-1", "alerts", ledger(*storm))
    seen = facts_of(
        *fresh,
        incidents=(known,),
        releases=shop(answers="no-slo"),
        ledgers={"answers-1": ledger(*storm)},
        written={"answers-1": at(-since)},
        busy=50,
        crowded=crowded,
    )
    return decide(seen, NOW)


FURTHER = alert("PodWrongAnswers", "answers", pod="answers-20")


def test_in_a_storm_further_alerts_wait_in_the_inbox_until_their_ledger_is_due() -> None:
    decision = stormy(FURTHER)
    assert not [a for a in decision.actions if isinstance(a, FileToLedger | DeleteInboxEntries)]
    assert decision.look_again == timedelta(seconds=4)
    due = stormy(FURTHER, since=5)
    assert [type(a) for a in due.actions if isinstance(a, FileToLedger | DeleteInboxEntries)] == [
        FileToLedger,
        DeleteInboxEntries,
    ]


def test_an_alert_on_another_service_is_filed_at_once_and_their_common_entry_stays() -> None:
    decision = stormy(FURTHER, STALE)
    assert [a.incident for a in decision.actions if isinstance(a, FileToLedger)] == ["catalog-1"]
    assert not [a for a in decision.actions if isinstance(a, DeleteInboxEntries)]


def test_what_is_in_its_ledger_already_keeps_no_entry() -> None:
    decision = stormy(alert("PodWrongAnswers", "answers", pod="answers-3"))
    assert not [a for a in decision.actions if isinstance(a, FileToLedger)]
    assert [a for a in decision.actions if isinstance(a, DeleteInboxEntries)]


def test_one_that_somebody_speaks_of_again_after_a_while_is_filed_again() -> None:
    again = alert("PodWrongAnswers", "answers", pod="answers-3", seen=3600)
    assert not [a for a in stormy(again).actions if isinstance(a, DeleteInboxEntries)], "it waits as one that is new"
    assert [a for a in stormy(again, since=5).actions if isinstance(a, FileToLedger)]


def test_a_crowded_inbox_lets_nothing_wait() -> None:
    assert [a for a in stormy(FURTHER, crowded=True).actions if isinstance(a, DeleteInboxEntries)]


def test_the_shortest_filing_comes_first() -> None:
    decision = stormy(*(replace(FURTHER, fingerprint=f"f{n}") for n in range(5)), STALE, since=5)
    assert [a.incident for a in decision.actions if isinstance(a, FileToLedger)] == ["catalog-1", "answers-1"]
