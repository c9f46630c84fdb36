"""What others report: alerts and tickets, from the inbox to the ledgers and the ticket queue, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from opsloop.api.meta import Severity
from opsloop.api.reported import TicketExample


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of an Alertmanager body, or of the ledger."""

    fingerprint: str
    status: Literal["firing", "resolved"]
    starts_at: datetime
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    received_at: datetime
    ends_at: datetime | None = None
    heard_at: datetime | None = None  # of a ledger: the last time that somebody spoke of it; None: at `received_at`


@dataclass(frozen=True, slots=True)
class Ticket:
    """A user's report, as the intake stored it."""

    id: str
    subject: str
    body: str
    channel: str
    reporter: str
    created_at: datetime
    received_at: datetime
    example: TicketExample | None = None
    automatic: str = ""  # what wrote it in place of a person, by its headers: auto-reply, bounce


Category = Literal["outage", "performance", "bug", "billing", "account", "question", "feature_request", "unknown"]


@dataclass(frozen=True, slots=True)
class Triage:
    """The judgement on one ticket's text (`core.tickets.triage`)."""

    category: Category  # unknown: the text cannot be read, people judge it
    severity: Severity
    route: str
    because: str = ""  # the strongest terms of the judgement
    own: str = ""  # the house's own category of it, which is like `category`; "" = none

    @property
    def called(self) -> str:
        """The category as people of the house see it."""
        return self.own or self.category


@dataclass(frozen=True, slots=True)
class OwnCategory:
    """A category of the house: tickets of `like` in which one of `words` stands; of no words: all of them."""

    like: Category
    route: str = ""  # "" = as of `like`
    severities: tuple[Severity, ...] = ()  # that it can have; () = any
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HouseWords:
    """What a house says of its tickets in configuration. `routes`: category → who takes them; `known_as`: service → how users call it."""

    routes: Mapping[str, str] = field(default_factory=dict)
    known_as: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    categories: Mapping[str, OwnCategory] = field(default_factory=dict)  # those with words come first


@dataclass(frozen=True, slots=True)
class Asked:
    """A correction that somebody asks for (`core.tickets.asked`): of one ticket, or of what was learnt. Empty = stays as it is."""

    id: str
    at: datetime
    by: str
    ticket: str = ""
    link: str = ""  # Incident that it belongs to
    unlink: bool = False  # it belongs to no Incident
    route: str = ""
    category: str = ""
    severity: str = ""
    forget: str = ""  # SERVICE WORD, or CATEGORY CATEGORY
    wrong: str = ""  # why it cannot be read


Matter = Literal["link", "unlink", "route", "category", "severity"]


@dataclass(frozen=True, slots=True, order=True)
class Correction:
    """One thing that a person changed of a ticket. Of those on one matter the latest `turn` counts."""

    ticket: str
    turn: int  # 1 for the ticket's first correction, and so on
    what: Matter
    before: str  # of link and unlink the Incident, "" = the queue
    after: str
    by: str
    at: datetime
    id: str  # of what was asked: doing it again is nothing


@dataclass(frozen=True, slots=True)
class QueuedTicket:
    """A ticket that no Incident explains yet, as it was judged, and what people corrected: the queue is read by `route`."""

    ticket: Ticket
    triage: Triage
    corrections: tuple[Correction, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a correction that was asked for."""

    id: str
    at: datetime
    by: str
    ticket: str
    done: bool
    text: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one correction teaches: that the words of a ticket mean a service, or do not; or how its category was wrong."""

    id: str
    ticket: str
    service: str = ""
    means: bool = True
    before: str = ""  # category
    after: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Taught:
    """What people's corrections taught in a namespace (`core.tickets.taught`), and the answers to the latest ones."""

    lessons: tuple[Lesson, ...] = ()
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """An Incident that a ticket may belong to.

    `affected`: service → what a word for it is worth, of those that its alerts tell of; `symptoms`: failing, slow (`core.tickets.linking`);
    `reached`: likewise of those that need the root and of which nothing is told; `known_as`: service → words of the house.
    """

    incident: str
    root: str
    affected: Mapping[str, float]
    symptoms: frozenset[str]
    onset: datetime
    ended: datetime | None
    severity: Severity
    team: str = ""  # owner of the root Release, if it is known
    known_as: Mapping[str, Sequence[str]] = field(default_factory=dict)
    learnt: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # service → word → tickets that taught it
    reached: Mapping[str, float] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()  # all other services that are known
    entry: bool = False  # it harms what nobody calls but users: what they mean by "the site" and "everything"


@dataclass(frozen=True, slots=True)
class Looked:
    """What the last look saw: the candidates, and of each ticket that none of them explained the number of its corrections."""

    candidates: tuple[Candidate, ...] = ()
    tickets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """Alerts, tickets and corrections of one inbox ConfigMap."""

    alerts: tuple[Alert, ...] = ()
    tickets: tuple[Ticket, ...] = ()
    name: str = ""  # of the ConfigMap
    uid: str = ""
    asked: tuple[Asked, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Moved:
    """An alert episode that changed Incidents, as the ledger of one of both tells it. Of several the latest `turn` counts."""

    fingerprint: str
    starts_at: datetime
    turn: int  # 1 for the episode's first move, and so on
    out: bool  # it left this ledger; else it came here
    other: str  # the Incident at the other end
    at: datetime
    why: str = ""


Row = tuple[int, int, int | None, int | None, bool, Mapping[str, str]]
"""One episode in short form: startsAt, receivedAt, endsAt and heardAt in microseconds of Unix time, whether it ended, and its labels.

A plain tuple of plain values: the collector of garbage looks through a hundred thousand of them in no time.
"""


@dataclass(frozen=True, slots=True)
class Tally:
    """What the alerts of one page count for."""

    count: int  # distinct alerts
    unended: tuple[tuple[datetime, int], ...]  # when somebody last spoke of them → how many have no end
    by_service: Mapping[str, int]
    first_at: datetime | None
    last_at: datetime | None
    loudest: int  # `alerts.labels.loudness` of those that fire; -1 = none fires


@dataclass(frozen=True, slots=True)
class Page:
    """Alerts in short form (`core.alerts.pages`): fingerprint → its episodes by their beginning."""

    by_print: Mapping[str, tuple[Row, ...]]
    tally: Tally


@dataclass(frozen=True, slots=True)
class Ledger:
    """All alerts and linked tickets of one Incident (its owned ConfigMaps)."""

    alerts: tuple[Alert, ...] = ()
    tickets: tuple[dict[str, Any], ...] = ()  # LinkedTicket dumps
    gone: tuple[Alert, ...] = ()  # what was filed here and left: kept, as it may come back
    moves: tuple[Moved, ...] = ()  # the latest one of each episode that came or left
    pages: tuple[Page, ...] = ()  # further alerts of a long storm, in short form
    originals: tuple[Ticket, ...] = ()  # the tickets as they came: a person may take them out again
    corrections: tuple[Correction, ...] = ()  # by people, of tickets that are here or were
