"""Laws of judgement on many samples: `python -m tests.sim.laws [--seed WORD] [--rollouts N] [--part NAME …]`.

Prints, as Markdown: healthy canaries rejected and promoted, the power against harmful ones, what the constants change,
false pages of the burn-rate tiers, and causes that are named rightly and wrongly. `--rollouts` is per row of the first table, which
costs 0.03 s of CPU time each; of the causes a quarter as many samples are drawn of each weather.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor

from tests.sim.laws import blame_tables, nulls, tables

PARTS: Mapping[str, Callable[[tables.Plan], Iterator[str]]] = {
    "healthy": tables.healthy,
    "several": tables.several,
    "power": tables.power,
    "words": tables.words,
    "constants": tables.constants,
    "pages": tables.pages,
    "causes": blame_tables.causes,
    "causes-constants": blame_tables.constants,
}


def main() -> None:
    """Prints the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default="1", help="any word; another one is another sample")
    parser.add_argument("--rollouts", type=int, default=4000, help="healthy rollouts of each row")
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS), help="tables to print")
    parser.add_argument(
        "--rows",
        nargs="+",
        default=[],
        metavar="WORD",
        help='rows of healthy canaries, such as "outages of both 5 99.9%%"',
    )
    parser.add_argument("--processes", type=int, default=2, help="default: %(default)s")
    options = parser.parse_args()
    if not any(word in nulls.name(*case) for word in options.rows or [""] for case in nulls.CASES):
        parser.error(f"--rows: no row's name holds any of {options.rows}; one is {nulls.name(*nulls.CASES[0])!r}")
    print(f"seed {options.seed}, {options.rollouts} rollouts per row\n")
    with ProcessPoolExecutor(options.processes) as pool:
        for name in options.part:
            started = time.monotonic()
            for line in PARTS[name](tables.Plan(options.seed, options.rollouts, pool, options.rows)):
                print(line, flush=True)
            print(f"\n({time.monotonic() - started:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()
