"""How many pods of a Deployment may be unavailable while it counts as rolled out: its own strategy, as Kubernetes reads it."""

from collections.abc import Mapping
from typing import Any

DEFAULT = "25%"  # of maxSurge and maxUnavailable


def most_unavailable(strategy: Mapping[str, Any] | None, replicas: int) -> int:
    """Pods that may be missing. `strategy` is the Deployment's spec.strategy; Recreate and no replicas allow none."""
    strategy = strategy or {}
    if strategy.get("type") == "Recreate" or replicas == 0:
        return 0
    rolling = strategy.get("rollingUpdate") or {}
    unavailable = _resolved(rolling.get("maxUnavailable", DEFAULT), replicas, round_up=False)
    surge = _resolved(rolling.get("maxSurge", DEFAULT), replicas, round_up=True)
    return 1 if unavailable == surge == 0 else min(unavailable, replicas)


def _resolved(value: int | str, replicas: int, round_up: bool) -> int:
    """A count, or a percentage of the replicas; surge is rounded up and unavailability down."""
    if isinstance(value, int):
        return value
    hundredths = int(value.rstrip("%")) * replicas
    return -(-hundredths // 100) if round_up else hundredths // 100
