"""`opsloop doctor NS/REL`: is everything there that this Release needs, before it needs it? Changes nothing.

Exit codes: 0 no problem (notes, and what could not be looked at, are none), 1 a problem, 2 wrong usage or no answer.
"""

import argparse
import json
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from opsloop.api.release import Release
from opsloop.core.doctor.row import Row
from opsloop.entry.cli import completion, source_options
from opsloop.entry.cli.acts import PREFIXES
from opsloop.entry.cli.found import bare, found
from opsloop.entry.cli.options import Commands, command, output
from opsloop.entry.cli.out import say, say_rendered
from opsloop.entry.cli.status import width
from opsloop.shell.doctor import examine
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import RELEASES

PROBLEMS = 1  # exit code
MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM", "unknown": "?"}


def add_to(commands: Commands) -> None:
    """Adds the command."""
    what = "look at everything that a Release needs: SLI, rights, budgets, autoscaler, quota, traffic for a canary, who deploys"
    made = command(commands, "doctor", doctor, what, " Exit code 1: there is a problem.")
    completion.releases(made.add_argument("release", metavar="[NS/]REL", help="Release"))
    output(made, ("table", "json"))
    source_options.add_to(made)


async def doctor(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Prints a row for each finding; 1 where one is a problem."""
    namespace, name = _named(arguments)
    arguments.namespace = namespace
    release = Release.model_validate(await found(cluster, RELEASES, namespace, name))
    spec, now = release.spec.slo, datetime.now(UTC)
    if spec is not None and (arguments.prometheus or arguments.sources):
        async with source_options.opened(arguments, spec.source, cluster) as source:
            rows = await examine(cluster, release, source, now)
    else:
        rows = await examine(cluster, release, None, now)
    problems = sum(row.verdict == "problem" for row in rows)
    if arguments.output == "json":
        say_rendered(_json(release, rows, problems))
    else:
        for text in _table(rows):
            say(text)
        unseen = sum(row.verdict == "unknown" for row in rows)
        say(
            f"{name} in {namespace}: {f'{problems} to mend' if problems else 'nothing to mend'}{f', {unseen} not looked at' if unseen else ''}"
        )
    return PROBLEMS if problems else 0


def _named(arguments: argparse.Namespace) -> tuple[str, str]:
    """(namespace, name): `NS/REL`, or as in the other commands `REL` and `rel/REL` with -n."""
    first, slash, rest = arguments.release.partition("/")
    if slash and first.lower() not in PREFIXES:
        return first, rest
    return arguments.namespace, bare(arguments.release, PREFIXES)


def _table(rows: Sequence[Row]) -> Iterator[str]:
    names, marks = max(len(row.name) for row in rows), max(map(len, MARKS.values()))
    behind = " " * (names + marks + 4)
    for row in rows:
        room = max(40, width() - len(behind))
        first, *more = textwrap.wrap(row.text, room, break_long_words=False, break_on_hyphens=False) or [""]
        yield f"{MARKS[row.verdict]:<{marks}}  {row.name:<{names}}  {first}"
        for line in more:
            yield behind + line
        if row.mend:
            for line in textwrap.wrap(f"→ {row.mend}", room, break_long_words=False, break_on_hyphens=False):
                yield behind + line


def _json(release: Release, rows: Sequence[Row], problems: int) -> str:
    found_ = [{"name": row.name, "verdict": row.verdict, "text": row.text, "mend": row.mend or None} for row in rows]
    meta = release.metadata
    return json.dumps(
        {"release": meta.name, "namespace": meta.namespace, "problems": problems, "rows": found_}, indent=2
    )
