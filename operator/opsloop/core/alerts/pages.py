"""Pages of a ledger: alerts past the first WHOLE ones of an Incident, in short form, so that neither a look nor a write grows with a storm.

The first alerts of an Incident are kept as they came, and grouped anew at every new one. Each further alert is *rolled*: kept are
its identity, its times, and name, service and severity; it counts exactly as before, and stays where it was filed. A page is a
ConfigMap of its own. All episodes of a fingerprint lie in one place, so that counts of places add up.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from opsloop.api.reported import LinkedTicket
from opsloop.core.alerts.labels import loudness_of, name_of, service_of
from opsloop.core.alerts.ledger import HEARD, episode, firing_now, merge
from opsloop.core.reported import Alert, Correction, Ledger, Moved, Page, Row, Tally, Ticket

WHOLE = 1000  # distinct alerts of an Incident that are kept as they came
PAGE = 2500  # distinct alerts of one page: a quarter of a ConfigMap at most, so that their ends fit as well
MOST_PAGES = 40  # of one Incident; what comes after a hundred thousand alerts is left out, and said
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_STEP = HEARD // _MICROSECOND
EPISODES = 4  # of one rolled alert that are kept, the latest: it may flap for days


def file(
    ledger: Ledger,
    alerts: Iterable[Alert] = (),
    tickets: Iterable[LinkedTicket] = (),
    moves: Iterable[Moved] = (),
    originals: Iterable[Ticket] = (),
    corrections: Iterable[Correction] = (),
) -> tuple[Ledger, int]:
    """(the ledger with all of these, as `ledger.merge` says it; number of alerts that found no place).

    Parts in which nothing changed are the same objects as before. What moves here is kept whole, beside the record of its move.
    """
    records = tuple(moves)
    moved = {(m.fingerprint, m.starts_at) for m in records}
    own = {alert.fingerprint for alert in (*ledger.alerts, *ledger.gone)}
    homes: dict[str, int] = {}
    whole: list[Alert] = []
    rolled: dict[int, list[Alert]] = {}
    raised: dict[int, set[str]] = {}
    sizes = [len(page.by_print) for page in ledger.pages]
    left_out = set[str]()
    for alert in alerts:
        fingerprint = alert.fingerprint
        number = -1 if fingerprint in own else homes.get(fingerprint, _place(ledger.pages, fingerprint))
        if number >= 0 and episode(alert) in moved:
            whole += [
                *held(ledger.pages, fingerprint),
                *(a for a in rolled.get(number, ()) if a.fingerprint == fingerprint),
            ]
            raised.setdefault(number, set()).add(fingerprint)
            number = -1
        elif number < 0 and fingerprint not in own and episode(alert) not in moved and len(own) >= WHOLE:
            if not sizes or sizes[-1] >= PAGE:
                if len(sizes) >= MOST_PAGES:
                    left_out.add(fingerprint)
                    continue
                sizes.append(0)
            number = len(sizes) - 1
            sizes[number] += 1
        if number < 0:
            own.add(fingerprint)
            whole.append(alert)
        else:
            homes[fingerprint] = number
            rolled.setdefault(number, []).append(alert)
    pages = list(ledger.pages) + [EMPTY] * (len(sizes) - len(ledger.pages))
    for number in rolled.keys() | raised.keys():
        pages[number] = _filed(pages[number], rolled.get(number, ()), raised.get(number, set()))
    merged = merge(ledger, whole, tickets, records, originals, corrections)
    return replace(merged, pages=tuple(pages)), len(left_out)


def held(pages: Iterable[Page], fingerprint: str) -> tuple[Alert, ...]:
    """The rolled episodes of an alert, by their beginning."""
    for page in pages:
        if fingerprint in page.by_print:
            return _alerts(fingerprint, page.by_print[fingerprint])
    return ()


def rolled_alerts(ledger: Ledger) -> Iterable[Alert]:
    """All episodes that are kept in short form."""
    for page in ledger.pages:
        for fingerprint, rows in page.by_print.items():
            yield from _alerts(fingerprint, rows)


def page_of(rows: Iterable[tuple[str, Row]]) -> Page:
    """The page of these (fingerprint, episode), each of which comes once; those of one fingerprint by their beginning."""
    by_print: dict[str, tuple[Row, ...]] = {}
    for fingerprint, row in rows:
        by_print[fingerprint] = (*by_print.get(fingerprint, ()), row)
    return _page(by_print)


def without(page: Page, fingerprints: Iterable[str]) -> Page:
    """The page without these alerts; the same one where it holds none of them."""
    gone = page.by_print.keys() & set(fingerprints)
    return _page({fp: held for fp, held in page.by_print.items() if fp not in gone}) if gone else page


def join(own: Ledger, merged: Iterable[Ledger]) -> Ledger:
    """The ledger of an Incident together with what those hold that were merged into it; each alert comes once."""
    ledgers = [own, *merged]
    main = own
    for ledger in ledgers[1:]:
        tickets = [LinkedTicket.model_validate(t) for t in ledger.tickets]
        main = merge(main, ledger.alerts, tickets, (), ledger.originals, ledger.corrections)
    whole = {alert.fingerprint for alert in main.alerts}
    pages: list[Page] = []
    seen, twice = set[str](whole), set[str]()
    for page in (page for ledger in ledgers for page in ledger.pages):
        twice |= page.by_print.keys() & seen
        seen |= page.by_print.keys()
        pages.append(page)
    if not twice:
        return replace(main, pages=tuple(pages))
    again = [alert for page in pages for fp in twice & page.by_print.keys() for alert in held([page], fp)]
    main = merge(main, [alert for alert in again if alert.fingerprint in whole])
    rest = merge(Ledger(), [alert for alert in again if alert.fingerprint not in whole]).alerts
    kept = [without(page, twice) for page in pages]
    return replace(main, pages=(*kept, page_of((a.fingerprint, _row(a)) for a in rest)) if rest else tuple(kept))


def roll(alert: Alert) -> Alert:
    """The alert in short form."""
    labels = _labels(name_of(alert)[:128], service_of(alert.labels)[:128], alert.labels.get("severity", "")[:64])
    return replace(alert, labels=labels, annotations={})


@lru_cache(maxsize=4096)
def _labels(name: str, service: str, severity: str) -> Mapping[str, str]:
    """One object for all alerts of a kind."""
    labels = {"alertname": name, "service": service, "severity": severity}
    return {key: value for key, value in labels.items() if value}


def _place(pages: Sequence[Page], fingerprint: str) -> int:
    """Number of the page that holds the alert; -1 = none."""
    for number, page in enumerate(pages):
        if fingerprint in page.by_print:
            return number
    return -1


def _filed(page: Page, alerts: Iterable[Alert], raised: Iterable[str]) -> Page:
    """The page with these alerts and without those; the same one where that is no change."""
    came: dict[str, list[Alert]] = {}
    for alert in alerts:
        came.setdefault(alert.fingerprint, []).append(roll(alert))
    changed: dict[str, tuple[Row, ...]] = {}
    for fingerprint, episodes in came.items():
        before = page.by_print.get(fingerprint, ())
        merged = merge(Ledger(_alerts(fingerprint, before)), episodes).alerts[-EPISODES:]
        after = tuple(map(_row, merged))
        if after != before:
            changed[fingerprint] = after
    gone = page.by_print.keys() & set(raised)
    if not changed and not gone:
        return page
    by_print = {**page.by_print, **changed}
    for fingerprint in raised:
        by_print.pop(fingerprint, None)
    return _page(by_print)


def _row(alert: Alert) -> Row:
    moments = map(_micros, (alert.starts_at, alert.received_at, alert.ends_at, alert.heard_at))
    starts_at, received_at, ends_at, heard_at = moments
    return (starts_at or 0, received_at or 0, ends_at, heard_at, alert.status == "resolved", alert.labels)


def _alerts(fingerprint: str, rows: Iterable[Row]) -> tuple[Alert, ...]:
    return tuple(
        Alert(
            fingerprint,
            "resolved" if ended else "firing",
            _moment(starts_at),
            labels,
            {},
            _moment(received_at),
            None if ends_at is None else _moment(ends_at),
            None if heard_at is None else _moment(heard_at),
        )
        for starts_at, received_at, ends_at, heard_at, ended, labels in rows
    )


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _page(by_print: Mapping[str, tuple[Row, ...]]) -> Page:
    unended: Counter[int] = Counter()
    services: Counter[str] = Counter()
    severities = set[str]()
    for fingerprint, rows in by_print.items():
        _, received_at, _, heard_at, ended, _ = rows[-1]
        services[rows[0][5].get("service", "")] += 1
        severities.update(row[5].get("severity", "") for row in rows if not row[4])
        if not ended and (len(rows) == 1 or firing_now(_alerts(fingerprint, rows))):
            unended[received_at - received_at % _STEP if heard_at is None else heard_at] += 1
    tally = Tally(
        count=len(by_print),
        unended=tuple((_moment(at), number) for at, number in sorted(unended.items())),
        by_service=services,
        first_at=_moment(min(rows[0][0] for rows in by_print.values())) if by_print else None,
        last_at=_moment(max(rows[-1][0] for rows in by_print.values())) if by_print else None,
        loudest=max((loudness_of(severity) for severity in severities), default=-1),
    )
    return Page(by_print, tally)


EMPTY = _page({})
