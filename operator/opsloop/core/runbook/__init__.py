"""Decisions on a Runbook: which requested plays may run, and whether any ever could."""
