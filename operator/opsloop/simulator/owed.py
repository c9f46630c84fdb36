"""What nobody can owe yet: users made too few requests, or the harm was there until just now. By what the oracle knows."""

from collections.abc import Sequence

from opsloop.api.release import Release
from opsloop.core.slo.canary import seconds_needed
from opsloop.simulator import manifests
from opsloop.simulator.burn import Counts, counts_of, objectives
from opsloop.simulator.scraping import EVERY
from opsloop.simulator.service import Service, Tally
from opsloop.simulator.weather import CALM, HOLDS, Weather


def can_tell(weather: Weather, within: float | None = None) -> bool:
    """The canary's first step gives enough events `within` these seconds, by the rate that the oracle knows at the least.

    Default: within its hold and patience.
    """
    main = weather.main
    release = Release.model_validate(manifests.release(main, "v1", weather.form, HOLDS))
    analysis, share = release.spec.strategy.canary.analysis, release.spec.strategy.steps[0].weight / 100
    rate = main.wave.mean * (1 - main.wave.swing) * share
    assert release.spec.slo is not None
    limit = HOLDS[0] + analysis.patience.total_seconds() if within is None else within
    return seconds_needed(release.spec.slo, analysis, rate) <= limit


def can_ship(weather: Weather) -> bool:
    """A version that is asked for can be live an hour later: its first step's events, the other holds, two rollouts."""
    return can_tell(weather, CALM - sum(HOLDS[1:]) - 2 * rollout(weather))


def rollout(weather: Weather) -> float:
    """Seconds that Kubernetes takes to replace the pods, at most."""
    return 4 * (weather.main.versions["v1"].image.starts + 10)


def seen(weather: Weather, service: Service, tallies: Sequence[Tally]) -> list[tuple[Counts, float]]:
    """(counts of what users saw, budget) of each objective. Requests that no pod served are in no counter."""
    live, served = service.versions[weather.live[service.name]], [t for t in tallies if t.version]
    return [(counts_of(served, service.wave.mean, one.ratio(live), one.bad), one.budget) for one in objectives(service)]


def fired_within(counts: Sequence[tuple[Counts, float]], now: float, seconds: float) -> bool:
    """True where a tier that pages fired by what users saw, at some time in the last `seconds`."""
    times = [now - n * EVERY for n in range(int(seconds // EVERY) + 1)]
    return any(one.fires(at, budget) for one, budget in counts for at in times)
