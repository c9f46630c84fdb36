"""Versions that an EvalCase kept from users are noted on it, from the history of its Release."""

from typing import Any

import pytest

from opsloop.api.evalcase import EvalCase
from opsloop.api.history import MOST_CAUGHT, HistoryEntry
from opsloop.api.target import CaseResult, Target
from opsloop.core.evalcase.decide import decide
from tests.builders.evalcases import CASE, at, case, facts, release

DIGEST = "f" * 16


def entry(n: int = 0, what: str = "Rejected", **more: Any) -> HistoryEntry:
    base = {"what": what, "version": f"v{n}", "digest": DIGEST, "at": at(n), "cases": [CASE]}
    return HistoryEntry.model_validate({**base, **more})


def caught(history: list[HistoryEntry], before: EvalCase | None = None, **status: Any) -> EvalCase:
    given = facts(release=release(history=history, **status), case=before or case())
    decided = decide(given, at(500)).status
    return given.case if decided is None else given.case.model_copy(update={"status": decided})


@pytest.mark.parametrize(
    ("history", "versions"),
    [
        pytest.param([], [], id="nothing happened"),
        pytest.param([entry(3)], [("v3", True)], id="rejected in the dark for it"),
        pytest.param([entry(3, servedSince=at(2))], [("v3", False)], id="rejected for it while it served a share"),
        pytest.param([entry(3, cases=["another"])], [], id="rejected for another case"),
        pytest.param([entry(3), entry(5)], [("v3", True), ("v5", True)], id="twice, where it was not looked in between"),
    ],
)  # fmt: skip
def test_what_it_caught(history: list[HistoryEntry], versions: list[tuple[str, bool]]) -> None:
    assert [(one.version, one.dark) for one in caught(history).status.caught] == versions


def test_it_is_noted_once_and_stays_when_the_release_forgets_it() -> None:
    once = caught([entry(3)])
    assert caught([entry(3)], once).status.caught == once.status.caught
    assert caught([], once).status.caught == once.status.caught


def test_it_stays_when_the_case_is_edited() -> None:
    once = caught([entry(3)])
    meta = once.metadata.model_copy(update={"generation": once.metadata.generation + 1})
    assert caught([], once.model_copy(update={"metadata": meta})).status.caught == once.status.caught


def test_it_says_what_was_wrong_with_the_answer() -> None:
    result = CaseResult(case=CASE, must_pass=True, asked=2, canary_passed=0, canary_runs=2, live_passed=2, live_runs=2, message="21 days")  # fmt: skip
    target = Target(digest=DIGEST, version="v3", state="Rejected", started_at=at(0), ended_at=at(3), evals=[result])
    assert caught([entry(3)], target=target).status.caught[0].message == "21 days"


def test_the_latest_stay_and_what_was_dropped_does_not_come_back() -> None:
    every = [entry(n) for n in range(MOST_CAUGHT + 5)]
    full = caught(every)
    assert [one.version for one in full.status.caught] == [f"v{n}" for n in range(5, MOST_CAUGHT + 5)]
    assert caught(every, full).status.caught == full.status.caught
