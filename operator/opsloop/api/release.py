"""Release: the wanted version of one Deployment, its rollout strategy and its SLO."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from opsloop.api.history import MOST_HISTORY, HistoryEntry
from opsloop.api.meta import (
    Condition,
    Model,
    ObjectModel,
    ObjectName,
    StatusModel,
    Text,
    Time,
)
from opsloop.api.page import Notice
from opsloop.api.pod_metadata import PodMetadataRecord
from opsloop.api.records import ActRecord, Command, Guarding, Promotion, RollbackRecord
from opsloop.api.revision import Revision
from opsloop.api.schema import all_rules, free_form, map_list, matches, required_without, rules, says, set_list
from opsloop.api.slo import Slo
from opsloop.api.strategy import Evals, Strategy
from opsloop.api.target import Target, Weight
from opsloop.api.warm import WarmPods

_STAMP = says(
    "write the name of an annotation, label or environment variable, for example example.com/reloaded-at, without its value"
)
Stamp = Annotated[
    str,
    Field(min_length=2, max_length=317, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./*-]*$", json_schema_extra=_STAMP),
]
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
    pod_metadata: PodMetadataRecord | None = Field(
        default=None, description="Labels and annotations of one's own that pods have while the canary runs."
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
