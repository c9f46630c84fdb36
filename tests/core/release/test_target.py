"""What the spec asks for: recorded once, refused where blocked, stored before anything starts."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.release import Release, ReleaseStatus
from opsloop.core.actions import DeleteCanary, EnsureCanary, EnsureRevision, SetTemplate
from opsloop.core.facts import AdmissionAnswer
from tests.builders.objects import V1, V2, V3, V4, at, digest, incident, release_spec, template, workload
from tests.builders.rollouts import (
    ADOPTED,
    BLOCK,
    TEMPLATES,
    TRIED,
    actions_of,
    canary,
    condition_of,
    decide,
    end_of,
    facts,
    gates_closed,
    gates_opened,
    record,
    release_asking,
    revision,
    status_after,
    status_with,
    target,
)

BY_VERSION = release_spec()["slo"] | {
    "sli": {"good": "g{v='{{version}}'}[{{window}}]", "total": "t{v='{{version}}'}[{{window}}]"}
}
BLOCKED = TRIED.model_copy(update={"blocked": BLOCK})


@pytest.mark.parametrize(
    ("item", "status", "state"),
    [
        pytest.param(release_asking("v1"), status_with(None, ADOPTED), ("Promoted", "SpecBackToLive"), id="spec equal to live moves nothing"),
        pytest.param(release_asking("v4"), status_with(target("Promoted", "v1"), ADOPTED), ("Dark", ""), id="another version begins dark"),
        pytest.param(release_asking("v4"), status_with(target("Promoted", "v1"), ADOPTED, BLOCKED), ("Refused", "Blocked"), id="a blocked one is refused"),
        pytest.param(release_asking(images={"sidecar": "x"}), status_with(target("Promoted", "v1"), ADOPTED), ("Refused", "UnknownContainer"), id="a container that is not there is refused"),
        pytest.param(release_asking("v1"), status_with(target("Stepping")), ("Promoted", "SpecBackToLive"), id="back to live in mid-canary is a clean cancel"),
        pytest.param(release_asking("v3"), status_with(target("Stepping")), ("Dark", ""), id="a third revision begins anew, dark"),
        pytest.param(release_asking("v4"), status_with(target("Rejected", reason="EvalFailed"), ADOPTED, BLOCKED), ("Rejected", "EvalFailed"), id="what was rejected is not tried again"),
        pytest.param(release_asking("v4"), status_with(target("Rejected", reason="PodsFailing")), ("Rejected", "PodsFailing"), id="nor what the cluster could not start"),
        pytest.param(release_asking("v4"), status_with(target("Rejected", reason="EvalFailed")), ("Dark", ""), id="until a person lifts the block"),
        pytest.param(release_asking("v4", {"retry": "1"}), status_with(target("Rejected", reason="PodsFailing")), ("Dark", ""), id="or asks for a retry"),
        pytest.param(release_asking("v4", {"retry": "1"}), status_with(target("Rejected", reason="PodsFailing", retry="1")), ("Rejected", "PodsFailing"), id="one retry is one try"),
        pytest.param(release_asking("v4", {"retry": "1"}), status_with(target("Rejected", reason="EvalFailed"), ADOPTED, BLOCKED), ("Refused", "Blocked"), id="a retry does not lift a block"),
        pytest.param(release_asking("v4"), status_with(target("Cancelled", reason="LiveChanged")), ("Cancelled", "LiveChanged"), id="a cancelled one stays cancelled"),
        pytest.param(release_asking("v4"), status_with(target("Cancelled", reason="BaseChanged", ended_at=at(10))), ("Dark", ""), id="but one whose template was changed beside the image starts again"),
        pytest.param(release_asking("v4"), status_with(target("Cancelled", reason="RolledBack", ended_at=at(10))), ("Dark", ""), id="so does one that was beside a live revision which was rolled back: it may be the fix"),
        pytest.param(release_asking("v4"), status_with(target("Cancelled", reason="RolledBack", ended_at=at(10)), ADOPTED, BLOCKED), ("Refused", "Blocked"), id="not where it is what was rolled back"),
        pytest.param(release_asking("v4"), status_with(target("Cancelled", reason="LiveChanged", ended_at=at(10)), rollback=record("Done", at=at(20))), ("Dark", ""), id="and one beside which live was changed by hand, where that was rolled back since"),
        pytest.param(release_asking("v4"), status_with(target("Cancelled", reason="LiveChanged", ended_at=at(10)), rollback=record("Done", at=at(5))), ("Cancelled", "LiveChanged"), id="an earlier rollback says nothing of it"),
        pytest.param(release_asking("v4"), status_with(None, ADOPTED, BLOCKED.model_copy(update={"digest": V3})), ("Refused", "Blocked"), id="an image that was blocked in another template is refused"),
        pytest.param(release_asking("v4"), status_with(target("Refused", reason="Blocked"), ADOPTED, BLOCKED.model_copy(update={"digest": V3})), ("Refused", "Blocked"), id="and not asked about again"),
        pytest.param(release_asking("v1", images={"answers": "shop:v4"}, slo=BY_VERSION), status_with(None, ADOPTED), ("Refused", "VersionNotChanged"), id="an image without a label of its own is refused where labels tell versions apart"),
        pytest.param(release_asking("v1", images={"answers": "shop:v4"}), status_with(None, ADOPTED), ("Dark", ""), id="not where they do not"),
        pytest.param(release_asking("v4", slo=BY_VERSION), status_with(None, ADOPTED), ("Dark", ""), id="nor where it has one"),
        pytest.param(release_asking("v4"), status_with(target("Promoted")), ("Promoted", ""), id="what was promoted and changed by hand later is not promoted again"),
    ],
)  # fmt: skip
def test_the_target(item: Release, status: ReleaseStatus, state: tuple[str, str]) -> None:
    situation = facts(
        item, status, canary=canary(1, 1) if status.target and status.target.state == "Stepping" else None
    )
    assert end_of(situation) == state
    assert actions_of(situation, SetTemplate) == [] and gates_opened(situation) == set()


TAKEN_OUT = target("Cancelled", reason="NotTheCanary", ended_at=at(40))
BURNT = {"burn": incident().spec.signal.burn, "severity": "sev1", "detectedAt": at(30)}


@pytest.mark.parametrize(
    ("harm", "now"),
    [
        pytest.param({"phase": "Open", **BURNT}, ("Cancelled", 0), id="the Incident is open"),
        pytest.param({"phase": "Mitigated", **BURNT}, ("Cancelled", 0), id="its harm is over just now"),
        pytest.param({"phase": "Resolved", **BURNT}, ("Dark", 1), id="it is resolved: tried again, once"),
    ],
)  # fmt: skip
def test_a_canary_that_was_taken_out_for_harm_that_live_had_as_well(harm: dict[str, Any], now: tuple[str, int]) -> None:
    status = status_after(facts(release_asking(), status_with(TAKEN_OUT), incidents=(incident("answers-1", harm),)))
    assert status.target is not None and (status.target.state, status.target.restarts) == now


def test_a_person_s_retry_counts_as_no_restart() -> None:
    asked = release_asking("v4", {"retry": "1"})
    before = TAKEN_OUT.model_copy(update={"restarts": 1})
    status = status_after(facts(asked, status_with(before)))
    assert status.target is not None and (status.target.state, status.target.restarts) == ("Dark", 0)


@pytest.mark.parametrize("version", ["v1", "v3"])
def test_the_end_of_a_canary_closes_its_gates_as_safety(version: str) -> None:
    situation = facts(release_asking(version), status_with(target("Stepping", pods=2)), canary=canary(2, 2))
    assert gates_closed(situation) == {"c0", "c1"} and len(actions_of(situation, DeleteCanary)) == 1


def test_a_refused_target_says_why_and_how_to_lift_it() -> None:
    status = status_after(facts(release_asking(), status_with(target("Promoted", "v1"), ADOPTED, BLOCKED)))
    assert status.target is not None and "it was bad" in status.target.message
    assert f"opsloop.dev/unblock={V4}" in status.target.message and condition_of(status, "Blocked")[0] == "True"


def test_a_new_target_is_recorded_and_its_template_stored_before_pods_start() -> None:
    situation = facts(release_asking(), status_with(target("Promoted", "v1"), ADOPTED), templates={V1: TEMPLATES[V1]})
    assert [(a.digest, a.number) for a in actions_of(situation, EnsureRevision)] == [(V4, 2)] and not actions_of(
        situation, EnsureCanary
    )
    assert [(r.digest, r.reason, r.live_since) for r in status_after(situation).revisions][1] == (V4, "Canaried", None)


def test_a_template_lost_in_a_crash_is_stored_again() -> None:
    situation = facts(release_asking(), status_with(target()), templates={V1: TEMPLATES[V1]})
    assert [a.digest for a in actions_of(situation, EnsureRevision)] == [V4] and not actions_of(situation, EnsureCanary)


def test_a_template_that_cannot_be_made_again_ends_the_target() -> None:
    hand = revision("v2", "Drifted", live_since=at(60))
    situation = facts(release_asking(), status_with(target(digest=digest("other:v9")), ADOPTED, hand, TRIED.model_copy(update={"digest": digest("other:v9")}), live=V2), workload=workload("shop:v2"))  # fmt: skip
    assert end_of(situation) == ("Cancelled", "TemplateMissing")


def test_a_target_starts_from_the_last_change_by_hand() -> None:
    known = (ADOPTED, revision("v3", "Canaried", live_since=at(60)))
    situation = facts(
        release_asking(images={"answers": "shop:v1"}), status_with(None, *known, live=V3), workload=workload("shop:v3")
    )
    new_target = status_after(situation).target
    assert new_target is not None and new_target.digest == V1


def test_blocked_is_false_again_for_another_target() -> None:
    said_before = {"type": "Blocked", "status": "True", "reason": "Blocked", "lastTransitionTime": at(9).isoformat()}
    before = status_with(target("Refused", "v3", reason="Blocked"), ADOPTED, conditions=[said_before])
    assert condition_of(status_after(facts(release_asking("v4"), before)), "Blocked") == ("False", "Allowed")
    assert condition_of(status_after(facts(release_asking("v1"), before)), "Blocked") == ("False", "Allowed")


@pytest.mark.parametrize(
    ("item", "status", "events"),
    [
        pytest.param(release_asking("v4"), status_with(target("Promoted", "v1"), ADOPTED), {"CanaryStarted"}, id="a canary starts"),
        pytest.param(release_asking("v4"), status_with(target("Promoted", "v1"), ADOPTED, BLOCKED), {"Refused"}, id="a blocked one is refused"),
        pytest.param(release_asking("v1"), status_with(target("Stepping")), {"CanaryCancelled"}, id="back to live cancels it"),
        pytest.param(release_asking("v3"), status_with(target("Stepping")), {"CanaryCancelled", "CanaryStarted"}, id="a third one cancels it and starts"),
    ],
)  # fmt: skip
def test_events_of_a_target(item: Release, status: ReleaseStatus, events: set[str]) -> None:
    assert {e.reason for e in decide(facts(item, status)).events} == events


def answered(reason: str = "", image: str = "shop:v4", **more: Any) -> dict[str, AdmissionAnswer]:
    stored = None if reason else template(image)
    return {V4: AdmissionAnswer(template=stored, reason=reason, message="said the server", **more)}


BLOCKED_PINNED = revision("v4", digest=digest("shop@sha256:44"), blocked=BLOCK, images={"answers": "shop@sha256:44"})
LIVE_PINNED = revision("v1", digest=digest("shop@sha256:44"), images={"answers": "shop@sha256:44"}, live_since=at(0))


@pytest.mark.parametrize(
    ("answers", "known", "end", "told"),
    [
        pytest.param({}, (ADOPTED,), ("", ""), "", id="not asked yet: nothing is recorded"),
        pytest.param(answered(), (ADOPTED,), ("Dark", ""), "", id="stored as decided: it begins"),
        pytest.param(answered(image="shop@sha256:44"), (ADOPTED,), ("Dark", ""), "", id="with its tag resolved: it begins"),
        pytest.param(answered(image="shop@sha256:44"), (ADOPTED, BLOCKED_PINNED), ("Refused", "Blocked"), "", id="resolved to a blocked image: refused"),
        pytest.param(answered(image="shop:v1"), (ADOPTED,), ("Refused", "AdmissionChanged"), "AdmissionChanged", id="another image: refused"),
        pytest.param(answered("AdmissionRefused"), (ADOPTED,), ("Refused", "AdmissionRefused"), "AdmissionRefused", id="the API server would refuse it: refused"),
        pytest.param(answered("AdmissionNotDeterministic"), (ADOPTED,), ("Refused", "AdmissionNotDeterministic"), "AdmissionNotDeterministic", id="another image each time: refused"),
        pytest.param(answered("AdmissionUnavailable"), (ADOPTED,), ("", ""), "AdmissionUnavailable", id="no answer: it waits, and says so"),
        pytest.param(answered("DryRunRefused"), (ADOPTED,), ("Dark", ""), "DryRunRefused", id="no dry runs: it begins as decided"),
        pytest.param(answered(unstable=("/metadata/annotations/a",)), (ADOPTED,), ("Dark", ""), "AdmissionNotDeterministic", id="fields that differ each time are left out: it begins"),
    ],
)  # fmt: skip
def test_a_target_is_what_the_api_server_makes_of_it(
    answers: dict[str, AdmissionAnswer], known: Any, end: tuple[str, str], told: str
) -> None:
    situation = facts(release_asking("v4"), status_with(None, *known), answers=answers)
    assert end_of(situation) == end and condition_of(status_after(situation), "StoredAsDecided")[1] == told
    assert decide(situation).look_again is not None or end[0] == "Refused"
    assert [e.reason for e in decide(situation).events if e.reason == told] == ([told] if told else [])


def test_a_tag_that_is_resolved_to_the_live_image_moves_nothing_and_live_gets_its_label() -> None:
    status = status_with(None, LIVE_PINNED.model_copy(update={"version": "sha256:44"}), live=LIVE_PINNED.digest)
    live = workload("shop@sha256:44")
    templates = {LIVE_PINNED.digest: template("shop@sha256:44")}
    item = release_asking("v4")
    situation = facts(item, status, workload=live, templates=templates, answers=answered(image="shop@sha256:44"))
    assert end_of(situation) == ("Promoted", "SpecBackToLive") and status_after(situation).version == "v4"
    assert actions_of(situation, SetTemplate, EnsureCanary) == []


def test_a_refusal_said_again_is_not_written_again() -> None:
    situation = facts(release_asking("v4"), status_with(None, ADOPTED), answers=answered("AdmissionRefused"))
    refused = facts(release_asking("v4"), status_after(situation), answers=answered("AdmissionRefused"))
    assert decide(refused).status is None and decide(refused).events == ()
    assert decide(refused).look_again is not None
    admitted = facts(release_asking("v4"), status_after(situation), answers=answered())
    assert end_of(admitted) == ("Dark", "")


def test_no_answer_ends_the_target_before_at_once() -> None:
    situation = facts(release_asking("v3"), status_with(target("Stepping")), canary=canary(1, 1), answers={})
    assert end_of(situation) == ("Cancelled", "NewTarget") and gates_closed(situation) == {"c0"}


@pytest.mark.parametrize(
    ("images", "end", "promoted"),
    [
        pytest.param({"answers": "shop:v4"}, ("Dark", ""), "shop:v4", id="the decided images"),
        pytest.param({"answers": "shop@sha256:44"}, ("Dark", ""), "shop@sha256:44", id="resolved ones are taken over"),
        pytest.param({"answers": "shop:v1"}, ("Rejected", "AdmissionChanged"), "shop:v4", id="others reject the target"),
    ],
)  # fmt: skip
def test_what_the_canary_ran_is_what_is_promoted(images: dict[str, str], end: tuple[str, str], promoted: str) -> None:
    running = replace(canary(), images=images)
    situation = facts(release_asking("v4"), status_with(target()), canary=running)
    after = status_after(situation)
    assert end_of(situation)[0] in (end[0], "Stepping") and after.revisions[-1].images == {"answers": promoted}
    if end[0] == "Rejected":
        assert end_of(situation) == end and after.revisions[-1].blocked is None


def test_a_version_that_gave_way_to_another_one_is_tried_again_when_the_spec_comes_back_to_it() -> None:
    gave_way = target("Cancelled", ended_at=at(90), reason="NewTarget", message="the spec asks for v5")
    after = status_after(facts(release_asking(), status_with(gave_way))).target
    assert after is not None and after.state == "Dark"
