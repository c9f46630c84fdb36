"""All sources of one shift, asked side by side where they do not need each other."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.release import Release, Slo
from opsloop.core.gate.evidence import (
    FiredAlert,
    LiveAnswer,
    Missing,
    Replay,
    SentTicket,
    Served,
    ShiftEvidence,
    SliPoint,
    SliSeries,
    TierBurn,
    WorkloadSeen,
    shift_of,
)
from opsloop.core.gate.scope import root_with_slo
from opsloop.errors import NotFound
from opsloop.shell.evidence import cluster, history, outside, replay
from opsloop.shell.evidence.intake import filings
from opsloop.shell.evidence.sources import World, had

NO_INCIDENT = Missing("there is no Incident to look at")


async def gather(
    world: World,
    name: str = "",
    sent: tuple[SentTicket, ...] | None = None,
    rejected: Sequence[str] = (),
    served_metric: str = "",
) -> ShiftEvidence:
    """Evidence about the Incident `name` (default: the newest of the highest severity). NotFound where it is not there."""
    incidents, releases = await asyncio.gather(
        had("Incidents", cluster.incidents(world.cluster, world.namespace)),
        had("Releases", cluster.releases(world.cluster, world.namespace)),
    )
    incident = chosen(incidents, name)
    if incident is None or isinstance(incident, Missing):
        return _nothing(world, incident, incidents, releases, sent)
    shift = _Shift(world, incident, releases, world.clock.now())
    case = await had("EvalCase", cluster.regression_case(world.cluster, world.namespace, incident))
    alerts, active, filed, pages, burns, sli = await asyncio.gather(
        shift.alerts(),
        had("Alertmanager", outside.active_alerts(world)),
        had("ledgers", filings(world.cluster, world.namespace)),
        had("the pager's receiver", outside.pages(world)),
        shift.burns(),
        shift.sli(),
    )
    since, workload, again, live, served = await asyncio.gather(
        shift.since_mitigated(),
        shift.workload(),
        shift.replay(case),
        shift.live(case),
        shift.served(rejected, served_metric),
    )
    return ShiftEvidence(
        now=shift.now,
        namespace=world.namespace,
        incident=incident,
        incidents=incidents,
        releases=releases,
        alerts=alerts,
        active_alerts=active,
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
        options=world.options,
    )


def _nothing(
    world: World,
    incident: Missing | None,
    incidents: tuple[Incident, ...] | Missing,
    releases: tuple[Release, ...] | Missing,
    sent: tuple[SentTicket, ...] | None,
) -> ShiftEvidence:
    """Without an Incident no row looks at anything else."""
    none = incident or NO_INCIDENT
    return ShiftEvidence(
        now=world.clock.now(),
        namespace=world.namespace,
        incident=incident,
        incidents=incidents,
        releases=releases,
        alerts=none,
        active_alerts=none,
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
        options=world.options,
    )


def chosen(incidents: tuple[Incident, ...] | Missing, name: str) -> Incident | Missing | None:
    """By name, else the newest of the highest severity that was not merged into another."""
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


class _Shift:
    """The questions about one Incident; each answers with evidence or with why there is none."""

    def __init__(
        self, world: World, incident: Incident, releases: tuple[Release, ...] | Missing, now: datetime
    ) -> None:
        self.world = world
        self.incident = incident
        self.now = now
        self.root = root_with_slo(releases, incident)
        self.start, _ = shift_of(incident, now)

    async def alerts(self) -> tuple[FiredAlert, ...] | Missing:
        """Distinct alerts that fired."""
        fired = history.fired(self.world.telemetry, self.world.namespace, self.incident, self.now)
        return await had("Prometheus", fired)

    def _slo(self) -> Slo | Missing:
        return self.root if isinstance(self.root, Missing) else self.root[1]

    async def burns(self) -> tuple[TierBurn, ...] | Missing:
        """Both windows at detection."""
        slo, detected = self._slo(), self.incident.status.detected_at
        if isinstance(slo, Missing):
            return slo
        if detected is None:
            return Missing("the Incident has no time of detection")
        return await had("Prometheus", history.burns(self.world.telemetry, slo, detected, self.world.options.tick))

    async def sli(self) -> SliSeries | Missing:
        """The SLI over the shortest window, from before the onset until now."""
        slo = self._slo()
        if isinstance(slo, Missing):
            return slo
        window = history.head_window(slo)
        asking = history.sli_series(self.world.telemetry, slo.sli, window, self.start - window, self.now)
        return await had("Prometheus", asking)

    async def since_mitigated(self) -> SliPoint | Missing:
        """All events since the recovery."""
        slo, mitigated = self._slo(), self.incident.status.mitigated_at
        if isinstance(slo, Missing):
            return slo
        if mitigated is None:
            return Missing("the Incident has no time of recovery")
        return await had("Prometheus", history.whole(self.world.telemetry, slo.sli, mitigated, self.now))

    async def workload(self) -> WorkloadSeen | Missing:
        """The Deployment now."""
        if isinstance(self.root, Missing):
            return self.root
        name = self.root[0].spec.workload_ref.name
        return await had("Deployment", cluster.workload(self.world.cluster, self.world.namespace, name))

    async def replay(self, case: EvalCase | Missing | None) -> Replay | Missing:
        """The case asked again of the bad and the good revision."""
        if isinstance(self.root, Missing) or case is None or isinstance(case, Missing):
            return self.root if isinstance(self.root, Missing) else replay.missing_case(case)
        return await had("quarantine", replay.replay(self.world, case, self.root[0]))

    async def live(self, case: EvalCase | Missing | None) -> tuple[LiveAnswer, ...] | Missing:
        """The case asked of the live pods."""
        if isinstance(self.root, Missing) or case is None or isinstance(case, Missing):
            return self.root if isinstance(self.root, Missing) else replay.missing_case(case)
        return await had("live pods", replay.live_answers(self.world, case, self.root[0].spec.workload_ref.name))

    async def served(self, rejected: Sequence[str], metric: str) -> tuple[Served, ...]:
        """Requests of the versions that were refused before they may have served anybody."""
        versions = list(dict.fromkeys((*rejected, *self._refused())))
        if isinstance(self.root, Missing):
            return tuple(Served(version, self.root) for version in versions)
        sli = self.root[1].sli
        ask = (history.served(self.world.telemetry, sli, v, metric, self.start, self.now) for v in versions)
        return tuple(await asyncio.gather(*ask))

    def _refused(self) -> list[str]:
        """Versions that this Incident's case kept out, as the Release remembers them: they must have stayed dark."""
        if isinstance(self.root, Missing):
            return []
        known = [r for r in self.root[0].status.revisions if r.blocked and r.live_since is None]
        return [r.version for r in known if r.blocked and r.blocked.incident == self.incident.metadata.name]
