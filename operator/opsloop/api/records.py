"""Records of what a Release was told and did: commands, rollbacks, acts of Runbooks, promotions, the guard."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from opsloop.api.meta import Digest, Model, Name, Time

CommandName = Literal["approve", "unblock", "promote", "abort", "undo", "restart"]


class Command(Model):
    """Last annotation of its name that a person set, and the state that it was given for: it is obeyed once."""

    LONGEST: ClassVar[int] = 256

    name: CommandName = Field(description="Name of the annotation, without the prefix opsloop.dev/.")
    value: str = Field(max_length=256, description="Value of the annotation; the same value has no further power.")
    digest: str = Field(default="", max_length=64, description="Digest of the revision that it was given for.")
    weight: int = Field(
        default=0, ge=0, le=100, description="Weight of the step that an approval or a promotion was given for."
    )
    reason: str = Field(max_length=64, description="Obeyed, or the named reason for which it had no effect.")
    message: str = Field(
        default="", max_length=512, description="Answer to who gave it: what follows, or why nothing does."
    )
    at: Time = Field(description="Time at which it was read.")


class RollbackRecord(Model):
    """Rollback that the Release carried out or refused for an Incident, or that a person ordered (undo)."""

    incident: str = Field(max_length=253, description="Incident that decided the rollback; empty for a person's undo.")
    case: str = Field(
        default="",
        max_length=253,
        description="EvalCase that failed on a version after it was shipped directly, if that was why.",
    )
    attempt: int = Field(ge=1, description="Attempt number within the Incident.")
    from_digest: Digest = Field(description="Digest that was live before.")
    to_digest: Digest = Field(description="Digest that was restored.")
    state: Literal["Recorded", "Written", "Done", "Refused", "Failed"] = Field(
        description="Recorded before the Deployment is written, Written after, Done when it is rolled out; Refused before it was written, or Failed where it hangs."
    )
    reason: str = Field(default="", max_length=64, description="Named reason for a refusal or a failure.")
    message: str = Field(default="", max_length=1024, description="Explanation of a failure.")
    at: Time = Field(description="Time at which the rollback was recorded.")
    replaced: int = Field(
        default=0, ge=0, le=100, description="Share of the pods that run the restored template, in percent."
    )
    effect_at: Time | None = Field(
        default=None, description="Time from which no pod of the former template was left: the rollback is in effect."
    )
    warm: int = Field(
        default=0,
        ge=0,
        description="Number of warm pods of the restored revision that took traffic before its Deployment did.",
    )
    warm_at: Time | None = Field(default=None, description="Time at which all of these were seen in traffic.")
    done_at: Time | None = Field(
        default=None, description="Time at which the Deployment was updated and available again."
    )

    @property
    def is_active(self) -> bool:
        """True from the record until the Deployment is available again or the rollback is refused."""
        return self.state in ("Recorded", "Written")


class ActRecord(Model):
    """Act of a Runbook step, other than a rollback, that the Release carried out or refused for an Incident."""

    incident: str = Field(max_length=253, description="Incident that decided the act.")
    type: Literal["scale", "restart"] = Field(description="Type of the act.")
    attempt: int = Field(ge=1, description="Attempt number within the Incident and type.")
    state: Literal["Recorded", "Written", "Done", "Refused", "Failed"] = Field(
        description="Recorded before the Deployment is written, Written after, Done when all its pods are available; Refused before it was written, or Failed where it hangs."
    )
    reason: str = Field(default="", max_length=64, description="Named reason for a refusal or a failure.")
    message: str = Field(default="", max_length=1024, description="Explanation of a refusal or a failure.")
    from_replicas: int = Field(default=0, description="Number of pods before, for type scale.")
    to_replicas: int = Field(default=0, description="Number of pods to have, for type scale.")
    at: Time = Field(description="Time at which the act was decided; a restart stamps it on the pod template.")
    replaced: int = Field(default=0, ge=0, le=100, description="Share of the pods that are as decided, in percent.")
    effect_at: Time | None = Field(default=None, description="Time from which the act is in effect.")
    done_at: Time | None = Field(default=None, description="Time at which all pods were available.")

    @property
    def is_active(self) -> bool:
        """True from the record until the pods are there or the act is refused."""
        return self.state in ("Recorded", "Written")


class Promotion(Model):
    """Promotion of a target; input of an Incident's conditions FixShipped and LoopClosed."""

    digest: Digest = Field(description="Digest of the promoted revision.")
    version: str = Field(max_length=128, description="Version label of the promoted revision.")
    at: Time = Field(description="Time at which the Deployment was updated and available.")
    cases: list[Name] = Field(
        default_factory=list,
        max_length=200,
        description="Names of the EvalCases that ran and passed for the promotion.",
    )


class Guarding(Model):
    """What is under way on a guarded Deployment, recorded before it is unpaused."""

    rolling: str = Field(
        default="", max_length=64, description="Digest of the revision for which the Deployment is unpaused."
    )
    since: Time | None = Field(default=None, description="Time at which that was decided.")
    held: str = Field(
        default="",
        max_length=64,
        description="Digest of the template that stood on the Deployment and is written back once that is rolled out.",
    )
    answered: int = Field(
        default=0,
        ge=0,
        description="How often another template was written meanwhile, and answered by pausing the Deployment.",
    )
    answered_generation: int = Field(
        default=0, ge=0, description="Generation of the Deployment that was answered last: each write counts once."
    )
    orphaned: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list,
        max_length=32,
        description="Values of pod-template-hash whose ReplicaSets were deleted while their pods go one by one.",
    )
    resumed: int = Field(
        default=0,
        ge=0,
        description="How often somebody unpaused the Deployment at rest within an hour of the time before.",
    )
    resumed_at: Time | None = Field(default=None, description="Time at which that was seen last.")
    retry: str = Field(
        default="", max_length=128, description="Value of the annotation opsloop.dev/retry that was obeyed last."
    )
