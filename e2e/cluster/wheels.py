"""The operator image's build context: its Dockerfile and every wheel it installs, fetched on the host.

Inside the build nothing is downloaded by pip, so that no certificate bundle has to enter the image.
"""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from . import paths, store
from .report import Step

PYTHON = "313"  # trixie's
LOCK = paths.REPO / "requirements.lock"
SOURCES = [paths.REPO / name for name in ("pyproject.toml", "README.md", "operator")]
GLIBC = ("2_17", "2_28", "2_34")


def platforms() -> list[str]:
    """pip's names for what runs on trixie on this machine's processor."""
    machine = platform.machine()
    return [f"manylinux2014_{machine}", *(f"manylinux_{version}_{machine}" for version in GLIBC), "any"]


def download(current: Step, into: Path) -> None:
    """All locked wheels, hashes checked."""
    words = ["--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"]
    for name in platforms():
        words += ["--platform", name]
    pip = [sys.executable, "-m", "pip", "download", "--quiet"]
    current.run([*pip, *words, "--require-hashes", "-r", LOCK, "-d", into])


def build_own(current: Step, into: Path) -> None:
    """The project's own wheel, built from a copy: setuptools would leave files in the checkout."""
    copy = into / "source"
    copy.mkdir()
    for source in SOURCES:
        if source.is_dir():
            ignored = shutil.ignore_patterns(*store.IGNORED, "*.egg-info")
            shutil.copytree(source, copy / source.name, ignore=ignored)
        else:
            shutil.copy(source, copy / source.name)
    current.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", into, copy])
    store.remove(copy)


def context(current: Step, dockerfile: Path) -> Path:
    """A folder with Dockerfile, wheels/ and own/, from entries keyed by the lock and by the sources."""
    missing = [path.name for path in [LOCK, *SOURCES] if not path.exists()]
    if missing:
        raise current.fail(f"not in the repository yet: {', '.join(missing)}")
    locked_key = store.key_of_trees([LOCK], PYTHON, *platforms())
    locked, _ = store.ensure_entry("wheels", "locked", locked_key, lambda into: download(current, into))
    own_key = store.key_of_trees(SOURCES)
    own, _ = store.ensure_entry("wheels", "own", own_key, lambda into: build_own(current, into))

    def make(into: Path) -> None:
        # Two folders, so that a change of our own sources leaves the layer of the locked wheels as it is.
        for folder, wheels in (("wheels", locked), ("own", own)):
            (into / folder).mkdir()
            for wheel in sorted(wheels.glob("*.whl")):
                shutil.copy2(wheel, into / folder / wheel.name)
        shutil.copy(dockerfile, into / "Dockerfile")

    key = store.key_of_trees([dockerfile], locked_key, own_key)
    return store.ensure_entry("context", "operator", key, make)[0]
