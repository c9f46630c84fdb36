"""±30 % on every constant of the judgement, through the whole operator: `python -m tests.sim.constants [--only NAME …]`.

Lives through the same weathers with each constant at 0.7 and 1.3 of its value, and prints which figures and decisions
changed. Each episode is kept as a line of --out; an interrupted run goes on there. An episode costs about 3 s of CPU time:
with N weathers and C constants that is 6·N·C seconds, on two processes half of it.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from tests.sim.constants import registry
from tests.sim.constants.trial import Outcome, Trial, panel, run, summary


def main() -> int:
    """Prints the table of what changed; 1 where a name is unknown."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.constants", description=__doc__)
    add = parser.add_argument
    add("--only", nargs="+", default=[], help="constants whose name holds one of these words")
    add("--seeds", type=int, default=16, help="weathers for each value; default: %(default)s")
    add("--first", type=int, default=0, help="first weather of the panel, for fresh ones; default: %(default)s")
    add("--processes", type=int, default=2, help="default: %(default)s")
    add("--out", type=Path, default=Path("/tmp/opsloop-constants.jsonl"), help="episodes so far; default: %(default)s")
    add("--list", action="store_true", help="the constants, their values, and what a whole run costs")
    options = parser.parse_args()
    names = [n for n in registry.judged() if not options.only or any(word in n for word in options.only)]
    if not names:
        print(f"--only: no constant's name holds any of {', '.join(options.only)}; --list shows all", file=sys.stderr)
        return 1
    if options.list:
        for name in names:
            print(f"{name} = {registry.value_of(name)}")
        print(
            f"{len(names)} constants: {len(names) * 2 * options.seeds} episodes beside {options.seeds} unchanged ones"
        )
        return 0
    weathers = panel(options.first, options.seeds)
    trials = [Trial("", 1.0, *one) for one in weathers]
    trials += [Trial(name, factor, *one) for name in names for factor in registry.FACTORS for one in weathers]
    outcomes = _outcomes(trials, options.out, options.processes)
    print("\n".join(_table(names, outcomes)))
    return 0


def _outcomes(trials: Sequence[Trial], out: Path, processes: int) -> dict[Trial, Outcome]:
    known = dict(_kept(out)) if out.exists() else {}
    todo, began = [trial for trial in trials if trial not in known], time.monotonic()
    with out.open("a") as file, ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        for number, done in enumerate(as_completed([pool.submit(run, trial) for trial in todo]), 1):
            trial, outcome = done.result()
            known[trial] = outcome
            file.write(json.dumps([trial, outcome]) + "\n")
            file.flush()
            left = (time.monotonic() - began) / number * (len(todo) - number)
            print(f"\r{number} of {len(todo)}, about {left / 60:.0f} min left ", end="", file=sys.stderr)
    return known


def _kept(out: Path) -> Iterator[tuple[Trial, Outcome]]:
    for line in out.read_text().splitlines():
        trial, outcome = json.loads(line)
        yield Trial(*trial), Outcome(*outcome)


def _table(names: Sequence[str], outcomes: dict[Trial, Outcome]) -> Iterator[str]:
    yield "| constant | value | episodes decided otherwise | figures: failures before → after |"
    yield "|---|---|---|---|"
    for name in names:
        for factor in registry.FACTORS:
            changed, figures = summary(outcomes, name, factor)
            what = registry.said(registry.changed(registry.value_of(name), factor))
            yield f"| {name} | {what} (× {factor:g}) | {changed} | {figures or 'the same'} |"


if __name__ == "__main__":
    sys.exit(main())
