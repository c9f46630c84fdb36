"""Canaries, promotions and rollbacks without opsloop, for a judge that only says yes or no.

They show what judgement is worth: the same world, the same scrapes, the same way of the pods; only who judges differs.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

from opsloop.names import CANARY
from opsloop.shell.ports import DEPLOYMENTS
from opsloop.simulator.burn import Counts, Objective, objectives
from opsloop.simulator.record import Record
from opsloop.simulator.scraping import EVERY
from opsloop.simulator.service import Service, Tally
from opsloop.simulator.weather import HOLDS, Weather
from opsloop.simulator.world import NS, World, image

WEIGHTS = (20, 50)


@dataclass(slots=True)
class Side:
    """What scrapes have shown of one objective, by version and in all."""

    objective: Objective
    all: Counts
    versions: dict[str, Counts] = field(default_factory=dict)


@dataclass(slots=True)
class Sight:
    """What scrapes have shown of one service."""

    service: Service
    live: str  # at the beginning
    harmful: frozenset[str]  # only the perfect judge looks at this
    now: float = 0.0
    sides: tuple[Side, ...] = field(init=False)
    unserved: float = 0.0  # seconds for which no pod has been there

    def __post_init__(self) -> None:
        rate, version = self.service.wave.mean, self.service.versions[self.live]
        self.sides = tuple(Side(one, Counts(rate, one.ratio(version))) for one in objectives(self.service))

    def see(self, tallies: list[Tally]) -> None:
        """Scrapes of the last interval."""
        for tally in tallies:
            for side in self.sides if tally.version else ():
                bad = side.objective.bad(tally)
                side.all.add(tally.at, bad, tally.total)
                counts = side.versions.setdefault(tally.version, Counts(0.0, 0.0))
                counts.add(tally.at, bad, tally.total)

    @property
    def fires(self) -> bool:
        """True where a paging tier of any objective burns over both of its windows."""
        return any(side.all.fires(self.now, side.objective.budget) for side in self.sides)


class Judge(Protocol):
    """Answers at every scrape. `live` and `canary` are versions."""

    def canary_is_bad(self, sight: Sight, canary: str, live: str) -> bool:
        """True: take it out of traffic and block it."""
        ...

    def may_go_on(self, sight: Sight, canary: str) -> bool:
        """True: the next step, when the hold is over."""
        ...

    def live_is_bad(self, sight: Sight, live: str) -> bool:
        """True: put back what was live before."""
        ...

    def calls(self, sight: Sight) -> bool:
        """True: page a person, unless one was paged for this stretch."""
        ...


@dataclass(slots=True)
class _Canary:
    version: str
    step: int = -1
    since: float = 0.0


@dataclass(slots=True)
class _Shop:
    sight: Sight
    live: str
    good: str
    canary: _Canary | None = None
    blocked: set[str] = field(default_factory=set)
    read: int = 0
    paged_until: float = -math.inf
    shipped: str = ""
    promoting: str = ""


class Mechanics:
    """In the place of opsloop: `look` is called after each step of the world."""

    def __init__(self, world: World, weather: Weather, judge: Judge, record: Record) -> None:
        self._world, self._judge, self._record = world, judge, record
        self._shops = {}
        for service in weather.services:
            harmful = frozenset(v.name for v in service.versions.values() if v.harm)
            live = weather.live[service.name]
            sight = Sight(service, live, harmful)
            self._shops[service.name] = _Shop(sight, live, live)
        self.failures: list[str] = []

    def ship(self, service: str, version: str) -> None:
        """The Release asks for a version."""
        shop = self._shops[service]
        shop.shipped = version
        if version in shop.blocked or version == self._world.live(service):
            return
        self._end(service, shop, "Cancelled")
        shop.canary = _Canary(version)
        self._record.target(service, version, version, "Dark", "", "")
        self._scale(service, version, self._pods(service, 0))

    def look(self) -> None:
        """One step of the world has passed."""
        for name, shop in self._shops.items():
            self._follow(name, shop)
            if int(self._world.now()) % EVERY == 0:
                self._read(name, shop)
                self._decide(name, shop)

    def _follow(self, name: str, shop: _Shop) -> None:
        live = self._world.live(name)
        if live != shop.live:
            if live != shop.promoting and shop.canary:
                self._end(name, shop, "Cancelled")
            shop.good, shop.live = shop.live if shop.live not in shop.blocked else shop.good, live
        canary = shop.canary
        if canary is None:
            return
        serving = [version for _, version in self._world.pods_of(name)]
        if canary.version == shop.promoting:
            if set(serving) == {canary.version} and len(serving) >= self._replicas(name):
                self._record.target(name, canary.version, canary.version, "Promoted", "Promoted", "")
                self._scale(name, "", 0)
                shop.canary, shop.promoting = None, ""
        elif canary.step == -1 and canary.version in serving:
            canary.step, canary.since = 0, self._world.now()
            self._record.target(name, canary.version, canary.version, "Stepping", "", "")

    def _read(self, name: str, shop: _Shop) -> None:
        tallies = self._world.traffic[name].tallies
        shop.sight.now = self._world.now()
        served = any(version for _, version in self._world.pods_of(name))
        shop.sight.unserved = 0.0 if served else shop.sight.unserved + EVERY
        if not self._world.scraper.weakness.down:
            shop.sight.see(tallies[shop.read :])
        shop.read = len(tallies)

    def _decide(self, name: str, shop: _Shop) -> None:
        judge, sight, canary, now = self._judge, shop.sight, shop.canary, self._world.now()
        if judge.calls(sight):
            if now > shop.paged_until:
                self._record.paged({"incident": f"{name}-{now:.0f}", "dedup_key": f"{now:.0f}", "title": "burns"})
            shop.paged_until = now + 600
        if canary and canary.step >= 0 and not shop.promoting and judge.canary_is_bad(sight, canary.version, shop.live):
            shop.blocked.add(canary.version)
            self._record.blocked(name, canary.version, "Judged")
            self._end(name, shop, "Rejected")
        elif canary and canary.step >= 0 and not shop.promoting:
            self._advance(name, shop, canary)
        elif shop.good != shop.live and judge.live_is_bad(sight, shop.live):
            self._record.rolled_back(name, shop.live, shop.good)
            self._record.blocked(name, shop.live, "RolledBack")
            shop.blocked.add(shop.live)
            if canary:
                self._end(name, shop, "Cancelled")
            back, shop.live = shop.good, shop.good
            self._world.push(name, back, "mechanics")

    def _advance(self, name: str, shop: _Shop, canary: _Canary) -> None:
        over = self._world.now() - canary.since >= HOLDS[canary.step]
        if not over or not self._judge.may_go_on(shop.sight, canary.version):
            return
        canary.step, canary.since = canary.step + 1, self._world.now()
        if canary.step < len(WEIGHTS):
            self._scale(name, canary.version, self._pods(name, canary.step))
            return
        shop.promoting = canary.version
        self._record.target(name, canary.version, canary.version, "Promoting", "", "")
        shop.good, shop.live = shop.live, canary.version
        self._world.push(name, canary.version, "mechanics")

    def _end(self, name: str, shop: _Shop, state: str) -> None:
        if shop.canary is not None:
            self._record.target(name, shop.canary.version, shop.canary.version, state, "Judged", "")
            self._scale(name, "", 0)
        shop.canary, shop.promoting = None, ""

    def _replicas(self, name: str) -> int:
        return int(self._world.get(DEPLOYMENTS, name)["spec"].get("replicas", 1))

    def _pods(self, name: str, step: int) -> int:
        weight = WEIGHTS[step]
        return max(1, round(weight * self._replicas(name) / (100 - weight)))

    def _scale(self, name: str, version: str, pods: int) -> None:
        """The canary Deployment; none where there are no pods in it."""
        canary = f"{name}-canary"
        if not pods:
            self._world.cluster.remove(DEPLOYMENTS, NS, canary)
            return
        labels = {"app": name, CANARY: name}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": name, "image": image(version)}]},
        }
        spec = {"replicas": pods, "selector": {"matchLabels": {CANARY: name}}, "template": template}
        meta = {"name": canary, "namespace": NS, "labels": {CANARY: name}}
        self._world.cluster.seed({"kind": "Deployment", "metadata": meta, "spec": spec})
