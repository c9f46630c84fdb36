"""`python -m tests.correlation [--seed N] [--storms N] [--flat]`: how well alerts are grouped on storms of other faults.

Hard storms (several faults, or noise) of random applications; each cluster's lags are up to 30 % off, and learnt from its earlier storms.
--flat also moves every number of the method 30 % up and down, alone, and tells which of them matter.
"""

import argparse
from collections.abc import Iterator
from dataclasses import fields, replace

from opsloop.core.correlation.method import Method
from tests.correlation.scores import HEAD, fresh, measured, other
from tests.correlation.storms import Storm

OFF = 0.3


def moved(method: Method) -> Iterator[tuple[str, Method]]:
    """Every number of the method, 30 % down and 30 % up."""
    for name in ("prices", "lags", "spreads"):
        table = getattr(method, name)
        for item in fields(table):
            for factor in (1 - OFF, 1 + OFF):
                value = getattr(table, item.name) * factor
                yield (
                    f"{name}.{item.name} × {factor:g}",
                    replace(method, **{name: replace(table, **{item.name: value})}),
                )
    for name in ("split", "reach"):
        for factor in (1 - OFF, 1 + OFF):
            yield f"{name} × {factor:g}", replace(method, **{name: getattr(method, name) * factor})


def flat(storms: list[Storm]) -> None:
    """The numbers that move the hard ARI most, and by how much."""
    base = measured(storms, Method()).ari
    rows = sorted((measured(storms, method).ari - base, name) for name, method in moved(Method()))
    print(
        f"\n{len(rows)} moves of one number by 30 %; hard ARI {base:.3f}, mean of all moves {base + sum(d for d, _ in rows) / len(rows):.3f}"
    )
    for change, name in [*rows[:6], *rows[-3:]]:
        print(f"  {change:+.3f}  {name}")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.correlation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--storms", type=int, default=200, help="hard storms; default: %(default)s")
    parser.add_argument("--flat", action="store_true")
    options = parser.parse_args()
    storms = fresh(options.seed, options.storms)
    print(HEAD)
    for cluster in (True, False):
        for core in (False, True):
            what = f"{'with' if cluster else 'without'} the cluster's facts{', without companions' if core else ''}"
            print(measured(storms, Method(), cluster, core), what)
    print(measured(storms, Method(), prometheus=True), "with the cluster's facts and Prometheus' rules")
    print(measured(storms, Method(), learn=False, prometheus=True), "the same, nothing learnt")
    print(measured(storms, Method(), learn=False), "with the cluster's facts, nothing learnt")
    others = other(options.seed, options.storms)
    print(measured(others, Method()), "the second generator, with the cluster's facts")
    print(measured(others, Method(), prometheus=True), "the same with Prometheus' rules")
    if options.flat:
        flat(storms)


if __name__ == "__main__":
    main()
