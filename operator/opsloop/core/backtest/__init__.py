"""What the operator would have done in the past: pages, deploys that it would have stopped, and how good the SLI is. Pure."""
