"""From what was measured of the machine to the pace of a run: how far waits are stretched, how much load shoppers make.

Each of three figures is compared with a reference machine; the worst one decides. `machine.measure` takes them.
"""

from __future__ import annotations

from dataclasses import dataclass

LIMIT = 4.0  # a machine that is slower than the reference by more than this is refused
LEAST_LOAD = 0.5  # of the shoppers: below it the alerts by pod have too little to count
TWO_AT_ONCE = 1.4  # up to this factor two stories run side by side


class TooSlow(Exception):
    """The machine cannot carry a shift; the message says what was measured and what is needed."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured: the share of PROGRAM's work done in time, median seconds of a write, seconds of a pod's start."""

    cpu: float
    write: float
    pod: float


# A shift ran well on two shared cores at these figures; a quiet machine of that kind is better in all three.
REFERENCE = Speed(cpu=0.9, write=0.04, pod=3.0)


@dataclass(frozen=True, slots=True)
class Pace:
    """`deadlines` stretches every wait, `load` is the share of the shoppers' questions, `stories` run side by side."""

    deadlines: float = 1.0
    load: float = 1.0
    stories: int = 2

    def seconds(self, reference: float) -> float:
        """A deadline or a time-out of the reference machine, for this one."""
        return reference * self.deadlines


def slowness(speed: Speed) -> dict[str, float]:
    """How many times slower than the reference, by what was measured; below 1 is faster."""
    return {
        "CPU": REFERENCE.cpu / max(speed.cpu, 1e-9),
        "API writes": speed.write / REFERENCE.write,
        "pod starts": speed.pod / REFERENCE.pod,
    }


def judge(speed: Speed) -> Pace:
    """The pace for this machine, at least that of the reference. Raises TooSlow."""
    what, factor = max(slowness(speed).items(), key=lambda item: item[1])
    if factor > LIMIT:
        raise TooSlow(
            f"the machine is too slow: {what} are {factor:.1f} times slower than needed for a shift, at most "
            f"{LIMIT:g} times can be made up for ({describe(speed)}; the reference is {describe(REFERENCE)})"
        )
    factor = max(1.0, factor)
    return Pace(factor, max(LEAST_LOAD, 1 / factor), 2 if factor <= TWO_AT_ONCE else 1)


def describe(speed: Speed) -> str:
    """What was measured, for people."""
    return f"CPU {speed.cpu:.0%} of a shop's, API write {speed.write * 1000:.0f} ms, pod start {speed.pod:.1f} s"


def line(speed: Speed, pace: Pace) -> str:
    """The one line that a run prints."""
    share = 1 / max(slowness(speed).values())
    return (
        f"machine: {share:.1f} of the reference ({describe(speed)}), deadlines × {pace.deadlines:.1f}, "
        f"load × {pace.load:.1f}"
    )
