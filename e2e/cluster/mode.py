"""Whether public images can be pulled here. Asked at most once per run, and only when it matters."""

from __future__ import annotations

import functools
import os
import subprocess

from .docker import docker
from .report import StepFailed, step

PROBE = "hello-world:latest"
PROBE_SECONDS = 15


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
