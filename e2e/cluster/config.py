"""The kind configuration: one node, an audit log, and control plane clients that are no bottleneck."""

from __future__ import annotations

from pathlib import Path

from . import paths

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


def may_set_limits(status: str) -> bool:
    """Whether the capability CAP_SYS_RESOURCE is in a /proc/<pid>/status text."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return True


def text(*, own_cni: bool, limits: bool) -> str:
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


def prepare(*, own_cni: bool) -> Path:
    """Write the configuration and the folders that it mounts; the configuration's path."""
    policy = paths.AUDIT / "policy"
    policy.mkdir(parents=True, exist_ok=True)
    paths.AUDIT_LOG.parent.mkdir(parents=True, exist_ok=True)
    source = paths.HERE / "audit-policy.yaml"
    (policy / source.name).write_text(source.read_text())
    limits = may_set_limits(Path("/proc/self/status").read_text())
    written = paths.CACHE / "kind.yaml"
    written.write_text(text(own_cni=own_cni, limits=limits))
    return written
