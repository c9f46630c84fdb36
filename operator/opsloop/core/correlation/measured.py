"""Incidents that need no alert: a burn that fired, a workload without an available pod, an SLI that is unknown for long."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.core.actions import CreateIncident
from opsloop.core.correlation.new_incident import for_blindness, for_burn, for_outage, for_shortage, for_silence
from opsloop.core.correlation.service_health import ServiceHealth
from opsloop.core.incident import outage
from opsloop.core.incident.dependencies import Breach, breach_of
from opsloop.core.readings import Verdict
from opsloop.core.release.budgets import SHORTAGE_AFTER, shortage_since
from opsloop.core.release.outages import OUTAGE_AFTER, outage_since
from opsloop.core.release.silence import silent_together, starved_since, told_in
from opsloop.core.slo.anew import burns_anew
from opsloop.core.slo.merged import verdicts

TELEMETRY = "telemetry of the namespace"  # the root of many silent SLIs; no Release can have this name
Fired = Mapping[str, Mapping[str, Verdict]]  # root → Release whose tier fires → its verdict


def incidents_for_measured_harm(
    health: ServiceHealth, incidents: Sequence[Incident], now: datetime
) -> tuple[dict[str, CreateIncident], list[timedelta]]:
    """(root → Incident, times until an outage or a silence is one). Each root has one Incident at most, by its worst harm."""
    fired, views = _fired(health), health.topology.views
    roots, waits = _outages(health, fired, now)
    creates = {root: for_outage(root, views[root], incidents, now) for root in roots}
    for root in _burns(health, fired, roots):
        creates[root] = for_burn(root, views, fired[root], incidents)
    short, more = _shortages(health, now)
    waits += more
    for root in short:
        if root not in creates:
            creates[root] = for_shortage(root, views[root], incidents, now)
    silent = {name: left for name, view in views.items() if (left := told_in(view.release, now)) is not None}
    together = silent_together([view.release for view in views.values()])
    for root, left in silent.items():
        if left:
            waits.append(left)
        elif root in together:
            if TELEMETRY not in health.open:
                creates[TELEMETRY] = for_blindness(TELEMETRY, [views[n] for n in together], incidents, now)
        elif root not in health.open and root not in creates:
            creates[root] = for_silence(root, views[root], incidents, now)
    return creates, waits


def _fired(health: ServiceHealth) -> Fired:
    fired: dict[str, dict[str, Verdict]] = {}
    for name, view in health.topology.views.items():
        verdict, breach = view.readings.verdict, breach_of(view)
        if verdict is not None and breach is not None and verdict.firing is not None and verdict.firing.firing:
            fired.setdefault(health.burning_root(name, breach), {})[name] = verdict
    return fired


def _outages(health: ServiceHealth, fired: Fired, now: datetime) -> tuple[list[str], list[timedelta]]:
    """Roots whose outage is an Incident now: it lasts, or its dependents breach already. Others follow later.

    Traffic that is gone while pods are missing is one too.
    """
    roots, waits = [], []
    for name, view in health.topology.views.items():
        since = outage_since(view.release) or starved_since(view.release)
        if since is None:
            continue
        left = OUTAGE_AFTER - (now - since)
        if left > timedelta(0) and not fired.get(name, {}).keys() - {name}:
            waits.append(left)
            continue
        root = health.burning_root(name, Breach(outage.SEVERITY, since, OUTAGE_AFTER))
        if root == name and root not in health.open and root not in health.recent:
            roots.append(root)
    return roots, waits


def _shortages(health: ServiceHealth, now: datetime) -> tuple[list[str], list[timedelta]]:
    """Roots of which a PodDisruptionBudget has wanted more pods for long enough, where nothing else is open or just ended."""
    roots, waits = [], []
    for name, view in health.topology.views.items():
        since = shortage_since(view.release)
        if since is None:
            continue
        left = SHORTAGE_AFTER - (now - since)
        if left > timedelta(0):
            waits.append(left)
        elif name not in health.open and name not in health.recent:
            roots.append(name)
    return roots, waits


def _burns(health: ServiceHealth, fired: Fired, outages: Collection[str]) -> set[str]:
    """Roots of a burn that fired, unless one is open, will be reopened, or has ended and is all that the windows hold.

    The one that has ended explains what its dependents' windows still hold; one that burns again without a tier of its own
    that fires is not reopened by that, so its dependents' burn opens another.
    """
    covered = {r for r in health.recent if r in fired.get(r, {}) or health.is_out(r) or not health.is_harmed_now(r)}
    covered |= {r for r in health.ended.keys() - health.recent.keys() if _holds_the_past(health, fired, r)}
    return set(fired) - health.open.keys() - covered - set(outages)


def _holds_the_past(health: ServiceHealth, fired: Fired, root: str) -> bool:
    """True where the windows that burn hold the harm of which the root's last Incident told, and nothing new."""
    verdict = fired.get(root, {}).get(root)
    if verdict is None:
        return not health.is_harmed_now(root)
    status = health.ended[root].status
    ended = status.back_since or status.resolved_at
    if ended is None or not health.ended[root].burned:
        return False
    return not any(burns_anew(one, ended) for one in verdicts(verdict))
