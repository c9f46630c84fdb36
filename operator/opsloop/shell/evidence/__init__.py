"""Gathers the evidence of one shift. Each source stands alone: one that fails is `Missing`, the rest is judged."""

from opsloop.shell.evidence.gather import gather
from opsloop.shell.evidence.sources import Address, Sources

__all__ = ["Address", "Sources", "gather"]
