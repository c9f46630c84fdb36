"""Notifications: who is told (routing), in which words (formats, templates), and where a message leads (links)."""
