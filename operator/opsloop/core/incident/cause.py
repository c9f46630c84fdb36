"""Causes: which change, if any, brought the harm. Evidence multiplies; each term is named in the Incident.

The log odds of a suspect against "none of these" are the sum of its terms (`core.incident.weights`); its confidence is its
share among all suspects and "none of these". `unknown` is a good answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import exp, log

from opsloop.api.incident import Cause, Evidence, IncidentStatus
from opsloop.core.facts import Harm, Interval, Reading, ReleaseView, Value
from opsloop.core.incident.exoneration import EXONERATED
from opsloop.core.incident.suspects import Suspect, suspects
from opsloop.core.incident.weights import PROVEN_MOST, QUARTER, WEIGHTS, Weights
from opsloop.core.statistics.changepoint import Span, bayes_factor, beginnings
from opsloop.core.statistics.sequential import lower_bound, upper_bound
from opsloop.core.topology import Topology

# Named reasons
NEAR_CHANGE = "ChangedJustBefore"  # the harm began shortly after more users met this revision
VERSION_IS_BAD = "VersionIsBad"  # and of the revisions that serve at the same time, only this one is harmed
NOTHING_CHANGED = "NothingChanged"  # nothing changed in the time before the harm
OTHER_VERSION_BAD = "OtherVersionBad"  # of the revisions that serve at the same time, another one is harmed
ALIKE_EVERYWHERE = "AlikeEverywhere"  # all revisions that serve at the same time are harmed alike
NONE_OF_THESE = "NoneOfThese"  # no change explains the harm better than something that opsloop does not know
DEPENDENCY_HARMED = "DependencyHarmed"  # what it depends on is harmed itself

ALPHA = 0.01  # of each bound on a revision's error ratio
TIMES_WORSE = 2.0  # a revision is harmed alone where it is surely this many times worse than the others
ENOUGH = 5  # bad events of each, to call two revisions alike
MATTERS = 0.05  # a change of confidence below this is not written: the status would change with every scrape
LAST = 2  # intervals that must be free of harm for it to be over: eight scrapes
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
    series: tuple[Span, ...]
    began: tuple[float, ...]  # probability that the harm began with each span
    first: datetime  # the likeliest interval of the beginning
    last: datetime
    exonerated: frozenset[str]
    weights: Weights

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
) -> Cause:
    """The best explanation for harm on `root`. `onset` counts where no counts around it were read.

    `harmed`: dependencies that are harmed themselves. `exonerated`: digests that were rolled back in vain.
    """
    scene = _scene(root, topology, onset, frozenset(exonerated), weights)
    found = suspects(root, topology, harmed, (scene.first, scene.last), weights.lookback, weights.slack)
    judged = sorted((_judge(scene, s) for s in found), key=lambda j: -j.odds)
    if not judged:
        return Cause(kind="unknown", reason=NOTHING_CHANGED, evidence=[])
    high = max(0.0, judged[0].odds)
    weighed = [exp(j.odds - high) for j in judged]
    whole = sum(weighed) + exp(-high)
    shares = [share / whole for share in weighed]
    return _conclude(judged, shares, exp(-high) / whole)


def _scene(
    root: ReleaseView, topology: Topology, onset: datetime, exonerated: frozenset[str], weights: Weights
) -> Scene:
    """With the series of counts where it was read; else the onset is all that is known of the time."""
    harm = root.readings.harm
    if harm is None or not harm.series:
        seconds = onset.timestamp()
        return Scene(root, topology, (Span(seconds, seconds + 1, 1, 1),), (1.0,), onset, onset, exonerated, weights)
    spans = tuple(Span(b.start.timestamp(), b.end.timestamp(), b.bad, b.total) for b in harm.series)
    began = tuple(beginnings(spans))
    likeliest = spans[began.index(max(began))]
    first, last = (datetime.fromtimestamp(seconds, UTC) for seconds in (likeliest.start, likeliest.end))
    return Scene(root, topology, spans, began, first, last, exonerated, weights)


def _judge(scene: Scene, suspect: Suspect) -> Judged:
    terms = [*_prior(scene, suspect), _time(scene, suspect), *_others(scene), *_proven(scene, suspect)]
    split, reason = _split(scene, suspect)
    return Judged(suspect, (*terms, *split), reason)


def _prior(scene: Scene, suspect: Suspect) -> list[Term]:
    weights, revision, source = scene.weights, suspect.revision, f"Release {suspect.release}"
    if revision is None:
        return [Term("dependency is harmed", weights.dependency, f"{suspect.release} is harmed itself", source)]
    terms = [Term("changed", weights.own, f"{suspect.name} within {_minutes(weights.lookback)}", source)]
    if suspect.hops:
        terms.append(Term("distance", suspect.hops * weights.hop, f"{suspect.hops} steps along dependsOn", source))
    if revision.shipped_without_canary:
        by = revision.manager or "an unknown manager"
        terms.append(Term("shipped without a canary", weights.without_canary, f"by {by}", "field manager"))
    if revision.blocked is not None:
        terms.append(Term("blocked before", weights.blocked_before, revision.blocked.reason, source))
    if revision.digest in scene.exonerated:
        terms.append(Term("exonerated", weights.exonerated, "its rollback did not end the harm", "the play"))
    return terms


def _time(scene: Scene, suspect: Suspect) -> Term:
    """How well the beginning of the harm fits to the times at which more users met the suspect: their mean."""
    weights, delay, lookback = scene.weights, scene.weights.delay(), scene.weights.lookback.total_seconds()
    factors = [bayes_factor(scene.series, scene.began, at.timestamp(), delay, lookback) for at in suspect.changes]
    odds = max(weights.never, log(max(sum(factors) / len(factors), 1e-12)))
    nearest = min(suspect.changes, key=lambda at: abs(scene.at - at))
    gap = (scene.at - nearest).total_seconds()
    text = f"the harm began {abs(gap):.0f} s {'after' if gap >= 0 else 'before'} {nearest:%H:%M:%S} UTC"
    return Term("before and after", odds, text, "error ratio around the change")


def _others(scene: Scene) -> list[Term]:
    """Services that have nothing to do with the root and are harmed at the same time: something common is the cause."""
    name, topology = scene.root.release.metadata.name, scene.topology
    related = {name, *topology.dependencies(name)}
    harmed = [
        n
        for n, view in sorted(topology.views.items())
        if n not in related and not related & topology.dependencies(n).keys() and _is_burning(view)
    ]
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
    split, revision = _since(view, suspect), suspect.revision
    own = split.get(revision.digest) if revision else None
    others = [r for digest, r in split.items() if revision and digest != revision.digest and isinstance(r, Value)]
    if revision is None or not isinstance(own, Value) or not others:
        return [], ""
    rest = Value(bad=sum(r.bad for r in others), total=sum(r.total for r in others))
    text = f"{revision.version} {own.error_ratio:.1%} of {own.total:.0f}, others {rest.error_ratio:.1%} of {rest.total:.0f}"
    term = Term("by revision", 0.0, text, "SLI by revision since the harm began")
    odds, reason = compare(own, rest, scene.weights.split)
    return [replace(term, odds=odds)], reason


def compare(own: Value, rest: Value, weight: float) -> tuple[float, str]:
    """(log odds, reason) from the error ratio of the suspect and that of the others, served at the same time."""
    low, high = lower_bound(own.bad, own.total, ALPHA), upper_bound(own.bad, own.total, ALPHA)
    rest_low, rest_high = lower_bound(rest.bad, rest.total, ALPHA), upper_bound(rest.bad, rest.total, ALPHA)
    if low > TIMES_WORSE * rest_high:
        return weight, VERSION_IS_BAD
    if rest_low > TIMES_WORSE * high:
        return -2 * weight, OTHER_VERSION_BAD
    enough = min(own.bad, rest.bad) >= ENOUGH
    if enough and low > rest_high / TIMES_WORSE and high < rest_low * TIMES_WORSE:
        return -weight, ALIKE_EVERYWHERE
    return 0.0, ""


def _since(view: ReleaseView | None, suspect: Suspect) -> dict[str, Reading]:
    """By revision since the harm began. The analysis window will do for a canary in traffic: both serve all the time."""
    if view is None:
        return {}
    harm = view.readings.harm
    if harm is not None and len(harm.by_revision) > 1:
        return dict(harm.by_revision)
    target = view.release.status.target
    both = target is not None and target.is_active and suspect.kind == "canary"
    return dict(view.readings.by_revision) if both else {}


def _conclude(judged: Sequence[Judged], shares: Sequence[float], none: float) -> Cause:
    best, share = judged[0], shares[0]
    ranking = [f"{j.suspect.name} {s:.2f}" for j, s in zip(judged, shares, strict=True)][:8]
    ranked = Evidence(name=RANKING, value="; ".join([*ranking, f"none of these {none:.2f}"])[:512])
    evidence = [_as_evidence(term) for term in best.terms][:MOST_EVIDENCE]
    if none >= share:
        reason = best.reason if best.reason in (OTHER_VERSION_BAD, ALIKE_EVERYWHERE) else NONE_OF_THESE
        return Cause(kind="unknown", reason=reason, confidence=round(none, 3), evidence=[*evidence, ranked])
    suspect, revision = best.suspect, best.suspect.revision
    base = {"release": suspect.release, "confidence": round(share, 3), "evidence": [*evidence, ranked]}
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
    same = (before.kind, before.release, before.revision) == (cause.kind, cause.release, cause.revision)
    if same:
        return abs(before.confidence - cause.confidence) >= MATTERS and before.reason != EXONERATED
    return not is_settled(status) and not (before.reason == EXONERATED and cause.kind == "unknown")


def began_at(status: IncidentStatus, root: ReleaseView, now: datetime) -> datetime:
    """When the harm to explain began, as far as the burn says; after a reopening that is the present stretch of it."""
    if status.reopened:
        return root.readings.onset or now
    return status.onset_at or status.detected_at or now


def ranking(cause: Cause) -> str:
    """The suspects with their shares, in one line."""
    return next((e.value for e in cause.evidence if e.name == RANKING), "")


def began(series: Sequence[Interval]) -> datetime:
    """The likeliest beginning of the present harm; `series` is not empty."""
    spans = [Span(i.start.timestamp(), i.end.timestamp(), i.bad, i.total) for i in series]
    shares = beginnings(spans)
    return series[shares.index(max(shares))].start


def is_over_now(harm: Harm | None, limit: float) -> bool:
    """True where the last intervals surely do not show the harm any more, though the windows still hold it."""
    recent = [b for b in harm.series[-LAST:] if b.total > 0] if harm else []
    bad, total = sum(b.bad for b in recent), sum(b.total for b in recent)
    return bool(recent) and upper_bound(bad, total, ALPHA) < limit
