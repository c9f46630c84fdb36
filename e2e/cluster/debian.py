"""Debian's packages and the base image made of them, without a change to the machine's own apt configuration."""

from __future__ import annotations

import os
import re
from pathlib import Path

from . import paths, store
from .docker import LABEL, docker, image_id, image_key, online
from .report import Step, StepFailed, capture, step

SUITE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
BASE_IMAGE = f"debian:{SUITE}-slim"
BASE_HINT = "where no image can be pulled: OPSLOOP_MODE=offline; debootstrap needs root, a mirror and a recent keyring"


def mirrors(text: str) -> list[str]:
    """Base addresses of the Debian main archive named in a .list or deb822 .sources text, in order."""
    uris: list[str] = []
    for line in text.splitlines():
        classic = re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)", line)
        if classic and "main" in classic[3].split():
            uris.append(classic[1])
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", stanza, re.MULTILINE))
        enabled = fields.get("Enabled", "yes").strip() != "no"
        if enabled and "deb" in fields.get("Types", "").split() and "main" in fields.get("Components", "").split():
            uris += fields.get("URIs", "").split()
    return [uri.rstrip("/") for uri in uris if re.search(r"/debian/?$", uri)]


def mirror() -> str:
    """The machine's own Debian mirror: no host name is written down in the project."""
    etc = Path("/etc/apt")
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for file in files:
        if file.is_file() and file.suffix in (".list", ".sources"):
            for uri in mirrors(file.read_text(errors="replace")):
                return uri
    raise StepFailed("no Debian mirror found in /etc/apt", hint="set up an apt source for Debian main")


class Private:
    """apt with its own source list, lists and archives, all under our cache."""

    def __init__(self) -> None:
        self.root = paths.CACHE / "apt"
        sources = self.root / f"{SUITE}.sources"
        for part in ("lists/partial", "archives/partial"):
            (self.root / part).mkdir(parents=True, exist_ok=True)
        sources.write_text(f"Types: deb\nURIs: {mirror()}\nSuites: {SUITE}\nComponents: main\nSigned-By: {KEYRING}\n")
        self.options = [
            f"-oDir::Etc::SourceList={sources}",
            "-oDir::Etc::SourceParts=/dev/null",
            f"-oDir::State::Lists={self.root}/lists",
            "-oDir::State::status=/dev/null",
            f"-oDir::Cache={self.root}",
            "-oAPT::Sandbox::User=root",
        ]

    def download(self, step: Step, packages: list[str], into: Path) -> list[Path]:
        """Fetch the packages' files into a folder."""
        step.run(["apt-get", *self.options, "update"])
        step.run(["apt-get", *self.options, "download", *packages], cwd=into)
        return sorted(into.glob("*.deb"))


def ensure_installed(step: Step, packages: list[str]) -> None:
    """Install host packages that are missing; only root can, others are told what to install."""
    missing = [name for name in packages if not is_installed(name)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise step.fail(f"packages missing: {' '.join(missing)} (install them as root)")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    try:
        step.run(install, env=quiet)
    except StepFailed:  # lists may be old or absent
        step.run(["apt-get", "update"])
        step.run(install, env=quiet)


def is_installed(package: str) -> bool:
    """Whether dpkg has the package configured."""
    status = capture(["dpkg-query", "-W", "-f=${Status}", package])
    return status is not None and status.endswith("ok installed")


def ensure_base() -> str:
    """Make sure that the base image exists; its id."""
    with step("base image", BASE_HINT) as current:
        if online():
            current.outcome = "cached"
            if image_id(BASE_IMAGE) is None or image_key(BASE_IMAGE):
                current.run(docker("pull", BASE_IMAGE))
                current.outcome = "pulled"
        else:
            make_base(current)
    base = image_id(BASE_IMAGE)
    assert base is not None
    return base


def make_base(current: Step) -> None:
    """Import a minimal Debian, kept as a tar file in the cache for when the engine's data is lost."""
    key = store.key_of("debootstrap", "minbase", SUITE, "1")
    if image_key(BASE_IMAGE) == key:
        current.outcome = "cached"
        return
    if os.geteuid() != 0:
        raise current.fail("only root can run debootstrap")
    entry, cached = store.ensure_entry("base", SUITE, key, lambda into: bootstrap(current, into))
    current.run(docker("import", "--change", f"LABEL {LABEL}={key}", "--change", 'CMD ["bash"]',
                       entry / "root.tar", BASE_IMAGE))  # fmt: skip
    current.outcome = "imported" if cached else "made"


def bootstrap(current: Step, into: Path) -> None:
    """A minimal root file system without package files and lists, as one tar file."""
    ensure_installed(current, ["debootstrap"])
    root = into / "root"
    current.run(["debootstrap", "--variant=minbase", SUITE, root, mirror()])
    for leftover in [*(root / "var/cache/apt/archives").glob("*.deb"), *(root / "var/lib/apt/lists").glob("*_*")]:
        store.remove(leftover)
    current.run(["tar", "-C", root, "--numeric-owner", "-cf", into / "root.tar", "."])
    store.remove(root)
