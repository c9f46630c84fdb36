"""Formats of receivers: for each message the requests that it takes there, update and end in that receiver's own way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from opsloop.api.meta import Severity
from opsloop.core.notify import alertmanager
from opsloop.core.notify.render import body, shipped
from opsloop.core.notify.words import House, completed, words

Name = Literal["alertmanager", "pagerduty", "opsgenie", "slack", "teams", "oncall", "json", "template"]
NOTHING = "nothing to send: this format has no such message"


@dataclass(frozen=True, slots=True)
class Call:
    """One request; `path` is put behind the receiver's URL."""

    body: Any
    path: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of receiver is told. `key`: it needs a key beside its URL; `resent`: it ends what nobody repeats."""

    calls: Callable[["Words", "Style"], list[Call]]
    severities: Mapping[str, str]
    url: str = ""  # where everybody's is
    key: str = ""  # what the key is called there
    resent: bool = False
    words: tuple[str, ...] = ()  # for severities, where it knows no other ones


@dataclass(frozen=True, slots=True)
class Style:
    """What a receiver's configuration says of its messages."""

    name: str  # of the receiver, for errors
    key: str = ""
    template: str = ""
    labels: Mapping[str, str] | None = None


Words = Mapping[str, Any]
SAME = {sev: sev for sev in ("sev1", "sev2", "sev3", "sev4")}


def calls(
    name: Name, message: Mapping[str, Any], house: House, style: Style, severities: Mapping[Severity, str]
) -> list[Call]:
    """The requests of one message, in their order; none where this format has no such message. Raises Invalid."""
    made = completed(message, house)
    by: dict[str, str] = {**FORMATS[name].severities, **dict(severities.items())}
    there = {**words(made, by[made["severity"]]), "key": style.key}
    there["severities_there"] = [by[one] for one in made["severities"]]
    return FORMATS[name].calls(there, style)


def _one(template: str) -> Callable[[Words, Style], list[Call]]:
    return lambda there, style: [Call(body(shipped(template), there, f"{style.name}: {template}"))]


def _own(there: Words, style: Style) -> list[Call]:
    return [Call(body(style.template, there, f"{style.name}: template"))]


def _pagerduty(there: Words, style: Style) -> list[Call]:
    if there["kind"] == "Release":  # a change: it calls nobody
        return [Call(body(shipped("pagerduty-change"), there, style.name), "/v2/change/enqueue")]
    return [Call(body(shipped("pagerduty"), there, style.name), "/v2/enqueue")]


def _opsgenie(there: Words, style: Style) -> list[Call]:
    """An alert is known by its alias. A later call opens it again or is counted there, so its words are a note, and its
    priority is set."""
    if there["kind"] == "Release":
        return []
    alias = quote(there["dedup_key"], safe="")
    note = {"source": "opsloop", "note": "\n".join([*there["paragraphs"], *there["links_as_lines"]])[:25_000]}

    def on(what: str, payload: Any, method: str = "POST") -> Call:
        return Call(payload, f"/v2/alerts/{alias}/{what}?identifierType=alias", method)

    if there["action"] == "resolve":
        return [on("close", note)]
    if there["action"] == "acknowledge":
        return [on("acknowledge", note)]
    opened = Call(body(shipped("opsgenie"), there, style.name), "/v2/alerts")
    if there["number"] == 1:
        return [opened]
    return [opened, on("priority", {"priority": there["severity_there"]}, "PUT"), on("notes", note)]


def _oncall(there: Words, style: Style) -> list[Call]:
    """It knows alerting and ok: an acknowledgement would alert again."""
    if there["action"] == "acknowledge" or there["kind"] == "Release":
        return []
    return _one("oncall")(there, style)


def _alertmanager(there: Words, style: Style) -> list[Call]:
    return [Call(alertmanager.alerts(there, style.labels or {}), "/api/v2/alerts")]


FORMATS: Mapping[Name, Format] = {
    "alertmanager": Format(
        _alertmanager, {"sev1": "critical", "sev2": "critical", "sev3": "warning", "sev4": "info"}, resent=True
    ),
    "pagerduty": Format(
        _pagerduty,
        {"sev1": "critical", "sev2": "error", "sev3": "warning", "sev4": "info"},
        "https://events.pagerduty.com",
        "routing key",
        words=("critical", "error", "warning", "info"),
    ),
    "opsgenie": Format(
        _opsgenie,
        {"sev1": "P1", "sev2": "P2", "sev3": "P3", "sev4": "P5"},
        "https://api.opsgenie.com",
        "API key",
        words=("P1", "P2", "P3", "P4", "P5"),
    ),
    "slack": Format(_one("slack"), SAME),
    "teams": Format(
        _one("teams"),
        {"sev1": "Attention", "sev2": "Attention", "sev3": "Warning", "sev4": "Default"},
        words=("Attention", "Warning", "Accent", "Good", "Default"),
    ),
    "oncall": Format(_oncall, SAME),
    "json": Format(_one("json"), SAME),
    "template": Format(_own, SAME),
}
NAMES: Sequence[Name] = tuple(FORMATS)
