"""The postmortem's summary: three sentences that stand alone."""

from opsloop.core.postmortem.markdown import UNKNOWN, clock, code, day, number, percent, quoted, span
from opsloop.core.postmortem.subject import Story


def summary(story: Story) -> str:
    """What happened, why, and how it ended."""
    return " ".join((_what_happened(story), _why(story), _how_it_ended(story)))


def _what_happened(story: Story) -> str:
    status, service, burn = story.incident.status, code(story.incident.spec.service), story.burn
    since = status.onset_at or status.detected_at
    begin = f"On {day(since)} from {clock(since)} UTC" if since else "From an unknown time on"
    if burn is not None:
        allowed = percent(1 - burn.objective)
        return (
            f"{begin}, {percent(burn.error_ratio)} of what {service} did for its users went wrong, where its objective of"
            f" {percent(burn.objective)} allows {allowed}: the error budget burned {number(burn.burn_short)} times too fast."
        )
    signal = story.incident.spec.signal
    said = f": {quoted(signal.message)}" if signal.message else ""
    source = {"alerts": "alerts said", "ticket": "a user reported", "burn": "the SLO said"}[signal.kind]
    return f"{begin}, {source} that {service} was in trouble{said}."


def _why(story: Story) -> str:
    cause, blamed = story.incident.status.cause, story.blamed
    if cause is None or cause.kind == "unknown":
        return "The cause is not known."
    if cause.kind == "dependency":
        return f"The evidence points to what it depends on: {code(cause.release) or UNKNOWN}."
    if blamed and blamed.shipped_without_canary:
        by = f"{code(blamed.manager)} had put it" if blamed.manager else "it had been put"
        when = f" at {clock(story.changed_at)} UTC" if story.changed_at else ""
        return f"The evidence points to {story.blamed_version}; {by} live{when} without a canary."
    return f"The evidence points to {story.blamed_version}."


def _how_it_ended(story: Story) -> str:
    status, start = story.incident.status, story.incident.status.onset_at
    base, of = (start, "after onset") if start else (status.detected_at, "after detection")
    parts = [f"It was detected {span(start, status.detected_at)} after onset"] if start and status.detected_at else []
    if status.mitigated_at is None:
        parts.append("it is not mitigated yet" if parts else "It is not mitigated yet")
        return " and ".join(parts) + "."
    done = story.rollback
    how = f" by a rollback to {story.version(done.to_digest)}" if done else ""
    parts.append(f"{'it was' if not parts else ''} mitigated {span(base, status.mitigated_at)} {of}{how}".strip())
    parts.append(f"resolved {span(base, status.resolved_at)} {of}" if status.resolved_at else "is not resolved yet")
    told = ", ".join(parts[:-1]) + f" and {parts[-1]}."
    return told[0].upper() + told[1:]
