"""What became of a Release's versions, and which of them an EvalCase kept from users: the record that reports count from."""

from typing import Literal

from pydantic import Field

from opsloop.api.meta import Digest, Model, Name, ObjectName, Time

MOST_HISTORY = 200
MOST_FAILED_CASES = 5
MOST_CAUGHT = 20


class HistoryEntry(Model):
    """End of a rollout, or a change of what is live. A version that was left (RolledBack, Undone, Reverted) is named itself."""

    what: Literal["Promoted", "Pushed", "Rejected", "Cancelled", "RolledBack", "Undone", "Reverted"] = Field(
        description="Promoted: live by its canary (or by strategy direct). Pushed: live by a change of the Deployment, without a"
        " canary. Rejected, Cancelled: its canary ended. It was live and was left, RolledBack: for an Incident, Undone: by"
        " opsloop undo, Reverted: because somebody put an earlier revision on the Deployment."
    )
    at: Time = Field(description="Time of the end or of the change.")
    version: str = Field(max_length=128, description="Version label.")
    digest: Digest = Field(description="Digest of the revision.")
    began_at: Time | None = Field(default=None, description="Time at which its rollout was recorded.")
    served_since: Time | None = Field(
        default=None, description="Time from which its canary took traffic; absent where it served nobody."
    )
    committed_at: Time | None = Field(
        default=None,
        description="Time of the commit, from the annotation opsloop.dev/committed-at of its pod template or of the Release.",
    )
    reason: str = Field(default="", max_length=64, description="Named reason for a rejection or a cancellation.")
    incident: str = Field(default="", max_length=253, description="Incident for which it was rolled back.")
    cases: list[Name] = Field(
        default_factory=list,
        max_length=MOST_FAILED_CASES,
        description="Names of EvalCases that it was rejected for, at most five.",
    )


class Caught(Model):
    """Version that was rejected because the case failed on its canary."""

    release: ObjectName = Field(description="Release of the version.")
    version: str = Field(max_length=128, description="Version label.")
    digest: str = Field(max_length=64, description="Digest of the revision.")
    at: Time = Field(description="Time of the rejection.")
    dark: bool = Field(description="Whether the canary took no traffic before, so that the version served nobody.")
    message: str = Field(default="", max_length=512, description="Difference from the expected response.")
