"""What is live: adoption, our own writes, changes by hand, last-good, unblocking."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.release import ReleaseStatus, Revision
from opsloop.core.actions import DeleteCanary, EnsureRevision, SetTemplate
from opsloop.core.facts import ReleaseFacts, Unknown, WorkloadFacts
from tests.builders.objects import V1, V2, V4, at, readings, release, value, workload
from tests.builders.rollouts import (
    ADOPTED,
    BAD,
    BLOCK,
    GOOD,
    NOW,
    TRIED,
    acts,
    after,
    canary,
    closes,
    decide,
    facts,
    going,
    record,
    revision,
    said,
    target,
)


def first(version: str = "v1", **more: Any) -> ReleaseFacts:
    return facts(release(version=version, dependsOn=[]), ReleaseStatus(), templates={}, **more)


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_adoption_moves_nothing_whatever_the_spec_asks_for(version: str) -> None:
    seen, status = first(version), after(first(version))
    assert (status.live, [r.reason for r in status.revisions], status.revisions[0].number) == (V1, ["Adopted"], 1)
    assert [type(a) for a in decide(seen).actions] == [EnsureRevision] and decide(seen).safety == ()
    assert status.target is None, "the target waits until the base template is stored"


def test_the_adopted_version_is_called_by_the_spec_only_where_it_is_what_the_spec_asks_for() -> None:
    assert after(first("v1")).version == "v1"
    assert after(first("v4")).version == "v1"


def test_a_missing_deployment_is_said_and_closes_the_canary() -> None:
    seen = facts(status=going(target("Stepping")), workload=None, canary=canary(1, 1))
    assert said(after(seen), "WorkloadMissing") == ("True", "WorkloadMissing")
    assert closes(seen) == {"c0"} and acts(seen, SetTemplate) == []


def by_hand(image: str = "shop:v2", **more: Any) -> WorkloadFacts:
    return replace(workload(image, settled=False), **{"written_at": NOW, **more})


@pytest.mark.parametrize(
    ("known", "reason", "uncanaried"),
    [
        pytest.param((ADOPTED,), "Drifted", True, id="a new one is a change by hand, shipped without a canary"),
        pytest.param((ADOPTED, revision("v2", "Canaried")), "Drifted", True, id="one that was only tried as well"),
        pytest.param((ADOPTED, BAD.model_copy(update={"blocked": BLOCK})), "Drifted", True, id="a blocked one as well, and it stays blocked"),
        pytest.param((ADOPTED, revision("v2", "Canaried", proven_at=at(5), live_since=at(1))), "Canaried", False, id="one that was proven live before is not held against anybody"),
    ],
)  # fmt: skip
def test_a_live_template_that_somebody_else_changed(known: tuple[Revision, ...], reason: str, uncanaried: bool) -> None:
    seen = facts(status=going(None, *known), workload=by_hand())
    status = after(seen)
    found = next(r for r in status.revisions if r.digest == V2)
    assert (status.live, found.reason, found.shipped_without_canary) == (V2, reason, uncanaried)
    assert (found.manager, found.live_since) == ("kubectl-set", NOW)
    assert bool(found.blocked) == any(r.blocked for r in known)
    assert acts(seen, SetTemplate) == [], "it is never reverted merely for being different"


def test_drift_names_who_wrote_it() -> None:
    status = after(facts(status=going(target("Promoted", "v1"), ADOPTED), workload=by_hand(manager="argocd")))
    assert said(status, "Drifted") == ("True", "ChangedByHand")
    assert "argocd" in next(c.message for c in status.conditions if c.type == "Drifted")


@pytest.mark.parametrize(
    ("change", "manager", "since"),
    [
        pytest.param({"written_at": at(80)}, "kubectl-set", at(80), id="a change made while nobody looked is as old as it is"),
        pytest.param({"written_at": at(900)}, "kubectl-set", NOW, id="but not of tomorrow"),
        pytest.param({"written_at": None}, "", NOW, id="where nobody knows, it is new"),
        pytest.param({"written_at": at(-500)}, "", NOW, id="a writer before what it replaced wrote something else"),
        pytest.param({"manager": "opsloop"}, "", NOW, id="what opsloop wrote last was changed by taking fields away"),
    ],
)  # fmt: skip
def test_who_changed_it_by_hand_and_when(change: dict[str, Any], manager: str, since: Any) -> None:
    status = after(facts(status=going(None, ADOPTED), workload=by_hand(**change)))
    found = next(r for r in status.revisions if r.digest == V2)
    assert (found.manager, found.live_since) == (manager, since)


@pytest.mark.parametrize("state", ["Dark", "Stepping", "Promoting"])
def test_a_change_by_hand_in_mid_canary_is_weight_0_and_the_end_of_it(state: str) -> None:
    seen = facts(status=going(target(state)), workload=by_hand(), canary=canary(4, 1))
    ended = after(seen).target
    assert ended is not None and (ended.state, ended.reason, ended.weight) == ("Cancelled", "LiveChanged", 0)
    assert closes(seen) == {"c0"} and acts(seen, DeleteCanary) and not acts(seen, SetTemplate)


@pytest.mark.parametrize(
    ("status", "image"),
    [
        pytest.param(going(target("Promoting")), "shop:v4", id="a promotion"),
        pytest.param(going(None, ADOPTED, BAD, live=V2, rollback=record()), "shop:v1", id="a rollback that was recorded"),
        pytest.param(going(None, ADOPTED, BAD, live=V2, rollback=record("Written")), "shop:v1", id="a rollback that was seen before"),
    ],
)  # fmt: skip
def test_our_own_write_is_no_drift(status: ReleaseStatus, image: str) -> None:
    found = after(facts(status=status, workload=by_hand(image)))
    assert found.live == workload(image).digest and said(found, "Drifted")[0] == "False"
    assert not any(r.shipped_without_canary for r in found.revisions if r.digest == found.live)


def test_a_rollback_that_is_over_does_not_make_a_later_change_ours() -> None:
    old = revision(live_since=at(0))
    status = after(facts(status=going(None, old, BAD, live=V2, rollback=record("Done")), workload=by_hand("shop:v1")))
    assert next(r for r in status.revisions if r.digest == V1).shipped_without_canary


def live_for(seconds: float, **more: Any) -> ReleaseStatus:
    return going(target("Promoted", "v1"), revision(live_since=at(100 - seconds), **more))


def bake(ratio: float | None, **more: Any) -> Any:
    return readings(ratio, NOW, bake=more.pop("bake", GOOD))


@pytest.mark.parametrize(
    ("seen", "proven"),
    [
        pytest.param(facts(status=live_for(21)), True, id="it met the SLO for the bake time"),
        pytest.param(facts(status=live_for(19)), False, id="not before the bake time is over"),
        pytest.param(facts(status=live_for(99), readings=bake(None)), False, id="not while the SLI is unknown"),
        pytest.param(facts(status=live_for(99), readings=bake(0.0, bake=Unknown("NoSeries"))), False, id="not on an unknown bake window"),
        pytest.param(facts(status=live_for(99), readings=bake(0.0, bake=None)), False, id="not on a bake window that was not read"),
        pytest.param(facts(status=live_for(99), readings=bake(0.0, bake=value(0.0, coverage=0.5))), False, id="not where half of the time is silent"),
        pytest.param(facts(status=live_for(99), readings=bake(0.0, bake=value(0.0, total=2))), False, id="not on two events"),
        pytest.param(facts(status=live_for(99), readings=bake(0.0, bake=value(0.02))), False, id="not where the window misses the objective"),
        pytest.param(facts(status=live_for(99), readings=bake(0.05)), False, id="not while it burns"),
        pytest.param(facts(status=live_for(99), workload=workload(settled=False)), False, id="not while its pods are starting"),
        pytest.param(facts(status=live_for(99, blocked=BLOCK)), False, id="never a blocked one"),
        pytest.param(facts(release(slo=None), live_for(99)), False, id="never without an SLO"),
    ],
)  # fmt: skip
def test_last_good(seen: ReleaseFacts, proven: bool) -> None:
    status = after(seen)
    assert (status.revisions[0].proven_at is not None) == proven
    assert status.last_good == (V1 if proven else "")


def test_last_good_of_an_unproven_live_is_where_a_rollback_would_go() -> None:
    unproven = revision("v4", "Canaried", live_since=at(99))
    assert (
        after(
            facts(status=going(target("Promoted"), ADOPTED, unproven, live=V4), workload=workload("shop:v4"))
        ).last_good
        == V1
    )


@pytest.mark.parametrize(
    ("digest", "known", "lifted"),
    [
        pytest.param(V2, (ADOPTED, BAD.model_copy(update={"blocked": BLOCK})), True, id="a person allows it again"),
        pytest.param(V4, (ADOPTED, BAD.model_copy(update={"blocked": BLOCK})), False, id="another digest lifts nothing"),
        pytest.param("", (ADOPTED, BAD.model_copy(update={"blocked": BLOCK})), False, id="an empty annotation lifts nothing"),
    ],
)  # fmt: skip
def test_unblock(digest: str, known: tuple[Revision, ...], lifted: bool) -> None:
    item = release(meta={"annotations": {"opsloop.dev/unblock": digest}}, dependsOn=[])
    status = after(facts(item, going(target("Promoted", "v1"), *known)))
    assert (status.revisions[1].blocked is None) == lifted


def test_a_blocked_revision_is_not_unblocked_while_it_is_live() -> None:
    item = release(meta={"annotations": {"opsloop.dev/unblock": V2}}, dependsOn=[])
    known = (ADOPTED, BAD.model_copy(update={"blocked": BLOCK}))
    status = after(facts(item, going(target("Promoted", "v1"), *known, live=V2), workload=workload("shop:v2")))
    assert status.revisions[1].blocked == BLOCK


def test_the_list_of_revisions_is_bounded_and_keeps_what_is_named() -> None:
    many = [revision(f"v{n}", "Canaried") for n in range(10, 45)]
    status = after(facts(status=going(target("Promoted"), ADOPTED, TRIED, *many)))
    assert len(status.revisions) <= 20 and {V1, V4} <= {r.digest for r in status.revisions}


def test_a_third_one_pushed_while_a_rollback_is_in_hand_is_a_change_by_hand() -> None:
    status = going(None, ADOPTED, BAD, live=V2, rollback=record())
    found = after(facts(status=status, workload=by_hand("shop:v3")))
    third = next(r for r in found.revisions if r.version == "v3")
    assert found.live == third.digest and third.shipped_without_canary
