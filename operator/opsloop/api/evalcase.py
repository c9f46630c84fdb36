"""EvalCase: one executable expectation of a service; a regression case names the Incident it came from."""

from typing import Literal

from pydantic import ConfigDict, Field

from opsloop.api.meta import Condition, Model, Name, ObjectMeta, StatusModel, Text, Time
from opsloop.api.schema import map_list, no_default, rules

SAYS_SOMETHING = (
    "has(self.status) || has(self.equals) || has(self.contains)",
    "expect must say what a right reply looks like: status, equals or contains",
)
FIELD_OF_WHAT = (
    "!has(self.field) || self.field == '' || has(self.equals) || has(self.contains)",
    "expect.field says where to look; say with equals or contains what must be there",
)
CONTAINS_SOMETHING = ("size(self) > 0", "expect.contains must not be empty: every reply contains nothing")
REGRESSION_HAS_ORIGIN = (
    "self.origin.kind != 'regression' || (has(self.origin.incident) && self.origin.incident != '')",
    "origin.incident must name the Incident that a regression case comes from",
)
REGRESSION_HAS_PROOF = (
    "self.origin.kind != 'regression' || has(self.proof)",
    "proof must name the bad and the good revision of a regression case, on which it fails and passes",
)


class EvalRequest(Model):
    """What is sent to a pod: a path and a port, never a host."""

    method: Literal["GET", "POST"] = Field(default="GET", description="HTTP method.")
    path: str = Field(min_length=1, max_length=2048, pattern=r"^/", description="Path and query.")
    port: int = Field(ge=1, le=65535, description="Container port.")
    headers: dict[str, Text] = Field(
        default_factory=dict, max_length=32, description="Extra headers; X-Opsloop-Eval is always sent."
    )
    body: str = Field(default="", max_length=16384, description="Request body.")
    timeout_seconds: float = Field(default=5.0, gt=0, le=60, description="Time-out.")


class EvalExpect(Model):
    """What a right reply looks like; every given field must hold."""

    model_config = ConfigDict(json_schema_extra=rules(SAYS_SOMETHING, FIELD_OF_WHAT))

    status: int = Field(
        default=200, ge=100, le=599, description="HTTP status; 200 where it is not given.", json_schema_extra=no_default
    )
    field: str = Field(
        default="", max_length=128, description="Field of the JSON reply to look at; empty means the whole body."
    )
    equals: str | None = Field(
        default=None, max_length=4096, description="The value, compared after trimming white space."
    )
    contains: str | None = Field(
        default=None,
        max_length=4096,
        description="Text that must be in the value.",
        json_schema_extra=rules(CONTAINS_SOMETHING),
    )


class Origin(Model):
    """Where the case came from."""

    kind: Literal["manual", "regression"] = Field(
        default="manual", description="regression: captured from an Incident."
    )
    incident: str = Field(default="", max_length=253, description="The Incident.")
    ticket: str = Field(default="", max_length=128, description="The ticket whose example it is.")


class ProofPair(Model):
    """The two revisions that prove a regression case."""

    bad: str = Field(max_length=64, description="Digest on which it must fail.")
    good: str = Field(max_length=64, description="Digest on which it must pass.")


class EvalCaseSpec(Model):
    """What people or the Incident reconciler write."""

    model_config = ConfigDict(json_schema_extra=rules(REGRESSION_HAS_ORIGIN, REGRESSION_HAS_PROOF))

    release: Name = Field(description="Release in this namespace whose pods are asked.")
    request: EvalRequest = Field(description="What is sent.")
    expect: EvalExpect = Field(description="What must come back.")
    must_pass: bool = Field(default=False, description="True: gates at zero failures. Regression cases are.")
    origin: Origin = Field(default_factory=Origin, description="Where it came from.")
    proof: ProofPair | None = Field(default=None, description="For regression cases: what proves it.")


class ProofRun(Model):
    """One revision asked in a quarantined pod."""

    digest: str = Field(max_length=64, description="Which revision.")
    passed: bool = Field(description="Did the reply fit?")
    message: str = Field(default="", max_length=512, description="What came back where it did not fit.")
    at: Time = Field(description="When.")


class LastResult(Model):
    """What the case said in the last rollout."""

    version: str = Field(max_length=128, description="Canary version.")
    passed: bool = Field(description="On the canary.")
    message: str = Field(default="", max_length=512, description="First failure.")
    at: Time = Field(description="When.")


class EvalCaseStatus(StatusModel):
    """Written by the EvalCase reconciler only."""

    observed_generation: int = Field(default=0, description="Generation of the spec that this status speaks of.")
    proven: Literal["True", "False", "Unknown", "NotNeeded"] = Field(
        default="Unknown", description="True: fails on bad and passes on good. NotNeeded: a manual case."
    )
    reason: str = Field(default="", max_length=64, description="Named reason of proven.")
    bad: ProofRun | None = Field(default=None, description="On the bad revision.")
    good: ProofRun | None = Field(default=None, description="On the good revision.")
    started_at: Time | None = Field(default=None, description="When the running proof started.")
    attempts: int = Field(default=0, description="Proofs tried for this generation.")
    last_result: LastResult | None = Field(default=None, description="In the last rollout.")
    result: str = Field(default="", max_length=32, description="Passed or Failed, for the printer column.")
    conditions: list[Condition] = Field(
        default_factory=list, max_length=8, description="Proven ...", json_schema_extra=map_list("type")
    )


class EvalCase(Model):
    """An EvalCase object."""

    metadata: ObjectMeta
    spec: EvalCaseSpec
    status: EvalCaseStatus = Field(default_factory=EvalCaseStatus)

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.metadata.namespace, self.metadata.name
