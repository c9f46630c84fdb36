"""Weights by pods.

Canary pods are added and live pods never leave, so with N live pods and c canary pods in traffic the share is
c / (N + c), and the c that comes nearest to a weight w (percent) is w * N / (100 - w), rounded, at least 1.
"""

from collections.abc import Iterable


def share(canary: int, live: int) -> int:
    """Percent of the pods in traffic that are canary pods."""
    return round(100 * canary / (live + canary)) if live + canary else 0


def pods_for(weight: int, live: int) -> int:
    """Canary pods for a weight of 1 to 99 percent beside `live` pods. Raises ValueError for other weights."""
    if not 1 <= weight <= 99:
        raise ValueError(f"weight {weight} is not reached by pods; 100 is the promotion")
    return max(1, round(weight * live / (100 - weight)))


def refusal(weight: int, live: int, limit: int | None) -> str:
    """The arithmetic by which a weight is out of reach; empty where it is not. Without a limit: as many as live has."""
    limit = live if limit is None else limit
    pods = pods_for(weight, live)
    if pods <= limit:
        return ""
    return (
        f"weight {weight} beside {live} live pods needs {pods} canary pods "
        f"({weight} x {live} / {100 - weight}), more than {limit} allowed: "
        f"with {limit} the share is {share(limit, live)} %; raise maxCanaryReplicas or lower the weight"
    )


def first_refusal(weights: Iterable[int], live: int, limit: int | None) -> str:
    """The refusal of the first weight below 100 that is out of reach; empty where all can be reached, or live has no pods."""
    refusals = (refusal(weight, live, limit) for weight in weights if weight < 100 and live)
    return next((reason for reason in refusals if reason), "")
