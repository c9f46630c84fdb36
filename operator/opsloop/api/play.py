"""Plays of an Incident: steps of its Runbook that were asked for and decided, and what they do."""

from typing import Literal

from pydantic import Field

from opsloop.api.meta import Model, Name, Time
from opsloop.api.schema import map_list


class RollbackDecision(Model):
    """Decision to roll a Release back; valid only while `from_digest` is live and the Incident is not Resolved."""

    release: Name = Field(description="Release that carries the rollback out.")
    from_digest: str = Field(max_length=64, description="Digest that must be live for the decision to hold.")
    to_digest: str = Field(max_length=64, description="Digest to restore.")
    attempt: int = Field(ge=1, description="Attempt number within the Incident, from 1.")
    at: Time = Field(description="Time of the decision.")


class ActDecision(Model):
    """Decision on another act on the root's Deployment or canary; valid only while the Incident is not Resolved."""

    type: Literal["scale", "restart", "abortCanary"] = Field(description="Type of the step that it is decided for.")
    release: Name = Field(description="Release that carries the act out.")
    attempt: int = Field(ge=1, description="Attempt number within the Incident and type, from 1.")
    digest: str = Field(
        max_length=64, description="Digest that must be live for the act to hold; of abortCanary that of the canary."
    )
    from_replicas: int = Field(default=0, description="Number of pods before, for type scale.")
    to_replicas: int = Field(default=0, description="Number of pods to have, for type scale.")
    at: Time = Field(description="Time of the decision.")


class FreezeDecision(Model):
    """Freeze in which no new canary starts; valid until its end and only while the Incident is not Resolved."""

    release: str = Field(
        default="", max_length=253, description="Release whose canaries wait; empty: all of the namespace."
    )
    reason: str = Field(max_length=512, description="Reason, from the Runbook.")
    at: Time = Field(description="Start of the freeze.")
    until: Time = Field(description="Time at which the freeze ends by itself.")


class Counts(Model):
    """Counts of events."""

    bad: float = Field(ge=0, description="Number of bad events.")
    total: float = Field(ge=0, description="Number of all events.")


class HarmedObjective(Counts):
    """Counts of one objective."""

    slo: str = Field(max_length=32, description="Name of the objective.")


class Play(Model):
    """Execution of one Runbook step for an Incident."""

    runbook: str = Field(max_length=253, description="Name of the Runbook.")
    step: int = Field(ge=0, description="Index of the step in the Runbook.")
    type: str = Field(max_length=32, description="Type of the step.")
    attempt: int = Field(default=1, ge=1, description="Attempt number of this step, from 1.")
    state: Literal["Requested", "Running", "Helped", "DidNotHelp", "NotProven", "Refused", "Done"] = Field(
        description="State of the play. NotProven: the SLI showed neither that it helped nor that it did not."
    )
    reason: str = Field(default="", max_length=64, description="Named reason for the state.")
    message: str = Field(default="", max_length=512, description="Explanation of the state.")
    requested_at: Time = Field(description="Time at which the play was requested from the Runbook.")
    started_at: Time | None = Field(default=None, description="Time at which the Runbook granted the play.")
    effect_at: Time | None = Field(
        default=None, description="Time from which the play was in effect; its timeout counts from then."
    )
    called_at: Time | None = Field(
        default=None, description="Time at which a webhook was about to be called, or a Job to be created."
    )
    seen_at: Time | None = Field(default=None, description="Time at which the Job was seen to exist.")
    before: Counts | None = Field(default=None, description="Events just before the play started, to compare with.")
    harmed: list[HarmedObjective] = Field(
        default_factory=list,
        max_length=8,
        description="The same for each objective that was harmed when the play started, where the Release has several:"
        " these decide whether it helped.",
        json_schema_extra=map_list("slo"),
    )
    ended_at: Time | None = Field(default=None, description="Time at which the outcome was known.")
