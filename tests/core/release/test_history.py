"""What is noted in a Release's history with one write of its status."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from opsloop.api.history import MOST_FAILED_CASES, MOST_HISTORY, HistoryEntry
from opsloop.api.records import RollbackRecord
from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.api.target import CaseResult, Target
from opsloop.core.decision import Decision
from opsloop.core.release import ReleaseBuilder, canary, history
from opsloop.core.release.history import _failed_cases
from opsloop.names import COMMITTED
from tests.builders.objects import V1, V2, V3, at, release, release_facts, template

NUMBERS = {V1: 1, V2: 2, V3: 3}


def revision(digest: str, live: float | None = None) -> Revision:
    number = NUMBERS[digest]
    since = None if live is None else at(live)
    return Revision(
        digest=digest, number=number, version=f"v{number}", reason="Canaried", live_since=since, first_seen=at(0)
    )


def status(live: str = V1, *revisions: Revision, **more: Any) -> ReleaseStatus:
    known = revisions or (revision(V1, 0), revision(V2))
    return ReleaseStatus(live=live, revisions=list(known), history_since=at(0), **more)


def target(state: str, digest: str = V2, **more: Any) -> Target:
    number = NUMBERS[digest]
    ended = {} if state in ("Dark", "Stepping", "Promoting") else {"ended_at": at(90)}
    base: dict[str, Any] = {"digest": digest, "version": f"v{number}", "state": state, "started_at": at(10), "images": {"answers": f"shop:v{number}"}}  # fmt: skip
    return Target.model_validate({**base, **ended, **more})


def rollback(state: str, incident: str = "answers-1") -> RollbackRecord:
    record = {"incident": incident, "attempt": 1, "from_digest": V2, "to_digest": V1, "state": state, "at": at(70)}
    return RollbackRecord.model_validate({**record, **({"done_at": at(80)} if state == "Done" else {})})


def result(name: str, must: bool = True, passed: int = 0, worse: int = 0) -> CaseResult:
    return CaseResult(case=name, must_pass=must, asked=2, canary_passed=passed, canary_runs=2, live_passed=2, live_runs=2, worse=worse)  # fmt: skip


def decided(
    before: ReleaseStatus, after: ReleaseStatus, annotations: Mapping[str, str] = {}, **facts: Any
) -> tuple[ReleaseStatus, Decision]:
    """The status as it is stored, where a Decision makes `after` of `before`; the spec asks for v2."""
    item = release(version="v2", status=before, meta={"annotations": dict(annotations)})
    builder = ReleaseBuilder(release_facts(item, **facts), after, at(100))
    history.note(builder)
    return builder.status, builder.build()


def noted(before: ReleaseStatus, after: ReleaseStatus) -> list[tuple[str, str]]:
    return [(entry.what, entry.version) for entry in decided(before, after)[0].history]


@pytest.mark.parametrize(
    ("before", "after", "entries"),
    [
        pytest.param(status(target=target("Stepping")), status(target=target("Stepping")), [], id="a canary goes on"),
        pytest.param(status(V2, target=target("Promoting")), status(V2, target=target("Promoted")), [("Promoted", "v2")], id="promoted"),
        pytest.param(status(V2, target=target("Promoted")), status(V2, target=target("Promoted")), [], id="it was promoted before"),
        pytest.param(status(target=target("Promoting")), status(V2, target=target("Promoting")), [], id="opsloop's own write of the promotion is no push"),
        pytest.param(status(target=target("Dark")), status(target=target("Rejected")), [("Rejected", "v2")], id="rejected"),
        pytest.param(status(target=target("Dark")), status(target=target("Cancelled")), [("Cancelled", "v2")], id="cancelled"),
        pytest.param(status(), status(target=target("Refused")), [], id="refused: it never began"),
        pytest.param(status(), status(V2, revision(V1, 0), revision(V2, 60)), [("Pushed", "v2")], id="pushed by hand"),
        pytest.param(status(V2, revision(V1, 0), revision(V2, 60)), status(V1, revision(V1, 90), revision(V2, 60)), [("Reverted", "v2")], id="an earlier one is put back by hand"),
        pytest.param(status(V1, revision(V1, 90), revision(V2, 60)), status(V2, revision(V1, 90), revision(V2, 95)), [("Pushed", "v2")], id="and the later one pushed again"),
        pytest.param(status(V2, rollback=rollback("Recorded")), status(V1, rollback=rollback("Written")), [], id="a rollback that is written is none by hand"),
        pytest.param(status(V1, rollback=rollback("Written")), status(V1, rollback=rollback("Done")), [("RolledBack", "v2")], id="a rollback is done"),
        pytest.param(status(V1, rollback=rollback("Written")), status(V1, rollback=rollback("Failed")), [("RolledBack", "v2")], id="a rollback hangs: v2 was left all the same"),
        pytest.param(status(V2, rollback=rollback("Recorded")), status(V2, rollback=rollback("Failed")), [], id="a rollback failed before it was written"),
        pytest.param(status(V2, rollback=rollback("Recorded")), status(V2, rollback=rollback("Refused")), [], id="a rollback is refused"),
        pytest.param(status(V1, rollback=rollback("Written", "")), status(V1, rollback=rollback("Done", "")), [("Undone", "v2")], id="a person's undo"),
        pytest.param(
            status(V1, target=target("Stepping")), status(V3, revision(V1, 0), revision(V2), revision(V3, 60), target=target("Cancelled")),
            [("Pushed", "v3"), ("Cancelled", "v2")], id="a push in mid-canary ends it",
        ),
    ],
)  # fmt: skip
def test_what_is_noted(before: ReleaseStatus, after: ReleaseStatus, entries: list[tuple[str, str]]) -> None:
    assert noted(before, after) == entries


@pytest.mark.parametrize(
    ("evals", "cases"),
    [
        pytest.param([result("a"), result("b", passed=2), result("c", must=False, worse=2)], ["a"], id="must-pass cases that failed"),
        pytest.param([result("c", must=False, worse=2), result("d", must=False, passed=2)], ["c"], id="where none did, those that the canary answered worse"),
        pytest.param([result(f"case-{n}") for n in range(9)], [f"case-{n}" for n in range(MOST_FAILED_CASES)], id="no more than there is place for"),
    ],
)  # fmt: skip
def test_a_rejection_names_its_cases(evals: list[CaseResult], cases: list[str]) -> None:
    rejected = target("Rejected", reason="EvalFailed", evals=evals)
    (entry,) = decided(status(target=target("Dark")), status(target=rejected))[0].history
    assert (entry.cases, entry.reason, entry.served_since, entry.began_at) == (cases, "EvalFailed", None, at(10))


def test_one_that_was_rejected_for_its_sli_names_no_case() -> None:
    rejected = target("Rejected", reason="AnalysisFailed", evals=[result("a")], traffic=[at(20)])
    (entry,) = decided(status(target=target("Stepping")), status(target=rejected))[0].history
    assert (entry.cases, entry.served_since) == ([], at(20))


SAID = "2026-01-01T12:00:30Z"
PROMOTED = (status(V2, target=target("Promoting")), status(V2, target=target("Promoted")))
TEMPLATE = template("shop:v2")
OWN = {**TEMPLATE, "metadata": {**TEMPLATE["metadata"], "annotations": {COMMITTED: "2026-01-01T12:00:05+00:00"}}}


@pytest.mark.parametrize(
    ("annotations", "templates", "earlier", "committed", "said"),
    [
        pytest.param({}, {V2: TEMPLATE}, None, None, "", id="nobody says it: unknown"),
        pytest.param({COMMITTED: SAID}, {V2: TEMPLATE}, None, at(30), "", id="the Release says it"),
        pytest.param({COMMITTED: SAID}, {V2: OWN}, None, at(5), "", id="its pod template says it, and knows better"),
        pytest.param({COMMITTED: SAID}, {}, V1, None, "", id="an earlier version had that time: nobody changed the annotation"),
        pytest.param({COMMITTED: SAID}, {}, V2, at(30), "", id="the same version again"),
        pytest.param({COMMITTED: "yesterday"}, {}, None, None, "'yesterday' is no time before now", id="no time"),
        pytest.param({COMMITTED: "2027-01-01T00:00:00Z"}, {}, None, None, "is no time before now", id="a time to come"),
        pytest.param({COMMITTED: "2026-01-01T12:02:00Z"}, {}, None, at(100), "", id="a clock that goes ahead: no later than now"),
    ],
)  # fmt: skip
def test_when_it_was_committed(
    annotations: dict[str, str], templates: dict[str, Any], earlier: str | None, committed: datetime | None, said: str
) -> None:
    old = [HistoryEntry(what="Promoted", at=at(1), version="x", digest=earlier, committed_at=at(30))] if earlier else []
    before, after = (one.model_copy(update={"history": old}) for one in PROMOTED)
    stored, decision = decided(before, after, annotations, templates=templates)
    assert stored.history[-1].committed_at == committed
    assert [event.reason for event in decision.events] == ([history.COMMITTED_AT_UNREADABLE] if said else [])
    assert all(said in event.message for event in decision.events)


def test_the_history_begins_with_the_adoption_and_says_since_when_it_is_whole() -> None:
    adopted = status(V1, revision(V1, 0)).model_copy(update={"history_since": None})
    assert decided(ReleaseStatus(), adopted)[0].history_since == at(100)
    assert decided(adopted, adopted)[0].history_since is None, "of an older opsloop: nothing is noted yet"
    pushed = status(V2, revision(V1, 0), revision(V2, 60)).model_copy(update={"history_since": None})
    assert decided(adopted, pushed)[0].history_since == at(60), "with the first entry"


def test_the_oldest_go_where_there_are_too_many() -> None:
    full = [HistoryEntry(what="Promoted", at=at(n / 100), version=f"v{n}", digest=V1) for n in range(MOST_HISTORY)]
    before, after = (one.model_copy(update={"history": full}) for one in PROMOTED)
    stored, _ = decided(before, after)
    assert len(stored.history) == MOST_HISTORY and stored.history[-1].version == "v2"
    assert stored.history_since == full[0].at, "the one that was dropped"


def test_the_largest_history_leaves_room_for_the_rest_of_the_status() -> None:
    long = HistoryEntry(
        what="RolledBack", at=at(0), version="v" * 128, digest="a" * 64, began_at=at(0), served_since=at(0), committed_at=at(0),
        reason="R" * 64, incident="i" * 253, cases=[f"{n}{'c' * 60}" for n in range(MOST_FAILED_CASES)],
    )  # fmt: skip
    every = replace(release_facts(release()), workload=None).release.status.model_copy(
        update={"history": [long] * MOST_HISTORY}
    )
    assert len(every.model_dump_json(by_alias=True)) < 256 * 1024


def test_what_kept_a_version_is_the_case_that_failed_and_not_one_that_was_set_aside() -> None:
    failed = CaseResult(case="a", must_pass=True, asked=1, canary_passed=0, canary_runs=1, live_passed=1, live_runs=1)
    flaky = CaseResult(
        case="b", must_pass=True, flaky=True, asked=20, canary_passed=19, canary_runs=20, live_passed=19, live_runs=20,
        worse=1, better=1,
    )  # fmt: skip
    assert _failed_cases(target("Rejected", reason="EvalFailed", evals=[failed, flaky])) == ["a"]


def test_a_case_that_is_set_aside_did_not_pass_in_a_promotion() -> None:
    flaky = CaseResult(
        case="b", must_pass=True, flaky=True, asked=20, canary_passed=20, canary_runs=20, live_passed=19, live_runs=20
    )
    promoting = target("Promoting", evals=[flaky])
    builder = ReleaseBuilder(release_facts(release(version="v2", status=status())), status(target=promoting), at(100))
    canary._finish(builder, promoting)
    assert builder.status.promotion is not None and builder.status.promotion.cases == []
