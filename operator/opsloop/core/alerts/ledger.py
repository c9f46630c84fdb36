"""The ledger of one Incident: every alert episode and linked ticket, kept so that filing twice is nothing.

An episode is (fingerprint, startsAt). Its status only goes firing → resolved, whatever the order of arrival, so `merge`
is idempotent, commutative and associative: a crash between filing and clearing the inbox changes no count.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from opsloop.api.incident import AlertCounts, AlertSample, LinkedTicket
from opsloop.core.alerts.labels import KEPT, name_of, service_of
from opsloop.core.codec import MAX_OBJECT, dump_alert, load_alert, pack, unpack
from opsloop.core.facts import Alert, Ledger
from opsloop.errors import Invalid

LEDGER_KEY = "ledger.json.gz"
SAMPLE = 10
MAX_SERVICES = 100  # in by_service; the Incident stays small

Episode = tuple[str, datetime]


def episode(alert: Alert) -> Episode:
    """What makes two notifications the same: fingerprint and startsAt."""
    return alert.fingerprint, alert.starts_at


def merge(ledger: Ledger, alerts: Iterable[Alert] = (), tickets: Iterable[LinkedTicket] = ()) -> Ledger:
    """The ledger with these filed."""
    episodes: dict[Episode, Alert] = {}
    for alert in (*ledger.alerts, *alerts):
        known = episodes.get(episode(alert))
        episodes[episode(alert)] = alert if known is None else _join(known, alert)
    by_id: dict[str, dict[str, Any]] = {}
    for ticket in (*ledger.tickets, *(t.dump() for t in tickets)):
        known_ticket = by_id.get(ticket["id"])
        by_id[ticket["id"]] = ticket if known_ticket is None else max(known_ticket, ticket, key=_ticket_order)
    return Ledger(
        tuple(sorted(episodes.values(), key=lambda a: (a.starts_at, a.fingerprint))),
        tuple(by_id[key] for key in sorted(by_id)),
    )


def join(ledgers: Iterable[Ledger]) -> Ledger:
    """One ledger of several: an Incident's own, and those of the Incidents that were merged into it."""
    joined = Ledger()
    for one in ledgers:
        joined = merge(joined, one.alerts, tickets_of(one))
    return joined


def counts(ledger: Ledger) -> AlertCounts:
    """Exact counts of distinct fingerprints; the sample is the earliest few."""
    firing = firing_now(ledger.alerts)
    distinct: dict[str, Alert] = {}
    for alert in ledger.alerts:
        distinct.setdefault(alert.fingerprint, alert)
    services = Counter(service_of(alert.labels)[:128] for alert in distinct.values())
    return AlertCounts(
        count=len(distinct),
        firing=len(firing),
        first_at=min((a.starts_at for a in ledger.alerts), default=None),
        last_at=max((a.starts_at for a in ledger.alerts), default=None),
        by_service=dict(sorted(services.most_common(MAX_SERVICES))),
        sample=[_sample(alert, alert.fingerprint in firing) for alert in list(distinct.values())[:SAMPLE]],
    )


def firing_now(alerts: Iterable[Alert]) -> set[str]:
    """Fingerprints whose latest episode fires.

    An earlier episode that ended after the latest began covers it: Alertmanager moves startsAt back when it merges two.
    """
    latest: dict[str, Alert] = {}
    ended: dict[str, datetime] = {}
    for alert in alerts:
        known = latest.get(alert.fingerprint)
        if known is None or known.starts_at < alert.starts_at:
            latest[alert.fingerprint] = alert
        if alert.status == "resolved" and alert.ends_at:
            ended[alert.fingerprint] = max(alert.ends_at, ended.get(alert.fingerprint, alert.ends_at))
    return {
        fp
        for fp, alert in latest.items()
        if alert.status == "firing" and not (fp in ended and ended[fp] > alert.starts_at)
    }


def tickets_of(ledger: Ledger) -> list[LinkedTicket]:
    """The linked tickets, by the time at which they were received."""
    return sorted((LinkedTicket.model_validate(t) for t in ledger.tickets), key=lambda t: (t.received_at, t.id))


def encode(ledger: Ledger) -> dict[str, str]:
    """binaryData below MAX_OBJECT: annotations are folded first, then labels that name no service, then older episodes."""
    for folded in (_same, _without_annotations, _with_few_labels, _latest_episodes):
        ledger = folded(ledger)
        data = pack({"alerts": [dump_alert(a) for a in ledger.alerts], "tickets": list(ledger.tickets)})
        if len(data) <= MAX_OBJECT:
            return {LEDGER_KEY: data}
    raise Invalid(f"ledger: {len(ledger.alerts)} alerts need {len(data)} bytes; a ConfigMap holds {MAX_OBJECT}")


def decode(binary_data: Mapping[str, str]) -> Ledger:
    """The inverse of `encode`. Raises Invalid for what opsloop did not write."""
    content = unpack(binary_data, LEDGER_KEY)
    try:
        return Ledger(tuple(load_alert(item) for item in content["alerts"]), tuple(content["tickets"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"binaryData.{LEDGER_KEY}: not a ledger ({error!r})") from error


def _join(one: Alert, two: Alert) -> Alert:
    """Text of the notification that came first; resolved wins; the latest end."""
    first = min(one, two, key=_alert_order)
    ends = [a.ends_at for a in (one, two) if a.ends_at]
    return replace(first, status=max(one.status, two.status), ends_at=max(ends, default=None))  # "firing" < "resolved"


def _alert_order(alert: Alert) -> tuple[datetime, str]:
    return alert.received_at, json.dumps([sorted(alert.labels.items()), sorted(alert.annotations.items())])


def _ticket_order(ticket: Mapping[str, Any]) -> tuple[float, str]:
    return ticket["score"], json.dumps(ticket, sort_keys=True)


def _sample(alert: Alert, firing: bool) -> AlertSample:
    return AlertSample(
        fingerprint=alert.fingerprint[:64],
        name=name_of(alert)[:128],
        service=service_of(alert.labels)[:128],
        status="firing" if firing else "resolved",
        starts_at=alert.starts_at,
    )


def _same(ledger: Ledger) -> Ledger:
    return ledger


def _without_annotations(ledger: Ledger) -> Ledger:
    return replace(ledger, alerts=tuple(replace(a, annotations={}) for a in ledger.alerts))


def _with_few_labels(ledger: Ledger) -> Ledger:
    few = (replace(a, labels={k: v for k, v in a.labels.items() if k in KEPT}) for a in ledger.alerts)
    return replace(ledger, alerts=tuple(few))


def _latest_episodes(ledger: Ledger) -> Ledger:
    latest = {a.fingerprint: a for a in ledger.alerts}  # sorted by startsAt: the last one stays
    return replace(ledger, alerts=tuple(a for a in ledger.alerts if latest[a.fingerprint] is a))
