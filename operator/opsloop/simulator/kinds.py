"""The kinds of weather, and how often each comes."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from opsloop.shell.ports import RELEASES, Object
from opsloop.simulator import chains, harsh
from opsloop.simulator.kube.pods import Image
from opsloop.simulator.manifests import FORMS
from opsloop.simulator.timed import timed
from opsloop.simulator.traffic import NO_BURSTS
from opsloop.simulator.weather import (
    DEPENDENCY,
    EVENT,
    MAIN,
    PAGE_FACTOR,
    Weather,
    begin,
    happen,
    new_version,
    push,
    service,
    ship,
    sky,
)
from opsloop.simulator.world import NS, World

MULTIPLES: Final = (3.0, 10.0, 40.0)  # of live's error ratio, of which the table asks
RATES: Final = (5.0, 100.0, 1000.0)


def quiet(seed: int) -> Weather:
    """Nothing happens; up to half of the budget is used."""
    found = sky(seed)
    found.normal = min(found.normal, 0.5 * found.budget)
    weather = begin(seed, "quiet", found, [], FORMS)
    weather.owes = frozenset({"no-page"})
    return weather


def good_release(seed: int) -> Weather:
    """A Release ships a version that is as good as live, a little worse, or bad by a part of the budget only."""
    found = sky(seed)
    random, steady = found.random, found.steady
    ratio = random.choice(
        (steady, steady, min(1.3 * steady, 0.8 * found.budget), random.uniform(0, 0.25) * found.budget)
    )
    weather = begin(seed, "good-release", found, [new_version(found, "v2", ratio)], FORMS)
    ship(weather, EVENT, "v2")
    weather.owes = frozenset({"promoted", "promoted-in-time"})
    if random.random() < 0.25:
        at, ratio, length = EVENT + random.uniform(60, 600), random.uniform(0.05, 0.5), random.uniform(30, 240)
        happen(
            weather,
            at,
            f"every request fails with {ratio:.0%} for {length:.0f} s",
            lambda w: w.outage("", ratio, length),
        )
        weather.kind, weather.owes = "good-release-in-an-outage", frozenset({"promoted"})
    return weather


def bad_release(seed: int) -> Weather:
    """A Release ships a version that errs a multiple of live's 0.5 %, or at any ratio."""
    found = sky(seed)
    random = found.random
    if random.random() < 0.75:
        multiple = random.choice(MULTIPLES)
        found = sky(seed, rps=random.choice(RATES), objective=0.99, normal=0.5)
        found.bursts, found.swing = NO_BURSTS, 0.0
        weather = begin(seed, "bad-release", found, [new_version(found, "v2", 0.005 * multiple, harm=True)], FORMS)
        weather.multiple = multiple
    else:
        ratio = random.uniform(max(0.1, 4 * found.budget), 0.95)
        version = new_version(found, "v2", ratio, harm=True)
        if random.random() < 0.3:
            version = replace(version, errors=0.08, route=True)
        weather = begin(seed, "bad-release", found, [version], FORMS)
    ship(weather, EVENT, "v2")
    return weather


def bad_push(seed: int) -> Weather:
    """Somebody pushes a version that burns at least twice as fast as the fastest page."""
    found = sky(seed)
    random = found.random
    least = min(0.9, 2 * PAGE_FACTOR * found.budget)
    ratio = random.uniform(least, max(0.95, least))
    weather = begin(seed, "bad-push", found, [new_version(found, "v2", ratio, harm=True)], FORMS)
    push(weather, EVENT, "v2", random.choice(("kubectl-set", "kubectl-edit", "helm")))
    weather.owes = frozenset({"mitigated"})
    if random.random() < 0.3:  # a smoulder before
        happen(
            weather,
            EVENT - 900,
            "a tenth above the budget, for everybody",
            lambda w: w.outage("", 1.1 * found.budget, 900),
        )
    return weather


def slight_push(seed: int) -> Weather:
    """Somebody pushes a version that errs one to three budgets."""
    found = sky(seed)
    ratio = found.random.uniform(1.2, 3) * found.budget
    weather = begin(seed, "slight-push", found, [new_version(found, "v2", ratio, harm=True)], FORMS)
    push(weather, EVENT, "v2")
    return weather


def slow_push(seed: int) -> Weather:
    """Somebody pushes a version that gets worse over half an hour."""
    found = sky(seed)
    ratio = found.random.uniform(0.3, 0.9)
    version = replace(new_version(found, "v2", ratio, harm=True), ramp=found.random.uniform(900, 2700))
    weather = begin(seed, "slow-push", found, [version], FORMS)
    weather.owes = frozenset({"mitigated"})
    push(weather, EVENT, "v2")
    return weather


def outage(seed: int) -> Weather:
    """Everybody errs for a while, shortly after a change that did no harm."""
    found = sky(seed)
    random = found.random
    weather = begin(seed, "outage", found, [new_version(found, "v2", found.steady)], FORMS)
    event = EVENT + 900
    if random.random() < 0.8:
        at = event - random.uniform(60, 1500)
        (push if random.random() < 0.7 else ship)(weather, max(at, 900), "v2")
    ratio, length = random.uniform(0.2, 1.0), random.uniform(60, 1500)
    happen(
        weather,
        event,
        f"every request fails with {ratio:.0%} for {length:.0f} s",
        lambda w: w.outage("", ratio, length),
    )
    weather.outage = event, ratio, length
    weather.last_event = event + length
    return weather


def config(seed: int) -> Weather:
    """Somebody writes a ConfigMap that all pods mount: all versions err once it has arrived, until it is written back.

    There may have been a harmless change before. No revision is to blame.
    """
    found = sky(seed)
    random = found.random
    weather = begin(seed, "config", found, [new_version(found, "v2", found.steady)], FORMS)
    weather.services = (replace(weather.main, settings="settings"),)
    event = EVENT + 900
    if random.random() < 0.8:
        at = event - random.uniform(60, 1500)
        (push if random.random() < 0.7 else ship)(weather, max(at, 900), "v2")
    manager, ratio = random.choice(("kubectl-edit", "helm", "argocd-controller")), random.uniform(0.2, 1.0)
    length = random.uniform(180, 1500)
    arrives, leaves = (random.uniform(5, 110) for _ in range(2))  # the kubelet syncs mounted ConfigMaps in its own time
    begins, ends = event + arrives, event + length + leaves
    happen(weather, event, f"{manager} writes the ConfigMap settings", lambda w: w.configure("settings", manager))
    happen(
        weather,
        begins,
        f"every request fails with {ratio:.0%} for {ends - begins:.0f} s",
        lambda w: w.outage("", ratio, ends - begins),
    )
    happen(weather, event + length, f"{manager} writes it back", lambda w: w.configure("settings", manager))
    weather.outage = begins, ratio, ends - begins
    weather.last_event = ends
    return weather


def dependency(seed: int) -> Weather:
    """A service that this one calls errs; there may have been a harmless change before."""
    found = sky(seed)
    random = found.random
    weather = begin(seed, "dependency", found, [new_version(found, "v2", found.steady)], FORMS)
    other = sky(seed + 1_000_000, rps=max(found.rps, 1.0), objective=found.objective)
    catalog = service(other, [new_version(other, "v2", 0.9, harm=True)], DEPENDENCY)
    weather.services = (replace(weather.main, depends=(DEPENDENCY,), share=random.uniform(0.5, 1)), catalog)
    weather.live[DEPENDENCY] = "v1"
    event = EVENT + 900
    if random.random() < 0.6:
        push(weather, event - random.uniform(60, 1500), "v2")
    ratio, length = random.uniform(0.3, 1.0), random.uniform(180, 1500)
    happen(
        weather,
        event,
        f"{DEPENDENCY} fails {ratio:.0%} for {length:.0f} s",
        lambda w: w.outage(DEPENDENCY, ratio, length),
    )
    weather.last_event = event + length
    return weather


def telemetry_gone(seed: int) -> Weather:
    """Prometheus goes away, in a rollout or while a bad version is pushed."""
    found = sky(seed)
    random = found.random
    weather = begin(
        seed, "telemetry-gone", found, [new_version(found, "v2", random.choice((found.steady, 0.9)))], FORMS
    )
    weather.alerts, weather.severity = True, "critical"
    bad = weather.main.versions["v2"].errors > 0.5
    versions = {**weather.main.versions, "v2": replace(weather.main.versions["v2"], harm=bad)}
    weather.services = (replace(weather.main, versions=versions),)
    (push if bad else ship)(weather, EVENT, "v2")
    at, length = EVENT + random.uniform(-60, 400), random.uniform(120, 2400)

    def gone(world: World) -> None:
        world.scraper.weakness.down = True
        world.at(world.now() + length, lambda: setattr(world.scraper.weakness, "down", False))

    happen(weather, at, f"Prometheus is away for {length:.0f} s", gone)
    weather.last_event, weather.blind = at + length, (at, at + length)
    return weather


def pods_dead(seed: int) -> Weather:
    """No pod answers for a while."""
    found = sky(seed)
    random = found.random
    weather = begin(seed, "pods-dead", found, [new_version(found, "v2", found.steady)], FORMS)
    length = random.uniform(180, 1500)
    if random.random() < 0.5:
        push(weather, EVENT - random.uniform(60, 900), "v2")
    happen(weather, EVENT, f"no pod of {MAIN} answers for {length:.0f} s", lambda w: w.down(MAIN, length))
    weather.alerts = True
    weather.last_event = EVENT + length
    return weather


def annotations(seed: int) -> Weather:
    """A bad version is rejected, allowed again by a person who forgets the annotation, and rejected again."""
    found = sky(seed, rps=100.0, objective=0.99, normal=0.3)
    weather = begin(seed, "annotations", found, [new_version(found, "v2", 0.3, harm=True)], FORMS)
    ship(weather, EVENT, "v2")
    happen(weather, EVENT + 600, "a person unblocks v2 and leaves the annotation", _unblock)
    weather.last_event = EVENT + 600
    return weather


def _unblock(world: World) -> None:
    stored = world.cluster.find(RELEASES, NS, MAIN)
    status = stored.get("status", {}) if stored else {}
    found = next((r["digest"] for r in status.get("revisions", ()) if r["version"] == "v2"), "")
    if found:
        world.annotate(RELEASES, MAIN, unblock=found, retry="1", approve="v2")


def stuck_alerts(seed: int) -> Weather:
    """A short outage whose alerts never end; later a bad version is pushed."""
    found = sky(seed)
    weather = begin(
        seed, "stuck-alerts", found, [new_version(found, "v2", max(0.5, 30 * found.budget), harm=True)], FORMS
    )
    weather.alerts = weather.stuck = True
    happen(weather, EVENT - 900, "every request fails for 150 s", lambda w: w.outage("", 1.0, 150))
    push(weather, EVENT + 2700, "v2")
    weather.last_event, weather.owes = EVENT + 2700, frozenset({"mitigated"})
    return weather


def gitops(seed: int) -> Weather:
    """A tool puts the old image back after each promotion or rollback."""
    found = sky(seed)
    bad = found.random.random() < 0.5
    version = new_version(found, "v2", 0.9 if bad else found.steady, harm=bad)
    weather = begin(seed, "gitops", found, [version], FORMS)
    wanted, every = ("v2" if bad else "v1"), 300.0
    (push if bad else ship)(weather, EVENT, "v2")
    for n in range(1, 16):
        happen(weather, EVENT + n * every, "", lambda w: _revert(w, wanted))
    weather.last_event = EVENT + 15 * every
    return weather


def _revert(world: World, wanted: str) -> None:
    if world.live(MAIN) != wanted:
        world.tell(f"argocd puts {wanted} back")
        world.push(MAIN, wanted, "argocd-controller")


def kubernetes(seed: int) -> Weather:
    """Something of the cluster goes wrong while a good version is shipped."""
    found = sky(seed)
    random = found.random
    weather = begin(seed, "kubernetes", found, [new_version(found, "v2", found.steady)], FORMS)
    ship(weather, EVENT, "v2")
    trouble = random.choice(("hpa", "evicted", "no-room", "quota", "paused", "crash", "pins"))
    weather.kind = f"kubernetes-{trouble}"
    at, length = EVENT + random.uniform(5, 500), random.uniform(60, 1500)

    def happens(world: World) -> None:
        _trouble(world, trouble, length)

    if trouble == "crash":
        image = Image(found.starts, waiting="CrashLoopBackOff")
        versions = {**weather.main.versions, "v2": replace(weather.main.versions["v2"], image=image)}
        weather.services = (replace(weather.main, versions=versions),)
    elif trouble == "pins":
        happen(weather, 0.0, "admission pins images by digest", _pin)
    else:
        when = EVENT if trouble in ("no-room", "quota", "paused") else at
        happen(weather, when, f"{trouble} for {length:.0f} s", happens)
        weather.last_event = at + length
    return weather


def _trouble(world: World, trouble: str, length: float) -> None:
    faults, later = world.controllers.faults, world.now() + length
    replicas = world.services[0].replicas
    match trouble:
        case "hpa":
            world.change(MAIN, replicas=max(2, replicas // 2))
            world.at(later, lambda: world.change(MAIN, replicas=replicas))
        case "evicted":
            pods = world.pods_of(MAIN)
            world.controllers.evict(pods[world.random.randrange(len(pods))][0])
        case "no-room":
            faults.no_room = True
            world.at(later, world.controllers.cured)
        case "quota":
            faults.quota = replicas
            world.at(later, world.controllers.cured)
        case "paused":
            world.change(MAIN, paused=True)
            world.at(later, lambda: world.change(MAIN, paused=False))


def _pin(world: World) -> None:
    world.cluster.admission = _pinned


def _pinned(obj: Object) -> Object:
    """What a webhook that pins images makes of a Deployment."""
    if obj["kind"] == "Deployment":
        for container in obj["spec"]["template"]["spec"]["containers"]:
            name = container["image"]
            if "@" not in name:
                container["image"] = f"{name}@sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    return obj


KINDS: Final[dict[str, tuple[Callable[[int], Weather], int]]] = {
    "quiet": (quiet, 10),
    "good-release": (good_release, 16),
    "bad-release": (bad_release, 20),
    "bad-push": (bad_push, 14),
    "slight-push": (slight_push, 3),
    "slow-push": (slow_push, 4),
    "outage": (outage, 9),
    "config": (config, 2),
    "dependency": (dependency, 6),
    "telemetry-gone": (telemetry_gone, 4),
    "pods-dead": (pods_dead, 5),
    "annotations": (annotations, 2),
    "stuck-alerts": (stuck_alerts, 2),
    "gitops": (gitops, 3),
    "kubernetes": (kubernetes, 6),
    **harsh.KINDS,
    **chains.KINDS,
}
"""Kind → its maker and its share of the weathers."""


def weather(seed: int, kind: str = "") -> Weather:
    """The weather of a seed; of one kind where that is given."""
    if not kind:
        wheel = [name for name, (_, share) in KINDS.items() for _ in range(share)]
        kind = wheel[seed * 37 % len(wheel)]
    return timed(KINDS[kind][0](seed))
