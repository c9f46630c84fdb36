"""The API server through kubernetes.aio: the only place that imports it."""

from opsloop.adapters.kube.kube import Kube
from opsloop.adapters.kube.transport import context_namespace

__all__ = ["Kube", "context_namespace"]
