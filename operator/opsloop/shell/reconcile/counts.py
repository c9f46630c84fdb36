"""Counts what a stored status says anew: of a Release a rollout, a rollback or a hold that ended and a command that was answered, of
an Incident that it is open, mitigated or over."""

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.api.release import ReleaseStatus
from opsloop.core.incident.counted import reached
from opsloop.core.release import counted
from opsloop.shell.ports import Object
from opsloop.shell.runtime import Runtime


def count(runtime: Runtime, before: Object, after: ReleaseStatus) -> None:
    """Once for each write, which nobody else made: it was stored under the version of `before`, the observed Release."""
    meta, instruments = before["metadata"], runtime.instruments
    observed = ReleaseStatus.model_validate({"conditions": [], **(before.get("status") or {})})
    if end := counted.ended(observed, after):
        took = end.took.total_seconds() if end.took is not None else None
        instruments.rollout_ended(meta["namespace"], meta["name"], end.result, took)
    if back := counted.rolled_back(observed, after):
        took = back.took.total_seconds() if back.took is not None else None
        instruments.rollback_ended(meta["namespace"], meta["name"], back.result, took)
    for check, result in counted.checked(observed, after):
        instruments.check_ended(meta["namespace"], check, result)
    if hold := counted.let_go(observed, after):
        instruments.hold_ended(meta["namespace"], hold[0], hold[1].total_seconds())
    for command, reason in counted.answered(observed, after):
        instruments.command_answered(command, reason)


def count_incident(runtime: Runtime, before: Object, after: IncidentStatus) -> None:
    """Once for each write, as `count`."""
    incident, instruments = Incident.model_validate(before), runtime.instruments
    namespace = incident.metadata.namespace
    if not before.get("status"):
        instruments.incident_opened(namespace, incident.spec.signal.kind, incident.spec.signal.severity)
    for until, took in reached(incident, after):
        instruments.incident_reached(namespace, until, took.total_seconds())
