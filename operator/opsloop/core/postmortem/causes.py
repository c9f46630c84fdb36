"""The causes as the Incident ranks them, with what spoke for and against the first; from its evidence alone."""

import re
from dataclasses import dataclass

from opsloop.api.incident import Cause, Evidence
from opsloop.core.postmortem.markdown import code, percent, text
from opsloop.core.postmortem.subject import PostmortemSubject

KINDS = {
    "bad_release": "a bad release",
    "dependency": "a dependency",
    "config": "a change of configuration",
    "scaling": "a change of the number of pods",
}
_RANKING = "ranking"  # evidence of that name holds "NAME SHARE; NAME SHARE; ..." (`core.incident.cause`)
_PLACE = re.compile(r"(?P<name>.+) (?P<share>[01]\.\d\d)")
_TERM = re.compile(r"(?P<odds>[+-]\d+\.\d): (?P<text>.*)", re.DOTALL)
_NONE = "none of these"


@dataclass(frozen=True, slots=True)
class Weighed:
    """What was measured of the first cause, by the sign of its log odds; `other` is evidence without odds."""

    supporting: list[str]
    opposing: list[str]
    other: list[str]


def ranked(cause: Cause | None) -> list[tuple[str, float]]:
    """(name, share) of each suspect and of "none of these", the likeliest first; empty where nothing was ranked."""
    line = next((e.value for e in cause.evidence if e.name == _RANKING), "") if cause else ""
    places = [_PLACE.fullmatch(part) for part in line.split("; ")]
    found = [(m["name"], float(m["share"])) for m in places if m]
    return sorted(found, key=lambda one: -one[1])


def unseen(cause: Cause | None) -> list[str]:
    """What could not be looked at."""
    line = next((e.value for e in cause.evidence if e.name == _RANKING), "") if cause else ""
    return [text(part) for part in line.split("; ") if part and not _PLACE.fullmatch(part)]


def weighed(cause: Cause | None) -> Weighed:
    """The terms of the first suspect in Markdown."""
    found = Weighed([], [], [])
    for evidence in cause.evidence if cause else ():
        if evidence.name == _RANKING:
            continue
        match = _TERM.fullmatch(evidence.value)
        odds = float(match["odds"]) if match else 0.0
        where = found.supporting if odds > 0 else found.opposing if odds < 0 else found.other
        where.append(said(evidence))
    return found


def said(evidence: Evidence) -> str:
    """A measured value with its source, in Markdown."""
    source = f" ({code(evidence.source)})" if evidence.source else ""
    return f"{text(evidence.name)}: {text(evidence.value)}{source}"


def conclusion(subject: PostmortemSubject) -> str:
    """The cause in a sentence; unknown is a good answer."""
    cause = subject.incident.status.cause
    if cause is None or cause.kind == "unknown":
        return "Unknown. Nothing that was measured points to one change."
    revision = f" (revision {code(cause.revision)} of {code(cause.release)})" if cause.revision else ""
    named = code(cause.version) + revision if cause.kind == "bad_release" else code(cause.object or cause.release)
    sure = f", confidence {percent(cause.confidence)}" if cause.confidence else ""
    return f"**{named or 'unknown'}**: {KINDS[cause.kind]}{sure}."
