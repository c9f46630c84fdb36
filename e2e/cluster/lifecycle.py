"""Configure, create, check, repair and delete the cluster: one node, and an audit log."""

from __future__ import annotations

import json
import time
from pathlib import Path

from . import docker, engine, golang, node, paths, store
from .report import Step, capture, step

READY_SECONDS = 180
ANSWER_SECONDS = 20
CAP_SYS_RESOURCE = 24
NODE_AUDIT_POLICY = "/etc/kubernetes/audit"
NODE_AUDIT_LOG = "/var/log/kubernetes"

TEMPLATE = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: {name}
networking:
  disableDefaultCNI: {disable_cni}
  kubeProxyMode: nftables
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        audit-policy-file: {policy}/audit-policy.yaml
        audit-log-path: {log}/audit.log
        audit-log-maxsize: "20000"
      extraVolumes:
        - name: audit-policy
          hostPath: {policy}
          mountPath: {policy}
          readOnly: true
          pathType: Directory
        - name: audit-log
          hostPath: {log}
          mountPath: {log}
          readOnly: false
          pathType: Directory
    controllerManager:
      extraArgs:
        kube-api-qps: "500"
        kube-api-burst: "800"
    scheduler:
      extraArgs:
        kube-api-qps: "500"
        kube-api-burst: "800"
{kubelet_patch}nodes:
  - role: control-plane
    extraMounts:
      - hostPath: {host_policy}
        containerPath: {policy}
        readOnly: true
      - hostPath: {host_log}
        containerPath: {log}
"""
# The kubelet wants to lower OOM scores and set limits; this gate makes it go on when it may not.
KUBELET_PATCH = """\
  - |
    kind: KubeletConfiguration
    featureGates:
      KubeletInUserNamespace: true
"""


def kubectl(*words: str, timeout: float = 15) -> str | None:
    """Output of kubectl against our cluster, or None."""
    return capture([str(paths.KUBECTL), f"--kubeconfig={paths.KUBECONFIG}", *words], timeout=timeout)


def api_answers() -> bool:
    """Whether the API server says that it is ready."""
    return kubectl("get", "--raw=/readyz", "--request-timeout=5s") == "ok"


def up() -> None:
    """A cluster that works, whatever was there before."""
    engine.ensure()
    golang.ensure_tools()
    if not healthy():
        image = node.ensure()
        create(image)
    engine.weigh()
    with step("cluster ready", f"look with {paths.KUBECTL} --kubeconfig {paths.KUBECONFIG} get pods -A") as current:
        wait_ready(current)


def healthy() -> bool:
    """Whether the cluster can be kept; a half-made or broken one is deleted here."""
    if not docker.exists(paths.NODE):
        return False
    with step("existing cluster", f"delete it by hand: docker rm -f -v {paths.NODE}") as current:
        deadline = time.monotonic() + (ANSWER_SECONDS if docker.running(paths.NODE) else 0)
        while True:
            if not paths.KUBECONFIG.is_file():
                capture([str(paths.KIND), "export", "kubeconfig", "--name", paths.CLUSTER,
                         "--kubeconfig", str(paths.KUBECONFIG)])  # fmt: skip
            if api_answers():
                current.outcome = "answers"
                return True
            if time.monotonic() >= deadline:
                break
            time.sleep(1)
        delete(current)
        current.outcome = "does not answer, deleted"
    return False


def delete(current: Step) -> None:
    """Delete the cluster, its kubeconfig, and the volumes of a node that kind no longer knows."""
    current.run([paths.KIND, "delete", "cluster", "--name", paths.CLUSTER, "--kubeconfig", paths.KUBECONFIG])
    if docker.exists(paths.NODE):
        current.run(docker.docker("rm", "-f", "-v", paths.NODE))
    store.remove(paths.KUBECONFIG)


def create(image: str) -> None:
    """`kind create cluster` with an empty audit log."""
    with step("cluster", "the log has kubeadm's and kubelet's words; `down` then `up` starts afresh") as current:
        store.remove(paths.KUBECONFIG)
        for old in paths.AUDIT_LOG.parent.glob("audit*.log"):
            store.remove(old)
        written = configure(own_cni=not docker.online())
        command: list[str | Path] = [paths.KIND, "create", "cluster", "--name", paths.CLUSTER, "--image", image,
                   "--config", written, "--kubeconfig", paths.KUBECONFIG]  # fmt: skip
        current.run([*command, "--retain", "-v", "1"], timeout=600)
        current.outcome = "created"


def may_set_limits(status: str) -> bool:
    """Whether the capability CAP_SYS_RESOURCE is in a /proc/<pid>/status text."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return True


def configuration(*, own_cni: bool, limits: bool) -> str:
    """The configuration for this machine; `own_cni` when the node image brings a static network."""
    return TEMPLATE.format(
        name=paths.CLUSTER,
        disable_cni=str(own_cni).lower(),
        policy=NODE_AUDIT_POLICY,
        log=NODE_AUDIT_LOG,
        host_policy=paths.AUDIT / "policy",
        host_log=paths.AUDIT_LOG.parent,
        kubelet_patch="" if limits else KUBELET_PATCH,
    )


def configure(*, own_cni: bool) -> Path:
    """Write the configuration and the folders that it mounts; the configuration's path."""
    policy = paths.AUDIT / "policy"
    policy.mkdir(parents=True, exist_ok=True)
    paths.AUDIT_LOG.parent.mkdir(parents=True, exist_ok=True)
    source = paths.HERE / "audit-policy.yaml"
    (policy / source.name).write_text(source.read_text())
    limits = may_set_limits(Path("/proc/self/status").read_text())
    written = paths.CACHE / "kind.yaml"
    written.write_text(configuration(own_cni=own_cni, limits=limits))
    return written


def wait_ready(current: Step) -> None:
    """Wait for the node and CoreDNS; on time-out say what was seen."""
    started = time.monotonic()
    while True:
        conditions = state()
        if all(good for good, _ in conditions):
            break
        if time.monotonic() - started > READY_SECONDS:
            raise current.fail("not ready in time: " + "; ".join(text for _, text in conditions))
        time.sleep(0.5)
    current.outcome = "; ".join(text for _, text in conditions)


def state() -> list[tuple[bool, str]]:
    """What is true of the node and of CoreDNS right now."""
    return [
        condition("node", "Ready", kubectl("get", "node", paths.NODE, "-o", "json")),
        condition("CoreDNS", "Available", kubectl("-n", "kube-system", "get", "deployment", "coredns", "-o", "json")),
        pod_answers(),
    ]


def pod_answers() -> tuple[bool, str]:
    """Whether a CoreDNS pod answers the API server: conditions may be stale after a killed daemon."""
    service = "/api/v1/namespaces/kube-system/services/kube-dns:metrics/proxy/metrics"
    answer = kubectl("get", f"--raw={service}", "--request-timeout=5s")
    return (False, "no CoreDNS pod answers") if answer is None else (True, "a CoreDNS pod answers")


def condition(what: str, kind: str, answer: str | None) -> tuple[bool, str]:
    """Whether an object has a condition, and that in words."""
    if answer is None:
        return False, f"{what}: no answer"
    for entry in json.loads(answer).get("status", {}).get("conditions", []):
        if entry["type"] == kind:
            good = entry["status"] == "True"
            return good, f"{what} {kind}" if good else f"{what} not {kind}: {entry.get('message', '')}"
    return False, f"{what}: no condition {kind} yet"


def down() -> None:
    """Delete the cluster and stop what `up` started; the caches stay."""
    if engine.our_pid() is None and engine.has_containers():
        engine.ensure()  # our daemon was killed: only a running one can delete what it left
    ours = engine.our_pid() is not None
    host = paths.docker_host()
    if ours or (host != f"unix://{paths.SOCKET}" and engine.answers(host)):
        engine.use(host)
        with step("delete cluster") as current:
            current.outcome = "none there"
            if docker.exists(paths.NODE):
                golang.ensure_tools("kind")
                delete(current)
                current.outcome = "deleted"
            if ours:
                capture(docker.docker("network", "rm", "kind"))
    with step("stop engine", "see dockerd.log") as current:
        leftovers = engine.stop_daemon()
        current.outcome = "stopped" if ours else "none of ours ran"
        if leftovers:
            current.outcome += f", {leftovers} leftovers ended"
        for file in (paths.KUBECONFIG, paths.DOCKER_HOST_FILE, paths.PIDFILE, paths.SOCKET):
            store.remove(file)
