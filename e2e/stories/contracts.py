"""The contract suites against the real API server and a real Prometheus, and promtool on the demo's rules."""

from __future__ import annotations

import subprocess

from e2e.cluster import golang, paths
from e2e.drill.prepare import apply_crds, clear, manifests, wait_available
from e2e.drill.shift import Shift
from e2e.harness.client import Client, environment
from e2e.harness.progress import StageFailed
from e2e.harness.session import make_namespace, wait_removed
from e2e.stories.shifts import story_shift

SUITES = ("tests/contract", "tests/entry/test_watches.py")
SUITE_SECONDS = 900.0  # five minutes on a quiet machine


def real_world(api: Client, name: str, seed: int) -> None:
    """The same suites that run against the fakes in `make unit`, now against what they stand for."""
    shift = story_shift(api, name, seed)
    clear(shift)
    wait_removed(api, shift.progress, (shift.namespace, shift.ops))
    make_namespace(api, shift.namespace)
    apply_crds(api)
    api.kubectl("apply", "-f", "-", text=manifests(shift))
    wait_available(api, shift.progress, shift.namespace, "prometheus", 120)
    _promtool(shift)
    golang.build("victoriametrics")  # a minute, the first time: its suite runs only where that was done
    variables = {
        **environment(),
        "OPSLOOP_CONTRACT_KUBECONFIG": str(paths.KUBECONFIG),
        "OPSLOOP_PROMETHEUS_URL": f"{api.base}/api/v1/namespaces/{shift.namespace}/services/prometheus:9090/proxy",
    }
    command = [str(paths.REPO / ".venv" / "bin" / "python"), "-m", "pytest", "-rfEs", *SUITES]
    limit = api.pace.seconds(SUITE_SECONDS)
    done = subprocess.run(
        command, cwd=paths.REPO, env=variables, capture_output=True, text=True, timeout=limit, check=False
    )
    log = paths.LOGS / "contracts.log"
    log.write_text(done.stdout + done.stderr)
    if done.returncode or (skips := unexpected_skips(done.stdout)):
        failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        seen = (
            "\n".join(failed or done.stdout.splitlines()[-15:])
            if done.returncode
            else f"skipped, though all is at hand: {skips}"
        )
        raise StageFailed(f"contract suites ended with {done.returncode}: {seen}\nall of it is in {log}")
    shift.progress.say(f"contract suites against the real world: {done.stdout.strip().splitlines()[-1]}")
    clear(shift)


def unexpected_skips(output: str) -> list[str]:
    """Lines of pytest's `-rs` that skip a real thing. What only a fake lacks, and IPv6 of this machine, may be skipped."""
    expected = (": the fake ", "this machine has no IPv6")
    lines = [line for line in output.splitlines() if line.startswith("SKIPPED")]
    return [line for line in lines if not any(reason in line for reason in expected)]


def _promtool(shift: Shift) -> None:
    pod = shift.api.items("pods", shift.namespace, "app=prometheus")[0]["metadata"]["name"]
    promtool = ("exec", pod, "--", "promtool", "check", "config", "/etc/prometheus/prometheus.yml")
    shift.api.kubectl("-n", shift.namespace, *promtool)
    written = (
        "-m",
        "opsloop",
        "slo",
        "rules",
        "-n",
        shift.namespace,
        "-f",
        str(paths.REPO / "docs" / "examples" / "release.yaml"),
    )
    environ = {**environment(), "PYTHONPATH": str(paths.REPO / "operator")}
    python = str(paths.REPO / ".venv" / "bin" / "python")
    rules = subprocess.run(
        [python, *written], env=environ, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    shift.api.kubectl(
        "-n", shift.namespace, "exec", "-i", pod, "--", "promtool", "check", "rules", "/dev/stdin", text=rules
    )
    shift.progress.say("promtool accepts the demo's configuration and rules, and those of opsloop slo rules")
