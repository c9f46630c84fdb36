"""Whatever happened, a decision comes to rest, survives being stored, and says nothing that the API server refuses."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.api.release import ReleaseStatus
from opsloop.core import conditions
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import decide as decisions
from opsloop.core.incident import timeline
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.readings import Readings
from opsloop.core.reported import Ledger
from tests.builders import incidents as build
from tests.builders.objects import V1, V2, V3, at, incident, incident_facts, readings, release, view
from tests.builders.rollouts import ADOPTED
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


@pytest.mark.simulation
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(HAPPENINGS, st.booleans())
def test_it_comes_to_rest_within_ten_rounds_and_survives_storage(story: list[Any], evals: bool) -> None:
    loop = DecisionStore(evals)
    for what, how in story:
        happen(loop, what, how)
        loop.quiesce(most=10)
    status = loop.state.release.status
    assert ReleaseStatus.model_validate(status.dump()).dump() == status.dump()
    for item in loop.state.incidents:
        assert IncidentStatus.model_validate(item.status.dump()) == item.status


@pytest.mark.simulation
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(HAPPENINGS)
def test_with_known_telemetry_it_ends_healthy_or_escalated(story: list[Any]) -> None:
    """Nothing hangs for ever: no rollback in hand, no play running, no canary on its way unless it is held and says why."""
    loop = DecisionStore()
    for what, how in story:
        happen(loop, what, how)
    for _ in range(120):
        _second(loop, known=True)
    status = loop.state.release.status
    assert status.rollback is None or status.rollback.state in ("Done", "Refused", "Failed")
    assert status.phase in ("Healthy", "Breaching", "Held", "NotShipped")
    if status.phase == "NotShipped":
        assert status.target is not None and not status.target.is_active
        assert conditions.is_true(status.conditions, "Drifted") and not conditions.is_true(status.conditions, "Shipped")
    for item in loop.state.incidents:
        running = [p for p in item.status.plays if p.state in ("Requested", "Running")]
        assert running == [] and (item.status.phase == "Resolved" or item.status.plays[-1].type == "escalate")


ENTRIES = st.tuples(
    st.text("ab", min_size=1, max_size=200), st.integers(-500, 500), st.sampled_from(["Relapse", "Ticket"])
)


@settings(max_examples=100, deadline=None)
@given(st.lists(ENTRIES, max_size=40), st.integers(0, 199))
def test_a_timeline_is_ordered_unique_and_bounded(entries: list[tuple[str, int, str]], already: int) -> None:
    decision = IncidentBuilder(incident_facts(incident(), None), IncidentStatus(), at(0))
    for n in range(already):
        timeline.record(decision, f"old-{n}", at(n), "Ticket", "x")
    for key, when, type_ in entries:
        timeline.record(decision, key, at(when), type_, "x" * 3000)
    recorded = decision.status.timeline
    assert len({e.key for e in recorded}) == len(recorded) <= 200
    assert [e.at for e in recorded] == sorted(e.at for e in recorded)


@dataclass(frozen=True)
class Look:
    """Facts of one look at the Incident; times in seconds."""

    pause: int  # since the look before
    sli: float | str | None  # error ratio, "aftermath" (only a ticket tier still fires), or None = unknown
    age: int  # of the verdict
    onset: int | None  # before the verdict
    alerts: tuple[str, ...]
    live: str = V1
    dependency: str = "healthy"
    over: bool = False  # a person says that it is over
    gone: bool = False  # the root Release is deleted

    def facts(self, item: Incident, now: datetime) -> IncidentFacts:
        """Of `item`, seen at `now`."""
        when = now - timedelta(seconds=self.age)
        onset = None if self.onset is None else when - timedelta(seconds=self.onset)
        root = view(release(status=build.service(self.live, KNOWN).status), self._readings(when, onset))
        catalog = view(release("catalog", dependsOn=[]), readings(0.0 if self.dependency == "healthy" else 0.5, now))
        other = (build.burnt(name="catalog-1"),) if self.dependency == "incident" else ()
        annotations = {"opsloop.dev/mitigated": "true"} if self.over else {}
        item = item.model_copy(update={"metadata": item.metadata.model_copy(update={"annotations": annotations})})
        alerts = tuple(build.alert(status, n) for n, status in enumerate(self.alerts))
        return incident_facts(
            item, None if self.gone else root, releases=(catalog,) if self.gone else (root, catalog), incidents=other,
            runbooks=(build.book(True),), ledger=Ledger(alerts=alerts),
        )  # fmt: skip

    def _readings(self, when: datetime, onset: datetime | None) -> Readings:
        if self.sli == "aftermath":
            return replace(build.aftermath(when), onset=onset)
        assert not isinstance(self.sli, str)
        return build.sli(self.sli, when, onset=onset)


KNOWN = (ADOPTED, build.BLOCKED_BAD, ADOPTED.model_copy(update={"digest": V3, "version": "v3", "number": 3}))
LOOKS = st.builds(
    Look,
    pause=st.sampled_from([0, 1, 5, 20, 61, 3000]),
    sli=st.sampled_from([0.0, 0.0, 0.02, 0.5, "aftermath", None]),
    age=st.sampled_from([0, 0, 0, 4, 40]),
    onset=st.sampled_from([None, 0, 10, 100]),
    alerts=st.lists(st.sampled_from(["firing", "resolved"]), max_size=2).map(tuple),
    live=st.sampled_from([V1, V1, V2, V3]),
    dependency=st.sampled_from(["healthy", "healthy", "healthy", "harmed", "incident"]),
    over=st.sampled_from([False, False, False, True]),
    gone=st.sampled_from([False, False, False, True]),
)


@pytest.mark.simulation
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["burn", "alerts"]), st.lists(LOOKS, min_size=1, max_size=15))
def test_the_four_times_are_in_order_and_none_is_of_an_earlier_phase(opened_by: str, looks: list[Look]) -> None:
    item, now = incident() if opened_by == "burn" else build.alerts_only(), at(0)
    for look in looks:
        now += timedelta(seconds=look.pause)
        status = decisions.decide(look.facts(item, now), now).status
        item = item if status is None else item.model_copy(update={"status": status})
        _assert_times(item.status)


def _assert_times(status: IncidentStatus) -> None:
    times = [t for t in (status.onset_at, status.detected_at, status.mitigated_at, status.resolved_at) if t]
    assert times == sorted(times)
    over = status.phase in ("Mitigated", "Resolved")
    assert over or (status.mitigated_at, status.back_since) == (None, None)
    assert not over or status.mitigated_at is not None or status.merged_into
    assert (status.resolved_at is not None) == (status.phase == "Resolved")
    recorded = [e.at for e in status.timeline if e.type == "Mitigated"]
    assert status.mitigated_at is None or status.mitigated_at in recorded
