"""One bad sender never stops another: whatever lies in a namespace, the next alert is filed."""

from typing import Any

import pytest

from opsloop.core.correlation.decide import decide
from opsloop.core.facts import CorrelationFacts
from opsloop.core.intake import parse_alerts
from opsloop.errors import Invalid
from opsloop.shell.ports import INCIDENTS, Object, Resource
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from tests.builders.correlation import NOW, NS, alert
from tests.shell.intake.test_correlation import Process, fill, inbox_left, stored

GOOD = alert("IndexStale", "catalog", severity="info")  # of a kind that waits for no others


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(clock=FakeClock(NOW))


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"service": "s" * 254}, id="a service of 254 characters"),
        pytest.param({"service": "s" * 2048, "namespace": "n" * 2048}, id="of 2048, in such a namespace"),
        pytest.param({"service": "\x1b[2J/..\u202e"}, id="characters that no name may have"),
        pytest.param({"service": "日本" * 130}, id="another script"),
        pytest.param({"pod": "p" * 2000 + "-7f9c6d5b4-x2x9z"}, id="a long pod"),
        pytest.param({"node": "n" * 2000}, id="a long node"),
        pytest.param({"instance": "https://" + "i" * 2000}, id="a long address"),
        pytest.param({"service": "", "alertname": "a" * 2048}, id="nothing but a long name"),
        pytest.param({"team": "t" * 2048, "severity": "x" * 2048}, id="a long team"),
    ],
)
async def test_an_alert_with_any_labels_is_filed_and_stops_nobody(cluster: FakeCluster, labels: dict[str, str]) -> None:
    item: dict[str, Any] = {
        "labels": {"alertname": "A", "severity": "critical", **labels},
        "startsAt": "2026-01-05T08:59:00Z",
    }
    fill(cluster, [*parse_alerts([item], NOW), GOOD])
    process = Process(cluster, ())
    await process.look()
    cluster.clock.advance(11)
    await process.look()
    assert inbox_left(cluster) == 0 and sum(len(found.alerts) for found in stored(cluster).values()) == 2


async def test_an_incident_that_cannot_be_parsed_has_its_number(cluster: FakeCluster) -> None:
    broken: Object = {"kind": "Incident", "metadata": {"name": "catalog-1", "namespace": NS}, "spec": {"title": 7}}
    cluster.seed(broken)
    process = Process(cluster, ())
    fill(cluster, [GOOD])
    await process.look()
    assert cluster.find(INCIDENTS, NS, "catalog-2") is not None and inbox_left(cluster) == 0


async def test_what_one_incident_is_refused_stops_no_other(cluster: FakeCluster) -> None:
    create = cluster.create

    async def refusing(resource: Resource, namespace: str, body: Object) -> Object:
        if body["metadata"]["name"].startswith("bad"):
            raise Invalid("spec.title: too long")
        return await create(resource, namespace, body)

    cluster.create = refusing  # type: ignore[method-assign]
    fill(cluster, [alert("A", "bad", severity="info"), GOOD])
    with pytest.raises(Invalid):
        await Process(cluster, ()).look()
    assert list(stored(cluster)) == ["catalog-1"] and inbox_left(cluster) == 1, "nothing that was accepted is lost"


async def test_an_entry_that_cannot_be_decided_on_is_set_aside(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(facts: CorrelationFacts, *more: Any) -> Any:
        if any(a.labels["alertname"] == "Poison" for a in facts.alerts):
            raise KeyError("poison")
        return decide(facts, *more)

    monkeypatch.setattr("opsloop.shell.reconcile.reconciler.decide_correlation", failing)
    fill(cluster, [alert("Poison", "x")], name="bad")
    fill(cluster, [GOOD], name="good")
    await Process(cluster, ()).look()
    assert list(stored(cluster)) == ["catalog-1"] and inbox_left(cluster) == 1
