"""Learn and ship: the case from a ticket's example, the fix, the closed loop, the postmortem."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.evalcase import EvalCase, ProofRun, Steadiness
from opsloop.api.incident import Waiver
from opsloop.api.records import Promotion
from opsloop.core.actions import CreateEvalCase, StorePostmortem
from opsloop.core.facts import IncidentFacts
from opsloop.core.reported import Ledger
from tests.builders.incidents import BLOCKED_BAD as BAD
from tests.builders.incidents import (
    DONE,
    ROLLED_BACK,
    acts,
    after,
    burnt,
    condition_of,
    facts,
    service,
    sli,
    timeline_keys,
)
from tests.builders.objects import V1, V2, V4, at, evalcase, release
from tests.builders.rollouts import ADOPTED

EVALS = {"port": 8080, "ask": {"path": "/ask?q={{asked}}"}}
EXAMPLE = {"asked": "how long?", "got": "7 days", "expected": "30 days"}
CASE = "answers-1-regression"


def ticket(example: dict[str, str] | None = None, id_: str = "T-1") -> dict[str, Any]:
    base = {
        "id": id_,
        "subject": "s",
        "category": "outage",
        "severity": "sev3",
        "route": "r",
        "score": 1.0,
        "receivedAt": at(5).isoformat(),
    }
    return {**base, "example": example} if example else base


def root(promoted: Promotion | None = None, evals: Any = EVALS, live: str = V1) -> Any:
    """Rolled back to v1."""
    status = service(live, (ADOPTED, BAD), rollback=DONE, promotion=promoted).status
    return release(status=status, dependsOn=[], evals=evals)


def learning(
    *tickets: dict[str, Any], phase: str = "Resolved", cases: tuple[EvalCase, ...] = (), meta: Any = None, **more: Any
) -> IncidentFacts:
    status = {**ROLLED_BACK, **more.pop("status", {})}
    held = more.pop("root", None) or root(more.pop("promoted", None))
    ledger = Ledger(tickets=tickets or (ticket(EXAMPLE),))
    return facts(
        burnt(phase, meta=meta, **status), held, more.pop("seen", sli(0.0)), eval_cases=cases, ledger=ledger, **more
    )


def test_the_example_of_a_ticket_becomes_a_case_with_its_proof_pair() -> None:
    (made,) = acts(learning(), CreateEvalCase)
    assert made.name == CASE and made.labels["opsloop.dev/incident"] == "answers-1"
    assert made.spec["proof"] == {"bad": V2, "good": V1} and made.spec["mustPass"] is True
    assert made.spec["request"]["path"] == "/ask?q=how%20long%3F" and made.spec["expect"]["equals"] == "30 days"
    status = after(learning())
    assert status.eval_case == CASE and "captured" in timeline_keys(status)


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        pytest.param(learning(ticket(), ticket(EXAMPLE, "T-2")), 1, id="the first ticket that has an example"),
        pytest.param(learning(ticket()), 0, id="no example, no case"),
        pytest.param(learning(root=root(evals={"port": 8080})), 0, id="nobody said how to ask a pod"),
        pytest.param(learning(root=root(evals=None)), 0, id="no evals at all"),
        pytest.param(learning(phase="Mitigating", seen=sli(0.5)), 0, id="mitigate first"),
        pytest.param(learning(phase="Mitigated", status={"backSince": at(95)}), 1, id="once it is mitigated"),
        pytest.param(learning(cases=(evalcase(),)), 0, id="the case is there"),
        pytest.param(learning(status={"rollback": None, "plays": []}), 0, id="nothing was rolled back: there is no good answer to compare with"),
        pytest.param(learning(status={"cause": {"kind": "unknown", "confidence": 0.95}}), 0, id="no revision is to blame"),
        pytest.param(learning(status={"evalCase": CASE}), 1, id="died before it was created: created now"),
    ],
)  # fmt: skip
def test_capture(seen: IncidentFacts, count: int) -> None:
    assert len(acts(seen, CreateEvalCase)) == count


def proven(how: str, reason: str = "") -> EvalCase:
    case = evalcase(proven=how)
    bad = ProofRun(digest=V2, passed=False, message="", at=at(70))
    return case.model_copy(update={"status": case.status.model_copy(update={"reason": reason, "bad": bad})})


WHY = "the leak shows after a day; an alert on memory guards instead"
WAIVED = {"annotations": {"opsloop.dev/waive-regression": f"alice@example.com: {WHY}"}}


@pytest.mark.parametrize(
    ("seen", "condition"),
    [
        pytest.param(learning(ticket()), ("Unknown", "NoExample"), id="nobody gave an example"),
        pytest.param(learning(cases=(proven("Unknown", "Proving"),)), ("Unknown", "Proving"), id="it is being proven"),
        pytest.param(learning(cases=(proven("Unknown"),)), ("Unknown", "NotProvenYet"), id="nobody has looked at it yet"),
        pytest.param(learning(cases=(proven("Unknown", "AwaitsQuarantine"),)), ("Unknown", "AwaitsQuarantine"), id="a person is asked whether the bad revision may run again"),
        pytest.param(learning(cases=(proven("True"),)), ("True", "Proven"), id="it fails on bad and passes on good"),
        pytest.param(learning(cases=(proven("False", "PassesOnBad"),)), ("False", "PassesOnBad"), id="it does not catch the bad revision"),
        pytest.param(learning(ticket(), meta=WAIVED), ("Unknown", "Waived"), id="a person waived it, which is no pass"),
        pytest.param(learning(cases=(proven("False", "PassesOnBad"),), meta=WAIVED), ("Unknown", "Waived"), id="a case that cannot be proven may be waived"),
        pytest.param(learning(cases=(proven("True"),), meta=WAIVED), ("True", "Proven"), id="where a case is proven nothing is waived"),
        pytest.param(learning(ticket(), meta={"annotations": {"opsloop.dev/waive-regression": "true"}}), ("Unknown", "WaiverUnfit"), id="a waiver without who and why is none"),
    ],
)  # fmt: skip
def test_regression_captured(seen: IncidentFacts, condition: tuple[str, str]) -> None:
    assert condition_of(after(seen), "RegressionCaptured") == condition


def promoted(digest: str = V4, version: str = "v4", when: float = 60, cases: tuple[str, ...] = (CASE,)) -> Promotion:
    return Promotion(digest=digest, version=version, at=at(when), cases=list(cases))


CAUGHT = (proven("True"),)


@pytest.mark.parametrize(
    ("seen", "shipped", "closed"),
    [
        pytest.param(learning(cases=CAUGHT), "NoFixYet", "NoFixYet", id="nothing was promoted"),
        pytest.param(learning(cases=CAUGHT, promoted=promoted()), "FixPromoted", "LoopClosed", id="another revision was promoted and the case passed in it"),
        pytest.param(learning(cases=CAUGHT, promoted=promoted(cases=())), "FixPromoted", "CaseDidNotRun", id="promoted without the case: not closed"),
        pytest.param(learning(cases=CAUGHT, promoted=promoted(cases=("other",))), "FixPromoted", "CaseDidNotRun", id="another case is not this one"),
        pytest.param(learning(cases=CAUGHT, promoted=promoted(when=-10)), "NoFixYet", "NoFixYet", id="a promotion from before is no fix"),
        pytest.param(learning(cases=CAUGHT, promoted=promoted(V1, "v1")), "NoFixYet", "NoFixYet", id="last-good is no fix"),
        pytest.param(learning(cases=CAUGHT, promoted=promoted(V2, "v2")), "NoFixYet", "NoFixYet", id="the bad revision is no fix"),
        pytest.param(learning(ticket(), meta=WAIVED, promoted=promoted(cases=())), "FixPromoted", "Waived", id="waived, the promotion alone closes it, and says so"),
        pytest.param(learning(cases=CAUGHT, meta=WAIVED, promoted=promoted()), "FixPromoted", "LoopClosed", id="a case that passed closes it, waived or not"),
    ],
)  # fmt: skip
def test_ship(seen: IncidentFacts, shipped: str, closed: str) -> None:
    status = after(seen)
    assert condition_of(status, "FixShipped") == ("True" if shipped == "FixPromoted" else "False", shipped)
    assert condition_of(status, "LoopClosed") == ("True" if closed in ("LoopClosed", "Waived") else "False", closed)


def test_a_later_promotion_with_the_case_closes_what_an_earlier_one_left_open() -> None:
    fix = {"fix": {"digest": V4, "version": "v4", "at": at(60).isoformat(), "casePassed": False}}
    later = promoted("5" * 16, "v5", 70)
    status = after(learning(cases=CAUGHT, promoted=later, status=fix))
    assert status.fix is not None and (status.fix.version, status.fix.case_passed) == ("v5", True)
    assert condition_of(status, "LoopClosed")[0] == "True" and "closed" in timeline_keys(status)


def test_what_is_closed_stays_closed_by_the_promotion_that_closed_it() -> None:
    fix = {"fix": {"digest": V4, "version": "v4", "at": at(60).isoformat(), "casePassed": True}}
    status = after(learning(cases=CAUGHT, promoted=promoted("5" * 16, "v5", 70, ()), status=fix))
    assert status.fix is not None and status.fix.version == "v4"


# --- the postmortem


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        pytest.param(learning(), 1, id="it is written when the harm is over"),
        pytest.param(learning(phase="Mitigating", seen=sli(0.5)), 0, id="not before"),
        pytest.param(learning(status={"mergedInto": "catalog-1"}), 0, id="not for what was merged"),
        pytest.param(learning(status={"burn": None, "cause": None}), 0, id="not where no user suffered"),
    ],
)
def test_postmortem(seen: IncidentFacts, count: int) -> None:
    assert len(acts(seen, StorePostmortem)) == count


def test_it_is_not_written_again_while_nothing_in_it_changed() -> None:
    seen, digest = learning(cases=CAUGHT), None
    for _ in range(4):
        stored = acts(seen, StorePostmortem)
        digest = stored[0].digest if stored else digest
        item = seen.incident.model_copy(update={"status": after(seen)})
        seen = replace(seen, incident=item, postmortem=digest)
    assert acts(seen, StorePostmortem) == []
    assert condition_of(seen.incident.status, "PostmortemWritten") == ("True", "Written")


def test_a_waiver_is_kept_with_who_when_and_why_and_closes_the_loop_without_a_pass() -> None:
    status = after(learning(ticket(), meta=WAIVED, promoted=promoted(cases=())))
    assert status.waiver is not None and (status.waiver.by, status.waiver.why) == ("alice@example.com", WHY)
    assert status.fix is not None and (status.fix.case_passed, status.fix.waived) == (False, True)
    told = next(c for c in status.conditions if c.type == "LoopClosed")
    assert told.message.startswith(
        "v4 was promoted without an EvalCase for this fault, waived by alice@example.com at "
    )
    entry = next(e for e in status.timeline if e.type == "Waived")
    assert (entry.actor, entry.message) == ("alice@example.com", f"no EvalCase is to guard against this fault: {WHY}")


def test_the_time_of_a_waiver_is_that_of_its_first_sight_and_another_reason_is_another_waiver() -> None:
    known = {"waiver": {"by": "alice@example.com", "why": WHY, "at": at(1).isoformat()}}
    assert after(learning(ticket(), meta=WAIVED, status=known)).waiver.at == at(1)  # type: ignore[union-attr]
    other = {"waiver": {"by": "bob", "why": "it cannot be asked of one pod", "at": at(1).isoformat()}}
    status = after(learning(ticket(), meta=WAIVED, status=other))
    assert status.waiver is not None and status.waiver.by == "alice@example.com" and status.waiver.at > at(1)


def test_a_waiver_that_is_taken_back_is_none_any_more_and_the_timeline_says_so() -> None:
    known = {"waiver": {"by": "alice@example.com", "why": WHY, "at": at(1).isoformat()}}
    status = after(learning(ticket(), status=known))
    assert status.waiver is None and condition_of(status, "RegressionCaptured")[1] == "NoExample"
    assert "the waiver was taken back" in [e.message for e in status.timeline]


def test_a_flaky_case_that_did_not_pass_says_so() -> None:
    case = proven("True")
    told = Steadiness(digest=V4, right=9, wrong=1, flaky_since=at(1))
    flaky = case.model_copy(update={"status": case.status.model_copy(update={"steadiness": told})})
    status = after(learning(cases=(flaky,), promoted=promoted(cases=())))
    message = next(c.message for c in status.conditions if c.type == "LoopClosed")
    assert message == f"{CASE} did not pass in that promotion: {CASE} was set aside as flaky"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param("alice: the leak takes a day", ("alice", "the leak takes a day"), id="who and why"),
        pytest.param(
            "system:serviceaccount:shop:bot: the leak: a day",
            ("system:serviceaccount:shop:bot", "the leak: a day"),
            id="names have colons",
        ),
        pytest.param("alice:  two\n lines of   it", ("alice", "two lines of it"), id="white space is one blank"),
        pytest.param("alice: short", None, id="a reason of one word"),
        pytest.param(": nobody says so at all", None, id="nobody"),
        pytest.param("true", None, id="what older versions took"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_reading_a_waiver(value: str, said: tuple[str, str] | None) -> None:
    assert Waiver.said(value) == said


def test_whoever_has_a_long_name_may_waive() -> None:
    who = f"system:serviceaccount:{'n' * 60}:{'s' * 60}"
    waived = after(learning(ticket(), meta={"annotations": {"opsloop.dev/waive-regression": f"{who}: {WHY}"}}))
    assert waived.waiver is not None and waived.waiver.by == who
