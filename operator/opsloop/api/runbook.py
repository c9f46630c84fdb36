"""Runbook: for which incidents it applies, the ordered plays, the limits on running them unattended."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from opsloop.api.meta import Condition, Duration, Label, Model, Name, ObjectMeta, Severity, StatusModel, Time
from opsloop.api.schema import map_list, rules, set_list

ESCALATE_LAST = (
    "!self.exists(s, s.type == 'escalate')"
    " || (self.exists_one(s, s.type == 'escalate') && self[size(self) - 1].type == 'escalate')",
    "steps: escalate pages a person and ends the Runbook, so it may only be the last step",
)


class Match(Model):
    """Which incidents; every given field must fit."""

    causes: list[Name] = Field(
        default_factory=list,
        max_length=16,
        description="Causes such as bad_release; empty means any.",
        json_schema_extra=set_list(),
    )
    severities: list[Severity] = Field(
        default_factory=list, max_length=4, description="Severities; empty means any.", json_schema_extra=set_list()
    )
    release_labels: dict[str, Label] = Field(
        default_factory=dict, max_length=16, description="Labels that the root Release must carry."
    )


class RunbookStep(Model):
    """One play."""

    type: Literal["rollback", "wait", "escalate"] = Field(
        description="rollback: to last-good. wait: watch only. escalate: page a person (always the end)."
    )
    timeout: Duration = Field(
        default=timedelta(minutes=5),
        description="How long the SLI may take to be back before the step counts as no help.",
    )


class Safety(Model):
    """Limits on acting unattended."""

    mode: Literal["auto", "approve", "dryRun"] = Field(
        default="auto",
        description="auto acts; approve waits for annotation opsloop.dev/approve on the Incident; dryRun only says what it would do.",
    )
    cooldown: Duration = Field(
        default=timedelta(minutes=1),
        description="Least time between two granted plays on one Release for different incidents.",
    )
    max_per_hour: int = Field(
        default=4, ge=1, le=50, description="Most granted plays in an hour, over all incidents; so many are remembered."
    )


class RunbookSpec(Model):
    """What people write."""

    match: Match = Field(default_factory=Match, description="For which incidents.")
    steps: list[RunbookStep] = Field(
        min_length=1,
        max_length=16,
        description="Plays in order; escalate is added at the end where it is missing.",
        json_schema_extra=rules(ESCALATE_LAST),
    )
    safety: Safety = Field(default_factory=Safety, description="Limits.")
    service_account_name: str = Field(
        min_length=1,
        max_length=253,
        description="Account of this namespace on whose behalf it acts: each act is checked against its RBAC.",
    )


class Grant(Model):
    """A play that was allowed (or refused) to run: the one place where limits over many incidents are counted."""

    incident: str = Field(max_length=253, description="Incident.")
    release: str = Field(default="", max_length=253, description="Release that it acts on.")
    step: int = Field(ge=0, description="Step index.")
    attempt: int = Field(ge=1, description="Attempt number.")
    granted: bool = Field(description="False: refused.")
    reason: str = Field(max_length=64, description="Named reason.")
    message: str = Field(default="", max_length=512, description="One sentence.")
    at: Time = Field(description="When.")


class RunbookStatus(StatusModel):
    """Written by the Runbook reconciler only."""

    observed_generation: int = Field(default=0, description="Generation of the spec that this status speaks of.")
    last_play: str = Field(default="", max_length=512, description="Last granted play, for reading.")
    last_play_at: Time | None = Field(default=None, description="When.")
    grants: list[Grant] = Field(default_factory=list, max_length=100, description="Recent answers, oldest first.")
    conditions: list[Condition] = Field(
        default_factory=list, max_length=8, description="Ready ...", json_schema_extra=map_list("type")
    )


class Runbook(Model):
    """A Runbook object."""

    metadata: ObjectMeta
    spec: RunbookSpec
    status: RunbookStatus = Field(default_factory=RunbookStatus)

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.metadata.namespace, self.metadata.name
