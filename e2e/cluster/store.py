"""Content keys, cache entries that are whole or absent, and the lock against parallel runs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import paths
from .report import say

MARKER = ".opsloop-key"
IGNORED = {"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def key_of(*parts: str | bytes) -> str:
    """Hash of the parts; lengths go in as well, so that ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:16]


def tree_files(root: Path) -> list[Path]:
    """The files under root (or root itself), in a fixed order, without what tools leave behind."""
    if root.is_file():
        return [root]
    files = (path for path in root.rglob("*") if path.is_file())
    return sorted(path for path in files if not IGNORED.intersection(path.relative_to(root).parts))


def key_of_trees(roots: Iterable[Path], *more: str) -> str:
    """Key of the names, execute bits and contents of files; independent of where root lies."""
    parts: list[str | bytes] = list(more)
    for root in roots:
        if not root.exists():
            raise FileNotFoundError(root)
        for path in tree_files(root):
            name = path.name if path == root else str(path.relative_to(root))
            parts += [name, str(os.access(path, os.X_OK)), path.read_bytes()]
    return key_of(*parts)


def is_whole(entry: Path, key: str) -> bool:
    """Whether a cache entry was finished with this very key."""
    marker = entry / MARKER
    return marker.is_file() and marker.read_text() == key


def ensure_entry(kind: str, name: str, key: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
    """The folder of a cache entry, made first when absent or partial; True when it was already there.

    Built in a scratch folder beside it and renamed last, so that a killed run leaves no half entry.
    Entries of the same name with other keys are removed: they would only fill the disk.
    """
    parent = paths.CACHE / kind
    entry = parent / f"{name}-{key}"
    if is_whole(entry, key):
        return entry, True
    parent.mkdir(parents=True, exist_ok=True)
    for stale in parent.glob(f".new-{name}-*"):
        remove(stale)
    scratch = Path(tempfile.mkdtemp(prefix=f".new-{name}-", dir=parent))
    scratch.chmod(0o755)
    make(scratch)
    (scratch / MARKER).write_text(key)
    for old in parent.glob(f"{name}-" + "[0-9a-f]" * 16):
        remove(old)
    scratch.rename(entry)
    return entry, False


def remove(path: Path) -> None:
    """Delete a folder or file of ours; refuse anything that is not inside the cache."""
    plain = Path(os.path.normpath(path.absolute()))  # without `..`
    real = plain.parent.resolve() / plain.name  # without links on the way; a link itself may be deleted
    if paths.CACHE.resolve() not in real.parents:
        raise ValueError(f"{path} is not inside {paths.CACHE}")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def lock() -> Iterator[None]:
    """One invocation at a time; a second one waits (the kernel frees the lock of a killed one)."""
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    with (paths.CACHE / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run of e2e.cluster to finish")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
