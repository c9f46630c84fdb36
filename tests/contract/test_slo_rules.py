"""`opsloop slo rules` in a real Prometheus: it takes the file, and its engine fires the alerts when the operator's tiers fire.

Runs where a Prometheus is at hand (tests/contract/model/real.py).
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from opsloop.core.slo import rules
from opsloop.simulator.prometheus.store import milliseconds
from tests.builders.promtool import labels_of, values_of
from tests.builders.rules import Labels, evaluate
from tests.contract.model import real
from tests.core.slo.test_rules import (
    BAD,
    FORMS,
    GOOD,
    LATENCY,
    REQUESTS,
    SCOPE,
    SCRAPE,
    SERIES,
    START,
    judged,
    release,
    times,
)


@pytest.fixture(scope="module")
def binary() -> Path:
    found = real.binary()
    if found is None:
        pytest.skip("no Prometheus on this machine")
    return found


class Real:
    """A real server as a world to evaluate rules in."""

    def __init__(self, server: real.Server, series: list[dict[str, str]]) -> None:
        self._server = server
        first = milliseconds(START)
        server.write(
            (
                labels_of(one["series"]),
                [(first + 15_000 * n, v) for n, v in enumerate(values_of(one["values"])) if v is not None],
            )
            for one in series
        )

    def ask(self, query: str, at: int) -> list[tuple[Labels, float]]:
        data = self._server.ask("/api/v1/query", {"query": query, "time": str(at / 1000)})
        assert data is not None, query
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def write(self, labels: Labels, at: int, value: float) -> None:
        self._server.write([(labels, [(at, value)])])


@pytest.fixture
def server(binary: Path) -> Iterator[real.Server]:
    with real.running(binary) as started:
        yield started


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("errors begin and end", "requests"),
        ("errors above one tier and below the other", "bad"),
        ("scrapes that fail while errors go on", "good"),
        ("a series that is born with errors", "bad"),
        ("slow requests", "latency"),
    ],
)
def test_its_engine_fires_when_the_tiers_do(server: real.Server, name: str, form: str) -> None:
    item, moments = release(FORMS[form]), times(step=60)
    world = Real(server, SERIES[name])
    fired = evaluate(rules.rule_groups(item, SCOPE, SCRAPE), world, moments)
    assert fired == judged(item, world, moments)
    assert any(fired.values())


@pytest.mark.parametrize("down", [False, True], ids=["always", "only while the operator is down"])
def test_it_loads_the_file(binary: Path, down: bool) -> None:
    also = [{"name": "latency", "objective": 0.95, "sli": LATENCY}]
    items = [
        release(REQUESTS, name="up", also=also, tiers=[]),
        release(GOOD, period="7d", tiers=[]),
        release(BAD, objective=0.999, tiers=[]),
    ]
    groups = [
        {**group, "name": f"{number}-{group['name']}"}  # the Releases of this test have one name
        for number, item in enumerate(items)
        for group in rules.rule_groups(item, SCOPE, timedelta(seconds=30), 'namespace="ops"' if down else None)
    ]
    with real.running(binary, yaml.safe_dump({"groups": groups})) as server:
        answer = server.get("/api/v1/rules")
    if answer is None:
        pytest.skip("this Prometheus is its engine and storage only")

    loaded = sorted(answer["groups"], key=lambda group: str(group["name"]))
    groups.sort(key=lambda group: str(group["name"]))
    assert [group["name"] for group in loaded] == [group["name"] for group in groups]
    assert [len(group["rules"]) for group in loaded] == [len(group["rules"]) for group in groups]
