"""A correction as it arrives: fields of a ConfigMap that a person writes, or a body of the intake. What is wrong is said by its field."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from opsloop.core.intake import require_object, shown
from opsloop.core.reported import Asked
from opsloop.core.text import line
from opsloop.core.tickets.arriving import MAX_NAME, identified, refuse_misspelt, shown_name
from opsloop.core.tickets.house import MAX_ROUTE
from opsloop.core.tickets.model import SEVERITIES
from opsloop.errors import Invalid

CHANGES = ("link", "unlink", "route", "category", "severity")
FIELDS = ("ticket", *CHANGES, "forget")
MAX_WHO = 128
MAX_FORGET = 200
_YES = ("true", True)
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_CATEGORY = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def asked_by(content: Any, identity: str, at: datetime, by: str) -> Asked:
    """The correction that `by`, as the API server knows them, asks for. Raises Invalid."""
    require_object(content, "body")
    refuse_misspelt(content, FIELDS)
    if unknown := [name for name in content if name not in FIELDS]:
        raise Invalid(f"{shown_name(unknown[0])}: there is no such field; there are {', '.join(FIELDS)}")
    forget, changes = (
        content.get("forget", ""),
        [name for name in CHANGES if content.get(name) not in (None, "", False)],
    )
    if forget:
        if changes or content.get("ticket"):
            raise Invalid("forget: it is of no ticket; write it alone, as SERVICE WORD or CATEGORY CATEGORY")
        return Asked(identity, at, by[:MAX_WHO], forget=_text(forget, "forget", MAX_FORGET))
    if not content.get("ticket"):
        raise Invalid("ticket: missing; name the ticket by its id")
    ticket = identified(content["ticket"], "ticket")
    if not changes:
        raise Invalid(f"{', '.join(CHANGES)}: none is there; say what to correct of ticket {line(ticket)}")
    if content.get("unlink") not in (None, "", False, "false", *_YES):
        raise Invalid(f"unlink: {shown(content['unlink'])} is not true")
    unlink = content.get("unlink") in _YES
    link = content.get("link") or ""
    if link and unlink:
        raise Invalid("unlink: link names an Incident too; a ticket is linked, or it is not")
    if link and not (isinstance(link, str) and _NAME.fullmatch(link)):
        raise Invalid(f"link: {shown(link)} is not the name of an Incident of this namespace, for example cart-1")
    category, severity = content.get("category") or "", content.get("severity") or ""
    if category and not (isinstance(category, str) and _CATEGORY.fullmatch(category)):
        raise Invalid(f"category: {shown(category)} is not a category; for example outage, billing or question")
    if severity and severity not in SEVERITIES:
        raise Invalid(f"severity: {shown(severity)} is no severity; there are {', '.join(SEVERITIES)}")
    route = _text(content["route"], "route", MAX_ROUTE) if content.get("route") else ""
    return Asked(identity, at, by[:MAX_WHO], ticket, link, unlink, route, category, severity)


def of_config_map(data: Mapping[str, Any], identity: str, at: datetime) -> Asked:
    """The correction of a ConfigMap that a person wrote; `by` in it is held to be its writer by an admission policy. What
    cannot be read is an Asked that says so: its writer gets an answer."""
    by = data.get("by")
    who = line(by)[:MAX_WHO] if isinstance(by, str) and by.strip() else ""
    try:
        if not who:
            raise Invalid("by: missing; it is your name as `kubectl auth whoami` shows it")
        return asked_by({name: value for name, value in data.items() if name != "by"}, identity, at, who)
    except Invalid as error:
        ticket = data.get("ticket")
        about = line(ticket)[:MAX_NAME] if isinstance(ticket, str) else ""
        return Asked(identity, at, who or "somebody", about, wrong=line(str(error))[:500])


def _text(value: Any, path: str, most: int) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= most:
        raise Invalid(f"{path}: {shown(value)} is not a text of 1 to {most} characters")
    return line(value.strip())
