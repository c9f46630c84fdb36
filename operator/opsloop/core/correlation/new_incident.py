"""The Incident that alerts or a burn open: name, title, severity, signal, owner."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from opsloop.api.incident import BurnSignal, Incident, IncidentSpec, Signal
from opsloop.core import conditions
from opsloop.core.actions import CreateIncident
from opsloop.core.alerts.labels import alert_severity, loudness, name_of
from opsloop.core.facts import ReleaseView
from opsloop.core.incident import blindness, outage
from opsloop.core.incident.state import burn_signal
from opsloop.core.readings import TierVerdict, Verdict
from opsloop.core.release.outages import outage_since
from opsloop.core.reported import Alert
from opsloop.core.slo.objectives import label
from opsloop.names import RELEASE, incident_name, incident_number

LONGEST_LABEL = 63  # of a label's value in Kubernetes
LONGEST_SERVICE = 253


def for_alerts(
    root: str,
    view: ReleaseView | None,
    alerts: Sequence[Alert],
    incidents: Sequence[Incident],
    taken: Collection[str] = (),
    split_from: str = "",
) -> CreateIncident:
    """The Incident that these alerts open; `taken`: names that this decision has given to others, `split_from`: where they were."""
    has_slo = view is not None and view.release.spec.slo is not None
    message = describe(alerts)
    before = f", filed in {split_from} before" if split_from else ""
    signal = Signal(
        kind="alerts",
        at=min(a.received_at for a in alerts),
        severity=alert_severity(alerts, has_slo),
        message=f"{message} (on {root}{before})"[:1024],
    )
    return _create(root, view, f"{root}: {message}", signal, _owner(alerts, view), incidents, taken)


def for_housekeeping(
    alertname: str, alerts: Sequence[Alert], incidents: Sequence[Incident], taken: Collection[str] = ()
) -> CreateIncident:
    """The Incident of alerts that want some care and tell of no fault (a certificate, a backup): seen, and paging nobody."""
    message, severity = describe(alerts), alert_severity(alerts, has_slo=True)
    signal = Signal(
        kind="housekeeping", at=min(a.received_at for a in alerts), severity=severity, message=message[:1024]
    )
    return _create(alertname, None, f"housekeeping: {message}", signal, _owner(alerts, None), incidents, taken)


def for_burn(
    root: str, views: Mapping[str, ReleaseView], fired: Mapping[str, Verdict], incidents: Sequence[Incident]
) -> CreateIncident:
    """The Incident of `root` for the tiers that fired on it or on its dependents; `fired`: Release → verdict."""
    tiers = {name: (verdict, verdict.firing) for name, verdict in fired.items() if verdict.firing}
    name = min(tiers, key=lambda n: (n != root, tiers[n][1].tier.severity, n))
    verdict, tier = tiers[name]
    burn = burn_signal(verdict, views[name].release.spec.slo if name in views else None)
    message = _burn_message(root, name, burn, tier)
    signal = Signal(kind="burn", at=verdict.at, severity=tier.tier.severity, burn=burn, message=message[:1024])
    view, of = views.get(root), f" of {burn.slo}" if name == root and label(burn.slo) else ""
    return _create(root, view, f"{root} burns its error budget{of}", signal, _owner((), view), incidents)


def for_outage(root: str, view: ReleaseView, incidents: Sequence[Incident], now: datetime) -> CreateIncident:
    """The Incident of a root of which no pod is available, or whose traffic is gone while pods are missing."""
    known = {c.type: c.message for c in view.release.status.conditions}
    message, since = known.get("Available", ""), outage_since(view.release)
    title, severity = outage.title(root), outage.SEVERITY
    if since is not None:
        message = f"no pod of {root} is available: {message}, since {since:%H:%M:%S} UTC"
    else:
        title, severity = f"{root}: its traffic is gone, and pods are missing"[:256], outage.STARVED_SEVERITY
        message = f"{message}; {known.get('TelemetryKnown', '')}"
    signal = Signal(kind="workload", at=now, severity=severity, message=message[:1024])
    return _create(root, view, title, signal, _owner((), view), incidents)


def for_shortage(root: str, view: ReleaseView, incidents: Sequence[Incident], now: datetime) -> CreateIncident:
    """The Incident of a root with fewer available pods than its PodDisruptionBudget wants; it pages nobody."""
    condition = conditions.get(view.release.status.conditions, "BudgetMet")
    message = f"{condition.message}, since {condition.last_transition_time:%H:%M:%S} UTC" if condition else ""
    signal = Signal(kind="capacity", at=now, severity="sev3", message=message[:1024])
    return _create(
        root, view, f"{root}: fewer pods than its PodDisruptionBudget wants", signal, _owner((), view), incidents
    )


def for_silence(root: str, view: ReleaseView, incidents: Sequence[Incident], now: datetime) -> CreateIncident:
    """The Incident of a root whose SLI nobody can read for long; it pages nobody."""
    condition = conditions.get(view.release.status.conditions, "TelemetryKnown")
    message = f"{condition.reason}: {condition.message}" if condition else ""
    signal = Signal(kind="telemetry", at=now, severity="sev3", message=message[:1024])
    return _create(root, view, f"{root}: its SLI is unknown", signal, _owner((), view), incidents)


def for_blindness(
    root: str, views: Sequence[ReleaseView], incidents: Sequence[Incident], now: datetime
) -> CreateIncident:
    """The one Incident of many Releases whose SLIs nobody can read; it pages nobody."""
    condition = conditions.get(views[0].release.status.conditions, "TelemetryKnown")
    why = f", for example {condition.reason}: {condition.message}" if condition else ""
    names = [view.release.metadata.name for view in views]
    shown = f"{', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}"
    signal = Signal(kind="telemetry", at=now, severity="sev3", message=f"unknown: {shown}{why}"[:1024])
    return _create(root, None, blindness.title(len(names)), signal, "", incidents)


def describe(alerts: Sequence[Alert]) -> str:
    """One line: the commonest alert among the loudest, and how many others."""
    distinct = {a.fingerprint: a for a in alerts}.values()
    loudest = max(loudness(a) for a in distinct)
    names = Counter(name_of(a) for a in distinct if loudness(a) == loudest)
    first = min(names, key=lambda name: (-names[name], name))
    more = len(distinct) - 1
    return first if not more else f"{first} and {more} more alert{'s' if more > 1 else ''}"


def slug(text: str) -> str:
    """A DNS label of at most 40 characters for a root that is no Release."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not plain or len(plain) > 40:
        plain = f"{plain[:31].strip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")
    return plain


def _burn_message(root: str, name: str, burn: BurnSignal, tier: TierVerdict) -> str:
    of = f" of {burn.slo}" if label(burn.slo) else ""
    message = f"{name} burns its error budget{of} {burn.burn_short:.3g} times too fast"
    message += f" (windows {burn.long} and {burn.short}, limit {tier.tier.factor:g})"
    if name != root:
        message += f"; {root}, which it depends on, burns too and is the root, though its own tier has not fired yet"
    return message


def _create(
    root: str,
    view: ReleaseView | None,
    title: str,
    signal: Signal,
    owner: str,
    incidents: Sequence[Incident],
    taken: Collection[str] = (),
) -> CreateIncident:
    base = root if view else slug(root)
    numbers = {incident_number(i.metadata.name, base): i.metadata.name for i in incidents}
    latest = max(numbers, default=0)
    given = [incident_number(name, base) for name in taken]
    number = 1 + max(latest, *given, view.release.status.last_episode if view else 0)
    spec = IncidentSpec(
        release=root if view else "",
        service=root[:LONGEST_SERVICE],
        title=title[:256],
        signal=signal,
        previous=numbers[latest] if latest else "",
        owner=owner,
    )
    labels = {RELEASE: root} if view and len(root) <= LONGEST_LABEL else {}
    return CreateIncident(name=incident_name(base, number), spec=spec, labels=labels)


def _owner(alerts: Sequence[Alert], view: ReleaseView | None) -> str:
    """The Release's team, else the one that most alerts name."""
    if view and view.release.metadata.labels.get("team"):
        return view.release.metadata.labels["team"][:128]
    teams = Counter(a.labels["team"] for a in alerts if a.labels.get("team"))
    return min(teams, key=lambda t: (-teams[t], t))[:128] if teams else ""
