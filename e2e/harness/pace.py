"""How a run follows the machine: deadlines, load, stories side by side. `machine.judge` chooses it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """`deadlines` stretches every wait, `load` is the share of the shoppers' questions, `stories` run side by side."""

    deadlines: float = 1.0
    load: float = 1.0
    stories: int = 2

    def seconds(self, wanted: float) -> float:
        """A deadline or a time-out of the reference machine, for this one."""
        return wanted * self.deadlines
