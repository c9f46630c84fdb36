"""The ledger of one Incident: every alert episode and linked ticket, with keys, so that filing twice is nothing.

An episode is (fingerprint, startsAt). Its status only goes firing → resolved, whatever the order of arrival, so `merge`
is idempotent, commutative and associative: a crash between filing and clearing the inbox changes no count.

An episode that moves to another Incident is filed there first, and then its record here says that it left. That record wins over
every notification; only a later turn, which brings the episode back, wins over it. So a crash between both writes loses
nothing, and the next look, which finds the episode in two ledgers, writes the record that is missing.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from opsloop.api.reported import AlertCounts, AlertSample, LinkedTicket
from opsloop.core.alerts import corrections as by_people
from opsloop.core.alerts.labels import name_of, service_of
from opsloop.core.reported import Alert, Correction, Ledger, Moved, Ticket

SAMPLE = 10
SERVICE_NAME = 128  # characters of a service's name in the counts
MAX_SERVICES = 100  # in by_service; the Incident stays small
REPEATS = 3  # repeat intervals without a word of an alert after which it is stale: one may be late and one may get lost
HEARD = timedelta(minutes=15)
"""Step in which the last word of an alert is kept: groups repeat all their alerts whenever one changes, and that is no write."""

Episode = tuple[str, datetime]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def episode(alert: Alert) -> Episode:
    """Identity of a notification: fingerprint and startsAt."""
    return alert.fingerprint, alert.starts_at


def merge(
    ledger: Ledger,
    alerts: Iterable[Alert] = (),
    tickets: Iterable[LinkedTicket] = (),
    moves: Iterable[Moved] = (),
    originals: Iterable[Ticket] = (),
    corrections: Iterable[Correction] = (),
) -> Ledger:
    """The ledger with these alerts and tickets filed, and with these records of what came and left, and of what people by_people."""
    episodes: dict[Episode, Alert] = {}
    for alert in (*ledger.alerts, *ledger.gone, *alerts):
        earlier = episodes.get(episode(alert))
        episodes[episode(alert)] = alert if earlier is None else _join(earlier, alert)
    by_id: dict[str, dict[str, Any]] = {}
    for ticket in (*ledger.tickets, *(t.dump() for t in tickets)):
        by_id[ticket["id"]] = max(by_id.get(ticket["id"], ticket), ticket, key=_ticket_order)
    latest: dict[Episode, Moved] = {}
    for move in (*ledger.moves, *moves):
        key = move.fingerprint, move.starts_at
        latest[key] = max(latest.get(key, move), move)
    ordered = sorted(episodes.values(), key=lambda a: (a.starts_at, a.fingerprint))
    left = {key for key, move in latest.items() if move.out}
    return Ledger(
        tuple(a for a in ordered if episode(a) not in left),
        tuple(by_id[key] for key in sorted(by_id)),
        tuple(a for a in ordered if episode(a) in left),
        tuple(sorted(latest.values())),
        ledger.pages,
        _by_id((*ledger.originals, *originals)),
        by_people.merged(ledger.corrections, corrections),
    )


def counts(ledger: Ledger, heard_since: datetime | None = None) -> AlertCounts:
    """Exact counts of distinct fingerprints; the sample is the earliest few. `heard_since` as in `firing_now`."""
    unended, firing = firing_now(ledger.alerts), firing_now(ledger.alerts, heard_since)
    distinct: dict[str, Alert] = {}
    for alert in ledger.alerts:
        distinct.setdefault(alert.fingerprint, alert)
    services = Counter(service_of(alert.labels)[:SERVICE_NAME] for alert in distinct.values())
    tallies = [page.tally for page in ledger.pages]
    for tally in tallies:
        services.update(tally.by_service)
    told = [(at, number) for tally in tallies for at, number in tally.unended]
    speaking = sum(number for at, number in told if heard_since is None or at >= heard_since)
    rolled = sum(tally.count for tally in tallies)
    times = [alert.starts_at for alert in ledger.alerts]
    times += [at for tally in tallies for at in (tally.first_at, tally.last_at) if at is not None]
    return AlertCounts(
        count=len(distinct) + rolled,
        firing=len(firing) + speaking,
        stale=len(unended) - len(firing) + sum(number for _, number in told) - speaking,
        short=rolled,
        first_at=min(times, default=None),
        last_at=max(times, default=None),
        by_service=dict(sorted(services.most_common(MAX_SERVICES))),
        sample=[_sample(alert, unended, firing) for alert in list(distinct.values())[:SAMPLE]],
    )


def heard_at(alert: Alert) -> datetime:
    """The last time that somebody spoke of this episode, to within HEARD."""
    return alert.heard_at or _step(alert.received_at)


def firing_now(alerts: Iterable[Alert], heard_since: datetime | None = None) -> set[str]:
    """Fingerprints whose latest episode fires.

    An earlier episode that ended after the latest began covers it: Alertmanager moves startsAt back when it merges two.
    One of which nobody spoke since `heard_since` does not fire: it is stale. Alertmanager repeats what goes on, and sends
    no end for what a person silenced.
    """
    latest: dict[str, Alert] = {}
    ended: dict[str, datetime] = {}
    for alert in alerts:
        later = latest.get(alert.fingerprint)
        if later is None or later.starts_at < alert.starts_at:
            latest[alert.fingerprint] = alert
        if alert.status == "resolved" and alert.ends_at:
            ended[alert.fingerprint] = max(alert.ends_at, ended.get(alert.fingerprint, alert.ends_at))
    return {
        fp
        for fp, alert in latest.items()
        if alert.status == "firing"
        and not (fp in ended and ended[fp] > alert.starts_at)
        and (heard_since is None or heard_at(alert) >= heard_since)
    }


def tickets_of(ledger: Ledger) -> list[LinkedTicket]:
    """The linked tickets as people corrected them, by the time at which they were received."""
    records = by_people.by_ticket(ledger.corrections)
    linked = (LinkedTicket.model_validate(t) for t in ledger.tickets if not by_people.is_out(records.get(t["id"], ())))
    return sorted((by_people.linked(t, records.get(t.id, ())) for t in linked), key=lambda t: (t.received_at, t.id))


def _by_id(tickets: Iterable[Ticket]) -> tuple[Ticket, ...]:
    """Of each ticket the one that came first."""
    found: dict[str, Ticket] = {}
    for ticket in tickets:
        found[ticket.id] = min(found.get(ticket.id, ticket), ticket, key=lambda t: (t.received_at, t.subject, t.body))
    return tuple(found[key] for key in sorted(found))


def _join(one: Alert, two: Alert) -> Alert:
    """Text of the notification that came first; resolved wins; the latest end, and the latest word of it."""
    first = min(one, two, key=_alert_order)
    ends = [alert.ends_at for alert in (one, two) if alert.ends_at]
    status, heard = max(one.status, two.status), max(heard_at(one), heard_at(two))  # "firing" < "resolved"
    later = heard if heard > first.received_at else None
    return replace(first, status=status, ends_at=max(ends, default=None), heard_at=later)


def _step(moment: datetime) -> datetime:
    return moment - (moment - _EPOCH) % HEARD


def _alert_order(alert: Alert) -> tuple[datetime, str]:
    return alert.received_at, json.dumps([sorted(alert.labels.items()), sorted(alert.annotations.items())])


def _ticket_order(ticket: Mapping[str, Any]) -> tuple[float, str]:
    return ticket["score"], json.dumps(ticket, sort_keys=True)


def _sample(alert: Alert, unended: Collection[str], firing: Collection[str]) -> AlertSample:
    fires, ended = alert.fingerprint in firing, alert.fingerprint not in unended
    return AlertSample(
        fingerprint=alert.fingerprint[:64],
        name=name_of(alert)[:128],
        service=service_of(alert.labels)[:128],
        status="firing" if fires else "resolved" if ended else "stale",
        starts_at=alert.starts_at,
    )
