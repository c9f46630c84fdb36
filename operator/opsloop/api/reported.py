"""What others report of an Incident: counts of its alerts, and the tickets that are linked to it."""

from pydantic import Field

from opsloop.api.cause import Evidence
from opsloop.api.meta import Model, Severity, Time


class AlertSample(Model):
    """Summary of one alert."""

    fingerprint: str = Field(max_length=64, description="Fingerprint computed by Alertmanager.")
    name: str = Field(max_length=128, description="Value of the label alertname.")
    service: str = Field(default="", max_length=128, description="Service of the alert.")
    status: str = Field(max_length=16, description="Status of the alert: firing, resolved or stale.")
    starts_at: Time = Field(description="Start of the alert, as reported by Alertmanager.")


class AlertCounts(Model):
    """Counts of an Incident's alerts, with a sample."""

    count: int = Field(default=0, description="Number of distinct alerts, by fingerprint.")
    firing: int = Field(default=0, description="Number of those that are firing.")
    stale: int = Field(
        default=0,
        description="Number of those whose end nobody reported and that nobody has repeated for three repeat intervals"
        " (setting intake.repeatInterval), for instance because a person silenced them. They do not count as firing.",
    )
    short: int = Field(
        default=0,
        description="Number of distinct alerts of which the ledger keeps only name, service, severity and times: those after the"
        " first thousand. They are counted like the others.",
    )
    first_at: Time | None = Field(default=None, description="Earliest start of an alert.")
    last_at: Time | None = Field(default=None, description="Latest start of an alert.")
    by_service: dict[str, int] = Field(
        default_factory=dict, max_length=1024, description="Number of distinct alerts, by service."
    )
    sample: list[AlertSample] = Field(
        default_factory=list, max_length=10, description="First alerts of the Incident, at most ten."
    )


class TicketExample(Model):
    """Question of a user, with the actual and the expected answer."""

    asked: str = Field(max_length=1024, description="Question or request, in the user's words.")
    got: str = Field(default="", max_length=1024, description="Answer that the user got.")
    expected: str = Field(max_length=1024, description="Answer that would have been right.")


class Corrected(Model):
    """What a person changed of a ticket."""

    at: Time = Field(description="Time of the latest change.")
    by: str = Field(max_length=128, description="Who made it, as the API server knew them.")
    fields: list[str] = Field(
        default_factory=list, max_length=4, description="What people changed: link, route, category, severity."
    )


class LinkedTicket(Model):
    """User's ticket that is linked to an Incident."""

    id: str = Field(max_length=128, description="Identifier of the ticket.")
    subject: str = Field(max_length=256, description="Subject of the ticket.")
    category: str = Field(max_length=32, description="Category from triage.")
    severity: Severity = Field(description="Severity from triage.")
    route: str = Field(max_length=64, description="Team or queue that the ticket is routed to.")
    score: float = Field(ge=0, le=1, description="Confidence in the link, from 0 to 1.")
    evidence: list[Evidence] = Field(default_factory=list, max_length=10, description="Evidence for the link.")
    example: TicketExample | None = Field(
        default=None, description="Example from the ticket, if any; it can become a regression EvalCase."
    )
    received_at: Time = Field(description="Time at which the intake stored the ticket.")
    corrected: Corrected | None = Field(
        default=None, description="What people corrected of it; absent where they corrected nothing."
    )
