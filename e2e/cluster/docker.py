"""The few docker commands needed. Images carry the key of what they were made from as a label."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from . import paths
from .report import Step, StepFailed, capture, step

LABEL = "opsloop.key"
PROBE = "hello-world:latest"
PROBE_SECONDS = 15
CLASSIC = {"DOCKER_BUILDKIT": "0"}  # buildx may be missing, and BuildKit ignores images made locally


def docker(*words: str | Path) -> list[str]:
    """A docker command line."""
    return [paths.docker_cli(), *(str(word) for word in words)]


def image_id(ref: str) -> str | None:
    """The id of a local image, or None when there is none of that name."""
    return capture(docker("image", "inspect", "-f", "{{.Id}}", ref))


def image_key(ref: str) -> str | None:
    """The content key a local image was built from, or None."""
    return capture(docker("image", "inspect", "-f", '{{index .Config.Labels "' + LABEL + '"}}', ref))


def bases(dockerfile: str, args: Mapping[str, str] | None = None) -> list[str]:
    """The images a Dockerfile starts from, without `scratch` and its own stages."""
    values: dict[str, str] = {}
    stages: set[str] = set()
    images: list[str] = []
    for line in dockerfile.splitlines():
        argument = re.match(r"\s*ARG\s+(\w+)(?:=(\S+))?", line, re.IGNORECASE)
        if argument and not stages and not images:
            values[argument[1]] = (args or {}).get(argument[1], argument[2] or "")
        start = re.match(r"\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", line, re.IGNORECASE)
        if start:
            image = re.sub(r"\$\{?(\w+)\}?", lambda name: values.get(name[1], ""), start[1])
            if image != "scratch" and image not in stages and image not in images:
                images.append(image)
            if start[2]:
                stages.add(start[2])
    return images


def build(
    step: Step, ref: str, key: str, context: Path, dockerfile: Path, args: Mapping[str, str] | None = None
) -> None:
    """Build an image and label it with its key."""
    words: list[str | Path] = ["build", "--force-rm", "-t", ref, "--label", f"{LABEL}={key}", "-f", dockerfile]
    for name, value in (args or {}).items():
        words += ["--build-arg", f"{name}={value}"]
    step.run(docker(*words, context), env=CLASSIC)


def running(container: str) -> bool:
    """Whether a container runs."""
    return capture(docker("inspect", "-f", "{{.State.Running}}", container)) == "true"


def exists(container: str) -> bool:
    """Whether a container exists, running or not."""
    return capture(docker("inspect", "-f", "{{.Id}}", container)) is not None


@functools.cache
def online() -> bool:
    """True when images come from public registries; OPSLOOP_MODE=offline|online forces it."""
    with step("mode") as current:
        forced = os.environ.get("OPSLOOP_MODE", "")
        if forced not in ("", "offline", "online"):
            raise StepFailed(f"OPSLOOP_MODE is {forced!r}", hint="use offline, online or leave it unset")
        answer = forced == "online" if forced else can_pull()
        current.outcome = ("online" if answer else "offline") + (" (forced)" if forced else "")
    return answer


def can_pull() -> bool:
    """One short try to pull a tiny image through the daemon."""
    try:
        done = subprocess.run(docker("pull", "-q", PROBE), capture_output=True, timeout=PROBE_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
