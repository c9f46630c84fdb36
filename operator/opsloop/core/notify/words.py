"""The words of a message that every format shares, and where it leads: what templates see beside the message itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from opsloop.core.notify import render
from opsloop.errors import Invalid

LINKS = ("grafana", "console", "runbook", "postmortem")
LONGEST_LINK = 1024
LONGEST_FACT = 600
VERBS = {"acknowledge": "Acknowledged", "resolve": "Resolved"}


@dataclass(frozen=True, slots=True)
class House:
    """What all messages of an installation share: the cluster's name, and templates of URLs by the name of the link."""

    cluster: str = ""
    links: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def completed(message: Mapping[str, Any], house: House) -> dict[str, Any]:
    """The message with the cluster's name and its links: what plain JSON holds. A link that it has nothing for is left out.

    Raises Invalid, which names the link whose template is wrong.
    """
    whole = {**message, "cluster": house.cluster}
    seen = {name: value for name, value in whole.items() if name != "details"}
    links = {name: _link(name, template, seen) for name, template in house.links.items()}
    if message["action"] != "resolve":
        links.pop("postmortem", None)  # it is written when the Incident is over
    return {**whole, "links": {name: made for name, made in links.items() if made}}


def _link(name: str, template: str, seen: Mapping[str, Any]) -> str:
    made = render.url(template, seen, f"links.{name}")
    if made and not made.startswith(("https://", "http://")):
        raise Invalid(f"links.{name}: what it makes is not a URL; write for example https://grafana.example/d/opsloop")
    return made if len(made) <= LONGEST_LINK else ""


def words(message: Mapping[str, Any], severity_there: str) -> dict[str, Any]:
    """What templates see: the completed message, and its parts as sentences. `severity_there`: as the receiver calls it."""
    about = message["incident"] or message["release"]
    place = message["cluster"] and f" on {message['cluster']}"
    verb = VERBS.get(message["action"], "") if message["kind"] == "Incident" else ""
    sign = "" if message["kind"] == "Release" else f"[{message['severity']}] "
    headline = f"{verb}: {message['title']}" if verb else f"{sign}{message['title']}"
    named = ("cluster", "namespace", "service", "incident", "release", "team", "severity", "reason", "runbook")
    facts = {name: message[name] for name in named if message[name]} | {
        name: render.cut(value, LONGEST_FACT) for name, value in message["details"].items() if value
    }
    said = [message["message"]] if message["message"] else []
    paragraphs = said + [f"{render.label(name)}: {value}" for name, value in facts.items()]
    return {
        **message,
        "all": dict(message),
        "severity_there": severity_there,
        "headline": headline,
        "where": "/".join(part for part in (message["cluster"], message["namespace"], message["service"]) if part),
        "facts": facts,
        "facts_and_links": {**facts, **message["links"]},
        "paragraphs": paragraphs,
        "links_as_lines": [f"{render.label(name)}: {href}" for name, href in message["links"].items()],
        "footer": f"{message['kind']} {message['namespace']}/{about}{place} · {message['reason']} · {message['decidedAt']}",
    }
