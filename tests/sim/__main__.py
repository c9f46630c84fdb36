"""`python -m tests.sim`: the table of figures over many weathers (`make sim`); `--seed N` replays one and tells its story.

Exit code 0: every goal that had a trial is met, nothing of the operator broke, and (with `--toys`) each toy fails a row that
the perfect judge meets. Else 1, with the list at the end.
"""

import argparse
import sys
import time

from opsloop.simulator import kinds
from opsloop.simulator.campaign import Lived, Task, campaign, costs, failing, number, rows, story, text
from opsloop.simulator.episode import live_through
from opsloop.simulator.figures import measure
from opsloop.simulator.judges import JUDGES, Perfect
from tests.sim import toys

TOY_EPISODES = 30


def main() -> int:
    """Prints the table; 1 where a goal is not met, a part of the operator failed, or a toy fails no row."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.sim", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seed", type=int, help="replay one weather and tell its story")
    add("--kind", default="", choices=["", *kinds.KINDS], help="weathers of one kind only")
    add("--toy", default="", choices=["", *JUDGES], help="a judge in the place of opsloop")
    add("--episodes", type=int, default=400, help="default: %(default)s")
    add("--first", type=int, default=1, help="first seed; default: %(default)s")
    add("--processes", type=int, default=2, help="default: %(default)s")
    add(
        "--toys", action="store_true", help="the four toys as well, over 30 weathers each: fails where one fails no row"
    )
    add("--markdown", action="store_true", help="the table as Markdown, for docs/simulator.md")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _replay(arguments.seed, arguments.kind, arguments.toy)
    wrong = _table(arguments.toy or "opsloop", arguments.toy, arguments) if arguments.episodes else []
    if arguments.toys:
        wrong += _toys(arguments)
    print("\n" + "\n".join(f"FAILED: {text}" for text in wrong) if wrong else "\nevery goal that had a trial is met")
    return 1 if wrong else 0


def _toys(arguments: argparse.Namespace) -> list[str]:
    """Prints the tables of the toys; says of those that fail no row that they do."""
    blameless = []
    for toy, table, missed in toys.checked(arguments.first, TOY_EPISODES, arguments.processes):
        print(f"\ntoy: {toy} fails {', '.join(missed) or 'NO ROW'}")
        print("\n".join(text(table, arguments.markdown)))
        if not missed:
            blameless.append(f"the toy {toy!r} fails no row that the perfect judge meets: the weathers prove nothing")
    return blameless


def _replay(seed: int, kind: str, toy: str) -> int:
    weather = kinds.weather(seed, kind)
    episode = live_through(weather, JUDGES[toy] if toy else None)
    print("\n".join(story(episode)))
    perfect = live_through(weather, Perfect()) if weather.compared else None
    for sample in measure(episode, perfect):
        print(f"{'!' if sample.why else ' '} {sample.figure}: {sample.failures:g} of {sample.trials:.4g} {sample.why}")
    print("\n".join(episode.failures[:20]))
    return 1 if episode.failures else 0


def _table(name: str, toy: str, arguments: argparse.Namespace) -> list[str]:
    """Prints the table of a campaign; what of it is not as it should be."""
    first, began, lived = arguments.first, time.monotonic(), list[Lived]()
    tasks = [Task(seed, arguments.kind, toy) for seed in range(first, first + arguments.episodes)]
    for one in campaign(tasks, arguments.processes):
        lived.append(one)
        if sys.stderr.isatty():
            print(f"\r{len(lived)} of {len(tasks)}", end="", file=sys.stderr)
    cpu = sum(one.seconds for one in lived)
    print(
        f"{name}: {len(lived)} episodes in {time.monotonic() - began:.0f} s, {cpu / len(lived):.2f} s of CPU time each"
    )
    print("\n".join(costs(lived)))
    found = rows(lived)
    print("\n".join(text(found, arguments.markdown)))
    if not toy:
        print("\n".join(failing(found)))
    broken = [f"seed {one.seed} ({one.kind}): {one.failures[0]}" for one in lived if one.failures]
    if broken:
        print(f"parts of the operator failed in {len(broken)} episodes:\n  " + "\n  ".join(broken[:20]))
    missed = [f"{row.goal.text}: {number(row, row.value)}" for row in found if row.trials and not row.met]
    return [*missed, *([f"parts of the operator failed in {len(broken)} episodes"] if broken else [])]


if __name__ == "__main__":
    sys.exit(main())
