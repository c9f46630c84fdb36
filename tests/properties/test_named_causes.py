"""What people were told of, and what a play was chosen on, is not renamed, whatever is seen afterwards."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.api.release import Release
from opsloop.core.incident import decide as incident
from opsloop.core.readings import Harm, Interval, Readings, SideBySide
from opsloop.core.statistics.evidence import Interval as PairCounts
from tests.builders.incidents import NOW, book, burnt, facts, service, sli
from tests.builders.objects import V1, V2, V4, at
from tests.builders.rollouts import ADOPTED, BAD, record, revision

LOOK = timedelta(seconds=5)


def series(began: float, ratio: float) -> tuple[Interval, ...]:
    """Minutes of an hour, of which those since `began` (seconds before now) are harmed."""
    ends = [NOW - timedelta(seconds=60 * n) for n in range(59, -1, -1)]
    harmed = NOW - timedelta(seconds=began)
    return tuple(Interval(e - LOOK * 12, e, 3000 * (ratio if e > harmed else 0.0005), 3000) for e in ends)


def side_by_side(own: float, other: float) -> SideBySide:
    """Error ratios of v2 and v1 in two minutes."""
    return SideBySide(
        V2, V1, tuple(PairCounts(60 * n, 60 * n + 60, 900 * own, 900, 900 * other, 900) for n in range(2))
    )


splits = st.none() | st.builds(side_by_side, st.sampled_from([0.0, 0.8]), st.sampled_from([0.0, 0.8]))
harms = st.none() | st.builds(
    Harm, st.builds(series, st.floats(30, 3500), st.sampled_from([0.0005, 0.05, 0.9])), splits
)
ratios = st.sampled_from([None, 0.0, 0.3, 0.9])


@st.composite
def releases(draw: st.DrawFn) -> Release:
    """v2 is live, or another one became live by hand, or the rollback to v1 is on its way or done."""
    since = draw(st.sampled_from([-3000, -600, -60, 60, 90]))
    bad = BAD.model_copy(
        update={"live_since": at(since), "exposed_since": draw(st.sampled_from([None, at(since + 5)]))}
    )
    other = revision("v4", "Drifted", digest=V4, live_since=at(95))
    shape = draw(st.sampled_from(["bad", "other", "rolled back"]))
    if shape == "other":
        return service(V4, (ADOPTED, bad, other))
    return (
        service(V1, (ADOPTED, bad), rollback=record("Done", done_at=at(96)))
        if shape == "rolled back"
        else service(V2, (ADOPTED, bad))
    )


@st.composite
def looks(draw: st.DrawFn) -> tuple[Release, Readings, bool]:
    """What one look sees: the root, its readings, and whether the Runbook has granted."""
    seen = sli(draw(ratios), onset=at(draw(st.sampled_from([-5, 80]))))
    return (
        draw(releases()),
        Readings(**{**{f: getattr(seen, f) for f in Readings.__slots__}, "harm": draw(harms)}),
        draw(st.booleans()),
    )


def name(status: IncidentStatus) -> tuple[str, str, str] | None:
    """The cause as people call it; None while nobody is named."""
    cause = status.cause
    return None if cause is None or cause.kind == "unknown" else (cause.kind, cause.release, cause.revision)


def step(item: Incident, number: int, look: tuple[Release, Readings, bool]) -> Incident:
    root, seen, granted = look
    runbook = book(True, attempt=number % 3 + 1) if granted else book()
    decision = incident.decide(facts(item, root, seen, runbooks=(runbook,)), NOW + LOOK * number)
    return item.model_copy(update={"status": decision.status}) if decision.status is not None else item


@settings(max_examples=60, deadline=None)
@given(st.lists(looks(), min_size=2, max_size=10))
def test_a_name_that_was_paged_for_or_acted_on_stays_until_an_act_in_vain_takes_it_back(
    seen: list[tuple[Release, Readings, bool]],
) -> None:
    """It may be taken back by the outcome of a rollback, and forgotten by harm that begins anew; it is never another one."""
    item = burnt("Open", cause=None, page=None)
    root = item.spec.release
    for number, look in enumerate(seen):
        before, item = item.status, step(item, number, look)
        told = before.page is not None or bool(before.plays)
        after = item.status
        assert item.spec.release == root
        if not told or name(before) is None or name(after) == name(before):
            continue
        taken_back = name(after) is None and len(after.exonerated) > len(before.exonerated)
        assert taken_back or after.reopened > before.reopened, (before.cause, after.cause)
