"""The regression case that is captured from the example of a user's ticket, or from a request that the service recorded."""

import json
from typing import Any
from urllib.parse import quote

from opsloop.api.eval_expect import EvalExpect, JsonCheck
from opsloop.api.eval_request import EvalRequest
from opsloop.api.evalcase import EvalCaseSpec, Origin, ProofPair
from opsloop.api.release import Release
from opsloop.api.reported import LinkedTicket
from opsloop.api.strategy import EvalAsk
from opsloop.core.recorded.lines import LONGEST_BODY, LONGEST_PATH, Seen

# Named reasons why a ticket gives no case
NO_ASK = "NoAsk"  # spec.evals.ask of the Release does not say how to ask a pod
NO_EXAMPLE = "NoExample"  # no ticket says what was asked and what would have been right
TOO_LONG = "TooLong"  # the question does not fit into a path or a body


def case_name(incident: str, way: str = "ticket") -> str:
    """Name of the EvalCase that an Incident gets by one of its `ways`; there is one of each at most."""
    return f"{incident}-regression" if way == "ticket" else f"{incident}-regression-{way}"


def obstacle(release: Release, ticket: LinkedTicket) -> str:
    """Named reason why the ticket gives no case, or ""."""
    if release.spec.evals is None or release.spec.evals.ask is None:
        return NO_ASK
    example = ticket.example
    if example is None or not example.asked.strip() or not example.expected.strip():
        return NO_EXAMPLE
    ask = release.spec.evals.ask
    fits = len(_path(ask.path, example.asked)) <= LONGEST_PATH and len(_body(ask.body, example.asked)) <= LONGEST_BODY
    return "" if fits else TOO_LONG


def from_ticket(incident: str, release: Release, ticket: LinkedTicket, bad: str, good: str) -> EvalCaseSpec | None:
    """The regression case of a ticket's example; None where `obstacle` gives a reason.

    `bad` and `good` are digests; where either is unknown the case has no proof pair, and gates nothing.
    """
    evals = release.spec.evals
    ask = evals.ask if evals else None
    if obstacle(release, ticket) or evals is None or ask is None or ticket.example is None:
        return None
    return EvalCaseSpec(
        release=release.metadata.name,
        request=EvalRequest(
            method=ask.method,
            path=_path(ask.path, ticket.example.asked),
            port=evals.port,
            headers=ask.headers,
            body=_body(ask.body, ticket.example.asked),
            tls=ask.tls,
        ),
        expect=_expectation(ask, ticket.example.expected.strip()),
        must_pass=True,
        origin=Origin(kind="regression", incident=incident, ticket=ticket.id, by="ticket"),
        proof=ProofPair(bad=bad, good=good) if bad and good else None,
    )


def request_of(release: Release, seen: Seen, body: str, port: int) -> EvalRequest:
    """The request as a pod of this Release is asked it. Raises ValidationError where an EvalCase cannot."""
    method: Any = seen.method
    tls = release.spec.evals.ask.tls if release.spec.evals and release.spec.evals.ask else None
    return EvalRequest(method=method, path=seen.path, port=port, headers=seen.headers, body=body, tls=tls)


def from_record(
    incident: str, release: Release, seen: Seen, body: str, port: int, expect: EvalExpect, pair: ProofPair
) -> EvalCaseSpec:
    """The regression case of a recorded request. Raises ValidationError where an EvalCase cannot ask it."""
    return EvalCaseSpec(
        release=release.metadata.name,
        request=request_of(release, seen, body, port),
        expect=expect,
        must_pass=True,
        origin=Origin(kind="regression", incident=incident, by="capture", source=f"{seen.form}: {seen.line}"[:253]),
        proof=pair,
    )


def _path(template: str, question: str) -> str:
    return template.replace("{{asked}}", quote(question.strip(), safe="", errors="replace"))


def _body(template: str, question: str) -> str:
    """The question in a JSON string's place: it cannot end the string."""
    return template.replace("{{asked}}", json.dumps(question.strip(), ensure_ascii=False)[1:-1])


def _expectation(ask: EvalAsk, expected: str) -> EvalExpect:
    if ask.answer_path:
        return EvalExpect(json=[JsonCheck(path=ask.answer_path, equals=expected)])
    return EvalExpect(field=ask.answer_field, equals=expected)
