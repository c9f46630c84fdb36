"""Release: which version of one Deployment should be live, how it gets there, what healthy means for it."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from opsloop.api.meta import (
    Condition,
    Digest,
    Duration,
    Label,
    Model,
    Name,
    ObjectMeta,
    Severity,
    StatusModel,
    Text,
    Time,
)
from opsloop.api.schema import contains_window, longer_than_zero, map_list, milliseconds, rules, set_list

Query = Annotated[str, Field(min_length=1, max_length=2048)]

ONE_OF_GOOD_AND_BAD = (
    "has(self.good) != has(self.bad)",
    "slo.sli: give exactly one of good and bad; the other follows from total",
)
SHORT_BEFORE_LONG = (
    f"{milliseconds('self.short')} > 0 && {milliseconds('self.short')} < {milliseconds('self.long')}",
    "slo.tiers: short must be longer than 0s and shorter than long, for example long 1h and short 5m",
)
RISING = (
    "self.map(s, s.weight).isSorted() && self.all(s, self.exists_one(t, t.weight == s.weight))",
    "strategy.canary.steps: weights must rise from step to step, for example 20, 50, 100",
)
LAST_IS_100 = (
    "self[size(self) - 1].weight == 100",
    "strategy.canary.steps: the last weight must be 100, which is the promotion",
)
REACHABLE = (
    "!has(self.tiers) || self.tiers.all(t, t.factor * (1.0 - self.objective) < 1.0)",
    "slo.tiers: the objective cannot reach this factor: even if every event is bad, the burn rate is 1/(1 - objective);"
    " lower the factor or raise the objective",
)
SAME_WORKLOAD = ("self == oldSelf", "workloadRef.name cannot be changed; make another Release for another Deployment")


class WorkloadRef(Model):
    """The Deployment that a Release looks after, in the Release's own namespace."""

    kind: Literal["Deployment"] = Field(default="Deployment", description="Only Deployment.")
    name: Name = Field(description="Name of the Deployment in this namespace.", json_schema_extra=rules(SAME_WORKLOAD))


class Sli(Model):
    """A service level indicator as two PromQL expressions of event counts over `{{window}}`.

    Exactly one of `good` and `bad` is given. `{{version}}` in a query stands for a regular expression over version
    labels (`.*` for all), so that canary and live can be told apart.
    """

    model_config = ConfigDict(json_schema_extra=rules(ONE_OF_GOOD_AND_BAD))

    good: Query | None = Field(
        default=None,
        description="PromQL: number of good events over {{window}}.",
        json_schema_extra=contains_window("slo.sli.good"),
    )
    bad: Query | None = Field(
        default=None,
        description="PromQL: number of bad events over {{window}}.",
        json_schema_extra=contains_window("slo.sli.bad"),
    )
    total: Query = Field(
        description="PromQL: number of all events over {{window}}.", json_schema_extra=contains_window("slo.sli.total")
    )


class Tier(Model):
    """One multi-window burn-rate rule: it fires while both windows burn faster than `factor`."""

    model_config = ConfigDict(json_schema_extra=rules(SHORT_BEFORE_LONG))

    long: Duration = Field(description="The long window, for example 1h.")
    short: Duration = Field(description="The short window, for example 5m: makes the tier let go soon after.")
    factor: float = Field(
        gt=0, le=10_000, description="Burn rate above which both windows must be; 1 spends the budget in one period."
    )
    severity: Severity = Field(description="Severity of the Incident that it opens; sev1 and sev2 page.")


class Slo(Model):
    """Objective, indicator and burn-rate tiers."""

    model_config = ConfigDict(json_schema_extra=rules(REACHABLE))

    objective: float = Field(gt=0, lt=1, description="Share of events that must be good, as a fraction such as 0.99.")
    period: Duration = Field(
        default=timedelta(days=30),
        description="Period of the error budget.",
        json_schema_extra=longer_than_zero("slo.period"),
    )
    sli: Sli = Field(description="What is counted.")
    tiers: list[Tier] = Field(
        default_factory=list, max_length=8, description="Burn-rate tiers; empty means the default four for the period."
    )
    min_bad_events: int = Field(
        default=5, ge=1, le=100_000, description="Bad events in the long window before a tier may fire."
    )
    resolve_after: Duration = Field(
        default=timedelta(minutes=5), description="How long the SLI must be back before an Incident resolves."
    )
    bake_time: Duration = Field(
        default=timedelta(minutes=10), description="How long a live revision must meet the SLO to count as last-good."
    )


class Step(Model):
    """One step of a canary."""

    weight: int = Field(
        ge=1, le=100, description="Wanted share of traffic in percent; 100 is the promotion and comes last."
    )
    hold: Duration = Field(default=timedelta(0), description="How long to stay at least, after the weight is reached.")
    approve: bool = Field(
        default=False, description="Wait for annotation opsloop.dev/approve=VERSION before this step."
    )


class Analysis(Model):
    """How canary and live are compared while stepping."""

    window: Duration = Field(
        default=timedelta(minutes=1),
        description="Window of the readings by version.",
        json_schema_extra=longer_than_zero("strategy.canary.analysis.window"),
    )
    min_events: int = Field(
        default=20, ge=1, le=1_000_000, description="Events of the canary in the window before it is judged."
    )
    abort_below: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of good canary events below which one reading aborts; default the objective.",
    )
    margin: float = Field(
        default=0.02, ge=0, le=1, description="How much larger the canary's error ratio may be than live's."
    )


class Canary(Model):
    """Weighted rollout behind a dark first phase."""

    steps: list[Step] = Field(
        default_factory=lambda: [Step(weight=20), Step(weight=50), Step(weight=100)],
        min_length=1,
        max_length=20,
        description="Rising weights; the last is 100.",
        json_schema_extra=rules(RISING, LAST_IS_100),
    )
    max_canary_replicas: int | None = Field(
        default=None, ge=1, le=1000, description="Most canary pods; default as many as live has."
    )
    analysis: Analysis = Field(default_factory=Analysis, description="How canary and live are compared.")


class Strategy(Model):
    """How a new version gets live."""

    canary: Canary = Field(
        default_factory=Canary, description="A weighted rollout by canary pods beside the live ones."
    )


class EvalAsk(Model):
    """How a question in a user's ticket becomes a request to a pod (`{{asked}}` is replaced, URL-escaped)."""

    path: str = Field(
        min_length=1, max_length=1024, pattern=r"^/", description="Path and query, for example /ask?q={{asked}}."
    )
    answer_field: str = Field(
        default="answer", max_length=128, description="Field of the JSON reply that holds the answer."
    )


class Evals(Model):
    """Which EvalCases gate a promotion and how they reach pods."""

    port: int = Field(ge=1, le=65535, description="Container port that eval requests go to.")
    match_labels: dict[str, Label] = Field(
        default_factory=dict, max_length=16, description="Labels an EvalCase must carry besides naming this Release."
    )
    repeats: int = Field(default=1, ge=1, le=20, description="How often each case is asked of canary and of live.")
    margin: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="How much lower the canary's pass rate of not must-pass cases may be than live's.",
    )
    ask: EvalAsk | None = Field(default=None, description="How to turn a ticket's example into an EvalCase.")
    quarantine: Literal["auto", "never"] = Field(
        default="auto", description="never: do not start pods of old revisions to prove a case."
    )


class ReleaseSpec(Model):
    """What people write."""

    workload_ref: WorkloadRef = Field(description="The Deployment.")
    version: str = Field(
        min_length=1, max_length=63, description="Label of the wanted version, as people and metrics call it."
    )
    images: dict[str, Text] = Field(
        min_length=1, max_length=32, description="Container name to image of the wanted version."
    )
    strategy: Strategy = Field(default_factory=Strategy, description="How a new version gets live.")
    slo: Slo | None = Field(
        default=None,
        description="What healthy means. Without it nothing is judged and every step waits for its hold only.",
    )
    evals: Evals | None = Field(default=None, description="Eval cases that gate a promotion.")
    depends_on: list[Name] = Field(
        default_factory=list,
        max_length=64,
        description="Releases in this namespace that this one calls.",
        json_schema_extra=set_list(),
    )
    paused: bool = Field(default=False, description="True: advance nothing. Safety (weight 0, rollback) still acts.")
    unknown_telemetry: Literal["hold", "abort", "continue"] = Field(
        default="hold", description="What an unknown reading does to a canary."
    )


class Blocked(Model):
    """Why a revision is refused as a target."""

    reason: str = Field(max_length=64, description="RolledBack, EvalFailed, AnalysisFailed ...")
    message: str = Field(default="", max_length=1024, description="One sentence with the evidence.")
    incident: str = Field(default="", max_length=253, description="The Incident that it belongs to, if any.")
    at: Time = Field(description="When.")


class Revision(Model):
    """One pod template that is or was live, or was tried."""

    digest: Digest = Field(description="Digest of the pod template.")
    number: int = Field(ge=1, description="Counts up from 1 in this Release.")
    version: str = Field(
        max_length=128, description="Version label: of the spec, or the image's tag where a hand pushed it."
    )
    images: dict[str, Text] = Field(default_factory=dict, max_length=32, description="Container to image.")
    reason: str = Field(max_length=32, description="Adopted, Canaried or Drifted.")
    manager: str = Field(
        default="", max_length=128, description="Field manager that wrote it, where it was not opsloop."
    )
    shipped_without_canary: bool = Field(default=False, description="True: got live by a change by hand.")
    live_since: Time | None = Field(default=None, description="When it last became live.")
    first_seen: Time = Field(description="When opsloop first saw it.")
    proven_at: Time | None = Field(
        default=None, description="When it had met the SLO for the bake time while live (last-good)."
    )
    blocked: Blocked | None = Field(default=None, description="Set: refused as a target.")


class CaseResult(Model):
    """What one eval case said of canary and live."""

    case: str = Field(max_length=253, description="Name of the EvalCase.")
    must_pass: bool = Field(default=False, description="Gates at zero failures.")
    canary_passed: int = Field(ge=0, description="Passes on the canary.")
    canary_runs: int = Field(ge=0, description="Runs on the canary.")
    live_passed: int = Field(ge=0, description="Passes on live.")
    live_runs: int = Field(ge=0, description="Runs on live.")
    message: str = Field(default="", max_length=512, description="First failure, if any.")


class Target(Model):
    """The revision that the spec asks for and how far it got."""

    digest: Digest = Field(description="Digest of the wanted pod template.")
    version: str = Field(max_length=128, description="Its version label.")
    images: dict[str, Text] = Field(
        default_factory=dict,
        max_length=32,
        description="Images that the spec asked for: the same images are acted on once.",
    )
    retry: str = Field(
        default="", max_length=128, description="Value of annotation opsloop.dev/retry that this try answers."
    )
    state: Literal["Dark", "Stepping", "Promoting", "Promoted", "Rejected", "Cancelled", "Refused"] = Field(
        description="Where the canary is."
    )
    step: int = Field(default=0, ge=0, description="Index of the decided step; counts from 0.")
    weight: int = Field(default=0, ge=0, le=100, description="The decided weight in percent.")
    pods: int = Field(default=0, ge=0, description="Canary pods that the decided step has in traffic.")
    reached_at: Time | None = Field(default=None, description="When the decided weight was reached by the pods.")
    started_at: Time = Field(description="When this target was recorded.")
    ended_at: Time | None = Field(default=None, description="When it was promoted, rejected or cancelled.")
    reason: str = Field(default="", max_length=64, description="Named reason of the state.")
    message: str = Field(default="", max_length=1024, description="One sentence with the evidence.")
    evals: list[CaseResult] = Field(
        default_factory=list,
        max_length=200,
        description="Last results of the eval cases.",
        json_schema_extra=map_list("case"),
    )
    evals_step: int | None = Field(default=None, description="Step index for which evals passed; -1 is the dark phase.")


class RollbackRecord(Model):
    """A rollback that this Release carried out or refused for an Incident."""

    incident: str = Field(max_length=253, description="Who decided it.")
    attempt: int = Field(ge=1, description="The Incident's attempt number.")
    from_digest: Digest = Field(description="Live before.")
    to_digest: Digest = Field(description="Live after.")
    state: Literal["Recorded", "Written", "Done", "Refused"] = Field(
        description="Recorded before the write; Done when available."
    )
    reason: str = Field(default="", max_length=64, description="Named reason where refused.")
    at: Time = Field(description="When it was recorded.")
    done_at: Time | None = Field(
        default=None, description="When the Deployment was observed, updated and available again."
    )


class Promotion(Model):
    """The last promotion: what FixShipped and LoopClosed of an Incident look at."""

    digest: Digest = Field(description="What was promoted.")
    version: str = Field(max_length=128, description="Its label.")
    at: Time = Field(description="When the Deployment was updated and available.")
    cases: list[Name] = Field(default_factory=list, max_length=200, description="EvalCases that ran and passed in it.")


class Weight(Model):
    """Wanted and actual share of the canary."""

    wanted: int = Field(default=0, description="Percent that the step asks for.")
    actual: int = Field(default=0, description="Percent of pods in traffic that are canary pods.")


class ReleaseStatus(StatusModel):
    """What the Release reconciler measured and decided."""

    observed_generation: int = Field(default=0, description="Generation of the spec that this status speaks of.")
    phase: Literal[
        "Pending", "Healthy", "Breaching", "Dark", "Stepping", "Promoting", "RollingBack", "Held", "Unknown"
    ] = Field(default="Pending", description="At a glance.")
    version: str = Field(default="", max_length=128, description="Version that is live.")
    live: str = Field(default="", max_length=64, description="Digest that is live.")
    last_good: str = Field(default="", max_length=64, description="Digest that a rollback would go to.")
    weight: Weight = Field(default_factory=Weight, description="Canary weight.")
    burn_band: str = Field(default="unknown", max_length=16, description="ok, slow, fast or unknown.")
    incident: str = Field(default="", max_length=253, description="Open Incident on this Release.")
    revisions: list[Revision] = Field(
        default_factory=list,
        max_length=50,
        description="Known revisions, oldest first.",
        json_schema_extra=map_list("digest"),
    )
    target: Target | None = Field(default=None, description="The canary in progress, or the last one.")
    rollback: RollbackRecord | None = Field(default=None, description="The last rollback.")
    promotion: Promotion | None = Field(default=None, description="The last promotion.")
    last_episode: int = Field(default=0, description="Highest number of an Incident of this Release that was seen.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Drifted, Blocked, WorkloadMissing, TelemetryKnown ...",
        json_schema_extra=map_list("type"),
    )


class Release(Model):
    """A Release object."""

    metadata: ObjectMeta
    spec: ReleaseSpec
    status: ReleaseStatus = Field(default_factory=ReleaseStatus)

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.metadata.namespace, self.metadata.name


Template = dict[str, Any]
