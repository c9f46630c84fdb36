from typing import Any

import pytest

from opsloop.core.decision import Event
from opsloop.errors import Forbidden, LeadershipLost
from opsloop.shell.notify.events import BURST, EventPoster, event_name
from opsloop.shell.ports import EVENTS, Object
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster

RELEASE: Object = {
    "apiVersion": "opsloop.dev/v1alpha1",
    "kind": "Release",
    "metadata": {"name": "answers", "namespace": "shop", "uid": "u1", "resourceVersion": "7"},
}


def made(cluster: FakeCluster) -> list[Object]:
    return [o for o in cluster._objects.values() if o["kind"] == "Event"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cluster(clock: FakeClock) -> FakeCluster:
    return FakeCluster(clock=clock)


def poster(cluster: FakeCluster, clock: FakeClock) -> EventPoster:
    return EventPoster(cluster, "opsloop", clock.now)


async def test_an_event_names_the_object_and_the_reporter(cluster: FakeCluster, clock: FakeClock) -> None:
    await poster(cluster, clock).post(RELEASE, Event("RolledBack", "v2 → v1", "Warning"))
    (event,) = made(cluster)
    assert event["involvedObject"] == {
        "apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "namespace": "shop", "name": "answers", "uid": "u1", "resourceVersion": "7",
    }  # fmt: skip
    assert (event["reason"], event["message"], event["type"], event["count"]) == ("RolledBack", "v2 → v1", "Warning", 1)
    assert event["source"] == {"component": "opsloop"}
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-05T09:00:00Z"


async def test_a_repeat_counts_up_the_same_event(cluster: FakeCluster, clock: FakeClock) -> None:
    events = poster(cluster, clock)
    for n in range(3):
        await events.post(RELEASE, Event("Held", f"message {n}"))
        clock.advance(1)
    (event,) = made(cluster)
    assert (event["count"], event["message"]) == (3, "message 2")
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2026-01-05T09:00:00Z", "2026-01-05T09:00:02Z")


async def test_a_repeat_after_a_restart_counts_on(cluster: FakeCluster, clock: FakeClock) -> None:
    await poster(cluster, clock).post(RELEASE, Event("Held", "x"))
    await poster(cluster, clock).post(RELEASE, Event("Held", "x"))
    assert [e["count"] for e in made(cluster)] == [2]


async def test_an_event_that_has_expired_is_made_anew(cluster: FakeCluster, clock: FakeClock) -> None:
    events = poster(cluster, clock)
    await events.post(RELEASE, Event("Held", "x"))
    cluster.remove(EVENTS, "shop", event_name(RELEASE, "Held"))
    await events.post(RELEASE, Event("Held", "x"))
    assert [e["count"] for e in made(cluster)] == [1]


async def test_other_reasons_and_other_objects_are_other_events(cluster: FakeCluster, clock: FakeClock) -> None:
    events = poster(cluster, clock)
    successor = {**RELEASE, "metadata": {**RELEASE["metadata"], "uid": "u2"}}
    await events.post(RELEASE, Event("A", "x"))
    await events.post(RELEASE, Event("B", "x"))
    await events.post(successor, Event("A", "x"))
    assert len(made(cluster)) == 3


async def test_a_flapping_object_is_cut_to_a_burst_and_one_per_minute(cluster: FakeCluster, clock: FakeClock) -> None:
    events = poster(cluster, clock)
    for _ in range(1000):
        await events.post(RELEASE, Event("Flap", "x"))
    assert len(cluster.writes) == BURST
    clock.advance(59)
    await events.post(RELEASE, Event("Flap", "x"))
    assert len(cluster.writes) == BURST
    clock.advance(1)
    await events.post(RELEASE, Event("Flap", "x"))
    assert len(cluster.writes) == BURST + 1
    other = {**RELEASE, "metadata": {**RELEASE["metadata"], "uid": "u2"}}
    await events.post(other, Event("Flap", "x"))
    assert len(cluster.writes) == BURST + 2


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Forbidden("no"), id="not allowed"),
        pytest.param(LeadershipLost("no"), id="not leading"),
        pytest.param(KeyError("bug"), id="a bug"),
    ],
)
async def test_posting_never_raises(error: Exception, cluster: FakeCluster, clock: FakeClock) -> None:
    cluster.fail_next = [error]
    await poster(cluster, clock).post(RELEASE, Event("A", "x"))
    assert cluster.writes == []


async def test_long_names_and_messages_are_cut(cluster: FakeCluster, clock: FakeClock) -> None:
    long: dict[str, Any] = {**RELEASE, "metadata": {"name": "x" * 253, "namespace": "shop", "uid": "u"}}
    await poster(cluster, clock).post(long, Event("A", "m" * 5000))
    (event,) = made(cluster)
    assert len(event["metadata"]["name"]) <= 253
    assert len(event["message"]) == 1024
