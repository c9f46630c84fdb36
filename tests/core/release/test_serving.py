"""A revision of which no pod was ever available is not what serves."""

from dataclasses import replace
from datetime import datetime

import pytest

from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.core.facts import RolloutState, WorkloadFacts
from opsloop.core.release import revisions
from opsloop.core.release.serving import serving
from tests.builders.objects import V1, V2, at, workload
from tests.builders.rollouts import ADOPTED, BAD, NOW, facts, revision, status_after, status_with, target


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


def rollout(serves: bool, percent: int, progressed: float = 0) -> WorkloadFacts:
    state = RolloutState(replaced=percent == 100, percent=percent, serves=serves, progressed_at=at(progressed))
    return replace(workload("shop:v2", percent == 100), rollout=state)


EXPOSED = BAD.model_copy(update={"exposed_since": at(-20), "rolled_out_at": None})


@pytest.mark.parametrize(
    ("before", "live", "first", "full"),
    [
        pytest.param(NEVER, rollout(serves=True, percent=25), NOW, None, id="its first pod is available: the first users meet it"),
        pytest.param(EXPOSED, rollout(serves=True, percent=75), at(-20), None, id="more pods are replaced"),
        pytest.param(EXPOSED, rollout(serves=True, percent=100), at(-20), NOW, id="no pod of an older one is left: all do"),
        pytest.param(NEVER, rollout(serves=True, percent=100, progressed=-600), None, None, id="nobody looked while it was rolled out: nothing is known"),
        pytest.param(BAD, rollout(serves=True, percent=100), None, None, id="it serves since before these times were kept"),
    ],
)  # fmt: skip
def test_since_when_users_meet_it(
    before: Revision, live: WorkloadFacts, first: datetime | None, full: datetime | None
) -> None:
    after = status_after(facts(status=status_with(None, ADOPTED, before, live=V2), workload=live))
    found = revisions.find(after.revisions, V2)
    assert found is not None and (found.exposed_since, found.rolled_out_at) == (first, full)


def test_a_revision_that_was_adopted_and_never_ran_is_no_target_of_a_rollback() -> None:
    never = revision(live_since=at(0), never_ran=True)
    assert revisions.rollback_target([never, BAD], V2) is None
    ran = never.model_copy(update={"never_ran": False})
    assert revisions.rollback_target([ran, BAD], V2) == (ran, False)


def test_without_any_that_ran_the_live_one_is_what_there_is() -> None:
    only = revision(live_since=at(0), never_ran=True)
    assert serving(status_with(None, only, live=V1)) == only
