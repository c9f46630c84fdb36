"""A report over a window: the figures of each Release with what they rest on, and what is known only in part."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core.incident.retention import RETENTION
from opsloop.core.report import episodes
from opsloop.core.report.changes import Failed, Stopped, changes
from opsloop.core.report.facts import Budget, ReportFacts, Window
from opsloop.core.report.figures import Figures, total
from opsloop.names import incident_number

NamespacedName = tuple[str, str]
NO_RELEASE = ""  # the row of Incidents that no Release of now is the root of


@dataclass(frozen=True, slots=True)
class Row:
    """One Release; `release` is "" for the Incidents of the namespace that have none. `history_since`: from when on its changes are
    known, None: not at all."""

    namespace: str
    release: str
    figures: Figures
    budgets: tuple[Budget, ...] = ()
    history_since: datetime | None = None

    @property
    def knows_changes(self) -> bool:
        """Whether its changes are known for some of the window; where there is no Release, there are none of one."""
        return self.history_since is not None or self.release == NO_RELEASE


@dataclass(frozen=True, slots=True)
class CaughtVersion:
    """A version that an EvalCase kept from users; `incident` is what the case was learnt from."""

    namespace: str
    case: str
    incident: str
    release: str
    version: str
    at: datetime
    dark: bool


@dataclass(frozen=True, slots=True)
class Report:
    """All of it; lists are in order of time, rows by namespace and Release."""

    window: Window
    rows: tuple[Row, ...]
    failed: tuple[Failed, ...]
    stopped: tuple[Stopped, ...]
    caught: tuple[CaughtVersion, ...]
    remarks: tuple[str, ...]

    @property
    def whole(self) -> Figures:
        """Of all rows."""
        return total(row.figures for row in self.rows)

    @property
    def by_namespace(self) -> dict[str, Figures]:
        """Of each namespace."""
        names = dict.fromkeys(row.namespace for row in self.rows)
        return {name: total(row.figures for row in self.rows if row.namespace == name) for name in names}

    def knows_changes(self, namespace: str = "") -> bool:
        """Whether changes of any of its Releases are known; "" is all namespaces."""
        rows = [row for row in self.rows if namespace in ("", row.namespace)]
        return any(row.knows_changes for row in rows) or not rows

    @property
    def changes_since(self) -> datetime | None:
        """The time since when changes of any Release are known; None where of none."""
        known = [row.history_since for row in self.rows if row.history_since is not None]
        return max(self.window.since, min(known)) if known else None


def report(facts: ReportFacts) -> Report:
    """The report over `facts.window`. Whatever lies outside of it is left out, except what says how a change in it ended."""
    releases = {release.key: release for release in facts.releases}
    found = {key: changes(release, _beside(facts, release), facts.window) for key, release in releases.items()}
    caught = tuple(sorted(_caught(facts), key=lambda one: (one.at, one.namespace, one.case)))
    figures = {key: each.figures for key, each in found.items()}
    for incident in facts.incidents:
        if facts.window.holds(episodes.began(incident)):
            key = _row_of(incident.metadata.namespace, incident.spec.release, releases)
            figures[key] = figures.get(key, Figures()) + episodes.figures([incident])
    for one in caught:
        key = _row_of(one.namespace, one.release, releases)
        figures[key] = figures.get(key, Figures()) + Figures(caught=1)
    return Report(
        window=facts.window,
        rows=tuple(
            Row(
                *key,
                figures[key],
                tuple(budget for budget in facts.budgets if (budget.namespace, budget.release) == key),
                releases[key].status.history_since if key in releases else None,
            )
            for key in sorted(figures, key=lambda key: (key[0], key[1] == NO_RELEASE, key[1]))
        ),
        failed=tuple(sorted((one for each in found.values() for one in each.failed), key=lambda one: one.at)),
        stopped=tuple(sorted((one for each in found.values() for one in each.stopped), key=lambda one: one.at)),
        caught=caught,
        remarks=tuple(_remarks(facts)),
    )


def _row_of(namespace: str, release: str, releases: Mapping[NamespacedName, Release]) -> NamespacedName:
    """The row in which what happened to a Release is counted: its own, else that of the namespace."""
    return (namespace, release) if (namespace, release) in releases else (namespace, NO_RELEASE)


def _beside(facts: ReportFacts, release: Release) -> list[Incident]:
    return [i for i in facts.incidents if i.metadata.namespace == release.metadata.namespace]


def _caught(facts: ReportFacts) -> Iterator[CaughtVersion]:
    """A version that several cases of one fault rejected is told once, by the oldest."""
    told = {(*case.key, one.digest, one.at) for case in facts.cases for one in case.status.caught}
    for case in facts.cases:
        oldest = (case.metadata.namespace, case.status.same_fault_as)
        for one in case.status.caught:
            if facts.window.holds(one.at) and (*oldest, one.digest, one.at) not in told:
                origin = case.spec.origin.incident
                yield CaughtVersion(*case.key, origin, one.release, one.version, one.at, one.dark)


def _remarks(facts: ReportFacts) -> Iterable[str]:
    """What the figures do not hold, a sentence each."""
    yield from facts.unread
    window, several = facts.window, len({r.metadata.namespace for r in facts.releases}) > 1
    said: dict[str, list[str]] = {}
    for release in sorted(facts.releases, key=lambda r: r.key):
        name = "/".join(release.key) if several else release.metadata.name
        for sentence in _of_release(facts, release):
            said.setdefault(sentence, []).append(name)
    yield from (f"{', '.join(names)}: {sentence}" for sentence, names in said.items())
    if window.length > RETENTION:
        yield (
            f"Incidents are deleted {RETENTION.days} days after their end, if opsloop's setting incidentRetention is the default:"
            " those of before are missing"
        )


def _of_release(facts: ReportFacts, release: Release) -> Iterator[str]:
    since = release.status.history_since
    if since is None:
        yield "no history of changes is stored yet; it begins with the next change"
    elif since > facts.window.since:
        yield f"changes are known since {since:%Y-%m-%d %H:%M} UTC, those before are not counted"
    if gone := _gone(facts, release):
        yield f"{gone} of the {release.status.last_episode} Incidents that it had are stored no more, and not counted"


def _gone(facts: ReportFacts, release: Release) -> int:
    """How many of its Incidents were deleted and may have been in the window: their numbers go up with time."""
    own = [i for i in facts.incidents if (i.metadata.namespace, i.spec.release) == release.key]
    began = {incident_number(i.metadata.name, release.metadata.name): episodes.began(i) for i in own}
    before = max((n for n, at in began.items() if at is not None and at < facts.window.since), default=0)
    return sum(number not in began for number in range(before + 1, release.status.last_episode + 1))
