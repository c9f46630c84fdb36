"""Laws of judgement on many samples: `python -m tests.sim.laws [--seed WORD] [--rollouts N] [--part NAME …]`.

Prints, as Markdown: healthy canaries rejected and promoted, the power against harmful ones, what the constants change,
false pages of the burn-rate tiers, and causes that are named rightly and wrongly. Runs on two processes. `--rollouts` is per
row of the first table; of the causes a quarter as many samples are drawn of each weather.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor

from tests.sim.laws import blame_tables, tables

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
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.rollouts} rollouts per row\n")
    with ProcessPoolExecutor(2) as pool:
        for name in options.part:
            started = time.monotonic()
            for line in PARTS[name](tables.Plan(options.seed, options.rollouts, pool)):
                print(line, flush=True)
            print(f"\n({time.monotonic() - started:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()
