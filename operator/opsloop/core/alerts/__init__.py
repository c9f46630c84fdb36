"""Alerts: the service an alert is about, and the ledger of an Incident's alerts."""
