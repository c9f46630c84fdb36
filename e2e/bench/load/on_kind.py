"""`python -m e2e.bench.load.on_kind`: the same load on the deployed operator, in namespaces of its own on the cluster of `make cluster`.

The sender is a process of this machine and reaches the intake by a NodePort. In the middle of the second storm the operator's pod is
deleted without grace, and its Deployment makes another one; with `--kill process` its process gets a SIGKILL instead, and the kubelet
starts another one in the same pod. What was filed when is seen by a watch of the ledgers.
"""

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from e2e.bench import sampler
from e2e.bench.load import control, sending, storm, table
from e2e.bench.load.__main__ import FOLDER, bounded, judged, times
from e2e.bench.load.histograms import Sampler
from e2e.cluster import docker, paths
from e2e.drill.prepare import alert_sender, apply_crds, clear, install_operator, make_empty
from e2e.drill.shift import Shift
from e2e.harness import audit
from e2e.harness.client import Client, environment
from e2e.harness.progress import Progress, StageFailed
from e2e.harness.session import REFUSED, Refused, session, wait_removed
from opsloop.adapters.kube import Kube
from opsloop.core.alerts.pages import rolled_alerts
from opsloop.core.codec import decode_ledger
from opsloop.names import INBOX, LEDGER
from opsloop.shell.evidence.intake import filings

NS, SENDER, NODE_PORT = "bench-load", "senders", 31808
CONTROL = "control"
LATE, BLOCKED, FILED = "opsloop_loop_late_seconds", "opsloop_loop_blocked_seconds", "opsloop_intake_filed_seconds"
STAGE = "opsloop_reconcile_stage_seconds"
DRAIN = 180.0  # seconds until the inbox is empty


class Ledgers(threading.Thread):
    """Follows the ledgers of the other services: when which alert was first in one (Unix time)."""

    def __init__(self, api: Client) -> None:
        super().__init__(daemon=True)
        self.url = f"{api.base}/api/v1/namespaces/{NS}/configmaps?watch=1&timeoutSeconds=3600&labelSelector={LEDGER}"
        self.filed: dict[str, float] = {}

    def run(self) -> None:
        """Until the process ends; begins anew where the watch breaks."""
        while True:
            try:
                with urllib.request.urlopen(self.url, timeout=3600) as answer:
                    for line in answer:
                        self._see(json.loads(line), time.time())
            except OSError:
                time.sleep(0.2)  # so that a watch that is refused at once is not asked for in a tight loop

    def _see(self, event: dict[str, Any], at: float) -> None:
        body = event["object"]
        if event["type"] in ("ADDED", "MODIFIED") and body["metadata"]["name"].startswith(storm.OTHER):
            for alert in decode_ledger(body["binaryData"]).alerts:
                self.filed.setdefault(alert.fingerprint, at)


def one_run(shift: Shift, size: storm.Size, kill: str) -> dict[str, Any]:
    """Prepares, sends, waits, counts."""
    url = _prepare(shift, size)
    began, sampling, ledgers = time.time(), Sampler(shift.api, shift.ops), Ledgers(shift.api)
    sampling.start()
    ledgers.start()
    token = shift.api.kubectl("-n", NS, "create", "token", SENDER, "--audience=opsloop").strip()
    bodies = list(storm.bodies(size, datetime.now(UTC) - timedelta(minutes=2)))
    _control(shift, 2 * size.seconds)
    shift.progress.say(f"{len(bodies)} bodies are sent to {url}")
    timer = threading.Timer(size.seconds * 1.5, lambda: KILLS[kill](shift))
    timer.start()
    follow_log(shift)
    sent = asyncio.run(sending.send(lambda: url, token, bodies))
    ended = time.time()
    shift.progress.wait("the inbox to be empty", DRAIN, lambda: _empty(shift), every=0.5)
    drained = time.time() - ended
    follow_log(shift)
    shift.progress.wait("the Incidents to count all", 60, lambda: _counted(shift, len(sent.stored)))
    sampling.stop()
    homes = asyncio.run(_homes())
    requests = audit.requests(audit.operator_user(shift.ops), began)
    writes = Counter(
        f"{r.verb} {r.target}" for r in requests if r.verb not in ("get", "list", "watch") and r.resource != "leases"
    )
    middle = began + size.seconds
    many = sum(r.verb not in ("get", "list", "watch") and r.resource != "leases" for r in requests if r.time < middle)
    return {
        **judged(sent, bodies, homes),
        **times(sent, ledgers.filed, 1.5 * size.seconds if kill != "nothing" else None),
        **bounded(size, many),
        "drained": drained,
        "lateMax": 1000 * (sampling.bound(LATE) or 0),
        "lateOver50": sampling.over(0.05, LATE)[0],
        "lateLooks": sampling.over(0.05, LATE)[1],
        "blockedMax": 1000 * (sampling.bound(BLOCKED) or 0),
        "blockedOver50": sampling.over(0.05, BLOCKED)[0],
        **_control_said(shift),
        "entryFiledP50": sampling.bound(FILED, share=0.5),
        "entryFiledMax": sampling.bound(FILED),
        **{
            f"stageNamespace{stage.title()}": sampling.bound(STAGE, f'kind="Namespace",stage="{stage}"')
            for stage in ("observe", "decide", "apply")
        },
        "memoryFirst": sampling.samples[0].rss / sampler.MIB,
        "memoryMax": sampler.peak(sampling.samples),
        "podMemory": sampler.peak(sampling.samples),
        "cpuMany": sampler.cpu_seconds(sampling.samples, began, middle),
        "cpuOne": sampler.cpu_seconds(sampling.samples, middle, time.time()),
        "writesOne": sum(
            r.verb not in ("get", "list", "watch") and r.resource != "leases" for r in requests if r.time >= middle
        ),
        "writes": dict(writes.most_common(20)),
        "waited": [(round(at - began), ledgers.filed.get(fp, math.inf) - at) for fp, at in sent.taken_at.items()],
        "refusedByServer": dict(Counter(r.code for r in requests if r.code >= 400)),
    }


def _prepare(shift: Shift, size: storm.Size) -> str:
    """The application, the sender's right, and the operator; the intake's URL."""
    make_empty(shift)
    apply_crds(shift.api)
    shift.apply([*alert_sender(NS, SENDER), *storm.releases(size, NS)])
    install_operator(shift, pager={"url": ""})  # nobody is at the address of Prometheus: the application has no SLO
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "load", "namespace": shift.ops},
        "spec": {
            "type": "NodePort",
            "selector": {"app.kubernetes.io/name": "opsloop"},
            "ports": [{"port": 8080, "targetPort": "intake", "nodePort": NODE_PORT}],
        },
    }
    shift.api.kubectl("-n", shift.ops, "apply", "-f", "-", text=json.dumps(service))
    (node,) = shift.api.items("nodes")
    address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
    base = f"http://{address}:{NODE_PORT}"
    shift.progress.wait("the intake to answer", 60, lambda: (_answers(base), "it does not"))
    # each first status of a Release asks for a look at what is to be filed
    shift.progress.wait("every Release to have a status", 60, lambda: _observed(shift))
    return f"{base}/v1/namespaces/{NS}/alerts"


def _control(shift: Shift, seconds: float) -> None:
    """A pod beside the operator's that shows what the machine itself does to an event loop."""
    container = {
        "name": CONTROL,
        "image": "opsloop/opsloop:dev",
        "command": ["python", "-c", Path(control.__file__).read_text(), str(seconds)],
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}},  # as the operator's CPU
    }
    spec = {"restartPolicy": "Never", "containers": [container]}
    shift.apply([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": CONTROL}, "spec": spec}])

    def look() -> tuple[object, str]:
        phase = ((shift.api.get("pods", shift.namespace, CONTROL) or {}).get("status") or {}).get("phase")
        return phase == "Running", f"phase {phase}"

    shift.progress.wait("the control to run", 60, look)


def _control_said(shift: Shift) -> dict[str, float]:
    """How late the control was, in the same minutes."""

    def look() -> tuple[object, str]:
        return shift.api.kubectl("-n", shift.namespace, "logs", CONTROL).strip(), "it runs"

    said = json.loads(str(shift.progress.wait("the control to end", 60, look)))
    return {"controlOver50": said["over50"], "controlMax": 1000 * said["max"], "controlOwn": 1000 * said["ownMax"]}


def _observed(shift: Shift) -> tuple[object, str]:
    without = [r["metadata"]["name"] for r in shift.api.items("releases", NS) if "status" not in r]
    return not without, f"{len(without)} have none"


def _answers(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/openapi.json", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def follow_log(shift: Shift) -> None:
    """The log of the operator's process as it goes, in a file beside the results: that of a pod that is gone is gone too."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    pod = shift.operator_pod()
    command = [str(paths.KUBECTL), "-n", shift.ops, "logs", "-f", str(pod)]
    with Path(FOLDER / f"load-on-kind-{pod}.log").open("ab") as file:
        subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment())  # ends with the pod


def _kill_pod(shift: Shift) -> None:
    pods = [p["metadata"]["name"] for p in shift.api.items("pods", shift.ops, "app.kubernetes.io/name=opsloop")]
    shift.api.kubectl("-n", shift.ops, "delete", "pod", *pods, "--grace-period=0", "--force", "--wait=false")
    shift.progress.say(f"killed: {', '.join(pods)}")


def _kill_process(shift: Shift) -> None:
    """SIGKILL by the node's root: a process in its container cannot send it to the first one there."""
    (pod,) = shift.api.items("pods", shift.ops, "app.kubernetes.io/name=opsloop")
    (node,) = shift.api.items("nodes")
    uid = pod["metadata"]["uid"]
    script = (
        f"for f in $(grep -l -e {uid} -e {uid.replace('-', '_')} /proc/[0-9]*/cgroup); do p=${{f%/cgroup}};"
        ' [ "$(cat $p/comm)" = pause ] || kill -9 ${p#/proc/}; done'
    )
    command = docker.docker("exec", node["metadata"]["name"], "sh", "-c", script)
    subprocess.run(command, check=True, env={**os.environ, "DOCKER_HOST": paths.docker_host()})
    shift.progress.say(f"the process in {pod['metadata']['name']} was killed")


KILLS: dict[str, Callable[[Shift], None]] = {"pod": _kill_pod, "process": _kill_process, "nothing": lambda shift: None}


def _empty(shift: Shift) -> tuple[object, str]:
    left = len(shift.api.items("configmaps", NS, f"{INBOX}=true"))
    return not left, f"{left} entries"


def _counted(shift: Shift, wanted: int) -> tuple[object, str]:
    statuses = [i.get("status") or {} for i in shift.api.items("incidents", NS)]
    told = sum(s.get("alerts", {}).get("count", 0) for s in statuses if not s.get("mergedInto"))
    return told >= wanted, f"{told} of {wanted}"


async def _homes() -> dict[str, int]:
    kube = await Kube.connect(str(paths.KUBECONFIG))
    try:
        found = await filings(kube, NS)
    finally:
        await kube.close()
    homes = Counter[str]()
    for ledger in found.ledgers.values():
        homes.update({alert.fingerprint for alert in (*ledger.alerts, *rolled_alerts(ledger))})
    return homes


def main() -> int:
    """0: it measured; 1 where a run failed; 2 where it cannot begin here."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.load.on_kind", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each of the two storms")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--kill", choices=sorted(KILLS), default="pod")
    options = parser.parse_args()
    size, runs, loads = storm.Size(seconds=options.seconds), list[dict[str, Any]](), [os.getloadavg()[0]]
    try:
        with session({NS, f"{NS}-ops"}) as pace, Client(pace) as client:
            for _ in range(options.repeat):
                shift = Shift(client, Progress(pace), NS, f"{NS}-ops")
                try:
                    runs.append(one_run(shift, size, options.kill))
                finally:
                    clear(shift)
                    wait_removed(client, shift.progress, (NS, f"{NS}-ops"))
                loads.append(os.getloadavg()[0])
                _save(runs)
    except (StageFailed, RuntimeError) as failure:
        print(f"FAILED {failure}", file=sys.stderr)
        return 1
    except Refused as refusal:
        print(f"load: {refusal}", file=sys.stderr)
        return REFUSED
    head = (
        f"opsloop under load on kind, {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}: {size.many} alerts on {size.services} services in"
        f" {size.seconds:.0f} s, then {size.one} on one in {size.seconds:.0f} s; {len(runs)} run(s), {os.cpu_count()} cores,"
        f" load average {' → '.join(f'{load:.1f}' for load in loads)}"
    )
    print("\n" + table.render(runs, head))
    return 0


def _save(runs: Sequence[dict[str, Any]]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    Path(FOLDER / "load-on-kind.json").write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
