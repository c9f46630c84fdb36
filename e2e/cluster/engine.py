"""The container engine: the machine's docker if it answers, else a daemon of our own.

Debian 12's docker cannot start privileged containers without CAP_SYS_RESOURCE, Debian 13's can; its
packages are unpacked into the cache and the daemon is started by hand, with all its state in the cache.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from . import debian, paths, store
from .report import Step, StepFailed, capture, step

PACKAGES = ["docker.io", "docker-cli", "containerd", "tini"]
HOST_PACKAGES = ["runc", "iptables", "ca-certificates"]
START_SECONDS = 60
# The CPU weight of all containers of an engine, by cgroup version → the kernel's default, which is also one process's.
WEIGHTS = {Path("/sys/fs/cgroup/cpu/docker/cpu.shares"): 1024, Path("/sys/fs/cgroup/docker/cpu.weight"): 100}
CLUSTER_WEIGHT = 8  # in processes: a cluster runs dozens, and must not be outweighed by two test runs beside it
STOP_SECONDS = 30


def answers(host: str | None = None) -> bool:
    """Whether a docker daemon answers at the address (or at the machine's default one)."""
    env = {"DOCKER_HOST": host} if host else None
    return capture([paths.docker_cli(), "info", "-f", "{{.ID}}"], env=env, timeout=20) is not None


def our_pid() -> int | None:
    """The pid of our running daemon; None when it is not running or the pid now is someone else's."""
    if not paths.PIDFILE.is_file():
        return None
    text = paths.PIDFILE.read_text().strip()
    return int(text) if text.isdigit() and is_ours(int(text), "dockerd") else None


def has_containers() -> bool:
    """Whether our daemon's data still has containers, whether it runs or not."""
    folder = paths.DATA_ROOT / "containers"
    return folder.is_dir() and any(folder.iterdir())


def ensure() -> None:
    """Find or start the engine and set DOCKER_HOST (and PATH) for everything that follows."""
    with step("container engine", "see the daemon's own log beside this one: dockerd.log") as current:
        ours = f"unix://{paths.SOCKET}"
        if our_pid() is not None and answers(ours):
            current.outcome, host = "running (own)", ours
        elif os.environ.get("DOCKER_HOST") != ours and answers():
            current.outcome, host = "running (the machine's)", machine_host()
        else:
            start(current)
            host = ours
        paths.DOCKER_HOST_FILE.write_text(host + "\n")
        use(host)


def use(host: str) -> None:
    """Point this process and all it starts (kind runs `docker` by name) at the engine."""
    os.environ["DOCKER_HOST"] = host
    folder = str(Path(paths.docker_cli()).parent)
    if folder not in os.environ.get("PATH", "").split(":"):
        os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{folder}"


def machine_host() -> str:
    """The address of the machine's own engine, as its docker command sees it."""
    endpoint = capture([paths.docker_cli(), "context", "inspect", "-f", "{{.Endpoints.docker.Host}}"])
    return os.environ.get("DOCKER_HOST") or endpoint or "unix:///var/run/docker.sock"


def start(current: Step) -> None:
    """Start our own daemon, detached, after clearing what a killed one left."""
    if os.geteuid() != 0:
        raise current.fail("no docker answers, and only root can start one")
    debian.ensure_installed(current, HOST_PACKAGES)
    entry, cached = store.ensure_entry(
        "engine", "docker", store.key_of(*PACKAGES, debian.SUITE), lambda into: unpack(current, into)
    )
    stop_daemon()
    paths.RUN.mkdir(parents=True, exist_ok=True)
    for stale in (paths.PIDFILE, paths.SOCKET):
        store.remove(stale)
    daemon = spawn(entry)
    deadline = time.monotonic() + START_SECONDS
    while not answers(f"unix://{paths.SOCKET}"):
        if daemon.poll() is not None or time.monotonic() > deadline:
            tail = (paths.LOGS / "dockerd.log").read_text(errors="replace").splitlines()[-8:]
            raise StepFailed("\n    ".join(["our dockerd did not start", *tail]), paths.LOGS / "dockerd.log")
        time.sleep(0.2)
    current.outcome = "started" if cached else "fetched and started"


def weigh() -> None:
    """Gives the containers of our own engine the CPU weight of several processes, as far as this machine allows."""
    if our_pid() is None:
        return
    for file, default in WEIGHTS.items():
        with contextlib.suppress(OSError):
            if file.is_file():
                file.write_text(str(default * CLUSTER_WEIGHT))


def unpack(current: Step, into: Path) -> None:
    """Fetch the engine's packages and unpack them without installing."""
    debs = into / "debs"
    debs.mkdir()
    for deb in debian.Private().download(current, PACKAGES, debs):
        current.run(["dpkg", "-x", deb, into])
        deb.unlink()


def spawn(entry: Path) -> subprocess.Popen[bytes]:
    """The daemon in a session of its own, so that it outlives the command that started it."""
    config = paths.RUN / "daemon.json"
    config.write_text('{"log-opts": {"max-size": "50m"}}\n')
    bins = f"{entry}/usr/sbin:{entry}/usr/bin"
    command = [
        f"{entry}/usr/sbin/dockerd", f"--host=unix://{paths.SOCKET}", f"--config-file={config}",
        f"--data-root={paths.DATA_ROOT}", f"--exec-root={paths.RUN / 'exec'}", f"--pidfile={paths.PIDFILE}",
        f"--userland-proxy-path={entry}/usr/sbin/docker-proxy", f"--init-path={entry}/usr/bin/docker-init",
    ]  # fmt: skip
    with (paths.LOGS / "dockerd.log").open("ab") as log:
        return subprocess.Popen(
            command, env={**os.environ, "PATH": f"{bins}:/usr/sbin:/usr/bin:/sbin:/bin"}, cwd="/",
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def stop_daemon() -> int:
    """Stop our daemon if it runs, then whatever it left; the number of processes ended the hard way."""
    pid = our_pid()
    if pid is not None:
        end(pid, signal.SIGTERM)
        wait_gone(pid, STOP_SECONDS)
    return end_leftovers()


# which running processes are ours: those whose program file lies in our cache


def program_of(pid: int) -> Path | None:
    """The file a process runs, or None when it is gone or not ours to look at."""
    try:
        return Path(str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)"))
    except OSError:
        return None


def is_ours(pid: int, name: str) -> bool:
    """Whether a pid (from a file that may be stale) still is our own program of that name."""
    program = program_of(pid)
    return program is not None and paths.ENGINE in program.parents and program.name == name


def ours() -> list[int]:
    """All processes that run a program from our engine folder."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if paths.ENGINE in (program_of(pid) or Path("/")).parents]


def children(pid: int) -> list[int]:
    """Direct children of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def end(pid: int, sig: signal.Signals) -> None:
    """Send a signal to a process that may just have gone by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)


def wait_gone(pid: int, seconds: float) -> bool:
    """Whether a process has ended within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if program_of(pid) is None:
            return True
        time.sleep(0.1)
    return False


def end_leftovers() -> int:
    """End what a killed daemon left: the shims and, first, the container each one holds.

    Ending the first process of a container ends all others in its pid namespace.
    """
    leftovers = ours()
    for pid in leftovers:
        if (program_of(pid) or Path()).name.startswith("containerd-shim"):
            for child in children(pid):
                end(child, signal.SIGKILL)
    for pid in leftovers:
        end(pid, signal.SIGKILL)
        wait_gone(pid, 5)
    return len(leftovers)
