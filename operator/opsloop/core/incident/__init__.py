"""Decisions on an Incident: its life cycle, page, plays, cause and what follows from it."""
