"""Which pods a Gateway sends an HTTPRoute's requests to."""

from typing import Any

import pytest

from opsloop.simulator.kube.routes import NOBODY, receivers

SERVICES = {
    name: {"metadata": {"name": name}, "spec": {"selector": {"app": name}}} for name in ("live", "canary", "empty")
}


def pod(name: str, app: str, ready: str = "True") -> Any:
    conditions = [{"type": "Ready", "status": ready}]
    return {"metadata": {"name": name, "labels": {"app": app}}, "status": {"conditions": conditions}}


PODS = [pod("l1", "live"), pod("l2", "live"), pod("c1", "canary"), pod("c2", "canary", "False")]


@pytest.mark.parametrize(
    ("refs", "shares"),
    [
        pytest.param([("live", 1)], {"l1": 0.5, "l2": 0.5}, id="one Service, all its pods alike"),
        pytest.param([("live", 80), ("canary", 20)], {"l1": 0.4, "l2": 0.4, "c1": 0.2}, id="by weight, not by pods; one that is not ready gets none"),
        pytest.param([("live", 90), ("empty", 10)], {"l1": 0.45, "l2": 0.45, NOBODY: 0.1}, id="a Service without pods loses its share"),
        pytest.param([("live", 50), ("gone", 50)], {"l1": 0.25, "l2": 0.25, NOBODY: 0.5}, id="so does one that is not there"),
        pytest.param([("live", 1), ("canary", 0)], {"l1": 0.5, "l2": 0.5}, id="weight 0 gets nothing"),
        pytest.param([], {NOBODY: 1.0}, id="no backend at all"),
    ],
)  # fmt: skip
def test_shares(refs: list[tuple[str, int]], shares: dict[str, float]) -> None:
    rule = {"backendRefs": [{"name": name, "weight": weight} for name, weight in refs]}
    assert receivers(rule, SERVICES, PODS) == pytest.approx(shares)
