"""`opsloop`: the gate and the readers for people, and the way in for the operator itself.

Exit codes: 0 done (gate: passed), 1 gate failed, 2 wrong usage or an error that a person must mend, 3 gate inconclusive.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pydantic import ValidationError

from opsloop.adapters.kube import Kube
from opsloop.core.gate.report import USAGE
from opsloop.entry.cli import gate as cli_gate
from opsloop.entry.cli import show as cli_show
from opsloop.errors import OpsloopError
from opsloop.shell.evidence.sources import Cluster

Connect = Callable[[str | None, str | None], AbstractAsyncContextManager[Cluster]]


@asynccontextmanager
async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
    """The API server as kubectl would find it."""
    kube = await Kube.connect(kubeconfig, context)
    try:
        yield kube
    finally:
        await kube.close()


def main(argv: Sequence[str] | None = None, connect: Connect = connect) -> int:
    """Run one command; its exit code."""
    arguments = parser().parse_args(argv)
    try:
        if arguments.command == "operator":
            return _operator()
        return asyncio.run(_run(arguments, connect))
    except OpsloopError as error:
        print(f"opsloop: {_one_line(str(error))}", file=sys.stderr)
        return USAGE
    except ValidationError as error:
        print(f"opsloop: an object cannot be read: {_one_line(str(error))}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:  # the reader of a pipe went away
        sys.stderr.close()
        return USAGE
    except KeyboardInterrupt:
        return 130


async def _run(arguments: argparse.Namespace, connect: Connect) -> int:
    async with connect(arguments.kubeconfig, arguments.context) as cluster:
        code: int = await arguments.run(arguments, cluster)
        return code


def _operator() -> int:
    """Loaded late: reading a postmortem needs no kopf."""
    from opsloop.entry.main import run

    run()
    return 0


def _one_line(text: str) -> str:
    return " ".join(text.split())


def parser() -> argparse.ArgumentParser:
    """All commands."""
    top = argparse.ArgumentParser(prog="opsloop", description="Close the loop: read, verify and run opsloop.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _gate(commands.add_parser("gate", help="verify a shift: seven rows, each recomputed where it happened"))
    postmortem = _reader(commands.add_parser("postmortem", help="print an Incident's postmortem (Markdown)"))
    postmortem.add_argument("incident", metavar="INCIDENT")
    postmortem.set_defaults(run=cli_show.postmortem)
    timeline = _reader(commands.add_parser("timeline", help="print what happened in an Incident, in order"))
    timeline.add_argument("incident", metavar="INCIDENT")
    timeline.set_defaults(run=cli_show.timeline)
    tickets = _reader(commands.add_parser("tickets", help="list tickets: linked to an Incident, or in the queue"))
    tickets.set_defaults(run=cli_show.tickets)
    commands.add_parser("operator", help="run the operator (what the Deployment does)")
    return top


def _reader(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of every command that asks the API server."""
    command.add_argument("-n", "--namespace", required=True, metavar="NS", help="namespace of the service")
    command.add_argument("--kubeconfig", metavar="FILE", help="as kubectl finds it, if not given")
    command.add_argument("--context", metavar="NAME", help="context of the kubeconfig")
    return command


def _gate(command: argparse.ArgumentParser) -> None:
    _reader(command)
    add = command.add_argument
    add("--incident", default="", metavar="NAME", help="default: the newest of the highest severity")
    add("--prometheus", default="prometheus:9090", metavar="[NS/]SVC:PORT", help="default: %(default)s")
    add("--alertmanager", default="alertmanager:9093", metavar="[NS/]SVC:PORT", help="default: %(default)s")
    add("--pager", default="receiver:8080", metavar="[NS/]SVC:PORT", help="keeps the pages, default: %(default)s")
    add("--tickets", metavar="FILE", help="tickets that were sent (JSON list); all must be accounted for")
    add(
        "--min-alerts",
        type=cli_gate.count,
        default=10,
        metavar="N",
        help="alerts that make a storm, default: %(default)s",
    )
    add(
        "--tick",
        type=cli_gate.seconds,
        default=5.0,
        metavar="SECONDS",
        help="the operator's tick, default: %(default)s",
    )
    add("--rejected", action="append", default=[], metavar="VERSION", help="must have served nobody; may be repeated")
    add(
        "--served-metric",
        default="",
        metavar="SELECTOR",
        help="counter of requests, with {{version}}; default: the SLI's",
    )
    add("--json", action="store_true", help="for machines")
    command.set_defaults(run=cli_gate.gate)


if __name__ == "__main__":
    sys.exit(main())
