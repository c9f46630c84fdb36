"""The base image, under its public name: pulled, or made by debootstrap."""

from __future__ import annotations

import os
from pathlib import Path

from . import apt, mode, store
from .docker import LABEL, docker, image_id, image_key
from .report import Step, step

IMAGE = f"debian:{apt.SUITE}-slim"
HINT = "where no image can be pulled: OPSLOOP_MODE=offline; debootstrap needs root, a mirror and a recent keyring"


def ensure() -> str:
    """Make sure that the base image exists; its id."""
    with step("base image", HINT) as current:
        if mode.online():
            current.outcome = "cached"
            if image_id(IMAGE) is None or image_key(IMAGE):
                current.run(docker("pull", IMAGE))
                current.outcome = "pulled"
        else:
            make(current)
    found = image_id(IMAGE)
    assert found is not None
    return found


def make(current: Step) -> None:
    """Import a minimal Debian, kept as a tar file in the cache for when the engine's data is lost."""
    key = store.key_of("debootstrap", "minbase", apt.SUITE, "1")
    if image_key(IMAGE) == key:
        current.outcome = "cached"
        return
    if os.geteuid() != 0:
        raise current.fail("only root can run debootstrap")
    entry, cached = store.ensure_entry("base", apt.SUITE, key, lambda into: bootstrap(current, into))
    current.run(docker("import", "--change", f"LABEL {LABEL}={key}", "--change", 'CMD ["bash"]',
                       entry / "root.tar", IMAGE))  # fmt: skip
    current.outcome = "imported" if cached else "made"


def bootstrap(current: Step, into: Path) -> None:
    """A minimal root file system without package files and lists, as one tar file."""
    apt.ensure_installed(current, ["debootstrap"])
    root = into / "root"
    current.run(["debootstrap", "--variant=minbase", apt.SUITE, root, apt.mirror()])
    for leftover in [*(root / "var/cache/apt/archives").glob("*.deb"), *(root / "var/lib/apt/lists").glob("*_*")]:
        store.remove(leftover)
    current.run(["tar", "-C", root, "--numeric-owner", "-cf", into / "root.tar", "."])
    store.remove(root)
