"""Causes: which change, if any, brought the harm. Evidence multiplies; each term is named in the Incident.

The log odds of a suspect against "none of these" are the sum of its terms (`core.incident.weights`); its confidence is its
share among all suspects and "none of these". `unknown` is a good answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import exp, log

from opsloop.api.cause import Cause, Evidence
from opsloop.api.incident import IncidentStatus
from opsloop.core.facts import ReleaseView
from opsloop.core.incident.exoneration import EXONERATED
from opsloop.core.incident.suspects import Meeting, Suspect, suspects
from opsloop.core.incident.weights import PROVEN_MOST, QUARTER, ROLLOUTS, WEIGHTS, Weights
from opsloop.core.readings import Harm, Interval, SideBySide, Value
from opsloop.core.statistics.alike import SURE, Compared, compare
from opsloop.core.statistics.changepoint import Exposure, Series, Span
from opsloop.core.statistics.evidence import Interval as PairCounts
from opsloop.core.topology import Topology

# Named reasons
NEAR_CHANGE = "ChangedJustBefore"  # the harm began shortly after more users met this revision
VERSION_IS_BAD = "VersionIsBad"  # and of the revisions that serve at the same time, only this one is harmed
NOTHING_CHANGED = "NothingChanged"  # nothing changed in the time before the harm
OTHER_VERSION_BAD = "OtherVersionBad"  # of the revisions that serve at the same time, another one is harmed
ALIKE_EVERYWHERE = "AlikeEverywhere"  # all revisions that serve at the same time are harmed alike
NONE_OF_THESE = "NoneOfThese"  # no change explains the harm better than something that opsloop does not know
DEPENDENCY_HARMED = "DependencyHarmed"  # what it depends on is harmed itself
CONFIG_CHANGED = "ConfigChanged"  # the harm began shortly after a ConfigMap or Secret was written that its pods use
SCALED = "Scaled"  # the harm began shortly after somebody changed the number of its pods

MATTERS = 0.05  # a change of confidence below this is not written: the status would change with every scrape
LAST = 2  # intervals none of which may show the harm for it to be over: eight scrapes
RANKING = "ranking"
MOST_EVIDENCE = 19  # and the ranking: Cause.evidence holds 20


@dataclass(frozen=True, slots=True)
class Term:
    """A named part of a suspect's log odds."""

    name: str
    odds: float
    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A suspect with its terms; `reason` says what the split by revision came to, if anything."""

    suspect: Suspect
    terms: tuple[Term, ...]
    reason: str = ""

    @property
    def odds(self) -> float:
        """Its log odds against "none of these"."""
        return sum(term.odds for term in self.terms)


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a suspect is judged by."""

    root: ReleaseView
    topology: Topology
    series: Series
    first: datetime  # the likeliest interval of the beginning
    last: datetime
    exonerated: frozenset[str]
    weights: Weights

    @property
    def until(self) -> datetime:
        """The end of what was counted."""
        return max(self.last, datetime.fromtimestamp(self.series.spans[-1].end, UTC))

    @property
    def at(self) -> datetime:
        """The likeliest beginning."""
        return self.first + (self.last - self.first) / 2


def explain(
    root: ReleaseView,
    topology: Topology,
    onset: datetime,
    harmed: Sequence[str] = (),
    exonerated: Sequence[str] = (),
    weights: Weights = WEIGHTS,
    limit: float = 0.0,
) -> Cause:
    """The best explanation for harm on `root`. `onset` counts where no counts around it were read.

    `harmed`: dependencies that are harmed themselves. `exonerated`: digests that were rolled back in vain. `limit`: error
    ratio that is harm.
    """
    scene = _scene(root, topology, onset, frozenset(exonerated), weights, limit)
    found = suspects(root, topology, harmed, (scene.first, scene.until), weights.lookback, weights.slack)
    judged = sorted((_judge(scene, s) for s in found), key=lambda j: -j.odds)
    unseen = root.objects.unseen
    if not judged:
        unread = [Evidence(name=RANKING, value=_in_one_line(["nothing changed", *unseen]))] if unseen else []
        return Cause(kind="unknown", reason=NOTHING_CHANGED, evidence=unread)
    high = max(0.0, judged[0].odds)
    weighed = [exp(j.odds - high) for j in judged]
    whole = sum(weighed) + exp(-high)
    shares = [share / whole for share in weighed]
    return _conclude(judged, shares, exp(-high) / whole, unseen)


def _scene(
    root: ReleaseView,
    topology: Topology,
    onset: datetime,
    exonerated: frozenset[str],
    weights: Weights,
    limit: float,
) -> Scene:
    """With the series of counts where it was read; else the onset is all that is known of the time."""
    harm = root.readings.harm
    if harm is None or not harm.series:
        seconds = onset.timestamp()
        return Scene(root, topology, Series([Span(seconds, seconds + 1, 1, 1)]), onset, onset, exonerated, weights)
    first, last = _likeliest(series := series_of(of_harm(harm.series, limit)))
    return Scene(root, topology, series, first, last, exonerated, weights)


@lru_cache(maxsize=16)
def series_of(counted: tuple[Interval, ...]) -> Series:
    """The intervals in seconds. One reading is asked for its beginning, and then by every suspect of every look at it."""
    return Series([Span(i.start.timestamp(), i.end.timestamp(), i.bad, i.total) for i in counted])


def _likeliest(series: Series) -> tuple[datetime, datetime]:
    shares = series.beginnings()
    span = series.spans[shares.index(max(shares))]
    return datetime.fromtimestamp(span.start, UTC), datetime.fromtimestamp(span.end, UTC)


def _judge(scene: Scene, suspect: Suspect) -> Judged:
    terms = [*_prior(scene, suspect), _time(scene, suspect), *_others(scene), *_proven(scene, suspect)]
    split, reason = _split(scene, suspect)
    return Judged(suspect, (*terms, *split), reason)


def _prior(scene: Scene, suspect: Suspect) -> list[Term]:
    weights, revision, source = scene.weights, suspect.revision, f"Release {suspect.release}"
    if suspect.kind == "dependency":
        return [Term("dependency is harmed", weights.dependency, f"{suspect.release} is harmed itself", source)]
    terms = [_changed(suspect, weights, source)]
    if suspect.hops:
        terms.append(Term("distance", suspect.hops * weights.hop, f"{suspect.hops} steps along dependsOn", source))
        if _is_within(scene.topology.views.get(suspect.release)):
            text = f"{suspect.release} meets its own SLO while this harm goes on"
            terms.append(Term("within its SLO", weights.within, text, "its SLI"))
    if revision is None:
        return terms
    if suspect.along:
        text = f"{', '.join(c.what for c in suspect.along)}: a rollback of the revision does not undo it"
        terms.append(Term("written with it", 0.0, text, "managedFields"))
    if revision.shipped_without_canary:
        by = revision.manager or "an unknown manager"
        terms.append(Term("shipped without a canary", weights.without_canary, f"by {by}", "field manager"))
    if revision.blocked is not None:
        terms.append(Term("blocked before", weights.blocked_before, revision.blocked.reason, source))
    if revision.digest in scene.exonerated:
        terms.append(Term("exonerated", weights.exonerated, "its rollback did not end the harm", "the play"))
    return terms


def _is_within(view: ReleaseView | None) -> bool:
    """True where the service of a suspect is surely within its objective now; an SLI that nobody reads says nothing."""
    verdict = view.readings.verdict if view else None
    return verdict is not None and verdict.band == "ok" and verdict.back is True


def _changed(suspect: Suspect, weights: Weights, source: str) -> Term:
    change = suspect.change
    if change is None:
        return Term("changed", weights.own, f"{suspect.name} within {_minutes(weights.lookback)}", source)
    scaled = weights.scaled_down if change.fewer else weights.scaled_up
    odds = weights.config if change.kind == "config" else scaled
    return Term("changed", odds, written(change.what, change.at, change.manager), "managedFields")


def written(what: str, at: datetime | None, manager: str) -> str:
    """A change of an object with its time and who made it."""
    when = f", {at:%H:%M:%S} UTC" if at else ""
    return f"{what}{when}, by {manager or 'an unknown manager'}"


def _time(scene: Scene, suspect: Suspect) -> Term:
    """How well the beginning of the harm fits to the times at which more users met the suspect: their mean."""
    factors = [_factor(scene, meeting) for meeting in suspect.meetings]
    later = sum(factors[1:]) / len(factors[1:]) if len(factors) > 1 else factors[0]
    factor = scene.weights.first * factors[0] + (1 - scene.weights.first) * later
    odds = max(scene.weights.never, log(max(factor, 1e-12)))
    nearest = min((meeting.time for meeting in suspect.meetings), key=lambda at: abs(scene.at - at))
    gap = (scene.at - nearest).total_seconds()
    text = f"the harm began {abs(gap):.0f} s {'after' if gap >= 0 else 'before'} {nearest:%H:%M:%S} UTC"
    return Term("before and after", odds, text, "error ratio around the change")


def _factor(scene: Scene, meeting: Meeting) -> float:
    """How much better than nothing known this meeting explains when and how the harm grew."""
    weights, now = scene.weights, scene.series.spans[-1].end
    lookback = weights.lookback.total_seconds()
    if meeting.first is not None:
        start = meeting.first.timestamp()
        full = meeting.full.timestamp() if meeting.full is not None else max(start, now)
        return scene.series.bayes_factor(Exposure(start, full), weights.delay(), lookback)
    start, delay = meeting.at.timestamp(), weights.delay_unwatched()
    seconds = [length.total_seconds() for length in ROLLOUTS]
    factors = [scene.series.bayes_factor(Exposure(start, start + s), delay, lookback) for s in seconds]
    return sum(factors) / len(factors)


def _others(scene: Scene) -> list[Term]:
    """Services that have nothing to do with the root and are harmed at the same time: something common is the cause."""
    others = scene.topology.strangers(scene.root.release.metadata.name)
    harmed = [name for name, view in others.items() if _is_burning(view)]
    if not harmed:
        return []
    return [Term("others are harmed", scene.weights.others, ", ".join(harmed[:5]), "their SLIs")]


def _is_burning(view: ReleaseView) -> bool:
    verdict = view.readings.verdict
    return verdict is not None and verdict.burning


def _proven(scene: Scene, suspect: Suspect) -> list[Term]:
    revision = suspect.revision
    if revision is None or revision.proven_at is None:
        return []
    since = revision.served_since or revision.live_since or revision.proven_at
    quarters = min(max((scene.at - since) / QUARTER, 0.0), PROVEN_MOST)
    text = f"met its SLO for {_minutes(max(scene.at - since, timedelta(0)))}"
    return [Term("proven", quarters * scene.weights.proven, text, f"Release {suspect.release}")]


def _split(scene: Scene, suspect: Suspect) -> tuple[list[Term], str]:
    """The revisions that served at the same time since the harm began: is the suspect harmed alone?"""
    view = scene.root if suspect.hops == 0 else scene.topology.views.get(suspect.release)
    counted, revision = _counted(view, suspect), suspect.revision
    if counted is None or revision is None or not counted.intervals:
        return [], ""
    own, rest = _totals(counted)
    odds, reason = verdict_of(compare(counted.intervals, counted.dispersion), scene.weights.split)
    text = f"{revision.version} {_ratio(*own)}, the other one {_ratio(*rest)} at the same time"
    return [Term("by revision", odds, text, "SLI by revision since the harm began")], reason


def verdict_of(compared: Compared, most: float) -> tuple[float, str]:
    """(log odds within ±most, reason) from what two revisions served side by side."""
    odds = max(-most, min(most, compared.odds))
    if odds >= SURE:
        return odds, VERSION_IS_BAD
    if odds > -SURE:
        return odds, ""
    return odds, OTHER_VERSION_BAD if compared.other > compared.alike else ALIKE_EVERYWHERE


def _totals(counted: SideBySide) -> tuple[tuple[float, float], tuple[float, float]]:
    own = sum(i.canary_bad for i in counted.intervals), sum(i.canary_total for i in counted.intervals)
    return own, (sum(i.live_bad for i in counted.intervals), sum(i.live_total for i in counted.intervals))


def _ratio(bad: float, total: float) -> str:
    return f"{bad / total:.1%} of {total:.0f}" if total > 0 else "nothing"


def _counted(view: ReleaseView | None, suspect: Suspect) -> SideBySide | None:
    """Counts of the suspect and another revision since the harm began. The analysis window will do for a canary in
    traffic: both serve all the time."""
    if view is None or suspect.revision is None:
        return None
    digest, harm = suspect.revision.digest, view.readings.harm
    if harm is not None and harm.side_by_side is not None and harm.side_by_side.intervals:
        return harm.side_by_side if harm.side_by_side.own == digest else None
    target, split, live = view.release.status.target, view.readings.by_revision, view.release.status.live
    own, rest = split.get(digest), split.get(live)
    both = target is not None and target.is_active and suspect.kind == "canary"
    if not (both and isinstance(own, Value) and isinstance(rest, Value)):
        return None
    return SideBySide(digest, live, (PairCounts(0.0, 1.0, own.bad, own.total, rest.bad, rest.total),))


def _in_one_line(parts: Sequence[str]) -> str:
    return "; ".join(parts)[:512]


def _conclude(judged: Sequence[Judged], shares: Sequence[float], none: float, unseen: Sequence[str]) -> Cause:
    best, share = judged[0], shares[0]
    ranking = [f"{j.suspect.name} {s:.2f}" for j, s in zip(judged, shares, strict=True)][:8]
    ranked = Evidence(name=RANKING, value=_in_one_line([*ranking, f"none of these {none:.2f}", *unseen]))
    evidence = [_as_evidence(term) for term in best.terms][:MOST_EVIDENCE]
    if none >= share:
        reason = best.reason if best.reason in (OTHER_VERSION_BAD, ALIKE_EVERYWHERE) else NONE_OF_THESE
        return Cause(kind="unknown", reason=reason, confidence=round(none, 3), evidence=[*evidence, ranked])
    suspect, revision = best.suspect, best.suspect.revision
    base = {"release": suspect.release, "confidence": round(share, 3), "evidence": [*evidence, ranked]}
    if (change := suspect.change) is not None:
        reason = CONFIG_CHANGED if change.kind == "config" else SCALED
        told = {"object": change.what[:320], "changed_at": change.at, "manager": change.manager[:128]}
        return Cause(kind=change.kind, reason=reason, **told, **base)  # type: ignore[arg-type]
    if revision is None:
        return Cause(kind="dependency", reason=DEPENDENCY_HARMED, **base)  # type: ignore[arg-type]
    reason = VERSION_IS_BAD if best.reason == VERSION_IS_BAD else NEAR_CHANGE
    return Cause(
        kind="bad_release", reason=reason, revision=revision.digest, version=revision.version, **base  # type: ignore[arg-type]
    )  # fmt: skip


def _as_evidence(term: Term) -> Evidence:
    return Evidence(name=term.name, value=f"{term.odds:+.1f}: {term.text}"[:512], source=term.source)


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} min"


# --- when it is looked for


def is_settled(status: IncidentStatus) -> bool:
    """True once people were told of the cause, or a play was chosen on it: it is not renamed any more."""
    named = status.cause is not None and status.cause.kind != "unknown"
    return named and (bool(status.plays) or status.page is not None)


def replaces(status: IncidentStatus, cause: Cause) -> bool:
    """True where a conclusion is to be stored: the first one, another one that may replace it, or the same one with another
    confidence that matters. "Unknown" is no name: a name may always follow it."""
    before = status.cause
    if before is None:
        return True
    same = _named(before) == _named(cause)
    if same:
        return abs(before.confidence - cause.confidence) >= MATTERS and before.reason != EXONERATED
    return not is_settled(status) and not (before.reason == EXONERATED and cause.kind == "unknown")


def _named(cause: Cause) -> tuple[str, ...]:
    return cause.kind, cause.release, cause.revision, cause.object


def began_at(status: IncidentStatus, root: ReleaseView, now: datetime) -> datetime:
    """When the harm to explain began, as far as the burn says; after a reopening that is the present stretch of it."""
    if status.reopened:
        return root.readings.onset or now
    return status.onset_at or status.detected_at or now


def ranking(cause: Cause) -> str:
    """The suspects with their shares, in one line."""
    return next((e.value for e in cause.evidence if e.name == RANKING), "")


def began(series: tuple[Interval, ...], limit: float = 0.0) -> tuple[datetime, datetime]:
    """The likeliest interval of the beginning of the harm; `series` is not empty, `limit` is the error ratio that is harm."""
    return _likeliest(series_of(of_harm(series, limit)))


def of_harm(series: tuple[Interval, ...], limit: float) -> tuple[Interval, ...]:
    """The intervals up to the last one that shows the harm: those after it tell nothing of how it began, nor of how bad it is."""
    end = len(series)
    while end and series[end - 1].bad < limit * series[end - 1].total:
        end -= 1
    return series[:end] or series


def is_over_now(harm: Harm | None, limit: float) -> bool:
    """True where the last intervals do not show the harm any more, though the windows still hold it."""
    return harm is not None and bool(harm.series) and all(i.bad < limit * i.total for i in harm.series[-LAST:])
