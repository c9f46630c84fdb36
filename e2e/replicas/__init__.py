"""Senders of alerts for opsloop with two replicas."""
