"""Release: the wanted version of one Deployment, its rollout strategy and its SLO."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from opsloop.api.check import MOST_RESULTS, CheckResult
from opsloop.api.history import MOST_HISTORY, HistoryEntry
from opsloop.api.meta import (
    Condition,
    Digest,
    Model,
    Name,
    ObjectModel,
    ObjectName,
    StatusModel,
    Text,
    Time,
)
from opsloop.api.page import Notice
from opsloop.api.schema import all_rules, free_form, map_list, matches, required_without, rules, says, set_list
from opsloop.api.slo import Slo
from opsloop.api.strategy import Evals, HttpRoute, Match, Mirror, Strategy, words_of
from opsloop.api.warm import WarmPods

_STAMP = says(
    "write the name of an annotation, label or environment variable, for example example.com/reloaded-at, without its value"
)
Stamp = Annotated[
    str,
    Field(min_length=2, max_length=317, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./*-]*$", json_schema_extra=_STAMP),
]
MOST_ADDRESSES = 128  # of pods of one revision
MOST_ALSO = 16  # digests under which one revision was stored, and paths that are left out of its digest
LONGEST_PATH = 256
Path = Annotated[str, Field(max_length=LONGEST_PATH)]
SAME_WORKLOAD = ("self == oldSelf", "workloadRef.name cannot be changed; make another Release for another Deployment")

CONTAINERS = (
    f"self.all(name, {matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', 'name')})",
    "images: each key is the name of a container of the Deployment, for example answers: lower-case letters, digits and -",
)
IMAGES = (
    "self.all(name, " + matches(r"^[^\s]+$", "self[name]") + " && !self[name].contains('://'))",
    "images: each value is an image as Kubernetes takes it, for example registry.example.com/answers:v2, without blanks or https://",
)
ONE_WORD_EACH = (
    "self.all(word, !word.contains(',') && !word.contains(';'))",
    "knownAs is a list with one word or phrase in each item, for example [basket, trolley]; an item holds a comma",
)


CHECKS_HAVE_AN_ACCOUNT = (
    "has(self.serviceAccountName) || !has(self.strategy) || !has(self.strategy.canary) || !has(self.strategy.canary.checks)"
    " || size(self.strategy.canary.checks) == 0",
    "serviceAccountName is required where strategy.canary.checks has checks: name the ServiceAccount of this namespace on whose"
    " behalf they are made, for example serviceAccountName: rollout-checks",
)


class WorkloadRef(Model):
    """Reference to the Deployment of a Release, in the same namespace."""

    kind: Literal["Deployment"] = Field(
        default="Deployment", description="Kind of the workload; only Deployment is supported."
    )
    name: ObjectName = Field(
        description="Name of the Deployment in the Release's namespace; immutable.",
        json_schema_extra=rules(SAME_WORKLOAD),
    )


class TemplatePatch(Model):
    """Part of a pod template, with the directives of a strategic merge patch."""

    metadata: dict[str, Any] = Field(
        default_factory=dict,
        description="Labels and annotations of the pods; null takes one away.",
        json_schema_extra=free_form,
    )
    spec: dict[str, Any] = Field(
        default_factory=dict,
        description="Pod spec. Lists such as containers and env are merged by name; $patch: delete takes an item out, null a field.",
        json_schema_extra=free_form,
    )


class ReleaseSpec(Model):
    """Wanted state of a Release, written by people."""

    model_config = ConfigDict(
        json_schema_extra=all_rules(
            required_without("guard", "version", "images|templatePatch"), rules(CHECKS_HAVE_AN_ACCOUNT)
        )
    )

    workload_ref: WorkloadRef = Field(description="Deployment that the Release manages.")
    version: str = Field(
        default="",
        min_length=1,
        max_length=63,
        description="Label of the wanted version, as it appears in metrics. Required, except with guard.",
    )
    images: dict[str, Text] = Field(
        default_factory=dict,
        min_length=1,
        max_length=32,
        description="Images of the wanted version, by container name; init containers and native sidecars as well."
        " This or templatePatch is required, except with guard.",
        json_schema_extra=rules(CONTAINERS, IMAGES),
    )
    template_patch: TemplatePatch | None = Field(
        default=None,
        description="Strategic merge patch of the pod template, as kubectl patch takes one: other changes of the wanted version than"
        " images. Merged into the base, which is the template at adoption or after the last change by hand, so that fields of a"
        " patch that is dropped go with it; images are set after it.",
    )
    guard: bool = Field(
        default=False,
        description="Keep the Deployment paused, so that any change of its pod template (kubectl, Helm, Kustomize, a"
        " GitOps tool) is shipped by a canary. The Release then has no version and no images: the template says both.",
    )
    strategy: Strategy = Field(default_factory=Strategy, description="Rollout strategy of a new version.")
    service_account_name: ObjectName | None = Field(
        default=None,
        description="ServiceAccount of this namespace on whose behalf checks of the canary are made: it must be allowed to create"
        " Jobs for a job, and webhooks.opsloop.dev for a webhook. Required with checks.",
    )
    slo: Slo | None = Field(
        default=None,
        description="Service level objective. Without it nothing is judged and each canary step waits only for its hold.",
    )
    evals: Evals | None = Field(
        default=None,
        description="EvalCases that gate a promotion. If set, at least one case must be selected; without it no case gates.",
    )
    depends_on: list[ObjectName] = Field(
        default_factory=list,
        max_length=64,
        description="Names of the Releases in this namespace that this service calls.",
        json_schema_extra=set_list(),
    )
    known_as: list[Annotated[str, Field(min_length=2, max_length=64)]] = Field(
        default_factory=list,
        max_length=32,
        description="How users call this service in their tickets, for example basket, trolley or Warenkorb: words or short phrases in"
        " any of their languages, in lower or upper case. Tickets that use one are linked to its Incidents.",
        json_schema_extra=set_list() | rules(ONE_WORD_EACH),
    )
    paused: bool = Field(
        default=False, description="Stop rollouts from advancing. Rollbacks and setting the weight to 0 still happen."
    )
    ignore_stamps: list[Stamp] = Field(
        default_factory=list,
        max_length=32,
        description="Names of annotations, labels and environment variables of the pod template whose changes make no new"
        " revision, for example example.com/reloaded-at; * stands for any characters. Restart and reload stamps of common"
        " tools are ignored already.",
        json_schema_extra=set_list(),
    )
    unknown_telemetry: Literal["hold", "abort", "continue"] = Field(
        default="hold", description="Reaction of a canary to unknown SLI readings: hold its step, abort, or continue."
    )


class Blocked(Model):
    """Record that a revision is refused as a target."""

    reason: str = Field(
        max_length=64, description="Named reason, for example RolledBack, EvalFailed or AnalysisFailed."
    )
    message: str = Field(default="", max_length=1024, description="Explanation with the evidence.")
    incident: str = Field(default="", max_length=253, description="Incident that had the revision blocked, if any.")
    at: Time = Field(description="Time at which the revision was blocked.")


class PodAddress(Model):
    """Address that a pod of a revision had."""

    ip: str = Field(max_length=45, description="IP address of the pod.")
    since: Time = Field(description="Time at which the pod was first seen with it.")
    until: Time | None = Field(default=None, description="Time at which the pod was gone; absent while it is there.")


class Revision(Model):
    """Pod template that is or was live, or was tried as a canary."""

    digest: Digest = Field(description="Digest of the pod template.")
    number: int = Field(ge=1, description="Number of the revision within the Release, from 1.")
    version: str = Field(
        max_length=128,
        description="Version label from the spec, or the image's tag if the Deployment was changed directly.",
    )
    images: dict[str, Text] = Field(default_factory=dict, max_length=64, description="Images by container name.")
    also: list[Digest] = Field(
        default_factory=list,
        max_length=MOST_ALSO,
        description="Digests under which the API server stored the same revision, because it or admission changed the template.",
    )
    left_out: list[Path] = Field(
        default_factory=list,
        max_length=MOST_ALSO,
        description="JSON pointers to fields of the template that admission fills differently at each write; the digest leaves them out.",
    )
    base_images: dict[str, Text] = Field(
        default_factory=dict,
        max_length=64,
        description="Images that containers had before opsloop set them, by container name; the next target starts from these.",
    )
    base: str = Field(
        default="",
        max_length=64,
        description="Digest of the revision whose template a templatePatch was merged into; the next target starts from it.",
    )
    patch: str = Field(default="", max_length=64, description="Digest of that templatePatch; empty without one.")
    replica_sets: list[Name] = Field(
        default_factory=list,
        max_length=8,
        description="ReplicaSets that ran the revision, live or as a canary, oldest first; their pods' names tell its events apart.",
    )
    addresses: list[PodAddress] = Field(
        default_factory=list,
        max_length=MOST_ADDRESSES,
        description="Addresses of its pods, noted where no label of the SLI names a pod: they tell its events apart by the label instance.",
        json_schema_extra=map_list("ip"),
    )
    reason: str = Field(
        max_length=32, description="Origin of the revision: Adopted, Canaried, Direct, Drifted or Remembered."
    )
    manager: str = Field(
        default="", max_length=128, description="Field manager that wrote the template, if it was not opsloop."
    )
    shipped_without_canary: bool = Field(
        default=False,
        description="Whether the revision became live by a direct change of the Deployment, without a canary.",
    )
    rollback_unsafe: bool = Field(
        default=False,
        description="Whether nothing may be rolled back across this revision: its pod template, or the Release while it asked"
        ' for it, has the annotation opsloop.dev/rollback-safe: "false", for example after a schema migration.',
    )
    never_ran: bool = Field(
        default=False,
        description="Whether no pod of the revision was ever available on the Deployment, so that another one serves.",
    )
    live_since: Time | None = Field(default=None, description="Time at which the revision last became live.")
    served_since: Time | None = Field(
        default=None, description="Time from which its canary took traffic, the last time that it was one."
    )
    exposed_since: Time | None = Field(
        default=None,
        description="Time at which its first pod was available after it last became live; absent where nobody watched.",
    )
    rolled_out_at: Time | None = Field(
        default=None, description="Time from which no pod of an older revision was left, after that."
    )
    first_seen: Time = Field(description="Time at which opsloop first observed the revision.")
    proven_at: Time | None = Field(
        default=None,
        description="Time at which the revision had met the SLO for the bake time while live, which makes it last-good.",
    )
    blocked: Blocked | None = Field(
        default=None, description="Reason for refusing the revision as a target; absent if it is allowed."
    )


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


class CaseResult(Model):
    """Results of one EvalCase on canary and live."""

    case: str = Field(max_length=253, description="Name of the EvalCase.")
    must_pass: bool = Field(default=False, description="Whether a single failure on the canary rejects the target.")
    min_share: float = Field(default=1.0, description="Smallest share of right answers with which the case passes.")
    asked: int = Field(
        default=0,
        ge=0,
        description="Number of times that the case was asked of each side; fewer runs are missing answers.",
    )
    canary_passed: int = Field(ge=0, description="Number of passed runs on the canary.")
    canary_runs: int = Field(ge=0, description="Number of runs on the canary.")
    live_passed: int = Field(ge=0, description="Number of passed runs on live.")
    live_runs: int = Field(ge=0, description="Number of runs on live.")
    worse: int = Field(default=0, ge=0, description="Number of turns in which live was right and the canary was not.")
    better: int = Field(default=0, ge=0, description="Number of turns in which the canary was right and live was not.")
    flaky: bool = Field(
        default=False,
        description="Whether the case is set aside, because its answers vary on one revision: not asked, or with mustPass compared with live.",
    )
    load: str = Field(
        default="",
        max_length=64,
        description="Load under which the canary was asked while dark, such as 20/s for 30s; empty for other cases.",
    )
    pod: Literal["", "Passed", "Failed", "NoAnswer"] = Field(
        default="",
        description="How the loaded pod itself fared: Failed where a container ended, or what was measured is above its threshold;"
        " NoAnswer where Prometheus did not tell; empty where nothing is measured.",
    )
    message: str = Field(default="", max_length=512, description="Message of the first failure, if any.")


ACTIVE = ("Dark", "Stepping", "Promoting")  # states of a target while its canary is in progress; all others are final


class Target(Model):
    """Revision that the spec asks for, and the progress of its canary."""

    digest: Digest = Field(description="Digest of the target's pod template.")
    version: str = Field(max_length=128, description="Version label of the target.")
    images: dict[str, Text] = Field(
        default_factory=dict,
        max_length=32,
        description="Images in the spec when the target was recorded; the same images do not start a second canary.",
    )
    patch: str = Field(
        default="", max_length=64, description="Digest of spec.templatePatch when the target was recorded."
    )
    retry: str = Field(
        default="", max_length=128, description="Value of the annotation opsloop.dev/retry that this attempt answers."
    )
    state: Literal["Dark", "Stepping", "Promoting", "Promoted", "Rejected", "Cancelled", "Refused"] = Field(
        description="State of the canary."
    )
    step: int = Field(default=0, ge=0, description="Index of the decided step, from 0.")
    weight: int = Field(default=0, ge=0, le=100, description="Decided weight, in percent.")
    match: Match | None = Field(
        default=None, description="Requests that the canary gets at the decided step, where it has no weight."
    )
    mirror: Mirror | None = Field(
        default=None, description="Requests that are copied to the canary at the decided step, where it has no weight."
    )
    pods: int = Field(default=0, ge=0, description="Number of canary pods in traffic at the decided step.")
    traffic: list[Time] = Field(
        default_factory=list,
        max_length=20,
        description="Times at which each step so far was decided; the analysis counts the canary's events from the first one."
        " The first weight after match or mirror begins the list anew: it is judged by what users send.",
    )
    direct: bool = Field(
        default=False, description="Whether strategy.type was direct when the target was recorded: it has no canary."
    )
    route: HttpRoute | None = Field(
        default=None,
        description="What the spec said of the HTTPRoute when the target was recorded; absent where pods make the weight.",
    )
    routed: int = Field(
        default=0, ge=0, le=100, description="Weight that was last seen as decided on the HTTPRoute, in percent."
    )
    meddled: int = Field(
        default=0,
        ge=0,
        description="How often somebody else has changed what was reached on the HTTPRoute in this try.",
    )
    shown: bool = Field(
        default=False, description="Whether the rules of match or mirror were last seen as decided on the HTTPRoute."
    )
    served: int = Field(
        default=0, ge=0, description="Number of canary pods that were in traffic when the decided weight was reached."
    )
    lost: int = Field(default=0, ge=0, description="How often canary pods have left the traffic at the decided step.")
    reached_at: Time | None = Field(
        default=None,
        description="Time at which the pods reached the decided weight; of weight 100, time at which the promotion was decided.",
    )
    restarts: int = Field(
        default=0,
        ge=0,
        description="How often it started again by itself, after it was taken out for harm that live had as well.",
    )
    back: bool = Field(
        default=False,
        description="Whether it was proven live within strategy.backWithin, so that it takes no steps, and no EvalCase is run.",
    )
    started_at: Time = Field(description="Time at which the target was recorded.")
    ended_at: Time | None = Field(
        default=None, description="Time at which the target was promoted, rejected, cancelled or refused."
    )
    reason: str = Field(default="", max_length=64, description="Named reason for the state.")
    message: str = Field(default="", max_length=1024, description="Explanation of the state, with its evidence.")
    evals: list[CaseResult] = Field(
        default_factory=list,
        max_length=200,
        description="Latest results of the EvalCases, one per case; of more than 200 the failures and the mustPass cases first.",
        json_schema_extra=map_list("case"),
    )
    evals_step: int | None = Field(
        default=None, description="Index of the step for which the EvalCases passed; -1 is the dark phase."
    )
    checks: list[CheckResult] = Field(
        default_factory=list,
        max_length=MOST_RESULTS,
        description="Results of the checks, one per check and weight; of more than 24 the latest.",
        json_schema_extra=map_list("name", "weight"),
    )

    @property
    def is_active(self) -> bool:
        """True while the canary of this target is in progress."""
        return self.state in ACTIVE

    @property
    def by_rules(self) -> bool:
        """True while the decided step sends it requests by rules of their own, testers' or copies, and no share."""
        return self.match is not None or self.mirror is not None

    @property
    def load(self) -> int:
        """Share of the requests that its pods have to carry at the decided step, in percent; 0 for testers' requests."""
        return self.weight or (self.mirror.percent if self.mirror else 0)

    @property
    def step_words(self) -> str:
        """What the decided step sends to the canary, for a person."""
        return words_of(self.weight, self.match, self.mirror)

    @property
    def traffic_since(self) -> datetime | None:
        """Time from which the canary may have served users; None where it never did."""
        return self.traffic[0] if self.traffic else None


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


class Weight(Model):
    """Wanted and actual weight of the canary."""

    wanted: int = Field(default=0, description="Weight that the decided step asks for, in percent.")
    actual: int = Field(
        default=0,
        description="Share of canary pods among the pods in traffic, or the canary's share on the HTTPRoute, in percent.",
    )
    requests: int | None = Field(
        default=None,
        description="Share of the events that canary pods served over the analysis window, in percent, within 5; absent where the"
        " SLI does not tell revisions apart. Clients that keep to their pod make it another one than that of the pods.",
    )


class ObjectiveStatus(Model):
    """Standing of one objective."""

    name: str = Field(max_length=32, description="Name of the objective.")
    objective: float = Field(description="Fraction of events that must be good.")
    band: str = Field(max_length=16, description="Burn rate as a band: ok, slow, fast or unknown.")
    reason: str = Field(default="", max_length=64, description="Named reason for the band.")


class ReleaseStatus(StatusModel):
    """Observed state of a Release and its recorded decisions; written by the Release reconciler only."""

    observed_generation: int = Field(default=0, description="Generation of the spec that this status reflects.")
    phase: Literal[
        "Pending",
        "Healthy",
        "Breaching",
        "Dark",
        "Stepping",
        "Promoting",
        "RollingBack",
        "Held",
        "NotShipped",
        "Stopped",
        "Unknown",
    ] = Field(default="Pending", description="Summary of the conditions and the target.")
    version: str = Field(
        default="",
        max_length=128,
        description="Version label of the live revision, or of the one that serves in its place.",
    )
    live: str = Field(default="", max_length=64, description="Digest of the live revision.")
    last_good: str = Field(
        default="",
        max_length=64,
        description="Digest of the last-good revision: the live one if it is proven, else the target of a rollback.",
    )
    weight: Weight = Field(default_factory=Weight, description="Wanted and actual weight of the canary.")
    route: str = Field(
        default="",
        max_length=253,
        description="HTTPRoute whose weights are moved; empty once they are as they were found.",
    )
    burn_band: str = Field(
        default="unknown",
        max_length=16,
        description="Burn rate as a band: ok, slow, fast or unknown; of several objectives the worst.",
    )
    objectives: list[ObjectiveStatus] = Field(
        default_factory=list,
        max_length=8,
        description="Standing of each objective, where there are several.",
        json_schema_extra=map_list("name"),
    )
    incident: str = Field(default="", max_length=253, description="Open Incident of this Release, if any.")
    revisions: list[Revision] = Field(
        default_factory=list,
        max_length=50,
        description="Revisions of the Deployment, oldest first.",
        json_schema_extra=map_list("digest"),
    )
    target: Target | None = Field(default=None, description="Target of the current canary, or of the last one.")
    rollback: RollbackRecord | None = Field(
        default=None,
        description="Latest rollback that was carried out or refused for an Incident, or as a person's undo.",
    )
    act: ActRecord | None = Field(
        default=None, description="Latest act other than a rollback that was carried out or refused for an Incident."
    )
    promotion: Promotion | None = Field(default=None, description="Latest promotion.")
    warm: WarmPods | None = Field(
        default=None, description="Pods of last-good that are kept warm, or were last; absent where none ever were."
    )
    guard: Guarding | None = Field(
        default=None, description="What is under way on a guarded Deployment; absent without spec.guard."
    )
    commands: list[Command] = Field(
        default_factory=list,
        max_length=8,
        description="Commands that were given as annotations, the last of each name. To give the same one again, take the annotation away first.",
        json_schema_extra=map_list("name"),
    )
    notices: list[Notice] = Field(
        default_factory=list,
        max_length=8,
        description="What the Release told the receivers that a route of the operator names for Releases; the latest.",
        json_schema_extra=map_list("number"),
    )
    budget_met: int = Field(
        default=0, ge=0, description="Number of available pods that a PodDisruptionBudget wanted when it was met last."
    )
    history: list[HistoryEntry] = Field(
        default_factory=list,
        max_length=MOST_HISTORY,
        description="What became of its versions, oldest first; `opsloop report` counts it.",
    )
    history_since: Time | None = Field(
        default=None,
        description="Time from which the history is whole: older entries were dropped, or nobody kept them.",
    )
    last_episode: int = Field(
        default=0, description="Highest Incident number observed for this Release; the next Incident gets a higher one."
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=32,
        description="Conditions of the Release: Progressing, Promoted, Rejected, Healthy, Ready, Available, WorkloadMissing, TelemetryKnown, RevisionsTold, TiersReachable, StoredAsDecided, Drifted, Blocked, RolledOut, Held, CanaryPodsReady, SpecResolved, Stopped, Frozen, BudgetMet, CanaryFits, RouteReady, Told, Guarded, Shipped and LastGoodWarm.",
        json_schema_extra=map_list("type"),
    )


class Release(ObjectModel):
    """A Release object."""

    spec: ReleaseSpec
    status: ReleaseStatus = Field(default_factory=ReleaseStatus)
