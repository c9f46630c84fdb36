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
from opsloop.core.postmortem.subject import Story
from opsloop.core.postmortem.summary import summary

_INTRO = (
    "*Written by opsloop from what was measured and done. It asks what the system allowed, not who did it;"
    " what only people can know is under “Open questions”.*"
)
_PROVISIONAL = "**This incident is not over: what follows is provisional.**"


def render(incident: Incident, release: Release | None, eval_case: EvalCase | None) -> str:
    """The whole postmortem. What is not known is called unknown."""
    story = Story(incident, release, eval_case)
    sections = (
        ("Summary", summary(story)),
        ("Impact", _impact(story)),
        ("The four times", _times(story)),
        ("Timeline", _timeline(story)),
        ("Cause", _cause(story)),
        ("What made it possible", bullets(lessons.gaps(story)) or "No gap of the system shows in the record."),
        ("What went well", bullets(lessons.went_well(story)) or "Nothing that the record shows yet."),
        ("Action items", _actions(story)),
        ("Open questions", bullets(lessons.questions(story)) or "None from the record; ask the people who were there."),
        ("Notes", _notes(story)),
        ("Links", _links(story)),
    )
    body = "\n\n".join(f"## {title}\n\n{content}" for title, content in sections if content)
    return f"{_head(story)}\n\n{body}\n"


def _head(story: Story) -> str:
    spec, status, meta = story.incident.spec, story.incident.status, story.incident.metadata
    facts = [
        f"**{status.severity}**",
        f"**{status.phase}**",
        f"service {code(spec.service)}",
        f"namespace {code(meta.namespace)}",
        f"incident {code(meta.name)}",
    ]
    if spec.owner:
        facts.append(f"owner {text(spec.owner, 80)}")
    provisional = "" if status.phase == "Resolved" else f"\n\n{_PROVISIONAL}"
    return f"# Postmortem: {text(story.incident.status.title or spec.title, 200)}\n\n{' · '.join(facts)}\n\n{_INTRO}{provisional}"


# --- impact and times


def _impact(story: Story) -> str:
    status, burn = story.incident.status, story.burn
    rows = [("Harm lasted", _harm_lasted(story))]
    if burn is not None:
        bad = (
            f"{number(burn.bad)} of {number(burn.total)} in the {code(burn.long)} before detection ({percent(burn.bad / burn.total)})"
            if burn.total
            else UNKNOWN
        )
        burned = f"{number(burn.burn_long)} over {code(burn.long)}, {number(burn.burn_short)} over {code(burn.short)}; the tier fires above {number(burn.factor)}"
        rows += [
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
        ("Alerts", _alerts(story)),
    ]
    rows += [("Users’ tickets", _tickets(story)), ("Page", _page(story))]
    return table_of(("What", "How much"), rows)


def _harm_lasted(story: Story) -> str:
    status = story.incident.status
    if status.mitigated_at is None:
        began = f"since {stamp(status.onset_at)} UTC" if status.onset_at else "it is not known since when"
        return f"not over; {began}"
    return f"{span(status.onset_at, status.mitigated_at)}, from onset to mitigation"


def _alerts(story: Story) -> str:
    alerts = story.incident.status.alerts
    if not alerts.count:
        return "none"
    by = ", ".join(f"{code(s)} {n}" for s, n in sorted(alerts.by_service.items(), key=lambda kv: (-kv[1], kv[0]))[:8])
    ended = "some still fire" if alerts.firing else "all ended"  # how many would rewrite the document with each of them
    return f"{alerts.count} distinct" + (f" ({by})" if by else "") + f"; {ended}"


def _tickets(story: Story) -> str:
    tickets = story.incident.status.tickets
    told = [
        f"{code(t.id)} {quoted(t.subject, 120)}, {text(t.category)}, routed to {text(t.route)}, link score {t.score:.2f}"
        for t in tickets[:5]
    ]
    more = [f"and {len(tickets) - 5} more"] if len(tickets) > 5 else []
    return "; ".join([*told, *more]) or "none linked"


def _page(story: Story) -> str:
    page = story.incident.status.page
    if page is None:
        return "nobody was paged"
    if page.state == "Sent":
        return f"one, {page.severity}, delivered {clock(page.sent_at)}"
    return f"one, {page.severity}, not delivered"


def _times(story: Story) -> str:
    status = story.incident.status
    times = (
        ("Onset", status.onset_at),
        ("Detected", status.detected_at),
        ("Mitigated", status.mitigated_at),
        ("Resolved", status.resolved_at),
    )
    rows, before = [], None
    for what, at in times:
        first = what == "Onset"
        told = "not yet" if at is None and _ahead(status.phase, what) else stamp(at)
        rows.append((what, told, "–" if first else span(status.onset_at, at), "–" if first else span(before, at)))
        before = at
    return table_of(("What", "When (UTC)", "Since onset", "Since the one before"), rows)


def _ahead(phase: str, what: str) -> bool:
    """Has it not happened, rather than not been seen?"""
    return (what == "Mitigated" and phase in ("Open", "Mitigating")) or (what == "Resolved" and phase != "Resolved")


def _timeline(story: Story) -> str:
    entries = sorted(story.incident.status.timeline, key=lambda e: (e.at, e.key))
    if not entries:
        return "Nothing was recorded."
    one_day = len({day(e.at) for e in entries}) == 1
    header = f"When (UTC, {day(entries[0].at)})" if one_day else "When (UTC)"
    rows = [_timeline_row(e, one_day) for e in entries]
    folded = story.incident.status.folded
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


def _cause(story: Story) -> str:
    cause = story.incident.status.cause
    if cause is None or cause.kind == "unknown":
        said = "Unknown. Nothing that was measured points to one change."
        confidence = ""
    else:
        revision = f" (revision {code(cause.revision)} of {code(cause.release)})" if cause.revision else ""
        subject = code(cause.version) + revision if cause.kind == "bad_release" else code(cause.release) or UNKNOWN
        kind = "a bad release" if cause.kind == "bad_release" else "a dependency"
        confidence = f", confidence {percent(cause.confidence)}" if cause.confidence else ""
        said = f"**{subject}**: {kind}{confidence}."
    evidence = bullets(_evidence(e) for e in cause.evidence) if cause else ""
    return f"{said}\n\n{evidence}" if evidence else said


def _actions(story: Story) -> str:
    return "\n".join(f"- [{'x' if done else ' '}] {what}" for done, what in lessons.actions(story))


def _notes(story: Story) -> str:
    """What people added, in their words, without who wrote it."""
    told = [
        f"{stamp(note.at)} UTC\n\n{block(note.text)}" if note.at else block(note.text)
        for note in story.incident.spec.notes
    ]
    return "\n\n".join(told)


def _links(story: Story) -> str:
    safe = [plain(link, 500) for link in story.incident.spec.links if link.startswith(("https://", "http://"))]
    return bullets(f"<{link.replace(' ', '%20').replace('<', '%3C').replace('>', '%3E')}>" for link in safe)
