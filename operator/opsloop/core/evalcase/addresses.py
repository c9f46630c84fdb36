"""Which ports of a pod's address are the pod's own."""

from collections.abc import Mapping
from typing import Any

Ports = frozenset[int] | None
"""None: all."""


def own_ports(spec: Mapping[str, Any]) -> Ports:
    """Ports on which something that listens is the pod's. With hostNetwork the address is the node's, on which others
    listen too (the kubelet, pods of other teams): then only ports that a container declares are."""
    if not spec.get("hostNetwork"):
        return None
    containers = spec.get("containers") or []
    return frozenset(port["containerPort"] for container in containers for port in container.get("ports") or [])


def may_ask(ports: Ports, port: int) -> bool:
    """True where a request to this port reaches the pod itself."""
    return ports is None or port in ports
