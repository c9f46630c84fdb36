"""From an Incident to its case: the best way that can be proven, and a proven one stays."""

from typing import Any

import pytest

from opsloop.api.evalcase import EvalCase, EvalCaseStatus, FailedOn, Origin, ProofPair, Steadiness
from opsloop.api.strategy import Evals
from opsloop.core.evalcase import ways
from opsloop.core.evalcase.capture import case_name
from opsloop.core.reported import Alert
from tests.builders.evalcases import BAD, GOOD, at, case, release, ticket

PAIR = ProofPair(bad=BAD, good=GOOD)
INCIDENT = "answers-1"


def failing(name: str = "order-total", digest: str = BAD, kind: str = "manual") -> EvalCase:
    """A person's case that failed on a revision while it was live."""
    failed = FailedOn(digest=digest, version="v2", message="wanted 3, got 4", at=at(10))
    return case(name, kind, status=EvalCaseStatus(observed_generation=1, failed_on=[failed]), must_pass=False)


def learnt_before(proven: str = "True") -> EvalCase:
    """A regression case of an earlier Incident, which failed on this one's bad revision while it was live."""
    one = failing("answers-0-regression", kind="regression")
    origin = one.spec.origin.model_copy(update={"incident": "answers-0"})
    spec = one.spec.model_copy(update={"origin": origin})
    return one.model_copy(update={"spec": spec, "status": one.status.model_copy(update={"proven": proven})})


def flaky(one: EvalCase) -> EvalCase:
    told = Steadiness(digest=BAD, right=9, wrong=1, flaky_since=at(10))
    return one.model_copy(update={"status": one.status.model_copy(update={"steadiness": told})})


def alert(**labels: str) -> Alert:
    return Alert("f1", "firing", at(5), {"alertname": "ProbeFailed", **labels}, {}, at(6))


def made(**given: Any) -> list[ways.Candidate]:
    held = given.pop("release", release())
    return ways.candidates(
        INCIDENT, held, given.get("tickets", ()), given.get("cases", ()), given.get("alerts", ()), PAIR
    )


def test_a_failing_case_becomes_a_must_pass_copy_with_a_proof() -> None:
    (one,) = made(cases=[failing()])
    assert (one.way, one.name) == ("evalcase", "answers-1-regression-evalcase")
    origin = one.spec.origin
    assert (origin.kind, origin.incident, origin.by, origin.source) == (
        "regression",
        INCIDENT,
        "evalcase",
        "order-total",
    )
    assert one.spec.must_pass and one.spec.proof == PAIR and one.spec.request == failing().spec.request


def test_a_proven_case_of_an_earlier_incident_that_failed_on_it_is_taken_and_will_merge() -> None:
    (one,) = made(cases=[learnt_before()])
    assert (one.name, one.spec.origin.source) == ("answers-1-regression-evalcase", "answers-0-regression")
    assert (one.spec.request, one.spec.expect, one.spec.proof) == (failing().spec.request, failing().spec.expect, PAIR)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(failing(digest=GOOD), id="it failed on another revision"),
        pytest.param(failing(kind="regression"), id="it is this Incident's own already"),
        pytest.param(learnt_before(proven="Unknown"), id="it is another Incident's, and not proven"),
        pytest.param(case("order-total", "manual"), id="it never failed"),
        pytest.param(flaky(failing()), id="it is flaky, and may have failed by itself"),
    ],
)
def test_other_cases_teach_nothing(other: EvalCase) -> None:
    assert made(cases=[other]) == []


@pytest.mark.parametrize(
    ("labels", "path"),
    [
        pytest.param({"instance": "http://answers.shop.svc:80/ask?q=refund"}, "/ask?q=refund", id="blackbox exporter: the Service in the URL"),
        pytest.param({"instance": "https://help.example.com/ask", "service": "answers"}, "/ask", id="a public address, and the service as a label"),
        pytest.param({"target": "http://answers"}, "/", id="no path is the root"),
        pytest.param({"instance": "10.0.0.7:8080", "service": "answers"}, None, id="an ordinary scrape target is no probe"),
        pytest.param({"instance": "http://web.shop.svc/ask"}, None, id="another service's probe"),
        pytest.param({"instance": "http://answers/ask?token=s3cret"}, None, id="with a credential it cannot be repeated"),
        pytest.param({"instance": "http://[answers/ask"}, None, id="no URL at all"),
    ],
)  # fmt: skip
def test_probes(labels: dict[str, str], path: str | None) -> None:
    found = made(alerts=[alert(**labels)])
    assert [c.spec.request.path for c in found] == ([path] if path else [])
    assert all((c.way, c.spec.expect.status, c.spec.request.port, c.spec.origin.source) == ("probe", 200, 8080, "ProbeFailed") for c in found)  # fmt: skip


def test_a_release_without_evals_has_no_port_to_ask() -> None:
    bare = release()
    bare = bare.model_copy(update={"spec": bare.spec.model_copy(update={"evals": None})})
    assert made(release=bare, alerts=[alert(instance="http://answers/")], tickets=[ticket()]) == []


def own(way: str, proven: str = "Unknown", reason: str = "", attempts: int = 0, generation: int = 1) -> EvalCase:
    name = case_name(INCIDENT, way)
    status = EvalCaseStatus(observed_generation=1, proven=proven, reason=reason, attempts=attempts)  # type: ignore[arg-type]
    origin = {"kind": "regression", "incident": INCIDENT, "by": way}
    return case(name, generation=generation, status=status, origin=Origin.model_validate(origin))


ALL = {"tickets": [ticket()], "cases": [failing()], "alerts": [alert(instance="http://answers/ask")]}
REFUTED = own("ticket", "False", "PassesOnBad")
HANGS = own("evalcase", "Unknown", "NoAnswer", attempts=3)


@pytest.mark.parametrize(
    ("there", "given", "case_", "new"),
    [
        pytest.param([], ALL, "", "ticket", id="the ticket's example comes first"),
        pytest.param([], {**ALL, "tickets": []}, "", "evalcase", id="without one, a case that failed"),
        pytest.param([], {"alerts": ALL["alerts"]}, "", "probe", id="then a probe"),
        pytest.param([], {}, "", "", id="nothing at all"),
        pytest.param([own("ticket")], ALL, "ticket", "", id="the case is there, and is being proven"),
        pytest.param([REFUTED], ALL, "", "evalcase", id="the ticket's example is not what is wrong: the next way"),
        pytest.param([REFUTED, HANGS], ALL, "", "probe", id="the bad revision never answers it: the next way"),
        pytest.param([REFUTED], {}, "ticket", "", id="no other way: it says why it is not proven"),
        pytest.param([own("ticket", "False", "PassesOnBad", generation=2)], ALL, "ticket", "", id="somebody edited it: it is proven anew"),
        pytest.param([own("recorded", "True", "Proven")], ALL, "recorded", "", id="a proven one stays when a better way comes later"),
        pytest.param([own("capture")], {}, "capture", "", id="a captured request"),
        pytest.param([own("capture")], ALL, "", "ticket", id="a better way comes before a captured one is proven"),
        pytest.param([own("ticket", "Unknown", "AwaitsQuarantine")], ALL, "ticket", "", id="it waits for a person, and so would the others"),
    ],
)  # fmt: skip
def test_the_choice(there: list[EvalCase], given: dict[str, Any], case_: str, new: str) -> None:
    choice = ways.choose(INCIDENT, there, made(**given))
    assert (ways.way_of(choice.case) if choice.case else "", choice.new.way if choice.new else "") == (case_, new)


def test_a_case_that_a_person_wrote_for_the_incident_counts_as_captured() -> None:
    by_hand = case("refund-by-hand")
    assert ways.way_of(by_hand) == "capture"
    assert ways.choose(INCIDENT, [by_hand], []).case is by_hand


def test_cases_of_other_incidents_are_not_its_own() -> None:
    assert ways.choose("answers-2", [own("capture")], []) == ways.Choice()


def test_evals_without_ask_still_give_cases_by_other_ways() -> None:
    bare = release(Evals(port=9898))
    assert [c.way for c in made(release=bare, **ALL)] == ["evalcase", "probe"]
