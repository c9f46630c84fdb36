"""`opsloop backtest -f release.yaml --since 30d`: what would have paged, and which deploys would have been stopped. Writes nothing.

Exit codes: 0 it was found out, 2 it could not be: an SLI that cannot be read, a Prometheus that does not answer, a budget that is
spent.
"""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from opsloop.api.meta import ObjectModel, format_duration, parse_time
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.core.backtest.chart import draw
from opsloop.core.gate.report import USAGE
from opsloop.entry.cli import backtest_table, lint, source_options
from opsloop.entry.cli.checks import Document
from opsloop.entry.cli.gate import count
from opsloop.entry.cli.options import Commands, output, reader
from opsloop.entry.cli.out import complain, say_rendered
from opsloop.errors import Invalid
from opsloop.shell.backtest.ahead import Bounds, Stopped
from opsloop.shell.backtest.run import Asking, backtest
from opsloop.shell.evidence.sources import Cluster

M = TypeVar("M", bound=ObjectModel)
FORMS = ("table", "json", "svg")
SHIPPED = {
    "metadata": {"name": "bad-release"},
    "spec": {
        "match": {"causes": ["bad_release"]},
        "steps": [{"type": "rollback"}, {"type": "escalate"}],
        "serviceAccountName": "runbook",
    },
}
"""The Runbook of docs/examples, where the files have none: without one opsloop rolls nothing back."""
FINE = timedelta(days=2)  # a history up to this long is read at each scrape
COARSE = timedelta(minutes=1)  # a longer one in such steps


def add_to(commands: Commands) -> None:
    """Adds the command."""
    what = "ask Prometheus' history what an SLO would have paged for, and which deploys it would have stopped; before anything is installed"
    command = reader(commands.add_parser("backtest", help=what, description=what))
    add = command.add_argument
    add(
        "-f",
        "--file",
        action="append",
        required=True,
        metavar="FILE",
        help="YAML with the Release (and Runbooks); - is stdin",
    )
    add("--release", default="", metavar="NAME", help="which Release, where the files have several")
    add(
        "--since",
        type=source_options.duration,
        default=timedelta(days=30),
        metavar="TIME",
        help="how far back; default: 30d",
    )
    add(
        "--until",
        type=_time,
        default=None,
        metavar="TIME",
        help="end of the history, for example 2026-11-28T00:00:00Z; default: now",
    )
    add(
        "--objective",
        type=_objectives,
        default=(),
        metavar="N,N,…",
        help="objectives to compare, for example 0.99,0.995,0.999; default: the Release's",
    )
    steps = f"time between two looks; default: the scrape interval up to {format_duration(FINE)}, else {format_duration(COARSE)}"
    add("--step", type=source_options.duration, default=None, metavar="TIME", help=steps)
    add("--max-queries", type=count, default=2000, metavar="N", help="at most so many queries; default: %(default)s")
    add("--max-samples", type=count, default=10_000_000, metavar="N",
        help="samples that one query may load, about; Prometheus refuses 50 million; default: %(default)s")  # fmt: skip
    add(
        "--timeout",
        type=source_options.duration,
        default=timedelta(minutes=2),
        metavar="TIME",
        help="of one query; default: 2m",
    )
    add("--svg", default="", metavar="FILE", help="also write the chart there")
    output(command, FORMS)
    source_options.add_to(command)
    command.set_defaults(run=run, local=lambda arguments: not source_options.through_api_server(arguments))


def _time(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write for example 2026-11-28T00:00:00Z") from error


def _objectives(text: str) -> tuple[float, ...]:
    found = []
    for part in text.split(","):
        try:
            value = float(part)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r} is no number; write for example 0.99,0.999") from None
        if not 0 < value < 1:
            raise argparse.ArgumentTypeError(
                f"{part.strip()}: an objective is a fraction between 0 and 1, for example 0.999 for 99.9 %"
            )
        found.append(value)
    return tuple(dict.fromkeys(found))


async def run(arguments: argparse.Namespace, cluster: Cluster | None) -> int:
    """Reads the history and prints what was found; progress is on stderr. Raises Invalid."""
    release, books, told = _written(arguments)
    spec = release.spec.slo
    if spec is None:
        raise Invalid(
            f"Release {release.metadata.name}: spec.slo is missing, so there is nothing to ask the history for"
        )
    async with source_options.opened(arguments, spec.source, cluster) as source:
        assert source.resolution is not None and source.delay is not None
        step = arguments.step or (source.resolution if arguments.since <= FINE else max(COARSE, source.resolution))
        if arguments.since < step:
            raise Invalid(
                f"--since {format_duration(arguments.since)} is shorter than a step of {format_duration(step)}"
            )
        until = _aligned(arguments.until or datetime.now(UTC), step)
        asking = Asking(
            release, arguments.objective, until - arguments.since // step * step, until, step, source.resolution,
            source.delay, books, told,
        )  # fmt: skip
        bounds = Bounds(arguments.max_queries, arguments.max_samples, arguments.timeout.total_seconds())
        try:
            result = await backtest(source.telemetry, asking, bounds, complain)
        except Stopped as stopped:
            complain(str(stopped))
            return USAGE
    if arguments.svg:
        _store(arguments.svg, draw(result))
    shown = {
        "table": lambda: "\n".join(backtest_table.table(result)),
        "json": lambda: backtest_table.as_json(result),
        "svg": lambda: draw(result),
    }
    say_rendered(shown[arguments.output]())
    return 0


def _store(path: str, text: str) -> None:
    try:
        Path(path).write_text(text)
    except OSError as error:
        raise Invalid(f"--svg {path}: {error.strerror or error}") from None


def _aligned(at: datetime, step: timedelta) -> datetime:
    """The last whole step before a time, so that two runs within it ask the same."""
    seconds = step.total_seconds()
    return datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)


def _written(arguments: argparse.Namespace) -> tuple[Release, tuple[Runbook, ...], str]:
    """The Release of the files, their Runbooks (or the shipped one), and what to call these."""
    documents, faults = lint.read(arguments.file)
    if faults:
        raise Invalid(f"{faults[0].place}: {faults[0].text}")
    releases = [d for d in documents if d.kind == "Release"]
    wanted = [d for d in releases if arguments.release in ("", str((d.body.get("metadata") or {}).get("name", "")))]
    if len(wanted) != 1:
        names = ", ".join(str((d.body.get("metadata") or {}).get("name", "?")) for d in releases) or "none"
        raise Invalid(f"{', '.join(arguments.file)}: which Release? there: {names}; give --release NAME")
    books = tuple(_model(Runbook, d) for d in documents if d.kind == "Runbook")
    found = _model(Release, wanted[0])
    meta = found.metadata.model_copy(update={"namespace": found.metadata.namespace or arguments.namespace})
    told = f"Runbook {', '.join(b.metadata.name for b in books)}" if books else "as the Runbook of docs/examples would"
    return found.model_copy(update={"metadata": meta}), books or (Runbook.model_validate(SHIPPED),), told


def _model(model: type[M], document: Document) -> M:
    try:
        return model.model_validate(document.body)
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid(f"{document.place}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
