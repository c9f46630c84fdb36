"""Incident: one episode of harm, with its signal, cause, plays and timeline; the source of the postmortem."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from opsloop.api.cause import Cause, Evidence
from opsloop.api.meta import Condition, Model, Name, ObjectModel, Severity, StatusModel, Time
from opsloop.api.page import Page
from opsloop.api.play import ActDecision, FreezeDecision, Play, RollbackDecision
from opsloop.api.reported import AlertCounts, LinkedTicket
from opsloop.api.schema import map_list, rules, says
from opsloop.api.slo import ONLY

# After its resolution a breach of the root reopens the Incident for this long. Default of the setting OPSLOOP_REOPEN_GRACE.
REOPEN_GRACE = timedelta(minutes=30)

AnyDigest = Annotated[str, Field(max_length=64)]

SAME_SIGNAL = ("self == oldSelf", "signal cannot be changed: it is what opened this Incident; add a note instead")
SAME_ROOT = (
    "(has(self.release) ? self.release : '') == (has(oldSelf.release) ? oldSelf.release : '')",
    "release cannot be changed: a rollback is decided on the root Release; add a note instead",
)

_URL_SAYS = "write a whole URL, for example https://tickets.example.com/42"
Link = Annotated[str, Field(max_length=1024, json_schema_extra=says(_URL_SAYS, pattern=r"^https?://[^\s]+$"))]


class BurnSignal(Model):
    """Burn-rate tier that fired, with its measurements."""

    long: str = Field(max_length=24, description="Long window of the tier.")
    short: str = Field(max_length=24, description="Short window of the tier.")
    factor: float = Field(description="Burn rate that both windows exceeded.")
    burn_long: float = Field(description="Lower bound of the burn rate over the long window.")
    burn_short: float = Field(description="Lower bound of the burn rate over the short window.")
    error_ratio: float = Field(description="Fraction of bad events over the short window.")
    bad: float = Field(description="Number of bad events in the long window.")
    total: float = Field(description="Number of all events in the long window.")
    objective: float = Field(description="Objective of the SLO when the tier fired.")
    slo: str = Field(
        default=ONLY, max_length=32, description="Name of the objective; sli where the Release named none."
    )
    wrong: str = Field(
        default="bad", max_length=64, description="Fault of the bad events in words, for example slower than 0.5 s."
    )


class Signal(Model):
    """Signal that opened an Incident."""

    kind: Literal["burn", "workload", "capacity", "telemetry", "alerts", "housekeeping", "ticket"] = Field(
        description="Kind of the signal: a burn-rate tier, a workload without an available pod or with fewer than its PodDisruptionBudget wants, an SLI that is unknown for long, alerts, alerts that want some care and tell of no fault, or a ticket."
    )
    at: Time = Field(description="Time at which opsloop observed the signal.")
    severity: Severity = Field(description="Severity of the signal.")
    burn: BurnSignal | None = Field(default=None, description="Burn-rate tier that fired, for kind burn.")
    message: str = Field(default="", max_length=1024, description="Description of the signal.")


class Note(Model):
    """Note added by a person."""

    at: Time | None = Field(default=None, description="Time of the note.")
    author: str = Field(
        default="",
        max_length=128,
        description="Who wrote the note, for example a role or team; the postmortem leaves it out.",
    )
    text: str = Field(max_length=4096, description="Text of the note.")
    section: str = Field(
        default="",
        max_length=64,
        description="Section of the postmortem that the note belongs to: summary, impact, times, timeline, causes, factors,"
        " went-well, went-wrong, lucky, actions or questions; anything else is the title of a section of its own. Empty: notes.",
    )


class ActionItem(Model):
    """Action item that people decided on, or what they add to one of opsloop's."""

    id: str = Field(
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        json_schema_extra=says("an id is of lower-case letters, digits and -, for example drain-test"),
        description="Identifier, for example drain-test. That of an action item of opsloop (eval-case, fix, ...) adds to it.",
    )
    text: str = Field(default="", max_length=1024, description="What is to be done.")
    owner: str = Field(default="", max_length=128, description="Team or role that does it.")
    due: str = Field(
        default="",
        max_length=10,
        pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$",
        description="Date, for example 2026-12-31.",
        json_schema_extra=says(
            "write the date as year-month-day, for example 2026-12-31",
            pattern=r"^([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))?$",
        ),
    )
    done: bool = Field(default=False, description="Whether it is done.")
    link: str = Field(
        default="",
        max_length=1024,
        description="URL of the ticket that it is worked on in.",
        json_schema_extra=says(_URL_SAYS, pattern=r"^(https?://[^\s]+)?$"),
    )


class IncidentSpec(Model):
    """Root and signal of an Incident, written at creation, and additions by people."""

    model_config = ConfigDict(json_schema_extra=rules(SAME_ROOT))

    release: str = Field(
        default="", max_length=253, description="Root Release; empty if the service has none. Immutable."
    )
    service: str = Field(max_length=253, description="Service in which the harm originates.")
    title: str = Field(max_length=256, description="Title in one line.")
    signal: Signal = Field(
        description="Signal that opened the Incident; immutable.", json_schema_extra=rules(SAME_SIGNAL)
    )
    previous: str = Field(default="", max_length=253, description="Previous Incident of the same root, if any.")
    owner: str = Field(default="", max_length=128, description="Team or role that owns the Incident.")
    assignee: str = Field(
        default="",
        max_length=128,
        description="Person or team that works on the Incident; each change is told in the timeline.",
    )
    notes: list[Note] = Field(
        default_factory=list,
        max_length=100,
        description="Notes by people, shown in the postmortem; the first 50 are told in the timeline as well.",
    )
    links: list[Link] = Field(
        default_factory=list, max_length=50, description="URLs added by people, shown in the postmortem."
    )
    actions: list[ActionItem] = Field(
        default_factory=list,
        max_length=50,
        description="Action items added by people, shown in the postmortem.",
        json_schema_extra=map_list("id"),
    )


class TimelineEntry(Model):
    """Event in an Incident's timeline; `key` makes adding it idempotent."""

    key: str = Field(max_length=128, description="Key that is unique in the timeline, for example rollback-1.")
    at: Time = Field(description="Time of the event.")
    type: str = Field(
        max_length=32,
        description="Type of the event, for example Onset, Detected, Paged, Rollback, Mitigated or Resolved.",
    )
    actor: str = Field(
        max_length=128,
        description="Component that caused the event; for notes and assignments who wrote them: the author of the note, or the field manager of the write.",
    )
    message: str = Field(max_length=1024, description="Description of the event.")
    evidence: list[Evidence] = Field(default_factory=list, max_length=10, description="Measurements behind the event.")


SHORTEST_WHY = 10  # characters of a waiver's reason; the admission policy asks for as many


class Waiver(Model):
    """Statement of a person that no EvalCase can guard against the fault of an Incident. It is no pass."""

    by: str = Field(max_length=256, description="Who waived it, as the API server knows them.")
    why: str = Field(max_length=1000, description="Why no EvalCase is possible.")
    at: Time = Field(description="Time at which it was seen first.")

    @staticmethod
    def said(value: str) -> tuple[str, str] | None:
        """(who, why) of an annotation's value WHO: WHY; None where it does not say both."""
        who, colon, why = value.partition(": ")
        who, why = who.strip(), " ".join(why.split())
        return (who[:256], why[:1000]) if colon and who and len(why) >= SHORTEST_WHY else None


class Fix(Model):
    """Promotion that shipped the fix of an Incident."""

    digest: str = Field(max_length=64, description="Digest of the promoted revision.")
    version: str = Field(max_length=128, description="Version label of the promoted revision.")
    at: Time = Field(description="Time of the promotion.")
    case_passed: bool = Field(
        default=False, description="Whether the Incident's EvalCase ran and passed for the promotion."
    )
    waived: bool = Field(
        default=False, description="Whether it closed the loop although no EvalCase passed, because a person waived it."
    )


class Comparison(Model):
    """Search for a difference between the bad and the good revision in quarantine, where no better way gave a case."""

    attempts: int = Field(default=0, ge=0, description="Number of attempts.")
    started_at: Time | None = Field(default=None, description="Start of the current attempt; absent while none runs.")
    reason: str = Field(default="", max_length=64, description="Named reason for its state; see docs/reasons.md.")
    message: str = Field(default="", max_length=512, description="What was asked and what came of it, in words.")


class Sampled(Model):
    """Requests that the service's own endpoint told of while the Incident burned."""

    at: Time = Field(description="Time at which they were taken, or given up.")
    requests: int = Field(default=0, ge=0, description="Number of requests that are kept.")
    bad: int = Field(
        default=0, ge=0, description="Number of them that the service recorded with a status of 500 or more."
    )
    message: str = Field(default="", max_length=512, description="What there was, or why there is nothing, in words.")


class IncidentStatus(StatusModel):
    """Measurements and actions of an Incident; written by the Incident reconciler only."""

    observed_generation: int = Field(default=0, description="Generation of the spec that this status reflects.")
    phase: Literal["Open", "Mitigating", "Mitigated", "Resolved"] = Field(
        default="Open", description="Phase of the Incident."
    )
    severity: Severity = Field(default="sev4", description="Current severity; it never falls.")
    title: str = Field(
        default="",
        max_length=256,
        description="Title in one line: the measured harm if there is an SLO, else spec.title.",
    )
    onset_at: Time | None = Field(default=None, description="Time at which the harm began, according to Prometheus.")
    detected_at: Time | None = Field(
        default=None, description="Time at which opsloop detected the burn, or the first alert."
    )
    mitigated_at: Time | None = Field(default=None, description="Time at which the SLI was back within its objective.")
    resolved_at: Time | None = Field(default=None, description="Time at which the SLI had been back for resolveAfter.")
    back_since: Time | None = Field(
        default=None,
        description="Start of the current uninterrupted time within the objective; absent while the SLI is not back.",
    )
    burn: BurnSignal | None = Field(
        default=None, description="Burn-rate tier that fired for this Incident; absent while none has."
    )
    also_burned: list[BurnSignal] = Field(
        default_factory=list,
        max_length=8,
        description="Tiers of other objectives of the root that fired while the Incident was open, one for each.",
    )
    outage_at: Time | None = Field(
        default=None,
        description="Start of the latest time without any available pod of the root; absent if there was none.",
    )
    affected: list[Name] = Field(
        default_factory=list,
        max_length=64,
        description="Names of other Releases that breach their SLO as a consequence.",
    )
    cause: Cause | None = Field(default=None, description="Most likely cause, from the evidence so far.")
    rollback: RollbackDecision | None = Field(
        default=None,
        description="Latest decided rollback; valid only while its fromDigest is live and the Incident is not Resolved.",
    )
    act: ActDecision | None = Field(
        default=None,
        description="Latest decided act other than a rollback; valid only while the Incident is not Resolved.",
    )
    freezes: list[FreezeDecision] = Field(
        default_factory=list, max_length=8, description="Freezes that Runbook steps began, oldest first."
    )
    plays: list[Play] = Field(
        default_factory=list, max_length=32, description="Runbook steps that were requested or run, oldest first."
    )
    page: Page | None = Field(
        default=None, description="Thread of the Incident at the pager; absent if nobody was paged."
    )
    alerts: AlertCounts = Field(
        default_factory=AlertCounts,
        description="Exact counts of the Incident's alerts; the ConfigMap NAME-ledger holds the full list."
        " While many Incidents get alerts, they may be up to 30 seconds old.",
    )
    tickets: list[LinkedTicket] = Field(
        default_factory=list,
        max_length=100,
        description="Users' tickets that are linked to the Incident.",
        json_schema_extra=map_list("id"),
    )
    assignee: str = Field(default="", max_length=128, description="Assignee of the spec, as last told in the timeline.")
    reopened: int = Field(default=0, description="Number of times that the Incident was reopened.")
    blocked: list[AnyDigest] = Field(
        default_factory=list, max_length=20, description="Digests of the revisions that this Incident had blocked."
    )
    exonerated: list[AnyDigest] = Field(
        default_factory=list,
        max_length=20,
        description="Digests of revisions that were rolled back for the Incident and turned out not to be the cause.",
    )
    timeline: list[TimelineEntry] = Field(
        default_factory=list, max_length=200, description="Events of the Incident.", json_schema_extra=map_list("key")
    )
    folded: int = Field(default=0, description="Number of timeline entries that were dropped to keep the size bounded.")
    dropped: dict[str, int] = Field(
        default_factory=dict,
        max_length=16,
        description="What was left out to keep the size bounded: number of items, by list; for alerts.byService the alerts of services that are not listed. The ConfigMap NAME-ledger holds all alerts and tickets.",
    )
    postmortem: str = Field(default="", max_length=253, description="Name of the ConfigMap that holds the postmortem.")
    waiver: Waiver | None = Field(
        default=None,
        description="Statement of a person that no EvalCase is possible; from opsloop.dev/waive-regression.",
    )
    eval_case: str = Field(
        default="", max_length=253, description="Name of the regression EvalCase created from the Incident."
    )
    comparison: Comparison | None = Field(
        default=None, description="Search for a regression case in quarantine; absent where a better way gave one."
    )
    sampled: Sampled | None = Field(
        default=None, description="Requests taken from the service's own endpoint; absent until they are."
    )
    fix: Fix | None = Field(
        default=None, description="Promotion of another revision since the Incident; absent while there is none."
    )
    merged_into: str = Field(default="", max_length=253, description="Incident that this one was merged into, if any.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Conditions of the Incident: Paged, Acting, Contested, Mitigated, PostmortemWritten, RegressionCaptured, FixShipped and LoopClosed.",
        json_schema_extra=map_list("type"),
    )


class Incident(ObjectModel):
    """An Incident object."""

    spec: IncidentSpec
    status: IncidentStatus = Field(default_factory=IncidentStatus)

    @property
    def is_open(self) -> bool:
        """Whether the Incident is neither Resolved, nor merged into another one, nor being deleted."""
        return self.status.phase != "Resolved" and not self._gone

    @property
    def burned(self) -> bool:
        """Whether a burn-rate tier fired for the Incident."""
        return self.spec.signal.kind == "burn" or self.status.burn is not None

    @property
    def had_outage(self) -> bool:
        """Whether no pod of the root was available for a while."""
        return self.spec.signal.kind == "workload" or self.status.outage_at is not None

    def resolved_within(self, grace: timedelta, now: datetime) -> bool:
        """Whether the Incident was resolved, not merged or deleted, at most `grace` before `now`."""
        ended = self.status.resolved_at
        return self.status.phase == "Resolved" and not self._gone and ended is not None and now - ended <= grace

    def reopens(self, grace: timedelta, now: datetime) -> bool:
        """Whether a new breach or outage of the root reopens this Incident instead of opening another one.

        Only one whose harm was measured: alerts say less than what came back.
        """
        return (self.burned or self.had_outage) and self.resolved_within(grace, now)

    @property
    def _gone(self) -> bool:
        return bool(self.status.merged_into or self.metadata.deletion_timestamp)
