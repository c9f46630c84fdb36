"""The pipeline of every kind: observe, decide, apply."""
