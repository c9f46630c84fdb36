"""Row 1, storm reduced: many alerts, one Incident.

Distinct alerts are counted as Prometheus evaluated them (`ALERTS`), together with what Alertmanager still holds,
not as the intake counted them.
"""

from collections.abc import Iterable, Mapping

from opsloop.api.incident import Incident
from opsloop.core.alerts.labels import service_of
from opsloop.core.alerts.pages import rolled_alerts
from opsloop.core.gate.evidence import FiredAlert, Missing, ShiftEvidence, shift_of
from opsloop.core.gate.report import Findings
from opsloop.core.gate.scope import explained_services
from opsloop.core.reported import Alert

FILED_SHARE = 0.95  # a few alerts may stop firing before Alertmanager's group_wait lets them out
INCIDENT_SHARE = 0.10
_NOT_OF_THE_ALERT = frozenset({"__name__", "alertstate"})

Labels = Mapping[str, str]


def judge(evidence: ShiftEvidence, incident: Incident, findings: Findings) -> str:
    """How many distinct alerts fired, and where they went."""
    for source in (evidence.alerts, evidence.filings, evidence.releases, evidence.incidents):
        if isinstance(source, Missing):
            findings.gap(source.why)
    if isinstance(evidence.alerts, Missing) or isinstance(evidence.releases, Missing):
        return ""
    fired = distinct((*evidence.alerts, *_active(evidence)))
    services = explained_services(incident, evidence.releases)
    ours = [labels for labels in fired if service_of(labels, services) in services]
    findings.fact(
        "distinct alerts", len(fired), f'ALERTS{{alertstate="firing",namespace="{evidence.namespace}"}} of the shift'
    )
    findings.fact(
        "on its services", f"{len(ours)} on {', '.join(sorted(services))}", "label service, dependsOn of the Releases"
    )
    if not fired and not _has_events(evidence):
        findings.gap("Prometheus has no data of the shift")
        return ""
    least = evidence.options.min_alerts
    findings.require(
        len(ours) >= least,
        f"{len(ours)} distinct alerts fired on {incident.spec.service}'s services, not {least}{_ruled(evidence)}",
    )
    _check_filed(evidence, incident, findings, ours, services)
    others = {service for labels in fired if (service := service_of(labels, services)) not in services}
    opened = _check_opened(evidence, incident, findings, len(fired), len(others))
    if not fired:
        return f"no alert fired, and none had to; {opened} incident(s) were opened"
    return f"{len(fired)} distinct alerts became {opened} incident(s); {len(ours)} of them are {incident.metadata.name}"


def _ruled(evidence: ShiftEvidence) -> str:
    """Why none could fire, where Prometheus has no rule that could."""
    return ": Prometheus has no alerting rule" if evidence.rules == () else ""


def distinct(alerts: Iterable[FiredAlert]) -> list[Labels]:
    """Label sets, each once, without what Prometheus adds to the series."""
    sets = {frozenset((k, v) for k, v in alert.labels.items() if k not in _NOT_OF_THE_ALERT) for alert in alerts}
    return [dict(pairs) for pairs in sorted(sets, key=sorted)]


def _active(evidence: ShiftEvidence) -> tuple[FiredAlert, ...]:
    return () if isinstance(evidence.active_alerts, Missing) else evidence.active_alerts


def _has_events(evidence: ShiftEvidence) -> bool:
    """True where Prometheus has events of the shift; a restarted one has neither alerts nor events."""
    return not isinstance(evidence.sli, Missing) and any(point.total > 0 for point in evidence.sli.points)


def _is_filed(labels: Labels, ledger: Iterable[Alert]) -> bool:
    """True by fingerprint, or by labels, since Prometheus adds its external labels on the way to Alertmanager."""
    mark = fingerprint(labels)
    return any(alert.fingerprint == mark or labels.items() <= alert.labels.items() for alert in ledger)


def fingerprint(labels: Labels) -> str:
    """Alertmanager's fingerprint: FNV-1a, 64 bit, over the sorted names and values, each followed by the byte 255."""
    value = 0xCBF29CE484222325
    for part in (text for name in sorted(labels) for text in (name, labels[name])):
        for byte in (*part.encode(), 255):
            value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def _check_filed(
    evidence: ShiftEvidence, incident: Incident, findings: Findings, ours: list[Labels], services: frozenset[str]
) -> None:
    if isinstance(evidence.filings, Missing) or not ours:
        return
    name = incident.metadata.name
    filed_on = evidence.filed_on(name)
    ledger = (*filed_on.alerts, *rolled_alerts(filed_on))
    share = sum(_is_filed(labels, ledger) for labels in ours) / len(ours)
    strangers = [alert.labels for alert in ledger if service_of(alert.labels, services) not in services]
    findings.fact(
        "filed on it",
        f"{share:.0%} of these, {len({a.fingerprint for a in ledger})} in all",
        f"ConfigMap {name}-ledger",
    )
    findings.require(
        share >= FILED_SHARE, f"only {share:.0%} of the alerts on its services are in the ledger of {name}"
    )
    findings.require(
        not strangers, f"{len(strangers)} unrelated alert(s) are in the ledger of {name}: {_names(strangers)}"
    )


def _names(alerts: list[Labels]) -> str:
    return ", ".join(sorted({labels.get("alertname", "?") for labels in alerts}))


def _check_opened(
    evidence: ShiftEvidence, incident: Incident, findings: Findings, alerts: int, other_services: int
) -> int:
    """One incident for ten alerts; always one, and one for each service that this fault does not explain."""
    if isinstance(evidence.incidents, Missing):
        return 0
    start, end = shift_of(incident, evidence.now)
    opened = [i for i in evidence.incidents if start <= (i.metadata.creation_timestamp or i.spec.signal.at) <= end]
    findings.fact("incidents opened", len(opened), "Incidents created in the shift")
    most = max(1.0 + other_services, INCIDENT_SHARE * alerts)
    expected = alerts or not evidence.options.min_alerts  # else that nothing fired is said already
    findings.require(
        not expected or len(opened) <= most, f"{alerts} alerts opened {len(opened)} incidents, more than one for ten"
    )
    return len(opened)
