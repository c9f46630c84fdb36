"""Do the layers agree? `python -m tests.sim.agreement [--seeds N] [--first N] [--kind KIND …]`.

Canaries of whole episodes are judged again, outside of the operator, by the functions as shipped (`core.slo.rounds`,
`core.statistics.evidence`, `core.slo.canary`) on the counters that the episode's Prometheus stored: reject and pass of each
step, each at the same tick. An episode costs about 3 s of CPU time.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.sim.agreement.layers import compare

KINDS = ("bad-release", "good-release", "bad-release", "quiet")


def main() -> int:
    """Prints a row for each decision; 1 where one differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.agreement", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="episodes; default: %(default)s")
    parser.add_argument("--first", type=int, default=1, help="first seed; default: %(default)s")
    parser.add_argument("--kind", nargs="+", default=KINDS, help="kinds in turn; default: %(default)s")
    parser.add_argument("--processes", type=int, default=2, help="default: %(default)s")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    kinds = [options.kind[number % len(options.kind)] for number in range(options.seeds)]
    decisions = differ = 0
    with ProcessPoolExecutor(options.processes, mp_context=get_context("fork")) as pool:
        for found in pool.map(compare, seeds, kinds):
            for one in found:
                decisions += 1
                differ += not one.agree
                times = " ".join("never" if at is None else f"{at:.0f} s" for at in (one.alone, one.operator))
                print(
                    f"{'agree ' if one.agree else 'DIFFER'} --kind {one.kind} --seed {one.seed}  {one.version} {one.what}: {times}",
                    flush=True,
                )
    print(
        f"{options.seeds} episodes, {decisions} decisions, {differ} differ (alone, whole operator; one tick is {15} s)"
    )
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
