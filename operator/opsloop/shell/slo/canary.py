"""Counts canaries in traffic: a Release's evidence so far, and at each tick the intervals that were closed since.

Counted is by pod (`core.slo.samples`) where the SLI is made of plain counters, else in windows of PromQL; the reading says
why. What was counted is kept as a cache. After a restart, or where the terms changed, counting starts again at the canary's
first traffic, at most one query per tick; until it has caught up, the evidence is old and lets nothing go on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core.readings import CanaryReading, Unknown
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import counts, promql
from opsloop.core.slo.canary import terms_of
from opsloop.core.slo.counters import counters
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.splits import named, queried, split_of
from opsloop.core.statistics.evidence import Evidence, Interval, Terms
from opsloop.shell.ports import NamespacedName
from opsloop.shell.slo.counting import ByPods, ByWindows
from opsloop.shell.slo.query import SliQuery

_OWN = "give each version its own, or write {{pods}} into the SLI"


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is counted; a change starts again."""

    windows: counts.Grid
    pair: counts.Pair
    terms: Terms
    slo: Slo
    scope: Scope


@dataclass(slots=True)
class _Counted:
    """What was counted of one canary."""

    subject: _Subject
    by: ByPods | ByWindows
    reading: CanaryReading


class CanaryCounter:
    """The evidence about the canary of each Release."""

    def __init__(self, query: SliQuery, resolution: timedelta) -> None:
        """`resolution` is Prometheus' scrape interval."""
        self._query, self._resolution = query, resolution
        self._counted: dict[NamespacedName, _Counted] = {}

    def keep(self, keys: Iterable[NamespacedName]) -> None:
        """Drops what was counted of all other Releases."""
        kept = set(keys)
        self._counted = {key: counted for key, counted in self._counted.items() if key in kept}

    async def read(self, release: Release, scope: Scope | Unknown, at: datetime) -> CanaryReading | Unknown | None:
        """The evidence as of `at`; None without a canary in traffic, Unknown where it cannot be counted.

        An unknown `scope` is a failed read: what was counted stands.
        """
        counted = self._counted.get(release.key)
        if isinstance(scope, Unknown):
            return replace(counted.reading, failure=scope) if counted and in_traffic(release) else scope
        subject = self._subject(release, scope)
        if not isinstance(subject, _Subject):
            self._counted.pop(release.key, None)
            return subject
        if counted is None or counted.subject != subject:
            counted = self._counted[release.key] = self._begun(subject)
        answer = await counted.by.read(self._query, at)
        if isinstance(answer, str):
            windows = _windows(subject, answer)
            counted = self._counted[release.key] = _begun_by(subject, windows)
            answer = await windows.read(self._query, at)
        if isinstance(answer, Unknown):
            counted.reading = replace(counted.reading, failure=answer)
        else:
            counted.reading = _added(counted.reading, answer, _steps(release))
        return counted.reading

    def _begun(self, subject: _Subject) -> _Counted:
        """A new count, exact where that is possible."""
        found = counters(subject.slo.sli, subject.pair.splits, subject.scope)
        if isinstance(found, str):
            return _begun_by(subject, _windows(subject, found))
        return _begun_by(subject, ByPods(found, subject.pair.canary, subject.windows.since, self._resolution))

    def _subject(self, release: Release, scope: Scope) -> _Subject | Unknown | None:
        """What to count of this Release now."""
        target, objective = release.status.target, release.spec.slo
        if objective is None or target is None or target.traffic_since is None or not in_traffic(release):
            return None
        windows = counts.grid(target.traffic_since, self._resolution)
        history = release.status.revisions
        known = {r.digest: r for r in history if r.digest in (target.digest, release.status.live)}
        revisions = {d: split_of(r, history, windows.step) for d, r in known.items()}
        if target.digest not in revisions:
            return Unknown(slo.NOT_READ, "the canary's revision is not recorded")
        names, compared = named(revisions), release.status.live in revisions
        for split in revisions.values():
            if fault := promql.not_told(objective.sli, split, scope):
                return fault
        if promql.by_version_label(objective.sli) and len({s.version for s in revisions.values()}) < len(revisions):
            return Unknown(slo.NOT_BY_VERSION, f"version {target.version} is the label of canary and live; {_OWN}")
        pair = counts.Pair(names[target.digest], names.get(release.status.live, ""), queried(revisions))
        terms = terms_of(release.spec.strategy.canary.analysis, objective.objective, compared)
        return _Subject(windows, pair, terms, objective, scope)


def in_traffic(release: Release) -> bool:
    """True while a canary of this Release may serve users beside live."""
    target = release.status.target
    return target is not None and target.state == "Stepping"


def _windows(subject: _Subject, because: str) -> ByWindows:
    return ByWindows(subject.slo, subject.scope, subject.pair, subject.windows, because)


def _begun_by(subject: _Subject, by: ByPods | ByWindows) -> _Counted:
    evidence = Evidence(replace(subject.terms, dispersion=by.dispersion))
    return _Counted(subject, by, CanaryReading(subject.windows.since, by.step, evidence, by.because))


def _added(reading: CanaryReading, answer: Sequence[Interval | None], steps: tuple[float, ...]) -> CanaryReading:
    evidence = reading.evidence
    for interval in answer:
        if interval is not None:
            evidence = evidence.after(interval, steps) if interval.end > 0 else evidence.before(interval)
    return replace(reading, evidence=evidence, failure=None)


def _steps(release: Release) -> tuple[float, ...]:
    """Seconds from the first step to each."""
    times = release.status.target.traffic if release.status.target else []
    return tuple((at - times[0]).total_seconds() for at in times)
