"""One run of e2e on the shared cluster: alone, with what earlier runs left stopped, and at the machine's pace.

A namespace is e2e's own if it carries the label `opsloop.dev/e2e`; no other one is ever touched. Of its own namespaces
a run deletes those that it makes anew and stops all others: their Deployments are scaled to 0 and their objects stay for
looking around. Processes are e2e's own if they run a program of our cache with the mark of an earlier run.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster import engine, paths
from e2e.harness import machine, pace
from e2e.harness.client import MARK, Client, Object
from e2e.harness.pace import Pace, TooSlow
from e2e.harness.progress import Progress

LABEL = "opsloop.dev/e2e"
OPERATOR = "app.kubernetes.io/name=opsloop"
STOP_SECONDS = 60.0
MEASUREMENTS, PAUSE_SECONDS = 3, 15.0
REFUSED = 2  # exit code, as for wrong usage


class Refused(Exception):
    """The run cannot begin; the message is the one sentence that says why and what to do."""


@contextmanager
def session(makes: Collection[str]) -> Iterator[Pace]:
    """Everything that precedes a run which makes these namespaces. Raises Refused."""
    with alone():
        end_processes()
        with Client(Pace()) as client:
            progress = Progress(Pace())
            namespaces, operators = client.items("namespaces"), client.items("deployments", selector=OPERATOR)
            if foreign := in_the_way(namespaces, makes, operators):
                raise Refused(foreign)
            operated = {o["metadata"]["namespace"] for o in operators}  # first: it must not react to the shop's end
            stop(client, progress, sorted(own(namespaces), key=lambda n: n not in operated), makes)
            measured_pace = calibrate(client, progress)
        yield measured_pace


@contextmanager
def alone() -> Iterator[None]:
    """One run at a time: they share the cluster. The kernel frees the lock of a killed one. Raises Refused."""
    with (paths.CACHE / "e2e.lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise Refused(
                f"another run of e2e uses this cluster (process {handle.read().strip()}): wait for its end"
            ) from None
        handle.truncate(0)
        handle.write(f"{os.getpid()}")
        handle.flush()
        yield


def own(namespaces: Iterable[Object]) -> list[str]:
    """Names of those that carry e2e's label."""
    return sorted(n["metadata"]["name"] for n in namespaces if LABEL in n["metadata"].get("labels", {}))


def in_the_way(namespaces: Collection[Object], makes: Collection[str], operators: Iterable[Object]) -> str:
    """The sentence of refusal where something that is not e2e's stands in the way; "" where nothing does."""
    owned = own(namespaces)
    for namespace in sorted(n["metadata"]["name"] for n in namespaces):
        if namespace in makes and namespace not in owned:
            return (
                f"namespace {namespace} exists and is not e2e's own (it has no label {LABEL}): "
                f"delete it (kubectl delete namespace {namespace}) or give it the label"
            )
    for operator in operators:
        namespace = operator["metadata"]["namespace"]
        if namespace not in owned and operator["spec"].get("replicas", 1):
            return (
                f"an opsloop that is not e2e's own runs in namespace {namespace} and would act on the same objects: "
                f"uninstall it (helm uninstall opsloop -n {namespace}) or scale it to 0"
            )
    return ""


def stop(client: Client, progress: Progress, namespaces: Collection[str], makes: Collection[str]) -> None:
    """Stops what runs in e2e's namespaces, deletes those that are made anew, and waits until no pod is left."""
    for namespace in namespaces:
        running = [d for d in client.items("deployments", namespace) if d["spec"].get("replicas", 1)]
        if running:
            client.kubectl("-n", namespace, "scale", "deployment", "--all", "--replicas=0")
        if namespace in makes:
            client.kubectl("delete", "namespace", namespace, "--wait=false")
            progress.say(f"namespace {namespace} of an earlier run is removed")
        elif running:
            progress.say(f"namespace {namespace} of an earlier run: {len(running)} Deployments stopped, objects kept")

    def pods() -> tuple[object, str]:
        leftovers = [p["metadata"]["name"] for n in namespaces for p in client.items("pods", n) if not _ended(p)]
        return not leftovers, f"{len(leftovers)} pods: {', '.join(leftovers[:5])}"

    progress.wait("the pods of earlier runs to end", STOP_SECONDS, pods)


def _ended(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def calibrate(client: Client, progress: Progress) -> Pace:
    """Measures the machine and prints the line; where it is too slow, again after a pause. Raises Refused."""
    make_namespace(client, machine.NAMESPACE)
    for attempt in range(1, MEASUREMENTS + 1):
        try:
            speed = machine.measure(client)
            measured_pace = pace.judge(speed)
        except TooSlow as slow:
            if attempt == MEASUREMENTS:
                raise Refused(str(slow)) from slow
            progress.say(f"{slow}; measured again in {PAUSE_SECONDS:.0f} s")
            time.sleep(PAUSE_SECONDS)  # what a build or an earlier run left to do may end by itself
        else:
            break
    progress.say(pace.line(speed, measured_pace))
    return measured_pace


def make_namespace(client: Client, name: str) -> None:
    """A namespace of e2e's own; idempotent."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {LABEL: "true"}}}
    client.kubectl("apply", "-f", "-", text=json.dumps(body))


def remove_namespaces(client: Client, names: Iterable[str]) -> None:
    """Begins to delete them; `wait_removed` waits."""
    for name in names:
        client.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def wait_removed(client: Client, progress: Progress, names: Collection[str], seconds: float = 120) -> None:
    """Until none of these namespaces exists. Raises StageFailed with what holds them."""

    def gone() -> tuple[object, str]:
        remaining = [n for n in client.items("namespaces") if n["metadata"]["name"] in names]
        return not remaining, "; ".join(f"{n['metadata']['name']} {_why(n)}" for n in remaining)

    progress.wait(f"namespaces {', '.join(names)} to be gone", seconds, gone)


def _why(namespace: Object) -> str:
    status = namespace.get("status", {})
    held = [c["message"] for c in status.get("conditions", []) if c["status"] == "True"]
    return f"is {status.get('phase')}{': ' if held else ''}{' '.join(held)}"


def end_processes(report: Callable[[str], None] = print) -> int:
    """Ends kubectl and helm processes of runs that were killed; how many. For the holder of the lock: all are of others."""
    leftovers = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if is_left(pid)]  # noqa: PTH208
    for pid in leftovers:
        engine.end(pid, signal.SIGTERM)
        if not engine.wait_gone(pid, 5):
            engine.end(pid, signal.SIGKILL)
    if leftovers:
        report(f"{len(leftovers)} kubectl or helm processes of an earlier run are ended")
    return len(leftovers)


def is_left(pid: int) -> bool:
    """Whether a process runs a program of our cache for another run than this one."""
    program = engine.program_of(pid)
    if program is None or paths.CACHE not in program.parents:
        return False
    try:
        marks = [v for v in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if v.startswith(f"{MARK}=".encode())]
    except OSError:
        return False
    return bool(marks) and marks[0] != f"{MARK}={os.getpid()}".encode()
