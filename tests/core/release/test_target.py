"""What the spec asks for: recorded once, refused where blocked, stored before anything starts."""

import pytest

from opsloop.api.release import Release, ReleaseStatus
from opsloop.core.actions import DeleteCanary, EnsureCanary, EnsureRevision, SetTemplate
from tests.builders.objects import V1, V2, V3, V4, at, digest, workload
from tests.builders.rollouts import (
    ADOPTED,
    BLOCK,
    TEMPLATES,
    TRIED,
    acts,
    after,
    canary,
    closes,
    decide,
    ends,
    facts,
    going,
    opens,
    revision,
    said,
    target,
    wants,
)

BLOCKED = TRIED.model_copy(update={"blocked": BLOCK})


@pytest.mark.parametrize(
    ("item", "status", "state"),
    [
        pytest.param(wants("v1"), going(None, ADOPTED), ("Promoted", "SpecBackToLive"), id="spec equal to live moves nothing"),
        pytest.param(wants("v4"), going(target("Promoted", "v1"), ADOPTED), ("Dark", ""), id="another version begins dark"),
        pytest.param(wants("v4"), going(target("Promoted", "v1"), ADOPTED, BLOCKED), ("Refused", "Blocked"), id="a blocked one is refused"),
        pytest.param(wants(images={"sidecar": "x"}), going(target("Promoted", "v1"), ADOPTED), ("Refused", "UnknownContainer"), id="a container that is not there is refused"),
        pytest.param(wants("v1"), going(target("Stepping")), ("Promoted", "SpecBackToLive"), id="back to live in mid-canary is a clean cancel"),
        pytest.param(wants("v3"), going(target("Stepping")), ("Dark", ""), id="a third revision begins anew, dark"),
        pytest.param(wants("v4"), going(target("Rejected", reason="EvalFailed"), ADOPTED, BLOCKED), ("Rejected", "EvalFailed"), id="what was rejected is not tried again"),
        pytest.param(wants("v4"), going(target("Rejected", reason="PodsFailing")), ("Rejected", "PodsFailing"), id="nor what the cluster could not start"),
        pytest.param(wants("v4"), going(target("Rejected", reason="EvalFailed")), ("Dark", ""), id="until a person lifts the block"),
        pytest.param(wants("v4", {"retry": "1"}), going(target("Rejected", reason="PodsFailing")), ("Dark", ""), id="or asks for a retry"),
        pytest.param(wants("v4", {"retry": "1"}), going(target("Rejected", reason="PodsFailing", retry="1")), ("Rejected", "PodsFailing"), id="one retry is one try"),
        pytest.param(wants("v4", {"retry": "1"}), going(target("Rejected", reason="EvalFailed"), ADOPTED, BLOCKED), ("Refused", "Blocked"), id="a retry does not lift a block"),
        pytest.param(wants("v4"), going(target("Cancelled", reason="LiveChanged")), ("Cancelled", "LiveChanged"), id="a cancelled one stays cancelled"),
        pytest.param(wants("v4"), going(target("Promoted")), ("Promoted", ""), id="what was promoted and changed by hand later is not promoted again"),
    ],
)  # fmt: skip
def test_the_target(item: Release, status: ReleaseStatus, state: tuple[str, str]) -> None:
    seen = facts(item, status, canary=canary(1, 1) if status.target and status.target.state == "Stepping" else None)
    assert ends(seen) == state
    assert acts(seen, SetTemplate) == [] and opens(seen) == set()


@pytest.mark.parametrize("version", ["v1", "v3"])
def test_what_ends_a_canary_closes_its_gates_before_anything_is_stored(version: str) -> None:
    seen = facts(wants(version), going(target("Stepping", pods=2)), canary=canary(2, 2))
    assert closes(seen) == {"c0", "c1"} and len(acts(seen, DeleteCanary)) == 1


def test_a_refused_target_says_why_and_how_to_lift_it() -> None:
    found = after(facts(wants(), going(target("Promoted", "v1"), ADOPTED, BLOCKED)))
    assert found.target is not None and "it was bad" in found.target.message
    assert f"opsloop.dev/unblock={V4}" in found.target.message and said(found, "Blocked")[0] == "True"


def test_a_new_target_is_a_revision_whose_template_is_stored_and_nothing_else_starts_yet() -> None:
    seen = facts(wants(), going(target("Promoted", "v1"), ADOPTED), templates={V1: TEMPLATES[V1]})
    assert [(a.digest, a.number) for a in acts(seen, EnsureRevision)] == [(V4, 2)] and not acts(seen, EnsureCanary)
    assert [(r.digest, r.reason, r.live_since) for r in after(seen).revisions][1] == (V4, "Canaried", None)


def test_died_before_the_template_was_stored_it_is_stored_now() -> None:
    seen = facts(wants(), going(target()), templates={V1: TEMPLATES[V1]})
    assert [a.digest for a in acts(seen, EnsureRevision)] == [V4] and not acts(seen, EnsureCanary)


def test_a_template_that_cannot_be_made_again_ends_the_target() -> None:
    hand = revision("v2", "Drifted", live_since=at(60))
    seen = facts(wants(), going(target(digest=digest("other:v9")), ADOPTED, hand, TRIED.model_copy(update={"digest": digest("other:v9")}), live=V2), workload=workload("shop:v2"))  # fmt: skip
    assert ends(seen) == ("Cancelled", "TemplateMissing")


def test_a_target_starts_from_the_last_change_by_hand_and_not_from_what_was_promoted() -> None:
    known = (ADOPTED, revision("v3", "Canaried", live_since=at(60)))
    seen = facts(wants(images={"answers": "shop:v1"}), going(None, *known, live=V3), workload=workload("shop:v3"))
    found = after(seen).target
    assert found is not None and found.digest == V1


def test_the_block_is_not_said_any_more_once_something_else_is_wanted() -> None:
    said_before = {"type": "Blocked", "status": "True", "reason": "Blocked", "lastTransitionTime": at(9).isoformat()}
    before = going(target("Refused", "v3", reason="Blocked"), ADOPTED, conditions=[said_before])
    assert said(after(facts(wants("v4"), before)), "Blocked") == ("False", "Allowed")
    assert said(after(facts(wants("v1"), before)), "Blocked") == ("False", "Allowed")


@pytest.mark.parametrize(
    ("item", "status", "told"),
    [
        pytest.param(wants("v4"), going(target("Promoted", "v1"), ADOPTED), {"CanaryStarted"}, id="a canary starts"),
        pytest.param(wants("v4"), going(target("Promoted", "v1"), ADOPTED, BLOCKED), {"Refused"}, id="a blocked one is refused"),
        pytest.param(wants("v1"), going(target("Stepping")), {"CanaryCancelled"}, id="back to live cancels it"),
        pytest.param(wants("v3"), going(target("Stepping")), {"CanaryCancelled", "CanaryStarted"}, id="a third one cancels it and starts"),
    ],
)  # fmt: skip
def test_people_are_told(item: Release, status: ReleaseStatus, told: set[str]) -> None:
    assert {e.reason for e in decide(facts(item, status)).events} == told
