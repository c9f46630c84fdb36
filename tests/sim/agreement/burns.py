"""When burns of the SLOs begin and end: by the functions as shipped on the stored samples, and in the whole operator.

Alone, a window is what `tests/sim/laws/pages` takes it for: the events of the samples that lie in it, whole. It is counted as often as
the operator asks for it (a window moves by 1/120 between two reads), at the times at which the operator read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.api.release import Release
from opsloop.api.slo import ONLY, Slo, Tier
from opsloop.core.facts import Reading, TierVerdict, Unknown, Value, Verdict
from opsloop.core.slo import burn_rate, bursts
from opsloop.core.slo.bursts import Slot
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.tiers import tier_name, windows_of
from opsloop.shell.slo.reader import _POINTS
from opsloop.simulator import manifests
from opsloop.simulator.episode import TICK
from opsloop.simulator.scraping import EVERY
from opsloop.simulator.service import Service
from opsloop.simulator.weather import HOLDS, Weather
from tests.sim.agreement.counted import Counted
from tests.sim.agreement.observed import Observer

SCRAPE = timedelta(seconds=EVERY)
HARM = "harm until the SLI is back"


@dataclass(frozen=True, slots=True)
class Burn:
    """A stretch of reads at which a tier fires, or harm that a tier fired for is not over. Times are seconds of the simulation.

    `alone`, `operator`: from when until when; None is never. `reads`, of which `differ`; `why`: at the first one that does.
    """

    seed: int
    kind: str
    service: str
    what: str
    alone: tuple[float, float | None] | None
    operator: tuple[float, float | None] | None
    reads: int
    differ: int
    why: str

    @property
    def agree(self) -> bool:
        """The same decision at the same tick, at each of them."""
        return not self.differ


@dataclass(slots=True)
class _Alone:
    """Judges one objective at one read after the other."""

    slo: Slo
    counted: Counted
    read: dict[timedelta, datetime] = field(default_factory=dict)
    lasting: list[Tier] = field(default_factory=list)  # seen to go on, as `shell.slo.bursts` keeps them

    def verdict(self, at: datetime) -> Verdict:
        """What the functions conclude from the samples."""
        for window in windows_of(self.slo):
            every = max(TICK, window / _POINTS)
            if window not in self.read or every <= TICK or at - self.read[window] >= every - TICK / 2:
                self.read[window] = at
        verdict = burn_rate.judge(self.slo, self.readings(), at)
        self.lasting = [v.tier for v in verdict.tiers if v.tier in self.lasting and v.firing is not False]
        asked = [tier for tier in bursts.about_to_page(verdict) if tier not in self.lasting]
        held = [tier for tier in asked if bursts.tells(tier, SCRAPE) and self._is_burst(tier, at)]
        self.lasting += [tier for tier in asked if tier not in held]
        return burn_rate.judge(self.slo, self.readings(), at, held) if held else verdict

    def readings(self) -> dict[timedelta, Reading]:
        """Of all windows."""
        return {window: _reading(self.counted.window(at, window)) for window, at in self.read.items()}

    def between(self, read: Mapping[timedelta, datetime], births: bool) -> Verdict:
        """What would be concluded at a read, bursts aside, from what is between the samples in its windows."""
        readings = {window: _reading(self.counted.within(at, window, births)) for window, at in read.items()}
        return burn_rate.judge(self.slo, readings, max(read.values()))

    def _is_burst(self, tier: Tier, at: datetime) -> bool:
        step = bursts.width(tier, SCRAPE)
        return bursts.is_burst(tier, self.slo.objective, self.counted.slots(at, tier.long, step), step)


def _reading(slot: Slot) -> Reading:
    return Value(slot.bad, slot.total) if slot.total > 0 else Unknown(burn_rate.NO_EVENTS)


def compare(weather: Weather, observer: Observer) -> tuple[list[Burn], int]:
    """(burns of all objectives, reads that were compared)."""
    found, reads = list[Burn](), 0
    for (_, name, objective), verdicts in observer.verdicts.items():
        service = next(one for one in weather.services if one.name == name)
        slo = _slo(weather, service, objective)
        alone = _Alone(slo, Counted(observer.store, service, objective))
        pairs = [
            _Read((v.at - weather.start).total_seconds(), alone.verdict(v.at), v, dict(alone.read), alone)
            for v in verdicts
        ]
        reads += len(pairs)
        label = name if objective == ONLY else f"{name} {objective}"
        for number, tier in enumerate(pairs[0].alone.tiers):
            found += _burns(weather, label, tier_name(tier.tier), _of_tier(pairs, number))
        found += _burns(weather, label, HARM, list(_of_back(pairs)))
    return found, reads


def _slo(weather: Weather, service: Service, name: str) -> Slo:
    spec = Release.model_validate(manifests.release(service, "v1", weather.form, HOLDS)).spec.slo
    assert spec is not None
    return next(one for one in objectives(spec) if one.name == name)


@dataclass(frozen=True, slots=True)
class _Read:
    """One read, judged twice. `windows`: when each was asked for."""

    at: float
    alone: Verdict
    operator: Verdict
    windows: Mapping[timedelta, datetime]
    judge: _Alone

    def explained(self, same: Callable[[Verdict], bool]) -> str:
        """What of increase() makes the difference: with it, alone says the `same` as the operator."""
        for births, reason in _OF_INCREASE.items():
            if same(self.judge.between(self.windows, births)):
                return reason
        return "increase() extrapolates"


_OF_INCREASE = {
    True: "increase() does not see the scrape interval in which its window begins",
    False: "increase() does not count first values of series",
}


@dataclass(frozen=True, slots=True)
class _Compared:
    """Is it so at a read, (alone, in the operator), and what differs."""

    at: float
    alone: bool
    operator: bool
    why: str = ""


def _of_tier(reads: Sequence[_Read], number: int) -> list[_Compared]:
    return [
        _Compared(
            read.at, bool(a.firing), bool(o.firing), _why(read, number) if bool(a.firing) != bool(o.firing) else ""
        )
        for read in reads
        for a, o in [(read.alone.tiers[number], read.operator.tiers[number])]
    ]


def _of_back(reads: Sequence[_Read]) -> Iterator[_Compared]:
    """Whether the SLI burns and is not back yet: from a tier that fires until the first read that says it is back."""
    alone = operator = False
    why = ""
    for read in reads:
        alone = (alone or read.alone.firing is not None) and not read.alone.back
        operator = (operator or read.operator.firing is not None) and not read.operator.back
        why = (why or _why_harm(read)) if alone != operator else ""
        yield _Compared(read.at, alone, operator, why)


def _why_harm(read: _Read) -> str:
    """Why harm begins or ends on one side only: a tier that fires, or what says that the SLI is back."""
    firing = [read.alone.firing, read.operator.firing]
    if bool(firing[0]) == bool(firing[1]):
        return _why_back(read)
    tier = next(one.tier for one in firing if one)
    return _why(read, next(n for n, one in enumerate(read.alone.tiers) if one.tier == tier))


def _why(read: _Read, number: int) -> str:
    a, o = read.alone.tiers[number], read.operator.tiers[number]
    if o.firing is None:
        return f"not known: {_unknown(o)}"
    numbers = f"{_said(a.long)} and {_said(a.short)} alone, {_said(o.long)} and {_said(o.short)} by PromQL"
    if a.burst != o.burst:
        return f"{'alone' if a.burst else 'the operator'} takes it for a burst ({numbers})"
    reason = read.explained(lambda verdict: bool(verdict.tiers[number].firing) == bool(o.firing))
    return f"{reason} ({numbers})"


def _why_back(read: _Read) -> str:
    a, o = read.alone, read.operator
    shorts = [min(v.tiers, key=lambda one: one.tier.short).short for v in (a, o)]
    numbers = f"back: {a.back} with {_said(shorts[0])} alone, {o.back} with {_said(shorts[1])} by PromQL"
    if isinstance(shorts[1], Unknown) or o.band == "unknown":
        return f"not known: {o.reason} ({numbers})"
    return f"{read.explained(lambda verdict: verdict.back == o.back)} ({numbers})"


def _unknown(verdict: TierVerdict) -> str:
    for reading in (verdict.short, verdict.long):
        if isinstance(reading, Unknown):
            return f"{reading.reason} {reading.detail}".strip()
    shares = [f"{r.coverage:.0%}" for r in (verdict.long, verdict.short) if isinstance(r, Value)]
    return f"data exist for {' and '.join(shares)} of the windows"


def _said(reading: Reading) -> str:
    return f"{reading.bad:.1f} of {reading.total:.0f}" if isinstance(reading, Value) else reading.reason


def _burns(weather: Weather, label: str, what: str, reads: Sequence[_Compared]) -> Iterator[Burn]:
    """A row for each stretch in which either side says so."""
    stretch: list[_Compared] = []
    for read in reads:
        if read.alone or read.operator:
            stretch.append(read)
        elif stretch:
            yield _burn(weather, label, what, stretch, read.at)
            stretch = []
    if stretch:
        yield _burn(weather, label, what, stretch, None)


def _burn(weather: Weather, label: str, what: str, stretch: Sequence[_Compared], until: float | None) -> Burn:
    differing = [read for read in stretch if read.alone != read.operator]
    return Burn(
        weather.seed,
        weather.kind,
        label,
        what,
        _span(stretch, [read.at for read in stretch if read.alone], until),
        _span(stretch, [read.at for read in stretch if read.operator], until),
        len(stretch),
        len(differing),
        differing[0].why if differing else "",
    )


def _span(
    stretch: Sequence[_Compared], times: Sequence[float], until: float | None
) -> tuple[float, float | None] | None:
    """From the first of the times until the read after the last one."""
    if not times:
        return None
    return times[0], next((read.at for read in stretch if read.at > times[-1]), until)
