"""Requests that a service recorded itself: read from logs and traces, redacted, and asked of two revisions."""
