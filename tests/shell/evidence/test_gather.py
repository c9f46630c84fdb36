"""Evidence is gathered where it happened; a source that fails is a gap in its own rows and nowhere else."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from opsloop import names
from opsloop.adapters.prober import Fetched, ProxyProber
from opsloop.adapters.prometheus import Prometheus
from opsloop.core.gate import ROWS, judge
from opsloop.core.gate.evidence import Missing, SentTicket, ShiftEvidence
from opsloop.core.release.revisions import digest
from opsloop.errors import Forbidden, Invalid, NotFound
from opsloop.shell.evidence import Address, Sources, gather
from opsloop.shell.evidence.sources import get_json
from opsloop.shell.ports import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    DEPLOYMENTS,
    EVALCASES,
    INCIDENTS,
    PODS,
    RELEASES,
    REPLICASETS,
    SERVICES,
    Object,
    Resource,
)
from tests.builders.gate_shift import INCIDENT, NS, RIGHT, V2, V4, at, incident, stamp
from tests.fakes.gate_world import ShopCluster, after_the_shift, idle_with_forged_statuses, page

STORM, PAGE, TICKET, RESOLVED, RECOVERED, REGRESSION, FIX = (name for name, _ in ROWS)


def sources_of(cluster: ShopCluster, **changes: Any) -> Sources:
    prometheus = Address.parse("prometheus:9090", NS)

    async def query(path: str, parameters: Any) -> tuple[int, bytes]:
        return await cluster.raw("GET", prometheus.base + path, parameters)

    async def pod(method: str, path: str, headers: dict[str, str], body: bytes, seconds: float) -> Fetched:
        return await cluster.exchange(method, path, headers, body, seconds)

    sources = Sources(
        cluster=cluster,
        telemetry=Prometheus(query),
        rules=Prometheus(query),
        prober=ProxyProber(pod, NS),
        clock=cluster.clock,
        namespace=NS,
        alertmanager=Address.parse("alertmanager:9093", NS),
        pager=None,
        patience=0,
        pause=0,
    )
    return replace(sources, **changes)


async def look(cluster: ShopCluster, **asked: Any) -> ShiftEvidence:
    return await gather(sources_of(cluster), **asked)


async def verdicts(cluster: ShopCluster, **asked: Any) -> dict[str, str]:
    report = judge(await look(cluster, **asked))
    return {row.name: f"{row.verdict}: {row.sentence}" for row in report.rows}


async def test_a_good_shift_passes_all_seven_rows() -> None:
    report = judge(await look(after_the_shift(), rejected=["v3"]))
    assert report.exit_code == 0, [row for row in report.rows if row.verdict != "passed"]


async def test_nothing_of_the_gate_stays_behind() -> None:
    cluster = after_the_shift()
    await look(cluster)
    pods = await cluster.list(PODS, NS)
    assert not [p for p in pods if names.QUARANTINE in p["metadata"]["labels"]]
    assert len(cluster.written("create", "pods")) == 2


async def test_the_pods_it_starts_are_not_those_of_the_evalcase_reconciler() -> None:
    cluster = after_the_shift()
    await look(cluster)
    labels = {w.body["metadata"]["labels"][names.QUARANTINE] for w in cluster.written("create", "pods")}
    assert labels == {"gate-answers-1-regression"}


async def test_forged_statuses_on_an_idle_cluster_pass_no_row() -> None:
    report = judge(await look(idle_with_forged_statuses()))
    assert report.named("passed") == ()
    assert report.exit_code == 1


async def test_forged_statuses_where_nobody_asks_anything_pass_no_row() -> None:
    cluster = idle_with_forged_statuses()
    cluster.rate = 0
    assert judge(await look(cluster)).named("passed") == ()


@pytest.mark.parametrize(
    ("service", "rows"),
    [
        pytest.param("prometheus", {STORM, PAGE, RESOLVED, RECOVERED, FIX}, id="Prometheus is away"),
        pytest.param("receiver", {PAGE}, id="the pager's receiver is away"),
        pytest.param("alertmanager", set(), id="Alertmanager only adds to what Prometheus remembers"),
    ],
)
async def test_a_service_that_is_away_makes_its_rows_inconclusive(service: str, rows: set[str]) -> None:
    cluster = after_the_shift()
    cluster.away = {service}
    report = judge(await look(cluster))
    assert set(report.named("inconclusive")) == rows
    assert report.named("failed") == ()


async def sabotaged(cluster: ShopCluster, change: str) -> None:
    """What a saboteur does to the system."""
    case = await cluster.get(EVALCASES, NS, "answers-1-regression")
    match change:
        case "the case was emptied":
            case["spec"]["expect"] = {"status": 200}
            cluster.seed(case)
        case "the case was deleted":
            cluster.remove(EVALCASES, NS, "answers-1-regression")
        case "the pager got two keys":
            cluster.pages = [page(), page("again")]
        case "the pager got nothing":
            cluster.pages = []
        case "no rule fired":
            cluster.alerts = []
        case "the ledger was deleted":
            cluster.remove(CONFIGMAPS, NS, names.ledger_name(INCIDENT))
        case "the rejected version served somebody":
            cluster.counted["v3"] = 1.0
        case "the harm came back":
            cluster.bad_share = lambda second: 0.8 if 0 < second <= 39 or second > 200 else 0.0
        case "live pods answer wrongly":
            cluster.answer = lambda version: "no idea"


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ("the case was emptied", REGRESSION),
        ("the case was deleted", REGRESSION),
        ("the pager got two keys", PAGE),
        ("the pager got nothing", PAGE),
        ("no rule fired", STORM),
        ("the ledger was deleted", STORM),
        ("the ledger was deleted", TICKET),
        ("the rejected version served somebody", FIX),
        ("the harm came back", RECOVERED),
        ("live pods answer wrongly", FIX),
    ],
)
async def test_sabotage_of_the_system_fails_its_row(change: str, row: str) -> None:
    cluster = after_the_shift()
    await sabotaged(cluster, change)
    assert (await verdicts(cluster))[row].startswith("failed")


async def test_a_rule_that_was_removed_is_named_where_nothing_fired() -> None:
    cluster = after_the_shift()
    cluster.alerts, cluster.rules = [], []
    assert (await verdicts(cluster))[STORM].endswith("not 1: Prometheus has no alerting rule")


async def test_a_lost_ticket_comes_with_what_the_intake_refused() -> None:
    cluster = after_the_shift()
    cluster.refused = {"401": 2.0}
    sent = (SentTicket("HD-1", "", True), SentTicket("HD-7", "lost one", False))
    said = (await verdicts(cluster, sent=sent))[TICKET]
    assert (
        said
        == "failed: lost: HD-7; the intake refused requests with tickets: 2 with 401, a token that is missing or wrong"
    )


async def test_the_burn_is_read_at_detection_and_when_the_first_call_of_that_severity_was_decided() -> None:
    cluster = after_the_shift()
    call = {"action": "trigger", "reason": "Severity", "state": "Sent", "to": ["pager"]}
    messages = [
        {**call, "number": n, "severity": severity, "decidedAt": stamp(second), "endedAt": stamp(second)}
        for n, severity, second in ((1, "sev2", 15), (2, "sev1", 30), (3, "sev1", 40))
    ]
    page = {
        "state": "Sent",
        "severity": "sev1",
        "dedupKey": f"{NS}/{INCIDENT}",
        "decidedAt": stamp(15),
        "messages": messages,
    }
    cluster.seed({"apiVersion": "opsloop.dev/v1alpha1", "kind": "Incident", **incident(page=page).dump()})
    found = await look(cluster)
    assert not isinstance(found.burns, Missing)
    assert [(burn.tier.severity, burn.at) for burn in found.burns] == [("sev1", at(15)), ("sev1", at(30))]


NO_REPLY = 0


@pytest.mark.parametrize("trouble", [[NO_REPLY], [500], [502], [503], [504], [NO_REPLY, 500], [500, NO_REPLY]], ids=str)
@pytest.mark.parametrize("version", ["v1", "v2", "v4"])
async def test_one_reply_in_trouble_changes_no_row(version: str, trouble: list[int]) -> None:
    """On the good revision, on the bad one and on a live pod: the pod is asked again, and its answer counts."""
    cluster = after_the_shift()
    cluster.troubles[version] = list(trouble)
    report = judge(await look(cluster))
    assert report.exit_code == 0, [row for row in report.rows if row.verdict != "passed"]


@pytest.mark.parametrize("trouble", [[NO_REPLY], [500], [504]], ids=str)
async def test_an_emptied_case_is_found_although_one_reply_of_the_bad_revision_is_in_trouble(
    trouble: list[int],
) -> None:
    """The bad revision waited once in vain for what it depends on: that is no wrong answer, so the case catches nothing."""
    cluster = after_the_shift()
    await sabotaged(cluster, "the case was emptied")
    cluster.troubles["v2"] = list(trouble)
    assert "catches nothing" in (await verdicts(cluster))[REGRESSION]


@pytest.mark.parametrize("trouble", [[NO_REPLY] * 3, [500, NO_REPLY, 500], [NO_REPLY, NO_REPLY, 503]], ids=str)
@pytest.mark.parametrize(
    ("version", "row"), [("v1", REGRESSION), ("v2", REGRESSION), ("v2", TICKET), ("v4", FIX)], ids=str
)
async def test_a_pod_without_an_answer_makes_its_row_inconclusive(version: str, row: str, trouble: list[int]) -> None:
    cluster = after_the_shift()
    for number in range(1, 4):  # one live pod to ask, as there is one of each revision in quarantine
        cluster.remove(PODS, NS, f"answers-v4-{number}")
    cluster.troubles[version] = list(trouble)
    said = (await verdicts(cluster))[row]
    assert said.startswith("inconclusive") and "no answer" in said


@pytest.mark.parametrize("version", ["v1", "v4"])
async def test_a_server_error_that_stays_is_an_answer(version: str) -> None:
    cluster = after_the_shift()
    cluster.troubles[version] = [500] * 99
    assert (await verdicts(cluster))[REGRESSION if version == "v1" else FIX].startswith("failed")


async def test_a_counter_that_appeared_with_its_first_event_counts() -> None:
    """increase() of such a counter is 0; its value is not."""
    cluster = after_the_shift()
    cluster.counted["v3"] = 1.0
    assert "rejected v3 served 1 requests" in (await verdicts(cluster))[FIX]


async def test_a_quarantined_pod_that_cannot_start_is_inconclusive_and_says_why() -> None:
    cluster = after_the_shift()
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
    cluster.pod_status = {"phase": "Pending", "containerStatuses": [waiting]}
    found = await verdicts(cluster)
    assert found[REGRESSION].startswith("inconclusive")
    assert "ImagePullBackOff" in found[REGRESSION]
    assert not [p for p in await cluster.list(PODS, NS) if names.QUARANTINE in p["metadata"]["labels"]]


async def test_a_pod_that_ended_is_not_waited_for() -> None:
    cluster = after_the_shift()
    cluster.pod_status = {"phase": "Failed", "reason": "DeadlineExceeded"}
    found = await gather(sources_of(cluster, patience=1e9))
    assert not isinstance(found.replay, Missing)
    assert isinstance(found.replay.bad, Missing) and "DeadlineExceeded" in found.replay.bad.why


async def test_a_template_that_is_not_what_its_name_says_proves_nothing() -> None:
    cluster = after_the_shift()
    stored = await cluster.get(CONTROLLERREVISIONS, NS, names.revision_name("answers", V2))
    stored["data"]["spec"]["containers"][0]["image"] = "helpdesk:v9"
    cluster.seed(stored)
    assert (await verdicts(cluster))[REGRESSION].startswith("inconclusive")
    assert len(cluster.written("create", "pods")) == 1


async def test_quarantine_never_is_respected() -> None:
    cluster = after_the_shift()
    release = next(r for r in await _releases(cluster) if r["metadata"]["name"] == "answers")
    release["spec"]["evals"]["quarantine"] = "never"
    cluster.seed(release)
    assert "quarantine: never" in (await verdicts(cluster))[REGRESSION]
    assert cluster.written("create", "pods") == []


async def test_a_bad_revision_is_not_started_for_the_gate_where_nobody_approved() -> None:
    cluster = after_the_shift()
    release = next(r for r in await _releases(cluster) if r["metadata"]["name"] == "answers")
    release["spec"]["evals"]["quarantine"] = "ask"
    cluster.seed(release)
    assert "opsloop.dev/approve=" in (await verdicts(cluster))[REGRESSION]
    assert cluster.written("create", "pods") == []


async def _releases(cluster: ShopCluster) -> list[Object]:
    return await cluster.list(RELEASES, NS)


async def test_a_service_that_would_send_users_to_the_pod_stops_the_replay() -> None:
    cluster = after_the_shift()
    wide = {"spec": {"selector": {"app.kubernetes.io/managed-by": "opsloop"}}, "apiVersion": "v1", "kind": "Service"}
    cluster.seed({**wide, "metadata": {"name": "wide", "namespace": NS}})
    assert (await verdicts(cluster))[REGRESSION].startswith("inconclusive")
    assert cluster.written("create", "pods") == []


async def test_only_ready_pods_of_the_live_template_are_asked() -> None:
    cluster = after_the_shift()
    starting = copy.deepcopy(await cluster.get(PODS, NS, "answers-v4-0"))
    starting["metadata"] = {**starting["metadata"], "name": "answers-v4-9"}
    starting["status"] = {"phase": "Pending"}
    cluster.seed(starting)
    found = await look(cluster)
    assert not isinstance(found.live, Missing)
    assert [answer.pod for answer in found.live] == [f"answers-v4-{n}" for n in range(4)]


async def test_the_digest_of_a_replica_set_is_that_of_its_deployment() -> None:
    found = await look(after_the_shift())
    assert not isinstance(found.workload, Missing)
    assert found.workload.digest == V4
    assert {rs.digest for rs in found.workload.replica_sets} >= {V2, V4}


async def test_a_replica_set_of_somebody_else_is_not_counted() -> None:
    cluster = after_the_shift()
    other = await cluster.get(REPLICASETS, NS, "answers-v4")
    other["metadata"] = {**other["metadata"], "name": "web-v4", "ownerReferences": [{"uid": "web"}]}
    cluster.seed(other)
    found = await look(cluster)
    assert not isinstance(found.workload, Missing)
    assert len(found.workload.replica_sets) == 3


async def test_sent_tickets_are_looked_for_in_ledgers_and_queue() -> None:
    sent = (SentTicket("HD-1", "", True), SentTicket("HD-2", "", False), SentTicket("HD-7", "lost one", False))
    assert "lost: HD-7" in (await verdicts(after_the_shift(), sent=sent))[TICKET]


async def test_an_incident_can_be_named() -> None:
    found = await look(after_the_shift(), name="catalog-1")
    assert not isinstance(found.incident, Missing) and found.incident is not None
    assert found.incident.metadata.name == "catalog-1"


async def test_a_name_that_is_not_there_is_the_callers_mistake() -> None:
    with pytest.raises(NotFound, match="answers-9"):
        await look(after_the_shift(), name="answers-9")


async def test_the_newest_of_the_highest_severity_is_looked_at_and_merged_ones_are_not() -> None:
    cluster = after_the_shift()
    for name, root, created, status in (
        ("answers-2", "answers", 100, {}),
        ("answers-3", "answers", 150, {"mergedInto": "answers-2"}),
        ("web-7", "web", 170, {"severity": "sev2"}),
    ):
        body = incident(name, root, created, **status).dump()
        cluster.seed({"apiVersion": "opsloop.dev/v1alpha1", "kind": "Incident", **body})
    found = await look(cluster)
    assert not isinstance(found.incident, Missing) and found.incident is not None
    assert found.incident.metadata.name == "answers-2"


async def test_a_namespace_without_incidents_is_looked_at_no_further() -> None:
    cluster = after_the_shift()
    for item in await cluster.list(INCIDENTS, NS):
        cluster.remove(INCIDENTS, NS, item["metadata"]["name"])
    report = judge(await look(cluster))
    assert report.exit_code == 1
    assert cluster.writes == []


async def test_a_case_is_found_by_its_origin_when_the_incident_does_not_name_it() -> None:
    cluster = after_the_shift()
    body = incident(evalCase="").dump()
    cluster.seed({"apiVersion": "opsloop.dev/v1alpha1", "kind": "Incident", **body})
    assert (await verdicts(cluster))[REGRESSION].startswith("passed")


async def test_a_pod_that_stumbles_once_is_asked_again() -> None:
    cluster = after_the_shift()
    real = cluster.raw
    failed: set[str] = set()

    async def stumbling(method: str, path: str, *rest: Any, **more: Any) -> tuple[int, bytes]:
        if "/pods/" in path and path not in failed:
            failed.add(path)
            return 503, b'{"kind":"Status","apiVersion":"v1","message":"no endpoints"}'
        return await real(method, path, *rest, **more)

    cluster.raw = stumbling  # type: ignore[method-assign]
    assert (await verdicts(cluster))[REGRESSION].startswith("passed")


@pytest.mark.parametrize(
    ("text", "base"),
    [
        pytest.param("prometheus:9090", "/api/v1/namespaces/shop/services/prometheus:9090/proxy", id="a service here"),
        pytest.param("mon/prom:80", "/api/v1/namespaces/mon/services/prom:80/proxy", id="a service elsewhere"),
    ],
)
def test_addresses(text: str, base: str) -> None:
    assert Address.parse(text, NS).base == base


@pytest.mark.parametrize("text", ["prometheus", "prometheus:http", ":9090", ""])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Invalid, match="prometheus:9090"):
        Address.parse(text, NS)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param(403, b"no", Forbidden, id="no right to use the proxy"),
        pytest.param(404, b"{}", NotFound, id="no such service"),
        pytest.param(200, b"<html>", Invalid, id="something else answers there"),
    ],
)
async def test_answers_of_a_proxied_service_are_mapped(status: int, body: bytes, error: type[Exception]) -> None:
    class Answers:
        async def raw(self, *_: Any, **__: Any) -> tuple[int, bytes]:
            return status, body

    with pytest.raises(error):
        await get_json(Answers(), Address.parse("receiver:8080", NS), "/pages")


async def test_right_answers_are_part_of_the_replay() -> None:
    found = await look(after_the_shift())
    assert not isinstance(found.replay, Missing) and not isinstance(found.replay.good, Missing)
    assert RIGHT in found.replay.good.reply
    assert [s["metadata"]["name"] for s in await after_the_shift().list(SERVICES, NS)] == ["answers"]


def completed(cluster: ShopCluster, image: str, said: bool = True) -> None:
    """Admission completed the promoted template with a field and changed its image; the Release says that it is the same."""
    for name, kind in (("answers", "deployments"), ("answers-v4", "replicasets")):
        stored = copy.deepcopy(cluster.find(Resource("apps/v1", "", kind), NS, name))
        assert stored is not None
        stored["spec"]["template"]["spec"] |= {"schedulerName": "ours"}
        stored["spec"]["template"]["spec"]["containers"][0]["image"] = image
        cluster.seed(stored)
    live = cluster.find(DEPLOYMENTS, NS, "answers")
    release = copy.deepcopy(cluster.find(RELEASES, NS, "answers"))
    assert live is not None and release is not None
    for revision in release["status"]["revisions"]:
        if revision["digest"] == V4 and said:
            revision["also"] = [digest(live["spec"]["template"])]
    cluster.seed(release)


PINNED = "mirror.example/helpdesk:v4@sha256:" + "a" * 64


async def test_a_template_that_the_api_server_stored_otherwise_is_still_the_promoted_revision() -> None:
    cluster = after_the_shift()
    completed(cluster, PINNED)
    found = await look(cluster)
    assert not isinstance(found.workload, Missing) and found.workload.digest == V4
    assert not isinstance(found.live, Missing) and len(found.live) == 4
    assert {row.name: row.verdict for row in judge(found).rows}[FIX] == "passed"


@pytest.mark.parametrize(
    ("image", "said", "stored"),
    [
        pytest.param(PINNED, False, True, id="the Release does not say so"),
        pytest.param("helpdesk:v2", True, True, id="it runs another image than the revision's stored template"),
        pytest.param(PINNED, True, False, id="the revision's template is not stored"),
    ],
)
async def test_that_a_release_calls_a_template_the_same_is_no_proof(image: str, said: bool, stored: bool) -> None:
    cluster = after_the_shift()
    completed(cluster, image, said)
    if not stored:
        cluster.remove(CONTROLLERREVISIONS, NS, names.revision_name("answers", V4))
    found = await look(cluster)
    assert not isinstance(found.workload, Missing) and found.workload.digest != V4
    assert {row.name: row.verdict for row in judge(found).rows}[FIX] == "failed"


# --- without a receiver that keeps its pages


def answered(cluster: ShopCluster, *receivers: str, taken: int = 1, **message: Any) -> ShopCluster:
    """The shift where nobody keeps pages, and the Incident has what these receivers answered."""
    cluster.absent = {"receiver"}
    stored = cluster.find(INCIDENTS, NS, INCIDENT)
    assert stored is not None
    page = stored["status"]["page"]
    first = {
        "number": 1, "action": "trigger", "reason": "Severity", "severity": "sev1", "state": "Sent", "to": list(receivers),
        "decidedAt": page["decidedAt"], "endedAt": page["decidedAt"], **message,
    }  # fmt: skip
    took = [
        {"name": name, "taken": taken, "takenAt": page["decidedAt"], "answer": "202 accepted"} for name in receivers
    ]
    cluster.seed({**stored, "status": {**stored["status"], "page": {**page, "messages": [first], "receivers": took}}})
    return cluster


async def page_row(cluster: ShopCluster) -> tuple[str, str, str]:
    """(verdict, sentence, who says so)."""
    report = judge(await look(cluster))
    row = next(row for row in report.rows if row.name == PAGE)
    return row.verdict, row.sentence, next((f.source for f in row.evidence if f.name == "pages for it"), "")


def own_alert(**more: str) -> Any:
    labels = {"alertname": "OpsloopIncident", "namespace": NS, "incident": INCIDENT, "severity": "critical", **more}
    return {
        "labels": labels,
        "annotations": {"opsloop_dedup_key": f"{NS}/{INCIDENT}", "opsloop_severity": "sev1"},
        "startsAt": stamp(16),
        "status": {"state": "active"},
    }


async def test_a_page_is_proven_by_what_its_receiver_answered() -> None:
    verdict, _, source = await page_row(answered(after_the_shift(), "oncall", "chat"))
    assert verdict == "passed"
    assert source == "status.page.receivers: oncall answered 202 accepted, chat answered 202 accepted"


async def test_the_counter_of_the_process_that_sent_it_is_a_witness() -> None:
    cluster = answered(after_the_shift(), "oncall", "chat")
    cluster.pages_sent = {"oncall": 2.0}
    verdict, _, source = await page_row(cluster)
    assert (verdict, source) == (
        "passed",
        "status.page.receivers, opsloop_pages_total: oncall answered 202 accepted",
    )


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        pytest.param(answered(after_the_shift(), "oncall", taken=0), "0 pages for answers-1", id="nobody took it"),
        pytest.param(answered(after_the_shift(), "oncall", state="Decided"), "0 pages for answers-1", id="it is not delivered"),
        pytest.param(answered(after_the_shift(), "oncall", severity="sev2"), "its page was sent as sev2", id="as something less"),
        pytest.param(answered(after_the_shift()), "0 pages for answers-1", id="the status names no receiver"),
    ],
)  # fmt: skip
async def test_what_no_receiver_took_is_no_page(cluster: ShopCluster, said: str) -> None:
    verdict, sentence, _ = await page_row(cluster)
    assert verdict == "failed" and said in sentence


async def test_an_answer_of_a_receiver_that_was_never_called_proves_nothing() -> None:
    cluster = answered(after_the_shift(), "oncall")
    cluster.pages_sent = {"another": 7.0}
    verdict, sentence, _ = await page_row(cluster)
    assert verdict == "failed" and "0 pages for answers-1" in sentence


async def test_an_alert_that_still_fires_after_the_end_fails_the_row_and_is_no_alert_of_the_storm() -> None:
    cluster = answered(after_the_shift(), "am")
    cluster.own_alerts = [own_alert()]
    verdict, sentence, _ = await page_row(cluster)
    assert verdict == "failed" and "its alert still fires at Alertmanager" in sentence
    evidence = await look(cluster)
    assert not isinstance(evidence.active_alerts, Missing) and evidence.active_alerts == ()


async def test_without_an_alertmanager_the_answers_are_enough() -> None:
    cluster = answered(after_the_shift(), "oncall")
    cluster.absent |= {"alertmanager"}
    verdict, _, _ = await page_row(cluster)
    assert verdict == "passed"
