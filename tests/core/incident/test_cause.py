"""Causes: which change is blamed for harm, how surely, and when nobody is."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from opsloop.api.cause import Cause
from opsloop.api.incident import IncidentStatus
from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Blocked, Revision
from opsloop.core.facts import ReleaseView
from opsloop.core.incident import cause as causes
from opsloop.core.readings import Harm, Interval, Readings, SideBySide
from opsloop.core.statistics.alike import Compared
from opsloop.core.statistics.evidence import Interval as PairCounts
from opsloop.core.topology import Topology
from tests.builders.incidents import BAD_CAUSE
from tests.builders.objects import T0, V1, V2, V4, at, readings, release, view
from tests.builders.rollouts import record, target

ONSET, CHANGED = at(100), at(90)


def harm(
    began: float = 100, before: float = 0.001, after: float = 0.8, split: tuple[float, float] | None = None
) -> Readings:
    """Counts of an hour until 60 s after the beginning, in intervals of a minute; `split`: error ratios of v2 and v1, which
    served side by side for two minutes since then."""
    ratios = [(before, began - 60 * n) for n in range(60, 0, -1)] + [(after, began)]
    series = tuple(Interval(at(s), at(s + 60), ratio * 3000, 3000) for ratio, s in ratios)
    if split is None:
        return Readings(harm=Harm(series))
    own, other = split
    both = tuple(PairCounts(60 * n, 60 * n + 60, own * 1000, 1000, other * 1000, 1000) for n in range(2))
    return Readings(harm=Harm(series, SideBySide(V2, V1, both)))


def smouldered(minutes: int, share: float = 0.015, after: float = 0.5) -> Readings:
    """The same hour with a smoulder in its last minutes, before the harm of the last interval."""
    ratios = [0.002] * (60 - minutes) + [share] * minutes + [after]
    return Readings(
        harm=Harm(tuple(Interval(at(60 * n - 3500), at(60 * n - 3440), r * 3000, 3000) for n, r in enumerate(ratios)))
    )


def service(name: str = "answers", since: datetime | None = CHANGED, number: int = 2, needs: tuple[str, ...] = (), seen: Readings | None = None, rollback: Any = None, **more: Any) -> ReleaseView:  # fmt: skip
    """v2 became live at `since`."""
    live = Revision(
        digest=V2, number=number, version="v2", reason="Drifted", live_since=since, first_seen=at(0), **more
    )
    old = Revision(digest=V1, number=1, version="v1", reason="Adopted", live_since=at(0), first_seen=at(0))
    known = [live] if number == 1 else [old, live]
    status = ReleaseStatus(live=V2, revisions=known, rollback=rollback)
    return view(release(name, status=status, dependsOn=list(needs)), seen or Readings())


def calm(name: str, needs: tuple[str, ...] = (), seen: Readings | None = None) -> ReleaseView:
    return service(name, since=at(-9999), needs=needs, seen=seen)


def canary(state: str = "Stepping", served: float = 80, **more: Any) -> ReleaseView:
    """v2 is live for hours and proven; v4 is or was a canary in traffic."""
    root = service(since=at(-9999), proven_at=at(-9000), seen=harm())
    tried = Revision(digest=V4, number=3, version="v4", reason="Canaried", first_seen=at(70), served_since=at(served))
    status = root.release.status.model_copy(
        update={"revisions": [*root.release.status.revisions, tried], "target": target(state, "v4", **more)}
    )
    return replace(root, release=root.release.model_copy(update={"status": status}))


@pytest.mark.parametrize(
    ("root", "kind", "reason"),
    [
        pytest.param(service(), "bad_release", "ChangedJustBefore", id="a revision became live shortly before: it is blamed"),
        pytest.param(service(since=at(120)), "bad_release", "ChangedJustBefore", id="seen live up to half a minute late, it still is"),
        pytest.param(service(since=at(140)), "unknown", "NothingChanged", id="what came later is not the cause"),
        pytest.param(service(since=at(100 - 3700)), "unknown", "NothingChanged", id="what came over an hour before is not the cause"),
        pytest.param(service(since=at(100 - 3000)), "unknown", "NoneOfThese", id="what came fifty minutes before explains less than what nobody knows"),
        pytest.param(service(since=None), "unknown", "NothingChanged", id="what was never seen to become live is not the cause"),
        pytest.param(service(number=1), "unknown", "NothingChanged", id="adoption is no change"),
        pytest.param(service(number=1, blocked=Blocked(reason="RolledBack", at=at(0))), "bad_release", "ChangedJustBefore", id="unless that revision was blocked and came back"),
        pytest.param(service(rollback=record("Done", to_digest=V2)), "unknown", "NothingChanged", id="nor is a rollback: undoing is no change"),
        pytest.param(service(exposed_since=at(98), rolled_out_at=at(99), seen=harm()), "bad_release", "ChangedJustBefore", id="users met it two seconds before"),
        pytest.param(service(exposed_since=at(-20), rolled_out_at=at(-10), seen=harm()), "unknown", "NoneOfThese", id="all users had met it for two minutes and nothing had happened yet"),
        pytest.param(service(exposed_since=at(-80), rolled_out_at=at(110), since=at(-90), seen=harm()), "unknown", "NoneOfThese", id="the harm began at once for all users in the middle of a rollout"),
        pytest.param(service(seen=harm(split=(0.8, 0.0))), "bad_release", "VersionIsBad", id="served at the same time, only it is harmed"),
        pytest.param(service(seen=harm(split=(0.0, 0.8))), "unknown", "OtherVersionBad", id="served at the same time, another one is harmed"),
        pytest.param(service(since=at(-300), seen=harm(split=(0.8, 0.8))), "unknown", "AlikeEverywhere", id="served at the same time, both are harmed alike"),
        pytest.param(service(since=at(-1200), proven_at=at(-600), seen=harm()), "unknown", "NoneOfThese", id="it had met its SLO for twenty minutes before"),
        pytest.param(service(seen=harm(before=0.011)), "bad_release", "ChangedJustBefore", id="a smoulder above the budget does not hide the deploy that made it an outage"),
        pytest.param(service(seen=smouldered(15)), "bad_release", "ChangedJustBefore", id="nor does one that began a quarter of an hour ago"),
        pytest.param(service(exposed_since=at(98), seen=smouldered(5, share=0.03, after=0.3)), "bad_release", "ChangedJustBefore", id="nor one of a tenth of the harm, five minutes ago"),
        pytest.param(service(since=at(-500), seen=smouldered(15)), "unknown", "NoneOfThese", id="what came into a smoulder minutes before the harm is not blamed for it"),
        pytest.param(service(since=at(-300), seen=smouldered(15, after=0.015)), "unknown", "NoneOfThese", id="nor for a smoulder that it came into"),
        pytest.param(service(seen=smouldered(3, share=0.5)), "unknown", "NoneOfThese", id="what came into the harm is a suspect that does not explain it"),
        pytest.param(service(since=at(-500), seen=harm()), "unknown", "NoneOfThese", id="ten minutes after the deploy nothing had happened yet"),
        pytest.param(canary(), "bad_release", "ChangedJustBefore", id="a canary in traffic is blamed, not the version that is live for hours"),
        pytest.param(canary("Cancelled", ended_at=at(130)), "bad_release", "ChangedJustBefore", id="also where it was taken out since"),
        pytest.param(canary("Cancelled", ended_at=at(40), served=10), "unknown", "NothingChanged", id="not where it had left before the harm began"),
        pytest.param(canary("Dark", served=-9999), "unknown", "NothingChanged", id="not before it takes traffic"),
    ],
)  # fmt: skip
def test_blamed_change(root: ReleaseView, kind: str, reason: str) -> None:
    cause = causes.explain(root, Topology((root,)), ONSET)
    assert (cause.kind, cause.reason) == (kind, reason)
    assert kind != "unknown" or cause.revision == ""


def test_the_blamed_canary_is_named() -> None:
    root = canary()
    cause = causes.explain(root, Topology((root,)), ONSET)
    assert (cause.version, cause.revision) == ("v4", V4) and cause.confidence > 0.8


def test_a_version_that_erred_while_it_was_a_canary_with_long_holds_is_blamed_once_it_is_promoted() -> None:
    """The harm began with its canary, 50 minutes before it became live."""
    began = ONSET - timedelta(minutes=50)
    root = service(since=CHANGED, served_since=began - timedelta(seconds=20), seen=harm(began=100 - 3000))
    late = service(since=CHANGED, seen=harm(began=100 - 3000))
    cause = causes.explain(root, Topology((root,)), began)
    assert (cause.kind, cause.version) == ("bad_release", "v2") and cause.confidence > 0.8
    assert causes.explain(late, Topology((late,)), began).kind == "unknown"


def test_nearer_in_time_outranks_nearer_by_topology() -> None:
    root, catalog = service(since=at(100 - 3300), needs=("catalog",)), service("catalog", since=at(90))
    cause = causes.explain(root, Topology((root, catalog)), ONSET)
    assert (cause.release, cause.revision) == ("catalog", V2)


def test_of_two_changes_at_the_same_time_the_own_one_is_likelier() -> None:
    root, catalog = service(needs=("catalog",)), service("catalog")
    assert causes.explain(root, Topology((root, catalog)), ONSET).release == "answers"


def test_a_dependency_s_change_is_blamed_less_surely_than_an_own_one() -> None:
    root, catalog = calm("answers", ("catalog",)), service("catalog")
    cause = causes.explain(root, Topology((root, catalog)), ONSET)
    own = causes.explain(service(), Topology((service(),)), ONSET)
    assert (cause.kind, cause.release) == ("bad_release", "catalog") and cause.confidence < own.confidence


@pytest.mark.parametrize(
    ("seen", "sure"),
    [
        pytest.param(readings(0.0, ONSET), True, id="which meets its SLO meanwhile: the own one did it"),
        pytest.param(Readings(), False, id="whose SLI nobody reads: three to one"),
        pytest.param(readings(0.02, ONSET), False, id="which spends more than its budget itself"),
    ],
)
def test_of_two_changes_at_the_same_time_one_is_of_a_dependency(seen: Readings, sure: bool) -> None:
    root = service(needs=("catalog",), seen=harm())
    cause = causes.explain(root, Topology((root, service("catalog", seen=seen))), ONSET)
    assert (cause.release, cause.confidence > 0.8) == ("answers", sure)


def test_a_dependency_that_meets_its_slo_is_blamed_less() -> None:
    root = calm("answers", ("catalog",), seen=harm())
    fine, unread = (service("catalog", seen=seen) for seen in (readings(0.0, ONSET), Readings()))
    blamed, before = (causes.explain(root, Topology((root, other)), ONSET) for other in (fine, unread))
    assert blamed.confidence < before.confidence
    assert any(e.name == "within its SLO" for e in blamed.evidence)


def test_a_harmed_dependency_outranks_a_change_of_the_service_itself_a_while_ago() -> None:
    root, catalog = (
        service(since=at(-200), needs=("catalog",)),
        calm("catalog", seen=readings(0.5, ONSET, onset=at(95))),
    )
    cause = causes.explain(root, Topology((root, catalog)), ONSET, harmed=["catalog"])
    assert (cause.kind, cause.release) == ("dependency", "catalog")


def test_services_that_have_nothing_to_do_with_it_and_are_harmed_too_point_to_something_common() -> None:
    root, other = service(), calm("billing", seen=readings(0.5, ONSET))
    alone, common = (causes.explain(root, Topology(views), ONSET) for views in ((root,), (root, other)))
    assert alone.confidence > 0.8 and (common.kind == "unknown" or common.confidence < 0.8)


def test_a_dependent_is_never_blamed_and_its_harm_says_nothing() -> None:
    root, web = calm("answers"), service("web", needs=("answers",), seen=readings(0.5, ONSET))
    assert causes.explain(root, Topology((root, web)), ONSET).kind == "unknown"
    assert causes.explain(service(), Topology((service(), web)), ONSET).confidence > 0.8


def test_an_exonerated_revision_is_not_blamed_again() -> None:
    root = service()
    assert causes.explain(root, Topology((root,)), ONSET, exonerated=[V2]).kind == "unknown"


def test_the_evidence_names_each_term_and_the_ranking() -> None:
    root = service(shipped_without_canary=True, manager="kubectl-set", seen=harm(split=(0.8, 0.0)))
    cause = causes.explain(root, Topology((root,)), ONSET)
    evidence = {e.name: e.value for e in cause.evidence}
    assert {"changed", "before and after", "shipped without a canary", "by revision", "ranking"} <= evidence.keys()
    assert "by kubectl-set" in evidence["shipped without a canary"] and "80.0%" in evidence["by revision"]
    assert causes.ranking(cause).startswith("answers v2 ") and "none of these" in causes.ranking(cause)


@pytest.mark.parametrize(
    ("compared", "odds", "reason"),
    [
        pytest.param(Compared(alone=0, alike=-20, other=-20), 5.0, "VersionIsBad", id="it alone: more is not counted than the most"),
        pytest.param(Compared(alone=0, alike=-4, other=-4), 4.0, "VersionIsBad", id="20 to 1 is enough to say so"),
        pytest.param(Compared(alone=0, alike=-2, other=-2), 2.0, "", id="less is not"),
        pytest.param(Compared(alone=-20, alike=-20, other=0), -5.0, "OtherVersionBad", id="the other one"),
        pytest.param(Compared(alone=-20, alike=0, other=-20), -5.0, "AlikeEverywhere", id="both"),
        pytest.param(Compared(alone=0, alike=0, other=0), 0.0, "", id="nothing tells"),
    ],
)  # fmt: skip
def test_what_two_revisions_side_by_side_say(compared: Compared, odds: float, reason: str) -> None:
    found, why = causes.verdict_of(compared, 5.0)
    assert found == pytest.approx(odds) and why == reason


def test_a_bad_release_is_named_while_its_rollout_goes_on_by_how_the_harm_grows_with_it() -> None:
    """Five minutes of rollout: each minute a fifth more users, and as much more harm."""
    doses = [0.1, 0.3, 0.5, 0.7, 0.9]
    ratios = [0.001] * 60 + [0.001 + 0.5 * dose for dose in doses]
    series = tuple(Interval(at(60 * n), at(60 * n + 60), r * 3000, 3000) for n, r in enumerate(ratios))
    root = service(since=at(3580), exposed_since=at(3602), rolled_out_at=at(3900), seen=Readings(harm=Harm(series)))
    cause = causes.explain(root, Topology((root,)), at(3600))
    assert (cause.kind, cause.version) == ("bad_release", "v2") and cause.confidence > 0.95


def test_a_promotion_after_a_canary_that_served_well_is_suspected_less_than_a_push() -> None:
    pushed, promoted = (service(served_since=since, seen=harm()) for since in (None, at(-1500)))
    sure = [causes.explain(root, Topology((root,)), ONSET).confidence for root in (pushed, promoted)]
    assert sure[0] > 0.8 > sure[1] or sure[0] > sure[1]


def test_how_the_harm_began_is_told_by_what_was_before_its_end() -> None:
    """Half an hour later the harm is over for ten minutes; the windows still hold it."""
    seen = harm().harm
    assert seen is not None
    calm = tuple(Interval(at(160 + 60 * n), at(220 + 60 * n), 3, 3000) for n in range(10))
    ended = service(seen=Readings(harm=Harm((*seen.series, *calm))))
    now, later = (causes.explain(r, Topology((r,)), ONSET, limit=0.0144) for r in (service(seen=harm()), ended))
    assert (later.kind, later.version) == ("bad_release", "v2") and later.confidence == pytest.approx(now.confidence)


NAMED, PAGE = Cause.model_validate(BAD_CAUSE), {"state": "Sent", "severity": "sev1", "dedupKey": "x", "decidedAt": T0}
OTHER = NAMED.model_copy(update={"revision": V4, "version": "v4"})
NOBODY = Cause(kind="unknown", reason="NoneOfThese", confidence=0.9)


@pytest.mark.parametrize(
    ("before", "told", "new", "stored"),
    [
        pytest.param(None, False, NAMED, True, id="the first conclusion"),
        pytest.param(NAMED, False, OTHER, True, id="another name, while nobody was told"),
        pytest.param(NAMED, True, OTHER, False, id="what people were paged for is not renamed"),
        pytest.param(NAMED, True, NOBODY, False, id="nor taken back without an act that says so"),
        pytest.param(NOBODY, True, NAMED, True, id="unknown is no name: a name may follow"),
        pytest.param(NAMED, True, NAMED.model_copy(update={"confidence": 0.99}), False, id="a little surer: nothing is written"),
        pytest.param(NAMED, True, NAMED.model_copy(update={"confidence": 0.5}), True, id="much less sure: that is written"),
    ],
)  # fmt: skip
def test_which_conclusion_is_stored(before: Cause | None, told: bool, new: Cause, stored: bool) -> None:
    status = IncidentStatus.model_validate({"page": PAGE} if told else {}).model_copy(update={"cause": before})
    assert causes.replaces(status, new) == stored


def quiet(*bad: int, total: int = 14) -> Readings:
    """A quiet service: an hour without a bad request, twelve minutes of harm, then `bad` in each minute."""
    counted = [0] * 60 + [5] + [12] * 11 + list(bad)
    return Readings(
        harm=Harm(tuple(Interval(at(60 * n), at(60 * n + 60), float(b), total) for n, b in enumerate(counted)))
    )


@pytest.mark.parametrize(
    ("seen", "over"),
    [
        pytest.param(harm(), False, id="the last interval is full of harm"),
        pytest.param(harm(before=0.0, after=0.0), True, id="the last ones are free of it"),
        pytest.param(quiet(0), False, id="of a quiet service one interval without a bad request is not enough"),
        pytest.param(quiet(4, 0), False, id="nor one after the interval in which it ended"),
        pytest.param(quiet(4, 0, 0), True, id="two are, though 28 requests prove nothing"),
        pytest.param(quiet(0, 0, 9), False, id="it has come back"),
        pytest.param(Readings(), False, id="nothing was read"),
        pytest.param(Readings(harm=Harm(())), False, id="nobody came"),
    ],
)
def test_whether_the_harm_is_over_at_present(seen: Readings, over: bool) -> None:
    assert causes.is_over_now(seen.harm, 0.144) == over


@pytest.mark.parametrize("since", [(), (6,), (6, 0), (6, 0, 0), (1, 0, 0)])
def test_the_end_of_a_harm_says_nothing_of_its_cause(since: tuple[int, ...]) -> None:
    """A push four minutes before the outage of a quiet service was blamed with 93 % when it was over: what was left of it was
    taken for its level."""
    during, after = (
        service(
            since=at(3370),
            exposed_since=at(3390),
            rolled_out_at=at(3410),
            shipped_without_canary=True,
            seen=quiet(*bad),
        )
        for bad in ((), since)
    )
    found = [causes.explain(root, Topology((root,)), at(3600), limit=0.144) for root in (during, after)]
    assert max(one.confidence for one in found) < 0.6
    assert found[0].confidence == pytest.approx(found[1].confidence, abs=0.05)
