"""Regression cases that ask the same after several Incidents become one that names them all."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.evalcase import EvalCase, EvalCaseStatus, FailedOn, Origin, ProofPair
from opsloop.core import conditions
from opsloop.core.evalcase.decide import decide
from opsloop.core.evalcase.gating import select
from opsloop.core.evalcase.merging import incidents_of, keepers, linked, with_merged
from tests.builders.evalcases import T0, case, facts, proven, release


def of(number: int, **changes: Any) -> EvalCase:
    """The proven case of one Incident; a later number is a later Incident."""
    origin = Origin(kind="regression", incident=f"answers-{number}", by="ticket", ticket=f"T-{number}")
    status = changes.pop("status", proven())
    one = case(f"answers-{number}-regression", origin=origin, status=status, **changes)
    meta = one.metadata.model_copy(update={"creation_timestamp": T0 + timedelta(hours=number)})
    return one.model_copy(update={"metadata": meta})


FIRST, SECOND, THIRD = "answers-1-regression", "answers-2-regression", "answers-3-regression"


@pytest.mark.parametrize(
    ("cases", "merged"),
    [
        pytest.param([of(1), of(2)], {SECOND: FIRST}, id="the older one stands for both"),
        pytest.param([of(2), of(1), of(3)], {SECOND: FIRST, THIRD: FIRST}, id="in whatever order they come"),
        pytest.param([of(1), of(2, request={"path": "/other", "port": 8080})], {}, id="another question"),
        pytest.param([of(1), of(2, expect={"equals": "x"})], {}, id="another right answer"),
        pytest.param([of(1), of(2, repeats=20)], {}, id="asked more often"),
        pytest.param([of(1, status=EvalCaseStatus()), of(2)], {}, id="one that is not proven stands for none"),
        pytest.param([of(1, generation=2), of(2)], {}, id="nor one whose present spec is not"),
        pytest.param([of(1), of(2, status=EvalCaseStatus())], {}, id="one that is not proven yet is not merged"),
        pytest.param([case("a", kind="manual"), of(2)], {}, id="a person's own case may go any day"),
    ],
)
def test_which_are_merged(cases: list[EvalCase], merged: dict[str, str]) -> None:
    assert keepers(cases) == merged


def test_one_is_asked_and_both_have_passed() -> None:
    both = [of(1), of(2)]
    assert [c.metadata.name for c in select(both, release())] == [FIRST]
    assert with_merged([FIRST, "other"], keepers(both)) == [FIRST, "other", SECOND]
    assert with_merged(["other"], keepers(both)) == ["other"]


def test_both_incidents_are_named_on_the_one_and_the_other_says_which_it_is() -> None:
    both = (of(1), of(2))
    first, second = decide(facts(case=both[0], others=both), T0), decide(facts(case=both[1], others=both), T0)
    assert isinstance(first.status, EvalCaseStatus) and isinstance(second.status, EvalCaseStatus)
    assert (first.status.incidents, first.status.merged_into) == (["answers-1", "answers-2"], "")
    assert (second.status.incidents, second.status.merged_into) == ([], FIRST)
    told = conditions.get(second.status.conditions, "Merged")
    assert told is not None and (told.status, told.reason, told.message) == (
        "True", "SameFault", f"asks the same as EvalCase {FIRST} of Incident answers-1, which is asked instead and names both",
    )  # fmt: skip
    assert "Merged" in [e.reason for e in second.events] and "Merged" not in [e.reason for e in first.events]


def test_it_stands_for_itself_again_once_the_other_is_gone() -> None:
    merged = of(2, status=proven(merged_into=FIRST))
    decision = decide(facts(case=merged, others=(merged,)), T0)
    assert isinstance(decision.status, EvalCaseStatus) and decision.status.merged_into == ""
    told = conditions.get(decision.status.conditions, "Merged")
    assert told is not None and (told.status, told.reason) == ("False", "OnItsOwn")
    assert [c.metadata.name for c in select([merged], release())] == [SECOND]


def test_incidents_without_another_name_nobody() -> None:
    assert incidents_of(FIRST, [of(1)], {}) == []


OTHER = {"request": {"path": "/other", "port": 8080}}
THIRD_QUESTION = {"request": {"path": "/third", "port": 8080}}
LATER = ProofPair(bad="c" * 16, good="d" * 16)


def failing_on(digest: str) -> EvalCaseStatus:
    return proven(failed_on=[FailedOn(digest=digest, message="7 days", at=T0)])


@pytest.mark.parametrize(
    ("cases", "found"),
    [
        pytest.param([of(1), of(2, **OTHER)], {SECOND: FIRST}, id="proven on the same bad revision"),
        pytest.param([of(1), of(2, **OTHER, proof=LATER)], {}, id="on another one, of which the older says nothing"),
        pytest.param([of(1, status=failing_on(LATER.bad)), of(2, **OTHER, proof=LATER)], {SECOND: FIRST}, id="the older failed on it while it was live"),
        pytest.param([of(1, status=failing_on(LATER.bad)), of(2, **OTHER, proof=LATER), of(3, **THIRD_QUESTION, proof=LATER)], {SECOND: FIRST, THIRD: FIRST}, id="a third is linked with the oldest"),
        pytest.param([of(1), of(2)], {}, id="the same question is merged, not linked"),
        pytest.param([of(1), of(2, **OTHER, status=EvalCaseStatus())], {}, id="one that is not proven shows no fault"),
    ],
)  # fmt: skip
def test_which_are_linked(cases: list[EvalCase], found: dict[str, str]) -> None:
    merged = keepers(cases)
    assert linked(cases, merged) == found
    asked = [c.metadata.name for c in select(cases, release())]
    assert set(found) <= set(asked), "no evidence is lost: both are asked"


def test_linked_ones_say_so_and_the_oldest_names_both_incidents() -> None:
    both = (of(1), of(2, **OTHER))
    first, second = decide(facts(case=both[0], others=both), T0), decide(facts(case=both[1], others=both), T0)
    assert isinstance(first.status, EvalCaseStatus) and isinstance(second.status, EvalCaseStatus)
    assert (first.status.incidents, first.status.same_fault_as) == (["answers-1", "answers-2"], "")
    assert (second.status.incidents, second.status.same_fault_as, second.status.merged_into) == ([], FIRST, "")
    (event,) = [e for e in second.events if e.reason == "Linked"]
    assert (
        event.message
        == f"shows the same fault as EvalCase {FIRST} of Incident answers-1 by another question: both are asked"
    )
    again = both[1].model_copy(update={"status": second.status})
    assert "Linked" not in [e.reason for e in decide(facts(case=again, others=(both[0], again)), T0).events]
