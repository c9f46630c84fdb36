"""The causes as the Incident ranks them, with what spoke for and against the first; from its evidence alone."""

import re
from dataclasses import dataclass
from math import exp, log10

from opsloop.api.cause import Cause, Evidence
from opsloop.core.postmortem.markdown import code, number, percent, text
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
MOST_ODDS = 20.0  # a factor of half a billion: nobody needs a larger one


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
    """A measured value with its source, in Markdown. Log odds, which no reader adds up, become a factor."""
    term = _TERM.fullmatch(evidence.value)
    worth = [factor(float(term["odds"]))] if term and float(term["odds"]) else []
    told = ", ".join([*worth, *([code(evidence.source)] if evidence.source else [])])
    return f"{text(evidence.name)}: {text(term['text'] if term else evidence.value)}" + (f" ({told})" if told else "")


def factor(odds: float) -> str:
    """How many times as likely (×), or as unlikely (÷), natural log odds make something: ×2, ÷3.3, ×180."""
    times = exp(min(abs(odds), MOST_ODDS))
    digits = 1 - int(log10(times))  # two of them
    rounded = round(times, digits)
    return f"{'×' if odds > 0 else '÷'}{number(rounded)}"


def share_said(share: float) -> str:
    """A share in percent; what rounds to all or to nothing is neither."""
    return "over 99 %" if share > 0.99 else "under 1 %" if share < 0.01 else percent(share)


def conclusion(subject: PostmortemSubject) -> str:
    """The cause in a sentence; unknown is a good answer."""
    cause = subject.incident.status.cause
    if cause is None or cause.kind == "unknown":
        return "Unknown. Nothing that was measured points to one change."
    revision = f" (revision {code(cause.revision)} of {code(cause.release)})" if cause.revision else ""
    named = code(cause.version) + revision if cause.kind == "bad_release" else code(cause.object or cause.release)
    sure = f", confidence {percent(cause.confidence)}" if cause.confidence else ""
    return f"**{named or 'unknown'}**: {KINDS[cause.kind]}{sure}."
