"""EvalCase: one executable expectation of a service; a regression case names its Incident."""

from typing import Literal

from pydantic import ConfigDict, Field

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.eval_request import EvalRequest
from opsloop.api.history import MOST_CAUGHT, Caught
from opsloop.api.meta import Condition, Duration, Model, ObjectModel, ObjectName, StatusModel, Time, quantity
from opsloop.api.schema import map_list, milliseconds, rules, says

REGRESSION_HAS_ORIGIN = (
    "self.origin.kind != 'regression' || (has(self.origin.incident) && self.origin.incident != '')",
    "origin.incident must name the Incident that a regression case comes from",
)
REGRESSION_HAS_PROOF = (
    "self.origin.kind != 'regression' || has(self.proof)",
    "proof must name the bad and the good revision of a regression case, on which it fails and passes",
)
SHARE_OF_ENOUGH = (
    "self.minShare >= 1.0 || has(self.load) || (has(self.repeats) && double(self.repeats) * (1.0 - self.minShare) > 0.999999)",
    "repeats must be at least 1 / (1 - minShare), for example repeats: 10 with minShare: 0.9; with fewer not one answer may be wrong",
)
LATENCY_IS_SEEN = (
    f"!has(self.expect.maxLatency) || double({milliseconds('self.expect.maxLatency')}) <= self.request.timeoutSeconds * 1000.0",
    "expect.maxLatency must not be longer than request.timeoutSeconds, after which nobody waits any more; for example 500ms with 5",
)
LOAD_IN_BOUNDS = (
    f"{milliseconds('self.duration')} >= 1000 && {milliseconds('self.duration')} <= 60000",
    "load.duration must be between 1s and 1m, for example 30s",
)
LOAD_IS_MUST_PASS = (
    "!has(self.load) || (has(self.mustPass) && self.mustPass)",
    "load needs mustPass: true: it is sent to dark canaries alone, so there is nothing of live to compare with",
)
LOAD_SAYS_HOW_OFTEN = (
    "!has(self.load) || !has(self.repeats)",
    "repeats must not be given beside load, which says how often the request is sent",
)
LOAD_OF_ENOUGH = (
    "self.minShare >= 1.0 || !has(self.load) || self.load.requestsPerSecond"
    f" * double({milliseconds('self.load.duration')}) * (1.0 - self.minShare) > 999.999",
    "load.requestsPerSecond times load.duration must be at least 1 / (1 - minShare), for example 20 for 30s with minShare: 0.99;"
    " with fewer requests not one may fail",
)
LOAD_UNDER_WAY = (
    "!has(self.load) || self.load.requestsPerSecond * self.request.timeoutSeconds <= 200.0",
    "load.requestsPerSecond times request.timeoutSeconds must not exceed 200, the requests that may be under way at once; for"
    " example 50 with timeoutSeconds: 4",
)
OF_THE_POD = (
    "self.contains('{{pod}}')",
    'query must name the loaded pod by {{pod}}, for example container_memory_working_set_bytes{pod="{{pod}}"}',
)
OVER_THE_LOAD = (
    "self.contains('[{{window}}]')",
    "query must contain [{{window}}], so that no sample from before the load counts, for example"
    ' max(max_over_time(container_memory_working_set_bytes{pod="{{pod}}"}[{{window}}]))',
)
Quantity = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
QUANTITY = says("a quantity is a number with or without a unit, for example 200Mi or 0.5")

NO_SECRET_IN_HEADERS = (
    "self.origin.kind == 'regression' || !has(self.request.headers) || self.request.headers.all(name, !(name.lowerAscii() in"
    " ['authorization', 'proxy-authorization', 'cookie', 'x-api-key']))",
    "request.headers holds a credential, which everybody who may read EvalCases would see: put it into a Secret and name that"
    " in request.headersFrom",
)
TWO_REVISIONS = (
    "self.bad != self.good",
    "proof.bad and proof.good are the same revision; the case must fail on bad and pass on good",
)
_DIGEST = says(
    "write the digest of a revision from status.revisions of the Release, 10 to 64 of 0-9 and a-f, not its version",
    pattern=r"^[a-f0-9]{10,64}$",
)


class Origin(Model):
    """Origin of an EvalCase."""

    kind: Literal["manual", "regression"] = Field(
        default="manual", description="manual: written by a person. regression: created from an Incident."
    )
    incident: str = Field(default="", max_length=253, description="Incident that a regression case was created from.")
    ticket: str = Field(default="", max_length=128, description="Ticket whose example a regression case uses.")
    by: Literal["ticket", "evalcase", "probe", "capture", "recorded"] | None = Field(
        default=None,
        description="Way that a regression case came by. ticket: the example of a user's ticket. evalcase, probe: an"
        " EvalCase or a probe that failed on the bad revision. capture: a bad request that the service recorded. recorded:"
        " the good revision's own answer to a recorded request, where the bad one's differs; nobody has said that it is right.",
    )
    source: str = Field(
        default="",
        max_length=253,
        description="EvalCase, alert, log line or record that a regression case was made from.",
    )


class ProofPair(Model):
    """Pair of revisions that proves a regression case."""

    model_config = ConfigDict(json_schema_extra=rules(TWO_REVISIONS))

    bad: str = Field(
        max_length=64,
        description="Digest of the revision on which the case must fail.",
        json_schema_extra=_DIGEST,
    )
    good: str = Field(
        max_length=64,
        description="Digest of the revision on which the case must pass.",
        json_schema_extra=_DIGEST,
    )


class Measured(Model):
    """Number that Prometheus shows of the loaded pod, and its threshold."""

    name: ObjectName = Field(description="What it is, such as memory, for messages.")
    query: str = Field(
        min_length=1,
        max_length=2048,
        description="PromQL expression that gives one number, read from the source that spec.slo.source of the Release names."
        " {{pod}} is the name of the loaded pod, {{window}} the time since the load began.",
        json_schema_extra=rules(OF_THE_POD, OVER_THE_LOAD),
    )
    max: str = Field(
        max_length=24,
        pattern=Quantity,
        description="Largest accepted number, such as 200Mi or 0.5.",
        json_schema_extra=QUANTITY,
    )

    @property
    def most(self) -> float:
        """The largest accepted number."""
        return float(quantity(self.max))


class Load(Model):
    """Load on one pod that serves nobody: the request is sent at this rate, whether or not earlier ones were answered."""

    model_config = ConfigDict(json_schema_extra=rules(LOAD_IN_BOUNDS))

    requests_per_second: float = Field(ge=1, le=50, description="Requests that are begun each second; at most 50.")
    duration: Duration = Field(description="Time for which they are sent, from 1s to 1m.")
    measured: list[Measured] = Field(
        default_factory=list,
        max_length=5,
        description="What the loaded pod may not exceed, as Prometheus shows it, such as memory. Each needs samples from after the load;"
        " without them the check has no answer.",
        json_schema_extra=map_list("name"),
    )

    @property
    def requests(self) -> int:
        """Number of requests."""
        return max(1, round(self.requests_per_second * self.duration.total_seconds()))


class EvalCaseSpec(Model):
    """Expectation, written by people or, for a regression case, by the Incident reconciler."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            REGRESSION_HAS_ORIGIN,
            REGRESSION_HAS_PROOF,
            SHARE_OF_ENOUGH,
            LATENCY_IS_SEEN,
            NO_SECRET_IN_HEADERS,
            LOAD_IS_MUST_PASS,
            LOAD_SAYS_HOW_OFTEN,
            LOAD_OF_ENOUGH,
            LOAD_UNDER_WAY,
        )
    )

    release: ObjectName = Field(description="Release in this namespace whose pods the request is sent to.")
    request: EvalRequest = Field(description="HTTP request that is sent to a pod.")
    expect: EvalExpect = Field(description="Expected response; all given fields must match.")
    must_pass: bool = Field(
        default=False,
        description="Whether a single failure on a canary rejects its version. True for regression cases.",
    )
    repeats: int | None = Field(
        default=None,
        ge=1,
        le=200,
        description="Number of times that the request is sent for one result; spec.evals.repeats of the Release if absent.",
    )
    min_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Smallest share of right answers with which the case passes, for services whose answers vary.",
    )
    load: Load | None = Field(
        default=None,
        description="Makes the case a check of what no single request can show, such as latency under load: the request is sent at this"
        " rate to one dark canary pod before the version gets users, and minShare is the smallest accepted share of good replies."
        " Live is never loaded.",
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


class LiveResult(Model):
    """Result of the case on the live revision."""

    digest: str = Field(max_length=64, description="Digest of the live revision.")
    version: str = Field(default="", max_length=128, description="Version label of the live revision.")
    result: Literal["Passed", "Failed", "NoAnswer"] = Field(
        description="NoAnswer: too few answers to say anything; neither passed nor failed."
    )
    passed: int = Field(ge=0, description="Number of right answers.")
    answered: int = Field(ge=0, description="Number of answers.")
    asked: int = Field(ge=0, description="Number of times that the request was sent for an answer.")
    reason: str = Field(default="", max_length=64, description="Named reason for the result; see docs/reasons.md.")
    message: str = Field(default="", max_length=512, description="Counts, and the first difference or missing answer.")
    at: Time = Field(description="Time of the result.")
    tries: int = Field(default=1, description="Number of times in a row that there were too few answers.")


class FailedOn(Model):
    """Revision on which the case failed while it was live."""

    digest: str = Field(max_length=64, description="Digest of the revision.")
    version: str = Field(default="", max_length=128, description="Version label of the revision.")
    message: str = Field(default="", max_length=512, description="Counts, and the first difference.")
    at: Time = Field(description="Time of the result.")


class Steadiness(Model):
    """How alike the answers of one live revision are."""

    digest: str = Field(max_length=64, description="Digest of the live revision.")
    right: int = Field(
        default=0, ge=0, description="Number of right answers; with minShare below 1, of results that passed."
    )
    wrong: int = Field(
        default=0, ge=0, description="Number of wrong answers; with minShare below 1, of results that failed."
    )
    alike: int = Field(default=0, ge=0, description="Number of the latest ones in a row that were alike.")
    latest: Literal["", "right", "wrong"] = Field(default="", description="What those were.")
    flaky_since: Time | None = Field(
        default=None, description="Time since which the case is set aside; absent while its answers agree."
    )
    asked_at: Time | None = Field(default=None, description="Time at which the answers were last asked for.")
    counted: str = Field(default="", max_length=128, description="Run of a rollout whose answers were counted last.")


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
    live: LiveResult | None = Field(default=None, description="Result on the live revision.")
    failed_on: list[FailedOn] = Field(
        default_factory=list,
        max_length=5,
        description="Revisions on which this generation failed while they were live, the latest last; what an Incident's"
        " regression case may be made from.",
    )
    last_result: LastResult | None = Field(default=None, description="Result in the latest rollout.")
    result: str = Field(
        default="", max_length=32, description="Result in the latest rollout as a word: Passed or Failed."
    )
    steadiness: Steadiness | None = Field(
        default=None, description="How alike repeated answers of the live revision are."
    )
    steady: Literal["", "Steady", "Flaky"] = Field(
        default="", description="Flaky: set aside, its answers vary on one revision. Empty: too few answers to say."
    )
    caught: list[Caught] = Field(
        default_factory=list,
        max_length=MOST_CAUGHT,
        description="Versions that the case kept from users, oldest first; the latest twenty.",
    )
    merged_into: str = Field(
        default="", max_length=253, description="Older EvalCase of the same fault that is asked instead of this one."
    )
    same_fault_as: str = Field(
        default="",
        max_length=253,
        description="Oldest EvalCase that shows the same fault by another question; both are asked.",
    )
    incidents: list[ObjectName] = Field(
        default_factory=list,
        max_length=50,
        description="Incidents that this case stands for, where others left one of the same fault.",
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=8,
        description="Conditions of the EvalCase: Proven, PassesOnLive, Steady, Merged.",
        json_schema_extra=map_list("type"),
    )


class EvalCase(ObjectModel):
    """An EvalCase object."""

    spec: EvalCaseSpec
    status: EvalCaseStatus = Field(default_factory=EvalCaseStatus)

    @property
    def is_flaky(self) -> bool:
        """True while the case, as its spec is now, is set aside."""
        told = self.status.steadiness
        current = self.status.observed_generation == self.metadata.generation
        return current and told is not None and told.flaky_since is not None
