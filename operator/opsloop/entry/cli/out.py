"""What the commands print. Stored objects hold what senders wrote, so that nothing of it may act on the terminal."""

import sys

from opsloop.core.text import line, prose


def say(text: str) -> None:
    """Prints one line."""
    print(line(text), flush=True)  # noqa: T201 - the only door


def say_prose(text: str) -> None:
    """Prints several lines."""
    print(prose(text), flush=True)  # noqa: T201


def say_rendered(text: str) -> None:
    """Prints what its maker has cleaned field by field, since it colours it, or escaped, as JSON is."""
    print(text, flush=True)  # noqa: T201


def ask(text: str) -> str:
    """Asks on the terminal; what was typed, without blanks around it. "" at its end."""
    try:
        return input(line(text)).strip()
    except EOFError:
        return ""


def complain(text: str) -> None:
    """Prints one line on stderr, however many the text has."""
    print(f"opsloop: {line(' '.join(text.split()))}", file=sys.stderr)  # noqa: T201
