"""Decisions on a Release: which revision is live, which one is the target, and how the canary moves."""
