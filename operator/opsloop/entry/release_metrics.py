"""Metrics of the Releases, of the conditions of the other kinds, and of the Stops, made when somebody scrapes: as exact as the last poll, and gone with their object."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.core.readings import Verdict
from opsloop.core.slo.budget import Spent, exhausted_in
from opsloop.core.slo.merged import verdicts
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.standing import present_burn, values
from opsloop.core.stop import Stop
from opsloop.shell.ports import NamespacedName

Objects = Callable[[], Iterable[Incident | EvalCase | Runbook]]
Seen = Callable[[], Iterable[tuple[Release, Verdict | None]]]
Budget = Callable[[NamespacedName, str], Spent | None]
SLO = ("namespace", "release", "slo")
WINDOW = (*SLO, "window")
CONDITION = ("namespace", "release", "condition", "status", "reason")


def unknown_budget(release: NamespacedName, slo: str) -> Spent | None:
    """Nobody says what is spent."""


class ReleaseCollector(Collector):
    """Burn rate and SLI of each objective by window, its error budget, and the conditions, of the Releases that exist now."""

    def __init__(self, seen: Seen, budget: Budget = unknown_budget) -> None:
        """`seen`: the Releases with the verdict of their last poll; none on a replica that does not lead. `budget`: what is spent of
        the error budget of an objective."""
        self._seen, self._budget = seen, budget

    def collect(self) -> Iterator[Metric]:
        """All series, from one look at the Releases."""
        burn = GaugeMetricFamily(
            "opsloop_release_burn_rate", "Error budget burn rate; absent while unknown.", labels=WINDOW
        )
        sli = GaugeMetricFamily(
            "opsloop_release_sli_ratio", "Share of good events; absent while unknown.", labels=WINDOW
        )
        told = GaugeMetricFamily("opsloop_release_condition", "1 for each condition, with its status and reason.", labels=CONDITION)  # fmt: skip
        known = GaugeMetricFamily(
            "opsloop_release_telemetry_known", "1 while the SLI can be read, 0 while it is unknown.", labels=SLO
        )
        left = GaugeMetricFamily(
            "opsloop_release_error_budget_left_ratio",
            "Share of the period's error budget that is left, below 0 where it is overspent; absent while unknown.",
            labels=SLO,
        )
        covered = GaugeMetricFamily(
            "opsloop_release_error_budget_coverage_ratio",
            "Share of the period for which there are data to know that.",
            labels=SLO,
        )
        gone = GaugeMetricFamily(
            "opsloop_release_error_budget_exhausted_seconds",
            "Time until the error budget is gone at the burn rate of the fastest tier's long window; infinite while it is not spent.",
            labels=SLO,
        )
        warm = GaugeMetricFamily(
            "opsloop_release_warm_pods",
            "Pods of last-good that are kept warm beside a promoted version, by state; absent without any.",
            labels=("namespace", "release", "state"),
        )
        for release, verdict in self._seen():
            if (kept := release.status.warm) is not None and kept.state != "Over":
                warm.add_metric((*release.key, kept.state.lower()), kept.replicas)
            for name, period in _periods(release).items():
                if (spent := self._budget(release.key, name)) is None:
                    continue
                left.add_metric((*release.key, name), spent.left)
                covered.add_metric((*release.key, name), spent.coverage)
                own = next((one for one in verdicts(verdict) if one.name == name), None) if verdict else None
                if (rate := present_burn(own) if own else None) is not None:
                    time = exhausted_in(spent.left, rate, period)
                    gone.add_metric((*release.key, name), float("inf") if time is None else time.total_seconds())
            for one in verdicts(verdict) if verdict else ():
                known.add_metric((*release.key, one.name), float(one.band != "unknown"))
                for window, (value, budget) in values(one).items():
                    burn.add_metric((*release.key, one.name, window), value.error_ratio / budget)
                    sli.add_metric((*release.key, one.name, window), 1 - value.error_ratio)
            for condition in release.status.conditions:
                told.add_metric((*release.key, condition.type, condition.status, condition.reason), 1)
        yield from (burn, sli, known, left, covered, gone, warm, told)


class ConditionCollector(Collector):
    """The conditions of the objects of one kind that exist now: what waits, and for what reason, so that an alert can be written."""

    def __init__(self, kind: str, objects: Objects) -> None:
        """`kind` names metric and label, in lower case; `objects`: none on a replica that does not lead."""
        self._kind, self._objects = kind, objects

    def collect(self) -> Iterator[Metric]:
        """One series for each condition."""
        told = GaugeMetricFamily(
            f"opsloop_{self._kind}_condition",
            "1 for each condition, with its status and reason.",
            labels=("namespace", self._kind, "condition", "status", "reason"),
        )
        for one in self._objects():
            for condition in one.status.conditions:
                key = (one.metadata.namespace, one.metadata.name)
                told.add_metric((*key, condition.type, condition.status, condition.reason), 1)
        yield told


class IncidentCollector(ConditionCollector):
    """Those of the Incidents that are open now: one that is over waits for nobody, and is kept for its retention."""

    def __init__(self, incidents: Callable[[], Iterable[Incident]]) -> None:
        """`incidents`: none on a replica that does not lead."""
        super().__init__("incident", lambda: [one for one in incidents() if one.is_open])


class StopCollector(Collector):
    """The Stops that are in effect now."""

    def __init__(self, stops: Callable[[], Iterable[Stop]]) -> None:
        """`stops`: none on a replica that does not lead."""
        self._stops = stops

    def collect(self) -> Iterator[Metric]:
        """One series for each."""
        stopped = GaugeMetricFamily(
            "opsloop_stopped", "1 for each Stop in effect, where it lies.", labels=("namespace", "name", "scope")
        )
        for stop in self._stops():
            stopped.add_metric((stop.namespace, stop.name, "all" if stop.everywhere else "namespace"), 1)
        yield stopped


def _periods(release: Release) -> dict[str, timedelta]:
    """Objective → period."""
    return {slo.name: slo.period for slo in objectives(release.spec.slo)} if release.spec.slo else {}
