"""What is live: adoption, our own writes, changes by hand, last-good, unblocking."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.core.actions import DeleteCanary, EnsureRevision, SetTemplate
from opsloop.core.facts import ReleaseFacts, TemplateWrite, WorkloadFacts
from opsloop.core.readings import Unknown
from tests.builders.objects import V1, V2, V4, at, digest, evalcase, incident, readings, release, value, workload
from tests.builders.rollouts import (
    ADOPTED,
    BAD,
    BLOCK,
    GOOD,
    NOW,
    TRIED,
    actions_of,
    canary,
    condition_of,
    decide,
    facts,
    gates_closed,
    incident_with_rollback,
    record,
    revision,
    status_after,
    status_with,
    target,
)


def first(version: str = "v1", **more: Any) -> ReleaseFacts:
    return facts(release(version=version, dependsOn=[]), ReleaseStatus(), templates={}, **more)


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_adoption_moves_nothing_whatever_the_spec_asks_for(version: str) -> None:
    situation, status = first(version), status_after(first(version))
    assert (status.live, [r.reason for r in status.revisions], status.revisions[0].number) == (V1, ["Adopted"], 1)
    assert [type(a) for a in decide(situation).actions] == [EnsureRevision] and decide(situation).safety == ()
    assert status.target is None, "the target waits until the base template is stored"


def test_an_adopted_revision_has_the_spec_version_only_with_its_images() -> None:
    assert status_after(first("v1")).version == "v1"
    assert status_after(first("v4")).version == "v1"


def test_a_missing_deployment_sets_a_condition_and_closes_the_canary() -> None:
    situation = facts(status=status_with(target("Stepping")), workload=None, canary=canary(1, 1))
    assert condition_of(status_after(situation), "WorkloadMissing") == ("True", "WorkloadMissing")
    assert gates_closed(situation) == {"c0"} and actions_of(situation, SetTemplate) == []


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
def test_a_change_of_the_live_template_by_hand(known: tuple[Revision, ...], reason: str, uncanaried: bool) -> None:
    situation = facts(status=status_with(None, *known), workload=by_hand())
    status = status_after(situation)
    pushed_revision = next(r for r in status.revisions if r.digest == V2)
    assert (status.live, pushed_revision.reason, pushed_revision.shipped_without_canary) == (V2, reason, uncanaried)
    assert (pushed_revision.manager, pushed_revision.live_since) == ("kubectl-set", NOW)
    assert bool(pushed_revision.blocked) == any(r.blocked for r in known)
    assert actions_of(situation, SetTemplate) == [], "it is never reverted merely for being different"


def test_drift_names_who_wrote_it() -> None:
    status = status_after(
        facts(status=status_with(target("Promoted", "v1"), ADOPTED), workload=by_hand(manager="argocd"))
    )
    assert condition_of(status, "Drifted") == ("True", "ChangedByHand")
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
    status = status_after(facts(status=status_with(None, ADOPTED), workload=by_hand(**change)))
    pushed_revision = next(r for r in status.revisions if r.digest == V2)
    assert (pushed_revision.manager, pushed_revision.live_since) == (manager, since)


@pytest.mark.parametrize("state", ["Dark", "Stepping", "Promoting"])
def test_a_change_by_hand_cancels_the_canary_at_weight_0(state: str) -> None:
    situation = facts(status=status_with(target(state)), workload=by_hand(), canary=canary(4, 1))
    new_target = status_after(situation).target
    assert new_target is not None and (new_target.state, new_target.reason, new_target.weight) == (
        "Cancelled",
        "LiveChanged",
        0,
    )
    assert (
        gates_closed(situation) == {"c0"}
        and actions_of(situation, DeleteCanary)
        and not actions_of(situation, SetTemplate)
    )


@pytest.mark.parametrize(
    ("status", "image"),
    [
        pytest.param(status_with(target("Promoting")), "shop:v4", id="a promotion"),
        pytest.param(status_with(None, ADOPTED, BAD, live=V2, rollback=record()), "shop:v1", id="a rollback that was recorded"),
        pytest.param(status_with(None, ADOPTED, BAD, live=V2, rollback=record("Written")), "shop:v1", id="a rollback that was seen before"),
    ],
)  # fmt: skip
def test_our_own_write_is_no_drift(status: ReleaseStatus, image: str) -> None:
    new_status = status_after(facts(status=status, workload=by_hand(image)))
    assert new_status.live == workload(image).digest and condition_of(new_status, "Drifted")[0] == "False"
    assert not any(r.shipped_without_canary for r in new_status.revisions if r.digest == new_status.live)


PINNED = {n: f"shop@sha256:{n}{n}" for n in (1, 2, 4)}
ROLLING_BACK = status_with(None, ADOPTED, BAD, live=V2, rollback=record())


def stored_as(image: str, decided: str = V1, **more: Any) -> TemplateWrite:
    return TemplateWrite(**{"decided": decided, "stored": workload(image).digest, "at": NOW, **more})


@pytest.mark.parametrize(
    ("status", "image", "more", "live"),
    [
        pytest.param(ROLLING_BACK, PINNED[1], {"written": stored_as(PINNED[1])}, V1, id="a rollback whose image admission resolved"),
        pytest.param(status_with(target("Promoting")), PINNED[4], {"written": stored_as(PINNED[4], V4)}, V4, id="a promotion as well"),
        pytest.param(ROLLING_BACK, PINNED[1], {"manager": "opsloop"}, V1, id="after a restart: opsloop wrote last, and it may be the image"),
        pytest.param(ROLLING_BACK, PINNED[1], {"manager": "kubectl-set"}, None, id="not where somebody else wrote last"),
        pytest.param(ROLLING_BACK, PINNED[1], {"written": stored_as("shop@sha256:77"), "manager": "opsloop"}, None, id="nor where the answer to our write was another"),
        pytest.param(ROLLING_BACK, "shop:v3", {"written": stored_as("shop:v3")}, None, id="nor with an image that cannot be the decided one"),
        pytest.param(ROLLING_BACK, "store:v2", {"manager": "opsloop"}, None, id="nor where only fields were taken from what it flees"),
        pytest.param(status_with(None, ADOPTED), PINNED[1], {"written": stored_as(PINNED[1])}, None, id="nor when nothing is in progress"),
    ],
)  # fmt: skip
def test_our_own_write_that_was_stored_otherwise(
    status: ReleaseStatus, image: str, more: dict[str, Any], live: str | None
) -> None:
    seen = by_hand(image, **{k: v for k, v in more.items() if k == "manager"})
    item = release(version="v4" if live == V4 else "v1", dependsOn=[])
    incidents = (incident_with_rollback(),)
    situation = facts(item, status, workload=seen, written=more.get("written"), incidents=incidents)
    after = status_after(situation)
    assert after.live == (live or seen.digest)
    also = [r.also for r in after.revisions if r.digest == after.live]
    assert also == [[seen.digest] if live else []]
    told = condition_of(after, "StoredAsDecided")
    assert told == (("False", "AdmissionChanged") if live else ("", ""))


def test_a_spelling_of_live_that_was_identified_is_noted_once_and_nothing_else_changes() -> None:
    seen = replace(workload(), stored_as=V2)
    situation = facts(release(dependsOn=[]), status_with(target("Promoted", "v1"), ADOPTED), workload=seen)
    once = status_after(situation)
    assert [r.also for r in once.revisions] == [[V2]] and once.live == V1
    again = facts(release(dependsOn=[]), once, workload=seen)
    assert status_after(again).revisions == once.revisions and decide(again).actions == ()


def test_a_rollback_that_is_over_does_not_make_a_later_change_ours() -> None:
    old = revision(live_since=at(0))
    status = status_after(
        facts(status=status_with(None, old, BAD, live=V2, rollback=record("Done")), workload=by_hand("shop:v1"))
    )
    assert next(r for r in status.revisions if r.digest == V1).shipped_without_canary


def live_for(seconds: float, **more: Any) -> ReleaseStatus:
    return status_with(target("Promoted", "v1"), revision(live_since=at(100 - seconds), **more))


def bake(ratio: float | None, **more: Any) -> Any:
    return readings(ratio, NOW, bake=more.pop("bake", GOOD))


@pytest.mark.parametrize(
    ("situation", "proven"),
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
def test_last_good(situation: ReleaseFacts, proven: bool) -> None:
    status = status_after(situation)
    assert (status.revisions[0].proven_at is not None) == proven
    assert status.last_good == (V1 if proven else "")


def test_last_good_of_an_unproven_live_is_where_a_rollback_would_go() -> None:
    unproven = revision("v4", "Canaried", live_since=at(99))
    assert (
        status_after(
            facts(status=status_with(target("Promoted"), ADOPTED, unproven, live=V4), workload=workload("shop:v4"))
        ).last_good
        == V1
    )


def test_the_list_of_revisions_is_bounded_and_keeps_named_ones() -> None:
    many = [revision(f"v{n}", "Canaried") for n in range(10, 45)]
    status = status_after(facts(status=status_with(target("Promoted"), ADOPTED, TRIED, *many)))
    assert len(status.revisions) <= 20 and {V1, V4} <= {r.digest for r in status.revisions}


def test_a_push_during_a_rollback_is_a_change_by_hand() -> None:
    status = status_with(None, ADOPTED, BAD, live=V2, rollback=record())
    new_status = status_after(facts(status=status, workload=by_hand("shop:v3")))
    third = next(r for r in new_status.revisions if r.version == "v3")
    assert new_status.live == third.digest and third.shipped_without_canary


BAD_BEFORE = incident("answers-3", {"phase": "Resolved", "blocked": [V2, V1, digest("shop:v9")]})


@pytest.mark.parametrize(
    ("facts_of", "blocked"),
    [
        pytest.param({"incidents": (BAD_BEFORE,)}, [("v2", "answers-3")], id="what an Incident had blocked, where its template is still stored; never what is live"),
        pytest.param({"cases": (evalcase(),)}, [("v2", "answers-1")], id="what an EvalCase was proven to fail on"),
        pytest.param({"cases": (evalcase(proven="Unknown"),)}, [], id="not what it is not proven on"),
        pytest.param({"incidents": (BAD_BEFORE,), "templates": {}}, [], id="nothing where no template is left"),
    ],
)  # fmt: skip
def test_a_release_that_is_made_again_remembers_what_is_bad(facts_of: dict[str, Any], blocked: list[Any]) -> None:
    status = status_after(facts(release(dependsOn=[]), ReleaseStatus(), **facts_of))
    known = [(r.version, r.blocked.incident) for r in status.revisions if r.blocked]
    assert known == blocked and status.live == V1
    assert [r.number for r in status.revisions] == list(range(1, len(blocked) + 2))
