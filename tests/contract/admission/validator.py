"""The API server's own validation, without a server: `go/main.go` runs its packages, in the version that the cluster has.

The program is built once where Go is (minutes at first, seconds where the cluster was built from the same modules) and
kept in ~/.cache/opsloop; OPSLOOP_ADMISSION_BINARY names another one.
"""

import fcntl
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from e2e.cluster import golang, paths, store
from e2e.cluster.report import StepFailed, capture
from tests.builders import yamls
from tests.contract.admission.objects import Object

HERE = Path(__file__).parent
CRDS = Path(__file__).resolve().parents[3] / "crds"
BINARY_VARIABLE = "OPSLOOP_ADMISSION_BINARY"
MOST_SECONDS = 900  # of a build from nothing, on a busy machine


class NotHere(Exception):
    """This machine has neither the program nor what it is built with."""


@dataclass(frozen=True)
class Answer:
    """What the server says: of each CRD by name, and of each object, in the order asked. Nothing said is taken."""

    crds: dict[str, list[str]]
    objects: list[list[str]]


def ask(objects: Sequence[Object]) -> Answer:
    """Whether the CRDs would be taken, and the objects under them. Raises NotHere."""
    said = _answer({"crds": _crds(), "objects": list(objects)})
    return Answer(said["crds"], said["objects"])


@lru_cache(maxsize=1)
def _crds() -> list[Object]:
    return [yamls.load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))]


def merge(asked: Sequence[tuple[Object, Object]]) -> list[Object]:
    """What the server makes of (pod template, strategic merge patch): {"merged": …} or {"error": …}. Raises NotHere."""
    merges: list[Object] = _answer({"merges": [{"template": one, "patch": patch} for one, patch in asked]})["merges"]
    return merges


def _answer(question: Object) -> Object:
    done = subprocess.run(
        [binary()], input=json.dumps(question), capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    said: Object = json.loads(done.stdout)
    return said


def binary() -> Path:
    """The program, built where it is not there yet. Raises NotHere."""
    if named := os.environ.get(BINARY_VARIABLE):
        return Path(named)
    return built("admission", HERE / "go")


@lru_cache
def built(name: str, sources: Path) -> Path:
    """A program of a Go module in this repository, built where it is not there yet. Raises NotHere."""
    try:
        go = golang.go()
    except StepFailed as failure:
        raise NotHere(f"{failure}; or name a binary in {BINARY_VARIABLE}") from failure

    def make(into: Path) -> None:
        command = [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(into / name), "."]
        environment = {**os.environ, "CGO_ENABLED": "0"}
        done = subprocess.run(
            command, cwd=sources, env=environment, capture_output=True, text=True, timeout=MOST_SECONDS, check=False
        )
        if done.returncode:
            raise NotHere(f"{name} does not build here: {done.stderr.strip()[-300:]}")

    paths.CACHE.mkdir(parents=True, exist_ok=True)
    with (paths.CACHE / f"{name}.lock").open("w") as lock:  # test processes start at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        key = store.key_of_trees([sources], capture([go, "env", "GOVERSION"]) or "none")
        entry, _ = store.ensure_entry("go", name, key, make)
    return entry / name
