"""Whatever happened, a decision comes to rest, survives being stored, and says nothing that the API server refuses."""

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsloop.api.incident import IncidentStatus
from opsloop.api.release import ReleaseStatus
from opsloop.core.incident.state import Sheet
from tests.builders.objects import at, incident, incident_facts
from tests.properties.decision_store import BAD, DecisionStore

VERSIONS = st.sampled_from(["v1", "v2", "v3", "v4"])
HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), VERSIONS),
        st.tuples(st.just("ship"), VERSIONS),
        st.tuples(st.just("live"), st.integers(1, 15)),
        st.tuples(st.just("live"), st.integers(1, 15)),
        st.tuples(st.just("silence"), st.integers(1, 5)),
        st.tuples(st.just("pause"), st.booleans()),
        st.tuples(st.just("lose"), st.none()),
    ),
    max_size=12,
)


def happen(loop: DecisionStore, what: str, how: Any) -> None:
    match what:
        case "push":
            loop.push(how)
        case "ship":
            loop.edit(version=how, images={"answers": f"shop:{how}"})
        case "pause":
            loop.edit(paused=how)
        case "lose":
            loop.lose_pod()
        case _:
            for _ in range(how):
                _second(loop, known=what == "live")


def _second(loop: DecisionStore, known: bool) -> None:
    loop.now += timedelta(seconds=5)
    loop.run_pods()
    loop.settle()
    suffering = 0.5 if loop.state.workload.digest in BAD else 0.0
    loop.telemetry = suffering if known else None
    loop.canary_telemetry = 0.0 if known else None
    loop.correlate()
    for kind in loop.kinds(loop.state):
        loop.reconcile(kind)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(HAPPENINGS, st.booleans())
def test_at_any_instant_it_comes_to_rest_within_ten_rounds_and_reads_back_as_it_was(
    story: list[Any], evals: bool
) -> None:
    loop = DecisionStore(evals)
    for what, how in story:
        happen(loop, what, how)
        loop.quiesce(most=10)
    status = loop.state.release.status
    assert ReleaseStatus.model_validate(status.dump()).dump() == status.dump()
    for item in loop.state.incidents:
        assert IncidentStatus.model_validate(item.status.dump()) == item.status


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(HAPPENINGS)
def test_left_alone_with_known_telemetry_it_ends_healthy_or_with_a_person_called(story: list[Any]) -> None:
    """Nothing hangs for ever: no rollback in hand, no play running, no canary on its way unless it is held and says why."""
    loop = DecisionStore()
    for what, how in story:
        happen(loop, what, how)
    for _ in range(120):
        _second(loop, known=True)
    status = loop.state.release.status
    assert status.rollback is None or status.rollback.state in ("Done", "Refused")
    assert status.phase in ("Healthy", "Breaching", "Held")
    for item in loop.state.incidents:
        running = [p for p in item.status.plays if p.state in ("Requested", "Running")]
        assert running == [] and (item.status.phase == "Resolved" or item.status.plays[-1].type == "escalate")


ENTRIES = st.tuples(
    st.text("ab", min_size=1, max_size=200), st.integers(-500, 500), st.sampled_from(["Relapse", "Ticket"])
)


@settings(max_examples=100, deadline=None)
@given(st.lists(ENTRIES, max_size=40), st.integers(0, 199))
def test_a_timeline_is_ordered_unique_and_bounded(entries: list[tuple[str, int, str]], already: int) -> None:
    sheet = Sheet(incident_facts(incident(), None), at(0))
    for n in range(already):
        sheet.note(f"old-{n}", at(n), "Ticket", "opsloop", "x")
    for key, when, type_ in entries:
        sheet.note(key, at(when), type_, "opsloop", "x" * 3000)
    timeline = sheet.status.timeline
    assert len({e.key for e in timeline}) == len(timeline) <= 200
    assert [e.at for e in timeline] == sorted(e.at for e in timeline)
