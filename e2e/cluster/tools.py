"""kubectl, kind and helm for the host, at fixed paths."""

from __future__ import annotations

from pathlib import Path

from . import golang, paths

SOURCES = {"kind": "kind", "kubectl": "kubernetes", "helm": "helm"}


def ensure(*names: str) -> None:
    """Build the named tools where needed and link them into `~/.cache/opsloop/bin`."""
    paths.BIN.mkdir(parents=True, exist_ok=True)
    for name in names or SOURCES:
        link(paths.BIN / name, golang.build(SOURCES[name]) / name)


def present() -> bool:
    """Whether all tools are there and current, so that asking for them need not wait for a long build."""
    for name, source in SOURCES.items():
        program = paths.CACHE / "go" / f"{source}-{golang.key(source)}" / name
        if not program.is_file() or (paths.BIN / name).resolve() != program.resolve():
            return False
    return True


def link(at: Path, to: Path) -> None:
    """A symbolic link that is replaced in one move, so that no reader ever misses it."""
    if at.is_symlink() and at.resolve() == to.resolve():
        return
    fresh = at.with_name(f".{at.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(to)
    fresh.replace(at)


def shell_lines() -> str:
    """What `tools` prints: lines that sh can eval."""
    values = {
        "KUBECTL": paths.KUBECTL,
        "HELM": paths.HELM,
        "KIND": paths.KIND,
        "KUBECONFIG": paths.KUBECONFIG,
        "DOCKER_HOST": paths.docker_host(),
        "AUDIT_LOG": paths.AUDIT_LOG,
    }
    return "\n".join(f"{name}={value}" for name, value in values.items())
