"""Parts of the command line that every command shares: a parser that says what may be meant, and how the API server is reached."""

import argparse
import difflib
import re
import sys
from typing import Any, NoReturn

from opsloop.api.meta import parse_duration

Commands = Any  # argparse's own type of a group of commands is private


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors name what may be meant, and where help is."""

    def error(self, message: str) -> NoReturn:
        """Prints the mistake, what may be meant, and the command that helps; ends with exit code 2."""
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if wrong:
            choices = re.findall(r"[\w.-]+", wrong.group(2))
            near = difflib.get_close_matches(wrong.group(1), choices, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there: {', '.join(choices)}"
            message = f"{wrong.group(1)!r} is no such command or value; {hint} (invalid choice)"
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {message}\nhelp: {self.prog} --help\n")


def seconds(text: str) -> float:
    """Seconds of a duration such as 90s or 1h30m, or of a plain number. Raises ArgumentTypeError."""
    try:
        return float(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else parse_duration(text).total_seconds()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def reader(command: argparse.ArgumentParser, below: bool = False) -> argparse.ArgumentParser:
    """Adds the options of a command that talks to the API server. `below`: of one whose parent has them too, so that they
    may stand before or after its name."""
    default = argparse.SUPPRESS if below else None

    def add(*flags: str, metavar: str, help: str) -> None:
        command.add_argument(*flags, default=default, metavar=metavar, help=help)

    add("-n", "--namespace", metavar="NS", help="namespace; default: the one of the kubeconfig's context")
    add("--kubeconfig", metavar="FILE", help="kubeconfig; default: the one that kubectl would use")
    add("--context", metavar="NAME", help="context of the kubeconfig; default: the current one")
    return command


def command(commands: Commands, name: str, run: Any, help: str, more: str = "") -> argparse.ArgumentParser:
    """A command that talks to the API server."""
    made = reader(commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.{more}"))
    made.set_defaults(run=run)
    return made


def output(made: argparse.ArgumentParser, forms: tuple[str, ...]) -> None:
    """The option -o."""
    made.add_argument("-o", "--output", choices=forms, default=forms[0], help="default: %(default)s")


def patience(made: argparse.ArgumentParser, default: float, what: str) -> None:
    """The option --timeout, in seconds or as a duration."""
    made.add_argument(
        "--timeout", type=seconds, default=default, metavar="TIME", help=f"{what}; default: %(default)g s"
    )
