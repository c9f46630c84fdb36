"""`python -m tests.poison`: 12,000 wrong bodies and 2,000 wrong objects, then Schemathesis on the OpenAPI document.

Exit code 1 where one of them harms another sender, or an answer is none that the document allows.
"""

import argparse
import asyncio
import logging
import sys

from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from tests.builders.correlation import NOW
from tests.poison.run import bodies, objects
from tests.poison.schema import by_schema, intake


def main() -> int:
    """Runs both and prints a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.poison")
    parser.add_argument("--bodies", type=int, default=12_000, metavar="N")
    parser.add_argument("--objects", type=int, default=2_000, metavar="N")
    parser.add_argument("--examples", type=int, default=500, metavar="N", help="of Schemathesis, for each operation")
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
    app = intake(FakeCluster(clock=FakeClock(NOW)))
    report = asyncio.run(by_schema(app, arguments.examples, arguments.seed))
    print(report.printed)
    return 1 if wrong or report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
