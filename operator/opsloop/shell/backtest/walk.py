"""One candidate of an objective lives through the history: read, judged and told as the operator does it, look by look.

The readings come from `shell.slo.reader`, the Incidents from `core.correlation` and `core.incident`. Nothing is acted on: what
was deployed stays until somebody deployed another version, as it was.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from opsloop.api.incident import REOPEN_GRACE, Incident
from opsloop.api.meta import PAGING, ObjectMeta
from opsloop.api.release import Release, ReleaseStatus
from opsloop.api.runbook import Runbook
from opsloop.api.slo import Tier
from opsloop.core.actions import CreateIncident
from opsloop.core.backtest.deploys import Deploys, digest_of, status_as_of
from opsloop.core.backtest.results import Blamed, Episode, Sight, episode_of
from opsloop.core.correlation.decide import decide as correlate
from opsloop.core.facts import CorrelationFacts, IncidentFacts, ReleaseView
from opsloop.core.incident import choice
from opsloop.core.incident.decide import decide as decide_incident
from opsloop.core.readings import Harm, Readings, Verdict
from opsloop.core.release import revisions
from opsloop.core.release.live import met
from opsloop.core.reported import Ledger
from opsloop.core.slo.merged import merged
from opsloop.core.slo.objectives import objectives, release_for
from opsloop.core.slo.pods import Scope
from opsloop.shell.backtest.history import PastQuery
from opsloop.shell.ports import NamespacedName
from opsloop.shell.slo.reader import History, SliReader

HARM_AGAIN = 5  # counts around a harm's beginning are read again after this part of its age, or of that of a deploy since, and when a tier fires: they say little more
LOOKS = 3  # at one Incident at one time: what its own status changes is seen by the next one


class _Reader(SliReader):
    """The operator's, but it does not read the counts around the beginning of a harm at each look of a harm that lasts."""

    harm_read: tuple[datetime, Harm, Tier | None] | None = None
    harm_since: datetime | None = None

    async def _harm(self, release: Release, history: History, scope: Scope, verdict: Verdict, then: datetime) -> Harm:
        if history.harm is None or self.harm_since is None:
            self.harm_read, self.harm_since = None, then
        tier, known = verdict.firing.tier if verdict.firing else None, self.harm_read
        since = max([self.harm_since, *_changes(release.status)])
        if known is not None and known[2] == tier and then - known[0] < (then - since) / HARM_AGAIN:
            return known[1]
        found = await super()._harm(release, history, scope, verdict, then)
        self.harm_read = then, found, tier
        return found


def _changes(status: ReleaseStatus) -> list[datetime]:
    """When deploys began and were through."""
    return [at for one in status.revisions for at in (one.live_since, one.rolled_out_at) if at is not None]


class Walk:
    """`look` is called with rising times, each `step` after the one before."""

    def __init__(
        self,
        release: Release,
        query: PastQuery,
        step: timedelta,
        resolution: timedelta,
        delay: timedelta,
        deploys: Deploys,
        runbooks: Sequence[Runbook],
    ) -> None:
        spec = release.spec.slo
        assert spec is not None
        self.release, self.slo, self._deploys, self._runbooks = release, spec, deploys, tuple(runbooks)
        self._histories = {one.name: History(one) for one in objectives(spec)}
        self._readers = {
            name: _Reader(query, step, resolution, delay, lambda _: None, self._created) for name in self._histories
        }
        self._now = datetime.min
        self._proven: dict[str, datetime] = {}  # name of a deploy → since when it is last-good
        self._known: tuple[tuple[int, int, int], ReleaseStatus] | None = None
        self._incidents: dict[str, Incident] = {}
        self._spans: dict[str, list[tuple[datetime, datetime | None]]] = {}
        self._blamed: dict[str, Blamed] = {}
        self.sights = {name: Sight(step) for name in self._histories}

    async def look(self, at: datetime) -> None:
        """One tick of the operator."""
        self._now = at
        release = self.release.model_copy(update={"status": self._status(at)})
        each = {
            name: await self._readers[name].read(release_for(release, history.slo), history, False, at)
            for name, history in self._histories.items()
        }
        for name, readings in each.items():
            self.sights[name].saw(at, readings.verdict, readings.remarks)
        readings = merged(each)
        self._prove(release.status, readings, at)
        fires = readings.verdict is not None and readings.verdict.firing is not None
        if fires or any(one.is_open for one in self._incidents.values()):
            self._decide(ReleaseView(release, readings), at)

    def episodes(self) -> tuple[Episode, ...]:
        """The Incidents so far, oldest first."""
        return tuple(
            episode_of(one, self._spans[name], self._blamed.get(name)) for name, one in self._incidents.items()
        )

    async def _created(self, release: NamespacedName) -> Sequence[datetime] | None:
        """When the living pods were created, at the earliest: once a rollout is through, all are younger than its beginning."""
        told = [one for one in self._deploys.found if one.replaced_at is not None and one.replaced_at <= self._now]
        return [told[-1].at] if told else None

    def _status(self, at: datetime) -> ReleaseStatus:
        found = self._deploys.found
        key = (
            sum(one.at <= at for one in found),
            sum(one.replaced_at is not None and one.replaced_at <= at for one in found),
            len(self._proven),
        )
        if self._known is None or self._known[0] != key:
            self._known = key, status_as_of(self._deploys, at, self.release.spec.workload_ref.name, self._proven)
        return self._known[1]

    def _prove(self, status: ReleaseStatus, readings: Readings, at: datetime) -> None:
        """As the Release would: live is last-good once it has met its SLO for the bake time, rolled out."""
        live = revisions.find(status.revisions, status.live)
        if live is None or live.proven_at or live.live_since is None or at - live.live_since < self.slo.bake_time:
            return
        if (live.rolled_out_at is not None or live.number == 1) and met(self.slo, readings):
            name = next(one.name for one in self._deploys.found if digest_of(one.name) == live.digest)
            self._proven[name] = at

    def _decide(self, view: ReleaseView, at: datetime) -> None:
        every, namespace = tuple(self._incidents.values()), self.release.metadata.namespace
        facts = CorrelationFacts(namespace, releases=(view,), incidents=every)
        for action in correlate(facts, at).actions:
            if isinstance(action, CreateIncident):
                meta = ObjectMeta(
                    name=action.name, namespace=namespace, creation_timestamp=at, labels=dict(action.labels)
                )
                self._incidents[action.name] = Incident(metadata=meta, spec=action.spec)
                self._spans[action.name] = [(at, None)]
        for name, one in self._incidents.items():
            if one.is_open or one.reopens(REOPEN_GRACE, at):
                self._live_on(name, view, at)

    def _live_on(self, name: str, view: ReleaseView, at: datetime) -> None:
        """The Incident's own decisions at this time."""
        for _ in range(LOOKS):
            incident = self._incidents[name]
            facts = IncidentFacts(
                incident=incident, root=view, releases=(view,), incidents=tuple(self._incidents.values()), runbooks=(),
                eval_cases=(), ledger=Ledger(), postmortem=None,
            )  # fmt: skip
            status = decide_incident(facts, at).status
            if status is None:
                return
            self._incidents[name] = decided = incident.model_copy(update={"status": status})
            self._note_span(name, incident.is_open, decided.is_open, at)
            if decided.is_open and name not in self._blamed:
                self._note_blame(name, replace(facts, incident=decided), at)

    def _note_span(self, name: str, was: bool, is_open: bool, at: datetime) -> None:
        spans = self._spans[name]
        if was and not is_open:
            spans[-1] = spans[-1][0], at
        elif is_open and not was:
            spans.append((at, None))

    def _note_blame(self, name: str, facts: IncidentFacts, at: datetime) -> None:
        """The rollback that a Runbook would have been asked for, and would have been sure enough of."""
        status, view = facts.incident.status, facts.root
        if view is None or status.cause is None or status.cause.kind != "bad_release" or status.severity not in PAGING:
            return
        book = choice.matching(replace(facts, runbooks=self._runbooks), status)
        if (
            book is None
            or book.spec.steps[0].type != "rollback"
            or status.cause.confidence < book.spec.safety.min_confidence
        ):
            return
        known = view.release.status
        target = revisions.rollback_target(known.revisions, status.cause.revision)
        if target is not None and status.cause.revision == known.live:
            self._blamed[name] = Blamed(at, status.cause.version, target[0].version, status.cause.confidence)
