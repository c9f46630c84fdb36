"""`python3 -m e2e.cluster up|images|context|down|tools|status`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from . import docker, engine, golang, images, lifecycle, paths, store
from .report import StepFailed, capture, say, step


def make_images(only: list[str]) -> None:
    """Everything that pods run, on the node. Needs the cluster, so it brings that up as well."""
    lifecycle.up()
    images.ensure(only)


def make_tools() -> None:
    """Host tools, and the lines that tell a shell where they are."""
    golang.ensure_tools()
    print(golang.shell_lines())


def make_context() -> None:
    """The build context of the operator's image, for the processor of this machine; prints the folder. Needs no container engine."""
    with step("context of the operator's image") as current:
        print(images.operator_context(current, paths.REPO / "Dockerfile"))


def size(path: Path) -> str:
    """A folder's or file's size as du sees it."""
    if not path.exists():
        return "–"
    return (capture(["du", "-sh", str(path)], timeout=120) or "?").split("\t")[0]


def status() -> str:
    """What runs and what the caches hold, in plain text."""
    host = paths.docker_host()
    pid = engine.our_pid()
    alive = engine.answers(host)
    lines = [
        f"engine      {'own, pid ' + str(pid) if pid else 'none of ours'}; {host} {'answers' if alive else 'is silent'}"
    ]
    if alive:
        engine.use(host)
        lines.append(f"node        {'running' if docker.running(paths.NODE) else 'not running'}")
        if docker.running(paths.NODE):
            lines += [f"cluster     {word}" for _, word in lifecycle.state()]
            lines += [f"on node     {ref}  {digest[7:19]}" for ref, digest in sorted(images.loaded().items())]
    lines.append(f"audit log   {size(paths.AUDIT_LOG)}  {paths.AUDIT_LOG}")
    for kind in ("engine", "go", "base", "context", "wheels"):
        for entry in sorted((paths.CACHE / kind).glob("*-" + "[0-9a-f]" * 16)):
            marker = entry / store.MARKER
            whole = marker.is_file() and entry.name.endswith(marker.read_text())
            lines.append(f"cache       {size(entry):>6}  {kind}/{entry.name}{'' if whole else '  (partial)'}")
    lines.append(f"cache       {size(paths.DATA_ROOT):>6}  docker (images, layers, the node's volume)")
    return "\n".join(lines)


def main() -> int:
    """Run one command under the lock; 1 when a step failed, with what to do about it."""
    parser = argparse.ArgumentParser(prog="python3 -m e2e.cluster", description=__doc__)
    parser.add_argument("command", choices=["up", "images", "context", "down", "tools", "status"])
    parser.add_argument("only", nargs="*", help="images: only those whose name contains one of these words")
    options = parser.parse_args()
    started = time.monotonic()
    try:
        if options.command == "status":
            print(status())
            return 0
        if options.command == "tools" and golang.tools_present():
            print(golang.shell_lines())
            return 0
        with store.lock():
            if options.command == "up":
                lifecycle.up()
            elif options.command == "images":
                make_images(options.only)
            elif options.command == "context":
                make_context()
            elif options.command == "down":
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
    say(f"[{time.monotonic() - started:5.1f}s] {options.command} complete")
    return 0


if __name__ == "__main__":
    sys.exit(main())
