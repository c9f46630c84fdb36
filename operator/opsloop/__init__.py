"""opsloop: closes the loop of operations support on Kubernetes (intake, detect, mitigate, learn, ship, verify)."""
