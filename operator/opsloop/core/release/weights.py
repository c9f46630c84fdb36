"""Weights by pods.

Canary pods are added and stable pods never leave, so with N stable pods and c canary pods in traffic the share is
c / (N + c), and the c that comes nearest to a weight w (percent) is w * N / (100 - w), rounded, at least 1.
"""


def share(canary: int, stable: int) -> int:
    """Percent of the pods in traffic that are canary pods."""
    return round(100 * canary / (stable + canary)) if stable + canary else 0


def pods_for(weight: int, stable: int) -> int:
    """Canary pods for a weight of 1 to 99 percent beside `stable` pods."""
    if not 1 <= weight <= 99:
        raise ValueError(f"weight {weight} is not reached by pods; 100 is the promotion")
    return max(1, round(weight * stable / (100 - weight)))


def refusal(weight: int, stable: int, most: int | None) -> str:
    """Why a weight cannot be reached, with the arithmetic; empty where it can."""
    limit = stable if most is None else most
    wanted = pods_for(weight, stable)
    if wanted <= limit:
        return ""
    return (
        f"weight {weight} beside {stable} live pods needs {wanted} canary pods "
        f"({weight} x {stable} / {100 - weight}), more than {limit} allowed: "
        f"with {limit} the share is {share(limit, stable)} %; raise maxCanaryReplicas or lower the weight"
    )
