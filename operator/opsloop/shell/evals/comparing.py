"""Asks quarantined pods of two revisions the same: cases that people wrote, and recorded requests.

A difference is looked for only between whole answers: every request is asked ROUNDS times of each pod, over some seconds, so
that what a clock or a counter says differs among the answers of one revision as well. Where the good revision is live, its pods
are asked as well what changes nothing: what depends on load or age differs between them and pods that have just started.
"""

import asyncio
from collections.abc import Sequence

from opsloop.api.eval_request import EvalRequest
from opsloop.core.actions import CompareQuarantine
from opsloop.core.evalcase.expectation import SERVER_ERRORS, TRIES
from opsloop.core.facts import Compared
from opsloop.core.recorded.difference import Difference, Told, difference
from opsloop.shell.evals.asking import Asking

ROUNDS = 3
MOST_LIVE = 2  # live pods that are asked
SAFE = ("GET", "HEAD", "OPTIONS")  # RFC 9110: asking changes nothing
PAUSE = 1.1  # seconds between rounds: longer than what a clock that counts seconds stands still


async def compare(asking: Asking, action: CompareQuarantine, live: Sequence[str]) -> Compared:
    """The first case of a person that fails on the bad pod alone, and the difference that tells most."""
    failing = await _failing(asking, action)
    if failing:
        return Compared(action.attempt, failing=failing)
    answers = await _answers(asking, action, live)
    found: tuple[EvalRequest, Difference] | None = None
    silent = 0
    for request in action.requests:
        good = [t for pod in action.good for t in answers[pod[0], id(request)]]
        good += [t for pod in _named(live) for t in answers[pod[0], id(request)] if t.reply.status]
        bad = answers[action.bad[0], id(request)]
        silent += any(t.reply.status == 0 for t in (*good, *bad))
        one = await asyncio.to_thread(difference, good, bad) if asking.threads else difference(good, bad)
        if one is not None and (found is None or one.rank < found[1].rank):
            found = request, one
    said = f"{len(action.requests)} recorded requests and {len(action.cases)} EvalCases were asked of both revisions"
    said += f"; {silent} were not answered by both" if silent else ""
    if found is None:
        return Compared(action.attempt, text=said)
    request, one = found
    return Compared(action.attempt, "", request, one.expect, one.text, one.left_out)


async def _failing(asking: Asking, action: CompareQuarantine) -> str:
    """Name of the first case that passes on a good pod and fails on the bad one."""
    for case in action.cases:
        request, expect = case.spec.request, case.spec.expect
        bad, good = [
            await asking.answer([ip] * TRIES, request, expect, SERVER_ERRORS)
            for ip in (action.bad[1], action.good[0][1])
        ]
        if (bad.fit, good.fit) == ("failed", "passed"):
            return case.metadata.name
    return ""


def _named(live: Sequence[str]) -> list[tuple[str, str]]:
    """(name, IP) of live pods, whose names nobody has to know: what names them differs from what names the others."""
    return [(f"live {ip}", ip) for ip in live]


async def _answers(asking: Asking, action: CompareQuarantine, live: Sequence[str]) -> dict[tuple[str, int], list[Told]]:
    """(pod, request) → its answers."""
    pods = [(*pod, action.good_words) for pod in (*action.good, *_named(live))] + [(*action.bad, action.bad_words)]
    told: dict[tuple[str, int], list[Told]] = {(pod, id(r)): [] for pod, _, _ in pods for r in action.requests}
    harmless = [r for r in action.requests if r.method in SAFE]
    for number in range(ROUNDS):
        if number:
            await asyncio.sleep(PAUSE)
        asked = [(harmless if pod[1] in live else action.requests, pod) for pod in pods]
        await asyncio.gather(*(_round(asking, requests, pod, told) for requests, pod in asked))
    return told


async def _round(
    asking: Asking,
    requests: Sequence[EvalRequest],
    pod: tuple[str, str, tuple[str, ...]],
    told: dict[tuple[str, int], list[Told]],
) -> None:
    """Each request once of one pod."""
    name, ip, words = pod
    for request in requests:
        if any(t.reply.status == 0 for t in told[name, id(request)]):
            continue  # without a whole answer it tells nothing: a pod that hangs would take the time of all others
        reply = await asking.reply(ip, request)
        told[name, id(request)].append(Told(reply, (*words, name, ip)))
