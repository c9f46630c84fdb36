"""Weathers: what a seed says of services, versions, and of what happens to them.

Each weather has one kind, which is its main event, half an hour after the beginning; around it things vary at random.
An hour after the last event a fix is shipped, which must go through whatever happened before.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from opsloop.simulator.kube.pods import Image
from opsloop.simulator.service import Service, Version
from opsloop.simulator.traffic import Bursts, Wave
from opsloop.simulator.world import World

MAIN: Final = "answers"
DEPENDENCY: Final = "catalog"
EVENT: Final = 1800.0  # seconds from the beginning to the main event
CALM: Final = 3600.0  # from the last event to the fix
END: Final = 3600.0  # from the fix to the end
HOLDS: Final = (300.0, 300.0)
WEIGHTS: Final = (20, 50)  # percent, of the steps with these holds
PAGE_FACTOR: Final = 14.4


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens to the world."""

    at: float
    text: str
    do: Callable[[World], None]


@dataclass(slots=True)
class Weather:
    """One episode. `multiple`: by how much a shipped version errs more than live, where that is its point."""

    seed: int
    kind: str
    start: datetime
    services: tuple[Service, ...]
    live: dict[str, str]
    form: str
    happenings: list[Happening] = field(default_factory=list)
    multiple: float = 0.0
    last_event: float = EVENT
    severity: str = "critical"  # of its alerts
    alerts: bool = True
    stuck: bool = False
    labelled: bool = True
    outage: tuple[float, float, float] | None = None  # (from, error ratio, seconds) of one that hits everybody
    owes: frozenset[str] = (
        frozenset()
    )  # figures that depend on the kind: promoted, promoted-in-time, mitigated, no-page, one-alert
    blind: tuple[float, float] | None = None  # (from, to) of a time without Prometheus
    handicap: float = 0.0  # seconds in which nobody could act: the operator or the API server was away
    fix_by_push: bool = False  # the fix is not shipped by the Release

    @property
    def compared(self) -> bool:
        """A harmful version is put before users in a way that a judge without opsloop can follow."""
        return self.kind.endswith(("bad-release", "bad-push", "slow-push", "slight-push"))

    @property
    def main(self) -> Service:
        """The service that the weather is about."""
        return self.services[0]

    @property
    def fix_at(self) -> float:
        """When the fix is shipped."""
        return self.last_event + CALM

    @property
    def horizon(self) -> float:
        """End of the episode."""
        return self.fix_at + END

    def harmful(self, service: str, version: str) -> bool:
        """What the oracle says of a version."""
        found = next(s for s in self.services if s.name == service)
        return found.versions[version].harm if version in found.versions else False


@dataclass(slots=True)
class Sky:
    """The random parts that every weather has."""

    random: Random
    rps: float
    objective: float
    normal: float  # error ratio without any trouble, bursts included
    bursts: Bursts
    replicas: int
    swing: float
    starts: float

    @property
    def budget(self) -> float:
        """Accepted error ratio."""
        return round(1 - self.objective, 12)

    @property
    def steady(self) -> float:
        """The error ratio of a healthy version without the bursts."""
        hourly = self.rps * 3600
        return max(0.0, self.normal - self.bursts.per_hour * 33 / hourly) if hourly else self.normal


Kind = Callable[[Sky, Weather], None]
"""Adds versions and happenings to the weather of a kind."""


def sky(seed: int, rps: float | None = None, objective: float | None = None, normal: float | None = None) -> Sky:
    """What the seed says of users and errors; given values are kept. `normal` is a share of the budget."""
    random = Random(f"weather {seed}")
    drawn_rps = 10 ** random.uniform(-1, 3)
    drawn_objective = random.choices((0.99, 0.999, 0.95), (6, 3, 1))[0]
    drawn_normal = random.uniform(0, 0.8)
    used_rps = drawn_rps if rps is None else rps
    used_objective = drawn_objective if objective is None else objective
    budget = 1 - used_objective
    ratio = (drawn_normal if normal is None else normal) * budget
    clumped = random.random() < 0.4
    share = random.uniform(0, 0.4) * ratio if clumped else 0.0
    per_hour = min(4.0, share * used_rps * 3600 / 33)
    bursts = Bursts(per_hour=per_hour)
    return Sky(
        random, used_rps, used_objective, ratio, bursts, random.choice((2, 3, 4, 4, 6, 8, 10)), random.uniform(0, 0.6),
        random.choice((5.0, 10.0, 20.0, 40.0)),
    )  # fmt: skip


def service(found: Sky, versions: list[Version], name: str = MAIN, depends: tuple[str, ...] = ()) -> Service:
    """The service of a sky; healthy versions v1 and the fix `v9` are there always.

    The fix errs no more than any version that it may be compared with: one that errs five times as much as a better live
    version, if within the budget, may be rejected.
    """
    base = Version("v1", found.steady, image=Image(found.starts))
    fix = Version("v9", min([found.steady, *(v.errors for v in versions)]), image=Image(found.starts))
    named = {v.name: v for v in (base, *versions, fix)}
    wave = Wave(found.rps, found.swing, found.random.uniform(0, 24))
    return Service(name, wave, named, found.objective, found.replicas, found.bursts, depends)


def new_version(found: Sky, name: str, errors: float, harm: bool = False) -> Version:
    """A version that starts as the sky says."""
    return Version(name, errors, harm, image=Image(found.starts))


def push(weather: Weather, at: float, version: str, manager: str = "kubectl-set") -> None:
    """Somebody changes the Deployment past its Release."""
    text = f"{manager} pushes {version} to {MAIN}"
    weather.happenings.append(Happening(at, text, lambda world: world.push(MAIN, version, manager)))


def ship(weather: Weather, at: float, version: str) -> None:
    """Somebody changes the Release."""
    text = f"the Release {MAIN} asks for {version}"
    weather.happenings.append(Happening(at, text, lambda world: world.ship(MAIN, version)))


def happen(weather: Weather, at: float, text: str, do: Callable[[World], None]) -> None:
    """Anything else."""
    weather.happenings.append(Happening(at, text, do))


def begin(seed: int, kind: str, found: Sky, versions: list[Version], forms: tuple[str, ...]) -> Weather:
    """A weather before anything happens in it."""
    random = found.random
    start = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=random.randrange(86_400) // 60 * 60)
    made = service(found, versions)
    alerts = random.random() < 0.6
    severity = random.choice(("critical", "critical", "warning"))
    form = Random(f"form {seed}").choice(forms)  # its own, so that one form more changes nothing else
    return Weather(
        seed, kind, start, (made,), {MAIN: "v1"}, form, alerts=alerts, severity=severity
    )  # fmt: skip
