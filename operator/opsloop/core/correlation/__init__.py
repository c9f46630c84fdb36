"""Correlation: which Incident each alert, ticket and burn belongs to."""
