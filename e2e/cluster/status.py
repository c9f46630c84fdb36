"""What runs and what the caches hold, in plain text."""

from __future__ import annotations

from pathlib import Path

from . import docker, engine, lifecycle, load, paths, store
from .report import capture


def size(path: Path) -> str:
    """A folder's or file's size as du sees it."""
    if not path.exists():
        return "–"
    return (capture(["du", "-sh", str(path)], timeout=120) or "?").split("\t")[0]


def text() -> str:
    """The whole report."""
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
            lines += [f"on node     {ref}  {digest[7:19]}" for ref, digest in sorted(load.loaded().items())]
    lines.append(f"audit log   {size(paths.AUDIT_LOG)}  {paths.AUDIT_LOG}")
    for kind in ("engine", "go", "base", "context", "wheels"):
        for entry in sorted((paths.CACHE / kind).glob("*-" + "[0-9a-f]" * 16)):
            marker = entry / store.MARKER
            whole = marker.is_file() and entry.name.endswith(marker.read_text())
            lines.append(f"cache       {size(entry):>6}  {kind}/{entry.name}{'' if whole else '  (partial)'}")
    lines.append(f"cache       {size(paths.DATA_ROOT):>6}  docker (images, layers, the node's volume)")
    return "\n".join(lines)
