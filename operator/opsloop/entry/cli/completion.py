"""Completion: scripts for bash, zsh and fish by argcomplete, and `kubectl_complete-opsloop`, which kubectl asks.

Names are asked of the cluster that the words before them name, within SOON; without an answer there are none.
"""

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from argcomplete import io as argcomplete_io
from argcomplete.finders import CompletionFinder
from argcomplete.shell_integration import shellcode

from opsloop.adapters.kube import Kube, context_namespace
from opsloop.api.kinds import RELEASE, Kind
from opsloop.api.meta import API_VERSION
from opsloop.entry.cli.listing import kind_of
from opsloop.entry.cli.out import say_rendered
from opsloop.errors import OpsloopError
from opsloop.shell.ports import Resource

SHELLS = ("bash", "zsh", "fish")
SOON = 3.0  # seconds: a shell waits for no cluster
NO_FILES = 4  # cobra's ShellCompDirectiveNoFileComp, which kubectl reads in the last line
SEPARATOR = "\013"


def script(arguments: argparse.Namespace) -> int:
    """Prints the script of a shell, for opsloop; kubectl completes `kubectl opsloop` by kubectl_complete-opsloop."""
    say_rendered(shellcode(["opsloop"], shell=arguments.shell))
    return 0


def words(action: argparse.Action, choices: Sequence[str]) -> None:
    """Completes an argument with these words."""
    action.completer = lambda **_: choices  # type: ignore[attr-defined]


def releases(action: argparse.Action) -> None:
    """Completes an argument with the names of Releases."""
    action.completer = lambda parsed_args, **_: _names(RELEASE, parsed_args)  # type: ignore[attr-defined]


def named(action: argparse.Action) -> None:
    """Completes an argument with the names of objects of the kind that stands before it."""

    def names(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
        try:
            return _names(kind_of(parsed_args.kind), parsed_args)
        except OpsloopError:
            return []

    action.completer = names  # type: ignore[attr-defined]


def _names(kind: Kind, arguments: argparse.Namespace) -> list[str]:
    try:
        return asyncio.run(asyncio.wait_for(_listed(kind, arguments), SOON))
    except (OpsloopError, TimeoutError, OSError):
        return []


async def _listed(kind: Kind, arguments: argparse.Namespace) -> list[str]:
    kubeconfig, context = getattr(arguments, "kubeconfig", None), getattr(arguments, "context", None)
    namespace = getattr(arguments, "namespace", None) or context_namespace(kubeconfig, context)
    kube = await Kube.connect(kubeconfig, context, timeout=SOON)
    try:
        items = await kube.list(Resource(API_VERSION, kind.name, kind.plural), namespace)
    finally:
        await kube.close()
    return sorted(item["metadata"]["name"] for item in items)


def complete(parser: argparse.ArgumentParser, words_: Sequence[str]) -> list[str]:
    """What may stand in place of the last word, which may be empty, after the others."""
    found = io.StringIO()
    text = " ".join(["opsloop", *words_])
    variables = {"_ARGCOMPLETE": "1", "COMP_LINE": text, "COMP_POINT": str(len(text.encode())), "_ARGCOMPLETE_IFS": SEPARATOR, "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}  # fmt: skip
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        _Finder()(parser, exit_method=_Done.leave, output_stream=found, always_complete_options="long")
    except _Done:
        pass
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
    return [word.strip() for word in found.getvalue().split(SEPARATOR) if word.strip()]


class _Finder(CompletionFinder):
    """A CompletionFinder that leaves file descriptor 9 alone, to which argcomplete would write its debugging."""

    def _init_debug_stream(self) -> None:
        argcomplete_io.debug_stream = sys.stderr


class _Done(Exception):
    """Ends argcomplete, which would end the process."""

    @staticmethod
    def leave(code: int = 0) -> None:
        """In place of os._exit."""
        raise _Done


def kubectl() -> int:
    """`kubectl_complete-opsloop WORD…`: one completion a line, then the directive."""
    from opsloop.entry.cli.commands import parser

    for word in complete(parser(), sys.argv[1:]):
        say_rendered(word)
    say_rendered(f":{NO_FILES}")
    return 0
