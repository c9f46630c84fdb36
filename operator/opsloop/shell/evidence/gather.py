"""Asks all sources of one shift; side by side where one does not need another's answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core.gate.evidence import (
    FiredAlert,
    LiveAnswer,
    Missing,
    OtherObjective,
    Replay,
    SentTicket,
    Served,
    ShiftEvidence,
    SliPoint,
    SliSeries,
    TierBurn,
    WorkloadSeen,
    instants_of,
    shift_of,
)
from opsloop.core.gate.scope import root_with_slo
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.tiers import budget_of
from opsloop.errors import NotFound
from opsloop.shell.evidence import alerting, cluster, history, replay
from opsloop.shell.evidence.intake import filings
from opsloop.shell.evidence.sources import Sources, or_missing

NO_INCIDENT = Missing("there is no Incident to look at")


async def gather(
    sources: Sources,
    name: str = "",
    sent: tuple[SentTicket, ...] | None = None,
    rejected: Sequence[str] = (),
    served_metric: str = "",
) -> ShiftEvidence:
    """Evidence about the Incident `name` (default: the newest of the highest severity). NotFound where it is not there."""
    incidents, releases = await asyncio.gather(
        or_missing("Incidents", cluster.incidents(sources.cluster, sources.namespace)),
        or_missing("Releases", cluster.releases(sources.cluster, sources.namespace)),
    )
    incident = chosen(incidents, name)
    if incident is None or isinstance(incident, Missing):
        return _nothing(sources, incident, incidents, releases, sent)
    shift = _Shift(sources, incident, releases, sources.clock.now())
    await shift.read_sli_as_promql()
    case = await or_missing("EvalCase", cluster.regression_case(sources.cluster, sources.namespace, incident))
    explaining = asyncio.gather(
        or_missing("Prometheus", alerting.rules(sources)),
        or_missing("Prometheus", history.refused(sources.telemetry, incident, shift.now)),
    )
    alerts, active, filed, pages, burns, sli = await asyncio.gather(
        shift.alerts(),
        or_missing("Alertmanager", alerting.active_alerts(sources)),
        or_missing("ledgers", filings(sources.cluster, sources.namespace)),
        or_missing("the pager's receiver", alerting.pages(sources, incidents)),
        shift.burns(),
        shift.sli(),
    )
    rules, refused = await explaining
    since, others, workload, again, live, served = await asyncio.gather(
        shift.since_mitigated(),
        shift.others_since_mitigated(),
        shift.workload(),
        shift.replay(case),
        shift.live(case),
        shift.served(rejected, served_metric),
    )
    return ShiftEvidence(
        now=shift.now,
        namespace=sources.namespace,
        incident=incident,
        incidents=incidents,
        releases=releases,
        alerts=alerts,
        active_alerts=active,
        rules=rules,
        refused=refused,
        filings=filed,
        sent=sent,
        burns=burns,
        pages=pages,
        sli=sli,
        since_mitigated=since,
        workload=workload,
        case=case,
        replay=again,
        live=live,
        served=served,
        others=others,
        options=sources.options,
    )


def _nothing(
    sources: Sources,
    incident: Missing | None,
    incidents: tuple[Incident, ...] | Missing,
    releases: tuple[Release, ...] | Missing,
    sent: tuple[SentTicket, ...] | None,
) -> ShiftEvidence:
    """Without an Incident no row looks at anything else."""
    none = incident or NO_INCIDENT
    return ShiftEvidence(
        now=sources.clock.now(),
        namespace=sources.namespace,
        incident=incident,
        incidents=incidents,
        releases=releases,
        alerts=none,
        active_alerts=none,
        rules=none,
        filings=none,
        sent=sent,
        burns=none,
        pages=none,
        sli=none,
        since_mitigated=none,
        workload=none,
        case=none,
        replay=none,
        live=none,
        options=sources.options,
    )


def chosen(incidents: tuple[Incident, ...] | Missing, name: str) -> Incident | Missing | None:
    """The Incident of this name, else the newest of the highest severity that was not merged into another.

    Raises NotFound where no Incident has the name.
    """
    if isinstance(incidents, Missing):
        return incidents
    if name:
        for incident in incidents:
            if incident.metadata.name == name:
                return incident
        raise NotFound(f"there is no Incident {name!r}")
    own = [incident for incident in incidents if not incident.status.merged_into]
    worst = min((incident.status.severity for incident in own), default="")
    return max((i for i in own if i.status.severity == worst), key=_age, default=None)


def _age(incident: Incident) -> datetime:
    return incident.metadata.creation_timestamp or incident.spec.signal.at


async def _each(
    asking: Callable[[Slo], Awaitable[OtherObjective]], objectives: Sequence[Slo]
) -> tuple[OtherObjective, ...]:
    return tuple(await asyncio.gather(*map(asking, objectives)))


class _Shift:
    """The questions about one Incident; each answers with evidence or with why there is none."""

    def __init__(
        self, sources: Sources, incident: Incident, releases: tuple[Release, ...] | Missing, now: datetime
    ) -> None:
        self.sources = sources
        self.incident = incident
        self.now = now
        self.root = root_with_slo(releases, incident)
        self.start, _ = shift_of(incident, now)

    async def read_sli_as_promql(self) -> None:
        """Resolves a structured SLI once, for all questions about it."""
        if not isinstance(self.root, Missing):
            release, slo = self.root
            asking = history.as_promql(self.sources.telemetry, release, slo, self.now)
            resolved = await or_missing("Prometheus", asking)
            self.root = resolved if isinstance(resolved, Missing) else (release, resolved)

    async def alerts(self) -> tuple[FiredAlert, ...] | Missing:
        """Distinct alerts that fired."""
        fired = history.fired(self.sources.telemetry, self.sources.namespace, self.incident, self.now)
        return await or_missing("Prometheus", fired)

    def _slo(self) -> Slo | Missing:
        return self.root if isinstance(self.root, Missing) else self.root[1]

    async def burns(self) -> tuple[TierBurn, ...] | Missing:
        """Both windows at detection, and when it became as severe as it is."""
        options = self.sources.options
        slo, instants = self._slo(), instants_of(self.incident, options.severity)
        if isinstance(slo, Missing):
            return slo
        if self.incident.status.detected_at is None:
            return Missing("the Incident has no time of detection")
        asking = history.burns(self.sources.telemetry, slo, instants, options.tick, options.severity)
        return await or_missing("Prometheus", asking)

    async def sli(self) -> SliSeries | Missing:
        """The SLI over the shortest window, from before the onset until now."""
        slo = self._slo()
        if isinstance(slo, Missing):
            return slo
        window = history.head_window(slo)
        asking = history.sli_series(self.sources.telemetry, slo.sli, window, self.start - window, self.now)
        return await or_missing("Prometheus", asking)

    async def since_mitigated(self) -> SliPoint | Missing:
        """All events since the recovery."""
        slo, mitigated = self._slo(), self.incident.status.mitigated_at
        if isinstance(slo, Missing):
            return slo
        if mitigated is None:
            return Missing("the Incident has no time of recovery")
        return await or_missing("Prometheus", history.whole(self.sources.telemetry, slo.sli, mitigated, self.now))

    async def others_since_mitigated(self) -> tuple[OtherObjective, ...] | Missing:
        """All events since the recovery of the objectives that the Incident is not about."""
        mitigated = self.incident.status.mitigated_at
        if isinstance(self.root, Missing) or mitigated is None:
            return ()
        release, own = self.root
        others = [one for one in objectives(release.spec.slo) if one.name != own.name] if release.spec.slo else []

        async def seen(one: Slo) -> OtherObjective:
            asked = await history.as_promql(self.sources.telemetry, release, one, self.now)
            since = await history.whole(self.sources.telemetry, asked.sli, mitigated, self.now)
            return OtherObjective(one.name, budget_of(one.objective), since)

        return await or_missing("Prometheus", _each(seen, others))

    async def workload(self) -> WorkloadSeen | Missing:
        """The Deployment now."""
        if isinstance(self.root, Missing):
            return self.root
        looking = cluster.workload(self.sources.cluster, self.sources.namespace, self.root[0])
        return await or_missing("Deployment", looking)

    async def replay(self, case: EvalCase | Missing | None) -> Replay | Missing:
        """The case asked again of the bad and the good revision."""
        if isinstance(self.root, Missing) or case is None or isinstance(case, Missing):
            return self.root if isinstance(self.root, Missing) else replay.missing_case(case)
        return await or_missing("quarantine", replay.replay(self.sources, case, self.root[0]))

    async def live(self, case: EvalCase | Missing | None) -> tuple[LiveAnswer, ...] | Missing:
        """The case asked of the live pods."""
        if isinstance(self.root, Missing) or case is None or isinstance(case, Missing):
            return self.root if isinstance(self.root, Missing) else replay.missing_case(case)
        return await or_missing("live pods", replay.live_answers(self.sources, case, self.root[0]))

    async def served(self, rejected: Sequence[str], metric: str) -> tuple[Served, ...]:
        """Requests of the versions that were refused before they may have served anybody."""
        versions = list(dict.fromkeys((*rejected, *self._refused())))
        if isinstance(self.root, Missing):
            return tuple(Served(version, self.root) for version in versions)
        sli = self.root[1].sli
        ask = (history.served(self.sources.telemetry, sli, v, metric, self.start, self.now) for v in versions)
        return tuple(await asyncio.gather(*ask))

    def _refused(self) -> list[str]:
        """Versions that this Incident's case kept out, as the Release remembers them: they must have stayed dark."""
        if isinstance(self.root, Missing):
            return []
        known = [r for r in self.root[0].status.revisions if r.blocked and r.live_since is None]
        return [r.version for r in known if r.blocked and r.blocked.incident == self.incident.metadata.name]
