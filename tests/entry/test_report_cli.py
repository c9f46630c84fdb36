"""`opsloop report`: what is stored and what Prometheus counted, of one namespace or of all; what cannot be read is said."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opsloop.entry.cli import commands as cli
from opsloop.errors import Unavailable
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import INCIDENTS, RELEASES
from tests.builders.reports import digest
from tests.fakes.gate_world import ShopCluster, after_the_shift

BAD, TOTAL = 40.0, 2000.0  # events of any window


class Shop(ShopCluster):
    """The shop, whose Prometheus counts the same in each window, over `covered` of it; `asked` are the queries."""

    def __init__(self, *objects: Any) -> None:
        super().__init__(*objects)
        self.covered, self.queries, self.down = 1.0, list[str](), False

    async def raw(
        self, method: str, path: str, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None,
        body: Any = None, timeout: float | None = None,  # noqa: ASYNC109
    ) -> tuple[int, bytes]:  # fmt: skip
        expression = (query or {})["query"]
        self.queries.append(expression)
        if self.down:
            raise Unavailable("connection refused")
        numbers = {"good": TOTAL - BAD, "bad": BAD, "total": TOTAL, "covered": self.covered}
        found = [part.split('"')[0] for part in expression.split('"opsloop", "')[1:]]
        series = [{"metric": {"opsloop": name}, "value": [0, str(numbers[name.split(":")[0]])]} for name in found]
        return 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": series}}).encode()


def stored(cluster: ShopCluster) -> list[Any]:
    """Its Releases and Incidents."""
    return [item for kind in (RELEASES, INCIDENTS) for item in asyncio.run(cluster.list(kind, "shop"))]


@pytest.fixture
def shop() -> Shop:
    """After a shift, a Release of which has a history."""
    made, now = Shop(), datetime.now(UTC)
    for body in stored(after_the_shift()):
        if body["kind"] == "Release" and body["metadata"]["name"] == "answers":
            body["status"]["historySince"] = (now - timedelta(days=40)).isoformat()
            body["status"]["history"] = [
                {
                    "what": "Promoted",
                    "version": "v4",
                    "digest": digest("v4"),
                    "at": (now - timedelta(days=1)).isoformat(),
                }
            ]
        made.seed(body)
    return made


def run(cluster: Any, *argv: str) -> int:
    @asynccontextmanager
    async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
        yield cluster

    return cli.main(["report", *argv], connect, lambda kubeconfig, context: "shop")


def test_it_is_printed_for_people(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop) == 0
    said = capsys.readouterr().out
    assert said.startswith("opsloop report: namespace shop,") and "Deployment frequency    1: 1 by canary" in said
    assert "200 % of 30d" in said, "40 of 2000 bad, and 1 % of 30 days may be"


def test_it_is_made_for_programs(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "-A", "-o", "json", "--since", "7d") == 0
    body = json.loads(capsys.readouterr().out)
    assert body["namespace"] is None and list(body["namespaces"]) == ["shop"]
    answers = next(row for row in body["releases"] if row["release"] == "answers")
    assert answers["deployments"] == 1 and answers["budgets"][0]["bad"] == BAD
    assert any("[1w]" in query or "[7d]" in query for query in shop.queries)


@pytest.mark.parametrize(
    ("covered", "spent"),
    [
        pytest.param(1.0, 2.0, id="data for all of the period"),
        pytest.param(0.5, 1.0, id="data for half of it: the other half had as much traffic"),
        pytest.param(0.001, None, id="data for next to nothing of it: unknown"),
    ],
)
def test_the_budget_is_that_of_the_whole_period(
    shop: Shop, covered: float, spent: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.covered = covered
    assert run(shop, "-o", "json") == 0
    budget = json.loads(capsys.readouterr().out)["releases"][0]["budgets"][0]
    assert (budget["spent"], budget["bad"]) == (pytest.approx(spent) if spent else None, BAD)


def test_a_prometheus_that_is_away_is_asked_once_and_makes_budgets_unknown(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.down = True
    assert run(shop) == 0
    said = capsys.readouterr().out
    assert said.count("unknown: no answer from Prometheus") == 3, said
    assert "namespace shop: no answer from Prometheus, connection refused; --prometheus names another one" in said
    assert len(shop.queries) == 1


def test_an_object_that_does_not_fit_its_schema_is_told_of_and_left_out(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = next(body for body in stored(shop) if body["kind"] == "Incident")
    shop.seed({**broken, "metadata": {**broken["metadata"], "name": "broken-1"}, "spec": {"service": 7}})
    assert run(shop) == 0
    assert "Incident shop/broken-1 is left out: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        pytest.param(["--since", "soon"], "'soon' is not a duration", id="no duration"),
        pytest.param(["--since", "1s"], "is not between 1m and 3660d", id="too short"),
        pytest.param(["--prometheus", "prometheus"], "is not a service address", id="no address"),
        pytest.param(["-o", "xml"], "'xml' is no such command or value", id="no form"),
    ],
)
def test_wrong_arguments_name_what_would_be_right(
    shop: Shop, argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert run(shop, *argv) == 2
    except SystemExit as ended:
        assert ended.code == 2
    assert said in capsys.readouterr().err
