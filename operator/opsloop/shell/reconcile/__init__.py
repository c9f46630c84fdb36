"""Reconciling one object: observe, decide, apply."""
