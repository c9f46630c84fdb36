"""What a write of a Release's status is counted as: rollbacks and holds that ended."""

from datetime import UTC, datetime, timedelta

import pytest

from opsloop.api.records import RollbackRecord
from opsloop.api.release import ReleaseStatus
from opsloop.core import conditions
from opsloop.core.release.counted import Ended, let_go, rolled_back

T0 = datetime(2026, 11, 23, 14, tzinfo=UTC)
ONE, TWO = "1" * 16, "2" * 16


def after(state: str, seconds: int | None = None, attempt: int = 1) -> ReleaseStatus:
    done = None if seconds is None else T0 + timedelta(seconds=seconds)
    record = RollbackRecord(incident="answers-1", attempt=attempt, from_digest=TWO, to_digest=ONE, state=state, at=T0, done_at=done)  # type: ignore[arg-type]  # fmt: skip
    return ReleaseStatus(rollback=record)


@pytest.mark.parametrize(
    ("before", "now", "counted"),
    [
        pytest.param(ReleaseStatus(), after("Recorded"), None, id="it begins"),
        pytest.param(after("Recorded"), after("Written"), None, id="it is under way"),
        pytest.param(after("Written"), after("Done", 42), Ended("done", timedelta(seconds=42)), id="it is done"),
        pytest.param(after("Done", 42), after("Done", 42), None, id="it was done before"),
        pytest.param(after("Written"), after("Failed"), Ended("failed", None), id="it hangs"),
        pytest.param(after("Recorded"), after("Refused"), Ended("refused", None), id="it is refused"),
        pytest.param(after("Done", 1), after("Refused", attempt=2), Ended("refused", None), id="a second one is refused"),
        pytest.param(after("Done", 1), ReleaseStatus(), None, id="its record goes"),
    ],
)  # fmt: skip
def test_rollbacks_that_ended(before: ReleaseStatus, now: ReleaseStatus, counted: Ended | None) -> None:
    assert rolled_back(before, now) == counted


def held(status: str, reason: str, seconds: int) -> ReleaseStatus:
    found = conditions.put([], "Held", status, reason, "…", T0 + timedelta(seconds=seconds))  # type: ignore[arg-type]
    return ReleaseStatus(conditions=found)


@pytest.mark.parametrize(
    ("before", "now", "counted"),
    [
        pytest.param(held("True", "Paused", 0), held("False", "Holding", 90), ("Paused", timedelta(seconds=90)), id="it goes on"),
        pytest.param(held("True", "Paused", 0), held("True", "WaitingForApproval", 0), None, id="it waits for something else"),
        pytest.param(held("False", "Holding", 0), held("True", "Paused", 90), None, id="it begins to wait"),
        pytest.param(ReleaseStatus(), held("False", "NoCanary", 0), None, id="nothing was held"),
    ],
)  # fmt: skip
def test_holds_that_ended(before: ReleaseStatus, now: ReleaseStatus, counted: tuple[str, timedelta] | None) -> None:
    assert let_go(before, now) == counted
