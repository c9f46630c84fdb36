"""`python -m e2e.stories`: all stories side by side; prints the seconds of each, ends with exit 1 if one failed.

`--only NAME…` runs some. `--soak` runs more seeds, and the contract suites last as always.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from e2e.api import Api
from e2e.drill.progress import StageFailed
from e2e.stories import contracts, shifts

Story = Callable[[Api, str, int], None]
STORIES: dict[str, tuple[Story, int]] = {
    "shift-1": (shifts.whole_shift, 1),
    "killed-2": (shifts.killed_shift, 2),
    "norunbook-3": (shifts.no_runbook, 3),
    "idle-4": (shifts.idle_forgery, 4),
    "contracts-5": (contracts.real_world, 5),
}
SOAK: dict[str, tuple[Story, int]] = {
    f"{kind}-{seed}": (story, seed)
    for seed in range(5, 10)
    for kind, story in (("shift", shifts.whole_shift), ("killed", shifts.killed_shift))
}
AT_ONCE = 2  # on two cores; a third shift makes all of them late


def main() -> int:
    """0 when all passed."""
    parser = argparse.ArgumentParser(prog="python -m e2e.stories", description=__doc__)
    parser.add_argument("--soak", action="store_true", help="the longer list")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help=f"of {', '.join(STORIES)}")
    chosen = parser.parse_args()
    wanted = STORIES | (SOAK if chosen.soak else {})
    if unknown := set(chosen.only) - set(wanted):
        parser.error(f"no such story: {', '.join(sorted(unknown))}; there are {', '.join(wanted)}")
    names = chosen.only or list(wanted)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda name: (name, *_run(name, *wanted[name])), names))
    print("\nstory           seconds   result")
    for name, spent, failure in results:
        print(f"{name:<14} {spent:8.1f}   {'passed' if not failure else 'FAILED: ' + failure.splitlines()[0]}")
    failed = sum(1 for _, _, failure in results if failure)
    print(f"\n{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _run(name: str, story: Story, seed: int) -> tuple[float, str]:
    started = time.monotonic()
    failure = ""
    try:
        with Api() as api:
            story(api, name, seed)
    except StageFailed as error:
        failure = str(error)
        print(f"{name:<12} FAILED after {shifts.seconds(started)}: {failure}", flush=True)
    except Exception:
        failure = traceback.format_exc()
        print(f"{name:<12} FAILED after {shifts.seconds(started)}:\n{failure}", flush=True)
        failure = failure.strip().splitlines()[-1]
    if failure:
        shifts.quieten(name)
    return time.monotonic() - started, failure


if __name__ == "__main__":
    sys.exit(main())
