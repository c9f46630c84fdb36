"""Incident: one episode of harm; what was seen, what was done, when. The source of the postmortem."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import ConfigDict, Field

from opsloop.api.meta import Condition, Model, Name, ObjectMeta, Severity, StatusModel, Text, Time
from opsloop.api.schema import map_list, rules

SAME_SIGNAL = ("self == oldSelf", "signal cannot be changed: it is what opened this Incident; add a note instead")
SAME_ROOT = (
    "(has(self.release) ? self.release : '') == (has(oldSelf.release) ? oldSelf.release : '')",
    "release cannot be changed: a rollback is decided on the root Release; add a note instead",
)


class BurnSignal(Model):
    """A tier that fired, with the numbers it fired on."""

    long: str = Field(max_length=24, description="Long window.")
    short: str = Field(max_length=24, description="Short window.")
    factor: float = Field(description="Burn rate that both windows exceeded.")
    burn_long: float = Field(description="Burn rate over the long window (lower bound).")
    burn_short: float = Field(description="Burn rate over the short window (lower bound).")
    error_ratio: float = Field(description="Bad share of the events over the short window.")
    bad: float = Field(description="Bad events in the long window.")
    total: float = Field(description="All events in the long window.")
    objective: float = Field(description="Objective at that time.")


class Signal(Model):
    """What opened the Incident; written once, at creation."""

    kind: Literal["burn", "alerts", "ticket"] = Field(description="What opened it.")
    at: Time = Field(description="When it was seen.")
    severity: Severity = Field(description="Severity that it came with.")
    burn: BurnSignal | None = Field(default=None, description="For kind burn.")
    message: str = Field(default="", max_length=1024, description="One sentence.")


class Note(Model):
    """What a person adds."""

    at: Time | None = Field(default=None, description="When.")
    author: str = Field(default="", max_length=128, description="Role or team; the postmortem is blameless.")
    text: str = Field(max_length=4096, description="The note.")


class IncidentSpec(Model):
    """Root release and opening signal (written at creation), and what people add."""

    model_config = ConfigDict(json_schema_extra=rules(SAME_ROOT))

    release: str = Field(default="", max_length=253, description="Root Release; empty where no Release is concerned.")
    service: str = Field(max_length=253, description="Service that is harmed at the root.")
    title: str = Field(max_length=256, description="One line.")
    signal: Signal = Field(description="What opened it.", json_schema_extra=rules(SAME_SIGNAL))
    previous: str = Field(default="", max_length=253, description="Earlier Incident of the same root, if any.")
    owner: str = Field(default="", max_length=128, description="Team or role that owns it.")
    notes: list[Note] = Field(
        default_factory=list, max_length=100, description="Notes of people, shown in the postmortem."
    )
    links: list[Text] = Field(default_factory=list, max_length=50, description="URLs people add.")


class Evidence(Model):
    """A number or fact with where it came from."""

    name: str = Field(max_length=64, description="What.")
    value: str = Field(max_length=512, description="The number or fact.")
    source: str = Field(default="", max_length=512, description="Query, object or address.")


class Cause(Model):
    """The best explanation so far; `unknown` is a good answer."""

    kind: Literal["bad_release", "dependency", "unknown"] = Field(description="Conclusion.")
    release: str = Field(default="", max_length=253, description="Whose revision.")
    revision: str = Field(default="", max_length=64, description="Digest that is blamed.")
    version: str = Field(default="", max_length=128, description="Its version label.")
    reason: str = Field(default="", max_length=64, description="Named reason.")
    confidence: float = Field(default=0.0, ge=0, le=1, description="0 to 1.")
    evidence: list[Evidence] = Field(default_factory=list, max_length=20, description="Why.")


class RollbackDecision(Model):
    """Roll `release` back from one digest to another. Holds only while live = from and the Incident is not Resolved."""

    release: Name = Field(description="Which Release carries it out.")
    from_digest: str = Field(max_length=64, description="The digest that must be live.")
    to_digest: str = Field(max_length=64, description="The digest to restore.")
    attempt: int = Field(ge=1, description="1, 2 ... within this Incident.")
    at: Time = Field(description="When it was decided.")


class Play(Model):
    """One step of a Runbook on this Incident."""

    runbook: str = Field(max_length=253, description="Which Runbook.")
    step: int = Field(ge=0, description="Index in its steps.")
    type: str = Field(max_length=32, description="rollback, wait or escalate.")
    attempt: int = Field(default=1, ge=1, description="Attempt number of this play.")
    state: Literal["Requested", "Running", "Helped", "DidNotHelp", "Refused", "Done"] = Field(
        description="Where it is."
    )
    reason: str = Field(default="", max_length=64, description="Named reason of the state.")
    message: str = Field(default="", max_length=512, description="One sentence.")
    requested_at: Time = Field(description="When it was asked for.")
    started_at: Time | None = Field(default=None, description="When the Runbook granted it.")
    ended_at: Time | None = Field(default=None, description="When its outcome was known.")


class Page(Model):
    """The one page of this Incident."""

    state: Literal["Decided", "Sent"] = Field(description="Decided is stored before the call, Sent after the 2xx.")
    severity: Severity = Field(description="Severity it was sent with.")
    dedup_key: str = Field(max_length=128, description="Key by which the receiver folds repeats.")
    decided_at: Time = Field(description="When.")
    sent_at: Time | None = Field(default=None, description="When the receiver answered 2xx.")
    reason: str = Field(default="", max_length=64, description="Why it paged.")


class AlertSample(Model):
    """One alert, shortened."""

    fingerprint: str = Field(max_length=64, description="Alertmanager's fingerprint.")
    name: str = Field(max_length=128, description="alertname.")
    service: str = Field(default="", max_length=128, description="Service it is about.")
    status: str = Field(max_length=16, description="firing or resolved.")
    starts_at: Time = Field(description="startsAt.")


class AlertCounts(Model):
    """Exact counts; the full list is kept compressed in the Incident's ledger ConfigMap."""

    count: int = Field(default=0, description="Distinct alerts (fingerprints).")
    firing: int = Field(default=0, description="Of these, firing now.")
    first_at: Time | None = Field(default=None, description="Earliest startsAt.")
    last_at: Time | None = Field(default=None, description="Latest startsAt.")
    by_service: dict[str, int] = Field(default_factory=dict, max_length=1024, description="Distinct alerts by service.")
    sample: list[AlertSample] = Field(default_factory=list, max_length=10, description="The first few.")


class TicketExample(Model):
    """What a user asked, got and expected."""

    asked: str = Field(max_length=1024, description="Question or request as the user gave it.")
    got: str = Field(default="", max_length=1024, description="What came back.")
    expected: str = Field(max_length=1024, description="What would have been right.")


class LinkedTicket(Model):
    """A user's ticket that was linked to this Incident."""

    id: str = Field(max_length=128, description="Ticket id.")
    subject: str = Field(max_length=256, description="Subject.")
    category: str = Field(max_length=32, description="Triaged category.")
    severity: Severity = Field(description="Severity judged from the text.")
    route: str = Field(max_length=64, description="Team or queue.")
    score: float = Field(ge=0, le=1, description="How sure the link is.")
    evidence: list[Evidence] = Field(default_factory=list, max_length=10, description="Why it was linked.")
    example: TicketExample | None = Field(default=None, description="The user's example, if any.")
    received_at: Time = Field(description="When the intake stored it.")


class TimelineEntry(Model):
    """One thing that happened. `key` makes recording it twice impossible."""

    key: str = Field(max_length=128, description="Unique in the timeline, for example rollback-1.")
    at: Time = Field(description="When it happened.")
    type: str = Field(
        max_length=32,
        description="Onset, Detected, Alerts, Ticket, Paged, Play, Rollback, Mitigated, Resolved, Reopened ...",
    )
    actor: str = Field(max_length=128, description="Component, never a person's name.")
    message: str = Field(max_length=1024, description="One sentence.")
    evidence: list[Evidence] = Field(default_factory=list, max_length=10, description="Numbers with their source.")


class Fix(Model):
    """The promotion that closed the loop."""

    digest: str = Field(max_length=64, description="Promoted digest.")
    version: str = Field(max_length=128, description="Its label.")
    at: Time = Field(description="When it was promoted.")
    case_passed: bool = Field(default=False, description="True: this Incident's EvalCase ran and passed in it.")


class IncidentStatus(StatusModel):
    """What was measured and done; written by the Incident reconciler only."""

    observed_generation: int = Field(default=0, description="Generation of the spec that this status speaks of.")
    phase: Literal["Open", "Mitigating", "Mitigated", "Resolved"] = Field(default="Open", description="Where it is.")
    severity: Severity = Field(default="sev4", description="Present severity; only rises.")
    title: str = Field(
        default="", max_length=256, description="One line: the harm where an SLO shows it, else spec.title."
    )
    onset_at: Time | None = Field(default=None, description="When harm began, as Prometheus shows it.")
    detected_at: Time | None = Field(default=None, description="When opsloop saw the burn (or the first alert).")
    mitigated_at: Time | None = Field(default=None, description="When the SLI was back.")
    resolved_at: Time | None = Field(default=None, description="When it had been back for resolveAfter.")
    back_since: Time | None = Field(default=None, description="Since when the SLI is back without a break.")
    burn: BurnSignal | None = Field(default=None, description="Evidence of the burn that made it a page.")
    affected: list[Name] = Field(
        default_factory=list, max_length=64, description="Other Releases that breached because of it."
    )
    cause: Cause | None = Field(default=None, description="Best explanation so far.")
    rollback: RollbackDecision | None = Field(default=None, description="The last decided rollback.")
    plays: list[Play] = Field(default_factory=list, max_length=32, description="What was tried.")
    page: Page | None = Field(default=None, description="The page.")
    alerts: AlertCounts = Field(default_factory=AlertCounts, description="Alerts of this Incident.")
    tickets: list[LinkedTicket] = Field(
        default_factory=list, max_length=100, description="Linked tickets.", json_schema_extra=map_list("id")
    )
    reopened: int = Field(default=0, description="How often it was reopened.")
    blocked: list[Text] = Field(
        default_factory=list, max_length=20, description="Digests that this Incident got blocked."
    )
    timeline: list[TimelineEntry] = Field(
        default_factory=list, max_length=200, description="What happened, in order.", json_schema_extra=map_list("key")
    )
    folded: int = Field(default=0, description="Timeline entries that were folded away.")
    postmortem: str = Field(default="", max_length=253, description="ConfigMap that holds the postmortem.")
    eval_case: str = Field(default="", max_length=253, description="EvalCase captured from it.")
    fix: Fix | None = Field(default=None, description="The promotion after it.")
    merged_into: str = Field(default="", max_length=253, description="Incident that this one was merged into.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Mitigated, PostmortemWritten, RegressionCaptured, FixShipped, LoopClosed ...",
        json_schema_extra=map_list("type"),
    )


class Incident(Model):
    """An Incident object."""

    metadata: ObjectMeta
    spec: IncidentSpec
    status: IncidentStatus = Field(default_factory=IncidentStatus)

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.metadata.namespace, self.metadata.name

    @property
    def is_open(self) -> bool:
        """True while it is neither Resolved, nor merged into another one, nor being deleted."""
        return self.status.phase != "Resolved" and not self._gone

    @property
    def burned(self) -> bool:
        """True if it is about an SLO's breach: only such an Incident is reopened when its root breaches again."""
        return self.spec.signal.kind == "burn" or self.status.burn is not None

    def resolved_within(self, grace: timedelta, now: datetime) -> bool:
        """True if it was resolved (not merged, not deleted) at most `grace` before `now`."""
        ended = self.status.resolved_at
        return self.status.phase == "Resolved" and not self._gone and ended is not None and now - ended <= grace

    def reopens(self, grace: timedelta, now: datetime) -> bool:
        """True if a new breach of its root belongs to it although it is Resolved."""
        return self.burned and self.resolved_within(grace, now)

    @property
    def _gone(self) -> bool:
        return bool(self.status.merged_into or self.metadata.deletion_timestamp)
