"""Target of a Release: the revision that the spec asks for, and how far its canary is."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from opsloop.api.check import MOST_RESULTS, CheckResult
from opsloop.api.meta import Digest, Model, Text, Time
from opsloop.api.schema import map_list
from opsloop.api.strategy import HttpRoute, Match, Mirror, words_of


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
