"""Settings of the operator process, one environment variable each; docs/operations.md lists them."""

import json
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from opsloop.api.incident import REOPEN_GRACE
from opsloop.api.meta import parse_duration
from opsloop.core.correlation.method import Method, read_method
from opsloop.core.errands.addresses import problem
from opsloop.core.facts import Address
from opsloop.core.incident.retention import RETENTION
from opsloop.core.slo.query_budget import QueryBudget
from opsloop.core.tickets.house import House, read_house
from opsloop.errors import Invalid

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def _namespaces(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in parts:
        if not LABEL.fullmatch(part):
            raise ValueError(f"{part!r} is not a namespace; write for example shop,billing")
    return parts


def _label(text: str) -> str:
    if not LABEL.fullmatch(text):
        raise ValueError(f"{text!r} is not a name; use lower case letters, digits and -")
    return text


def http_url(text: str) -> str:
    """An address, without the slash at its end. Raises ValueError, which repeats no password."""
    if "@" in text.rpartition("://")[2].partition("/")[0]:
        raise ValueError("holds a user name or a password, which logs would show; write them to files")
    if text and not re.match(r"https?://[^/]+", text):
        raise ValueError(f"{text!r} is not a URL; write for example http://prometheus.monitoring:9090")
    if "?" in text or "#" in text:
        raise ValueError("ends before ? and #: paths of the API are put behind it")
    return text.rstrip("/")


def _pager_url(text: str) -> str:
    if text and not re.match(r"https?://[^/]+", text):
        raise ValueError(f"{text!r} is not a URL; write for example https://pager.example/v1/page")
    return text.rstrip("/")


def _positive(text: str) -> timedelta:
    value = parse_duration(text)
    if not value:
        raise ValueError("must be longer than 0s")
    return value


def _query_budget(text: str) -> QueryBudget:
    each = 0
    own: dict[str, int] = {}
    for part in (part.strip() for part in text.split(",")):
        namespace, equals, number = part.rpartition("=")
        if not re.fullmatch(r"\d{1,6}", number) or (equals and not LABEL.fullmatch(namespace)) or (not equals and own):
            raise ValueError(f"{part!r} is no budget; write for example 600, or 600,shop=1200: queries per minute")
        if equals:
            own[namespace] = int(number)
        else:
            each = int(number)
    return QueryBudget(each, own)


def _addresses(text: str) -> tuple[Address, ...]:
    right = 'write for example [{"url": "https://hooks.example.com/opsloop/", "namespaces": ["shop"]}]'
    try:
        given = json.loads(text)
        found = tuple(
            Address(one["url"], tuple(one.get("namespaces") or ()), one.get("internal") is True) for one in given
        )
        strange = sorted({key for one in given for key in one} - {"url", "namespaces", "internal"})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"is no list of addresses; {right}") from error
    if strange:
        raise ValueError(f"{strange[0]} is no field of an address; {right}")
    for one in found:
        if wrong := problem(one.url):
            raise ValueError(wrong)
    return found


def _between(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"\d+", text) or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return read


@dataclass(frozen=True, slots=True)
class Settings:
    """One field per variable: `tick` is OPSLOOP_TICK."""

    namespaces: tuple[str, ...] = ()  # empty: all
    pod_namespace: str = "opsloop"  # the Lease lies in it
    pod_name: str = ""  # empty: the host name
    pod_uid: str = (
        ""  # a new process of this pod takes the Lease of its predecessor at once; empty: it waits until that is over
    )
    prometheus_url: str = ""  # empty: every reading is Unknown
    prometheus_resolution: timedelta = timedelta(seconds=15)  # scrape interval
    prometheus_delay: timedelta = timedelta(0)  # SLIs are evaluated so long ago: samples arrive late
    prometheus_file: str = (
        ""  # JSON: sources with their access (entry.sources); empty: the URL above, without credentials
    )
    query_budget: QueryBudget = field(default_factory=QueryBudget)  # queries per minute that a namespace may cost
    tick: timedelta = timedelta(seconds=5)  # between two reads of the SLIs
    pager_url: str = ""  # empty: pages stay Decided
    pager_token_file: str = ""
    notifications_file: str = ""  # JSON: receivers, routes and links (entry.notifications); empty: the pager above
    intake_port: int = 8080  # 0: any free one
    metrics_port: int = 8081  # 0: any free one
    console_port: int | None = None  # None: no console; 0: any free one
    console_audience: str = (
        ""  # of tokens that the console accepts; empty: the API server's own, as of people's OIDC tokens
    )
    token_audience: str = "opsloop"  # of tokens that the intake accepts
    workers: int = 4  # objects reconciled at the same time
    lease_name: str = "opsloop"
    reopen_grace: timedelta = REOPEN_GRACE
    repeat_interval: timedelta = timedelta(hours=4)  # of Alertmanager (its default): how often it repeats what goes on
    incident_retention: timedelta = RETENTION  # 0: for ever
    correlation: str = ""  # JSON: other words, lags and prices of grouping (core.correlation.method); empty: none
    webhooks: tuple[Address, ...] = ()  # that Runbooks may call; empty: none
    tickets_file: str = ""  # JSON: what the house says of its tickets (core.tickets.house); empty: nothing


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "namespaces": _namespaces,
    "pod_namespace": _label,
    "pod_name": str,
    "pod_uid": str,
    "prometheus_url": http_url,
    "prometheus_file": str,
    "prometheus_resolution": _positive,
    "prometheus_delay": parse_duration,
    "query_budget": _query_budget,
    "tick": _positive,
    "pager_url": _pager_url,
    "pager_token_file": str,
    "notifications_file": str,
    "intake_port": _between(0, 65535),
    "metrics_port": _between(0, 65535),
    "console_port": lambda text: _between(0, 65535)(text) if text else None,
    "console_audience": str,
    "token_audience": str,
    "workers": _between(1, 64),
    "lease_name": _label,
    "reopen_grace": parse_duration,
    "repeat_interval": _positive,
    "incident_retention": parse_duration,
    "correlation": str,
    "webhooks": _addresses,
    "tickets_file": str,
}
"""Each raises ValueError, with a right value, for a wrong text."""


def variable(name: str) -> str:
    """Environment variable of a field."""
    return f"OPSLOOP_{name.upper()}"


def load(environ: Mapping[str, str]) -> Settings:
    """Settings from the environment, else their defaults; an empty variable counts as unset where there is a default.

    Raises Invalid, which names every wrong variable and a right value.
    """
    values: dict[str, Any] = {}
    wrong = []
    for item in fields(Settings):
        text = environ.get(variable(item.name))
        if text is None or (text == "" and item.default):
            continue
        try:
            values[item.name] = _PARSERS[item.name](text)
        except ValueError as error:
            wrong.append(f"{variable(item.name)}: {error}")
    if wrong:
        raise Invalid("; ".join(wrong))
    values.setdefault("pod_name", socket.gethostname())
    return Settings(**values)


def load_house(settings: Settings) -> House:
    """What the house says of its tickets. Raises Invalid, which names the variable, the file and what is wrong in it."""
    if not settings.tickets_file:
        return House()
    where = f"{variable('tickets_file')}: {settings.tickets_file}"
    try:
        return read_house(Path(settings.tickets_file).read_bytes())
    except OSError as error:
        raise Invalid(f"{where}: {error.strerror or error}") from error
    except Invalid as error:
        raise Invalid(f"{where}: {error}") from error


def load_method(path: str) -> Method:
    """The method of grouping with what a file changes of it; "" = nothing. Raises Invalid, which names variable, file and field."""
    if not path:
        return Method()
    where = f"{variable('correlation')} {path}"
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise Invalid(f"{where}: {error.strerror or error}") from error
    return read_method(content, where)
