"""What pods run: a list of images, each built (or, when public, pulled) and put on the node once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from . import base, docker, load, mode, paths, store, wheels
from .report import Step, StepFailed, capture, say, step

DEMO = paths.REPO / "e2e" / "demo"
MONITORING = paths.HERE / "monitoring"


@dataclass(frozen=True)
class Image:
    """One image. `prepare` makes a context that is not simply a folder of the repository."""

    ref: str
    dockerfile: Path
    folder: Path | None = None
    args: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Step, Path], Path] | None = None
    public: bool = False


# The public images' tags are the versions that Debian 13 packages; their Dockerfiles check that.
IMAGES = [
    Image("prom/prometheus:v2.53.3", MONITORING / "prometheus.Dockerfile", args={"VERSION": "v2.53.3"}, public=True),
    Image("prom/alertmanager:v0.28.1", MONITORING / "alertmanager.Dockerfile", args={"VERSION": "v0.28.1"}, public=True),
    *(
        Image(f"opsloop/helpdesk:{version}", DEMO / "Dockerfile", folder=DEMO, args={"VERSION": version})
        for version in ("v1", "v2", "v3", "v4")
    ),
    Image("opsloop/opsloop:dev", paths.REPO / "Dockerfile", prepare=wheels.context),
]  # fmt: skip


def context_files(folder: Path) -> list[Path]:
    """The files that docker would send: those not named by the folder's .dockerignore."""
    ignore = folder / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.is_file() else []
    patterns = [line.strip().strip("/").removeprefix("**/") for line in lines if line.strip() and line[0] != "#"]

    def kept(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        ways = [*parts, *("/".join(parts[:end]) for end in range(1, len(parts) + 1))]
        return not any(fnmatch(way, pattern) for way in ways for pattern in patterns)

    return [path for path in store.tree_files(folder) if kept(path)]


def key_of(image: Image, context: Path | None) -> str:
    """Hash of all that makes the image: Dockerfile, context, build arguments, ids of its base images."""
    text = image.dockerfile.read_text()
    based_on = [f"{name}={docker.image_id(name)}" for name in docker.bases(text, image.args)]
    files = context_files(context) if context else []
    names = [f"{path.relative_to(context)}" for path in files] if context else []
    arguments = [f"{name}={value}" for name, value in sorted(image.args.items())]
    return store.key_of_trees([image.dockerfile, *files], *names, *based_on, *arguments)


def ensure_one(image: Image) -> None:
    """Build or pull one image where needed."""
    with step(f"image {image.ref}") as current:
        if image.public and mode.online():
            current.outcome = "cached"
            if docker.image_id(image.ref) is None or docker.image_key(image.ref):
                current.run(docker.docker("pull", image.ref))
                current.outcome = "pulled"
            return
        if not image.dockerfile.is_file():
            raise current.fail(f"there is no {image.dockerfile.relative_to(paths.REPO)} yet")
        context = image.prepare(current, image.dockerfile) if image.prepare else image.folder
        key = key_of(image, context)
        current.outcome = "cached"
        if docker.image_key(image.ref) != key:
            docker.build(current, image.ref, key, context or empty_context(), image.dockerfile, image.args)
            current.outcome = "built"


def empty_context() -> Path:
    """A context for Dockerfiles that copy nothing in."""
    return store.ensure_entry("context", "empty", store.key_of("empty"), lambda into: None)[0]


def ensure(only: Iterable[str] = ()) -> None:
    """All images (or those whose name contains a word) on the node; one that fails does not stop others."""
    words = list(only)
    chosen = [image for image in IMAGES if not words or any(word in image.ref for word in words)]
    base.ensure()
    failures: list[StepFailed] = []
    made: list[str] = []
    for image in chosen:
        try:
            ensure_one(image)
            made.append(image.ref)
        except StepFailed as failure:
            failures.append(failure)
    load.ensure(made)
    capture(docker.docker("image", "prune", "-f", "--filter", f"label={docker.LABEL}"))
    for earlier in failures[:-1]:
        say(f"FAILED {earlier.what}\n  log: {earlier.log}")
    if failures:
        raise failures[-1]
