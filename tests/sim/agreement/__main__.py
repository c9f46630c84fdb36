"""Do the layers agree? `python -m tests.sim.agreement [--seeds N] [--first N] [--kind KIND …]`.

Whole episodes are judged beside the operator, by the functions as shipped on the counters that the episode's Prometheus stores:
canaries (`core.slo.rounds`, `core.statistics.evidence`, `core.slo.canary`, `core.slo.jointly`: reject and pass of each step) and
burns of all SLOs (`core.slo.burn_rate`, `core.slo.bursts`: each window and each tier at each read, and when the SLI is back). An
episode costs about 4 s of CPU time.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from opsloop.simulator import kinds
from tests.sim.agreement.burns import HARM, NUMBERS, Burn
from tests.sim.agreement.canaries import Compared
from tests.sim.agreement.layers import Found, compare


def main() -> int:
    """Prints a row for each decision; 1 where one differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.agreement", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2 * len(kinds.KINDS), help="episodes; default: %(default)s")
    parser.add_argument("--first", type=int, default=1, help="first seed; default: %(default)s")
    parser.add_argument(
        "--kind", nargs="+", default=list(kinds.KINDS), choices=list(kinds.KINDS), help="kinds in turn; default: all"
    )
    parser.add_argument("--processes", type=int, default=2, help="default: %(default)s")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    of_seed = [options.kind[(seed - 1) % len(options.kind)] for seed in seeds]
    found = list[Found]()
    for one in _all(seeds, of_seed, options.processes):
        found.append(one)
        for line in (*map(_canary, one.canaries), *map(_burn, one.burns)):
            print(line, flush=True)
    print("\n".join(_summary(found)))
    return 0 if all(each.agree for each in found) else 1


def _all(seeds: Iterable[int], of_seed: Iterable[str], processes: int) -> Iterator[Found]:
    if processes <= 1:
        yield from map(compare, seeds, of_seed)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        yield from pool.map(compare, seeds, of_seed)


def _canary(one: Compared) -> str:
    times = " ".join("never" if at is None else f"{at:.0f} s" for at in (one.alone, one.operator))
    held = f"; held for {one.held}" if one.held and not one.agree else ""
    return f"{_says(one)} {one.version} {one.what}: {times}{held}"


def _burn(one: Burn) -> str:
    sides = [_span(side) for side in (one.alone, one.operator)]
    text = f"{_says(one)} {one.service} {one.what}: {sides[0]}"
    return text if one.agree else f"{text} alone, {sides[1]} operator; {one.differ} of {one.reads} reads: {one.why}"


def _says(one: Compared | Burn) -> str:
    return f"{'agree ' if one.agree else 'DIFFER'} --kind {one.kind} --seed {one.seed} "


def _span(side: tuple[float, float | None] | None) -> str:
    if side is None:
        return "never"
    begin, end = side
    return f"{begin:.0f} s to {'the end' if end is None else f'{end:.0f} s'}"


def _summary(found: list[Found]) -> Iterator[str]:
    canaries = [one for each in found for one in each.canaries]
    yield f"{len(found)} episodes"
    yield f"canaries: {len(canaries)} decisions, {sum(not one.agree for one in canaries)} differ"
    burns = [one for each in found for one in each.burns]
    reads = sum(each.reads for each in found)
    for text, rows in (
        ("stretches in which a tier fires", [one for one in burns if one.what not in (HARM, NUMBERS)]),
        (f"stretches of {HARM}", [one for one in burns if one.what == HARM]),
        (f"stretches of {NUMBERS}", [one for one in burns if one.what == NUMBERS]),
    ):
        differ = [one for one in rows if not one.agree]
        at_reads = sum(one.differ for one in differ)
        yield f"SLOs: {len(rows)} {text}, {len(differ)} differ, at {at_reads} of {reads} reads"
        for why, count in Counter(one.why.partition(" (")[0].partition(":")[0] for one in differ).most_common():
            yield f"  {count} x {why}"


if __name__ == "__main__":
    sys.exit(main())
