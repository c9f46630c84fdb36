"""A revision of which no pod was ever available is not what serves."""

from dataclasses import replace

import pytest

from opsloop.api.release import ReleaseStatus
from opsloop.core.facts import RolloutState, WorkloadFacts
from opsloop.core.release import revisions
from opsloop.core.release.serving import serving
from tests.builders.objects import V1, V2, at, workload
from tests.builders.rollouts import ADOPTED, BAD, facts, revision, status_after, status_with, target


def pushed(serves: bool, settled: bool = False) -> WorkloadFacts:
    return replace(workload("shop:v2", settled), rollout=RolloutState(replaced=False, serves=serves))


NEVER = BAD.model_copy(update={"never_ran": True})
ON_V1 = status_with(target("Promoted", "v1", ended_at=at(1)), ADOPTED)
ON_V2 = status_with(target("Promoted", "v1", ended_at=at(1)), ADOPTED, NEVER, live=V2)


@pytest.mark.parametrize(
    ("status", "live", "never_ran", "version"),
    [
        pytest.param(ON_V1, pushed(serves=False), True, "v1", id="it was pushed and no pod of it is available yet"),
        pytest.param(ON_V1, pushed(serves=True), False, "v2", id="its first pod is available"),
        pytest.param(ON_V2, pushed(serves=False), True, "v1", id="still none"),
        pytest.param(ON_V2, pushed(serves=True), False, "v2", id="the first one, later"),
        pytest.param(status_with(None, ADOPTED, BAD, live=V2), pushed(serves=False), False, "v2", id="it ran, and all its pods are gone since"),
    ],
)  # fmt: skip
def test_what_serves(status: ReleaseStatus, live: WorkloadFacts, never_ran: bool, version: str) -> None:
    after = status_after(facts(status=status, workload=live))
    found = revisions.find(after.revisions, V2)
    assert found is not None and (found.never_ran, after.version) == (never_ran, version)


def test_a_revision_that_was_adopted_and_never_ran_is_no_target_of_a_rollback() -> None:
    never = revision(live_since=at(0), never_ran=True)
    assert revisions.rollback_target([never, BAD], V2) is None
    ran = never.model_copy(update={"never_ran": False})
    assert revisions.rollback_target([ran, BAD], V2) == (ran, False)


def test_without_any_that_ran_the_live_one_is_what_there_is() -> None:
    only = revision(live_since=at(0), never_ran=True)
    assert serving(status_with(None, only, live=V1)) == only
