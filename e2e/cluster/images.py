"""What pods run: a list of images, each built (or, when public, pulled) and put on the node once."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from . import debian, docker, golang, paths, store
from .report import Step, StepFailed, capture, say, step

DEMO = paths.REPO / "e2e" / "demo"
PODINFO = paths.REPO / "e2e" / "podinfo"
PODINFO_VERSION = "6.9.2"  # of the commit that go/podinfo/go.mod names; its Dockerfile checks that
MONITORING = paths.HERE / "monitoring"
GATEWAY = paths.HERE / "gateway"
RECORD = "/kind/opsloop-images"  # on the node itself, so it ends with the node
TRAEFIK_VERSION = golang.pinned("traefik", "github.com/traefik/traefik/v3")
PYTHON = "313"  # trixie's
LOCK = paths.REPO / "requirements.lock"
SOURCES = [paths.REPO / name for name in ("pyproject.toml", "README.md", "operator")]
GLIBC = ("2_17", "2_28", "2_34")


@dataclass(frozen=True)
class Image:
    """One image. `prepare` makes a context that is not simply a folder of the repository; `asked`: only where it is named,
    because it takes minutes to build and few stories need it.
    """

    ref: str
    dockerfile: Path
    folder: Path | None = None
    args: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Step, Path], Path] | None = None
    public: bool = False
    asked: bool = False


def context_files(folder: Path) -> list[Path]:
    """The files that docker would send: those not named by the folder's .dockerignore."""
    ignore = folder / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.is_file() else []
    patterns = [line.strip().strip("/").removeprefix("**/") for line in lines if line.strip() and line[0] != "#"]

    def included(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        ways = [*parts, *("/".join(parts[:end]) for end in range(1, len(parts) + 1))]
        return not any(fnmatch(way, pattern) for way in ways for pattern in patterns)

    return [path for path in store.tree_files(folder) if included(path)]


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
        if image.public and docker.online():
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


def wheel_platforms() -> list[str]:
    """pip's names for what runs on trixie on this machine's processor."""
    machine = platform.machine()
    return [f"manylinux2014_{machine}", *(f"manylinux_{version}_{machine}" for version in GLIBC), "any"]


def download_wheels(current: Step, into: Path) -> None:
    """All locked wheels, hashes checked."""
    words = ["--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"]
    for name in wheel_platforms():
        words += ["--platform", name]
    pip = [sys.executable, "-m", "pip", "download", "--quiet"]
    current.run([*pip, *words, "--require-hashes", "-r", LOCK, "-d", into])


def build_wheel(current: Step, into: Path) -> None:
    """The project's own wheel, built from a copy: setuptools would leave files in the checkout."""
    copy = into / "source"
    copy.mkdir()
    for source in SOURCES:
        if source.is_dir():
            ignored = shutil.ignore_patterns(*store.IGNORED, "*.egg-info")
            shutil.copytree(source, copy / source.name, ignore=ignored)
        else:
            shutil.copy(source, copy / source.name)
    current.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", into, copy])
    store.remove(copy)


def operator_context(current: Step, dockerfile: Path) -> Path:
    """A folder with Dockerfile, wheels/ and own/, from entries keyed by the lock and by the sources."""
    missing = [path.name for path in [LOCK, *SOURCES] if not path.exists()]
    if missing:
        raise current.fail(f"not in the repository yet: {', '.join(missing)}")
    locked_key = store.key_of_trees([LOCK], PYTHON, *wheel_platforms())
    locked, _ = store.ensure_entry("wheels", "locked", locked_key, lambda into: download_wheels(current, into))
    own_key = store.key_of_trees(SOURCES)
    own, _ = store.ensure_entry("wheels", "own", own_key, lambda into: build_wheel(current, into))

    def make(into: Path) -> None:
        # Two folders, so that a change of our own sources leaves the layer of the locked wheels as it is.
        for folder, wheels in (("wheels", locked), ("own", own)):
            (into / folder).mkdir()
            for wheel in sorted(wheels.glob("*.whl")):
                shutil.copy2(wheel, into / folder / wheel.name)
        shutil.copy(dockerfile, into / "Dockerfile")

    key = store.key_of_trees([dockerfile], locked_key, own_key)
    return store.ensure_entry("context", "operator", key, make)[0]


def podinfo_context(current: Step, dockerfile: Path) -> Path:
    """A folder with the program and its pages, both from the pinned Go module, and the Dockerfile."""
    program = golang.build("podinfo") / "podinfo"
    pages = golang.module_dir(current, "podinfo", "github.com/stefanprodan/podinfo") / "ui"

    def make(into: Path) -> None:
        shutil.copy2(program, into / "podinfo")
        shutil.copytree(pages, into / "ui", copy_function=shutil.copyfile)  # the module cache is read-only
        (into / "ui").chmod(0o755)
        shutil.copy(dockerfile, into / "Dockerfile")

    key = store.key_of_trees([dockerfile, pages], golang.key("podinfo"))
    return store.ensure_entry("context", "podinfo", key, make)[0]


def traefik_context(current: Step, dockerfile: Path) -> Path:
    """A folder with the program, from the pinned Go module, and the Dockerfile."""
    program = golang.build("traefik") / "traefik"

    def make(into: Path) -> None:
        shutil.copy2(program, into / "traefik")
        shutil.copy(dockerfile, into / "Dockerfile")

    return store.ensure_entry("context", "traefik", store.key_of_trees([dockerfile], golang.key("traefik")), make)[0]


def podinfo_release(tag: str, random_error: bool) -> Image:
    """What somebody who runs podinfo ships next, with podinfo's own fault flag on or off."""
    args = {"VERSION": PODINFO_VERSION, "RANDOM_ERROR": str(random_error).lower()}
    return Image(f"opsloop/podinfo:{tag}", PODINFO / "release.Dockerfile", args=args)


# The public images' tags are the versions that Debian 13 packages; their Dockerfiles check that.
IMAGES = [
    Image("prom/prometheus:v2.53.3", MONITORING / "prometheus.Dockerfile", args={"VERSION": "v2.53.3"}, public=True),
    Image("prom/alertmanager:v0.28.1", MONITORING / "alertmanager.Dockerfile", args={"VERSION": "v0.28.1"}, public=True),
    *(
        Image(f"opsloop/helpdesk:{version}", DEMO / "Dockerfile", folder=DEMO, args={"VERSION": version})
        for version in ("v1", "v2", "v3", "v4", "v5")
    ),
    Image(
        f"stefanprodan/podinfo:{PODINFO_VERSION}",
        PODINFO / "Dockerfile",
        args={"VERSION": PODINFO_VERSION},
        prepare=podinfo_context,
        public=True,
    ),
    podinfo_release("good", random_error=False),
    podinfo_release("bad", random_error=True),
    podinfo_release("bad-again", random_error=True),
    Image(
        f"traefik:{TRAEFIK_VERSION}",
        GATEWAY / "traefik.Dockerfile",
        args={"VERSION": TRAEFIK_VERSION},
        prepare=traefik_context,
        public=True,
        asked=True,
    ),
    Image("opsloop/opsloop:dev", paths.REPO / "Dockerfile", prepare=operator_context),
]  # fmt: skip


def ensure(only: Iterable[str] = ()) -> None:
    """The images on the node, all but those that are made when `asked`, or those whose name contains a word.

    One that fails does not stop others.
    """
    words = list(only)
    chosen = [image for image in IMAGES if any(word in image.ref for word in words) or not (words or image.asked)]
    debian.ensure_base()
    failures: list[StepFailed] = []
    refs: list[str] = []
    for image in chosen:
        try:
            ensure_one(image)
            refs.append(image.ref)
        except StepFailed as failure:
            failures.append(failure)
    load(refs)
    capture(docker.docker("image", "prune", "-f", "--filter", f"label={docker.LABEL}"))
    for earlier in failures[:-1]:
        say(f"FAILED {earlier.what}\n  log: {earlier.log}")
    if failures:
        raise failures[-1]


def loaded() -> dict[str, str]:
    """Image name → id of what was loaded last."""
    text = capture(docker.docker("exec", paths.NODE, "cat", RECORD)) or ""
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


def load(refs: list[str]) -> None:
    """Load the images whose id differs from what the node has, all in one stream."""
    with step("images on the node") as current:
        there = loaded()
        local = {ref: docker.image_id(ref) or "" for ref in refs}
        changed = [ref for ref in refs if there.get(ref) != local[ref]]
        current.outcome = "cached"
        if not changed:
            return
        current.pipe(
            docker.docker("save", *changed),
            docker.docker("exec", "-i", paths.NODE, "ctr", "-n", "k8s.io", "images", "import", "-"),
        )
        record = "".join(f"{ref} {digest}\n" for ref, digest in {**there, **local}.items())
        current.run(docker.docker("exec", paths.NODE, "sh", "-c", f"printf '%s' '{record}' > {RECORD}"))
        current.outcome = f"loaded {', '.join(changed)}"
