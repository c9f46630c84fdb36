"""What a campaign says besides its table."""

from opsloop.simulator.campaign import Lived, costs


def lived(seed: int, kind: str, seconds: float) -> Lived:
    return Lived(seed, kind, [], [], seconds)


def test_costs_name_the_dearest_kinds_and_the_slowest_seeds_first() -> None:
    said = costs([lived(1, "quiet", 1.0), lived(2, "outage", 8.0), lived(3, "quiet", 2.0), lived(4, "gitops", 5.0)], 2)
    assert said == [
        "episodes × seconds of CPU time: outage 1 × 8.0, gitops 1 × 5.0, quiet 2 × 1.5",
        "slowest: seed 2 (outage) 8.0 s, seed 4 (gitops) 5.0 s",
    ]
