"""How many pods may be unavailable, as Kubernetes resolves it."""

from typing import Any

import pytest

from opsloop.core.release.availability import most_unavailable


def rolling(unavailable: Any, surge: Any) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}}


@pytest.mark.parametrize(
    ("strategy", "replicas", "most"),
    [
        pytest.param(None, 4, 1, id="a quarter by default"),
        pytest.param(None, 3, 0, id="rounded down"),
        pytest.param(rolling(2, 1), 4, 2, id="a number"),
        pytest.param(rolling("50%", 0), 5, 2, id="a percentage"),
        pytest.param(rolling(0, 0), 5, 1, id="nothing at all would never move: one"),
        pytest.param(rolling("10%", "0%"), 5, 1, id="also where the percentages come to nothing"),
        pytest.param(rolling(0, 1), 5, 0, id="all are demanded"),
        pytest.param(rolling(9, 1), 5, 5, id="not more than there are"),
        pytest.param({"type": "Recreate"}, 4, 0, id="Recreate demands all"),
        pytest.param(None, 0, 0, id="of no pods none may be missing"),
    ],
)
def test_most_unavailable(strategy: dict[str, Any] | None, replicas: int, most: int) -> None:
    assert most_unavailable(strategy, replicas) == most
