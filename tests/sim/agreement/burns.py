"""When burns of the SLOs begin and end: by the functions as shipped on the stored samples, and in the whole operator.

Alone, each objective is judged at the moment at which a process of the operator has read it, on what had arrived by then
(`tests.sim.agreement.counted`). A window is read as often as the operator reads it (it moves by 1/120 between two reads), and
keeps its value while Prometheus does not answer. A new process of the operator has read nothing yet.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import isclose

from opsloop.api.meta import format_duration
from opsloop.api.release import Release
from opsloop.api.slo import ONLY, Slo, Tier
from opsloop.core.readings import Reading, TierVerdict, Unknown, Value, Verdict
from opsloop.core.slo import burn_rate, bursts, carried
from opsloop.core.slo.age import MOST_INTERVALS
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.tiers import tier_name, windows_of
from opsloop.shell.slo.reader import _POINTS
from opsloop.simulator import manifests
from opsloop.simulator.episode import TICK
from opsloop.simulator.scraping import EVERY
from opsloop.simulator.service import Service
from opsloop.simulator.weather import HOLDS, Weather
from tests.sim.agreement.counted import Counted
from tests.sim.agreement.observed import Heard, Observer

SCRAPE = timedelta(seconds=EVERY)
EXACT = 1e-6  # of a number's size: sums are taken in another order
HARM = "harm until the SLI is back"
NUMBERS = "windows of other numbers"


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
    """Judges one objective at one read after the other, as one process of the operator does."""

    slo: Slo
    counted: Counted
    read: dict[timedelta, tuple[datetime, Reading]] = field(default_factory=dict)
    failed: set[timedelta] = field(default_factory=set)
    lasting: list[Tier] = field(default_factory=list)  # seen to go on, as `shell.slo.bursts` keeps them

    def verdict(self, at: datetime, answered: bool) -> Verdict:
        """What the functions conclude from the samples. `answered`: Prometheus does."""
        for window in windows_of(self.slo):
            if not self._is_due(window, at):
                continue
            if answered:
                self.read[window] = at, self.counted.reading(at, window)
                self.failed.discard(window)
            else:
                self.failed.add(window)
        readings = {window: self._standing(window, at) for window in windows_of(self.slo)}
        verdict = burn_rate.judge(self.slo, readings, at)
        if answered and (windows := carried.doubtful(self.slo, verdict)):
            readings = self._with_gaps(readings, windows, at)
            verdict = burn_rate.judge(self.slo, readings, at)
        self.lasting = [v.tier for v in verdict.tiers if v.tier in self.lasting and v.firing is not False]
        asked = [tier for tier in bursts.about_to_page(verdict) if tier not in self.lasting]
        held = [tier for tier in asked if answered and bursts.tells(tier, SCRAPE) and self._is_burst(tier, at)]
        self.lasting += [tier for tier in asked if tier not in held]
        return burn_rate.judge(self.slo, readings, at, held) if held else verdict

    def _with_gaps(
        self, readings: dict[timedelta, Reading], windows: Collection[timedelta], at: datetime
    ) -> dict[timedelta, Reading]:
        """These windows are covered also as far as counters carried on over their gaps."""
        return {
            window: replace(one, coverage=one.coverage + (1 - one.coverage) * self.counted.carried(at, window))
            if window in windows and isinstance(one, Value)
            else one
            for window, one in readings.items()
        }

    def _is_due(self, window: timedelta, at: datetime) -> bool:
        if window not in self.read or window in self.failed or _every(window) <= TICK:
            return True
        return at - self.read[window][0] >= _every(window) - TICK / 2

    def _standing(self, window: timedelta, at: datetime) -> Reading:
        if window not in self.read or (window in self.failed and _every(window) <= TICK):
            return Unknown(burn_rate.UNREACHABLE)
        since, reading = self.read[window]
        return reading if at - since <= MOST_INTERVALS * _every(window) else Unknown(burn_rate.STALE)

    def _is_burst(self, tier: Tier, at: datetime) -> bool:
        step = bursts.width(tier, SCRAPE)
        return bursts.is_burst(tier, self.slo.objective, self.counted.slots(at, tier.long, step), step)


def _every(window: timedelta) -> timedelta:
    return max(TICK, window / _POINTS)


class Burns:
    """The verdicts of an episode, each beside the one that is reached alone."""

    def __init__(self, weather: Weather, observer: Observer) -> None:
        self._weather, self._observer = weather, observer
        self._alone: dict[tuple[int, str, str], _Alone] = {}  # (process, service, objective)
        self._reads: dict[tuple[int, str, str], list[_Read]] = {}
        observer.on_read.append(self._heard)

    def _heard(self, heard: Heard) -> None:
        key, verdict = (heard.process, heard.service, heard.objective), heard.verdict
        alone = self._alone.get(key)
        if alone is None:
            service = next(one for one in self._weather.services if one.name == heard.service)
            counted = Counted(self._observer.store, service, heard.objective, self._weather.form)
            alone = self._alone[key] = _Alone(slo_of(self._weather, service, heard.objective), counted)
        at = (verdict.at - self._weather.start).total_seconds()
        self._reads.setdefault(key, []).append(_Read(at, alone.verdict(verdict.at, heard.answered), verdict))

    def last(self, heard: Heard) -> Verdict:
        """What was concluded alone at this read."""
        return self._reads[heard.process, heard.service, heard.objective][-1].alone

    @property
    def reads(self) -> int:
        """How many were compared."""
        return sum(map(len, self._reads.values()))

    def found(self) -> list[Burn]:
        """The burns of all objectives."""
        found = list[Burn]()
        for (_, name, objective), reads in self._reads.items():
            label = name if objective == ONLY else f"{name} {objective}"
            for number, tier in enumerate(reads[0].alone.tiers):
                found += _burns(self._weather, label, tier_name(tier.tier), _of_tier(reads, number))
            found += _burns(self._weather, label, HARM, list(_of_back(reads)))
            found += _burns(self._weather, label, NUMBERS, list(_of_numbers(reads)))
        return found


def slo_of(weather: Weather, service: Service, name: str) -> Slo:
    """An objective of a service's Release."""
    spec = Release.model_validate(manifests.release(service, "v1", weather.form, HOLDS)).spec.slo
    assert spec is not None
    return next(one for one in objectives(spec) if one.name == name)


@dataclass(frozen=True, slots=True)
class _Read:
    """One read, judged twice."""

    at: float
    alone: Verdict
    operator: Verdict


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


def _of_numbers(reads: Sequence[_Read]) -> Iterator[_Compared]:
    """Whether the operator read something else, whatever follows from it."""
    for read in reads:
        pairs = zip(read.alone.tiers, read.operator.tiers, strict=True)
        windows = [
            (w, a, o) for x, y in pairs for w, a, o in ((x.tier.long, x.long, y.long), (x.tier.short, x.short, y.short))
        ]
        why = next(
            (f"{format_duration(w)}: {_said(a)} alone, {_said(o)} by PromQL" for w, a, o in windows if not _same(a, o)),
            "",
        )
        yield _Compared(read.at, False, bool(why), why)


def _same(one: Reading, other: Reading) -> bool:
    if isinstance(one, Unknown) or isinstance(other, Unknown):
        return isinstance(one, Unknown) and isinstance(other, Unknown)
    pairs = ((one.bad, other.bad), (one.total, other.total), (one.coverage, other.coverage))
    return all(isclose(a, b, rel_tol=EXACT, abs_tol=EXACT) for a, b in pairs)


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
    return f"other numbers ({numbers})"


def _why_back(read: _Read) -> str:
    a, o = read.alone, read.operator
    shorts = [min(v.tiers, key=lambda one: one.tier.short).short for v in (a, o)]
    numbers = f"back: {a.back} with {_said(shorts[0])} alone, {o.back} with {_said(shorts[1])} by PromQL"
    if isinstance(shorts[1], Unknown) or o.band == "unknown":
        return f"not known: {o.reason} ({numbers})"
    return f"other numbers ({numbers})"


def _unknown(verdict: TierVerdict) -> str:
    for reading in (verdict.short, verdict.long):
        if isinstance(reading, Unknown):
            return f"{reading.reason} {reading.detail}".strip()
    shares = [f"{r.coverage:.0%}" for r in (verdict.long, verdict.short) if isinstance(r, Value)]
    return f"data exist for {' and '.join(shares)} of the windows"


def _said(reading: Reading) -> str:
    if isinstance(reading, Unknown):
        return reading.reason
    share = "" if reading.coverage == 1 else f" in {reading.coverage:.0%}"
    return f"{reading.bad:.1f} of {reading.total:.0f}{share}"


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
