"""What a person sees of a running shift: the stage, the time, the SLI, what it waits for; plain lines off a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from e2e.harness.pace import Pace


class StageFailed(Exception):
    """A deadline passed, or the world is not as it must be; the message says what was seen."""


class Progress:
    """`prefix` tells parallel stories apart; the pace stretches every wait."""

    def __init__(self, pace: Pace, prefix: str = "", narrate: bool = False) -> None:
        self._pace = pace
        self._prefix = prefix
        self._narrate = narrate and sys.stdin.isatty()
        self._started = time.monotonic()
        self._console = Console(highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self.stages: list[tuple[str, float]] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the shift began."""
        return time.monotonic() - self._started

    def restart(self) -> None:
        """The shift begins now: what was before is preparation."""
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """One line that stays."""
        self._console.print(f"{self._prefix}[{self.elapsed:6.1f}s] {text}", markup=False)

    def stage(self, name: str, story: str) -> None:
        """A new stage; narrated, it waits for Enter."""
        self.stages.append((name, self.elapsed))
        if self._narrate:
            self._console.print(f"\n{story}", style="italic", markup=False)
            input("  press Enter to go on ")
        self.say(f"== {name}: {story}" if not self._narrate else f"== {name}")

    def wait(self, what: str, seconds: float, look: Callable[[], tuple[object, str]], every: float = 1.0) -> object:
        """Calls `look` → (value, what is seen) until the value is true; returns it.

        `seconds` are those of the reference machine. Raises StageFailed with what was seen at the deadline.
        """
        limit = self._pace.seconds(seconds)
        deadline = time.monotonic() + limit
        try:
            while True:
                value, seen = look()
                if value:
                    return value
                if time.monotonic() > deadline:
                    raise StageFailed(f"waited {limit:.0f} s for {what}; saw: {seen}")
                self._show(what, seen)
                time.sleep(every)  # between two looks at a real cluster
        finally:
            self._hide()

    def _show(self, what: str, seen: str) -> None:
        if not self._console.is_terminal:
            return
        text = Text(f"{self._prefix}[{self.elapsed:6.1f}s]    waiting for {what}: {seen}", style="dim", no_wrap=True)
        if self._live is None:
            self._live = Live(text, console=self._console, transient=True, auto_refresh=False)
            self._live.start()
        self._live.update(text, refresh=True)

    def _hide(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
