"""A backtest: the history is read once, and each objective that is tried walks through it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf

from opsloop.api.meta import format_duration
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.api.slo import Slo
from opsloop.core.backtest import deploys as deployed
from opsloop.core.backtest import rollouts
from opsloop.core.backtest.deploys import Deploy, Deploys, digest_of, status_as_of
from opsloop.core.backtest.results import Backtest, Each, Part, Quality, Sight, Traffic, Tried
from opsloop.core.postmortem.curve import Curve
from opsloop.core.readings import Unknown
from opsloop.core.release import revisions
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import counts, parts, promql, telling
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.pods import Labels, Scope
from opsloop.core.slo.promql import Split
from opsloop.core.slo.splits import named, queried, scope_of
from opsloop.core.slo.tiers import dropped_tiers, windows_of
from opsloop.core.statistics.evidence import Interval as PairCounts
from opsloop.errors import Invalid
from opsloop.shell.backtest.ahead import Bounds, ReadAhead, Stopped
from opsloop.shell.backtest.history import PastQuery
from opsloop.shell.backtest.walk import Walk
from opsloop.shell.ports import Telemetry
from opsloop.shell.slo import curves
from opsloop.shell.slo.parts import guilty

LOOKS_AT_PARTS = 500  # times at which it is asked how many series a selector matches
LOOKS_AT_PODS = timedelta(minutes=1)  # between two looks at which pods there were: deploys are told to the minute
TOLD = 20  # times that progress is told
DAY = timedelta(days=1)
LABELS_TRIED = 4  # times at which pods are looked for, from the end backwards
LONGEST_CANARY = timedelta(hours=6)  # that is played; one that waits for longer waits for a person
LOOKS_AT_PODS_QUERIES = 30  # of deploys, parts and canaries, about
FINER = 3  # looks in a scrape, for the first sample of a deploy
SECOND = timedelta(seconds=1)
AHEAD = 6  # queries of one window until as much is read ahead as may be


@dataclass(frozen=True, slots=True)
class Asking:
    """What is to be tried. `targets`: objectives in place of the first one of the Release; empty: its own."""

    release: Release
    targets: tuple[float, ...]
    since: datetime
    until: datetime
    step: timedelta
    resolution: timedelta
    delay: timedelta
    runbooks: tuple[Runbook, ...]
    runbook: str


async def backtest(telemetry: Telemetry, asking: Asking, bounds: Bounds, tell: Callable[[str], None]) -> Backtest:
    """Reads the history and tries each objective. Raises Invalid for an SLI that cannot be read, Stopped where the bounds or
    Prometheus end it."""
    return await _Run(telemetry, asking, bounds, tell).whole()


class _Run:
    def __init__(self, telemetry: Telemetry, asking: Asking, bounds: Bounds, tell: Callable[[str], None]) -> None:
        spec = asking.release.spec.slo
        if spec is None:
            raise Invalid(f"Release {asking.release.metadata.name} has no spec.slo: there is nothing to judge")
        self.asking, self.spec, self.every, self.tell = asking, spec, objectives(spec), tell
        self.ahead = ReadAhead(telemetry, asking.until, bounds)
        self.query = PastQuery(self.ahead, asking.resolution)
        self.scopes: dict[str, Scope] = {}
        needs = asking.release.spec.depends_on
        told = "is read alone: in the operator a page for a dependency's harm goes to the dependency"
        self.notes = [f"dependsOn {', '.join(needs)}: {asking.release.metadata.name} {told}"] if needs else []

    async def whole(self) -> Backtest:
        asking = self.asking
        for one in self.every:
            self.scopes[one.name] = await self._scope(one)
        found = [part for one in self.every for part in await self._parts(one)]
        self.ahead.bounds.series = max([1, *(one.series for one in found)])
        self._foretell()
        deploys = await self._deploys()
        walks = [
            Walk(
                self._aimed(target), self.query, asking.step, asking.resolution, asking.delay, deploys, asking.runbooks
            )
            for target in asking.targets or (self.spec.objective,)
        ]
        await self._walk(walks)
        drawn = {one.name: await self._curve(one) for one in self.every}
        counted = [(one, await self._counted(one, deploys)) for one in deploys.new]
        return Backtest(
            release=asking.release.metadata.name,
            namespace=asking.release.metadata.namespace,
            since=asking.since,
            until=asking.until,
            step=asking.step,
            tried=tuple(self._tried(walk, drawn, counted, deploys) for walk in walks),
            deploys=deploys,
            curves={name: curve for name, curve in drawn.items() if curve is not None},
            quality=await self._quality(found, deploys),
            traffic=self._traffic(drawn[self.spec.name], deploys),
            queries=self.ahead.queries,
            runbook=asking.runbook,
            notes=tuple(self.notes),
        )

    def _aimed(self, target: float) -> Release:
        """The Release with another first objective."""
        spec = self.asking.release.spec
        return self.asking.release.model_copy(
            update={"spec": spec.model_copy(update={"slo": self.spec.model_copy(update={"objective": target})})}
        )

    async def _scope(self, one: Slo) -> Scope:
        """Where the series are; the labels of a structured SLI are those of the latest time at which they are found.

        Raises Invalid for an SLI that cannot be read."""
        plain, sli = scope_of(self.asking.release), one.sli
        if (fault := promql.problem(sli)) is not None:
            raise Invalid(f"{fault.reason}: {fault.detail}")
        scope = plain
        if sli.requests is not None or sli.latency is not None:
            labels: Labels | Unknown | None = None
            for part in range(LABELS_TRIED):
                at = self.asking.until - part * (self.asking.until - self.asking.since) / LABELS_TRIED
                if (labels := await self.query.labels(sli, plain, at)) is not None:
                    break
            if isinstance(labels, Unknown):
                raise Invalid(f"{labels.reason}: {labels.detail}")
            selector = (sli.requests or sli.latency).selector  # type: ignore[union-attr]
            if labels is None and not selector:
                raise Invalid(
                    f"{sli.field}: no series of {promql.expressions(sli).metric} names a pod of Deployment"
                    f" {plain.workload} in namespace {plain.namespace}; write a selector, or podLabel"
                )
            scope = replace(plain, labels=labels)
        window = min(windows_of(one))
        reading = (await self.query.readings(one, scope, {window}, {}, self.asking.until)).windows[window]
        if isinstance(reading, Unknown) and reading.reason == slo.QUERY_FAILED:
            raise Invalid(reading.detail)
        return scope

    async def _parts(self, one: Slo) -> list[Part]:
        """The selectors of an objective, over all of the history."""
        since, until = self.asking.since, self.asking.until
        step = max((until - since) / LOOKS_AT_PARTS, self.asking.resolution)
        found = []
        for asked in parts.selectors_of(one.sli, self.scopes[one.name]):
            answer = await self.ahead.range(parts.count(asked.text), since + step, until, step.total_seconds())
            numbers = [number for series in answer for _, number in series.points]
            most = round(max(numbers, default=0))
            why = "" if most else await guilty(self.ahead, asked.text, until)
            found.append(Part(asked.field, asked.text, most, len(numbers) / max(1, (until - since) // step), why))
        return found

    def _foretell(self) -> None:
        """Says about how many queries it takes. Raises Stopped where these are too many."""
        bounds, span = self.ahead.bounds, self.asking.until - self.asking.since
        every = {w for one in self.every for w in (*windows_of(one), one.bake_time)}
        expected = LOOKS_AT_PODS_QUERIES + sum(
            AHEAD + -(-(span // max(self.asking.step, window / 120)) // bounds.points) for window in every
        ) * len(self.every)
        self.tell(
            f"{format_duration(span)} in steps of {format_duration(self.asking.step)}: about {expected} range queries of at most"
            f" {bounds.points} points; the SLI has {bounds.series} series"
        )
        if expected > bounds.queries:
            raise Stopped(
                f"that is more than --max-queries {bounds.queries}; ask for less: a longer --step, --since less, or a narrower selector"
            )

    async def _deploys(self) -> Deploys:
        """By the first way that tells any."""
        asking, step = self.asking, max(self.asking.step, LOOKS_AT_PODS)
        for way in deployed.ways(asking.release, self.scopes[self.spec.name]):
            try:
                answer = await self.ahead.range(way.query, asking.since, asking.until, step.total_seconds())
            except Invalid as refusal:
                self.notes.append(f"deploys by {way.how}: {refusal}")
                continue
            found = deployed.deploys_of(answer, way, asking.release.spec.workload_ref.name, step)
            if found.found:
                return await self._dated(found, way, step)
        self.notes.append(
            "no series names the pods or the versions, so deploys are unknown: kube-state-metrics would tell them, or a pod label"
        )
        return Deploys()

    async def _dated(self, deploys: Deploys, way: deployed.Way, step: timedelta) -> Deploys:
        """Looks up each deploy's first sample, which lies between the look that saw it and the one before."""
        fine, first = max(self.asking.resolution / FINER, SECOND), {}
        for number, one in enumerate(deploys.found[1:], start=1):
            answer = await self.ahead.range(way.query, one.at - step, one.at, fine.total_seconds())
            times = [
                at for series in answer if series.labels.get(deployed.LABEL) == one.name for at, _ in series.points
            ]
            if times:
                first[number] = min(times)
        return deployed.dated(deploys, first, self.asking.resolution)

    async def _walk(self, walks: Sequence[Walk]) -> None:
        asking = self.asking
        looks = (asking.until - asking.since) // asking.step
        told = max(1, looks // TOLD)
        for number in range(looks + 1):
            at = asking.since + number * asking.step
            for walk in walks:
                await walk.look(at)
            if number % told == 0:
                self.tell(f"{number / looks:.0%}, {at:%Y-%m-%d %H:%M} UTC, {self.ahead.queries} queries")

    async def _curve(self, one: Slo) -> Curve | None:
        span = self.asking.since, self.asking.until
        return await curves.read(self.query, one, self.scopes[one.name], span, self.asking.resolution)

    async def _counted(self, one: Deploy, deploys: Deploys) -> rollouts.Counted:
        """Counts of the new version and of the one before, from the deploy on; empty where nothing tells them apart."""
        status = status_as_of(deploys, one.at, self.asking.release.spec.workload_ref.name, {})
        own, other = (revisions.find(status.revisions, digest_of(name)) for name in (one.name, one.before))
        end = min(one.until or self.asking.until, self.asking.until, one.at + LONGEST_CANARY)
        found: dict[str, list[PairCounts | None]] = {}
        for objective in self.every:
            windows = counts.grid(one.at, self.asking.resolution)
            numbers = windows.after(0, end)
            if own is None or other is None or not numbers:
                continue
            splits = {r.digest: Split(r.version, windows.step, tuple(r.replica_sets)) for r in (own, other)}
            scope = self.scopes[objective.name]
            untold = any(promql.not_told(objective.sli, split, scope) for split in splits.values())
            if untold or (promql.by_version_label(objective.sli) and own.version == other.version):
                continue
            names = named(splits)
            pair = counts.Pair(names[own.digest], names[other.digest], queried(splits))
            answer = await self.query.counts(objective, scope, windows, numbers, pair)
            if not isinstance(answer, Unknown):
                found[objective.name] = answer
        return found

    def _tried(
        self,
        walk: Walk,
        drawn: Mapping[str, Curve | None],
        counted: Sequence[tuple[Deploy, rollouts.Counted]],
        deploys: Deploys,
    ) -> Tried:
        each = tuple(_each(one, walk.sights[one.name], drawn[one.name]) for one in objectives(walk.slo))
        before = {one.name: one.pods for one in deploys.found}
        played = tuple((one, rollouts.played(walk.release, found, before.get(one.before, 0))) for one, found in counted)
        return Tried(walk.slo.objective, walk.episodes(), each, played, tuple(dropped_tiers(walk.slo)))

    async def _quality(self, found: Sequence[Part], deploys: Deploys) -> Quality:
        one, scope = self.every[0], self.scopes[self.spec.name]
        label = deployed.pod_label(one.sli, scope)
        pods = f"label {label} holds the pods' names" if label else "no label holds the pods' names"
        if not deploys.found:
            return Quality(tuple(found), pods, "not known: no version was seen", None)
        last, window = deploys.found[-1], self.asking.release.spec.strategy.canary.analysis.window
        sets = (f"{scope.workload}-{last.name}",) if deploys.how != deployed.BY_VERSION else ()
        live = Split(last.version, window, sets)
        parsed = await self.query.readings(one, scope, {window}, {"live": live}, self.asking.until)
        told = telling.told(one.sli, live, scope, parsed.versions["live"], parsed.windows[window], settled=True)
        return Quality(tuple(found), pods, told.message, told.apart)

    def _traffic(self, curve: Curve | None, deploys: Deploys) -> Traffic:
        pods = deploys.found[-1].pods if deploys.found else 0
        late = [p for p in curve.points if self.asking.until - p.at < DAY] if curve else []
        if curve is None or not late:
            return Traffic(None, pods, inf, 0.0)
        rate = sum(p.total for p in late) / min(DAY, self.asking.until - self.asking.since).total_seconds()
        return Traffic(rate, pods, *rollouts.needed(self.asking.release, rate, pods))


def _each(one: Slo, sight: Sight, curve: Curve | None) -> Each:
    if curve is None:
        return Each(one.name, one.objective, sight, None, None)
    bad, total = sum(p.bad for p in curve.points), sum(p.total for p in curve.points)
    aimed = curve.model_copy(update={"objective": one.objective})
    return Each(one.name, one.objective, sight, aimed.budget_spent(bad), bad / total if total else None)
