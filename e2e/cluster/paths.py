"""Where everything lives: one cache folder, nothing of ours outside it.

Other scripts import the constants; `python3 -m e2e.cluster tools` prints the same for shells.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CACHE = Path.home() / ".cache" / "opsloop"

CLUSTER = "opsloop"
NODE = f"{CLUSTER}-control-plane"
KUBECONFIG = CACHE / "kubeconfig"

BIN = CACHE / "bin"
KUBECTL = BIN / "kubectl"
HELM = BIN / "helm"
KIND = BIN / "kind"

AUDIT = CACHE / "audit"
AUDIT_LOG = AUDIT / "log" / "audit.log"
LOGS = CACHE / "logs"

ENGINE = CACHE / "engine"
RUN = CACHE / "run"
SOCKET = RUN / "docker.sock"
PIDFILE = RUN / "docker.pid"
DATA_ROOT = CACHE / "docker"
DOCKER_HOST_FILE = CACHE / "docker-host"


def docker_host() -> str:
    """The engine that `up` chose: our own daemon's socket, or whatever the machine already has."""
    if DOCKER_HOST_FILE.is_file():
        return DOCKER_HOST_FILE.read_text().strip()
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


def docker_cli() -> str:
    """The docker command: the machine's own if there is one, else the one unpacked beside our daemon."""
    installed = shutil.which("docker")
    private = list(ENGINE.glob("*/usr/bin/docker"))
    return installed or (str(private[0]) if private else "docker")
