"""The summary: three sentences that stand alone. What happened, why, and how it ended."""

from opsloop.core.postmortem.markdown import UNKNOWN, clock, code, day, number, percent, quoted, span, text
from opsloop.core.postmortem.subject import PostmortemSubject
from opsloop.core.slo.objectives import label


def summary(subject: PostmortemSubject) -> str:
    """The three in one paragraph."""
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
    times = "once" if status.reopened == 1 else f"{status.reopened} times"
    again = f" It came back {times} in between." if status.reopened else ""
    return sentence[0].upper() + sentence[1:] + again
