"""`python3 -m e2e.cluster up|images|down|tools|status`."""

from __future__ import annotations

import argparse
import sys
import time

from . import engine, images, lifecycle, paths, status, store, tools
from .report import StepFailed, say


def make_images(only: list[str]) -> None:
    """Everything that pods run, on the node. Needs the cluster, so it brings that up as well."""
    lifecycle.up()
    images.ensure(only)


def make_tools() -> None:
    """Host tools, and the lines that tell a shell where they are."""
    tools.ensure()
    print(tools.shell_lines())


def main() -> int:
    """Run one command under the lock; 1 when a step failed, with what to do about it."""
    parser = argparse.ArgumentParser(prog="python3 -m e2e.cluster", description=__doc__)
    parser.add_argument("command", choices=["up", "images", "down", "tools", "status"])
    parser.add_argument("only", nargs="*", help="images: only those whose name contains one of these words")
    chosen = parser.parse_args()
    started = time.monotonic()
    try:
        if chosen.command == "status":
            print(status.text())
            return 0
        if chosen.command == "tools" and tools.present():
            print(tools.shell_lines())
            return 0
        with store.lock():
            if chosen.command == "up":
                lifecycle.up()
            elif chosen.command == "images":
                make_images(chosen.only)
            elif chosen.command == "down":
                lifecycle.down()
            else:
                make_tools()
    except StepFailed as failure:
        say(f"FAILED {failure.what}")
        if failure.log:
            say(f"  log: {failure.log}")
        if failure.hint:
            say(f"  try: {failure.hint}")
        if engine.our_pid() is not None:
            say(f"  daemon's log: {paths.LOGS / 'dockerd.log'}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; run the same command again to go on")
        return 130
    say(f"[{time.monotonic() - started:5.1f}s] {chosen.command} complete")
    return 0


if __name__ == "__main__":
    sys.exit(main())
