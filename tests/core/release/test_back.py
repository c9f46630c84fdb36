"""The spec goes back to a version: without steps where it was proven live not long ago."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.revision import Revision
from opsloop.core.actions import EnsureCanary, EnsureRevision, SetTemplate
from opsloop.core.release import back
from tests.builders.objects import V1, at, digest, release, workload
from tests.builders.rollouts import (
    ADOPTED,
    BLOCK,
    actions_of,
    end_of,
    facts,
    revision,
    status_after,
    status_with,
    target,
)

V4 = digest("shop:v4")
LIVE = revision("v4", "Canaried", live_since=at(60))


def going_back(
    state: Any = None, known: tuple[Revision, ...] = (ADOPTED, LIVE), within: str = "1h", **more: Any
) -> Any:
    """v4 is live, and the spec asks for v1 again."""
    strategy = {"backWithin": within} if within else {}
    item = release(version="v1", dependsOn=[], strategy=strategy, **more.pop("spec", {}))
    status = status_with(state or target("Promoted", ended_at=at(65)), *known, live=V4)
    return facts(item, status, workload=workload("shop:v4"), **more)


UNSAFE = LIVE.model_copy(update={"rollback_unsafe": True})


@pytest.mark.parametrize(
    ("known", "within", "taken"),
    [
        pytest.param((ADOPTED, LIVE), "1h", True, id="it was proven, and left 40 s ago"),
        pytest.param((ADOPTED, LIVE), "30s", False, id="it was left longer ago than that"),
        pytest.param((ADOPTED, LIVE), "", False, id="nobody asks for it"),
        pytest.param((ADOPTED.model_copy(update={"proven_at": None}), LIVE), "1h", False, id="it was never proven"),
        pytest.param((ADOPTED.model_copy(update={"blocked": BLOCK}), LIVE), "1h", False, id="it is blocked"),
        pytest.param((ADOPTED, UNSAFE), "1h", False, id="nothing is rolled back across live"),
        pytest.param((ADOPTED.model_copy(update={"live_since": None}), LIVE), "1h", False, id="it never was live"),
    ],
)
def test_a_revision_goes_back_without_steps(known: tuple[Revision, ...], within: str, taken: bool) -> None:
    situation = going_back(known=known, within=within)
    assert back.takes_no_steps(situation, situation.release.status, V1, at(100)) == taken


def test_it_was_left_when_the_next_one_became_live_the_last_time() -> None:
    again = LIVE.model_copy(update={"live_since": at(40)})
    third = revision("v5", "Canaried", live_since=at(60))
    assert back.left_at([ADOPTED, again, third], ADOPTED) == at(40)
    assert back.left_at([ADOPTED, again, third], third) is None


def test_the_record_says_so_and_the_next_look_promotes_without_a_canary() -> None:
    recorded = status_after(going_back()).target
    assert recorded is not None and (recorded.back, recorded.state, recorded.version) == (True, "Dark", "v1")
    going = going_back(recorded.model_copy(update={"started_at": at(99)}))
    assert end_of(going) == ("Promoting", "") and not actions_of(going, EnsureCanary, EnsureRevision)
    promoting = going_back(status_after(going).target)
    (write,) = actions_of(promoting, SetTemplate)
    assert write.digest == V1


def test_a_paused_spec_holds_it() -> None:
    recorded = target("Dark", "v1", back=True, started_at=at(99))
    assert end_of(going_back(recorded, spec={"paused": True})) == ("Dark", "")


def test_without_the_field_the_same_version_starts_dark() -> None:
    recorded = status_after(going_back(within="")).target
    assert recorded is not None and not recorded.back and timedelta(0) <= at(100) - recorded.started_at
