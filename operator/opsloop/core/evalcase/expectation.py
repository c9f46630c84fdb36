"""Whether the reply of a pod is the expected one, and how many replies an answer rests on.

A time-out, a refused connection and an error of the API server's proxy are *no answer*: neither passed nor failed.
"""

import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from opsloop.api.eval_expect import EvalExpect, HeaderCheck, JsonCheck, ValueCheck
from opsloop.api.meta import format_duration
from opsloop.core.evalcase import paths, patterns, schemas
from opsloop.core.evalcase.silence import CASE_INVALID, REPLY_TOO_LONG, TIMED_OUT
from opsloop.core.evalcase.values import differences, quoted, text_of
from opsloop.core.facts import ProbeReply

NO_ANSWER = "NoAnswer"  # a pod did not answer, also when it was asked again: neither passed nor failed

TRIES = 3  # requests for one answer
SERVER_ERRORS = range(500, 600)  # of a pod that has just started, or that waited in vain for what it depends on
GATEWAY_ERRORS = range(502, 505)  # the pod passes on that something behind it did not answer in time

MOST_WORK = 200_000  # steps for one reply: some 0.5 s of computing, beside the event loop
QUICK = 2000  # steps that the event loop can be kept for: a few milliseconds

LONGEST_MESSAGE = 300  # characters of a message about one reply
_HALF = (LONGEST_MESSAGE - len("wanted , got ")) // 2

Fit = Literal["passed", "failed", "no_answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a reply fits, and the difference or the reason where it does not."""

    fit: Fit
    message: str = ""
    reason: str = ""  # where there is no answer


def answer(expect: EvalExpect, replies: Sequence[ProbeReply], transient: Container[int]) -> Answer | None:
    """The answer that the replies to one request, oldest first, give together; None where it is to be sent again.

    A reply that fits, or that differs with a status outside of `transient`, stands at once. A transient status counts as
    a failure only when each of TRIES replies has one; with a time-out or a refused connection among them there is no
    answer.
    """
    answers = [compare(expect, reply) for reply in replies]
    if answers and (answers[-1].fit == "passed" or not _is_retried(answers[-1], replies[-1], transient)):
        return answers[-1]
    if len(answers) < TRIES:
        return None
    silent = [one for one in answers if one.fit == "no_answer"]
    return silent[-1] if silent else answers[-1]


def _is_retried(last: Answer, reply: ProbeReply, transient: Container[int]) -> bool:
    if last.reason == CASE_INVALID:
        return False
    return last.fit == "no_answer" or reply.status == 0 or reply.status in transient


def compare(expect: EvalExpect, reply: ProbeReply) -> Answer:
    """One reply against the expectation. A pod that cannot be reached has not failed, nor has one whose case is wrong.

    A reply that did not come in time is later than `maxLatency`, which ends before the request's time.
    """
    if problem := flaw(expect):
        return silent(CASE_INVALID, problem)
    if reply.status == 0:
        if reply.reason == TIMED_OUT and expect.max_latency is not None:
            return _difference(f"a reply within {format_duration(expect.max_latency)}", reply.error)
        return silent(reply.reason or NO_ANSWER, reply.error or "the pod did not reply")
    if reply.status != expect.status:
        return _difference(f"HTTP {expect.status}", f"{reply.status}: {reply.body.strip()}")
    first = next(_outside_the_body(expect, reply), None)
    if first is not None:
        return _difference(*first)
    if work(expect, reply) > MOST_WORK:
        return silent(REPLY_TOO_LONG, "expect.json and jsonSchema would look at too much of it; write shorter paths")
    first = next(_in_the_body(expect, reply.body), None)
    if first is not None and reply.cut:
        return silent(REPLY_TOO_LONG, f"of the reply only {len(reply.body.encode())} bytes are read")
    return _difference(*first) if first is not None else Answer("passed")


def work(expect: EvalExpect, reply: ProbeReply) -> float:
    """Steps that comparing the reply takes, at most. Raises ValueError for an expectation with a flaw."""
    each: float = sum(paths.steps(check.path) for check in expect.json_)
    each += schemas.steps(expect.json_schema) if expect.json_schema is not None else 0
    return each * (1 + sum(reply.body.count(sign) for sign in "[{,")) if each else 0


def silent(reason: str, detail: str) -> Answer:
    """No answer, for a named reason."""
    said = f"no answer: {detail}" if reason == NO_ANSWER else f"no answer ({reason}): {detail}"
    return Answer("no_answer", said[:LONGEST_MESSAGE], reason)


def flaw(expect: EvalExpect) -> str:
    """What in the expectation cannot be evaluated, with its field and what would be right; "" where all can."""
    for field, check, text in _claims(expect):
        try:
            check(text)
        except ValueError as error:
            return f"{field}: {error}"
    return ""


def _claims(expect: EvalExpect) -> Iterator[tuple[str, Any, Any]]:
    """(field, its check, its content) of all that may be wrong in itself."""
    if expect.matches is not None:
        yield "expect.matches", patterns.check, expect.matches
    every = [("headers", n, h) for n, h in enumerate(expect.headers)] + [
        ("json", n, j) for n, j in enumerate(expect.json_)
    ]
    for name, number, one in every:
        if isinstance(one, JsonCheck):
            yield f"expect.{name}[{number}].path", paths.check, one.path
        if one.matches is not None:
            yield f"expect.{name}[{number}].matches", patterns.check, one.matches
    if expect.json_schema is not None:
        yield "expect.jsonSchema", schemas.check, expect.json_schema


def _outside_the_body(expect: EvalExpect, reply: ProbeReply) -> Iterator[tuple[str, str]]:
    """(wanted, got) of each header and of the time that are not as expected."""
    if expect.max_latency is not None and reply.seconds > expect.max_latency.total_seconds():
        yield f"a reply within {format_duration(expect.max_latency)}", f"one after {reply.seconds * 1000:.0f}ms"
    for check in expect.headers:
        values = [value for name, value in reply.headers if name.lower() == check.name.lower()]
        yield from _of_found(check, values, f"header {check.name}")


def _in_the_body(expect: EvalExpect, body: str) -> Iterator[tuple[str, str]]:
    """(wanted, got) of each part of the body that is not as expected."""
    whole = ValueCheck.model_construct(equals=expect.equals, contains=expect.contains, matches=expect.matches)
    try:
        yield from differences(whole, _value(body, expect.field))
    except ValueError as error:
        yield f"field {expect.field}", f"{error}: {body.strip()}"
    if not expect.json_ and expect.json_schema is None:
        return
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        yield "JSON", body.strip() or "an empty reply"
        return
    for check in expect.json_:
        try:
            yield from _of_found(check, paths.values(check.path, document), check.path)
        except ValueError as error:
            yield check.path, str(error)
    if expect.json_schema is not None and (wrong := schemas.difference(expect.json_schema, document)):
        yield "what jsonSchema says", wrong


def _of_found(check: HeaderCheck | JsonCheck, values: Sequence[Any], where: str) -> Iterator[tuple[str, str]]:
    """(wanted, got) of what was found in one place."""
    if check.exists is False:
        if values:
            yield f"no {where}", quoted(text_of(values[0]))
        return
    if not values:
        yield where, "a reply without it"
    for value in values:
        yield from ((f"{where} {wanted}", got) for wanted, got in differences(check, value))


def _value(body: str, path: str) -> str:
    """The text at a dotted path of a JSON body ("" = the whole body). Raises ValueError that names what is missing."""
    if not path:
        return body
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("a reply that is not JSON") from None
    if isinstance(value, dict) and path in value:
        value = value[path]
    else:
        for part in path.split("."):
            value = _member(value, part)
    return text_of(value)


def _member(value: Any, part: str) -> Any:
    if isinstance(value, dict) and part in value:
        return value[part]
    if isinstance(value, list) and part.isascii() and part.isdigit() and len(part) < 7 and int(part) < len(value):
        return value[int(part)]
    raise ValueError(f"a reply without {part!r}")


def _difference(expected: str, got: str) -> Answer:
    return Answer("failed", f"wanted {_cut(expected)}, got {_cut(got)}")


def _cut(text: str) -> str:
    """At most half a message; a quotation keeps its end."""
    if len(text) <= _HALF:
        return text
    return text[: _HALF - 2] + ('…"' if text.endswith('"') else "…")
