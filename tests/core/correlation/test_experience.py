"""What Incidents that are over teach of alert rules, and how it is stored."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.actions import StoreExperience
from opsloop.core.correlation.decide import decide
from opsloop.core.correlation.experience import KEY, MOST_RULES, dump, load, teachers
from opsloop.core.correlation.facts import Reading
from opsloop.core.correlation.lags import MOST_PAST
from opsloop.core.correlation.method import Method
from opsloop.core.correlation.service_health import ServiceHealth
from opsloop.core.correlation.standing import reader_of
from opsloop.core.facts import CorrelationFacts, Experience
from opsloop.core.topology import Topology
from opsloop.errors import Invalid
from tests.builders.correlation import NOW, NS, alert, at, incident, ledger

GRACE = timedelta(minutes=30)
OVER: dict[str, Any] = {"phase": "Resolved", "resolved_at": at(-60), "onset_at": at(-900), "alerts": {"count": 3}}
THREE = ledger(
    alert("RequestErrors", "answers", start=-900 + 270),  # as late as expected
    alert("RequestLatency", "answers", start=-900 + 300 + 200),  # 200 s later than expected
    alert("ProbeFailed", "answers", start=-900 + 260),
)


def taught(
    *incidents: Any, experience: Experience | None = None, ledgers: Mapping[str, Any] | None = None
) -> Experience:
    facts = CorrelationFacts(
        NS, incidents=incidents, experience=experience or Experience(), ledgers=ledgers or {"answers-1": THREE}
    )
    found = [a for a in decide(facts, NOW, GRACE).actions if isinstance(a, StoreExperience)]
    return found[0].experience if found else facts.experience


def test_what_was_late_is_learnt_of_an_incident_that_is_over() -> None:
    found = taught(incident("answers-1", **OVER))
    late = {rule: round(known[0]) for rule, known in found.past.items()}
    assert late == {"RequestErrors": 0, "RequestLatency": 200, "ProbeFailed": 0} and found.until == at(-60)


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"phase": "Open"}, id="it goes on"),
        pytest.param({"merged_into": "other-1"}, id="another one took it over"),
        pytest.param({"resolved_at": at(-3600)}, id="it ended long ago, before anybody listened"),
        pytest.param({"alerts": {"count": 0}}, id="no alert spoke"),
    ],
)
def test_what_teaches_nothing(status: dict[str, Any]) -> None:
    assert taught(incident("answers-1", **OVER | status)) == Experience()


def test_each_teaches_once() -> None:
    one = incident("answers-1", **OVER)
    first = taught(one)
    assert taught(one, experience=first) is first
    again = taught(one, incident("answers-2", **OVER | {"resolved_at": at(-30)}), experience=first,
                   ledgers={"answers-1": THREE, "answers-2": THREE})  # fmt: skip
    assert {len(known) for known in again.past.values()} == {2} and again.until == at(-30)


def test_one_in_which_a_single_rule_speaks_is_passed_over_and_not_asked_again() -> None:
    one = incident("answers-1", **OVER)
    found = taught(one, ledgers={"answers-1": ledger(alert("RequestErrors", "answers"))})
    assert found == Experience(until=at(-60)) and not teachers([one], found, GRACE, NOW)


def test_the_next_alert_of_a_rule_that_is_always_late_is_dated_back() -> None:
    slow = alert("RequestLatency", "answers", start=0)
    onsets = []
    for past in ({}, {"RequestLatency": (200.0,) * 9}):
        facts = CorrelationFacts(NS, experience=Experience(past, at(-60)))
        onsets.append(reading_of(facts, slow).onset)
    assert onsets[0] - onsets[1] == pytest.approx(200 * 9 / (9 + Method().lags.learn_from))


numbers = st.lists(st.floats(-1800, 1800).map(lambda n: round(n, 1)), min_size=1, max_size=MOST_PAST).map(tuple)


@given(past=st.dictionaries(st.text(max_size=20), numbers, max_size=8), ended=st.booleans())
def test_what_is_stored_is_read_again(past: dict[str, tuple[float, ...]], ended: bool) -> None:
    experience = Experience(past, at(-60) if ended else None)
    assert load(dump(experience)) == experience


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("[]", id="a list"),
        pytest.param('{"late": {}}', id="no time"),
        pytest.param('{"late": {}, "until": "soon"}', id="a time that is none"),
        pytest.param('{"late": {"A": []}, "until": null}', id="a rule without a number"),
        pytest.param('{"late": {"A": ["x"]}, "until": null}', id="a number that is none"),
        pytest.param('{"late": {"A": [1e999]}, "until": null}', id="a number without end"),
        pytest.param('{"late": [1], "until": null}', id="rules that are none"),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_what_opsloop_did_not_write_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="lags"):
        load({KEY: text})


def test_what_is_read_is_bounded_whoever_wrote_it() -> None:
    late = {f"rule-{n}": [1.0] * 200 for n in range(MOST_RULES + 50)}
    found = load({KEY: json.dumps({"late": late, "until": None})})
    assert len(found.past) == MOST_RULES and {len(known) for known in found.past.values()} == {MOST_PAST}
    assert "rule-0" not in found.past


def reading_of(facts: CorrelationFacts, one: Any) -> Reading:
    health = ServiceHealth(Topology(()), (), NOW, GRACE)
    return reader_of(facts, health, Method())(one)
