"""Steps: one line each with its time; every command's output goes to a log file of the step."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from . import paths

TAIL_LINES = 12


class StepFailed(Exception):
    """A step did not work; carries what a person needs to go on."""

    def __init__(self, what: str, log: Path | None = None, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.log = log
        self.hint = hint


def say(text: str) -> None:
    """Progress goes to stderr, so that stdout stays for what `tools` prints."""
    print(text, file=sys.stderr, flush=True)


def capture(cmd: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 60) -> str | None:
    """Output of a short question, or None when the command fails, is missing or hangs."""
    try:
        done = subprocess.run(cmd, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


class Step:
    """One named piece of work with its log file and a word on how it ended."""

    def __init__(self, name: str, hint: str) -> None:
        self.name = name
        self.hint = hint
        self.outcome = "done"
        paths.LOGS.mkdir(parents=True, exist_ok=True)
        self.log = paths.LOGS / (re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") + ".log")
        self.log.write_text("")

    def fail(self, what: str) -> StepFailed:
        """The exception to raise, with the end of the log in its text."""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return StepFailed("\n    ".join([f"{self.name}: {what}", *lines]), self.log, self.hint)

    def run(
        self,
        cmd: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: IO[bytes] | int | None = subprocess.DEVNULL,
        timeout: float | None = None,
    ) -> None:
        """Run to the end with all output in the log; raise StepFailed when it fails."""
        words = [str(word) for word in cmd]
        with self.log.open("ab") as log:
            log.write(("$ " + " ".join(words) + "\n").encode())
            log.flush()
            try:
                done = subprocess.run(
                    words, cwd=cwd, env={**os.environ, **(env or {})}, stdin=stdin, stdout=log,
                    stderr=subprocess.STDOUT, timeout=timeout,
                )  # fmt: skip
            except FileNotFoundError as error:
                raise self.fail(f"{words[0]} is not installed") from error
            except subprocess.TimeoutExpired as error:
                raise self.fail(f"{words[0]} took longer than {timeout:.0f} s") from error
        if done.returncode != 0:
            raise self.fail(f"{' '.join(words[:3])} … ended with {done.returncode}")

    def pipe(self, source: Sequence[str | Path], sink: Sequence[str | Path]) -> None:
        """`source | sink`, failing when either side fails."""
        with self.log.open("ab") as log:
            producer = subprocess.Popen([str(word) for word in source], stdout=subprocess.PIPE, stderr=log)
            assert producer.stdout is not None
            consumer = subprocess.run([str(word) for word in sink], stdin=producer.stdout, stdout=log, stderr=log)
            producer.stdout.close()
            codes = (producer.wait(), consumer.returncode)
        if codes != (0, 0):
            raise self.fail(f"{source[0]} | {sink[0]} ended with {codes}")


@contextmanager
def step(name: str, hint: str = "") -> Iterator[Step]:
    """Time a step and print its line when it ends, whichever way it ends."""
    started = time.monotonic()
    current = Step(name, hint)
    try:
        yield current
    except BaseException:
        current.outcome = "FAILED"
        raise
    finally:
        say(f"[{time.monotonic() - started:5.1f}s] {name} … {current.outcome}")
