"""±30 % on every constant of the judgement: `python -m tests.sim.constants [--only NAME …]`.

Tries each constant at 0.7 and 1.3 of its value, alone, on the same samples as with its own: a part of the laws where one covers it
(`names.LAW`), else weathers that the whole operator lives through. Prints what was decided otherwise and which figures changed; a
value by which a goal is missed that is met without it is named under *not flat*. Each trial is kept as a line of --out; an
interrupted run goes on there. A part of a law costs 2 to 10 s of CPU time, an episode 4 s.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from tests.sim.constants import registry
from tests.sim.constants.trial import Effect, Outcome, Trial, effect, run, trials_of


def main() -> int:
    """Prints the table of what changed; 1 where a name is unknown."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.sim.constants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="+", default=[], help="constants whose name holds one of these words")
    add("--seeds", type=int, default=3, help="weathers for each value, where no law covers it; default: %(default)s")
    add("--parts", type=int, default=2, help="parts of a law for each value; default: %(default)s")
    add("--first", type=int, default=0, help="first weather and part, for fresh ones; default: %(default)s")
    add("--processes", type=int, default=2, help="default: %(default)s")
    add("--out", type=Path, default=Path("/tmp/opsloop-constants.jsonl"), help="trials so far; default: %(default)s")
    add("--list", action="store_true", help="the constants, their values, and where each is tried")
    add("--table", action="store_true", help="the table of the trials so far, without new ones")
    options = parser.parse_args()
    names = [n for n in registry.judged() if not options.only or any(word in n for word in options.only)]
    if not names:
        print(f"--only: no constant's name holds any of {', '.join(options.only)}; --list shows all", file=sys.stderr)
        return 1
    where = {name: trials_of(name, options.first, options.seeds, options.parts) for name in names}
    if options.list:
        for name in names:
            what = ", ".join(f"{place} {seed}" for place, seed in where[name])
            print(f"{name} = {registry.said(registry.value_of(name))}  ({what})")
        return 0
    wanted = [Trial("", 1.0, *one) for one in dict.fromkeys(one for those in where.values() for one in those)]
    wanted += [Trial(name, factor, *one) for name in names for factor in registry.FACTORS for one in where[name]]
    known = dict(_kept(options.out)) if options.out.exists() else {}
    if not options.table:
        known = _tried(wanted, known, options.out, options.processes)
    print("\n".join(_table(names, {trial: known[trial] for trial in wanted if trial in known})))
    return 0


def _tried(wanted: Sequence[Trial], known: dict[Trial, Outcome], out: Path, processes: int) -> dict[Trial, Outcome]:
    todo, began = [trial for trial in wanted if trial not in known], time.monotonic()
    with out.open("a") as file:
        for number, (trial, outcome) in enumerate(_done(todo, processes), 1):
            known[trial] = outcome
            file.write(json.dumps([trial, outcome]) + "\n")
            file.flush()
            left = (time.monotonic() - began) / number * (len(todo) - number)
            print(f"\r{number} of {len(todo)}, about {left / 60:.0f} min left ", end="", file=sys.stderr)
    return known


def _done(todo: Sequence[Trial], processes: int) -> Iterator[tuple[Trial, Outcome]]:
    if processes <= 1:
        yield from map(run, todo)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        for done in as_completed([pool.submit(run, trial) for trial in todo]):
            yield done.result()


def _kept(out: Path) -> Iterator[tuple[Trial, Outcome]]:
    for line in out.read_text().splitlines():
        trial, (samples, decisions, errors) = json.loads(line)
        yield Trial(*trial), Outcome([(figure, *numbers) for figure, *numbers in samples], decisions, errors)


def _table(names: Sequence[str], outcomes: Mapping[Trial, Outcome]) -> Iterator[str]:
    effects = {(name, factor): effect(outcomes, name, factor) for name in names for factor in registry.FACTORS}
    yield "| constant | value | decided otherwise | failures of figures |"
    yield "|---|---|---|---|"
    for (name, factor), one in effects.items():
        what = registry.said(registry.changed(registry.value_of(name), factor))
        yield f"| {name} | {what} (× {factor:g}) | {one.moved or 'not tried'} | {', '.join(one.figures) or _nothing(one)} |"
    yield ""
    missed = [f"- {name} × {factor:g}: {'; '.join(e.missed)}" for (name, factor), e in effects.items() if e.missed]
    yield f"Not flat: {len(missed)} of {sum(bool(one.moved) for one in effects.values())} values that were tried."
    yield from missed
    unseen = [n for n in names if not any(effects[n, f].changed for f in registry.FACTORS) and effects[n, 0.7].moved]
    yield f"No effect seen: {', '.join(unseen) or 'none'}."


def _nothing(one: Effect) -> str:
    return "the same" if one.changed else "no effect seen" if one.moved else ""


if __name__ == "__main__":
    sys.exit(main())
