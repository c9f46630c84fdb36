"""Which running processes are ours: those whose program file lies in our cache."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from . import paths


def program_of(pid: int) -> Path | None:
    """The file a process runs, or None when it is gone or not ours to look at."""
    try:
        return Path(str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)"))
    except OSError:
        return None


def is_ours(pid: int, name: str) -> bool:
    """Whether a pid (from a file that may be stale) still is our own program of that name."""
    program = program_of(pid)
    return program is not None and paths.ENGINE in program.parents and program.name == name


def ours() -> list[int]:
    """All processes that run a program from our engine folder."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if paths.ENGINE in (program_of(pid) or Path("/")).parents]


def children(pid: int) -> list[int]:
    """Direct children of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def end(pid: int, sig: signal.Signals) -> None:
    """Send a signal to a process that may just have gone by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)


def wait_gone(pid: int, seconds: float) -> bool:
    """Whether a process has ended within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if program_of(pid) is None:
            return True
        time.sleep(0.1)
    return False


def end_leftovers() -> int:
    """End what a killed daemon left: the shims and, first, the container each one holds.

    Ending the first process of a container ends all others in its pid namespace.
    """
    left = ours()
    for pid in left:
        if (program_of(pid) or Path()).name.startswith("containerd-shim"):
            for child in children(pid):
                end(child, signal.SIGKILL)
    for pid in left:
        end(pid, signal.SIGKILL)
        wait_gone(pid, 5)
    return len(left)
