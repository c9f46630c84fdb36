"""Runbook: the incidents that it applies to, its ordered steps, and the limits on running them unattended."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from opsloop.api.meta import Condition, Duration, Label, Model, ObjectModel, Severity, StatusModel, Time
from opsloop.api.runbook_step import RunbookStep
from opsloop.api.schema import longer_than_zero, map_list, rules, says, set_list

ESCALATE_LAST = (
    "!self.exists(s, s.type == 'escalate')"
    " || (self.exists_one(s, s.type == 'escalate') && self[size(self) - 1].type == 'escalate')",
    "steps: escalate pages a person and ends the Runbook, so it may only be the last step",
)

SHARE = ("self >= 0.0 && self <= 1.0", "minConfidence is a share from 0 to 1, for example 0.8 for 80 %")
CAUSES = ("bad_release", "dependency", "config", "scaling", "unknown")
"""Kinds of cause that an Incident may have. The model reads others too: they match no Incident."""
CauseName = Annotated[str, Field(min_length=1, max_length=253, json_schema_extra={"enum": [*CAUSES]})]


class Match(Model):
    """Selector of incidents; all given fields must match."""

    causes: list[CauseName] = Field(
        default_factory=list,
        max_length=16,
        description=f"Kinds of cause: {', '.join(CAUSES)}; empty matches any.",
        json_schema_extra=set_list(),
    )
    severities: list[Severity] = Field(
        default_factory=list, max_length=4, description="Severities; empty matches any.", json_schema_extra=set_list()
    )
    release_labels: dict[str, Label] = Field(
        default_factory=dict, max_length=16, description="Labels that the root Release must have."
    )


class Safety(Model):
    """Limits on running steps unattended."""

    mode: Literal["auto", "approve", "dryRun"] = Field(
        default="auto",
        description="auto: run steps. approve: page a person and wait for the annotation opsloop.dev/approve on the Incident before each step. dryRun: write exactly what each step would do, and do nothing.",
    )
    min_confidence: float = Field(
        default=0.8,
        ge=0,
        le=1,
        json_schema_extra=rules(SHARE),
        description="Confidence in the cause, from 0 to 1, from which a step that rests on it runs by itself: rollback, and what changes something in a Runbook that names causes. Below it a person is paged with the ranking. Mode approve asks a person anyway.",
    )
    approve_within: Duration = Field(
        default=timedelta(minutes=30),
        description="Time for which a step waits for its approval in mode approve; after it the step is refused.",
        json_schema_extra=longer_than_zero("approveWithin"),
    )
    cooldown: Duration = Field(
        default=timedelta(minutes=1),
        description="Minimum time between granted plays on one Release for different Incidents; a play that comes sooner is delayed.",
    )
    max_per_hour: int = Field(
        default=4,
        ge=1,
        le=50,
        description="Maximum number of granted plays in one hour, over all Incidents and Runbooks of the namespace; one more is delayed. wait, and what only lowers (freeze, abortCanary), is not counted.",
    )
    max_per_hour_and_release: int = Field(
        default=3,
        ge=1,
        le=50,
        description="Maximum number of granted plays on one Release in one hour, over all Runbooks; one more is delayed. wait, freeze and abortCanary are not counted.",
    )


class RunbookSpec(Model):
    """Wanted behaviour of a Runbook, written by people."""

    match: Match = Field(
        default_factory=Match, description="Incidents that the Runbook applies to; all given fields must match."
    )
    steps: list[RunbookStep] = Field(
        min_length=1,
        max_length=16,
        description="Steps in order; if the last one is not escalate, it is added.",
        json_schema_extra=rules(ESCALATE_LAST),
    )
    safety: Safety = Field(default_factory=Safety, description="Limits on running steps unattended.")
    service_account_name: str = Field(
        min_length=1,
        max_length=253,
        json_schema_extra=says(
            "write the name of a ServiceAccount in the Runbook's namespace, for example runbook, without namespace or"
            " system:serviceaccount:",
            pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        ),
        description="ServiceAccount in this namespace on whose behalf the Runbook acts; its RBAC permissions are checked before each action.",
    )


class Grant(Model):
    """Answer of the Runbook to a requested play; limits over several Incidents are counted on these."""

    incident: str = Field(max_length=253, description="Incident that requested the play.")
    release: str = Field(default="", max_length=253, description="Release that the play acts on.")
    step: int = Field(ge=0, description="Index of the step in the Runbook.")
    type: str = Field(default="", max_length=32, description="Type of the step.")
    attempt: int = Field(ge=1, description="Attempt number of the step, from 1.")
    granted: bool = Field(description="Whether the play may run.")
    not_before: Time | None = Field(
        default=None, description="Time at which a delayed play is answered again; absent in a final answer."
    )
    reason: str = Field(max_length=64, description="Named reason for the answer.")
    message: str = Field(default="", max_length=512, description="Explanation of the answer.")
    at: Time = Field(description="Time of the answer.")


class RunbookStatus(StatusModel):
    """Answers of a Runbook to requested plays; written by the Runbook reconciler only."""

    observed_generation: int = Field(default=0, description="Generation of the spec that this status reflects.")
    last_play: str = Field(default="", max_length=512, description="Latest granted play, in words.")
    last_play_at: Time | None = Field(default=None, description="Time at which the latest play was granted.")
    grants: list[Grant] = Field(
        default_factory=list, max_length=100, description="Latest answers to requested plays, oldest first."
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=8,
        description="Conditions of the Runbook: Ready.",
        json_schema_extra=map_list("type"),
    )


class Runbook(ObjectModel):
    """A Runbook object."""

    spec: RunbookSpec
    status: RunbookStatus = Field(default_factory=RunbookStatus)
