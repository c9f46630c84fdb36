"""How fast the machine is right now, and what follows: how far deadlines are stretched and how much load shoppers make.

Three things are measured on the cluster itself, in about five seconds, because these three make a shift late: the CPU
that pods get (a fixed computation on all cores), writes to the API server (they wait for the disk), and the time from
a pod's creation until its program runs. Each is compared with a reference machine; the worst one decides.
"""

from __future__ import annotations

import json
import statistics
import time
import uuid
from dataclasses import dataclass
from typing import Any

from e2e.harness.client import Client
from e2e.harness.pace import Pace

LIMIT = 3.0  # a machine that is slower than the reference by more than this is refused
LEAST_LOAD = 0.5  # of the shoppers: below it the alerts by pod have too little to count
TWO_AT_ONCE = 1.4  # up to this factor two stories run side by side

NAMESPACE = "e2e-machine"
WRITES = 20
POD_SECONDS = 90.0  # until the calibration's pod has ended
IMAGE = "opsloop/helpdesk:v1"
# Runs in the pod: a computation of fixed size, again and again for two seconds on each core.
PROGRAM = """
import json, os, time

def rounds(seconds):
    end, done = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        sum(i * i % 7 for i in range(10_000))
        done += 1
    return done

began, ends = time.time(), []
for _ in range(os.cpu_count()):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, b"%d" % rounds(2.0))
        os._exit(0)
    os.close(writer)
    ends.append(reader)
print(json.dumps({"began": began, "rounds": sum(int(os.read(end, 32)) for end in ends) / 2.0}))
"""


class TooSlow(Exception):
    """The machine cannot carry a shift; the message says what was measured and what is needed."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured: rounds of PROGRAM per second over all cores, median seconds of a write, seconds of a pod's start."""

    cpu: float
    write: float
    pod: float


# A shift ran well on two shared cores at these figures; a quiet machine of that kind is better in all three.
REFERENCE = Speed(cpu=1600.0, write=0.03, pod=5.0)


def slowness(speed: Speed) -> dict[str, float]:
    """How many times slower than the reference, by what was measured; below 1 is faster."""
    return {
        "CPU": REFERENCE.cpu / max(speed.cpu, 1e-9),
        "API writes": speed.write / REFERENCE.write,
        "pod starts": speed.pod / REFERENCE.pod,
    }


def judge(speed: Speed) -> Pace:
    """The pace for this machine, at least that of the reference. Raises TooSlow."""
    what, factor = max(slowness(speed).items(), key=lambda item: item[1])
    if factor > LIMIT:
        raise TooSlow(
            f"the machine is too slow: {what} are {factor:.1f} times slower than needed for a shift, at most "
            f"{LIMIT:g} times can be made up for ({describe(speed)}; the reference is {describe(REFERENCE)})"
        )
    factor = max(1.0, factor)
    return Pace(factor, max(LEAST_LOAD, 1 / factor), 2 if factor <= TWO_AT_ONCE else 1)


def describe(speed: Speed) -> str:
    """What was measured, for people."""
    return f"CPU {speed.cpu:.0f} rounds/s, API write {speed.write * 1000:.0f} ms, pod start {speed.pod:.1f} s"


def line(speed: Speed, pace: Pace) -> str:
    """The one line that a run prints."""
    share = 1 / max(slowness(speed).values())
    return (
        f"machine: {share:.1f} of the reference ({describe(speed)}), deadlines × {pace.deadlines:.1f}, "
        f"load × {pace.load:.1f}"
    )


def measure(client: Client) -> Speed:
    """Measures on the cluster, in namespace e2e-machine. Raises TooSlow where the pod does not even run to its end."""
    name, path = f"machine-{uuid.uuid4().hex[:8]}", f"/api/v1/namespaces/{NAMESPACE}"
    client.call(f"{path}/configmaps", "POST", _config(name, "first"))
    writes = [_write_seconds(client, f"{path}/configmaps/{name}", _config(name, str(n))) for n in range(WRITES)]
    created = time.time()
    client.call(f"{path}/pods", "POST", _pod(name))
    try:
        report = _report(client, name)
    finally:
        client.call(f"{path}/pods/{name}?gracePeriodSeconds=0", "DELETE")
        client.call(f"{path}/configmaps/{name}", "DELETE")
    return Speed(report["rounds"], statistics.median(writes), max(0.0, report["began"] - created))


def _config(name: str, value: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}


def _write_seconds(client: Client, path: str, body: dict[str, Any]) -> float:
    began = time.monotonic()
    client.call(path, "PUT", body)
    return time.monotonic() - began


def _pod(name: str) -> dict[str, Any]:
    container = {"name": "c", "image": IMAGE, "command": ["python3", "-c", PROGRAM]}
    spec = {"containers": [container], "restartPolicy": "Never", "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _report(client: Client, name: str) -> dict[str, float]:
    """What the program printed."""
    deadline, phase = time.monotonic() + POD_SECONDS, ""
    while time.monotonic() < deadline:
        pod = client.get("pods", NAMESPACE, name) or {}
        phase = str(pod.get("status", {}).get("phase", "not there"))
        if phase in ("Succeeded", "Failed"):
            printed = client.call(f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/log") or b""
            try:
                return dict(json.loads(printed))
            except ValueError as error:
                raise RuntimeError(f"the calibration's pod printed {printed[:200]!r} ({phase})") from error
        time.sleep(0.2)
    raise TooSlow(f"the machine is too slow: a pod that computes for 2 s did not end in {POD_SECONDS:.0f} s ({phase})")
