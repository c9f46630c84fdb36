"""Stories of plays with opsloop's own wiring in fake time: limits that delay, and what is said of the outcome."""

import pytest

from opsloop.core import conditions
from opsloop.shell.ports import RUNBOOKS
from tests.sim.shift import Shift, resolved, seconds, story
from tests.sim.shop import NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def limit(shift: Shift, **safety: object) -> None:
    """Edits the Runbook's safety."""
    book = shift.shop.cluster.find(RUNBOOKS, NS, "bad-release")
    assert book is not None
    shift.shop.cluster.seed({**book, "spec": {**book["spec"], "safety": {"mode": "auto", **safety}}})


@story
async def test_the_hour_s_plays_are_used_up_so_the_next_bad_version_waits_for_its_turn_and_is_rolled_back(
    shift: Shift,
) -> None:
    limit(shift, maxPerHour=1)
    await shift.mitigate()
    shift.shop.set_image("v3")
    await seconds(shift, 20)
    incident, book = shift.incident(), shift.shop.cluster.find(RUNBOOKS, NS, "bad-release")
    assert incident is not None and book is not None and shift.wrote() == ["v1"]
    assert incident.status.plays[-1].state == "Requested"
    acting = conditions.get(incident.status.conditions, "Acting")
    assert acting is not None and acting.reason == "TooManyThisHour"
    until = book["status"]["grants"][-1]["notBefore"]
    assert until[11:19] in acting.message  # the time of day
    shift.shop.pass_quietly(3600)
    await shift.operator.stop()  # the clock jumped: a new process looks at everything, as after an hour of timers
    await shift.until("v1 is written back once more", lambda: shift.wrote() == ["v1", "v1"])
    await shift.until("resolved", lambda: resolved(shift))
