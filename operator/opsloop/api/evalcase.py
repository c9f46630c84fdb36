"""EvalCase: one executable expectation of a service; a regression case names its Incident."""

from typing import Literal

from pydantic import ConfigDict, Field

from opsloop.api.meta import Condition, Model, Name, ObjectModel, StatusModel, Text, Time
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
    """HTTP request to a pod; the host cannot be chosen."""

    method: Literal["GET", "POST"] = Field(default="GET", description="HTTP method.")
    path: str = Field(min_length=1, max_length=2048, pattern=r"^/", description="Path and query of the request.")
    port: int = Field(ge=1, le=65535, description="Container port of the request.")
    headers: dict[str, Text] = Field(
        default_factory=dict, max_length=32, description="Additional headers; X-Opsloop-Eval is always sent."
    )
    body: str = Field(default="", max_length=16384, description="Body of the request.")
    timeout_seconds: float = Field(default=5.0, gt=0, le=60, description="Timeout of the request, in seconds.")


class EvalExpect(Model):
    """Expected response; all given fields must match."""

    model_config = ConfigDict(json_schema_extra=rules(SAYS_SOMETHING, FIELD_OF_WHAT))

    status: int = Field(
        default=200, ge=100, le=599, description="HTTP status; defaults to 200.", json_schema_extra=no_default
    )
    field: str = Field(
        default="",
        max_length=128,
        description="Field of the JSON response that equals or contains looks at; empty means the whole body.",
    )
    equals: str | None = Field(
        default=None, max_length=4096, description="Expected value; leading and trailing white space is ignored."
    )
    contains: str | None = Field(
        default=None,
        max_length=4096,
        description="Text that the value must contain.",
        json_schema_extra=rules(CONTAINS_SOMETHING),
    )


class Origin(Model):
    """Origin of an EvalCase."""

    kind: Literal["manual", "regression"] = Field(
        default="manual", description="manual: written by a person. regression: created from an Incident."
    )
    incident: str = Field(default="", max_length=253, description="Incident that a regression case was created from.")
    ticket: str = Field(default="", max_length=128, description="Ticket whose example a regression case uses.")


class ProofPair(Model):
    """Pair of revisions that proves a regression case."""

    bad: str = Field(max_length=64, description="Digest of the revision on which the case must fail.")
    good: str = Field(max_length=64, description="Digest of the revision on which the case must pass.")


class EvalCaseSpec(Model):
    """Expectation, written by people or, for a regression case, by the Incident reconciler."""

    model_config = ConfigDict(json_schema_extra=rules(REGRESSION_HAS_ORIGIN, REGRESSION_HAS_PROOF))

    release: Name = Field(description="Release in this namespace whose pods the request is sent to.")
    request: EvalRequest = Field(description="HTTP request that is sent to a pod.")
    expect: EvalExpect = Field(description="Expected response; all given fields must match.")
    must_pass: bool = Field(
        default=False,
        description="Whether a single failure on a canary rejects its version. True for regression cases.",
    )
    origin: Origin = Field(default_factory=Origin, description="Origin of the case; a manual one if absent.")
    proof: ProofPair | None = Field(
        default=None, description="Revisions that prove a regression case; required for one."
    )


class ProofRun(Model):
    """Run of the case against one revision, in a quarantined pod."""

    digest: str = Field(max_length=64, description="Digest of the revision.")
    passed: bool = Field(description="Whether the response was as expected.")
    message: str = Field(default="", max_length=512, description="Difference from the expected response, if any.")
    at: Time = Field(description="Time of the run.")


class LastResult(Model):
    """Result of the case in a rollout."""

    version: str = Field(max_length=128, description="Version label of the canary.")
    passed: bool = Field(description="Whether the case passed on the canary.")
    message: str = Field(default="", max_length=512, description="Message of the first failure, if any.")
    at: Time = Field(description="Time of the result.")


class EvalCaseStatus(StatusModel):
    """Proof and latest result of an EvalCase; written by the EvalCase reconciler only."""

    observed_generation: int = Field(default=0, description="Generation of the spec that this status reflects.")
    proven: Literal["True", "False", "Unknown", "NotNeeded"] = Field(
        default="Unknown",
        description="True: the case fails on the bad revision and passes on the good one. NotNeeded: a manual case needs no proof.",
    )
    reason: str = Field(default="", max_length=64, description="Named reason for proven.")
    bad: ProofRun | None = Field(default=None, description="Run against the bad revision.")
    good: ProofRun | None = Field(default=None, description="Run against the good revision.")
    started_at: Time | None = Field(default=None, description="Start of the current proof; absent while none runs.")
    attempts: int = Field(default=0, description="Number of proofs attempted for this generation.")
    last_result: LastResult | None = Field(default=None, description="Result in the latest rollout.")
    result: str = Field(
        default="", max_length=32, description="Result in the latest rollout as a word: Passed or Failed."
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=8,
        description="Conditions of the EvalCase: Proven.",
        json_schema_extra=map_list("type"),
    )


class EvalCase(ObjectModel):
    """An EvalCase object."""

    spec: EvalCaseSpec
    status: EvalCaseStatus = Field(default_factory=EvalCaseStatus)
