"""The gate: every row passes on a good shift, is able to fail, and is able to be inconclusive."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.gate import ROWS, SHORT, judge
from opsloop.core.gate.evidence import (
    CaseRun,
    FiredAlert,
    LiveAnswer,
    Missing,
    Options,
    OtherObjective,
    Replay,
    SentTicket,
    Served,
    ShiftEvidence,
    SliPoint,
)
from opsloop.core.gate.report import GateReport, Row
from opsloop.core.gate.scope import dependents, explained_services
from opsloop.core.gate.storm import fingerprint
from opsloop.core.reported import Correction
from tests.builders.gate_shift import (
    BAD_RUN,
    CATALOG,
    DETECTED,
    GOOD_RUN,
    HARM,
    INCIDENT,
    MITIGATED,
    NOW,
    NS,
    OURS,
    RELEASES,
    V1,
    V2,
    V4,
    answers,
    at,
    burns,
    case,
    filings,
    incident,
    labels,
    linked,
    page,
    release,
    series_of,
    shift,
    sli,
    stamp,
    workload,
)

STORM, PAGE, TICKET, RESOLVED, RECOVERED, REGRESSION, FIX = (name for name, _ in ROWS)
UNDELIVERED = {
    "state": "Decided", "severity": "sev1", "dedupKey": f"{NS}/{INCIDENT}", "decidedAt": stamp(DETECTED),
    "receivers": [{"name": "pager", "failure": "connection refused"}],
    "messages": [{"number": 1, "action": "trigger", "reason": "Severity", "severity": "sev1", "state": "Decided", "to": ["pager"], "decidedAt": stamp(DETECTED)}],
}  # fmt: skip
REFUSED = {
    "digest": V2, "version": "v3", "state": "Rejected", "startedAt": stamp(90), "reason": "EvalFailed", "message": "answers-1-regression failed",
}  # fmt: skip
AWAY = Missing("Prometheus: connection refused")


def row_of(report: GateReport, name: str) -> Row:
    return next(row for row in report.rows if row.name == name)


def test_the_seven_rows_have_these_names_in_this_order() -> None:
    assert [row.name for row in judge(shift()).rows] == [
        "storm reduced",
        "page sev1",
        "ticket routed and linked",
        "incident resolved",
        "SLI recovered within SLO",
        "regression case catches the bad release",
        "fix promoted",
    ]


def test_a_good_shift_passes_with_a_sentence_and_evidence_in_each_row() -> None:
    report = judge(shift())
    assert {row.verdict for row in report.rows} == {"passed"}, [r for r in report.rows if r.verdict != "passed"]
    assert report.exit_code == 0
    assert all(row.sentence and row.evidence for row in report.rows)
    assert all(fact.value and fact.source for row in report.rows for fact in row.evidence)


def test_a_victim_that_was_read_first_and_merged_is_no_incident_of_its_own() -> None:
    web = incident("web-1", "web", 20, severity="sev1", mergedInto=INCIDENT)
    row = row_of(judge(shift(incidents=(incident(), web))), PAGE)
    assert row.verdict == "passed", row
    assert any(fact.value == "web-1 (merged into it)" for fact in row.evidence)


def fired(*alerts: dict[str, str]) -> tuple[FiredAlert, ...]:
    return tuple(FiredAlert(each) for each in alerts)


FAILS: list[Any] = [
    pytest.param(STORM, {"alerts": (), "active_alerts": (), "filings": filings(()), "incidents": tuple(incident(f"answers-{n}") for n in range(6)), "options": Options(min_alerts=0)}, "opened 6 incidents", id="six Incidents where no alert had to fire"),
    pytest.param(STORM, {"alerts": fired(*OURS[:9]), "options": Options(min_alerts=10)}, "9 distinct alerts", id="a drizzle is no storm"),
    pytest.param(STORM, {"alerts": (), "rules": ()}, "Prometheus has no alerting rule", id="the rules were removed"),
    pytest.param(STORM, {"alerts": ()}, "0 distinct alerts", id="nothing fired although Prometheus watched"),
    pytest.param(STORM, {"filings": filings(OURS[:30])}, "only 75%", id="a quarter of the storm is somewhere else"),
    pytest.param(STORM, {"filings": filings((*OURS, CATALOG))}, "CatalogIndexStale", id="an unrelated alert was glued to it"),
    pytest.param(STORM, {"filings": filings(())}, "only 0%", id="the intake stored nothing of it"),
    pytest.param(STORM, {"incidents": tuple(incident(f"answers-{n}") for n in range(6))}, "opened 6 incidents", id="six incidents of one storm"),
    pytest.param(PAGE, {"incident": incident(severity="sev3")}, "is sev3", id="the incident never became sev1"),
    pytest.param(PAGE, {"burns": burns(0.05)}, "no sev1 tier burned", id="the burn was below the factor at detection"),
    pytest.param(PAGE, {"burns": ()}, "no tier of severity sev1", id="the Release has no tier that pages"),
    pytest.param(PAGE, {"pages": ()}, "0 pages", id="nobody was paged"),
    pytest.param(PAGE, {"pages": Missing("receiver: 503"), "incident": incident(page=UNDELIVERED)}, "no receiver took its page (pager: connection refused)", id="the pager was down and is down"),
    pytest.param(PAGE, {"pages": (page(), page("other"))}, "2 pages", id="two pages for one incident"),
    pytest.param(PAGE, {"pages": (page(severity="sev2"),)}, "sent as sev2", id="the page was not sev1"),
    pytest.param(PAGE, {"pages": (page(second=-300),)}, "outside the shift", id="the page is of another day"),
    pytest.param(PAGE, {"incidents": (incident(), incident("web-1", "web", 20, severity="sev2"))}, "web-1", id="the victim got its own page-worthy incident"),
    pytest.param(PAGE, {"incidents": (incident(), incident("web-1", "web", 20, severity="sev2", mergedInto="other-1"), incident("other-1", "other", 20))}, "web-1", id="the victim's incident was merged into another one than this"),
    pytest.param(PAGE, {"incidents": (incident(), incident("web-1", "web", 20, severity="sev2", mergedInto=INCIDENT)), "pages": (page(), page(f"{NS}/web-1", "web-1"))}, "page(s) went out for services that only suffer", id="the victim's incident called people on an alert of its own before it was merged"),
    pytest.param(TICKET, {"filings": filings(tickets=())}, "no ticket is linked", id="no ticket was linked"),
    pytest.param(TICKET, {"filings": filings(tickets=(linked(route=""),))}, "not triaged: HD-1", id="the linked ticket has no route"),
    pytest.param(TICKET, {"filings": filings(queue=("HD-1",))}, "still in the queue", id="linked and queued at once"),
    pytest.param(TICKET, {"replay": Replay(replace(BAD_RUN, passed=True), GOOD_RUN)}, "does not fail on the bad revision", id="the ticket is about something else"),
    pytest.param(TICKET, {"sent": (SentTicket("HD-1", "", True), SentTicket("HD-9", ""))}, "lost: HD-9", id="a ticket that was sent is nowhere"),
    pytest.param(TICKET, {"sent": (SentTicket("HD-1", "", False),)}, "about something else: HD-1", id="a ticket of another matter was linked"),
    pytest.param(TICKET, {"sent": (SentTicket("HD-1", "", True), SentTicket("HD-2", "", True))}, "about this fault: HD-2", id="a ticket about the fault stayed in the queue"),
    pytest.param(RESOLVED, {"incident": incident(phase="Mitigated")}, "is Mitigated", id="it is not resolved"),
    pytest.param(RESOLVED, {"workload": workload(live=V2)}, V2, id="the bad revision is live again"),
    pytest.param(RESOLVED, {"sli": sli({})}, "nothing broke", id="there was no harm to resolve"),
    pytest.param(RESOLVED, {"sli": sli({(1, 62): 0.2})}, "between mitigated and resolved", id="the SLI was not back when it says so"),
    pytest.param(RECOVERED, {"incident": incident(mitigatedAt=None, phase="Open")}, "never mitigated", id="it was never mitigated"),
    pytest.param(RECOVERED, {"sli": sli({(1, 44): 0.1})}, "not above 14.4x", id="the burn never was a page"),
    pytest.param(RECOVERED, {"sli": sli({**HARM, (150, 175): 0.05})}, "over budget for 25 s", id="it broke again later"),
    pytest.param(RECOVERED, {"sli": sli({**HARM, (240, NOW): 0.05})}, "over budget for 20 s", id="it is broken now"),
    pytest.param(RECOVERED, {"others": (OtherObjective("latency", 0.05, SliPoint(at(NOW), 600, 6450)),)}, "of latency since the recovery were bad, more than 5.00%", id="the recovery broke another objective"),
    pytest.param(RECOVERED, {"since_mitigated": SliPoint(at(NOW), 70, 6450)}, "more than 1.00%", id="bursts that add up to more than the budget"),
    pytest.param(REGRESSION, {"case": None}, "no EvalCase", id="no case was captured"),
    pytest.param(REGRESSION, {"replay": Replay(replace(BAD_RUN, passed=True), GOOD_RUN)}, "catches nothing", id="an emptied case passes on the bad revision"),
    pytest.param(REGRESSION, {"replay": Replay(BAD_RUN, replace(GOOD_RUN, passed=False))}, "good revision", id="the case fails everywhere"),
    pytest.param(REGRESSION, {"case": case(proof=None)}, "names no revisions", id="the case names no revisions"),
    pytest.param(REGRESSION, {"case": case(origin={"kind": "manual"})}, "not a regression case", id="somebody's manual case"),
    pytest.param(REGRESSION, {"case": case(proof={"bad": V1, "good": V4}), "replay": Replay(CaseRun(V1, False, ""), CaseRun(V4, True, ""))}, "not the one that this Incident blames", id="it is proven on an innocent revision"),
    pytest.param(REGRESSION, {"case": case(proof={"bad": V2, "good": V2})}, "refused itself", id="bad and good are the same revision"),
    pytest.param(REGRESSION, {"replay": Replay(replace(BAD_RUN, digest=V1), GOOD_RUN)}, "the bad pod ran", id="the wrong pod was asked"),
    pytest.param(FIX, {"releases": (answers(promotion=None), *RELEASES[1:])}, "nothing was promoted", id="nothing was promoted"),
    pytest.param(FIX, {"releases": (answers(promotion=None, target=REFUSED), *RELEASES[1:])}, "nothing was promoted on answers: v3 is Rejected (EvalFailed: answers-1-regression failed)", id="the fix broke it again and was kept out"),
    pytest.param(FIX, {"workload": workload(live=V1), "releases": (answers(promotion={"digest": V1, "version": "v1", "at": stamp(200)}), *RELEASES[1:])}, "from before the incident", id="last-good is still live and called a fix"),
    pytest.param(FIX, {"workload": workload(live=V2)}, "rolled back or refused", id="the bad revision is live"),
    pytest.param(FIX, {"workload": workload(ready=3)}, "3 of 4 pods", id="the fix is not on all pods"),
    pytest.param(FIX, {"workload": workload(made=-50)}, "older than the incident", id="the fix was there before the incident"),
    pytest.param(FIX, {"live": (LiveAnswer("answers-d-1", False, "wrong"),)}, "still fails the case", id="a live pod answers wrongly"),
    pytest.param(FIX, {"served": (Served("v3", 2.0),)}, "rejected v3 served 2", id="the rejected version served two users"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "says"), FAILS)
def test_fails(name: str, changes: dict[str, Any], says: str) -> None:
    report = judge(shift(**changes))
    row = row_of(report, name)
    assert row.verdict == "failed", row
    assert says in row.sentence
    assert report.exit_code == 1


GAPS: list[Any] = [
    pytest.param(STORM, {"alerts": AWAY}, "connection refused", id="Prometheus cannot be asked for alerts"),
    pytest.param(STORM, {"filings": Missing("ledger unreadable")}, "ledger", id="the ledgers cannot be read"),
    pytest.param(STORM, {"incidents": Missing("no right to list")}, "no right", id="the incidents cannot be listed"),
    pytest.param(PAGE, {"burns": AWAY}, "connection refused", id="the burn cannot be recomputed"),
    pytest.param(PAGE, {"pages": Missing("receiver: 503")}, "receiver", id="the receiver is away"),
    pytest.param(TICKET, {"filings": Missing("ledger unreadable")}, "ledger", id="nobody knows what was filed"),
    pytest.param(TICKET, {"replay": Missing("quarantine: ImagePullBackOff")}, "ImagePullBackOff", id="the example cannot be asked again"),
    pytest.param(TICKET, {"filings": filings(tickets=(linked("HD-5"),))}, "no linked ticket has an example", id="nothing from outside confirms the link"),
    pytest.param(TICKET, {"sent": (SentTicket("HD-1", "", True), SentTicket("HD-9", "")), "filings": filings(inbox=1)}, "not filed yet", id="a ticket may still wait in the inbox"),
    pytest.param(RESOLVED, {"sli": AWAY}, "connection refused", id="the SLI's past cannot be read"),
    pytest.param(RESOLVED, {"workload": Missing("no right to get")}, "no right", id="the Deployment cannot be read"),
    pytest.param(RECOVERED, {"others": AWAY}, "connection refused", id="another objective cannot be added up"),
    pytest.param(RECOVERED, {"since_mitigated": AWAY}, "connection refused", id="the time since cannot be added up"),
    pytest.param(RECOVERED, {"since_mitigated": SliPoint(at(NOW), 0, 0)}, "no events", id="no user has asked since"),
    pytest.param(REGRESSION, {"replay": Replay(Missing("not ready"), GOOD_RUN)}, "not ready", id="the bad pod did not start"),
    pytest.param(REGRESSION, {"replay": Replay(BAD_RUN, Missing("no answer"))}, "no answer", id="the good pod did not answer"),
    pytest.param(REGRESSION, {"case": Missing("no right")}, "no right", id="the case cannot be read"),
    pytest.param(REGRESSION, {"workload": replace(workload(), replica_sets=workload().replica_sets[2:])}, "ever was live", id="nothing shows that the bad revision was live"),
    pytest.param(FIX, {"workload": Missing("no right to get")}, "no right", id="the Deployment cannot be read for the fix"),
    pytest.param(FIX, {"live": ()}, "no live pod", id="no live pod could be asked"),
    pytest.param(FIX, {"served": (Served("v3", AWAY),)}, "connection refused", id="nobody knows whom the rejected version served"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "says"), GAPS)
def test_is_inconclusive(name: str, changes: dict[str, Any], says: str) -> None:
    report = judge(shift(**changes))
    row = row_of(report, name)
    assert row.verdict == "inconclusive", row
    assert says in row.sentence
    assert report.exit_code == 3, [r for r in report.rows if r.verdict == "failed"]


def test_where_nothing_fired_the_sentence_speaks_of_nothing_else() -> None:
    row = row_of(judge(shift(alerts=())), STORM)
    assert row.sentence == "0 distinct alerts fired on answers's services, not 1"


def test_a_service_without_alert_rules_needs_no_alert() -> None:
    row = row_of(judge(shift(alerts=(), rules=(), incidents=(incident(),), options=Options(min_alerts=0))), STORM)
    assert (row.verdict, row.sentence) == ("passed", "no alert fired, and none had to; 1 incident(s) were opened")


SEV2 = Options(severity="sev2")


def test_an_incident_of_sev2_is_judged_by_its_own_tier_and_page() -> None:
    own = {"incident": incident(severity="sev2"), "burns": burns(0.1, "sev2"), "pages": (page(severity="sev2"),)}
    row = row_of(judge(shift(options=SEV2, **own)), PAGE)
    assert (row.verdict, row.sentence) == (
        "passed",
        "burn 10.0x & 10.0x at detection, one sev2 page reached the receiver",
    )
    assert row_of(judge(shift(**own)), PAGE).verdict == "failed", "sev1 is what is asked for where nothing is said"
    assert row_of(judge(shift(options=SEV2, **{**own, "pages": (page(),)})), PAGE).verdict == "failed"


def test_harm_that_grew_is_one_thread_with_a_milder_call_before_and_the_tier_fires_when_it_grew() -> None:
    """Detected by a slow tier; the fast one fires later."""
    grew = {
        "burns": (*burns(0.1), *burns(0.2, second=30)),
        "pages": (page(severity="sev2", second=16), page(second=30)),
    }
    assert row_of(judge(shift(**grew)), PAGE).verdict == "passed"
    never = {**grew, "burns": (*burns(0.1), *burns(0.1, second=30))}
    assert "no sev1 tier burned" in row_of(judge(shift(**never)), PAGE).sentence


def test_one_alert_is_enough() -> None:
    row = row_of(judge(shift(alerts=fired(OURS[0]), incidents=(incident(),))), STORM)
    assert (row.verdict, row.sentence) == ("passed", "1 distinct alerts became 1 incident(s); 1 of them are answers-1")


def test_the_incident_of_another_fault_at_the_same_time_is_no_part_of_this_storm() -> None:
    both = {"incidents": (incident(), incident("catalog-1", "catalog", 20, severity="sev4"))}
    assert row_of(judge(shift(alerts=fired(OURS[0], CATALOG), **both)), STORM).verdict == "passed"
    assert "2 incidents" in row_of(judge(shift(alerts=fired(OURS[0]), **both)), STORM).sentence


def test_a_row_that_the_caller_waives_says_what_it_would_have_been_and_stops_no_pass() -> None:
    report = judge(shift(filings=filings(tickets=())), waives=["ticket", "fix"])
    assert row_of(report, FIX).verdict == "passed"
    row = row_of(report, TICKET)
    assert (report.exit_code, row.verdict) == (0, "waived")
    assert "the caller (--waive ticket)" in row.sentence and "no ticket is linked" in row.sentence


def test_waived_rows_are_no_pass_where_nothing_else_passed() -> None:
    report = judge(shift(incident=None), waives=list(SHORT))
    assert set(report.named("waived")) == set(SHORT.values())
    assert report.exit_code == 3


@given(st.sets(st.sampled_from(list(SHORT))))
def test_a_waiver_changes_no_other_row(words: set[str]) -> None:
    broken: dict[str, Any] = {"pages": (), "case": None, "filings": filings(())}
    plain, with_waivers = judge(shift(**broken)), judge(shift(**broken), words)
    for word, name in SHORT.items():
        if word not in words:
            assert row_of(plain, name) == row_of(with_waivers, name)


def test_a_case_that_a_person_waived_on_the_incident_is_waived_here_and_not_asked_of_live_pods() -> None:
    told = incident()
    told.metadata.annotations["opsloop.dev/waive-regression"] = "alice: no request shows the leak"
    nothing = Missing("there is no EvalCase that could be asked")
    report = judge(shift(incident=told, case=None, live=nothing, sent=(SentTicket("HD-1", "", True),)))
    assert report.named("waived") == (REGRESSION,)
    assert report.exit_code == 0, report


def test_the_same_without_the_annotation_fails() -> None:
    report = judge(shift(case=None, live=Missing("there is no EvalCase that could be asked")))
    assert (row_of(report, REGRESSION).verdict, row_of(report, FIX).verdict) == ("failed", "inconclusive")


def test_a_prometheus_that_was_restarted_since_is_a_gap_and_not_a_quiet_day() -> None:
    silent = replace(sli(), points=tuple(replace(p, bad=0.0, total=0.0) for p in sli().points))
    report = judge(shift(alerts=(), sli=silent, filings=filings(())))
    for name in (STORM, RESOLVED, RECOVERED):
        assert row_of(report, name).verdict == "inconclusive"


def test_a_silent_last_minute_is_not_a_recovery() -> None:
    points = tuple(replace(p, bad=0.0, total=0.0) if p.at > at(NOW - 10) else p for p in sli().points)
    assert row_of(judge(shift(sli=replace(sli(), points=points))), RECOVERED).verdict == "inconclusive"


def test_a_history_that_ends_early_is_not_a_recovery() -> None:
    points = tuple(p for p in sli().points if p.at <= at(NOW - 40))
    assert row_of(judge(shift(sli=replace(sli(), points=points))), RECOVERED).verdict == "inconclusive"


def test_a_recovery_of_a_moment_ago_is_not_judged_yet() -> None:
    now = at(MITIGATED + 10)
    points = tuple(p for p in sli().points if p.at <= now)
    row = row_of(judge(shift(now=now, sli=replace(sli(), points=points))), RECOVERED)
    assert row.verdict == "inconclusive"
    assert "10 s ago" in row.sentence


def test_one_burst_that_a_short_window_shows_for_its_own_length_is_tolerated() -> None:
    assert row_of(judge(shift(sli=sli({**HARM, (120, 126): 0.03}))), RECOVERED).verdict == "passed"


def test_an_instant_without_events_does_not_end_a_stretch_over_budget() -> None:
    harmed = sli({**HARM, (150, 175): 0.05})
    holes = tuple(replace(p, bad=0.0, total=0.0) if p.at == at(160) else p for p in harmed.points)
    assert row_of(judge(shift(sli=replace(harmed, points=holes))), RECOVERED).verdict == "failed"


FORGED_IDLE = {
    "alerts": (),
    "burns": burns(0.0),
    "sli": series_of(5, -35, NOW, {}),
    "pages": (),
    "filings": filings((), ()),
    "workload": workload(live=V1),
    "replay": Replay(replace(BAD_RUN, passed=True), GOOD_RUN),
}


def test_forged_statuses_on_an_idle_cluster_pass_no_row_but_none() -> None:
    """Everything is claimed in statuses; the world is healthy, quiet and at its first revision."""
    report = judge(shift(**FORGED_IDLE))
    assert report.named("passed") == ()
    assert report.exit_code == 1


def test_forged_statuses_without_any_traffic_pass_no_row_either() -> None:
    quiet = replace(sli(), points=())
    report = judge(shift(**{**FORGED_IDLE, "sli": quiet, "since_mitigated": SliPoint(at(NOW), 0, 0)}))
    assert report.named("passed") == ()


@pytest.mark.parametrize(
    ("found", "code"),
    [
        pytest.param(None, 1, id="a namespace without any incident fails"),
        pytest.param(Missing("API server: connection refused"), 3, id="an API server that is away is inconclusive"),
    ],
)
def test_without_an_incident_no_row_passes(found: Missing | None, code: int) -> None:
    report = judge(shift(incident=found))
    assert len(report.rows) == 7
    assert report.named("passed") == ()
    assert (report.exit_code, report.incident) == (code, "")


def test_a_failure_outweighs_a_gap() -> None:
    report = judge(shift(pages=(), alerts=AWAY))
    assert (report.named("failed"), report.named("inconclusive")) == ((PAGE,), (STORM,))
    assert report.exit_code == 1


SOURCES = [
    f.name for f in fields(ShiftEvidence)
    if f.name not in ("now", "namespace", "sent", "served", "options", "active_alerts", "rules", "refused")
]  # fmt: skip


@given(st.sets(st.sampled_from(SOURCES), min_size=1))
def test_taking_evidence_away_never_makes_a_pass(gone: set[str]) -> None:
    """Law: with any sources missing the gate does not pass, never crashes, and no row fails for what is unknown."""
    report = judge(shift(**{name: Missing(f"{name} is away") for name in gone}))
    assert report.exit_code == 3
    assert len(report.rows) == 7


@given(st.sets(st.sampled_from(SOURCES)), st.integers(0, len(FAILS) - 1))
def test_missing_evidence_turns_no_failed_row_into_a_passed_one(gone: set[str], which: int) -> None:
    name, changes, _ = FAILS[which].values
    missing = {source: Missing("away") for source in gone if source not in changes}
    assert row_of(judge(shift(**changes, **missing)), name).verdict != "passed"


def test_alertmanager_adds_what_prometheus_does_not_show_any_more() -> None:
    extra = labels("PodLatencyP95High", "answers", 99)
    row = row_of(judge(shift(active_alerts=fired(extra))), STORM)
    assert row.sentence.startswith("42 distinct alerts")


def test_an_alert_counts_once_however_prometheus_labels_its_series() -> None:
    again = ({**OURS[0], "__name__": "ALERTS", "alertstate": "firing"}, *OURS)
    row = row_of(judge(shift(alerts=fired(*again))), STORM)
    assert row.sentence.startswith("40 distinct alerts")


def test_a_filed_alert_may_carry_more_labels_than_prometheus_shows() -> None:
    external = tuple({**each, "cluster": "eu-1"} for each in OURS)
    assert row_of(judge(shift(filings=filings(external))), STORM).verdict == "passed"


def test_the_fingerprint_is_alertmanagers() -> None:
    """Vectors of Prometheus' common library (model/signature_test.go)."""
    known = {"name": "garland, briggs", "fear": "love is not enough"}
    assert int(fingerprint({}), 16) == 14695981039346656037
    assert int(fingerprint(known), 16) == 5799056148416392346


def test_a_ticket_that_a_person_took_out_is_linked_no_more_and_may_wait_in_the_queue() -> None:
    held = filings(tickets=(linked(), linked("HD-2")))
    assert row_of(judge(shift(filings=held)), TICKET).verdict == "failed", "linked and in the queue"
    out = Correction("HD-2", 1, "unlink", INCIDENT, "", "alice", at(60), "c")
    ledgers = {**held.ledgers, INCIDENT: replace(held.ledgers[INCIDENT], corrections=(out,))}
    assert row_of(judge(shift(filings=replace(held, ledgers=ledgers))), TICKET).verdict == "passed"


def test_a_ticket_may_be_known_by_its_subject_alone() -> None:
    sent = (SentTicket("", "The help contradicts your own page", True), SentTicket("", "HD-2"))
    assert row_of(judge(shift(sent=sent)), TICKET).verdict == "passed"


def test_the_senders_word_confirms_a_link_without_an_example() -> None:
    changes = {"filings": filings(tickets=(linked("HD-5"),)), "sent": (SentTicket("HD-5", "", True),)}
    assert row_of(judge(shift(**changes)), TICKET).verdict == "passed"


def test_the_evidence_says_when_the_bad_revision_gives_the_users_answer_word_for_word() -> None:
    row = row_of(judge(shift()), TICKET)
    assert any("word for word" in fact.value for fact in row.evidence)


def test_what_a_service_depends_on_is_no_victim_of_it() -> None:
    chain = (release("shop", ("web",)), *RELEASES)
    assert dependents("answers", chain) == {"web", "shop"}
    assert dependents("catalog", chain) == {"answers", "web", "shop"}
    assert explained_services(incident(), chain) == {"answers", "web", "shop"}


def test_releases_that_depend_on_each_other_end_the_search() -> None:
    assert dependents("a", (release("a", ("b",)), release("b", ("a",)))) == {"b"}


def test_the_detection_may_lie_a_tick_beside_the_reading() -> None:
    late = incident(detectedAt=stamp(DETECTED + 4))
    assert row_of(judge(shift(incident=late)), PAGE).verdict == "passed"


def test_a_waiver_says_who_and_why_and_excuses_no_case_that_is_there() -> None:
    told = shift(case=None).incident
    assert told is not None and not isinstance(told, Missing)
    told.metadata.annotations["opsloop.dev/waive-regression"] = "alice: the leak shows after a day only"
    row = row_of(judge(replace(shift(case=None), incident=told)), REGRESSION)
    assert row.verdict == "waived" and "alice on the Incident (the leak shows after a day only)" in row.sentence
    replayed = Replay(replace(BAD_RUN, passed=True), GOOD_RUN)
    assert row_of(judge(replace(shift(replay=replayed), incident=told)), REGRESSION).verdict == "failed"
    told.metadata.annotations["opsloop.dev/waive-regression"] = "true"
    assert row_of(judge(replace(shift(case=None), incident=told)), REGRESSION).verdict == "failed", (
        "of nobody, for no reason"
    )
