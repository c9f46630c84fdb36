"""What one alert says: its class, what it is about, and when the fault began."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.alert_rules import NO_RULES, AlertRule, AlertRules
from opsloop.core.correlation.classes import Classifier
from opsloop.core.correlation.entities import NAMESPACE, NODE, OUTSIDE, SERVICE, EntityReader
from opsloop.core.correlation.facts import Reader, facts_of
from opsloop.core.correlation.method import WORDS, Method, method_of
from opsloop.core.correlation.onsets import Learnt, Rules, lag_of
from opsloop.core.correlation.service_health import ServiceHealth
from opsloop.core.correlation.standing import reader_of
from opsloop.core.facts import CorrelationFacts
from opsloop.core.reported import Alert
from opsloop.core.topology import Graph, Topology
from opsloop.errors import Invalid

GRAPH = Graph(
    {"gateway": ["orders", "search"], "orders": ["ledger-db", "tariff"], "search": [], "tariff": []},
    {"gateway": "shop", "orders": "shop", "search": "shop", "tariff": "shop"},
)
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def an_alert(name: str, text: str = "", **labels: str) -> Alert:
    return Alert(
        name, "firing", START, {"alertname": name, "severity": "critical", **labels}, {"description": text}, START
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("NoRequestsReceived", "starved", id="a service that nobody calls any more"),
        pytest.param("queue_no_messages", "dry", id="a consumer that reads nothing; words are cut at signs as well"),
        pytest.param("NoQueriesExecuted", "dry", id="a service that asks its database nothing"),
        pytest.param("KubePodCrashLooping", "workload", id="pods that crash"),
        pytest.param("TargetDown", "workload", id="down of a target is its workload"),
        pytest.param("SiteDown", "probe", id="down of a site is a probe"),
        pytest.param("APIDown", "error", id="down of anything else is an error"),
        pytest.param("HTTPSlowRequests", "latency", id="slow does not begin with slo"),
        pytest.param("SLOErrorBudgetBurn", "burn", id="a burn of errors is a burn"),
        pytest.param("HighRequestErrorRate", "error", id="a high error rate is an error"),
        pytest.param("CPUThrottlingHigh", "saturation", id="upper-case words"),
        pytest.param("CertificateExpiresSoon", "hygiene", id="a certificate"),
        pytest.param("Watchdog", "heartbeat", id="a watchdog that always fires"),
        pytest.param("KubeHpaMaxedOut", "hygiene", id="an autoscaler at its limit"),
        pytest.param("Fehlerquote hoch", "other", id="another language is not guessed"),
    ],
)
def test_the_class_of_an_alert_is_in_the_words_of_its_name(name: str, expected: str) -> None:
    assert Classifier(WORDS)(name) == expected


@pytest.mark.parametrize(
    ("labels", "kind", "name"),
    [
        pytest.param({"service": "orders"}, SERVICE, "orders", id="service"),
        pytest.param(
            {"service": "kube-state-metrics", "deployment": "orders"},
            SERVICE,
            "orders",
            id="service may be the exporter",
        ),
        pytest.param(
            {"source_workload": "gateway", "destination_canonical_service": "orders"},
            SERVICE,
            "orders",
            id="a mesh's destination, not the source",
        ),
        pytest.param({"service.name": "orders"}, SERVICE, "orders", id="dotted"),
        pytest.param({"k8s.deployment.name": "orders"}, SERVICE, "orders", id="dotted and prefixed"),
        pytest.param({"kubernetes_name": "orders"}, SERVICE, "orders", id="the scrape annotation's name"),
        pytest.param(
            {"pod": "orders-5c9d8f7b6d-x2x4z", "job": "ksm"}, SERVICE, "orders", id="a pod without its hashes"
        ),
        pytest.param({"pod": "ledger-db-0"}, SERVICE, "ledger-db", id="a StatefulSet's pod of a service merely needed"),
        pytest.param({"slo": "orders-latency-p99"}, SERVICE, "orders", id="the service that an SLO's name begins with"),
        pytest.param(
            {"service": "orders", "namespace": "staging"}, OUTSIDE, "orders", id="a namesake elsewhere is another"
        ),
        pytest.param(
            {
                "service": "exporter",
                "exported_service": "tariff",
                "exported_namespace": "shop",
                "namespace": "monitoring",
            },
            SERVICE,
            "tariff",
            id="exported labels are the target's own",
        ),
        pytest.param({"service": "mailer"}, OUTSIDE, "mailer", id="a name that the graph does not know"),
        pytest.param(
            {"instance": "10.0.0.7:9100", "job": "node-exporter", "namespace": "monitoring"},
            NODE,
            "10.0.0.7",
            id="a node by its exporter",
        ),
        pytest.param({"node": "worker-3", "namespace": "kube-system"}, NODE, "worker-3", id="a node by name"),
        pytest.param({"namespace": "shop", "job": "kube-state-metrics"}, NAMESPACE, "shop", id="a namespace"),
    ],
)
def test_an_alert_is_about_what_its_most_telling_label_names(labels: dict[str, str], kind: str, name: str) -> None:
    entity = EntityReader(GRAPH)(labels, "error")
    assert (entity.kind, entity.name) == (kind, name)


@pytest.mark.parametrize(
    ("url", "service"),
    [
        pytest.param("https://www.example.com/api/orders", "orders", id="a segment of the path"),
        pytest.param("https://www.example.com/tariffs/7", "tariff", id="in the plural"),
        pytest.param("https://search.example.com/", "search", id="a host name"),
        pytest.param("https://www.example.com/health", "gateway", id="else the top of the graph"),
        pytest.param("https://[half/orders", "gateway", id="a URL that is none"),
    ],
)
def test_a_probe_is_about_the_service_of_its_url(url: str, service: str) -> None:
    labels = {"instance": url, "job": "blackbox", "namespace": "monitoring"}
    assert EntityReader(GRAPH)(labels, "probe").name == service


def test_without_a_topology_every_name_is_a_service_and_a_namesake_elsewhere_is_another() -> None:
    read = EntityReader(Graph({}), home="shop", strangers=True)
    assert [read({"service": "a", "namespace": ns}, "error").name for ns in ("", "shop", "billing")] == [
        "a", "a", "billing-a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("alert", "kind", "expected"),
    [
        pytest.param(an_alert("ErrorsHigh"), "error", 270, id="errors fill a window"),
        pytest.param(
            an_alert("PodNotReady", "not ready for longer than 15 minutes"),
            "workload",
            990,
            id="the text tells the time",
        ),
        pytest.param(an_alert("PodWaiting", "waiting for longer than 1 hour."), "workload", 3690, id="in hours"),
        pytest.param(an_alert("PodNotReady", "for its life"), "workload", 700, id="a text that tells none is a guess"),
        pytest.param(
            an_alert("Known", "for longer than 15 minutes"), "workload", 210, id="the rule's own `for` is best"
        ),
        pytest.param(an_alert("Burn", long="1h", short="5m"), "burn", 648, id="a burn's windows"),
        pytest.param(an_alert("Burn", long="6h"), "burn", 1620, id="a slow burn's window"),
        pytest.param(an_alert("Burn", long="nonsense"), "burn", 650, id="windows that nobody can read"),
        pytest.param(an_alert("Learnt"), "error", 350, id="what past groups taught is added"),
        pytest.param(
            an_alert("Ranged"), "error", 120 + 0.35 * 600 + 30, id="its `for`, and a share of its range fills"
        ),
        pytest.param(an_alert("Ranged"), "starved", 120 + 600 + 30, id="the whole range has to empty"),
        pytest.param(
            an_alert("Known"), "latency", 120 + 0.35 * 300 + 30, id="a range that nobody tells is five minutes"
        ),
        pytest.param(an_alert("Known"), "probe", 120 + 30, id="a probe looks at this moment"),
    ],
)
def test_the_lag_of_an_alert(alert: Alert, kind: str, expected: float) -> None:
    rules = Rules(
        AlertRules((AlertRule("Known", 120.0), AlertRule("Ranged", 120.0, window=600.0))),
        learnt={"Learnt": Learnt(80.0)},
    )
    assert lag_of(alert, kind, Method(), rules).expected == pytest.approx(expected)


def test_pods_of_one_service_are_one_fact_until_they_are_twenty_minutes_apart() -> None:
    reader = Reader(GRAPH, Method())
    starts = [0, 30, 60, 60 + 1300]
    alerts = [
        Alert(f"{n}", "firing", datetime.fromtimestamp(1e9 + s, UTC), {"alertname": "PodCrash", "pod": f"orders-{n}"}, {}, START)
        for n, s in enumerate(starts)
    ]  # fmt: skip
    facts = facts_of(map(reader, alerts), 1200)
    assert [(f.service, f.kind, len(f.readings)) for f in facts] == [("orders", "dead", 3), ("orders", "dead", 1)]


texts = st.one_of(
    st.text(max_size=30), st.sampled_from(["orders", "1h", "9" * 400 + "h", "http://[", "for 9" + "9" * 400 + " hours"])
)
names = st.one_of(
    st.text(min_size=1, max_size=12), st.sampled_from(["alertname", "service", "pod", "long", "instance", "slo"])
)


@given(st.dictionaries(names, texts, max_size=6), texts)
def test_whatever_an_alert_says_it_is_read_and_its_onset_is_a_time(labels: dict[str, str], text: str) -> None:
    for kind in ("", "SloBurn", "PodCrash", "ProbeFailed", "NoRequests"):
        alert = Alert(
            "f", "firing", START, {**labels, **({"alertname": kind} if kind else {})}, {"description": text}, START
        )
        reading = Reader(GRAPH, Method())(alert)
        assert abs(reading.onset - START.timestamp()) <= 31 * 86400
        assert reading.spread > 0 or not reading.kind


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param([], "FILE: not a JSON object", id="no object"),
        pytest.param({"price": {}}, "FILE: 'price' is not known; there are", id="a misspelt part"),
        pytest.param({"prices": {"hops": 1}}, "FILE: prices: 'hops' is not known", id="a misspelt price"),
        pytest.param({"lags": {"error": "4m"}}, "FILE: lags.error: '4m' is not a number from 0", id="no number"),
        pytest.param({"spreads": {"error": 0}}, "FILE: spreads.error: 0 is not a number from 1", id="a spread of zero"),
        pytest.param(
            {"words": {"hygiene": "cert"}}, "FILE: words.hygiene: not a list of phrases", id="words as a text"
        ),
        pytest.param({"reach": True}, "FILE: reach: True is not a number", id="a boolean"),
    ],
)
def test_a_setting_that_is_wrong_is_named(value: object, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        method_of(value, "FILE")
    assert str(refused.value).startswith(message)


def test_a_setting_replaces_what_it_names_and_nothing_else() -> None:
    method = method_of({"words": {"hygiene": ["Licence*"]}, "prices": {"hop": 1}, "reach": 60}, "FILE")
    assert (method.prices.hop, method.prices.slow, method.reach) == (1.0, Method().prices.slow, 60.0)
    class_of = Classifier(method.words)
    assert (class_of("LicenceEnds"), class_of("BackupFailed")) == ("hygiene", "error")


def test_the_operator_reads_an_alert_by_the_rule_that_prometheus_has() -> None:
    crash = an_alert("PodCrashLooping", service="orders", severity="warning")
    onsets = []
    for rules in (NO_RULES, AlertRules((AlertRule("PodCrashLooping", 900.0, (("severity", "warning"),)),))):
        facts = CorrelationFacts("shop", rules=rules)
        health = ServiceHealth(Topology(()), (), datetime.fromtimestamp(2e9, UTC), timedelta(0))
        onsets.append(reader_of(facts, health, Method())(crash).onset)
    guessed, known = onsets
    assert guessed - known == pytest.approx(900 + Method().lags.after_for - Method().lags.workload)
