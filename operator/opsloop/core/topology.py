"""Who needs whom, by `spec.dependsOn` of all Releases of a namespace; and which of them an alert is about."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from opsloop.core.alerts.labels import is_failure, namespace_of, service_of
from opsloop.core.alerts.ledger import firing_now
from opsloop.core.facts import Alert, Ledger, ReleaseView


class Topology:
    """`dependsOn` of all Releases of a namespace."""

    def __init__(self, releases: Sequence[ReleaseView]) -> None:
        self.views = {
            view.release.metadata.name: view for view in releases if not view.release.metadata.deletion_timestamp
        }
        self._needs = {name: tuple(view.release.spec.depends_on) for name, view in self.views.items()}
        self._alias = {view.release.spec.workload_ref.name: name for name, view in self.views.items()}
        self._alias |= {needed: needed for needs in self._needs.values() for needed in needs}
        self._alias |= {name: name for name in self.views}
        self._reach: dict[str, dict[str, int]] = {}

    def root_name(self, alert: Alert, namespace: str, owners: Mapping[str, str]) -> str:
        """The Release (or a name in some dependsOn) that the alert is about; else its bare service; else ""."""
        known = self._alias | {service: owner for service, owner in owners.items() if owner in self.views}
        found = service_of(alert.labels, known)
        about = namespace_of(alert.labels)
        if about not in ("", namespace):  # a service of the same name elsewhere is another service
            return f"{about}-{found}" if found else ""
        return known.get(found, found)

    def dependencies(self, name: str) -> dict[str, int]:
        """All that `name` needs, with the least number of hops. Cycles end; `name` is not in it."""
        if name not in self._reach:
            self._reach[name] = self._walk(name)
        return self._reach[name]

    def _walk(self, name: str) -> dict[str, int]:
        hops, frontier = {name: 0}, [name]
        for current in frontier:
            for needed in self._needs.get(current, ()):
                if needed not in hops:
                    hops[needed] = hops[current] + 1
                    frontier.append(needed)
        del hops[name]
        return hops


def failing_services(
    alerts: Sequence[Alert],
    ledgers: Mapping[str, Ledger],
    open_names: frozenset[str],
    topology: Topology,
    namespace: str,
    owners: Mapping[str, str],
) -> dict[str, datetime]:
    """Service → earliest start of a failure alert that fires on it now, by the inbox and by open Incidents' ledgers."""
    heard = [*alerts, *(a for name in open_names if name in ledgers for a in ledgers[name].alerts)]
    firing = firing_now(_settled(heard))
    found: dict[str, datetime] = {}
    for alert in heard:
        name = topology.root_name(alert, namespace, owners)
        if name and alert.fingerprint in firing and is_failure(alert):
            found[name] = min(alert.starts_at, found.get(name, alert.starts_at))
    return found


def _settled(alerts: Sequence[Alert]) -> list[Alert]:
    """One alert per episode, resolved where any notification says so."""
    episodes: dict[tuple[str, datetime], Alert] = {}
    for alert in alerts:
        key = alert.fingerprint, alert.starts_at
        if key not in episodes or alert.status == "resolved":
            episodes[key] = alert
    return list(episodes.values())
