"""The API server through kubernetes.aio: the only place that imports it."""

from opsloop.adapters.kube.kube import Kube

__all__ = ["Kube"]
