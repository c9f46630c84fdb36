"""Commands of `opsloop` and their arguments.

Exit codes: 0 success (gate: passed), 1 it failed (gate, lint; a retry that was refused), 2 wrong usage or an error that needs a
person, 3 gate inconclusive; `rollout wait` has more (`rollout.EXIT_CODES`).
"""

import argparse
import asyncio
import os
import sys
import tomllib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import metadata
from pathlib import Path

import argcomplete
from pydantic import ValidationError

from opsloop.adapters.kube import Kube, context_namespace
from opsloop.core.gate.report import USAGE
from opsloop.entry.cli import capture as cli_capture
from opsloop.entry.cli import completion, releases
from opsloop.entry.cli import console as cli_console
from opsloop.entry.cli import correlate as cli_correlate
from opsloop.entry.cli import drill as cli_drill
from opsloop.entry.cli import gate as cli_gate
from opsloop.entry.cli import notify as cli_notify
from opsloop.entry.cli import people as cli_people
from opsloop.entry.cli import postmortems as cli_postmortems
from opsloop.entry.cli import report as cli_report
from opsloop.entry.cli import selftest as cli_selftest
from opsloop.entry.cli import show as cli_show
from opsloop.entry.cli import slo as cli_slo
from opsloop.entry.cli import stop as cli_stop
from opsloop.entry.cli import tickets as cli_tickets
from opsloop.entry.cli import unguard as cli_unguard
from opsloop.entry.cli.options import Commands, Parser, reader
from opsloop.entry.cli.out import complain, say
from opsloop.errors import OpsloopError
from opsloop.names import CLI_MANAGER
from opsloop.shell.evidence.sources import Cluster

Connect = Callable[[str | None, str | None], AbstractAsyncContextManager[Cluster]]
Of = Callable[[str | None, str | None], str]  # kubeconfig and context → namespace
SOURCE_TREE = Path(__file__).resolve().parents[4]


@asynccontextmanager
async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
    """Connects to the API server that kubectl would use, in a pod without a kubeconfig to its own; closes it on exit."""
    configured = kubeconfig or context or os.environ.get("KUBECONFIG") or (Path.home() / ".kube" / "config").is_file()
    if not configured and "KUBERNETES_SERVICE_HOST" in os.environ:
        kube = Kube.in_cluster()
    else:
        kube = await Kube.connect(kubeconfig, context, manager=CLI_MANAGER)
    try:
        yield kube
    finally:
        await kube.close()


def main(argv: Sequence[str] | None = None, connect: Connect = connect, namespace: Of = context_namespace) -> int:
    """Runs one command and returns its exit code; errors are one line on stderr."""
    commands = parser()
    if "_ARGCOMPLETE" in os.environ:
        argcomplete.autocomplete(commands, always_complete_options="long")  # prints, and ends the process
    arguments = commands.parse_args(argv)
    try:
        if arguments.command == "slo" and arguments.local(arguments):
            return int(arguments.local_run(arguments))
        offline = getattr(arguments, "offline", False) or (
            arguments.command == "backtest" and arguments.local(arguments)
        )
        if getattr(arguments, "namespace", "") is None:
            arguments.namespace = "default" if offline else namespace(arguments.kubeconfig, arguments.context)
        if arguments.command == "operator":
            return _operator()
        if arguments.command == "correlate":
            return cli_correlate.correlate(arguments)
        if arguments.command == "notify":
            return cli_notify.notify(arguments)
        if arguments.command == "simulate":
            return _simulate(arguments)
        if arguments.command == "completion":
            return completion.script(arguments)
        if offline:
            code: int = asyncio.run(arguments.run(arguments, None))
            return code
        return asyncio.run(_run(arguments, connect))
    except OpsloopError as error:
        complain(str(error))
        return USAGE
    except ValidationError as error:
        complain(f"stored object does not match its schema: {error}")
        return USAGE
    except BrokenPipeError:  # stdout is a pipe whose reader ended
        sys.stderr.close()
        return USAGE
    except KeyboardInterrupt:
        return 130


async def _run(arguments: argparse.Namespace, connect: Connect) -> int:
    async with connect(arguments.kubeconfig, arguments.context) as cluster:
        code: int = await arguments.run(arguments, cluster)
        return code


def _operator() -> int:
    """Runs the operator until it is stopped."""
    from opsloop.entry.main import run  # imported here, so that the other commands do not load kopf

    run()
    return 0


def _simulate(arguments: argparse.Namespace) -> int:
    """Tells one story of the simulator, line by line."""
    from opsloop.simulator.stage import simulate  # imported here: nothing else of production needs the simulator

    return simulate(arguments.story, arguments.seed, say)


def version(root: Path = SOURCE_TREE) -> str:
    """Returns the version of the installed package; without one, the version that pyproject.toml in `root` declares."""
    try:
        return metadata.version("opsloop")
    except metadata.PackageNotFoundError:
        project = root / "pyproject.toml"
        declared = tomllib.loads(project.read_text())["project"]["version"] if project.is_file() else "unknown"
        return f"{declared} (source tree)"


def program() -> str:
    """How the command was called: `kubectl opsloop` where kubectl called it as its plugin."""
    return "kubectl opsloop" if Path(sys.argv[0]).name == "kubectl-opsloop" else "opsloop"


def parser() -> argparse.ArgumentParser:
    """Builds the parser of all commands."""
    top = Parser(prog=program(), description="Operate, inspect and verify opsloop.")
    top.add_argument("--version", action="version", version=f"opsloop {version()}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    cli_gate.add_to(commands)
    cli_drill.add_to(commands)
    postmortem = reader(commands.add_parser("postmortem", help="print an Incident's postmortem (Markdown or HTML)"))
    postmortem.add_argument("incident", metavar="INCIDENT")
    add = postmortem.add_argument
    add("-o", "--output", choices=cli_postmortems.FORMS, default="md", help="default: %(default)s")
    add(
        "--template",
        metavar="FILE",
        help="Jinja2 template; default: the namespace's ConfigMap opsloop-postmortem, if any",
    )
    postmortem.set_defaults(run=cli_postmortems.postmortem)
    cli_report.add(commands)
    timeline = reader(commands.add_parser("timeline", help="print an Incident's timeline"))
    timeline.add_argument("incident", metavar="INCIDENT")
    timeline.set_defaults(run=cli_show.timeline)
    _tickets(commands)
    _people(commands)
    cli_capture.add_to(commands)
    _correlate(commands)
    telling = "test the receivers of notifications, and say who hears of what; run it in the operator's pod"
    cli_notify.add_to(commands.add_parser("notify", help=telling, description=telling))
    asks = "whether an install answers, asked from inside of the cluster; helm test runs it"
    cli_selftest.add_to(commands.add_parser("selftest", help=asks, description=asks))
    releases.add(commands)
    cli_console.add_to(commands)
    cli_slo.add_to(commands)
    halt = "stop opsloop in a namespace, or in its own for all: it only watches, tells and lowers"
    stop = reader(commands.add_parser("stop", help=halt, description=halt))
    stop.add_argument("reason", metavar="REASON", help="why, and by whom; it is shown wherever opsloop says so")
    stop.set_defaults(run=cli_stop.stop)
    _unguard(commands)
    simulate = "watch one shift in fake time, without a cluster: a shop, its users, a bad version, and opsloop"
    simulated = commands.add_parser("simulate", help=simulate, description=simulate)
    simulated.add_argument(
        "--story",
        default="bad-push",
        metavar="NAME",
        help="for example bad-release, good-release, outage, dependency, pods-dead; default: %(default)s",
    )
    simulated.add_argument(
        "--seed", type=int, default=5, metavar="N", help="another course of it; default: %(default)s"
    )
    shells = 'print the completion script of a shell: eval "$(opsloop completion bash)"'
    completed = commands.add_parser("completion", help=shells, description=shells)
    completed.add_argument("shell", choices=completion.SHELLS, metavar="SHELL", help="bash, zsh or fish")
    run = "run the operator; every setting is an environment variable OPSLOOP_*, none is a flag"
    commands.add_parser("operator", help=run, description=run)
    return top


def _tickets(commands: Commands) -> None:
    """The list, and what changes it."""
    top = reader(commands.add_parser("tickets", help="list linked tickets and the queue; correct them"))
    top.set_defaults(run=cli_tickets.listing)
    below = top.add_subparsers(dest="correction", metavar="CORRECTION")

    def add(name: str, help_: str, run: object, *positional: tuple[str, str]) -> argparse.ArgumentParser:
        command = reader(below.add_parser(name, help=help_, description=help_), below=True)
        for dest, metavar in positional:
            command.add_argument(dest, metavar=metavar)
        command.set_defaults(run=run)
        return command

    ticket = ("ticket", "ID")
    add("link", "a ticket belongs to this Incident", cli_tickets.link, ticket, ("incident", "INCIDENT"))
    add(
        "unlink",
        "a ticket belongs to no Incident: into the queue, and opsloop links it no more",
        cli_tickets.unlink,
        ticket,
    )
    for what, metavar in (("route", "ROUTE"), ("category", "CATEGORY"), ("severity", "SEVERITY")):
        command = add(what, f"a ticket's {what} is another one", cli_tickets.change, ticket)
        command.add_argument("--to", required=True, metavar=metavar)
        command.set_defaults(what=what)
    add("learnt", "what corrections taught, as counts", cli_tickets.learnt)
    forgotten = "take back what was learnt: a word of a service, or a category for a category"
    add("forget", forgotten, cli_tickets.forget, ("first", "SERVICE|CATEGORY"), ("second", "WORD|CATEGORY"))


def _people(commands: Commands) -> None:
    """Commands that write what people say about an Incident."""
    ack = reader(commands.add_parser("ack", help="acknowledge an Incident: you have it, the pager stops calling"))
    assign = reader(commands.add_parser("assign", help="say who works on an Incident"))
    note = reader(commands.add_parser("note", help="add a note to an Incident, for its timeline and postmortem"))
    waive = reader(
        commands.add_parser("waive", help="say why no EvalCase can guard against an Incident's fault; it is no pass")
    )
    runs = ((ack, cli_people.ack), (assign, cli_people.assign), (note, cli_people.note), (waive, cli_people.waive))
    for command, run in runs:
        command.add_argument("incident", metavar="INCIDENT")
        command.set_defaults(run=run)
    assign.add_argument("who", nargs="?", default="", metavar="WHO", help="person or team; default: you")
    assign.add_argument("--nobody", action="store_true", help="take the assignment away")
    note.add_argument("text", metavar="TEXT")
    waive.add_argument("why", metavar="WHY", help="why no case is possible, and what guards instead")
    where = "section of the postmortem, for example lucky, or a title of its own; default: notes"
    note.add_argument("--section", default="", metavar="SECTION", help=where)
    note.add_argument("--author", default="", metavar="WHO", help="role or team that writes it; default: you")


def _unguard(commands: Commands) -> None:
    """For an end of opsloop: while it runs, spec.guard of the Release is the switch."""
    what = (
        "unpause Deployments that opsloop keeps paused, with what runs on them, and put HTTPRoutes of rollouts back as they were"
        " found; for an uninstall without Helm"
    )
    command = commands.add_parser("unguard", help=what, description=what)
    add = command.add_argument
    add("-n", "--namespace", action="append", default=[], metavar="NS", help="default: all; may be repeated")
    add(
        "--force",
        action="store_true",
        help="also those that a Release still guards or moves: an operator would do it again",
    )
    add(
        "--canaries",
        action="store_true",
        help="also take canaries out of traffic and delete them: nobody would watch them",
    )
    add("--quiet", type=float, default=0.0, metavar="SECONDS", help="look again until nothing was found for so long")
    add("--kubeconfig", metavar="FILE", help="kubeconfig; default: the one that kubectl would use")
    add("--context", metavar="NAME", help="context of the kubeconfig")
    command.set_defaults(run=cli_unguard.unguard)


def _correlate(commands: Commands) -> None:
    what = "replay recorded alert storms offline: which alerts belong together, what is at fault, and why"
    command = commands.add_parser("correlate", help=what, description=what)
    add = command.add_argument
    add("--topology", metavar="FILE", help='JSON {"services": {NAME: {"namespace": NS, "dependsOn": [NAME]}}}')
    add(
        "--arrivals",
        metavar="FILE",
        help="JSON {STORM: [TIME]}: when each body arrived; default: in the order of lines",
    )
    add("--tickets", metavar="FILE", help="users' tickets, one JSON object per line; each is judged and linked")
    add("--output", choices=("table", "json"), default="table", help="default: %(default)s")
    add("storms", nargs="+", metavar="STORM.jsonl", help="one Alertmanager webhook body per line, in order of arrival")
