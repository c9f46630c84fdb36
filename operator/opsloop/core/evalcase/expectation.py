"""Whether the reply of a pod is the expected one, and how many replies an answer rests on.

A time-out, a refused connection and an error of the API server's proxy are *no answer*: neither passed nor failed.
"""

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from opsloop.api.evalcase import EvalExpect
from opsloop.core.facts import ProbeReply

NO_ANSWER = "NoAnswer"  # a pod did not answer, also when it was asked again: neither passed nor failed

TRIES = 3  # requests for one answer
SERVER_ERRORS = range(500, 600)  # of a pod that has just started, or that waited in vain for what it depends on
GATEWAY_ERRORS = range(502, 505)  # the pod passes on that something behind it did not answer in time

LONGEST_MESSAGE = 300  # characters of a message about one reply
_HALF = (LONGEST_MESSAGE - len("wanted , got ")) // 2

Fit = Literal["passed", "failed", "no_answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a reply fits, and the difference where it does not."""

    fit: Fit
    message: str = ""


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
    return last.fit == "no_answer" or reply.status in transient


def compare(expect: EvalExpect, reply: ProbeReply) -> Answer:
    """One reply against the expectation. A pod that cannot be reached has not failed."""
    if reply.status == 0:
        return Answer("no_answer", f"no answer: {reply.error or 'the pod did not reply'}"[:LONGEST_MESSAGE])
    if reply.status != expect.status:
        return _difference(f"HTTP {expect.status}", f"{reply.status}: {reply.body.strip()}")
    try:
        value = _value(reply.body, expect.field)
    except ValueError as error:
        return _difference(f"field {expect.field}", f"{error}: {reply.body.strip()}")
    if expect.equals is not None and value.strip() != expect.equals.strip():
        return _difference(_quoted(expect.equals), _quoted(value))
    if expect.contains is not None and expect.contains not in value:
        return _difference(f"something with {_quoted(expect.contains)}", _quoted(value))
    return Answer("passed")


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
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _member(value: Any, part: str) -> Any:
    if isinstance(value, dict) and part in value:
        return value[part]
    if isinstance(value, list) and part.isascii() and part.isdigit() and len(part) < 7 and int(part) < len(value):
        return value[int(part)]
    raise ValueError(f"a reply without {part!r}")


def _difference(expected: str, got: str) -> Answer:
    return Answer("failed", f"wanted {_cut(expected, _HALF)}, got {_cut(got, _HALF)}")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _quoted(text: str) -> str:
    return f'"{_cut(" ".join(text.split()), _HALF - len("something with ") - 2)}"'
