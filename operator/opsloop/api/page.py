"""The thread of an Incident at the pager: what people must hear of it, message by message."""

from typing import Annotated, Literal

from pydantic import Field

from opsloop.api.meta import Model, Severity, Time
from opsloop.api.schema import map_list


class PageMessage(Model):
    """Message of the thread: recorded before the pager is called, then delivered or given up."""

    number: int = Field(ge=1, description="Number of the message within the thread, from 1; a repeat has the same one.")
    action: Literal["trigger", "acknowledge", "resolve"] = Field(
        description="Action at the pager: trigger calls a person, acknowledge stops the calls, resolve ends the thread."
    )
    reason: str = Field(max_length=64, description="Named reason for the message, for example Severity or Escalated.")
    severity: Severity = Field(description="Severity of the Incident at that time.")
    text: str = Field(default="", max_length=512, description="Content of the message in one sentence.")
    state: Literal["Decided", "Sent", "GivenUp", "Grouped"] = Field(
        description="Decided before a receiver is called, Sent after the first one answered 2xx, GivenUp if the message did not matter any more, Grouped if another message of the group says it."
    )
    to: list[Annotated[str, Field(max_length=40)]] = Field(
        default_factory=list,
        max_length=16,
        description="Names of the receivers that the message is for, without those at which it was given up.",
    )
    group: str = Field(
        default="",
        max_length=128,
        description="Key of the thread that collects the pages of a namespace where there are many within minutes; empty for the Incident's own thread.",
    )
    decided_at: Time = Field(description="Time of the decision to send the message.")
    ended_at: Time | None = Field(
        default=None, description="Time at which the first receiver answered 2xx, or at which the message was given up."
    )


class PageReceiver(Model):
    """What one receiver did with the messages of the thread: it gets them in their order."""

    name: str = Field(max_length=40, description="Name of the receiver in the operator's configuration.")
    taken: int = Field(default=0, ge=0, description="Number of the latest message that it took, 0 for none.")
    taken_at: Time | None = Field(default=None, description="Time at which it answered 2xx to that message.")
    answer: str = Field(default="", max_length=256, description="Status and beginning of that answer.")
    failure: str = Field(
        default="", max_length=256, description="Last failure of the message after that, empty if there is none."
    )


class Notice(Model):
    """What a Release has to tell; it calls nobody, and is no alert that ends."""

    number: int = Field(ge=1, description="Number of the notice, from 1.")
    reason: str = Field(max_length=64, description="Named reason: Promoted, Rejected, Refused or WaitingForApproval.")
    title: str = Field(max_length=256, description="What happened.")
    text: str = Field(default="", max_length=512, description="Why, or what to do.")
    to: list[Annotated[str, Field(max_length=40)]] = Field(
        default_factory=list, max_length=16, description="Receivers that have not taken it yet."
    )
    told: list[Annotated[str, Field(max_length=128)]] = Field(
        default_factory=list, max_length=16, description="Receivers that took it, each with what it answered."
    )
    decided_at: Time = Field(description="Time at which it happened.")


class Page(Model):
    """Thread of an Incident at the pager; there is at most one, with one deduplication key."""

    state: Literal["Decided", "Sent", "GivenUp", "Grouped"] = Field(
        description="State of the latest call to a person: Decided before the pager is called, Sent after it answered 2xx, GivenUp if nobody was reached, Grouped if one page told of many Incidents."
    )
    severity: Severity = Field(description="Severity of the latest call to a person.")
    dedup_key: str = Field(
        max_length=128, description="Key of the thread; the pager collects all messages of one key in one alert."
    )
    decided_at: Time = Field(description="Time of the decision to page first.")
    sent_at: Time | None = Field(default=None, description="Time at which the pager first answered 2xx.")
    reason: str = Field(default="", max_length=64, description="Named reason for the latest call to a person.")
    continues: str = Field(
        default="",
        max_length=128,
        description="Key of the alert at the pager that an Incident merged into this one had opened and that this thread goes on with; empty if it has an alert of its own.",
    )
    opened_by: str = Field(
        default="",
        max_length=253,
        description="Name of the Incident that opened the alert that this thread goes on with; empty if it opened it itself.",
    )
    opened_for: str = Field(default="", max_length=253, description="Service of that Incident.")
    receivers: list[PageReceiver] = Field(
        default_factory=list,
        max_length=16,
        description="Receivers that were called for this thread, each with what it took and answered.",
        json_schema_extra=map_list("name"),
    )
    messages: list[PageMessage] = Field(
        default_factory=list,
        max_length=32,
        description="Latest messages of the thread, oldest first.",
        json_schema_extra=map_list("number"),
    )

    @property
    def alert(self) -> str:
        """Key of the alert at the pager that the messages of this thread are about."""
        return self.continues or self.dedup_key
