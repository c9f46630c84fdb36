"""The control plane's images, made from our builds under the names that kubeadm asks for."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

from . import apt, golang, paths, store
from .docker import LABEL, build, docker, image_id, image_key
from .report import Step, capture, step

# Programs with everything in one file; kube-proxy also needs `nft` and comes from a Dockerfile.
PROGRAMS = {
    "kube-apiserver": "kubernetes",
    "kube-controller-manager": "kubernetes",
    "kube-scheduler": "kubernetes",
    "etcd": "etcd",
    "coredns": "coredns",
}


def wanted(kubeadm: Path) -> dict[str, list[str]]:
    """Component → image names, from kubeadm itself (`coredns/coredns:v1` → `coredns`)."""
    listed = capture([str(kubeadm), "config", "images", "list", "--kubernetes-version", golang.kubernetes_version()])
    names: dict[str, list[str]] = {}
    for image in (listed or "").split():
        names.setdefault(image.rsplit("/", 1)[-1].split(":")[0], []).append(image)
    return names


def sandbox_image(containerd_config: Path) -> str:
    """The pause image that kind's containerd configuration names; it may differ from kubeadm's."""
    found = re.search(r'^\s*sandbox_image = "(.+)"', containerd_config.read_text(), re.MULTILINE)
    return found[1] if found else ""


def ensure(entries: dict[str, Path], base_id: str, containerd_config: Path) -> list[str]:
    """Make all component images; their names, in order."""
    refs: list[str] = []
    with step("control plane images") as current:
        names = wanted(entries["kubernetes"] / "kubeadm")
        sandbox = sandbox_image(containerd_config)
        if sandbox and sandbox not in names.setdefault("pause", []):
            names["pause"].append(sandbox)
        made = [ensure_one(current, name, images, entries, base_id) for name, images in sorted(names.items())]
        current.outcome = "built" if any(made) else "cached"
        for images in names.values():
            refs += images
    return sorted(refs)


def ensure_one(current: Step, name: str, images: list[str], entries: dict[str, Path], base_id: str) -> bool:
    """Make one component's image where needed and tag it; True when something was made."""
    if name == "pause":
        program = compile_pause(current) / "pause"
        key = store.key_of(name, program.parent.name)
    elif name == "kube-proxy":
        program = entries["kubernetes"] / name
        key = store.key_of_trees([paths.HERE / "node" / "kube-proxy.Dockerfile"], program.parent.name, base_id)
    elif name in PROGRAMS:
        program = entries[PROGRAMS[name]] / name
        key = store.key_of(name, program.parent.name)
    else:
        raise current.fail(f"kubeadm wants an image that nothing here makes: {images}")
    made = image_key(images[0]) != key
    if made and name == "kube-proxy":
        proxy(current, images[0], key, program)
    elif made:
        import_program(current, images[0], key, program)
    for other in images[1:]:
        if image_id(other) != image_id(images[0]):
            current.run(docker("tag", images[0], other))
    return made


def import_program(current: Step, image: str, key: str, program: Path) -> None:
    """An image of one static program and nothing else."""
    changes = [f"LABEL {LABEL}={key}", "ENV PATH=/usr/local/bin", f'ENTRYPOINT ["/usr/local/bin/{program.name}"]']
    command = docker("import", *(word for change in changes for word in ("--change", change)), "-", image)
    with current.log.open("ab") as log:
        sink = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        assert sink.stdin is not None
        with tarfile.open(fileobj=sink.stdin, mode="w|") as tar:
            tar.add(program, arcname=f"usr/local/bin/{program.name}", filter=as_root)
        sink.stdin.close()
        if sink.wait() != 0:
            raise current.fail(f"docker import of {image} failed")


def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owner root, executable, and no time stamp that would change the image from build to build."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode, member.mtime = 0o755, 0
    return member


def proxy(current: Step, image: str, key: str, program: Path) -> None:
    """kube-proxy with the tools it calls."""

    def make(into: Path) -> None:
        current.run(["cp", program, into / program.name])

    context, _ = store.ensure_entry("context", "kube-proxy", key, make)
    build(current, image, key, context, paths.HERE / "node" / "kube-proxy.Dockerfile")


def compile_pause(current: Step) -> Path:
    """The program of the pause container, compiled from the file in the Kubernetes module."""

    def make(into: Path) -> None:
        apt.ensure_installed(current, ["gcc", "libc6-dev"])
        source = golang.module_dir(current, "kubernetes", "k8s.io/kubernetes") / "build/pause/linux/pause.c"
        current.run(["gcc", "-Os", "-Wall", "-static", "-DVERSION=3.10", "-o", into / "pause", source])
        current.run(["strip", into / "pause"])

    entry, _ = store.ensure_entry("go", "pause", store.key_of("pause", golang.kubernetes_version()), make)
    return entry
