"""Weathers of services that need each other: whoever is read first is not always at fault."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from opsloop.simulator.manifests import FORMS
from opsloop.simulator.weather import DEPENDENCY, EVENT, Weather, begin, happen, new_version, service, sky

LOOSE: Final = 0.95
Part = tuple[float, float, float]
"""Seconds after the event, error ratio, seconds."""


def chain(seed: int, kind: str, parts: Sequence[Part], objective: float = LOOSE, rps: float | None = None) -> Weather:
    """Two services: the dependency errs in parts, against an objective of its own, and its caller passes it all on."""
    found = sky(seed, rps=rps, objective=0.99)
    weather = begin(seed, kind, found, [new_version(found, "v2", found.steady)], FORMS)
    other = sky(seed + 1_000_000, rps=max(found.rps, 1.0), objective=objective)
    weather.services = replace(weather.main, depends=(DEPENDENCY,)), service(other, [], DEPENDENCY)
    weather.live[DEPENDENCY] = "v1"
    for at, ratio, length in parts:
        text = f"{DEPENDENCY} fails {ratio:.0%} for {length:.0f} s"
        happen(weather, EVENT + at, text, lambda w, r=ratio, n=length: w.outage(DEPENDENCY, r, n))  # type: ignore[misc]
    weather.last_event = EVENT + max(at + length for at, _, length in parts)
    return weather


def caller_first(seed: int) -> Weather:
    """A dependency gets worse: its caller, whose objective is tighter, fires seconds or minutes before it.

    The first part takes the caller above its fastest page and the dependency not; the second one takes both.
    """
    random = sky(seed).random
    first, tells = random.uniform(0.3, 0.55), random.uniform(0, 300)
    fires = 14.4 * 0.01 * 3600 / first  # the caller's long window holds enough by then
    parts = [(0.0, first, fires + tells), (fires + tells, random.uniform(0.9, 1.0), random.uniform(600, 1500))]
    weather = chain(seed, "caller-first", parts, rps=random.uniform(20, 200))
    weather.alerts, weather.owes = False, frozenset({"one-alert"})
    return weather


KINDS: Final[dict[str, tuple[Callable[[int], Weather], int]]] = {"caller-first": (caller_first, 0)}
"""Not on the wheel of seeds, so that what a seed tells stays what it was: asked for by `--kind`."""
