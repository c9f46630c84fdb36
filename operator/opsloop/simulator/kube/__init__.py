"""Kubernetes in memory: stored objects, and the controllers that follow them."""
