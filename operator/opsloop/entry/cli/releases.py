"""Arguments of the commands on Releases, and of `get`, `lint` and `rollout wait`."""

import argparse
from typing import Any

from opsloop.api.kinds import ALL
from opsloop.entry.cli import acts, backtests, completion, doctor, lint, listing, rollout, status, stop
from opsloop.entry.cli.options import Commands, command, output, patience
from opsloop.shell.evidence.sources import Cluster

ANSWER = 30.0  # seconds to wait for the operator's answer to an act
ROLLOUT = 1800.0  # seconds to wait for the end of a rollout


def add(commands: Commands) -> None:
    """Adds these commands."""
    _views(commands)
    backtests.add_to(commands)
    doctor.add_to(commands)
    for name, run, help_, more in (
        ("promote", acts.promote, "send the canary to its next step now", " EvalCases, readiness and a canary that is surely worse still decide."),
        ("abort", acts.abort, "take the canary out of traffic and end it", " It is not blocked; retry starts it again."),
        ("approve", acts.approve, "approve the next step that wants an approval", ""),
        ("retry", acts.retry, "try the version of the spec again, from the dark phase", ""),
        ("undo", acts.undo, "go back from live to an earlier revision at once, without a canary", " Never to a blocked one. What is left is not blocked."),
        ("unblock", acts.unblock, "allow a revision again that was rolled back or rejected", ""),
        ("pause", acts.pause, "set spec.paused: canaries stay where they are, safety goes on", ""),
        ("restart", acts.restart, "start the pods of live anew, as kubectl rollout restart does", ""),
    ):  # fmt: skip
        made = _act(commands, name, run, help_, more)
        if name == "promote":
            made.add_argument("--full", action="store_true", help="straight to live, past all steps and approvals")
        if name == "approve":
            made.add_argument(
                "weight", nargs="?", type=int, metavar="WEIGHT", help="of the step; default: the next one"
            )
        if name == "undo":
            made.add_argument(
                "--to", default="", metavar="REVISION", help="version, number or digest; default: last-good"
            )
        if name == "unblock":
            which = "version, number or digest; default: the only one that is blocked"
            made.add_argument("revision", nargs="?", default="", metavar="REVISION", help=which)
    resumed = command(
        commands, "resume", _resume, "go on: a paused Release, or without REL every Stop of the namespace"
    )
    completion.releases(resumed.add_argument("release", nargs="?", default="", metavar="REL", help="Release that was paused"))  # fmt: skip
    patience(resumed, ANSWER, "how long to wait for the answer")
    top = commands.add_parser(
        "rollout", help="wait for the end of a rollout", description="Wait for the end of a rollout."
    )
    below = top.add_subparsers(dest="rollout", required=True, metavar="COMMAND")
    waits = command(below, "wait", rollout.wait, "wait for the end of a rollout, and exit with what happened")
    completion.releases(waits.add_argument("release", metavar="REL", help="Release"))
    waits.add_argument(
        "--version", default="", metavar="VERSION", help="version to wait for; default: that of the spec"
    )
    patience(waits, ROLLOUT, "how long to wait")


def _views(commands: Commands) -> None:
    what = "list objects of opsloop; -o wide has more columns"
    made = command(commands, "get", listing.get, what)
    kinds = made.add_argument("kind", nargs="?", default="releases", metavar="KIND", help="default: %(default)s")
    completion.words(kinds, [kind.plural for kind in ALL])
    completion.named(made.add_argument("names", nargs="*", metavar="NAME", help="of objects; default: all"))
    made.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    output(made, listing.FORMS)
    what = "show a Release as a tree: live, canary and its pods, SLI, evals, Incident, revisions, what to do next"
    made = command(commands, "status", status.status, what)
    completion.releases(made.add_argument("release", metavar="REL", help="Release"))
    made.add_argument("-w", "--watch", action="store_true", help="show it again whenever it changes, until Ctrl-C")
    made.add_argument(
        "--width", type=int, default=0, metavar="N", help="columns of text; default: those of the terminal"
    )
    output(made, ("tree", "json", "yaml"))
    what = "check manifests: fields, PromQL, references, and by a server-side dry run rules and rights"
    made = command(commands, "lint", lint.lint, what)
    made.add_argument("files", nargs="+", metavar="FILE", help="YAML or JSON, a folder of them, or - for stdin")
    made.add_argument("--offline", action="store_true", help="ask no cluster: fields, PromQL, references in the files")


def _act(commands: Commands, name: str, run: Any, help_: str, more: str) -> argparse.ArgumentParser:
    made = command(commands, name, run, help_, more)
    completion.releases(made.add_argument("release", metavar="REL", help="Release"))
    patience(made, ANSWER, "how long to wait for the answer")
    return made


async def _resume(arguments: argparse.Namespace, cluster: Cluster) -> int:
    return await (acts.go_on if arguments.release else stop.resume)(arguments, cluster)
