"""A revision that is known to be bad runs again, to prove a case, only where a person said so."""

import pytest

from opsloop.core import conditions
from opsloop.shell.ports import EVALCASES
from tests.builders.objects import V2
from tests.sim.shift import CASE, Shift, seconds, story
from tests.sim.shop import NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def ask_before_quarantine(shift: Shift) -> None:
    """The Release says nothing about quarantine, as most do."""
    release = shift.release_object()
    evals = {key: value for key, value in release["spec"]["evals"].items() if key != "quarantine"}
    shift.shop.cluster.seed({**release, "spec": {**release["spec"], "evals": evals}})


def captured(shift: Shift) -> tuple[str, str, str]:
    incident = shift.incident()
    assert incident is not None
    found = conditions.get(incident.status.conditions, "RegressionCaptured")
    assert found is not None
    return found.status, found.reason, found.message


@story
async def test_by_default_a_person_is_asked_before_a_bad_revision_runs_again(shift: Shift) -> None:
    ask_before_quarantine(shift)
    await shift.mitigate()
    await shift.until("a case is captured", lambda: shift.shop.cluster.find(EVALCASES, NS, CASE) is not None)
    await seconds(shift, 30)
    assert not shift.shop.cluster.written("create", "pods"), "no pod of the bad revision was started"
    status, reason, message = captured(shift)
    assert (status, reason) == ("Unknown", "AwaitsQuarantine")
    assert f"opsloop.dev/approve={V2}" in message
    shift.shop.annotate(EVALCASES, CASE, approve=V2)
    await shift.until("the case is proven", lambda: captured(shift)[0] == "True", most=30)
    assert shift.shop.cluster.written("create", "pods")


@story
async def test_an_approval_of_another_revision_starts_nothing(shift: Shift) -> None:
    ask_before_quarantine(shift)
    await shift.mitigate()
    await shift.until("a case is captured", lambda: shift.shop.cluster.find(EVALCASES, NS, CASE) is not None)
    shift.shop.annotate(EVALCASES, CASE, approve="true")
    await seconds(shift, 70)
    assert captured(shift)[1] == "AwaitsQuarantine"
    assert not shift.shop.cluster.written("create", "pods")
