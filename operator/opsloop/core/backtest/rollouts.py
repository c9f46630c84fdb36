"""A deploy of the past as the canary that it was not: when would it have been stopped, or passed?

The Release's steps are played with what the new version really served. A canary with the share w of T events would have met a
like share of the new version's, so its counts are the new version's, made fewer:

    bad_c = f·bad_n,   total_c = f·total_n,   f = min(1, w·T / total_n)

held against what the old version served in the same intervals, as long as it was there (a rolling update is quick); after that
against the floor alone. So a canary is stopped here later than in truth, rather than sooner: a real one has live beside it all
the time. Judged by the operator's own tests (`core.statistics.evidence`, `core.slo.canary`, `core.slo.jointly`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from opsloop.api.meta import format_duration
from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.api.strategy import Step
from opsloop.core.release import weights
from opsloop.core.slo import canary, counts
from opsloop.core.slo.jointly import rejected_for
from opsloop.core.slo.objectives import label, objectives, release_for
from opsloop.core.statistics.detectable import unseen
from opsloop.core.statistics.evidence import Evidence, Interval

Counted = Mapping[str, Sequence[Interval | None]]
"""Objective → intervals since the deploy, `canary_*` of the new version and `live_*` of the one before; None: no data."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """What became of the canary. `seconds` since the deploy; `bad` of `total` events are the canary's own, `served_bad` those of
    the new version in the same time as it was: all its users met it."""

    outcome: Literal["stopped", "passed", "waits", "replaced", "unknown"]
    seconds: float = 0.0
    weight: int = 0
    bad: float = 0.0
    total: float = 0.0
    served_bad: float = 0.0
    message: str = ""


def played(release: Release, counted: Counted, pods: int) -> Rollout:
    """The canary of one deploy. `pods`: of the service, by which weights are reached."""
    spec = release.spec.slo
    every = objectives(spec) if spec else ()
    if not every or not any(any(counted.get(one.name, ())) for one in every):
        return Rollout("unknown", message="the SLI shows nothing of this version alone")
    return _Played(release, every, pods).over(counted)


class _Played:
    """One canary, interval by interval."""

    def __init__(self, release: Release, every: Sequence[Slo], pods: int) -> None:
        self.release, self.every, self.pods = release, every, pods
        self.steps = weighted(release)
        self.alpha = release.spec.strategy.canary.analysis.false_rejects
        self.evidence = {
            one.name: Evidence(
                canary.terms_of(
                    release_for(release, one).spec.strategy.canary.analysis, one.objective, True, counts.DISPERSION
                )
            )
            for one in every
        }
        self.step, self.reached, self.starts = 0, 0.0, [0.0]
        self.served_bad = dict.fromkeys(self.evidence, 0.0)

    def over(self, counted: Counted) -> Rollout:
        """What became of it by the end of what was counted."""
        if self.steps[0].weight == 100:
            direct = self.release.spec.strategy.type == "direct"
            why = "its strategy is direct" if direct else "the Release has no step below 100"
            return Rollout("passed", message=f"{why}: nothing is tried as a canary")
        longest = max(len(found) for found in counted.values())
        end = 0.0
        for number in range(longest):
            for name, found in counted.items():
                if number < len(found) and (interval := found[number]) is not None:
                    self._see(name, interval)
                    end = max(end, interval.end)
            if (ended := self._ended(end)) is not None:
                return ended
        name = self.every[0].name
        return self._rollout(
            "replaced", end, name, "the next deploy, or the end of the history, came before it was decided"
        )

    def _see(self, name: str, interval: Interval) -> None:
        whole = interval.canary_total + interval.live_total
        wanted = self._share() * whole
        part = min(1.0, wanted / interval.canary_total) if interval.canary_total else 0.0
        self.served_bad[name] += interval.canary_bad
        thinned = Interval(
            interval.begin, interval.end, part * interval.canary_bad, part * interval.canary_total,
            interval.live_bad, interval.live_total,
        )  # fmt: skip
        self.evidence[name] = self.evidence[name].after(thinned, tuple(self.starts))

    def _share(self) -> float:
        return share_of(self.steps[self.step].weight, self.pods)

    def _ended(self, now: float) -> Rollout | None:
        """What has become of it by now; None while it goes on."""
        if name := rejected_for(self.evidence, len(self.every), self.alpha):
            return self._rollout("stopped", now, name, canary.rejection(self.evidence[name]).message)
        step, analysis = self.steps[self.step], self.release.spec.strategy.canary.analysis
        if now - self.reached < step.hold.total_seconds():
            return None
        judged = {one.name: canary.judge(one, analysis.min_events, self.evidence[one.name]) for one in self.every}
        doubtful = next((name for name, one in judged.items() if one.verdict != "good"), "")
        patience = (step.hold + analysis.patience).total_seconds()
        if doubtful and now - self.reached < patience:
            return None
        if doubtful and analysis.inconclusive == "promote" and judged[doubtful].reason == canary.TOO_FEW_EVENTS:
            doubtful = ""
        if doubtful:
            what: Literal["stopped", "waits"] = "stopped" if analysis.inconclusive == "abort" else "waits"
            over = f"patience of {format_duration(analysis.patience)} is spent"
            return self._rollout(what, now, doubtful, f"{judged[doubtful].message}; {over}")
        self.step += 1
        if self.steps[self.step].weight == 100:
            first = self.every[0].name
            return self._rollout("passed", now, first, unseen(self.evidence[first]))
        self.reached = now
        self.starts.append(now)
        return None

    def _rollout(
        self, outcome: Literal["stopped", "passed", "waits", "replaced"], now: float, name: str, text: str
    ) -> Rollout:
        seen = self.evidence[name]
        return Rollout(
            outcome, now, self.steps[min(self.step, len(self.steps) - 1)].weight, seen.bad, seen.total,
            self.served_bad[name], f"{label(name)}{text}",
        )  # fmt: skip


def weighted(release: Release) -> list[Step]:
    """The steps with a weight: of testers' and copied requests a history of users' says nothing. A direct one has none below 100."""
    return [step for step in release.spec.strategy.steps if step.weight]


def share_of(weight: int, pods: int) -> float:
    """The share of the traffic that canary pods get at a weight below 100, beside so many pods; as asked where these are not known."""
    if not pods:
        return weight / 100
    count = weights.pods_for(weight, pods)
    return count / (count + pods)


def needed(release: Release, rate: float, pods: int) -> tuple[float, float]:
    """(seconds that the first step needs for enough events at this rate of events per second, seconds that it has in hold and
    patience), by the objective that needs most. The first is infinite without traffic; both are 0 where nothing is tried."""
    spec, first = release.spec.slo, weighted(release)[0]
    if spec is None or first.weight == 100:
        return 0.0, 0.0
    patience = release.spec.strategy.canary.analysis.patience
    own = rate * share_of(first.weight, pods)
    every = [(one, release_for(release, one).spec.strategy.canary.analysis) for one in objectives(spec)]
    return max(canary.seconds_needed(one, analysis, own) for one, analysis in every), (
        first.hold + patience
    ).total_seconds()
