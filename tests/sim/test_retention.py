"""Retention through the whole operator: the Incident goes, what was learnt of it stays, and its number is not used again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from opsloop.names import KEEP
from opsloop.shell.ports import EVALCASES, INCIDENTS
from tests.sim.operator import SETTINGS
from tests.sim.shift import CASE, Shift, resolved, seconds
from tests.sim.shop import NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SHORT = replace(SETTINGS, reopen_grace=timedelta(seconds=5), incident_retention=timedelta(minutes=2))


def names(shift: Shift) -> list[str]:
    return sorted(name for (plural, _, name) in shift.shop.cluster._objects if plural == "incidents")


async def test_a_resolved_incident_is_deleted_and_its_lessons_stay() -> None:
    shift = Shift(settings=SHORT)
    try:
        await shift.adopt()
        await shift.mitigate()
        await shift.learn()
        assert resolved(shift) and names(shift) == ["answers-1"]
        blocked = [r.digest for r in shift.release().status.revisions if r.blocked]
        await shift.until("it is deleted", lambda: names(shift) == [], most=150)
        await seconds(shift, 30)
        fakes = shift.operator.fakes
        assert ("answers-1", "RetentionOver") in fakes.events.posted and fakes.instruments.incidents_deleted == 1
        assert [r.digest for r in shift.release().status.revisions if r.blocked] == blocked != []
        assert shift.shop.cluster.find(EVALCASES, NS, CASE) is not None
        shift.shop.ship("v2")  # blocked, still
        await seconds(shift, 20)
        assert shift.live == "v1" and "v2" not in [r.version for r in shift.release().status.revisions if not r.blocked]
        shift.shop.set_image("v3")
        await shift.until("a new Incident with a new number", lambda: names(shift) == ["answers-2"])
    finally:
        await shift.operator.stop()


async def test_kept_by_a_person_it_stays_also_after_a_restart_until_it_is_not_kept_any_more() -> None:
    shift = Shift(settings=SHORT)
    try:
        await shift.adopt()
        await shift.mitigate()
        shift.shop.annotate(INCIDENTS, "answers-1", keep="true")
        await seconds(shift, 130)
        await shift.operator.stop()
        await seconds(shift, 10)
        assert names(shift) == ["answers-1"]
        stored = shift.shop.cluster.find(INCIDENTS, NS, "answers-1")
        assert stored is not None
        stored["metadata"]["annotations"].pop(KEEP)
        shift.shop.cluster.seed(stored)
        await shift.until("it is deleted", lambda: names(shift) == [], most=10)
    finally:
        await shift.operator.stop()
