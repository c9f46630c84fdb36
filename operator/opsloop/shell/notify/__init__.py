"""Pages and Kubernetes Events."""
