"""Causes on samples: which change is named for the harm, and how surely, at the tick on which a tier fires.

A sample is one service on one day: traffic of 1 to 1,000 requests/s, its usual errors of 0 to 80 % of the budget, bursts of
bad requests, objective 99 or 99.9 %, scrapes every 15 s, the default tier of 1h & 5m, and changes that do no harm. A change
takes its time: pods start, and replace the others one by one while both serve; half of them went through a canary first.
Then harm begins: by an outage that nobody changed anything for, at once or growing; or by a release. What opsloop is told of
changes is late by up to ten seconds. Nothing here knows the constants that are judged.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from opsloop.api.meta import ObjectMeta
from opsloop.api.release import Release, ReleaseSpec, ReleaseStatus, WorkloadRef
from opsloop.api.revision import Revision
from opsloop.core.facts import ReleaseView
from opsloop.core.incident.cause import began, explain, is_over_now
from opsloop.core.incident.side_by_side import Stretch, side_by_side
from opsloop.core.incident.weights import WEIGHTS, Weights
from opsloop.core.readings import Harm, Interval, Readings, SideBySide, Verdict
from opsloop.core.slo.burn_rate import WITHIN_OBJECTIVE
from opsloop.core.statistics.evidence import Interval as PairCounts
from opsloop.core.topology import Topology
from opsloop.simulator.traffic import Bursts, counts

SCRAPE, HISTORY, BUCKET = 15, 2 * 3600, 60  # seconds
FACTOR, FEWEST = 14.4, 5  # of the default tier, and minBadEvents
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
LONGEST = 3600  # seconds of harm within which a tier fires, or it never does
SHORT = ("after a short smoulder", "near in a smoulder", "a smoulder alone")
WATCHED = "near, watched"
NOBODY = ("outage", "near", WATCHED, "near in a smoulder", "a smoulder alone")
LATE_LOOKS = 600  # seconds after the end of a watched outage, in which its windows drain


@dataclass(frozen=True)
class Change:
    """A change: its template was written at `written`; pods took users from `first` to `full` (seconds of the history).

    `tried` seconds before, a canary of it began to serve a fifth of the users; 0 without one. Told `lag` seconds late.
    """

    service: str
    version: str
    written: float
    first: float
    full: float
    pods: int
    tried: float = 0.0
    lag: float = 0.0

    def share(self, at: float) -> float:
        """The share of users that meet it."""
        if at >= self.first:
            done = 1.0 if self.full <= self.first else min(1.0, (at - self.first) / (self.full - self.first))
            return min(1.0, (math.floor(done * self.pods) + 1) / self.pods)
        return 0.2 if self.tried and at >= self.written - self.tried else 0.0


@dataclass(frozen=True)
class Weather:
    """What is going to happen; times in seconds since the beginning of the history."""

    rps: float
    objective: float
    usual: float  # error ratio
    harm: float  # error ratio in addition, of all or of who meets the guilty change
    begins: float
    grows: float  # seconds over which an outage grows
    lasts: float
    bursts: Bursts
    smoulder: float  # error ratio in addition, from `smoulders` on
    smoulders: float
    earlier: tuple[float, float]  # an outage that was over before
    guilty: Change | None
    changes: tuple[Change, ...]
    strain: float = 1.0  # factor on the traffic while there is harm: clients try again

    @property
    def gap(self) -> float:
        """Seconds from the template of the youngest harmless change of the service itself to the harm."""
        own = [self.begins - c.written for c in self.changes if c.service == "answers" and c is not self.guilty]
        return min(own, default=math.inf)


def at(seconds: float) -> datetime:
    """The time so many seconds after the beginning of the history."""
    return START + timedelta(seconds=seconds)


def change(random: Random, version: str, written: float, service: str = "answers") -> Change:
    """A change whose pods start in 5 to 60 s and are replaced within 5 minutes; half of them after a canary."""
    pods = random.choice((2, 3, 4, 4, 6, 8, 10))
    first = written + math.exp(random.uniform(math.log(5), math.log(60)))
    tried = random.uniform(600, 2400) if random.random() < 0.5 else 0.0
    return Change(
        service, version, written, first, first + random.uniform(0, 300), pods, tried, random.uniform(0, 10)
    )  # fmt: skip


def weather(random: Random, kind: str) -> Weather:
    """outage: nobody's change, a harmless one at any time in the hour before; near: within ten minutes of it. prompt,
    late and growing: a release; and a release after a smoulder or an earlier outage. A short smoulder: of one to three
    budgets for 5 to 30 minutes; before a release, before near, and with a harmless push into it after which nothing comes.
    found late: a release that errs so little above the factor that the tier fires after most of an hour. both: a release, and
    within a minute a harmless one of a service that it depends on; silent: that one is to blame, by its answers alone."""
    objective = random.choice((0.95, 0.99, 0.999) if kind == "found late" else (0.99, 0.999))
    budget, begins = 1 - objective, HISTORY + random.uniform(0, SCRAPE)
    harm = math.exp(random.uniform(math.log(2 * FACTOR * budget), math.log(0.95)))
    if kind == "found late":
        harm = min(0.98, FACTOR * budget * random.uniform(1.1, 1.5))
    guilty, lasts = None, math.exp(random.uniform(math.log(60), math.log(900 if kind == WATCHED else 3600)))
    grows = random.choice((0.0, random.uniform(0, 300)))
    most = 600 if kind in ("near", WATCHED, "near in a smoulder") else 3600
    number = 1 if kind in NOBODY else random.choice((0, 1, 1, 2))
    changes = [change(random, f"harmless-{n}", begins - random.uniform(0, most)) for n in range(number)]
    if random.random() < 0.5:
        changes.append(change(random, "harmless", begins - random.uniform(0, 3600), "catalog"))
    if kind not in NOBODY:
        guilty = change(random, "bad", 0.0)
        guilty = _moved(guilty, begins - (random.expovariate(1 / 1200) if kind == "late" else random.uniform(0, 30)))
        lasts = math.inf
        grows = random.uniform(300, 2700) if kind == "growing" else 0.0
        changes = [c for c in changes if c.service != "answers" or c.written < guilty.written - 300] + [guilty]
    if kind in ("both", "silent") and guilty is not None:
        changes = [change(random, "harmless", guilty.written + random.uniform(-60, 60), "catalog"), guilty]
        if kind == "silent":
            guilty = replace(guilty, service="catalog")
            changes = [change(random, "harmless", guilty.written + random.uniform(-60, 60)), guilty]
    rps, usual = math.exp(random.uniform(0, math.log(1000))), budget * random.uniform(0, 0.8)
    bursts, smoulders = Bursts(per_hour=random.choice((0, 1, 4))), 0.0
    smoulder = budget * random.uniform(0.3, 0.9) if kind == "after a smoulder" else 0.0
    if kind in SHORT:
        smoulder, smoulders = budget * random.uniform(1, 3) - usual, begins - random.uniform(300, 1800)
    if kind == "a smoulder alone":
        harm, changes = 0.0, [change(random, "harmless", random.uniform(smoulders, begins))]
    return Weather(
        rps=rps,
        objective=objective,
        usual=usual,
        harm=harm,
        begins=begins,
        grows=grows,
        lasts=lasts,
        bursts=bursts,
        smoulder=smoulder,
        smoulders=smoulders,
        earlier=(begins - 2400, begins - 1800) if kind == "after an outage" else (0.0, 0.0),
        guilty=guilty,
        changes=tuple(sorted(changes, key=lambda c: c.written)),
        strain=random.uniform(1.0, 1.5) if kind == "found late" else 1.0,
    )


def _moved(bad: Change, first: float) -> Change:
    """The guilty change with its first users at `first`; without a canary, which would have shown it."""
    shift = first - bad.first
    return Change(bad.service, bad.version, bad.written + shift, first, bad.full + shift, bad.pods, 0.0, bad.lag)


@dataclass
class Sky:
    """The scrapes of a weather so far: (bad, total) of each interval, whole and of the pods of the youngest change."""

    random: Random
    weather: Weather
    seen: list[tuple[int, int]] = field(default_factory=list)
    new: list[tuple[int, int]] = field(default_factory=list)

    @property
    def now(self) -> float:
        """End of the last interval."""
        return len(self.seen) * float(SCRAPE)

    def scrape(self) -> None:
        """The next interval."""
        w, middle = self.weather, self.now + SCRAPE / 2
        share = self._young.share(middle) if self._young else 0.0
        common = w.usual + (w.smoulder if middle >= w.smoulders else 0.0)
        common += 0.5 if w.earlier[0] <= middle < w.earlier[1] else 0.0
        own, strain = common, 1.0
        if w.begins <= middle < w.begins + w.lasts:
            grown = min(1.0, (middle - w.begins) / w.grows) if w.grows else 1.0
            strain = w.strain
            if w.guilty is not None and w.guilty.service == "answers":
                own += w.harm * grown
            else:
                own = common = common + w.harm * grown * (w.guilty.share(middle) if w.guilty else 1.0)
        ratio = common + (own - common) * share if w.guilty is not None else common
        (count,) = counts(self.random, SCRAPE, w.rps * strain, [min(ratio, 1.0)], w.bursts)
        self.seen.append((count.bad, count.total))
        total = _binomial(self.random, count.total, share)
        of_bad = share * min(own, 1.0) / ratio if ratio > 0 else 0.0
        self.new.append((min(total, _binomial(self.random, count.bad, min(1.0, of_bad))), total))

    @property
    def _young(self) -> Change | None:
        own = [c for c in self.weather.changes if c.service == "answers"]
        return own[-1] if own else None

    def fires(self) -> bool:
        """The tier of an hour and five minutes."""
        limit = FACTOR * (1 - self.weather.objective)
        long, short = self.seen[-3600 // SCRAPE :], self.seen[-300 // SCRAPE :]
        bad, total = sum(b for b, _ in long), sum(t for _, t in long)
        few, all_ = sum(b for b, _ in short), sum(t for _, t in short)
        return bad >= FEWEST and bad > limit * total and few > limit * all_

    def readings(self, status: ReleaseStatus) -> Readings:
        """Intervals of four scrapes since 90 minutes before the harm, and both revisions while they served side by side."""
        size, end, series = BUCKET // SCRAPE, len(self.seen), []
        since = int(max(self.now - self.weather.begins, 0)) // SCRAPE
        for last in range(end, max(0, end - 90 * 60 // SCRAPE - since), -size):
            part = self.seen[max(0, last - size) : last]
            bad, total = sum(b for b, _ in part), sum(t for _, t in part)
            series.append(Interval(at((last - size) * SCRAPE), at(last * SCRAPE), bad, total))
        series.reverse()
        intervals, both = tuple(series), side_by_side(status, at(self.now))
        both = both and both.since(began(intervals)[1])
        return Readings(harm=Harm(intervals, self._split(both) if both else None))

    def _split(self, both: Stretch) -> SideBySide:
        """Whole intervals of four scrapes in which both revisions served."""
        first, last = (math.ceil((when - START).total_seconds() / SCRAPE) for when in (both.start, both.end))
        size, found = BUCKET // SCRAPE, []
        for begin in range(first, last - size + 1, size):
            bad, total = (sum(pair[n] for pair in self.new[begin : begin + size]) for n in (0, 1))
            all_bad, whole = (sum(pair[n] for pair in self.seen[begin : begin + size]) for n in (0, 1))
            found.append(
                PairCounts(
                    begin, begin + size, min(bad, total), total, min(all_bad - bad, whole - total), whole - total
                )
            )
        return SideBySide(both.own.digest, both.other.digest, tuple(found))


def _binomial(random: Random, number: int, share: float) -> int:
    """A binomial variate; the normal one where numbers are large."""
    if share <= 0 or share >= 1 or number == 0:
        return number if share >= 1 else 0
    mean = number * share
    if number > 200:
        return min(number, max(0, round(random.gauss(mean, math.sqrt(mean * (1 - share))))))
    return sum(random.random() < share for _ in range(number))


def view(name: str, w: Weather, now: float, needs: list[str]) -> ReleaseView:
    """The Release as it is known at `now`, with its changes so far; within its objective, unless counts are read of it."""
    known = [c for c in w.changes if c.service == name]
    first = Revision(
        digest=f"{0:016x}", number=1, version="first", reason="Adopted", live_since=at(0), first_seen=at(0), proven_at=at(600)
    )  # fmt: skip
    found = [first, *(_revision(n, c, now) for n, c in enumerate(known, start=1))]
    spec = ReleaseSpec(workload_ref=WorkloadRef(name=name), version="v", images={"app": "v"}, depends_on=needs)
    status = ReleaseStatus(live=found[-1].digest, revisions=found)
    well = Verdict(at(now), w.objective, (), "ok", None, True, WITHIN_OBJECTIVE)
    return ReleaseView(
        Release(metadata=ObjectMeta(name=name, namespace="shop"), spec=spec, status=status), Readings(well)
    )


def _revision(number: int, c: Change, now: float) -> Revision:
    """As opsloop knows it: proven after a quarter of an hour, its pods seen a little late."""
    first, full = c.first + c.lag, c.full + c.lag
    return Revision(
        digest=f"{number:016x}", number=number + 1, version=c.version, reason="Canaried" if c.tried else "Drifted",
        live_since=at(c.written), first_seen=at(c.written), shipped_without_canary=not c.tried,
        served_since=at(c.written - c.tried) if c.tried else None,
        exposed_since=at(first) if first <= now else None, rolled_out_at=at(full) if full <= now else None,
        proven_at=at(c.written + 600) if now - c.written > 900 else None,
    )  # fmt: skip


@dataclass(frozen=True)
class Blame:
    """What was concluded: the version of the service itself that is named, and how surely."""

    version: str
    confidence: float


@dataclass(frozen=True)
class Situation:
    """What is known at the first tick on which the tier fires; and at those after it, where it is watched."""

    root: ReleaseView
    topology: Topology
    weather: Weather
    later: tuple["Situation", ...] = ()

    def blame(self, weights: Weights = WEIGHTS) -> Blame:
        """What is concluded with these numbers: most surely, and while the harm goes on, of all the times that it is looked."""
        harm, limit = self.root.readings.harm, (FACTOR if self.weather.harm else 1.0) * (1 - self.weather.objective)
        cause = explain(self.root, self.topology, at(self.weather.begins), weights=weights, limit=limit)
        named = cause.version if cause.kind == "bad_release" and cause.release == "answers" else ""
        sure = cause.confidence if named and not is_over_now(harm, limit) else 0.0
        return max(
            (Blame(named, sure), *(one.blame(weights) for one in self.later)), key=lambda blame: blame.confidence
        )


def known(sky: Sky) -> Situation:
    """The situation at the last scrape."""
    w, root = sky.weather, view("answers", sky.weather, sky.now, ["catalog"])
    root = ReleaseView(root.release, sky.readings(root.release.status))
    return Situation(root, Topology((root, view("catalog", w, sky.now, []))), w)


def situation(random: Random, w: Weather, watched: bool = False) -> Situation | None:
    """The situation when the tier fires, or when it is looked where no more harm comes; None where it never does.

    Watched: and after each interval of counts until the windows have drained, or nearly.
    """
    sky = Sky(random, w)
    while sky.now <= w.begins + LONGEST:
        sky.scrape()
        if sky.now > w.begins and (w.harm == 0 or sky.fires()):
            return replace(known(sky), later=tuple(_looks(sky)) if watched else ())
    return None


def _looks(sky: Sky) -> Iterator[Situation]:
    while sky.now < sky.weather.begins + sky.weather.lasts + LATE_LOOKS:
        for _ in range(BUCKET // SCRAPE):
            sky.scrape()
        yield known(sky)


def situations(kind: str, samples: int, seed: str) -> Iterator[Situation]:
    """Those of so many samples in which the tier fires; of those that are watched, a fifth as many are drawn."""
    for n in range(samples // 5 if kind == WATCHED else samples):
        random = Random(f"{seed} {kind} {n}")
        if (found := situation(random, weather(random, kind), kind == WATCHED)) is not None:
            yield found
