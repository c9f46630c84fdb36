"""The models read and write objects without loss and ignore fields of a newer operator."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.kinds import KINDS, Kind
from opsloop.api.meta import Duration, Model, Time, format_duration, format_time, parse_duration, quantity
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.api.slo import Tier

META = {"name": "answers", "namespace": "shop", "uid": "u-1", "resourceVersion": "42", "labels": {"team": "help"}}
RELEASE = {"workloadRef": {"name": "answers"}, "version": "v1", "images": {"answers": "helpdesk:v1"}}
SIGNAL = {"kind": "alerts", "at": "2026-11-23T14:00:00Z", "severity": "sev3"}
SMALLEST: dict[str, dict[str, Any]] = {
    "Release": RELEASE,
    "Incident": {"service": "answers", "title": "wrong answers", "signal": SIGNAL},
    "Runbook": {"steps": [{"type": "rollback"}], "serviceAccountName": "robot"},
    "EvalCase": {"release": "answers", "request": {"path": "/ask", "port": 8080}, "expect": {"equals": "yes"}},
}
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("0s", 0, id="nothing"),
        pytest.param("250ms", 0.25, id="a quarter of a second"),
        pytest.param("90s", 90, id="more seconds than a minute has"),
        pytest.param("1m30s", 90, id="two units"),
        pytest.param("1d2h", 93600, id="days, which Go does not know"),
        pytest.param("2w", 1209600, id="weeks"),
    ],
)
def test_durations_are_parsed_in_the_spelling_of_prometheus(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing at all"),
        pytest.param("5", id="a number without a unit"),
        pytest.param("1.5h", id="a fraction"),
        pytest.param("-5m", id="the past"),
        pytest.param("5 m", id="a blank"),
        pytest.param("1h\n", id="a line end"),
        pytest.param("9999999s", id="more digits than a date could stand"),
        pytest.param(5, id="a number"),
        pytest.param(None, id="null"),
    ],
)
def test_an_invalid_duration_is_refused_with_examples(text: Any) -> None:
    with pytest.raises(ValueError, match="is not a duration; write for example 30s, 5m, 1h or 30d"):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9999)))
def test_a_duration_is_written_and_read_to_the_millisecond(value: timedelta) -> None:
    exact = timedelta(milliseconds=round(value.total_seconds() * 1000))
    if exact < timedelta(days=10_000):
        assert parse_duration(format_duration(value)) == exact


@given(
    st.from_regex(r"\A([0-9]{1,6}(ms|s|m)|[0-9]{1,5}h|[0-9]{1,4}d|[0-9]{1,3}w){1,12}\Z").filter(lambda t: len(t) <= 24)
)
def test_a_date_minus_any_duration_is_still_a_date(text: str) -> None:
    assert datetime(2026, 11, 23, tzinfo=UTC) - parse_duration(text) < datetime.now(UTC) + timedelta(days=1)


class Clocked(Model):
    """Model with a time and a duration."""

    at: Time
    wait: Duration


@pytest.mark.parametrize(
    ("at", "written"),
    [
        pytest.param("2026-11-23T14:00:00Z", "2026-11-23T14:00:00.000Z", id="whole seconds"),
        pytest.param("2026-11-23T14:00:00.123456Z", "2026-11-23T14:00:00.123Z", id="microseconds are cut"),
        pytest.param("2026-11-23T15:00:00+01:00", "2026-11-23T14:00:00.000Z", id="another zone"),
        pytest.param(datetime(2026, 11, 23, 14), "2026-11-23T14:00:00.000Z", id="a naive time is UTC"),
    ],
)
def test_times_are_written_in_utc_with_milliseconds(at: Any, written: str) -> None:
    assert Clocked.model_validate({"at": at, "wait": "5s"}).dump() == {"at": written, "wait": "5s"}


@pytest.mark.parametrize(
    "at",
    [
        pytest.param("9999-12-31T23:59:59-23:59", id="no time at all in UTC"),
        pytest.param("9999-12-31T23:59:59Z", id="nothing can be added to it"),
        pytest.param("0001-01-01T00:00:00Z", id="nothing can be taken from it"),
    ],
)
def test_a_time_with_which_nothing_can_be_computed_is_refused(at: str) -> None:
    with pytest.raises(ValidationError, match="is not a time between the years 1900 and 9000"):
        Clocked.model_validate({"at": at, "wait": "5s"})


def test_format_time_of_another_zone() -> None:
    assert format_time(datetime(2026, 11, 23, 15, tzinfo=timezone(timedelta(hours=1)))) == "2026-11-23T14:00:00.000Z"


@each_kind
def test_the_smallest_object_is_read(kind: Kind) -> None:
    model = kind.model.model_validate({"metadata": META, "spec": SMALLEST[kind.name]})
    assert isinstance(model, Release | Incident | Runbook | EvalCase)
    assert model.key == ("shop", "answers")
    assert model.metadata.resource_version == "42"


@each_kind
def test_writing_and_reading_an_object_changes_nothing(kind: Kind) -> None:
    model = kind.model.model_validate({"metadata": META, "spec": SMALLEST[kind.name]})
    again = kind.model.model_validate(model.dump())
    assert again == model
    assert again.dump() == model.dump()


@each_kind
def test_fields_of_a_newer_operator_are_ignored(kind: Kind) -> None:
    spec = {**SMALLEST[kind.name], "fromTheFuture": {"a": 1}}
    body = {"metadata": {**META, "managedFields": []}, "spec": spec, "status": {"alsoNew": True}}
    assert "fromTheFuture" not in kind.model.model_validate(body).dump()["spec"]


@each_kind
def test_models_are_frozen(kind: Kind) -> None:
    model = kind.model.model_validate({"metadata": META, "spec": SMALLEST[kind.name]})
    with pytest.raises(ValidationError, match="frozen"):
        model.spec = None  # type: ignore[attr-defined]


@each_kind
def test_nulls_are_never_written(kind: Kind) -> None:
    def nulls(value: Any) -> bool:
        if isinstance(value, dict):
            return any(nulls(sub) for sub in value.values())
        return any(nulls(sub) for sub in value) if isinstance(value, list) else value is None

    assert not nulls(kind.model.model_validate({"metadata": META, "spec": SMALLEST[kind.name]}).dump())


def test_a_tier_is_written_in_the_spelling_of_prometheus() -> None:
    tier = Tier.model_validate({"long": "3d", "short": "6h", "factor": 1, "severity": "sev3"})
    assert tier.dump() == {"long": "3d", "short": "6h", "factor": 1.0, "severity": "sev3"}


def test_times_of_an_incident_are_read() -> None:
    incident = Incident.model_validate({"metadata": META, "spec": SMALLEST["Incident"]})
    assert incident.spec.signal.at == datetime(2026, 11, 23, 14, tzinfo=UTC)
    assert incident.status.phase == "Open"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100m", "0.1"),
        ("2", "2"),
        ("1.5Gi", "1610612736"),
        ("3k", "3000"),
        ("1e3", "1000"),
        ("5M", "5000000"),
        ("250u", "0.00025"),
    ],
)
def test_a_quantity(text: str, expected: str) -> None:
    assert quantity(text) == Decimal(expected)


def test_no_quantity() -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity("much")
