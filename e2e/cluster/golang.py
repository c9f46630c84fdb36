"""Programs built from Go modules whose versions are pinned in `go/<name>/go.mod` and `go.sum`, and the host's tools."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from . import paths, store
from .report import Step, StepFailed, capture, step

MODULES = paths.HERE / "go"
KUBERNETES = [
    f"k8s.io/kubernetes/cmd/{name}"
    for name in (
        "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler",
        "kubeadm", "kubectl", "kubelet",
    )
]  # fmt: skip
# module folder → what to build there; etcd's main package would be called `server` otherwise.
PACKAGES = {
    "kind": ["sigs.k8s.io/kind"],
    "kubernetes": KUBERNETES,
    "etcd": ["go.etcd.io/etcd/server/v3"],
    "coredns": ["."],
    "helm": ["helm.sh/helm/v3/cmd/helm"],
    "podinfo": ["github.com/stefanprodan/podinfo/cmd/podinfo"],
    "traefik": ["github.com/traefik/traefik/v3/cmd/traefik"],
    # for tests/contract/test_backends_real.py, which runs where they were built before
    "victoriametrics": ["github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics"],
}
TOOLS = {"kind": "kind", "kubectl": "kubernetes", "helm": "helm"}  # tool → module folder
HINT = "needs Go 1.25 or newer and a Go module proxy; try again, the Go build cache keeps what was done"


def go() -> str:
    """The Go command, also when only its usual folder has it."""
    program = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin:/usr/lib/go/bin")
    if program is None:
        raise StepFailed("Go is not installed", hint="install Go 1.25 or newer, or work where images can be pulled")
    return program


def pinned(name: str, module: str) -> str:
    """The version of a module that a go.mod of ours requires."""
    text = (MODULES / name / "go.mod").read_text()
    requirement = re.search(rf"^(?:require\s+|\s+){re.escape(module)} (v\S+)", text, re.MULTILINE)
    if not requirement:
        raise StepFailed(f"{MODULES / name / 'go.mod'} requires no {module}")
    return requirement[1]


def kubernetes_version() -> str:
    """The one Kubernetes version of the project."""
    return pinned("kubernetes", "k8s.io/kubernetes")


def ldflags(name: str) -> str:
    """Small programs; Kubernetes and Traefik must also be told their version, as their own builds do."""
    flags = "-s -w"
    if name == "traefik":
        version = pinned("traefik", "github.com/traefik/traefik/v3").removeprefix("v")
        flags += f" -X github.com/traefik/traefik/v3/pkg/version.Version={version}"
    if name == "kubernetes":
        version = kubernetes_version()
        major, minor, _ = version.removeprefix("v").split(".", 2)
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            flags += f" -X {package}.gitVersion={version} -X {package}.gitMajor={major}"
            flags += f" -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean"
    return flags


def key(name: str) -> str:
    """What the programs of a module folder depend on."""
    version = capture([go(), "env", "GOVERSION"]) or "none"
    return store.key_of_trees([MODULES / name], version, ldflags(name), *PACKAGES[name])


def build(name: str) -> Path:
    """The folder with the programs of one module folder, built when needed."""

    with step(f"go {name}", HINT) as current:

        def make(into: Path) -> None:
            target = into / name if len(PACKAGES[name]) == 1 else f"{into}/"
            command = [go(), "build", "-trimpath", "-ldflags", ldflags(name), "-o", target, *PACKAGES[name]]
            current.run(command, cwd=MODULES / name, env={"CGO_ENABLED": "0"})

        entry, cached = store.ensure_entry("go", name, key(name), make)
        current.outcome = "cached" if cached else "built"
    return entry


def module_dir(current: Step, name: str, module: str) -> Path:
    """Where the sources of a pinned module are, fetched when the module cache lost them."""
    current.run([go(), "mod", "download", module], cwd=MODULES / name)
    folder = capture([go(), "-C", str(MODULES / name), "list", "-m", "-f", "{{.Dir}}", module])
    if not folder or not Path(folder).is_dir():
        raise current.fail(f"no sources of {module}")
    return Path(folder)


def gateway_crds() -> Path:
    """The folder with the CRDs of the Gateway API's standard channel, at the version that Traefik is built with."""
    with step("Gateway API") as current:
        return module_dir(current, "traefik", "sigs.k8s.io/gateway-api") / "config" / "crd" / "standard"


def ensure_tools(*names: str) -> None:
    """Build the named tools where needed and link them into `~/.cache/opsloop/bin`."""
    paths.BIN.mkdir(parents=True, exist_ok=True)
    for name in names or TOOLS:
        link(paths.BIN / name, build(TOOLS[name]) / name)


def tools_present() -> bool:
    """Whether all tools are there and current, so that asking for them need not wait for a long build."""
    for name, source in TOOLS.items():
        program = paths.CACHE / "go" / f"{source}-{key(source)}" / name
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
