"""Every query of the Grafana boards is PromQL to a real Prometheus; runs where one is at hand (tests/contract/model/real.py)."""

import time

import pytest

from tests.contract.model import real
from tests.tools.test_boards import QUERIES, filled


def test_a_real_prometheus_takes_every_query() -> None:
    binary = real.binary()
    if binary is None:
        pytest.skip("no Prometheus on this machine")
    with real.running(binary) as server:
        asked = {
            str(one.values[0]): server.ask(
                "/api/v1/query", {"query": filled(str(one.values[0])), "time": str(time.time())}
            )
            for one in QUERIES
        }
    assert [query for query, answer in asked.items() if answer is None] == []
