"""The node image: pulled, or made as kind's own build makes it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

from . import debian, golang, paths, store
from .docker import LABEL, build, docker, image_id, image_key, online
from .report import Step, StepFailed, capture, step

# The 1.34 image in the release notes of the kind version we pin; kind asks for its images by digest.
PUBLIC = "kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d"
VARIABLE = "OPSLOOP_NODE_IMAGE"  # another public image, for example of another Kubernetes version
SOURCES = paths.HERE / "node"
BASE_IMAGE = "opsloop/node-base:dev"
BUILDER = "opsloop-node-build"
NODE_PROGRAMS = ("kubeadm", "kubectl", "kubelet")
EXECUTABLE = ("usr/local/bin", "kind/bin")
ENTRYPOINT = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
# Programs with everything in one file; kube-proxy also needs `nft` and comes from a Dockerfile.
PROGRAMS = {
    "kube-apiserver": "kubernetes",
    "kube-controller-manager": "kubernetes",
    "kube-scheduler": "kubernetes",
    "etcd": "etcd",
    "coredns": "coredns",
}


def image() -> str:
    """The name of the node image made here."""
    return f"kindest/node:{golang.kubernetes_version()}"


def ensure() -> str:
    """Make sure that the node image exists; its name."""
    named = os.environ.get(VARIABLE, "")
    if not online():
        if named:
            raise StepFailed(
                f"{VARIABLE} is {named}",
                hint="offline one version is built, from e2e/cluster/go/kubernetes: leave it unset",
            )
        make()
        return image()
    public = named or PUBLIC
    with step("node image", "force the other way with OPSLOOP_MODE=offline") as current:
        current.outcome = "cached"
        if image_id(public) is None:
            current.run(docker("pull", public))
            current.outcome = "pulled"
    return public


def make() -> None:
    """Build the node image from our programs and Debian packages, with the component images inside."""
    entries = {name: golang.build(name) for name in ("kubernetes", "etcd", "coredns")}
    base_id = debian.ensure_base()
    with step("node base image") as current:
        files = golang.module_dir(current, "kind", "sigs.k8s.io/kind") / "images/base/files"
        key = store.key_of_trees([files, SOURCES], base_id, entries["kubernetes"].name)
        current.outcome = "cached"
        if image_key(BASE_IMAGE) != key:
            make_base(current, key, files, entries["kubernetes"])
            current.outcome = "built"
    refs = make_components(entries, base_id, files / "etc/containerd/config.toml")
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


# the control plane's images, made from our builds under the names that kubeadm asks for


def component_images(kubeadm: Path) -> dict[str, list[str]]:
    """Component → image names, from kubeadm itself (`coredns/coredns:v1` → `coredns`)."""
    output = capture([str(kubeadm), "config", "images", "list", "--kubernetes-version", golang.kubernetes_version()])
    names: dict[str, list[str]] = {}
    for image in (output or "").split():
        names.setdefault(image.rsplit("/", 1)[-1].split(":")[0], []).append(image)
    return names


def sandbox_image(containerd_config: Path) -> str:
    """The pause image that kind's containerd configuration names; it may differ from kubeadm's."""
    setting = re.search(r'^\s*sandbox_image = "(.+)"', containerd_config.read_text(), re.MULTILINE)
    return setting[1] if setting else ""


def make_components(entries: dict[str, Path], base_id: str, containerd_config: Path) -> list[str]:
    """Make all component images; their names, in order."""
    refs: list[str] = []
    with step("control plane images") as current:
        names = component_images(entries["kubernetes"] / "kubeadm")
        sandbox = sandbox_image(containerd_config)
        if sandbox and sandbox not in names.setdefault("pause", []):
            names["pause"].append(sandbox)
        changes = [make_component(current, name, images, entries, base_id) for name, images in sorted(names.items())]
        current.outcome = "built" if any(changes) else "cached"
        for images in names.values():
            refs += images
    return sorted(refs)


def make_component(current: Step, name: str, images: list[str], entries: dict[str, Path], base_id: str) -> bool:
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
    stale = image_key(images[0]) != key
    if stale and name == "kube-proxy":
        make_proxy(current, images[0], key, program)
    elif stale:
        import_program(current, images[0], key, program)
    for other in images[1:]:
        if image_id(other) != image_id(images[0]):
            current.run(docker("tag", images[0], other))
    return stale


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


def make_proxy(current: Step, image: str, key: str, program: Path) -> None:
    """kube-proxy with the tools it calls."""

    def make(into: Path) -> None:
        current.run(["cp", program, into / program.name])

    context, _ = store.ensure_entry("context", "kube-proxy", key, make)
    build(current, image, key, context, paths.HERE / "node" / "kube-proxy.Dockerfile")


def compile_pause(current: Step) -> Path:
    """The program of the pause container, compiled from the file in the Kubernetes module."""

    def make(into: Path) -> None:
        debian.ensure_installed(current, ["gcc", "libc6-dev"])
        source = golang.module_dir(current, "kubernetes", "k8s.io/kubernetes") / "build/pause/linux/pause.c"
        current.run(["gcc", "-Os", "-Wall", "-static", "-DVERSION=3.10", "-o", into / "pause", source])
        current.run(["strip", into / "pause"])

    entry, _ = store.ensure_entry("go", "pause", store.key_of("pause", golang.kubernetes_version()), make)
    return entry
