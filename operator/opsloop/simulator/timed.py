"""A share of the weathers has a second objective of latency, with versions that are slow rather than failing."""

from dataclasses import replace
from random import Random
from typing import Final

from opsloop.simulator.service import Timing, Version
from opsloop.simulator.weather import Happening, Weather

SHARE: Final = 0.2  # of the weathers
OBJECTIVES: Final = ((0.99, 0.95), (3, 1))
_WORST: Final = 0.95  # share of a version's requests that may be slow


def timed(weather: Weather) -> Weather:
    """The weather, with a timed service where its seed says so.

    Of its harmful versions most are slow instead of failing, and burn the budget of latency as fast as they would have
    burned that of availability; of outages that hit everybody a half is slowness.
    """
    random = Random(f"timed {weather.seed}")
    if random.random() >= SHARE:
        return weather
    timing = Timing(random.choices(*OBJECTIVES)[0]) if not weather.multiple else Timing()
    normal = 0.5 if weather.multiple else random.uniform(0, 0.5 if weather.kind == "quiet" else 0.8)
    instead, outages = random.random() < 0.7, random.random() < 0.5
    main, live = weather.main, weather.main.versions[weather.live[weather.main.name]]
    steady = normal * timing.budget

    def slow(version: Version) -> Version:
        if version.harm and instead and not version.route:
            burn = version.errors / live.errors if weather.multiple else version.errors / main.budget
            ratio = burn * (steady if weather.multiple else timing.budget)
            return replace(version, errors=live.errors, slow=min(_WORST, ratio))
        if version.name == live.name or version.harm or random.random() < 0.5:
            return replace(version, slow=steady)
        return replace(version, slow=min(1.3 * steady, 0.8 * timing.budget))

    versions = {name: slow(version) for name, version in main.versions.items()}
    weather.services = (replace(main, versions=versions, timing=timing), *weather.services[1:])
    if weather.outage is not None and outages:
        weather.happenings = [_slowness(weather, one) for one in weather.happenings]
    return weather


def _slowness(weather: Weather, happening: Happening) -> Happening:
    if weather.outage is None or happening.at != weather.outage[0]:
        return happening
    at, ratio, length = weather.outage
    text = f"{ratio:.0%} of all requests are slow for {length:.0f} s"
    return Happening(at, text, lambda world: world.slowness("", ratio, length))
