"""The postmortem as Markdown: only what was measured and done, no clock, no guesses, no names of persons.

The same incident gives the same text, whoever renders it: the operator stores it, the CLI prints it.
"""

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Evidence, Incident, TimelineEntry
from opsloop.api.release import Release
from opsloop.core.postmortem import lessons
from opsloop.core.postmortem.markdown import (
    UNKNOWN,
    block,
    bullets,
    clock,
    code,
    day,
    number,
    percent,
    plain,
    quoted,
    span,
    stamp,
    text,
)
from opsloop.core.postmortem.markdown import table as table_of
from opsloop.core.postmortem.subject import PostmortemSubject
from opsloop.core.slo.objectives import label

_KINDS = {
    "bad_release": "a bad release",
    "dependency": "a dependency",
    "config": "a change of configuration",
    "scaling": "a change of the number of pods",
}
_INTRO = (
    "*Written by opsloop from what was measured and done. It asks what the system allowed, not who did it;"
    " what only people can know is under “Open questions”.*"
)
_PROVISIONAL = "**This incident is not over: what follows is provisional.**"


def render(incident: Incident, release: Release | None, eval_case: EvalCase | None) -> str:
    """The whole postmortem. What is not known is called unknown."""
    subject = PostmortemSubject.of(incident, release, eval_case)
    sections = (
        ("Summary", _summary(subject)),
        ("Impact", _impact(subject)),
        ("The four times", _times(subject)),
        ("Timeline", _timeline(subject)),
        ("Cause", _cause(subject)),
        ("What made it possible", bullets(lessons.gaps(subject)) or "No gap of the system shows in the record."),
        ("What went well", bullets(lessons.went_well(subject)) or "Nothing that the record shows yet."),
        ("Action items", _actions(subject)),
        (
            "Open questions",
            bullets(lessons.questions(subject)) or "None from the record; ask the people who were there.",
        ),
        ("Notes", _notes(subject)),
        ("Links", _links(subject)),
    )
    body = "\n\n".join(f"## {title}\n\n{content}" for title, content in sections if content)
    return f"{_head(subject)}\n\n{body}\n"


def _head(subject: PostmortemSubject) -> str:
    spec, status, meta = subject.incident.spec, subject.incident.status, subject.incident.metadata
    facts = [
        f"**{status.severity}**",
        f"**{status.phase}**",
        f"service {code(spec.service)}",
        f"namespace {code(meta.namespace)}",
        f"incident {code(meta.name)}",
    ]
    if spec.assignee:
        facts.append(f"assigned to {text(spec.assignee, 80)}")
    if spec.owner:
        facts.append(f"owner {text(spec.owner, 80)}")
    provisional = "" if status.phase == "Resolved" else f"\n\n{_PROVISIONAL}"
    return f"# Postmortem: {text(subject.incident.status.title or spec.title, 200)}\n\n{' · '.join(facts)}\n\n{_INTRO}{provisional}"


# --- summary: three sentences that stand alone


def _summary(subject: PostmortemSubject) -> str:
    """What happened, why, and how it ended."""
    return " ".join((_what_happened(subject), _why(subject), _how_it_ended(subject)))


def _what_happened(subject: PostmortemSubject) -> str:
    status, service, burn = subject.incident.status, code(subject.incident.spec.service), subject.burn
    since = status.onset_at or status.detected_at
    begin = f"On {day(since)} from {clock(since)} UTC" if since else "From an unknown time on"
    if burn is not None:
        allowed, of = percent(1 - burn.objective), f" for {code(burn.slo)}" if label(burn.slo) else ""
        went = "went wrong" if burn.wrong == "bad" else f"was {text(burn.wrong, 64)}"
        others = ", ".join(f"{code(b.slo)} ({percent(b.error_ratio)} {text(b.wrong, 64)})" for b in status.also_burned)
        also = f" So did that of {others}." if others else ""
        return (
            f"{begin}, {percent(burn.error_ratio)} of what {service} did for its users {went}, where its objective of"
            f" {percent(burn.objective)}{of} allows {allowed}: the error budget burned {number(burn.burn_short)} times too fast."
            f"{also}"
        )
    signal = subject.incident.spec.signal
    quotation = f": {quoted(signal.message)}" if signal.message else ""
    if status.outage_at is not None:
        return f"{begin}, no pod of {service} was available{quotation}."
    said = {"alerts": "alerts said", "housekeeping": "alerts said", "ticket": "a user reported", "burn": "the SLO said"}
    source = said.get(signal.kind, "Kubernetes said")
    return f"{begin}, {source} that {service} was in trouble{quotation}."


def _why(subject: PostmortemSubject) -> str:
    cause, blamed = subject.incident.status.cause, subject.blamed
    if cause is None or cause.kind == "unknown":
        cleared = [subject.version(digest) for digest in subject.incident.status.exonerated]
        known = f" {', '.join(cleared)} was rolled back, and it was not the cause." if cleared else ""
        return f"The cause is not known.{known}"
    if cause.object:
        by = f" by {code(cause.manager)}" if cause.manager else ""
        when = f" at {clock(cause.changed_at)} UTC" if cause.changed_at else ""
        return f"The evidence points to a change{when}{by}: {code(cause.object)}."
    if cause.kind == "dependency":
        return f"The evidence points to what it depends on: {code(cause.release) or UNKNOWN}."
    if blamed and blamed.shipped_without_canary:
        by = f"{code(blamed.manager)} had put it" if blamed.manager else "it had been put"
        when = f" at {clock(subject.changed_at)} UTC" if subject.changed_at else ""
        return f"The evidence points to {subject.blamed_version}; {by} live{when} without a canary."
    return f"The evidence points to {subject.blamed_version}."


def _how_it_ended(subject: PostmortemSubject) -> str:
    status, start = subject.incident.status, subject.incident.status.onset_at
    base, of = (start, "after onset") if start else (status.detected_at, "after detection")
    parts = [f"It was detected {span(start, status.detected_at)} after onset"] if start and status.detected_at else []
    if status.mitigated_at is None:
        parts.append("it is not mitigated yet" if parts else "It is not mitigated yet")
        return " and ".join(parts) + "."
    done = subject.helpful_rollback
    how = f" by a rollback to {subject.version(done.to_digest)}" if done else ""
    parts.append(f"{'it was' if not parts else ''} mitigated {span(base, status.mitigated_at)} {of}{how}".strip())
    parts.append(f"resolved {span(base, status.resolved_at)} {of}" if status.resolved_at else "is not resolved yet")
    sentence = ", ".join(parts[:-1]) + f" and {parts[-1]}."
    return sentence[0].upper() + sentence[1:]


# --- impact and times


def _impact(subject: PostmortemSubject) -> str:
    status, burn = subject.incident.status, subject.burn
    rows = [("Harm lasted", _harm_lasted(subject))]
    if burn is not None:
        bad = (
            f"{number(burn.bad)} of {number(burn.total)} in the {code(burn.long)} before detection ({percent(burn.bad / burn.total)})"
            if burn.total
            else UNKNOWN
        )
        burned = f"{number(burn.burn_long)} over {code(burn.long)}, {number(burn.burn_short)} over {code(burn.short)}; the tier fires above {number(burn.factor)}"
        rows += [
            *([("Objective", code(burn.slo))] if label(burn.slo) else []),
            ("Bad events", bad),
            (
                "Error ratio",
                f"{percent(burn.error_ratio)} over {code(burn.short)}; objective {percent(burn.objective)}",
            ),
            ("Burn rate", burned),
        ]
    else:
        rows.append(("Bad events", f"{UNKNOWN}: no SLO measured this harm"))
    rows += [
        ("Also affected", ", ".join(code(a) for a in status.affected) or "no other Release"),
        ("Alerts", _alerts(subject)),
    ]
    rows += [("Users’ tickets", _tickets(subject)), ("Page", _page(subject))]
    return table_of(("What", "How much"), rows)


def _harm_lasted(subject: PostmortemSubject) -> str:
    status = subject.incident.status
    if status.mitigated_at is None:
        began = f"since {stamp(status.onset_at)} UTC" if status.onset_at else "it is not known since when"
        return f"not over; {began}"
    return f"{span(status.onset_at, status.mitigated_at)}, from onset to mitigation"


def _alerts(subject: PostmortemSubject) -> str:
    alerts = subject.incident.status.alerts
    if not alerts.count:
        return "none"
    by = ", ".join(f"{code(s)} {n}" for s, n in sorted(alerts.by_service.items(), key=lambda kv: (-kv[1], kv[0]))[:8])
    ended = "some still fire" if alerts.firing else "all ended"  # how many would rewrite the document with each of them
    return f"{alerts.count} distinct" + (f" ({by})" if by else "") + f"; {ended}"


def _tickets(subject: PostmortemSubject) -> str:
    tickets = subject.incident.status.tickets
    shown = [
        f"{code(t.id)} {quoted(t.subject, 120)}, {text(t.category)}, routed to {text(t.route)}, link score {t.score:.2f}"
        for t in tickets[:5]
    ]
    more = [f"and {len(tickets) - 5} more"] if len(tickets) > 5 else []
    return "; ".join([*shown, *more]) or "none linked"


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


def _times(subject: PostmortemSubject) -> str:
    status = subject.incident.status
    times = (
        ("Onset", status.onset_at),
        ("Detected", status.detected_at),
        ("Mitigated", status.mitigated_at),
        ("Resolved", status.resolved_at),
    )
    rows, before = [], None
    for what, at in times:
        first = what == "Onset"
        when = "not yet" if at is None and _ahead(status.phase, what) else stamp(at)
        rows.append((what, when, "–" if first else span(status.onset_at, at), "–" if first else span(before, at)))
        before = at
    return table_of(("What", "When (UTC)", "Since onset", "Since the one before"), rows)


def _ahead(phase: str, what: str) -> bool:
    """Has it not happened, rather than not been seen?"""
    return (what == "Mitigated" and phase in ("Open", "Mitigating")) or (what == "Resolved" and phase != "Resolved")


def _timeline(subject: PostmortemSubject) -> str:
    entries = sorted(subject.incident.status.timeline, key=lambda e: (e.at, e.key))
    if not entries:
        return "Nothing was recorded."
    one_day = len({day(e.at) for e in entries}) == 1
    header = f"When (UTC, {day(entries[0].at)})" if one_day else "When (UTC)"
    rows = [_timeline_row(e, one_day) for e in entries]
    folded = subject.incident.status.folded
    more = f"\n\n{folded} further entries were folded away." if folded else ""
    return table_of((header, "What", "By", "Evidence"), rows) + more


def _timeline_row(entry: TimelineEntry, one_day: bool) -> tuple[str, str, str, str]:
    at = clock(entry.at) if one_day else f"{day(entry.at)} {clock(entry.at)}"
    evidence = "; ".join(_evidence(e) for e in entry.evidence)
    return at, f"**{text(entry.type)}**: {text(entry.message)}", code(entry.actor), evidence


def _evidence(evidence: Evidence) -> str:
    source = f" ({code(evidence.source)})" if evidence.source else ""
    return f"{text(evidence.name)}: {text(evidence.value)}{source}"


# --- cause and the rest


def _cause(subject: PostmortemSubject) -> str:
    cause = subject.incident.status.cause
    if cause is None or cause.kind == "unknown":
        sentence = "Unknown. Nothing that was measured points to one change."
        confidence = ""
    else:
        revision = f" (revision {code(cause.revision)} of {code(cause.release)})" if cause.revision else ""
        culprit = (
            code(cause.version) + revision
            if cause.kind == "bad_release"
            else code(cause.object or cause.release) or UNKNOWN
        )
        kind = _KINDS[cause.kind]
        confidence = f", confidence {percent(cause.confidence)}" if cause.confidence else ""
        sentence = f"**{culprit}**: {kind}{confidence}."
    evidence = bullets(_evidence(e) for e in cause.evidence) if cause else ""
    return f"{sentence}\n\n{evidence}" if evidence else sentence


def _actions(subject: PostmortemSubject) -> str:
    return "\n".join(f"- [{'x' if done else ' '}] {what}" for done, what in lessons.actions(subject))


def _notes(subject: PostmortemSubject) -> str:
    """What people added, in their words, without who wrote it."""
    notes = [
        f"{stamp(note.at)} UTC\n\n{block(note.text)}" if note.at else block(note.text)
        for note in subject.incident.spec.notes
    ]
    return "\n\n".join(notes)


def _links(subject: PostmortemSubject) -> str:
    safe = [plain(link, 500) for link in subject.incident.spec.links if link.startswith(("https://", "http://"))]
    return bullets(f"<{link.replace(' ', '%20').replace('<', '%3C').replace('>', '%3E')}>" for link in safe)
