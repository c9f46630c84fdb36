"""What differs between two revisions' answers to one recorded request, and the expectation that follows from it.

Every request is asked several times of each revision, of more than one pod of the good one. What differs among answers of the
same revision says nothing (clocks, identifiers, names of pods) and is left out; so is what only says which revision or pod
answered, for that will be another in every version to come. What is left differs *because* of the revision. That the good
revision is right about it is an assumption: such a case is marked *recorded*.

    status     every answer of the good one has the same, and none of the bad one's
    JSON       a value that all answers of the good one share, and all of the bad one share another or have none
    header     Content-Type and Location, in the same way; other headers tell of servers and clocks
    text       a line that is in every answer of the good one and in none of the bad one's
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsloop.api.eval_expect import EvalExpect, HeaderCheck, JsonCheck
from opsloop.core.facts import ProbeReply
from opsloop.core.recorded import redact

MOST_CHECKS = 5  # values in one expectation: each may change for a good reason some day
MOST_LEAVES = 400  # values of a document that are looked at
LONGEST_VALUE = 500
LONGEST_PATH = 256  # of a JSONPath in an EvalCase
SHORTEST_LINE, LONGEST_LINE = 3, 200
MOST_TOLD = 8  # parts that were left out, by name
COMPARED_HEADERS = ("Content-Type", "Location")

_ITSELF = "\x00"  # stands where an answer names its own revision or pod
_PLAIN_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Told:
    """One answer of a pod, and the words by which it would name itself: version, image, revision, pod, address."""

    reply: ProbeReply
    itself: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """The expectation that the good revision fits and the bad one does not. The smallest `rank` tells most."""

    expect: EvalExpect
    rank: int
    text: str
    left_out: tuple[str, ...] = ()


def difference(good: Sequence[Told], bad: Sequence[Told]) -> Difference | None:
    """None where nothing differs for certain, or where an answer is missing or was cut."""
    if not good or not bad or any(t.reply.status == 0 or t.reply.cut for t in (*good, *bad)):
        return None
    statuses, bad_statuses = {t.reply.status for t in good}, {t.reply.status for t in bad}
    if len(statuses) > 1:
        return None
    (status,) = statuses
    if status not in bad_statuses:
        got = ", ".join(map(str, sorted(bad_statuses)))
        rank = 0 if min(bad_statuses) >= 500 else 1
        return Difference(EvalExpect(status=status), rank, f"status {status}, and {got} on the bad revision")
    if len(bad_statuses) > 1:
        return None  # now right, now wrong: nothing to expect that the bad one surely fails
    return _in_content(status, good, bad)


def _in_content(status: int, good: Sequence[Told], bad: Sequence[Told]) -> Difference | None:
    parts, bad_parts = [_parts(t) for t in good], [_parts(t) for t in bad]
    found, left_out = list[tuple[str, str]](), list[str]()
    for name in _names(parts):
        values = [p.get(name, _ABSENT) for p in parts]
        others = [p.get(name, _ABSENT) for p in bad_parts]
        value, other = values[0], others[0]
        if any(v != value for v in values) or any(o != other for o in others):
            left_out.append(name)
        elif value == other:
            continue
        elif isinstance(value, str) and (_ITSELF in value or len(value) > LONGEST_VALUE):
            left_out.append(name)
        elif any(isinstance(told, str) and redact.is_secret(name, told) for told in (value, other)):
            left_out.append(name)  # nobody may read a credential in an EvalCase, a timeline or an Event
        elif isinstance(value, str):
            found.append((name, value))
    if found:
        checks = found[:MOST_CHECKS]
        return Difference(_expect(status, checks), 2, _sentence(checks, bad_parts[0]), tuple(left_out[:MOST_TOLD]))
    line = _line(good, bad)
    if line is None:
        return None
    expect = EvalExpect(status=status, contains=line)
    return Difference(expect, 3, f"the line {line!r}, which the bad revision never gives", tuple(left_out[:MOST_TOLD]))


def _expect(status: int, checks: Sequence[tuple[str, str]]) -> EvalExpect:
    headers = [HeaderCheck(name=n.removeprefix("header "), equals=v) for n, v in checks if n.startswith("header ")]
    values = [JsonCheck(path=n, equals=v) for n, v in checks if n.startswith("$")]
    return EvalExpect(status=status, headers=headers, json=values)


def _sentence(checks: Sequence[tuple[str, str]], bad: Mapping[str, str]) -> str:
    return "; ".join(
        f"{n} {_short(v)}, and {_short(bad[n]) if n in bad else 'nothing'} on the bad revision" for n, v in checks
    )


def _short(text: str) -> str:
    text = text.replace(_ITSELF, "…")
    return json.dumps(text if len(text) <= 80 else text[:79] + "…", ensure_ascii=False)


def _names(parts: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Parts of the good answers, in their order."""
    yield from dict.fromkeys(name for part in parts for name in part)


def _parts(told: Told) -> dict[str, str]:
    """Headers and JSON values by name, with what names the pod or revision replaced."""
    found: dict[str, str] = {}
    for name in COMPARED_HEADERS:
        value = next((v for n, v in told.reply.headers if n.lower() == name.lower()), None)
        if value is not None:
            found[f"header {name}"] = _without_itself(value.strip(), told.itself)
    try:
        document = json.loads(told.reply.body)
    except (ValueError, RecursionError):
        return found
    for path, value in _leaves(document, "$"):
        if len(found) >= MOST_LEAVES:
            break
        found[path] = _without_itself(value, told.itself)
    return found


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(JSONPath, text as an EvalCase compares it) of each value that holds no other, without paths that are too long."""
    if len(path) > LONGEST_PATH:
        return
    if isinstance(value, dict) and value:
        for name, item in value.items():
            if not name.isprintable():  # a JSONPath could not name it
                continue
            yield from _leaves(item, f"{path}.{name}" if _PLAIN_NAME.match(name) else f"{path}[{_quoted(name)}]")
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}[{number}]")
    else:
        yield path, value.strip() if isinstance(value, str) else json.dumps(value)


def _quoted(name: str) -> str:
    escaped = json.dumps(name, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'")
    return f"'{escaped}'"


def _without_itself(text: str, itself: Collection[str]) -> str:
    """The text with each word by which the answer names its revision or pod replaced, where it stands alone."""
    for word in sorted(filter(None, itself), key=len, reverse=True):
        if word in text:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", _ITSELF, text)
    return text


def _line(good: Sequence[Told], bad: Sequence[Told]) -> str | None:
    """The first line of a text that every good answer has and no bad one."""
    own = [_lines(t) for t in good]
    theirs = {line for t in bad for line in _lines(t)}
    shared = set.intersection(*map(set, own))
    fits = (
        line
        for line in own[0]
        if line in shared and line not in theirs and _ITSELF not in line and not redact.is_secret("", line)
    )
    return next((line for line in fits if SHORTEST_LINE <= len(line) <= LONGEST_LINE), None)


def _lines(told: Told) -> list[str]:
    try:
        json.loads(told.reply.body)
    except (ValueError, RecursionError):
        return [_without_itself(line.strip(), told.itself) for line in told.reply.body.splitlines()]
    return []  # JSON is compared value by value
