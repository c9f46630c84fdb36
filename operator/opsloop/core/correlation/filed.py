"""Where what was filed before lies: an alert is judged once and then sticks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.core.alerts.ledger import firing_now
from opsloop.core.facts import Ledger


@dataclass(frozen=True, slots=True)
class Filed:
    """Where what is already filed lies."""

    episodes: Mapping[tuple[str, datetime], str]
    holders: Mapping[str, str]  # fingerprint → Incident that takes a further episode: open, else one that reopens
    firing: Mapping[str, str]  # fingerprint → Incident, open or closed, by whose ledger it fires


def filed(incidents: Sequence[Incident], ledgers: Mapping[str, Ledger], now: datetime, grace: timedelta) -> Filed:
    """The index of all ledgers at hand."""
    episodes: dict[tuple[str, datetime], str] = {}
    holders: dict[str, str] = {}
    firing: dict[str, str] = {}
    for incident in sorted(incidents, key=lambda i: (i.is_open, i.spec.signal.at)):  # an open one overrides
        name = incident.metadata.name
        alerts = ledgers.get(name, Ledger()).alerts
        episodes |= {(a.fingerprint, a.starts_at): name for a in alerts}
        firing |= dict.fromkeys(firing_now(alerts), name)
        if incident.is_open or incident.reopens(grace, now):
            holders |= {a.fingerprint: name for a in alerts}
    return Filed(episodes, holders, firing)
