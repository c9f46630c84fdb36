"""Tickets: triage, links to Incidents, and the queue of those that wait."""
