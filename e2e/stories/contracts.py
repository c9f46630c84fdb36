"""The contract suites against the real API server and a real Prometheus, and promtool on the demo's rules."""

from __future__ import annotations

import os
import subprocess

from e2e.api import Api, kubectl
from e2e.cluster import paths
from e2e.drill.prepare import clear
from e2e.drill.progress import Progress, StageFailed
from e2e.drill.shift import CRDS, Shift, manifests

SUITES = ("tests/contract", "tests/entry/test_watches.py")


def real_world(api: Api, name: str, seed: int) -> None:
    """The same suites that run against the fakes in `make unit`, now against what they stand for."""
    shift = Shift(api, Progress(prefix=f"{name:<12} "), name, f"{name}-ops", seed)
    clear(shift)
    kubectl("create", "namespace", shift.namespace)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    kubectl("apply", "-f", "-", text=manifests(shift))
    kubectl("-n", shift.namespace, "rollout", "status", "deployment/prometheus", "--timeout=120s", seconds=130)
    _promtool(shift)
    environment = {
        **os.environ,
        "OPSLOOP_CONTRACT_KUBECONFIG": str(paths.KUBECONFIG),
        "OPSLOOP_PROMETHEUS_URL": f"{api.base}/api/v1/namespaces/{shift.namespace}/services/prometheus:9090/proxy",
    }
    command = [str(paths.REPO / ".venv" / "bin" / "python"), "-m", "pytest", "-q", "-rs", *SUITES]
    done = subprocess.run(
        command, cwd=paths.REPO, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    tail = "\n".join(done.stdout.strip().splitlines()[-15:])
    if done.returncode or "skipped" in tail:
        raise StageFailed(f"contract suites (a skip is a failure here):\n{tail}\n{done.stderr[-2000:]}")
    shift.progress.say(f"contract suites against the real world: {tail.splitlines()[-1]}")
    clear(shift)


def _promtool(shift: Shift) -> None:
    pod = shift.api.items("pods", shift.namespace, "app=prometheus")[0]["metadata"]["name"]
    for check in (["check", "config", "/etc/prometheus/prometheus.yml"],):
        kubectl("-n", shift.namespace, "exec", pod, "--", "promtool", *check)
    shift.progress.say("promtool accepts the demo's configuration and rules")
