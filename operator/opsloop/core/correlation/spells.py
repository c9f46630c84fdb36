"""Spells: episodes of one alert that go on from each other and stay together.

Prometheus begins a new episode (startsAt) whenever a rule stops holding for a moment. An alert that fires again soon after its
end goes on: it is told by its first episode, and wherever that goes the later ones go.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from opsloop.core.correlation.facts import Key
from opsloop.core.reported import Alert

REFIRE = timedelta(minutes=20)  # an alert that fires again so soon after its end goes on, and is no new one
UNHEARD = timedelta(hours=1)  # the same, after its beginning, where nobody told of its end


def key_of(alert: Alert) -> Key:
    """The alert's episode."""
    return alert.fingerprint, alert.starts_at.timestamp()


def goes_on(began: datetime, ended: datetime | None, starts_at: datetime) -> bool:
    """True if an episode that starts then goes on from the one before it."""
    return starts_at <= ended + REFIRE if ended else starts_at - began <= UNHEARD


def spells(episodes: Iterable[Alert]) -> dict[Key, Key]:
    """Episode → the first one of its spell. Each episode comes once (`core.alerts.ledger.merge`)."""
    heads: dict[Key, Key] = {}
    head: Key = ("", 0.0)
    began, ended = datetime.min, None
    for alert in sorted(episodes, key=lambda a: (a.fingerprint, a.starts_at)):
        starts_at, own = alert.starts_at, key_of(alert)
        if alert.fingerprint != head[0] or not goes_on(began, ended, starts_at):
            head, ended = own, None
        heads[own] = head
        began, ended = starts_at, max(alert.ends_at, ended or alert.ends_at) if alert.ends_at else None
    return heads
