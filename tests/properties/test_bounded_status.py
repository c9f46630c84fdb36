"""An Incident's status has a greatest size, whatever is written into it, and comes to rest there."""

from datetime import UTC, datetime
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import MaxLen
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from opsloop.api.incident import IncidentStatus
from opsloop.api.reported import LinkedTicket
from opsloop.core.incident import decide as decisions
from opsloop.core.incident.bounds import LIMIT, cut, folded, size
from opsloop.core.reported import Alert, Ledger
from tests.builders.incidents import after, alerts_only, facts
from tests.builders.objects import T0, at

# Letters that need one byte in JSON, two, four, or an escape of two or six.
FILLERS = ("a", "ü", "😀", '"', "<", "\x01")
# Fields that hold words from outside; all others are names of Kubernetes objects, digests, and words of opsloop's own.
FREE = {
    "title", "message", "text", "name", "service", "value", "source", "subject", "asked", "got", "expected", "id", "route",
    "category", "actor", "wrong", "assignee", "manager", "object", "version", "by_service", "fingerprint",
}  # fmt: skip


def largest(model: type[BaseModel], filler: str, share: float = 1.0) -> Any:
    """The largest value that a model's fields admit, or such a share of it."""
    values = {
        name: _largest(field.annotation, field.metadata, filler if name in FREE else "a", filler, share)
        for name, field in model.model_fields.items()
    }
    return model.model_validate(values)


def _largest(kind: Any, metadata: Any, letter: str, filler: str, share: float) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _largest(inner[0], [*metadata, *kind.__metadata__], letter, filler, share)
    if origin in (Union, UnionType):
        return _largest(inner[0], metadata, letter, filler, share)
    if origin is Literal:
        return max(inner, key=len)
    most = _longest(metadata)
    if origin is list:
        return [_unique(_largest(inner[0], [], letter, filler, share), n) for n in range(int(most * share))]
    if origin is dict:
        return {f"{n}{letter * 120}": 10 for n in range(int(most * share))}
    if kind is str:
        return letter * max(1, int(most * share))
    if kind is datetime:
        return datetime(2026, 1, 5, tzinfo=UTC)
    if kind in (int, float, bool):
        return kind(1)
    return largest(kind, filler, share)


def _longest(metadata: Any) -> int:
    found = [
        m.max_length if isinstance(m, MaxLen) else next((x.max_length for x in m.metadata if isinstance(x, MaxLen)), 0)
        for m in metadata
        if isinstance(m, MaxLen) or hasattr(m, "metadata")
    ]
    return int(min([length for length in found if length], default=24))


def _unique(item: Any, number: int) -> Any:
    """Items of a list with keys have keys of their own."""
    for key in ("key", "id", "number", "fingerprint"):
        value = getattr(item, key, None)
        if value is not None:
            new = number + 1 if isinstance(value, int) else f"{number:03d}{value[3:]}"
            return item.model_copy(update={key: new})
    return item


@pytest.mark.parametrize("filler", FILLERS)
def test_the_largest_status_that_the_schema_admits_fits_when_it_is_folded(filler: str) -> None:
    status = largest(IncidentStatus, filler)
    assert size(status.dump()) > 2 * LIMIT, "else this shows nothing"
    once = folded(status)
    assert size(once.dump()) <= LIMIT
    assert folded(once) == once, "folded again it stays as it is"
    assert len(once.timeline) == len(status.timeline) and len(once.plays) == len(status.plays)


@given(st.sampled_from(FILLERS), st.floats(0.0, 1.0))
@settings(max_examples=10, deadline=None)
def test_any_status_fits_when_it_is_folded(filler: str, share: float) -> None:
    once = folded(largest(IncidentStatus, filler, share))
    assert size(once.dump()) <= LIMIT and folded(once) == once


@given(st.text(max_size=300), st.integers(8, 400))
def test_a_cut_text_fits_and_is_a_beginning(text: str, most: int) -> None:
    short = cut(text, most)
    assert size(short) - 2 <= most
    assert short == text or text.startswith(short.removesuffix("…"))


def storm(filler: str) -> Ledger:
    """More alerts, services and tickets than a status may hold, with the longest texts that a ledger may have."""
    alerts = tuple(
        Alert(f"f{n:05d}", "firing", at(1), {"alertname": filler * 100, "service": f"{n}{filler * 100}"}, {}, at(2))
        for n in range(1500)
    )
    ticket = largest(LinkedTicket, filler).dump()
    tickets = tuple({**ticket, "id": f"{n:03d}{filler * 120}", "receivedAt": T0.isoformat()} for n in range(150))
    return Ledger(alerts, tickets)


@pytest.mark.parametrize("filler", ["a", "😀", "<"])
def test_a_storm_with_the_longest_texts_comes_to_rest_within_the_bound_and_says_what_it_left_out(filler: str) -> None:
    item, seen = alerts_only(), storm(filler)
    for _ in range(3):
        item = item.model_copy(update={"status": after(facts(item, ledger=seen))})
    assert size(item.status.dump()) <= LIMIT
    assert item.status.alerts.count == 1500, "counts are exact, whatever is left out"
    dropped = item.status.dropped
    assert dropped["tickets"] == 150 - len(item.status.tickets)
    assert dropped["alerts.byService"] == 1500 - sum(item.status.alerts.by_service.values())
    stored = IncidentStatus.model_validate(item.status.dump())
    again = decisions.decide(facts(item.model_copy(update={"status": stored}), ledger=seen), at(101)).status
    assert again is None, "nothing is written when nothing changed"


def test_what_is_whole_names_nothing_left_out() -> None:
    assert after(facts(alerts_only())).dropped == {}
