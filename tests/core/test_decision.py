"""The builder that every kind's decision is collected with."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from opsloop.api.meta import Condition
from opsloop.api.runbook import RunbookStatus
from opsloop.core.actions import DeleteCanary
from opsloop.core.decision import LONGEST_EVENT, SOONEST_LOOK, Decision, DecisionBuilder

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def builder(status: RunbookStatus | None = None) -> DecisionBuilder[str, RunbookStatus]:
    return DecisionBuilder("facts", status or RunbookStatus(), NOW)


def test_nothing_collected_is_a_decision_to_do_nothing() -> None:
    assert builder().build() == Decision()


def test_a_status_set_to_what_it_was_is_not_written() -> None:
    new = builder(RunbookStatus(observed_generation=3))
    new.set(observed_generation=4)
    new.set(observed_generation=3)
    assert new.build().status is None


def test_a_time_that_differs_by_less_than_is_stored_is_not_written() -> None:
    ready = Condition(type="Ready", status="True", reason="R", message="m", last_transition_time=NOW)
    moment = NOW + timedelta(microseconds=700)
    new = builder(RunbookStatus(conditions=[ready]))
    new.set(conditions=[ready.model_copy(update={"last_transition_time": moment})])
    assert new.build().status is None
    new.set(conditions=[ready.model_copy(update={"last_transition_time": moment + timedelta(milliseconds=1)})])
    assert new.build().status is not None


def test_the_same_action_is_asked_for_once_and_in_order() -> None:
    new = builder()
    for release in ("a", "b", "a"):
        new.execute(DeleteCanary(release))
        new.safety(DeleteCanary(release))
    assert new.build().actions == new.build().safety == (DeleteCanary("a"), DeleteCanary("b"))


def test_the_shortest_of_the_asked_times_is_the_next_look() -> None:
    new = builder()
    for seconds in (30, 5, 60):
        new.look_again(timedelta(seconds=seconds))
    assert new.build().look_again == timedelta(seconds=5)


def test_a_field_that_the_status_does_not_have_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="RunbookStatus has no field observed"):
        builder().set(observed=1)


def test_a_value_of_a_wrong_type_is_refused_before_it_is_written() -> None:
    new = builder()
    new.set(observed_generation="soon")
    with pytest.raises(ValidationError):
        new.build()


def test_a_long_event_is_cut_to_what_the_api_server_takes() -> None:
    new = builder()
    new.event("Opened", "x" * 5000, "Warning")
    assert [len(e.message) for e in new.build().events] == [LONGEST_EVENT]


def test_a_condition_keeps_its_time_while_its_value_stays() -> None:
    first = builder()
    first.condition("Ready", True, "Ready", "it answers")
    status = first.build().status
    assert isinstance(status, RunbookStatus)
    later = DecisionBuilder("facts", status, NOW + timedelta(minutes=5))
    later.condition("Ready", True, "Ready", "it answers still")
    again = later.build().status
    assert isinstance(again, RunbookStatus)
    assert again.conditions[0].last_transition_time == NOW
    assert again.conditions[0].message == "it answers still"


def test_a_look_that_changed_nothing_is_not_taken_again_at_once() -> None:
    new = builder()
    new.look_again(timedelta(seconds=-3))
    assert new.build().look_again == SOONEST_LOOK


def test_a_look_that_changed_something_may_be_taken_again_at_once() -> None:
    written, acted = builder(), builder()
    written.set(observed_generation=4)
    acted.execute(DeleteCanary("a"))
    for new in (written, acted):
        new.look_again(timedelta(0))
        assert new.build().look_again == timedelta(0)
