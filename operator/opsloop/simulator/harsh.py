"""Weathers in which the platform is in trouble while something is shipped: scrapes, the API server, nodes, the operator itself."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final

from opsloop.shell.ports import DEPLOYMENTS
from opsloop.simulator.fakes.gateway import Weak
from opsloop.simulator.kube.pods import Image
from opsloop.simulator.manifests import FORMS
from opsloop.simulator.weather import (
    DEPENDENCY,
    EVENT,
    MAIN,
    PAGE_FACTOR,
    Sky,
    Weather,
    begin,
    happen,
    new_version,
    push,
    service,
    ship,
    sky,
)
from opsloop.simulator.world import World

GOOD, BAD, PUSHED = "good-release", "bad-release", "bad-push"


def scrapes(seed: int) -> Weather:
    """Scrapes fail now and then, or samples arrive late, while something is shipped."""
    weather, random = _shipped(seed, "scrapes")
    late, until = random.random() < 0.5, EVENT + random.uniform(900, 2700)
    share, seconds = random.uniform(0.05, 0.3), random.choice((15.0, 30.0, 60.0))
    text = f"samples arrive {seconds:.0f} s late" if late else f"{share:.0%} of the scrapes fail"

    def worse(world: World) -> None:
        world.scraper.weakness.late = seconds if late else 0.0
        world.scraper.weakness.missed = 0.0 if late else share
        world.at(until, lambda: better(world))

    def better(world: World) -> None:
        world.scraper.weakness.late = world.scraper.weakness.missed = 0.0

    happen(weather, EVENT - random.uniform(60, 900), text, worse)
    weather.handicap, weather.last_event = 120.0, until
    if late:
        weather.owes = frozenset()  # what Prometheus does not have yet, nobody can act on
    return weather


def starved(seed: int) -> Weather:
    """Too little CPU: pods that are taken back answer on for a while, scrapes begin late and some fail. A bad version is pushed;
    in a third of the cases all versions err besides, before and after it is taken back."""
    found = sky(seed, normal=0.3)
    random = found.random
    weather = begin(seed, "starved", found, [new_version(found, "v2", _harm(found), harm=True)], FORMS)
    drain, late, missed = random.uniform(15, 150), random.uniform(1, 15), random.choice((0.0, 0.0, 0.1))

    def starve(world: World) -> None:
        world.drain, weakness = drain, world.scraper.weakness
        weakness.held_up, weakness.missed = late, missed
        world.at(EVENT + 2400, lambda: fed(world))

    def fed(world: World) -> None:
        world.drain = world.scraper.weakness.held_up = world.scraper.weakness.missed = 0.0

    text = f"pods answer on for {drain:.0f} s, scrapes begin {late:.0f} s late, {missed:.0%} of them fail"
    happen(weather, EVENT - random.uniform(60, 900), text, starve)
    push(weather, EVENT, "v2")
    weather.handicap, weather.last_event, weather.owes = 240.0, EVENT + 2400, frozenset({"mitigated"})
    if random.random() < 1 / 3:
        ratio, at = random.uniform(0.6, 1.0), EVENT + random.uniform(30, 90)
        happen(weather, at, f"every request fails with {ratio:.0%}", lambda w: w.outage("", ratio, 2400))
        weather.kind, weather.owes = "starved-outage", frozenset()
        weather.outage, weather.last_event = (at, ratio, 2400.0), at + 2400
    return weather


def autoscaled(seed: int) -> Weather:
    """An autoscaler goes up and down all the time, during a canary or a rollback."""
    weather, random = _shipped(seed, "autoscaled")
    replicas, at, until = weather.main.replicas, EVENT - 300, EVENT + random.uniform(1200, 3000)
    while at < until:
        wanted = max(1, round(replicas * random.choice((0.5, 0.75, 1.0, 1.5, 2.0))))
        happen(weather, at, f"the autoscaler wants {wanted} pods", _scaled(wanted))
        at += random.uniform(45, 240)
    happen(weather, at, f"the autoscaler wants {replicas} pods", _scaled(replicas))
    weather.handicap, weather.last_event = 60.0, at
    return weather


def _scaled(replicas: int) -> Callable[[World], None]:
    return lambda world: world.change(MAIN, replicas=replicas)


def api(seed: int) -> Weather:
    """The API server refuses, loses answers, conflicts and is slow for minutes."""
    weather, random = _shipped(seed, "api")
    at, length = EVENT + random.uniform(-60, 400), random.uniform(120, 900)
    weak = Weak(random.uniform(0.05, 0.6), random.uniform(0, 0.2), random.uniform(0, 0.3), random.uniform(0, 0.3))
    text = f"the API server refuses {weak.refused:.0%} and loses {weak.lost:.0%} of the answers for {length:.0f} s"
    happen(weather, at, text, lambda world: world.weaken(weak, length))
    weather.handicap, weather.last_event = length + 60, at + length
    return weather


def restarted(seed: int) -> Weather:
    """The operator is killed once to three times while something is shipped."""
    weather, random = _shipped(seed, "restarted")
    at = EVENT
    for _ in range(random.choice((1, 2, 3))):
        at, gap = at + random.uniform(5, 400), random.uniform(5, 120)
        happen(weather, at, f"the operator is killed, and back after {gap:.0f} s", _restart(gap))
        at += gap
        weather.handicap += gap + 30
    weather.last_event = at
    return weather


def _restart(gap: float) -> Callable[[World], None]:
    return lambda world: world.restart(gap)


def handed_over(seed: int) -> Weather:
    """The operator's other replica takes the Lease in the middle, while calls of the first one are under way."""
    weather, random = _shipped(seed, "handed-over")
    at, gap = EVENT + random.uniform(5, 600), random.uniform(5, 30)
    happen(weather, at - 30, "the API server is slow", lambda world: world.weaken(Weak(slow=0.3), 60))
    happen(weather, at, f"the Lease is lost, and taken after {gap:.0f} s", lambda world: world.hand_over(gap))
    weather.handicap, weather.last_event = gap + 90, at + gap
    return weather


def node_lost(seed: int) -> Weather:
    """A node goes away with up to half of the pods; after five minutes they are deleted."""
    weather, random = _shipped(seed, "node-lost")
    at, share = EVENT + random.uniform(-100, 500), random.uniform(0.2, 0.5)

    def lose(world: World) -> None:
        names = [name for name, _ in world.pods_of(MAIN)]
        lost = names[: max(1, round(share * len(names)))]
        world.controllers.faults.sick |= set(lost)
        world.controllers.touch()
        world.at(world.now() + 300, lambda: world.delete_pods(lost))

    happen(weather, at, f"a node with {share:.0%} of the pods is lost", lose)
    weather.handicap, weather.last_event = 330.0, at + 300
    return weather


def night(seed: int) -> Weather:
    """The Deployment is scaled to nothing when nobody comes, and back; something is shipped in between or afterwards."""
    found = sky(seed)
    random = found.random
    found.normal = min(found.normal, 0.5 * found.budget)
    weather = begin(seed, "night", found, [new_version(found, "v2", found.steady)], FORMS)
    length, replicas = random.uniform(600, 2400), weather.main.replicas

    def sleep(world: World) -> None:
        world.traffic[MAIN].strain = 0.0
        world.change(MAIN, replicas=0)

    def wake(world: World) -> None:
        world.change(MAIN, replicas=replicas)
        world.at(world.now() + found.starts + 20, lambda: setattr(world.traffic[MAIN], "strain", 1.0))

    happen(weather, EVENT, "nobody comes: scaled to 0", sleep)
    happen(weather, EVENT + length, f"morning: scaled to {replicas}", wake)
    ship(weather, EVENT + random.choice((0.5, 1.0)) * length + 60, "v2")
    weather.last_event = EVENT + length + 60
    weather.owes = frozenset({"no-page"})
    return weather


def recreated(seed: int) -> Weather:
    """A Deployment without rolling updates: Recreate, or all pods at once; changes are pushed."""
    found = sky(seed)
    random = found.random
    bad = random.random() < 0.6
    weather = begin(
        seed, "recreated", found, [new_version(found, "v2", _harm(found) if bad else found.steady, bad)], FORMS
    )
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}}
    strategy = random.choice(({"type": "Recreate"}, rolling))
    happen(weather, 120.0, f"no rolling updates: {strategy['type']}", lambda w: w.change(MAIN, strategy=strategy))
    push(weather, EVENT, "v2")
    weather.fix_by_push = True  # no canary runs beside the live pods of a Recreate
    weather.owes = frozenset({"mitigated"} if bad else ())
    return weather


def two_changes(seed: int) -> Weather:
    """Two services that call each other change within a minute; one change does harm."""
    found = sky(seed, rps=None)
    random = found.random
    main_bad = random.random() < 0.5
    ratio = _harm(found)
    versions = [new_version(found, "v2", ratio if main_bad else found.steady, main_bad)]
    weather = begin(seed, f"two-changes-{'main' if main_bad else 'dependency'}", found, versions, FORMS)
    other = sky(seed + 1_000_000, rps=max(found.rps, 1.0), objective=found.objective)
    catalog = service(
        other, [new_version(other, "v2", other.steady if main_bad else max(ratio, 0.3), not main_bad)], DEPENDENCY
    )
    weather.services = (replace(weather.main, depends=(DEPENDENCY,), share=random.uniform(0.5, 1)), catalog)
    weather.live[DEPENDENCY] = "v1"
    first = random.uniform(-60, 60)
    push(weather, EVENT, "v2")
    happen(weather, EVENT + first, f"kubectl-set pushes v2 to {DEPENDENCY}", lambda w: w.push(DEPENDENCY, "v2"))
    weather.owes = frozenset({"mitigated"} if main_bad else ())
    weather.handicap = 60.0
    return weather


def gitops_canary(seed: int) -> Weather:
    """A tool restarts the live pods again and again while a good version is a canary."""
    found = sky(seed)
    weather = begin(seed, "gitops-canary", found, [new_version(found, "v2", found.steady)], FORMS)
    ship(weather, EVENT, "v2")
    for n in range(3):
        happen(weather, EVENT + 60 + 180 * n, "argocd restarts the pods", _stamped(n))
    weather.last_event, weather.owes = EVENT + 500, frozenset({"promoted"})
    return weather


def _stamped(number: int) -> Callable[[World], None]:
    def stamp(world: World) -> None:
        template = world.get(DEPLOYMENTS, MAIN)["spec"]["template"]
        annotations = template["metadata"].get("annotations", {})
        template["metadata"]["annotations"] = annotations | {"kubectl.kubernetes.io/restartedAt": f"{number}"}
        world.change(MAIN, template=template)

    return stamp


def slow_pull(seed: int) -> Weather:
    """New images take minutes to be pulled."""
    weather, random = _shipped(seed, "slow-pull")
    pulled = Image(random.uniform(120, 400))
    versions = {
        name: replace(version, image=pulled if name != "v1" else version.image)
        for name, version in weather.main.versions.items()
    }
    weather.services = (replace(weather.main, versions=versions),)
    return weather


def _shipped(seed: int, kind: str) -> tuple[Weather, Random]:
    """A good or a bad version by Release, or a bad one past it, at EVENT; what is owed is judged as in an ordinary weather."""
    found = sky(seed)
    case = found.random.choice((GOOD, BAD, PUSHED))
    ratio = found.steady if case == GOOD else _harm(found)
    weather = begin(seed, f"{kind}-{case}", found, [new_version(found, "v2", ratio, case != GOOD)], FORMS)
    (push if case == PUSHED else ship)(weather, EVENT, "v2")
    weather.owes = frozenset({GOOD: ("promoted",), BAD: (), PUSHED: ("mitigated",)}[case])
    return weather, found.random


def _harm(found: Sky) -> float:
    """An error ratio that burns at least twice as fast as the fastest page."""
    least = min(0.9, 2 * PAGE_FACTOR * found.budget)
    return found.random.uniform(least, max(0.95, least))


KINDS: Final[dict[str, tuple[Callable[[int], Weather], int]]] = {
    "scrapes": (scrapes, 3),
    "starved": (starved, 3),
    "autoscaled": (autoscaled, 3),
    "api": (api, 4),
    "restarted": (restarted, 3),
    "handed-over": (handed_over, 2),
    "node-lost": (node_lost, 2),
    "night": (night, 2),
    "recreated": (recreated, 2),
    "two-changes": (two_changes, 3),
    "gitops-canary": (gitops_canary, 1),
    "slow-pull": (slow_pull, 1),
}
"""Kind → its maker and its share of the weathers."""
