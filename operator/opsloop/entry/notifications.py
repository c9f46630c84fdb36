"""Who is told of what: the file of OPSLOOP_NOTIFICATIONS_FILE, and the one receiver of OPSLOOP_PAGER_URL.

Only whoever configures the operator names addresses: no field of an object in a namespace leads anywhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import aiohttp
from pydantic import Field, field_validator, model_validator

from opsloop.adapters.http_access import AccessModel
from opsloop.adapters.pager import HttpReceiver, ReceiverConfig, Receivers
from opsloop.api.meta import Severity
from opsloop.api.page import PageMessage
from opsloop.core.actions import About, SendPage
from opsloop.core.notify.formats import FORMATS, Style, calls
from opsloop.core.notify.routing import MOST_RECEIVERS, PAGER, Kind, Route, Routing
from opsloop.core.notify.words import LINKS, House
from opsloop.entry.settings import Settings, variable
from opsloop.entry.sources import read_file
from opsloop.errors import Invalid
from opsloop.shell.notify.payload import payload
from opsloop.shell.ports import Object

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
Pattern = Annotated[str, Field(min_length=1, max_length=128)]


class RouteConfig(AccessModel):
    """One route; an empty list fits everything."""

    receivers: Annotated[list[str], Field(min_length=1, max_length=MOST_RECEIVERS)]
    namespaces: list[Pattern] = Field(default_factory=list)
    teams: list[Pattern] = Field(default_factory=list)
    severities: list[Severity] = Field(default_factory=list)
    reasons: list[Pattern] = Field(default_factory=list)
    kind: Kind = "Incident"
    continue_: bool = Field(default=False, alias="continue")


class NotificationsFile(AccessModel):
    """The whole file."""

    cluster: str = Field(default="", max_length=128)
    links: dict[str, str] = Field(default_factory=dict)
    receivers: Annotated[dict[str, ReceiverConfig], Field(max_length=MOST_RECEIVERS - 1)] = Field(default_factory=dict)
    routes: Annotated[list[RouteConfig], Field(max_length=64)] = Field(default_factory=list)
    default: list[str] = Field(default_factory=list)

    @field_validator("links")
    @classmethod
    def _known(cls, links: dict[str, str]) -> dict[str, str]:
        for name in links:
            if name not in LINKS:
                raise ValueError(f"{name[:64]!r} is no link; there are {', '.join(LINKS)}")
        return {name: link for name, link in links.items() if link}

    @field_validator("receivers")
    @classmethod
    def _named(cls, receivers: dict[str, ReceiverConfig]) -> dict[str, ReceiverConfig]:
        for name in receivers:
            if not NAME.fullmatch(name) or name == PAGER:
                raise ValueError(
                    f"{name[:64]!r} cannot be a name; use at most 40 lower case letters, digits and -, and not {PAGER}"
                )
        return receivers

    @model_validator(mode="after")
    def _all_there(self) -> "NotificationsFile":
        known = {*self.receivers, PAGER}
        named = [(f"routes.{i}.receivers", name) for i, route in enumerate(self.routes) for name in route.receivers]
        for field, name in [*named, *(("default", name) for name in self.default)]:
            if name not in known:
                raise ValueError(f"{field}: {name[:64]!r} is no receiver; there are {', '.join(sorted(known))}")
        return self


@dataclass(frozen=True, slots=True)
class Notifications:
    """What was configured, whole: every name leads to a receiver."""

    receivers: Mapping[str, ReceiverConfig]
    routing: Routing
    house: House


def load_notifications(settings: Settings) -> Notifications:
    """Everything that is configured. Raises Invalid, which names the variable, the file and the field, and repeats no value."""
    path = settings.notifications_file
    file = read_file("notifications_file", path, NotificationsFile) if path else NotificationsFile()
    receivers = dict(file.receivers)
    if settings.pager_url:
        pager = {"format": "json", "url": settings.pager_url, "bearerTokenFile": settings.pager_token_file}
        receivers[PAGER] = ReceiverConfig.model_validate(pager)
    default = tuple(file.default) or (PAGER,)
    used = {*default, *(name for route in file.routes for name in route.receivers)}
    where = f"{variable('notifications_file')}: {settings.notifications_file}"
    if PAGER in used and PAGER not in receivers and receivers:
        raise Invalid(f"{where}: default: missing; name the receivers of what no route fits, for example [{min(receivers)}]")  # fmt: skip
    routes = tuple(
        Route(
            tuple(r.receivers), tuple(r.namespaces), tuple(r.teams), tuple(r.severities), tuple(r.reasons), r.kind, r.continue_,
        )
        for r in file.routes
    )  # fmt: skip
    resent = frozenset(name for name, one in receivers.items() if FORMATS[one.format].resent)
    made = Notifications(
        receivers, Routing(routes, default, resent, frozenset(receivers)), House(file.cluster, file.links)
    )
    _try(made, where)
    return made


def connect_receivers(made: Notifications, session: aiohttp.ClientSession) -> Receivers:
    """The receivers as a port."""
    return Receivers({name: HttpReceiver(session, name, one, made.house) for name, one in made.receivers.items()})


def sample(action: str, number: int, at: datetime, key: str = "opsloop-test") -> Object:
    """A message that says that it is a test."""
    message = PageMessage.model_validate(
        {
            "number": number, "action": action, "reason": "Test", "severity": "sev3", "state": "Decided", "decided_at": at,
            "text": "This is a test of opsloop's notifications: nothing is wrong, and nobody needs to act.",
        }
    )  # fmt: skip
    about = About(service="opsloop-test", team="test", runbook="test", since=at, called=("sev3",))
    details = {"service": "opsloop-test"}
    return payload(
        "opsloop-test",
        SendPage("opsloop-test", "Test of opsloop's notifications", key, message, details, about=about),
        at,
    )


def _try(made: Notifications, where: str) -> None:
    """Makes a message for every receiver, so that a wrong template is found at start and not in the night."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for name, one in made.receivers.items():
        for number, action in enumerate(("trigger", "trigger", "acknowledge", "resolve"), 1):
            try:
                style = Style(name, "key", one.template, one.labels)
                calls(one.format, sample(action, number, at), made.house, style, one.severities)
            except Invalid as error:
                raise Invalid(f"{where}: {error}") from error
