"""Weights by pods, and the pods of weights.

Without a route, canary pods are added and live pods never leave, so with N live pods and c canary pods in traffic the share is
c / (N + c), and the c that comes nearest to a weight w (percent) is w * N / (100 - w), rounded, at least 1.

Where an HTTPRoute makes the share, canary pods are there to carry it: w % of what N live pods carry takes w * N / 100 of them,
rounded up.
"""

from collections.abc import Iterable


def share(canary: int, live: int) -> int:
    """Percent of the pods in traffic that are canary pods."""
    return round(100 * canary / (live + canary)) if live + canary else 0


def pods_for(weight: int, live: int, by_route: bool = False) -> int:
    """Canary pods for a weight of 1 to 99 percent beside `live` pods. Raises ValueError for other weights.

    Behind a route also for 100 percent, of copied requests, and for 0: testers' requests, which one pod carries.
    """
    if by_route and weight in (0, 100):
        return max(1, live * weight // 100)
    if not 1 <= weight <= 99:
        raise ValueError(f"weight {weight} is not reached by pods; 100 is the promotion")
    if by_route:
        return max(1, -(-weight * live // 100))
    return max(1, round(weight * live / (100 - weight)))


def refusal(weight: int, live: int, limit: int | None, by_route: bool = False) -> str:
    """The arithmetic by which a weight is out of reach; empty where it is not. Without a limit: as many as live has."""
    limit = live if limit is None else limit
    pods = pods_for(weight, live, by_route)
    if pods <= limit:
        return ""
    if by_route:
        return (
            f"weight {weight} beside {live} live pods needs {pods} canary pods to carry it ({weight} x {live} / 100), more than"
            f" {limit} allowed; raise maxCanaryReplicas or lower the weight"
        )
    return (
        f"weight {weight} beside {live} live pods needs {pods} canary pods "
        f"({weight} x {live} / {100 - weight}), more than {limit} allowed: "
        f"with {limit} the share is {share(limit, live)} %; raise maxCanaryReplicas or lower the weight"
    )


def first_refusal(weights: Iterable[int], live: int, limit: int | None, by_route: bool = False) -> str:
    """The refusal of the first weight below 100 that is out of reach; empty where all can be reached, or live has no pods."""
    refusals = (refusal(weight, live, limit, by_route) for weight in weights if weight < 100 and live)
    return next((reason for reason in refusals if reason), "")
