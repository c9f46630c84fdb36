"""Live against the spec as both are now: drifted, blocked, shipped, rolled out, and whether the spec names what exists."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.release import Release
from opsloop.core.facts import Neighbour, ReleaseFacts, RolloutState
from tests.builders.objects import V1, V2, V4, at, release, workload
from tests.builders.rollouts import (
    ADOPTED,
    BAD,
    BLOCK,
    TRIED,
    actions_of,
    canary,
    condition_of,
    decide,
    facts,
    gates_closed,
    record,
    release_asking,
    revision,
    status_after,
    status_with,
    step,
    target,
)

V2_SHIPPED = revision("v2", "Canaried", live_since=at(60))
BLOCKED_V2 = V2_SHIPPED.model_copy(update={"blocked": BLOCK})
WANTS_V2 = release_asking("v2")
PROMOTED_V2 = target("Promoted", "v2", ended_at=at(60))


def rolled_back(**more: Any) -> ReleaseFacts:
    """v2 was promoted, did harm and was rolled back; the spec still asks for it."""
    status = status_with(PROMOTED_V2, ADOPTED, BLOCKED_V2, live=V1, rollback=record("Done", done_at=at(95)))
    return facts(WANTS_V2, status, **more)


def put_back() -> ReleaseFacts:
    """v2 was promoted; a GitOps tool put v1 back."""
    again = ADOPTED.model_copy(update={"manager": "argocd", "live_since": at(90)})
    return facts(WANTS_V2, status_with(PROMOTED_V2, again, V2_SHIPPED, live=V1))


def ended(state: str, reason: str) -> ReleaseFacts:
    return facts(release_asking(), status_with(target(state, reason=reason, message="why it ended", ended_at=at(80))))


def live_as_wanted(**more: Any) -> ReleaseFacts:
    return facts(release_asking("v1"), status_with(target("Promoted", "v1", ended_at=at(1)), ADOPTED), **more)


SICK = replace(workload(settled=False), rollout=RolloutState(paused=True))


@pytest.mark.parametrize(
    ("situation", "drifted", "shipped", "phase"),
    [
        pytest.param(live_as_wanted(), ("False", "LiveAsWanted"), ("True", "Shipped"), "Healthy", id="live is what the spec asks for"),
        pytest.param(live_as_wanted(workload=SICK), ("False", "LiveAsWanted"), ("False", "DeploymentPaused"), "Healthy", id="it is, but not rolled out"),
        pytest.param(step(release_asking(paused=True)), ("False", "Shipping"), ("False", "Shipping"), "Held", id="its canary is on its way"),
        pytest.param(rolled_back(), ("True", "RolledBack"), ("False", "RolledBack"), "NotShipped", id="it was rolled back"),
        pytest.param(put_back(), ("True", "ChangedByHand"), ("False", "ChangedByHand"), "NotShipped", id="another tool put the old version back"),
        pytest.param(ended("Rejected", "PodsFailing"), ("True", "NotShipped"), ("False", "PodsFailing"), "NotShipped", id="it was rejected"),
        pytest.param(ended("Refused", "VersionNotChanged"), ("True", "NotShipped"), ("False", "VersionNotChanged"), "NotShipped", id="it was refused"),
        pytest.param(ended("Cancelled", "IncidentOpen"), ("True", "NotShipped"), ("False", "IncidentOpen"), "NotShipped", id="it was cancelled"),
        pytest.param(live_as_wanted(workload=None), ("Unknown", "WorkloadMissing"), ("False", "WorkloadMissing"), "Pending", id="the Deployment is gone"),
    ],
)  # fmt: skip
def test_live_against_the_spec(
    situation: ReleaseFacts, drifted: tuple[str, str], shipped: tuple[str, str], phase: str
) -> None:
    status = status_after(situation)
    assert (condition_of(status, "Drifted"), condition_of(status, "Shipped"), status.phase) == (drifted, shipped, phase)


def test_after_a_rollback_the_wanted_revision_is_blocked_and_the_message_says_how_to_allow_it() -> None:
    status = status_after(rolled_back())
    assert condition_of(status, "Blocked") == ("True", "Blocked")
    message = next(c.message for c in status.conditions if c.type == "Blocked")
    assert f"opsloop.dev/unblock={V2}" in message and "RolledBack" in message
    assert condition_of(status_after(live_as_wanted()), "Blocked") == ("False", "Allowed")


def test_the_message_of_drifted_names_live_and_wanted_version() -> None:
    message = next(c.message for c in status_after(rolled_back()).conditions if c.type == "Drifted")
    assert message == "live is v1, the spec asks for v2, which was rolled back for answers-1"


def of(name: str, deployment: str = "answers", created: float | None = 0) -> Neighbour:
    return Neighbour(name, deployment, None if created is None else at(created))


def created(at_second: float, **spec: Any) -> Release:
    item = release(**{"dependsOn": [], **spec})
    return item.model_copy(update={"metadata": item.metadata.model_copy(update={"creation_timestamp": at(at_second)})})


@pytest.mark.parametrize(
    ("item", "neighbours", "said"),
    [
        pytest.param(created(5), (of("answers", created=5),), ("True", "Resolved"), id="it is alone"),
        pytest.param(created(5), (of("answers", created=5), of("old", created=1)), ("False", "WorkloadTaken"), id="an older Release has the Deployment"),
        pytest.param(created(5), (of("answers", created=5), of("young", created=9)), ("True", "Resolved"), id="a younger one is refused, not this one"),
        pytest.param(created(5), (of("answers", created=5), of("aaa", created=5)), ("False", "WorkloadTaken"), id="of two made in the same second the first name has it"),
        pytest.param(created(5), (of("answers", created=5), of("old", "other", 1)), ("True", "Resolved"), id="another Deployment is nobody's business"),
        pytest.param(created(5, dependsOn=["catalog"]), (of("answers", created=5),), ("False", "DependencyMissing"), id="a dependency does not exist"),
        pytest.param(created(5, dependsOn=["answers"]), (of("answers", created=5),), ("False", "DependsOnItself"), id="it depends on itself"),
        pytest.param(created(5, dependsOn=["catalog"]), (of("answers", created=5), of("catalog", "catalog")), ("True", "Resolved"), id="it exists"),
        pytest.param(created(5, images={"anwsers": "shop:v1"}), (of("answers", created=5),), ("False", "ContainerMissing"), id="a container is misspelt"),
    ],
)  # fmt: skip
def test_what_the_spec_names(item: Release, neighbours: tuple[Neighbour, ...], said: tuple[str, str]) -> None:
    status = status_with(target("Promoted", "v1", ended_at=at(1)), ADOPTED)
    assert condition_of(status_after(facts(item, status, neighbours=neighbours)), "SpecResolved") == said


def test_of_two_releases_on_one_deployment_the_second_does_nothing() -> None:
    neighbours = (of("answers", created=5), of("old", created=1))
    item = created(5, version="v4")
    situation = facts(item, status_with(target("Stepping")), canary=canary(1, 1), neighbours=neighbours)
    assert gates_closed(situation) == {"c0"}, "its canary is taken out"
    fresh = facts(item, status_with(None, live=""), neighbours=neighbours)
    status = status_after(fresh)
    assert (status.live, status.target, status.phase) == ("", None, "Pending")
    assert decide(fresh).safety == () and actions_of(fresh) == []


def test_a_target_refused_for_a_container_goes_on_by_itself_when_the_deployment_has_it() -> None:
    wanted = {"answers": "shop:v4"}
    refused = target("Refused", reason="UnknownContainer", ended_at=at(80), images=wanted)
    status = status_after(facts(release_asking(), status_with(refused, ADOPTED, TRIED, BAD)))
    assert status.target is not None and (status.target.state, status.target.digest) == ("Dark", V4)
