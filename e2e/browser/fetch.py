"""Chromium with its libraries and a font, axe-core, and Playwright's Python package: each of one version, held by its hash.

Chromium comes out of an npm package that carries it whole (it is made for functions in the cloud), because no browser build can be
fetched offline, and Debian's package would have to be installed by root.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import paths, store

LOCK = Path(__file__).with_name("requirements.lock")
CHROMIUM = "@sparticuz/chromium@147.0.0", "sha512-4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ=="  # fmt: skip
AXE = (
    "axe-core@4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)
UNPACK = """
import {brotliDecompressSync} from 'node:zlib'; import fs from 'node:fs';
const [from, to] = process.argv.slice(1);
for (const name of fs.readdirSync(from)) fs.writeFileSync(`${to}/${name.replace(/\\.br$/, '')}`, brotliDecompressSync(fs.readFileSync(`${from}/${name}`)));
"""
FONTS = '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>{0}/fonts</dir><cachedir>{0}/fonts-cache</cachedir></fontconfig>'


@dataclass(frozen=True)
class Browser:
    """Where it is."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of the process that looks: `e2e.browser.look`."""
        libraries = f"{self.root}/lib:{self.root}"
        return {
            "PYTHONPATH": f"{self.root}/python",
            "LOOK_CHROMIUM": f"{self.root}/chromium",
            "LOOK_AXE": f"{self.root}/axe.min.js",
            "LOOK_LIBRARIES": libraries,
            "FONTCONFIG_FILE": f"{self.root}/fonts.conf",
            "HOME": f"{self.root}/home",
        }


def ensure() -> Browser:
    """The browser, fetched first where it is not there. Raises RuntimeError with what is missing."""
    for tool in ("npm", "node"):
        if shutil.which(tool) is None:
            raise RuntimeError(f"{tool} is not installed: Chromium comes out of a package of its registry")
    key = store.key_of(*CHROMIUM, *AXE, LOCK.read_text(), UNPACK, FONTS, "1")
    with _alone():
        root, _ = store.ensure_entry("browser", "chromium", key, _make)
    (root / "fonts.conf").write_text(FONTS.format(root))  # the folder's name is known only now
    return Browser(root)


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time, and beside whoever builds the cluster."""
    folder = paths.CACHE / "browser"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _make(into: Path) -> None:
    for name in ("home", "packages"):
        (into / name).mkdir()
    package = _unpacked(into / "packages", *CHROMIUM)
    subprocess.run(["node", "--input-type=module", "-e", UNPACK, str(package / "bin"), str(into)], check=True)
    for name in ("al2023", "swiftshader", "fonts"):
        with tarfile.open(into / f"{name}.tar") as archive:
            archive.extractall(into, filter="data")
        (into / f"{name}.tar").unlink()
    (into / "chromium").chmod(0o755)
    shutil.copy(_unpacked(into / "packages", *AXE) / "axe.min.js", into / "axe.min.js")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--no-deps",
    ]
    subprocess.run([*pip, "--only-binary=:all:", "--target", str(into / "python"), "-r", str(LOCK)], check=True)
    store.remove(into / "packages")


def _unpacked(folder: Path, package: str, integrity: str) -> Path:
    """An npm package, whose hash is that."""
    done = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"npm pack {package}: {done.stderr.strip()[-500:]}")
    archive = folder / done.stdout.strip().splitlines()[-1]
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != integrity:
        raise RuntimeError(f"{package} is not what it was: {found}, expected {integrity}")
    into = folder / archive.stem
    with tarfile.open(archive) as opened:
        opened.extractall(into, filter="data")
    return into / "package"
