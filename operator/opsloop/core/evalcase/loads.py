"""Checks under load: what replies that came at a rate say together.

Under load a missing reply is a bad one, as soon as the pod has answered anything: that it answers no more is what the check is
about. Where the load itself was late, or nothing was ever answered, nobody can say.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.evalcase import Load
from opsloop.api.meta import format_duration
from opsloop.core.evalcase import silence
from opsloop.core.evalcase.expectation import Answer, silent
from opsloop.core.evalcase.measured import Fate, Seen
from opsloop.core.evalcase.share import Standing, standing

LATE = 0.05  # seconds after its time at which a request counts as begun late, at least
OF_LATENCY = 0.25  # share of maxLatency that does, where that is more: so much of what is measured may be opsloop's own
UNTIMED = 0.25  # seconds where no time is expected: the rate alone has to be right
MOST_LATE = 0.05  # share of the requests that may be begun late

_UNSEEN = Seen()
_OF_THE_POD = (silence.UNREACHABLE, silence.BROKEN_OFF, silence.TIMED_OUT)


@dataclass(frozen=True, slots=True)
class Reply:
    """What one request of a load came to: its answer, the seconds that it took, and by how many it was begun late."""

    answer: Answer
    took: float
    late: float


def words(load: Load) -> str:
    """The load in few words: 20/s for 30s."""
    return f"{load.requests_per_second:g}/s for {format_duration(load.duration)}"


def answers(replies: Sequence[Reply], expect: EvalExpect) -> list[Answer]:
    """The answer to each request, in order."""
    latest = UNTIMED if expect.max_latency is None else max(LATE, OF_LATENCY * expect.max_latency.total_seconds())
    late = sum(reply.late > latest for reply in replies)
    if late > MOST_LATE * len(replies):
        worst = max(reply.late for reply in replies)
        text = f"opsloop began {late} of {len(replies)} requests late, by up to {worst * 1000:.0f} ms"
        return [silent(silence.LOAD_LATE, text)] * len(replies)
    if all(reply.answer.fit == "no_answer" for reply in replies):
        return [reply.answer for reply in replies]
    return [_bad(reply.answer) for reply in replies]


def _bad(answer: Answer) -> Answer:
    lost = answer.fit == "no_answer" and answer.reason in _OF_THE_POD
    return Answer("failed", f"under load {answer.message}") if lost else answer


def message(
    load: Load, replies: Sequence[Reply], given: Sequence[Answer], min_share: float, pod: Seen = _UNSEEN
) -> str:
    """What was seen under which load: first of the pod where that decides, then of the replies, with the first that was not good."""
    seen = _of_replies(load, replies, given, min_share)
    return "; ".join((seen, pod.message) if pod.fate == "Passed" else filter(None, (pod.message, seen)))


def _of_replies(load: Load, replies: Sequence[Reply], given: Sequence[Answer], min_share: float) -> str:
    good, missing = sum(a.fit == "passed" for a in given), [a for a in given if a.fit == "no_answer"]
    seen = f"{good} of {len(given)} replies good ({good / len(given):.1%}) under {words(load)}, {min_share:.1%} needed"
    if len(missing) == len(given):
        return missing[0].message
    took = sorted(reply.took for reply in replies if reply.answer.fit != "no_answer")
    times = f"; half within {_quantile(took, 0.5)} ms, 99% within {_quantile(took, 0.99)} ms" if took else ""
    first = next((a.message for a in given if a.fit == "failed"), "") or (missing[0].message if missing else "")
    return f"{seen}{times}{f'; first: {first}' if first else ''}"


def _quantile(ordered: Sequence[float], share: float) -> str:
    return f"{ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000:.0f}"


def verdict(given: Sequence[Answer], min_share: float, pod: Seen = _UNSEEN) -> bool | None:
    """True: enough replies were good, and so was the pod; None: too few answers to say."""
    good, answered = sum(a.fit == "passed" for a in given), sum(a.fit != "no_answer" for a in given)
    stands = with_pod(standing(good, answered, len(given), min_share), pod.fate)
    return None if stands == "open" else stands == "passed"


def with_pod(stands: Standing, fate: Fate) -> Standing:
    """Where a check stands by its replies and by how the pod fared: either fails it, and it passes by both alone."""
    if fate == "Failed":
        return "failed"
    return "open" if fate == "NoAnswer" and stands == "passed" else stands
