"""The service that an alert is about, and its severity, read from the alert's labels."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from opsloop.api.meta import Severity
from opsloop.core.facts import Alert

# Labels that name the culprit, most telling first. `service` and `job` often name the exporter: they come late or are checked.
_DIRECT = (
    "service_name",
    "destination_service_name",
    "destination_canonical_service",
    "destination_workload",
    "destination_service",
)
_OBJECT = ("deployment", "statefulset", "daemonset", "workload", "horizontalpodautoscaler", "consumergroup")
_SERVICE = ("service", "app", "app_kubernetes_io_name", "application", "component")
_LAST = ("job_name", "cronjob", "slo", "container", "job", "release")
_NAMESPACE = ("exported_namespace", "destination_service_namespace", "destination_workload_namespace", "namespace")
_POD = re.compile(r"^(?P<deployment>.+?)(-[0-9a-z]{6,10}-[0-9a-z]{5}|-\d{1,4})$")
_EXPORTER = re.compile(
    r"kube-state-metrics|node-exporter|blackbox|kubelet|apiserver|prometheus|alertmanager|cadvisor|pushgateway"
)
_SLO_TAIL = re.compile(r"-(requests|latency|errors|availability|quality|slo)$")
_FAILURE = re.compile(
    r"error|fail|down|unavailable|wrong|incorrect|latency|slow|timeout|crash|oom|unreachable|burn"
    r"|notready|mismatch|rolloutstuck|waiting|saturation|lag|inactive|5xx",
    re.IGNORECASE,
)
_STARVED = re.compile(
    r"no_?(requests|traffic|calls|database|messages|consumers)|traffic_?(drop|low)|low_?traffic", re.IGNORECASE
)
IDENTIFYING = (*_DIRECT, *_OBJECT, *_SERVICE, *_LAST, *_NAMESPACE, "pod", "alertname", "severity")

CRITICAL = frozenset({"critical", "page", "emergency", "fatal", "error", "high", "p1", "sev1"})
WARNING = frozenset({"warning", "warn", "medium", "ticket", "p2", "sev2", "sev3"})


def service_of(labels: Mapping[str, str], known: Collection[str] = ()) -> str:
    """The service: the first of `known` (Releases, workloads) in the labels, else the first name at all, else ""."""
    first = ""
    for name in _candidates(labels):
        if name in known:
            return name
        if not first and not _EXPORTER.search(name):
            first = name
    return first


def namespace_of(labels: Mapping[str, str]) -> str:
    """The namespace that the alert is about, "" where its labels name none."""
    return next((labels[name] for name in _NAMESPACE if labels.get(name)), "")


def name_of(alert: Alert) -> str:
    """alertname, or "alert"."""
    return alert.labels.get("alertname") or "alert"


def loudness(alert: Alert) -> int:
    """2 critical, 1 warning, 0 informational or without a severity."""
    severity = alert.labels.get("severity", "").lower()
    return 2 if severity in CRITICAL else 1 if severity in WARNING else 0


def alert_severity(alerts: Sequence[Alert], has_slo: bool) -> Severity:
    """The severity of an Incident that has only alerts: at most sev3 where an SLO decides who is paged, else critical pages."""
    loudest = max((loudness(a) for a in alerts), default=0)
    if loudest == 2:
        return "sev3" if has_slo else "sev2"
    return "sev3" if loudest == 1 else "sev4"


def is_failure(alert: Alert) -> bool:
    """True for an alert on failing or slow requests or pods, not on a stale index, a full disk or a certificate."""
    if is_starved(alert):
        return False
    return loudness(alert) == 2 or (loudness(alert) == 1 and bool(_FAILURE.search(name_of(alert))))


def is_starved(alert: Alert) -> bool:
    """True for an alert that nobody calls the service. That is the callers' harm and says nothing against the service."""
    return _STARVED.search(name_of(alert)) is not None


def _candidates(labels: Mapping[str, str]) -> Iterator[str]:
    for label in (*_DIRECT, *_OBJECT, *_SERVICE):
        if labels.get(label):
            yield labels[label].split(".")[0]  # destination_service may be a host name
    if match := _POD.match(labels.get("pod", "")):
        yield match["deployment"].removesuffix("-canary")
        yield match["deployment"]
    for label in _LAST:
        if labels.get(label):
            yield _SLO_TAIL.sub("", labels[label])
