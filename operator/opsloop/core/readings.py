"""What was measured, as facts: readings of SLIs, verdicts of burn rates, canaries beside live, harm, and what is unknown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from opsloop.api.slo import ONLY, Tier
from opsloop.core.statistics.evidence import Evidence
from opsloop.core.statistics.evidence import Interval as PairCounts


@dataclass(frozen=True, slots=True)
class Unknown:
    """A reading without a value; `reason` is a constant of `core.slo.burn_rate` (NoSeries, QueryFailed, Stale, NoEvents ...)."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Value:
    """Event counts over a window and the share of the window's seconds for which data exists.

    Raises ValueError for NaN, infinity and impossible counts: a rule that forgets Unknown must not compute with them.
    """

    bad: float
    total: float
    coverage: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.bad <= self.total < float("inf") and self.total > 0 and 0 <= self.coverage <= 1):
            raise ValueError(f"not a reading: bad={self.bad} total={self.total} coverage={self.coverage}")

    @property
    def error_ratio(self) -> float:
        """Share of bad events among those that were counted."""
        return self.bad / self.total

    @property
    def lower(self) -> float:
        """Error ratio if all missing time was good; opening an Incident rests on it."""
        return self.coverage * self.error_ratio

    @property
    def upper(self) -> float:
        """Error ratio if all missing time was bad; resolving and promoting rest on it."""
        return self.coverage * self.error_ratio + (1 - self.coverage)


Reading = Value | Unknown


@dataclass(frozen=True, slots=True)
class TierVerdict:
    """Verdict on one tier. `firing` is None while it is unknown. `burst`: it does not fire, as all may be one burst."""

    tier: Tier
    firing: bool | None
    long: Reading
    short: Reading
    burn_long: float | None
    burn_short: float | None
    burst: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict on the SLO of one Release at one tick.

    band: ok (no tier's short window above 1), slow (burning above 1 or a ticket tier fires), fast (a page tier fires), unknown.
    back: True if the shortest window is (upper bound) below burn 1, False if it surely is not, None if nobody can say.

    Of a Release with several objectives it is the worst one's, with all of them in `each` (`core.slo.merged`).
    """

    at: datetime
    objective: float
    tiers: tuple[TierVerdict, ...]
    band: Literal["ok", "slow", "fast", "unknown"]
    firing: TierVerdict | None
    back: bool | None
    reason: str
    burning: bool = False  # the shortest short window burns above its tier's factor (lower bound)
    name: str = ONLY  # of the objective
    each: tuple["Verdict", ...] = ()  # one for each of several objectives; empty where there is one


@dataclass(frozen=True, slots=True)
class Told:
    """Whether the SLI tells revisions apart; None where that is not known yet. `reason` is of `core.slo.telling`."""

    apart: bool | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CanaryReading:
    """What a canary and live served since the canary took traffic at `since`, counted in intervals of `step` at most."""

    since: datetime
    step: timedelta
    evidence: Evidence
    approximate: str = ""  # why counts are of PromQL windows and not of each pod's counters; empty where they are exact
    failure: Unknown | None = None  # of the last read; what was counted before stands

    @property
    def until(self) -> datetime:
        """End of the last interval for which there were data."""
        return self.since + timedelta(seconds=self.evidence.until)


@dataclass(frozen=True, slots=True)
class Interval:
    """Counts of one interval; 0 ≤ bad ≤ total."""

    start: datetime
    end: datetime
    bad: float
    total: float


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Counts of two revisions (digests) in disjoint intervals in which both may have served; `own` is their `canary_*`."""

    own: str
    other: str
    intervals: tuple[PairCounts, ...]
    dispersion: float = 1.0  # events are worth 1/dispersion


@dataclass(frozen=True, slots=True)
class Harm:
    """Counts around the beginning of the present harm: disjoint intervals, oldest first, and of two revisions since then."""

    series: tuple[Interval, ...]
    side_by_side: SideBySide | None = None


@dataclass(frozen=True, slots=True)
class SinceAct:
    """Counts around the moment from which an act (a rollback) was in effect."""

    effect_at: datetime
    since: Reading  # of `span`, which begins one scrape after the effect at the earliest and ends now
    span: timedelta
    just_before: Reading  # of the last stretch before the effect; Unknown where the act was too quick to have one
    scrape: timedelta  # Prometheus' scrape interval
    at_start: Reading = Unknown("NotRead")  # of the last scrapes before the act began
    own: Reading | None = None  # of `span`, of the live revision's pods; None where the SLI does not tell them
    latest: Reading | None = None  # of the later half of `span`; None where it was not asked
    scrapes: float | None = None  # that a pod had in `span`, on average; None where nobody says
    late: timedelta = timedelta(0)  # by which samples are known to arrive late

    @property
    def scraped(self) -> float:
        """How often a pod was scraped in `span`: as was seen, else as often as the interval and what is late allow."""
        return (self.span - self.late) / self.scrape if self.scrapes is None else self.scrapes


@dataclass(frozen=True, slots=True)
class Remark:
    """What a person should know about readings besides their values; `reason` is of `core.slo.remarks`."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Readings:
    """All readings of one Release, as of `verdict.at`. `by_revision` (digest → reading) is over the analysis window.

    `interval` is the time until the next read: what is older than three of them is Unknown (`core.slo.age`). Of several
    objectives all else is of the worst one (`core.slo.merged`).
    """

    verdict: Verdict | None = None
    bake: Reading | None = None
    by_revision: Mapping[str, Reading] = field(default_factory=dict)
    onset: datetime | None = None  # first instant of the present stretch of burn above 1, as Prometheus shows it
    told: Told | None = None
    silent: timedelta = timedelta(0)  # of the last 2 minutes, in pieces: nobody could say whether to page
    canary: CanaryReading | Unknown | None = None  # of the target in traffic; None without one
    harm: Harm | None = None  # while the SLI burns
    since_act: SinceAct | None = None  # while an Incident has an act in effect
    interval: timedelta = timedelta(seconds=5)
    delay: timedelta = timedelta(0)  # the readings speak of the time so long before `verdict.at`
    scrape: timedelta = timedelta(seconds=15)  # Prometheus' scrape interval
    remarks: tuple[Remark, ...] = ()  # the most important one first
    each: Mapping[str, "Readings"] = field(
        default_factory=dict
    )  # by name, of several objectives; empty where there is one
