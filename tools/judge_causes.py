"""Judges blame on generated weather: which change is named for the harm, and how surely, at the tick on which a tier fires.

    .venv/bin/python tools/judge_causes.py [--samples 2000] [--seed 1] [--sensitivity]

A sample is one service on one day: traffic of 1 to 1,000 requests/s, its usual errors of 0 to 80 % of the budget, bursts of
bad requests, objective 99 or 99.9 %, scrapes every 15 s, the default tier of 1h & 5m, and changes that do no harm: of the
service itself (up to two an hour) and of what it depends on. Then harm begins: by an outage that nobody changed anything
for, or by a release. Nothing here knows the constants that it judges.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from random import Random

from opsloop.api.meta import ObjectMeta
from opsloop.api.release import Release, ReleaseSpec, ReleaseStatus, Revision, WorkloadRef
from opsloop.core.facts import Harm, Interval, Readings, ReleaseView
from opsloop.core.incident.cause import explain
from opsloop.core.incident.weights import WEIGHTS, Weights
from opsloop.core.topology import Topology
from opsloop.simulator.traffic import Bursts, counts

SCRAPE, HISTORY, BUCKET = 15, 2 * 3600, 60  # seconds
FACTOR, FEWEST = 14.4, 5  # of the default tier, and minBadEvents
SURE = 0.8  # safety.minConfidence
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
LONGEST = 3600  # seconds of harm within which a tier fires, or it never does


@dataclass(frozen=True)
class Weather:
    """What is going to happen; times in seconds since the beginning of the history."""

    rps: float
    objective: float
    usual: float  # error ratio
    harm: float  # error ratio in addition
    begins: float
    ramp: float  # seconds over which the harm grows: a rolling update
    lasts: float
    bursts: Bursts
    smoulder: float  # error ratio in addition, for the last two hours
    earlier: tuple[float, float]  # an outage that was over before
    guilty: str  # version, or "" for an outage
    changes: tuple[tuple[str, str, float, bool], ...]  # service, version, time, without a canary


def at(seconds: float) -> datetime:
    """The time so many seconds after the beginning of the history."""
    return START + timedelta(seconds=seconds)


def weather(random: Random, kind: str) -> Weather:
    """outage: nobody's change; prompt and late: a release; and a release after a smoulder or an earlier outage."""
    objective = random.choice((0.99, 0.999))
    budget, begins = 1 - objective, HISTORY + random.uniform(0, SCRAPE)
    harm = math.exp(random.uniform(math.log(2 * FACTOR * budget), math.log(0.95)))
    changes = [
        ("answers", f"harmless-{n}", begins - random.uniform(0, 3600), random.random() < 0.5)
        for n in range(random.choice((0, 1, 1, 2)))
    ]
    changes += [("catalog", "harmless", begins - random.uniform(0, 3600), random.random() < 0.5)] * random.choice(
        (0, 1)
    )
    guilty, ramp, lasts = "", 0.0, math.exp(random.uniform(math.log(60), math.log(3600)))
    if kind == "outage":
        changes = changes or [("answers", "harmless-0", begins - random.uniform(0, 3600), True)]
    else:
        guilty, ramp, lasts = "bad", random.uniform(0, 300), math.inf
        delay = random.expovariate(1 / 1200) if kind == "late" else random.uniform(0, 30)
        changed = begins - delay
        changes = [c for c in changes if c[0] != "answers" or c[2] < changed] + [
            ("answers", guilty, changed, random.random() < 0.5)
        ]
    return Weather(
        rps=math.exp(random.uniform(0, math.log(1000))),
        objective=objective,
        usual=budget * random.uniform(0, 0.8),
        harm=harm,
        begins=begins,
        ramp=ramp,
        lasts=lasts,
        bursts=Bursts(per_hour=random.choice((0, 1, 4))),
        smoulder=budget * random.uniform(0.3, 0.9) if kind == "after a smoulder" else 0.0,
        earlier=(begins - 2400, begins - 1800) if kind == "after an outage" else (0.0, 0.0),
        guilty=guilty,
        changes=tuple(sorted(changes, key=lambda c: c[2])),
    )


def scrapes(random: Random, w: Weather) -> Iterator[tuple[int, int]]:
    """(bad, total) of each scrape interval."""
    now = 0.0
    while True:
        middle = now + SCRAPE / 2
        grown = min(1.0, max(0.0, (middle - w.begins) / w.ramp)) if w.ramp else float(middle >= w.begins)
        harm = w.harm * grown if middle < w.begins + w.lasts else 0.0
        ratio = w.usual + w.smoulder + harm + (0.5 if w.earlier[0] <= middle < w.earlier[1] else 0.0)
        (count,) = counts(random, SCRAPE, w.rps, [min(ratio, 1.0)], w.bursts)
        yield count.bad, count.total
        now += SCRAPE


def fires(seen: list[tuple[int, int]], limit: float) -> bool:
    """The tier of an hour and five minutes."""
    long, short = seen[-3600 // SCRAPE :], seen[-300 // SCRAPE :]
    bad, total = sum(b for b, _ in long), sum(t for _, t in long)
    few, all_ = sum(b for b, _ in short), sum(t for _, t in short)
    return bad >= FEWEST and bad > limit * total and few > limit * all_


def readings(seen: list[tuple[int, int]]) -> Readings:
    """Intervals of four scrapes over the last 90 minutes."""
    size, end = BUCKET // SCRAPE, len(seen)
    series = []
    for last in range(end, max(0, end - 90 * 60 // SCRAPE), -size):
        part = seen[max(0, last - size) : last]
        series.append(
            Interval(at((last - size) * SCRAPE), at(last * SCRAPE), sum(b for b, _ in part), sum(t for _, t in part))
        )
    return Readings(harm=Harm(tuple(reversed(series))))


def view(name: str, w: Weather, now: float, seen: Readings, needs: list[str]) -> ReleaseView:
    """The Release as it is known at `now`, with its changes so far."""
    known = [revision(0, "first", 0.0, False, now)]
    known += [
        revision(n + 1, v, t, direct, now) for n, (_, v, t, direct) in enumerate(c for c in w.changes if c[0] == name)
    ]
    spec = ReleaseSpec(workload_ref=WorkloadRef(name=name), version="v", images={"app": "v"}, depends_on=needs)
    status = ReleaseStatus(live=known[-1].digest, revisions=known)
    return ReleaseView(Release(metadata=ObjectMeta(name=name, namespace="shop"), spec=spec, status=status), seen)


def revision(number: int, version: str, since: float, direct: bool, now: float) -> Revision:
    """A revision; after a quarter of an hour it is proven."""
    return Revision(
        digest=f"{number:016x}", number=number + 1, version=version, reason="Drifted" if direct else "Canaried",
        live_since=at(since), first_seen=at(since), shipped_without_canary=direct,
        proven_at=at(since + 600) if now - since > 900 else None,
    )  # fmt: skip


@dataclass(frozen=True)
class Blame:
    """What was concluded: the version that is named, and how surely. `after`: the youngest harmless change before the harm."""

    version: str
    confidence: float
    after: float


@dataclass(frozen=True)
class Situation:
    """What is known at the first tick on which the tier fires."""

    root: ReleaseView
    topology: Topology
    weather: Weather

    def blame(self, weights: Weights) -> Blame:
        """What is concluded with these numbers."""
        w = self.weather
        cause = explain(self.root, self.topology, at(w.begins), weights=weights)
        own = [w.begins - t for service, version, t, _ in w.changes if service == "answers" and version != w.guilty]
        named = cause.version if cause.kind == "bad_release" and cause.release == "answers" else ""
        return Blame(named, cause.confidence if named else 0.0, min(own, default=math.inf))


def situation(random: Random, w: Weather) -> Situation | None:
    """The situation when the tier fires; None where it never does."""
    seen: list[tuple[int, int]] = []
    limit = FACTOR * (1 - w.objective)
    for pair in scrapes(random, w):
        seen.append(pair)
        now = len(seen) * SCRAPE
        if now > w.begins + LONGEST:
            return None
        if now > w.begins and fires(seen, limit):
            root = view("answers", w, now, readings(seen), ["catalog"])
            return Situation(root, Topology((root, view("catalog", w, now, Readings(), []))), w)
    return None


def bound(count: int, of: int, upper: bool) -> float:
    """Clopper-Pearson, 95 % one-sided each way (97.5 %)."""
    if of == 0:
        return 1.0 if upper else 0.0
    if (count == of and upper) or (count == 0 and not upper):
        return 1.0 if upper else 0.0
    low, high = 0.0, 1.0
    for _ in range(50):
        p = (low + high) / 2
        tail = tail_of(count, of, p) if upper else 1 - tail_of(count - 1, of, p)
        if (tail > 0.025) == upper:
            low = p
        else:
            high = p
    return (low + high) / 2


def tail_of(count: int, of: int, p: float) -> float:
    """P(X ≤ count) of a binomial."""
    logs = [
        math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * math.log(p) + (of - k) * math.log1p(-p)
        for k in range(count + 1)
    ]
    return min(1.0, sum(map(math.exp, logs)))


Row = tuple[str, str, Callable[[Blame], bool], Callable[[Blame], bool]]
ROWS: tuple[Row, ...] = (
    ("outage, a harmless change in the hour before: rolled back", "outage", lambda b: b.after < 3600, lambda b: b.confidence >= SURE),
    ("outage, the youngest change over 10 min before: rolled back", "outage", lambda b: b.after >= 600, lambda b: b.confidence >= SURE),
    ("bad release, harm within half a minute: rolled back", "prompt", lambda b: True, lambda b: b.version == "bad" and b.confidence >= SURE),
    ("bad release, harm within half a minute: another one rolled back", "prompt", lambda b: True, lambda b: b.version != "bad" and b.confidence >= SURE),
    ("bad release after two hours of smoulder: rolled back", "after a smoulder", lambda b: True, lambda b: b.version == "bad" and b.confidence >= SURE),
    ("bad release half an hour after an outage: rolled back", "after an outage", lambda b: True, lambda b: b.version == "bad" and b.confidence >= SURE),
    ("bad release, harm after 20 min on average: named first", "late", lambda b: True, lambda b: b.version == "bad"),
    ("bad release, harm after 20 min on average: rolled back", "late", lambda b: True, lambda b: b.version == "bad" and b.confidence >= SURE),
)  # fmt: skip


def situations(samples: int, seed: int) -> dict[str, list[Situation]]:
    """By kind of weather."""
    found = {}
    for kind in dict.fromkeys(row[1] for row in ROWS):
        drawn = (Random(f"{seed}-{kind}-{n}") for n in range(samples))
        found[kind] = [s for random in drawn if (s := situation(random, weather(random, kind))) is not None]
    return found


def table(found: dict[str, list[Situation]], weights: Weights) -> list[tuple[str, int, int]]:
    """(row, hits, of)."""
    blames = {kind: [s.blame(weights) for s in those] for kind, those in found.items()}
    return [
        (name, sum(hit(b) for b in blames[kind] if counted(b)), sum(counted(b) for b in blames[kind]))
        for name, kind, counted, hit in ROWS
    ]


def varied() -> Iterator[tuple[str, Weights]]:
    """Each number of the judgement by itself at 70 and at 130 %."""
    for field in fields(Weights):
        value = getattr(WEIGHTS, field.name)
        for factor in (0.7, 1.3):
            new = min(value * factor, 1.0) if field.name == "prompt" else value * factor
            if new != value:
                yield f"{field.name} at {factor:.0%}", replace(WEIGHTS, **{field.name: new})


def main(arguments: list[str]) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="samples of each weather")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sensitivity", action="store_true", help="each number at 70 and 130 %%, by itself")
    options = parser.parse_args(arguments)
    found = situations(options.samples, options.seed)
    rows = table(found, WEIGHTS)
    print("| of samples of this weather in which a tier fired | share | 95 % | n |\n|---|---|---|---|")
    for name, hits, of in rows:
        print(
            f"| {name} | {hits / max(of, 1):.1%} | {bound(hits, of, False):.1%} to {bound(hits, of, True):.1%} | {of} |"
        )
    if options.sensitivity:
        shares = {label: [h / max(of, 1) for _, h, of in table(found, w)] for label, w in varied()}
        print("\n| the same with each number at 70 and 130 % | least | most |\n|---|---|---|")
        for n, (name, _, _) in enumerate(rows):
            low, high = min(shares, key=lambda k: shares[k][n]), max(shares, key=lambda k: shares[k][n])
            print(f"| {name} | {shares[low][n]:.1%} ({low}) | {shares[high][n]:.1%} ({high}) |")


if __name__ == "__main__":
    main(sys.argv[1:])
