"""The service that an alert is about, and its severity, read from the alert's labels."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache

from opsloop.api.meta import Severity
from opsloop.core.reported import Alert

# Labels that name the culprit, most telling first. `service` and `job` often name the exporter: they come late or are checked.
_DIRECT = (
    "service_name",
    "destination_service_name",
    "destination_canonical_service",
    "destination_workload",
    "destination_service",
)
_OBJECT = ("deployment", "statefulset", "daemonset", "workload", "horizontalpodautoscaler", "consumergroup")
_SERVICE = (
    "exported_service", "service", "kubernetes_name", "app", "app_kubernetes_io_name", "application", "component",
)  # fmt: skip
_LAST = ("job_name", "cronjob", "slo", "container", "exported_job", "job", "release")
_NAMESPACE = (
    "exported_namespace", "destination_service_namespace", "destination_workload_namespace", "service_namespace", "namespace",
)  # fmt: skip
_NODE = ("node", "nodename", "hostname")
_PREFIX = re.compile(r"^(exported|k8s|kubernetes|kube|label|resource)_")
_POD = re.compile(r"^(?P<deployment>.+?)(-[0-9a-z]{6,10}-[0-9a-z]{5}|-\d{1,4})$")
_EXPORTER = re.compile(
    r"kube-state-metrics|node-exporter|blackbox|kubelet|apiserver|prometheus|alertmanager|cadvisor|pushgateway"
)
_SLO_TAIL = re.compile(r"-(requests|latency|errors|availability|quality|slo)$")
_IDENTIFYING = frozenset(
    (
        *_DIRECT,
        *_OBJECT,
        *_SERVICE,
        *_LAST,
        *_NAMESPACE,
        *_NODE,
        "pod",
        "instance",
        "alertname",
        "severity",
        "long",
        "short",
    )
)

LONGEST_NAMESPACE = 63  # characters, as in Kubernetes
LONGEST = 253 - LONGEST_NAMESPACE - 1  # of a name; NAMESPACE-NAME still fits where an object holds a name

CRITICAL = frozenset({"critical", "page", "emergency", "fatal", "error", "high", "p1", "sev1"})
WARNING = frozenset({"warning", "warn", "medium", "ticket", "p2", "sev2", "sev3"})


def is_identifying(name: str) -> bool:
    """True for a label that says what an alert is about, however its name is spelled."""
    return spelled(name) in _IDENTIFYING


@lru_cache(maxsize=4096)
def spelled(name: str) -> str:
    """A label's name as Prometheus spells it: `service.name` and `k8s.deployment.name` are `service_name` and `deployment`."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
    for shorter in (plain, _PREFIX.sub("", plain)):
        for short in (shorter, shorter.removesuffix("_name")):
            if short in _IDENTIFYING:
                return short
    return plain


def as_spelled(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that are not empty, by their names as Prometheus spells them; one that is spelled so already comes first."""
    plain: dict[str, str] = {}
    for name, value in labels.items():
        short = spelled(name)
        if value and (name == short or short not in plain):
            plain[short] = bounded(value)
    return plain


def bounded(name: str, most: int = LONGEST) -> str:
    """A name that objects can hold: a longer one is cut, and told from others like it by a hash of the whole."""
    return name if len(name) <= most else f"{name[: most - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def service_of(labels: Mapping[str, str], known: Collection[str] = ()) -> str:
    """The service: the first of `known` (Releases, workloads) in the labels, else the first name at all, else ""."""
    first = ""
    for name in candidates(as_spelled(labels)):
        if name in known:
            return name
        if not first and not is_exporter(name):
            first = name
    return first


def is_exporter(name: str) -> bool:
    """True for the name of something that merely tells of others."""
    return _EXPORTER.search(name) is not None


def namespace_of(labels: Mapping[str, str]) -> str:
    """The namespace that the alert is about, "" where its labels name none."""
    plain = as_spelled(labels)
    return bounded(next((plain[name] for name in _NAMESPACE if name in plain), ""), LONGEST_NAMESPACE)


def node_of(labels: Mapping[str, str]) -> str:
    """The node that the alert is about, "" where its labels name none. `labels` as spelled."""
    return next((labels[name] for name in _NODE if name in labels), "")


def name_of(alert: Alert) -> str:
    """alertname, or "alert"."""
    return alert.labels.get("alertname") or "alert"


def loudness(alert: Alert) -> int:
    """2 critical, 1 warning, 0 informational or without a severity."""
    return loudness_of(alert.labels.get("severity", ""))


def loudness_of(severity: str) -> int:
    """As `loudness`, by the label."""
    severity = severity.lower()
    return 2 if severity in CRITICAL else 1 if severity in WARNING else 0


def alert_severity(alerts: Sequence[Alert], has_slo: bool) -> Severity:
    """The severity of an Incident that has only alerts: at most sev3 where an SLO decides who is paged, else critical pages."""
    return severity_of(max((loudness(a) for a in alerts), default=0), has_slo)


def severity_of(loudest: int, has_slo: bool) -> Severity:
    """As `alert_severity`, by the loudness of the loudest alert."""
    if loudest == 2:
        return "sev3" if has_slo else "sev2"
    return "sev3" if loudest == 1 else "sev4"


def candidates(labels: Mapping[str, str]) -> Iterator[str]:
    """Names that may be the service's, most telling first; `labels` as spelled."""
    for label in (*_DIRECT, *_OBJECT, *_SERVICE):
        if label in labels:
            yield labels[label].split(".")[0]  # destination_service may be a host name
    if match := _POD.match(labels.get("pod", "")):
        yield match["deployment"].removesuffix("-canary")
        yield match["deployment"]
    for label in _LAST:
        if label in labels:
            yield _SLO_TAIL.sub("", labels[label])
