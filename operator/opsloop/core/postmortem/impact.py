"""The impact in numbers, and the four times; what is not known is called unknown."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.core.postmortem.curve import Curve
from opsloop.core.postmortem.markdown import UNKNOWN, clock, code, length, number, percent, span, stamp, text
from opsloop.core.postmortem.subject import PostmortemSubject
from opsloop.core.slo.objectives import label

NOT_YET = "not yet"
NO_CURVE = "the SLI over this time was not read"


@dataclass(frozen=True, slots=True)
class Numbers:
    """Bad events and all of them, the share of the period's budget, and minutes of harm; None: unknown."""

    bad: float | None
    total: float | None
    budget_spent: float | None
    minutes: float | None


def numbers(subject: PostmortemSubject, curve: Curve | None) -> Numbers:
    """From onset to mitigation."""
    status = subject.incident.status
    start, end = status.onset_at, status.mitigated_at
    minutes = (end - start).total_seconds() / 60 if start and end and end >= start else None
    counted = curve.counts(start, end) if curve and start and end and curve.covers(start, end) else None
    if curve is None or counted is None:
        return Numbers(None, None, None, minutes)
    return Numbers(counted[0], counted[1], curve.budget_spent(counted[0]), minutes)


def rows(subject: PostmortemSubject, curve: Curve | None) -> list[tuple[str, str]]:
    """(what, how much) in Markdown."""
    status, burn, found = subject.incident.status, subject.burn, numbers(subject, curve)
    told = [("Harm lasted", _harm_lasted(subject))]
    if burn is None:
        told.append(("Bad events", f"{UNKNOWN}: no SLO measured this harm"))
        told.append(("Error budget spent", f"{UNKNOWN}: no SLO measured this harm"))
    else:
        told += [("Objective", code(burn.slo))] if label(burn.slo) else []
        told.append(("Bad events", _bad(subject, found)))
        told.append(("Error budget spent", _spent(subject, curve, found)))
        at_once = f"{percent(burn.error_ratio)} over {code(burn.short)}; objective {percent(burn.objective)}"
        told.append(("Error ratio at detection", at_once))
        burned = f"{number(burn.burn_long)} over {code(burn.long)}, {number(burn.burn_short)} over {code(burn.short)}"
        told.append(("Burn rate at detection", f"{burned}; the tier fires above {number(burn.factor)}"))
    told.append(("Also affected", ", ".join(code(a) for a in status.affected) or "no other Release"))
    return [*told, ("Alerts", _alerts(subject)), ("Users’ tickets", _tickets(subject)), ("Page", _page(subject))]


def _bad(subject: PostmortemSubject, found: Numbers) -> str:
    burn = subject.burn
    if found.bad is not None and found.total is not None:
        share = f" ({percent(found.bad / found.total)})" if found.total else ""
        return f"{number(round(found.bad))} of {number(round(found.total))} from onset to mitigation{share}"
    if burn is None or not burn.total:
        return UNKNOWN
    before = f"{number(round(burn.bad))} of {number(round(burn.total))} in the {code(burn.long)} before detection"
    return f"{before} ({percent(burn.bad / burn.total)}); from onset to mitigation {UNKNOWN}: {_why_not(subject)}"


def _spent(subject: PostmortemSubject, curve: Curve | None, found: Numbers) -> str:
    if found.budget_spent is None or curve is None:
        return f"{UNKNOWN}: {_why_not(subject)}"
    period = length(timedelta(seconds=curve.period))
    if curve.usual is None:
        return f"{percent(found.budget_spent)} of what {period} allow, if their traffic is that of the time shown"
    part = "" if percent(curve.measured) == "100 %" else f", of which {percent(curve.measured)} was measured"
    return f"{percent(found.budget_spent)} of what {period} allow, at the traffic of the {period} before{part}"


def _why_not(subject: PostmortemSubject) -> str:
    status = subject.incident.status
    if status.onset_at is None:
        return "the onset is not known"
    return "it is not over" if status.mitigated_at is None else NO_CURVE


def _harm_lasted(subject: PostmortemSubject) -> str:
    status = subject.incident.status
    if status.mitigated_at is None:
        began = f"since {stamp(status.onset_at)} UTC" if status.onset_at else "it is not known since when"
        return f"not over; {began}"
    ends = [e.at for e in status.timeline if e.type == "Mitigated" and e.at < status.mitigated_at]
    before = (
        f"; it had been mitigated at {', '.join(map(clock, ends))}, and came back" if ends and status.reopened else ""
    )
    return f"{span(status.onset_at, status.mitigated_at)}, from onset to mitigation{before}"


def _alerts(subject: PostmortemSubject) -> str:
    alerts = subject.incident.status.alerts
    if not alerts.count:
        return "none"
    by = ", ".join(f"{code(s)} {n}" for s, n in sorted(alerts.by_service.items(), key=lambda kv: (-kv[1], kv[0]))[:8])
    ended = "some still fire" if alerts.firing else "all ended"  # how many would rewrite the document with each of them
    return f"{alerts.count} distinct" + (f" ({by})" if by else "") + f"; {ended}"


def _tickets(subject: PostmortemSubject) -> str:
    """Without what users wrote."""
    tickets = subject.incident.status.tickets
    shown = [
        f"{code(t.id)} {text(t.category)}, routed to {text(t.route)}, link score {t.score:.2f}" for t in tickets[:5]
    ]
    more = [f"and {len(tickets) - 5} more"] if len(tickets) > 5 else []
    return f"{len(tickets)}: " + "; ".join([*shown, *more]) if tickets else "none linked"


def _page(subject: PostmortemSubject) -> str:
    page = subject.incident.status.page
    if page is None:
        return "nobody was paged"
    if page.state == "Grouped" and page.sent_at is None:
        return f"{page.severity}, told by one page for many Incidents"
    if page.sent_at is None:
        return f"one, {page.severity}, not delivered"
    first = f"{page.severity}, delivered {clock(page.sent_at)}"
    more = [m for m in page.messages[1:] if m.ended_at is not None]
    if not more:
        return f"one, {first}"
    again = ", ".join(f"{text(m.reason)} {clock(m.ended_at)}" for m in more)
    return f"{1 + len(more)}: {first}; {again}"


def moments(subject: PostmortemSubject) -> list[tuple[str, datetime | None, str, str, str]]:
    """(what, time, time in words, since onset, since the one before) of the four times."""
    status = subject.incident.status
    times = (
        ("Onset", status.onset_at),
        ("Detected", status.detected_at),
        ("Mitigated", status.mitigated_at),
        ("Resolved", status.resolved_at),
    )
    told, before = [], None
    for what, at in times:
        first = what == "Onset"
        when = NOT_YET if at is None and _ahead(status.phase, what) else stamp(at)
        told.append(
            (what, at, when, "–" if first else span(status.onset_at, at), "–" if first else span(before, at))
        )  # fmt: skip
        before = at
    return told


def durations(subject: PostmortemSubject) -> dict[str, str]:
    """Times to detect, mitigate and resolve (TTD, TTM, TTR), each from the onset."""
    status = subject.incident.status
    ends = {"ttd": status.detected_at, "ttm": status.mitigated_at, "ttr": status.resolved_at}
    ahead = {"ttd": "Detected", "ttm": "Mitigated", "ttr": "Resolved"}
    return {
        name: NOT_YET if at is None and _ahead(status.phase, ahead[name]) else span(status.onset_at, at)
        for name, at in ends.items()
    }


def _ahead(phase: str, what: str) -> bool:
    """Has it not happened, rather than not been seen?"""
    return (what == "Mitigated" and phase in ("Open", "Mitigating")) or (what == "Resolved" and phase != "Resolved")
