"""How fast the machine is right now.

Three things are measured on the cluster itself, in about six seconds, because these three make a shift late: the CPU
that pods get (the share of a shop-like load that is done in time), writes to the API server (they wait for the disk), and
the time from a pod's creation until its program runs.
"""

from __future__ import annotations

import json
import statistics
import time
import uuid
from typing import Any

from e2e.harness.client import Client
from e2e.harness.pace import Speed, TooSlow

NAMESPACE = "e2e-machine"
WRITES = 20
POD_SECONDS = 90.0  # until the calibration's pod has ended
IMAGE = "opsloop/helpdesk:v1"
# Runs in the pod. Like a shop, it is many processes that want a little CPU often: together 1.7 cores of the reference.
# One endless loop per core would say less: where others run such loops, the scheduler still gives a shop nearly its due.
PROGRAM = """
import json, os, time

WORKERS, SECONDS, TICK = 12, 2.5, 0.05

def finished():
    done, due, end = 0, time.monotonic(), time.monotonic() + SECONDS
    while time.monotonic() < end:
        sum(i * i % 7 for i in range(100_000))
        done += 1
        due = max(due + TICK, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
    return done

began, pipes = time.time(), []
for _ in range(WORKERS):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, b"%d" % finished())
        os._exit(0)
    os.close(writer)
    pipes.append(reader)
done = sum(int(os.read(pipe, 32)) for pipe in pipes)
print(json.dumps({"began": began, "share": done / (WORKERS * SECONDS / TICK)}))
"""


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
    return Speed(report["share"], statistics.median(writes), max(0.0, report["began"] - created))


def _config(name: str, value: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}


def _write_seconds(client: Client, path: str, body: dict[str, Any]) -> float:
    began = time.monotonic()
    client.call(path, "PUT", body)
    return time.monotonic() - began


def _pod(name: str) -> dict[str, Any]:
    resources = {"requests": {"cpu": "200m"}}  # of all parts of a shop: the kubelet makes CPU weights of requests
    container = {"name": "c", "image": IMAGE, "command": ["python3", "-c", PROGRAM], "resources": resources}
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
