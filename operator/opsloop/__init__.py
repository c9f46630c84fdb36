"""opsloop: a Kubernetes operator that closes the loop from intake to a verified fix."""
