"""The node image: pulled, or made as kind's own build makes it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from . import base, components, golang, mode, paths, store
from .docker import LABEL, build, docker, image_id, image_key
from .report import Step, capture, step

# The 1.34 image in the release notes of the kind version we pin; kind asks for its images by digest.
PUBLIC = "kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d"
SOURCES = paths.HERE / "node"
BASE_IMAGE = "opsloop/node-base:dev"
BUILDER = "opsloop-node-build"
NODE_PROGRAMS = ("kubeadm", "kubectl", "kubelet")
EXECUTABLE = ("usr/local/bin", "kind/bin")
ENTRYPOINT = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'


def image() -> str:
    """The name of the node image made here."""
    return f"kindest/node:{golang.kubernetes_version()}"


def ensure() -> str:
    """Make sure that the node image exists; its name."""
    if not mode.online():
        make()
        return image()
    with step("node image", "force the other way with OPSLOOP_MODE=offline") as current:
        current.outcome = "cached"
        if image_id(PUBLIC) is None:
            current.run(docker("pull", PUBLIC))
            current.outcome = "pulled"
    return PUBLIC


def make() -> None:
    """Build the node image from our programs and Debian packages, with the component images inside."""
    entries = {name: golang.build(name) for name in ("kubernetes", "etcd", "coredns")}
    base_id = base.ensure()
    with step("node base image") as current:
        files = golang.module_dir(current, "kind", "sigs.k8s.io/kind") / "images/base/files"
        key = store.key_of_trees([files, SOURCES], base_id, entries["kubernetes"].name)
        current.outcome = "cached"
        if image_key(BASE_IMAGE) != key:
            make_base(current, key, files, entries["kubernetes"])
            current.outcome = "built"
    refs = components.ensure(entries, base_id, files / "etc/containerd/config.toml")
    with step("node image") as current:
        key = store.key_of(image_id(BASE_IMAGE) or "", *(f"{ref}={image_id(ref)}" for ref in refs))
        current.outcome = "cached"
        if image_key(image()) != key:
            preload(current, key, refs)
            current.outcome = "built"


def make_base(current: Step, key: str, files: Path, programs: Path) -> None:
    """The node without images in it."""

    def make_context(into: Path) -> None:
        shutil.copytree(files, into / "files", copy_function=shutil.copyfile)
        for path in sorted((into / "files").rglob("*")):
            script = any(path.relative_to(into / "files").is_relative_to(folder) for folder in EXECUTABLE)
            path.chmod(0o755 if path.is_dir() or script else 0o644)
        (into / "bin").mkdir()
        for name in NODE_PROGRAMS:
            shutil.copy(programs / name, into / "bin" / name)
        (into / "cni").mkdir()
        shutil.copy(SOURCES / "10-opsloop.conflist", into / "cni")

    context, _ = store.ensure_entry("context", "node", key, make_context)
    args = {"VERSION": golang.kubernetes_version()}
    build(current, BASE_IMAGE, key, context, SOURCES / "Dockerfile", args)


def preload(current: Step, key: str, refs: list[str]) -> None:
    """Import the component images with a containerd inside a container of the node, then commit it."""
    capture(docker("rm", "-f", "-v", BUILDER))
    current.run(docker("run", "-d", "--name", BUILDER, "--entrypoint=sleep", "--security-opt",
                       "seccomp=unconfined", BASE_IMAGE, "infinity"))  # fmt: skip
    try:
        current.run(docker("exec", "-d", BUILDER, "containerd"))
        wait_for_containerd(current)
        current.pipe(
            docker("save", *refs),
            docker("exec", "-i", BUILDER, "ctr", "-n", "k8s.io", "images", "import", "--all-platforms",
                   "--no-unpack", "--digests", "-"),
        )  # fmt: skip
        current.run(docker("exec", BUILDER, "pkill", "containerd"))
        time.sleep(1)
        current.run(docker("commit", "--change", ENTRYPOINT, "--change", f"LABEL {LABEL}={key}", BUILDER, image()))
    finally:
        capture(docker("rm", "-f", "-v", BUILDER))


def wait_for_containerd(current: Step) -> None:
    """containerd takes a moment to open its socket."""
    for _ in range(100):
        if capture(docker("exec", BUILDER, "ctr", "version"), timeout=10) is not None:
            return
        time.sleep(0.2)
    raise current.fail("containerd did not start in the build container")
