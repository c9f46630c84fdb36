"""`python -m tests.poison`: 12,000 wrong bodies and 2,000 wrong objects; exit 1 where one of them harms another sender."""

import argparse
import asyncio
import logging
import sys

from tests.poison.run import bodies, objects


def main() -> int:
    """Runs both and prints a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.poison")
    parser.add_argument("--bodies", type=int, default=12_000, metavar="N")
    parser.add_argument("--objects", type=int, default=2_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    wrong: list[str] = []
    for name, run, count in (("bodies", bodies, arguments.bodies), ("objects", objects, arguments.objects)):
        outcome = asyncio.run(run(count, arguments.seed))
        print(f"{name}: {outcome}", flush=True)
        wrong += outcome.wrong
    for line in wrong[:20]:
        print(f"  {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
