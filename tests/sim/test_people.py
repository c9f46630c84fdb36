"""People at an Incident, through the whole operator: who works on it and what they note is told once, and outlives restarts."""

from typing import Any

import pytest

from opsloop.names import postmortem_name
from opsloop.shell.ports import CONFIGMAPS, INCIDENTS
from tests.sim.shift import Shift, resolved, seconds, story
from tests.sim.shop import NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def write(shift: Shift, manager: str, **spec: Any) -> None:
    """Somebody patches the spec of the Incident."""
    incident = shift.incident()
    assert incident is not None
    stored = shift.shop.cluster.find(INCIDENTS, NS, incident.metadata.name)
    assert stored is not None
    stored["spec"] |= spec
    entry = {"manager": manager, "time": "2026-01-05T09:30:00Z", "fieldsV1": {"f:spec": {f"f:{k}": {} for k in spec}}}
    stored["metadata"]["managedFields"] = [*stored["metadata"].get("managedFields", []), entry]
    shift.shop.cluster.seed(stored)


def told(shift: Shift) -> list[tuple[str, str, str]]:
    incident = shift.incident()
    assert incident is not None
    return [(e.type, e.actor, e.message) for e in incident.status.timeline if e.type in ("Assigned", "Note")]


@story
async def test_assigned_and_noted_it_is_told_once_also_after_a_restart(shift: Shift) -> None:
    await shift.mitigate()
    write(shift, "kubectl-patch", assignee="alice")
    await seconds(shift, 3)
    note = {"text": "the cache was cold", "author": "team-search", "at": "2026-01-05T09:31:00Z"}
    write(shift, "opsloop-cli", notes=[note])
    await seconds(shift, 3)
    expected = [("Assigned", "kubectl-patch", "assigned to alice"), ("Note", "team-search", "the cache was cold")]
    assert sorted(told(shift)) == expected
    await shift.operator.stop()
    await shift.until("resolved", lambda: resolved(shift))
    await seconds(shift, 5)
    writes = len(shift.shop.cluster.written("replace_status", "incidents"))
    await seconds(shift, 10)
    assert sorted(told(shift)) == expected
    assert len(shift.shop.cluster.written("replace_status", "incidents")) == writes, "nothing more is written"
    incident = shift.incident()
    assert incident is not None
    stored = shift.shop.cluster.find(CONFIGMAPS, NS, postmortem_name(incident.metadata.name))
    assert stored is not None and "the cache was cold" in stored["data"]["postmortem.md"]
    assert "alice" not in stored["data"]["postmortem.md"]
