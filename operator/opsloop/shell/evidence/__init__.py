"""Gathers the evidence of one shift. Each source stands alone: what cannot be had is `Missing`, the rest is judged."""

from opsloop.shell.evidence.gather import gather
from opsloop.shell.evidence.sources import Address, PodProber, World

__all__ = ["Address", "PodProber", "World", "gather"]
