"""What Prometheus says to a Release's SLIs: do they match, are they known, do they tell versions apart, is there traffic enough?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from opsloop.api.meta import format_duration
from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core import conditions
from opsloop.core.backtest import rollouts
from opsloop.core.doctor.row import Row, unseen
from opsloop.core.readings import Reading, Told, Unknown
from opsloop.core.slo.canary import rough_duration
from opsloop.core.slo.objectives import label, objectives
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.tiers import dropped_tiers

GIVE = "give --prometheus to have it looked at here"


@dataclass(frozen=True, slots=True)
class Selected:
    """A selector of one objective: how many series it matches, and what keeps it from any."""

    field: str
    text: str
    series: int
    guilty: str = ""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was read of one objective. `scope` is Unknown where its series are not found."""

    objective: Slo
    scope: Scope | Unknown
    selected: Sequence[Selected] = ()
    windows: Mapping[timedelta, Reading] | None = None
    told: Told | None = None


def sli(one: Looked) -> list[Row]:
    """Does it match series, and is it known?"""
    name = f"{label(one.objective.name)}SLI"
    if isinstance(one.scope, Unknown):
        return [Row(name, "problem", f"{one.scope.reason}: {one.scope.detail}", "docs/sli.md")]
    rows = []
    for part in one.selected:
        if not part.series:
            rows.append(
                Row(name, "problem", f"{part.field} matches nothing: {part.text}: {part.guilty}", "docs/sli.md")
            )
    windows = one.windows or {}
    unknown = [(w, r) for w, r in sorted(windows.items()) if isinstance(r, Unknown)]
    if unknown and not rows:
        window, reading = unknown[0]
        rows.append(
            Row(
                name,
                "problem",
                f"over {format_duration(window)} it is unknown: {reading.reason}: {reading.detail}",
                "docs/operations.md",
            )
        )
    if not rows:
        series = ", ".join(f"{part.field} {part.series}" for part in one.selected)
        worst = min((r.coverage for r in windows.values() if not isinstance(r, Unknown)), default=1.0)
        rows.append(Row(name, "ok", f"matches series ({series}); data for {worst:.0%} of its longest window"))
    rows += [Row(name, "note", text) for text in dropped_tiers(one.objective)]
    return rows


def pods(one: Looked) -> Row:
    """Which label holds the pods' names, and does the SLI tell versions apart?"""
    name = f"{label(one.objective.name)}versions"
    if isinstance(one.scope, Unknown):
        return unseen(name, "its series are not found")
    held = (
        f"label {one.scope.labels.pod} holds the pods' {'addresses' if one.scope.by_address else 'names'}; "
        if one.scope.labels
        else ""
    )
    if one.told is None:
        return unseen(name, f"{held}no revision was adopted yet")
    if one.told.apart is None:
        return unseen(name, f"{held}{one.told.message}")
    return Row(
        name,
        "ok" if one.told.apart else "problem",
        f"{held}{one.told.message}",
        "" if one.told.apart else "docs/sli.md",
    )


def traffic(release: Release, rate: float | None, live: int) -> Row:
    """How long the first step needs at today's traffic to rule out what would page."""
    if rate is None:
        return unseen("traffic", "the rate of events is not known")
    needs, has = rollouts.needed(release, rate, live)
    if not has:
        return Row("traffic", "note", "the first step has weight 100: all users meet a version at once")
    said = f"at {rate:.3g} events/s the first step takes {rough_duration(needs)} to rule out what would page, and has {rough_duration(has)} in hold and patience"
    if needs <= has:
        return Row("traffic", "ok", said)
    after = release.spec.strategy.canary.analysis.inconclusive
    mend = "raise the weight, the hold or analysis.patience, lower the objective, or let EvalCases decide"
    return Row("traffic", "problem", f"{said}; after that: {after}", mend)


def as_said(release: Release) -> list[Row]:
    """What the operator says of the SLIs, where nobody gave a Prometheus to ask."""
    if release.spec.slo is None:
        return [Row("SLI", "note", "spec.slo is missing: nothing is judged, steps wait for their hold alone")]
    rows = []
    for name, type_ in (("SLI", "TelemetryKnown"), ("versions", "RevisionsTold")):
        said = conditions.get(release.status.conditions, type_)
        if said is None:
            rows.append(unseen(name, f"the operator has not said {type_} yet; {GIVE}"))
            continue
        verdict = "ok" if said.status == "True" else "problem" if said.status == "False" else "unknown"
        rows.append(Row(name, verdict, f"{said.reason}{': ' if said.message else ''}{said.message}"))  # type: ignore[arg-type]
    return [*rows, unseen("traffic", GIVE)]


def every(release: Release) -> Sequence[Slo]:
    """The objectives; none without an SLO."""
    return objectives(release.spec.slo) if release.spec.slo else ()
