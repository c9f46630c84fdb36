"""Settings of the operator process: environment variables, each of which a flag overrides (OPSLOOP_TICK ↔ --tick)."""

import argparse
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from opsloop.api.meta import parse_duration
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


def _url(text: str) -> str:
    if text and not re.match(r"https?://[^/]+", text):
        raise ValueError(f"{text!r} is not a URL; write for example http://prometheus.monitoring:9090")
    return text.rstrip("/")


def _positive(text: str) -> timedelta:
    value = parse_duration(text)
    if not value:
        raise ValueError("must be longer than 0s")
    return value


def _between(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"\d+", text) or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return read


def _about(read: Callable[[str], Any], text: str) -> dict[str, Any]:
    return {"read": read, "help": text}


@dataclass(frozen=True, slots=True)
class Settings:
    """One field per variable: `tick` is OPSLOOP_TICK."""

    namespaces: tuple[str, ...] = field(
        default=(), metadata=_about(_namespaces, "namespaces to look after, comma list; empty = all")
    )
    pod_namespace: str = field(
        default="opsloop", metadata=_about(_label, "namespace of this pod, where the Lease lives")
    )
    pod_name: str = field(default="", metadata=_about(str, "name of this pod; default the host name"))
    prometheus_url: str = field(
        default="", metadata=_about(_url, "Prometheus-compatible HTTP API; empty = every reading is unknown")
    )
    prometheus_resolution: timedelta = field(
        default=timedelta(seconds=15), metadata=_about(_positive, "scrape and rule interval of that Prometheus")
    )
    tick: timedelta = field(default=timedelta(seconds=5), metadata=_about(_positive, "how often SLIs are read"))
    pager_url: str = field(
        default="", metadata=_about(_url, "where pages are POSTed; empty = pages stay Decided and reach nobody")
    )
    pager_token_file: str = field(default="", metadata=_about(str, "file with the pager's bearer token"))
    intake_port: int = field(default=8080, metadata=_about(_between(0, 65535), "port of the intake; 0 = any free one"))
    metrics_port: int = field(
        default=8081, metadata=_about(_between(0, 65535), "port of /metrics, /livez and /readyz; 0 = any free one")
    )
    token_audience: str = field(
        default="opsloop", metadata=_about(str, "audience that tokens shown to the intake must be for")
    )
    workers: int = field(default=4, metadata=_about(_between(1, 64), "objects handled at the same time"))
    lease_name: str = field(default="opsloop", metadata=_about(_label, "Lease in the pod's namespace"))
    reopen_grace: timedelta = field(
        default=timedelta(minutes=30), metadata=_about(parse_duration, "how long after it resolved an Incident reopens")
    )


def variable(name: str) -> str:
    """Environment variable of a field."""
    return f"OPSLOOP_{name.upper()}"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting, its help naming the variable."""
    for item in fields(Settings):
        flag = f"--{item.name.replace('_', '-')}"
        parser.add_argument(
            flag, dest=item.name, default=None, metavar="X", help=f"{item.metadata['help']} ({variable(item.name)})"
        )


def load(environ: Mapping[str, str], flags: Sequence[str] | argparse.Namespace = ()) -> Settings:
    """Flags over environment over defaults. Raises Invalid that names every variable that is wrong, and what would be right."""
    if not isinstance(flags, argparse.Namespace):
        parser = argparse.ArgumentParser(prog="opsloop run", description="Run the operator.")
        add_flags(parser)
        flags = parser.parse_args(flags)
    values: dict[str, Any] = {}
    wrong = []
    for item in fields(Settings):
        text = getattr(flags, item.name, None)
        source = f"--{item.name.replace('_', '-')}" if text is not None else variable(item.name)
        text = text if text is not None else environ.get(variable(item.name))
        if text is None or (text == "" and item.default):
            continue
        try:
            values[item.name] = item.metadata["read"](text)
        except ValueError as error:
            wrong.append(f"{source}: {error}")
    if wrong:
        raise Invalid("; ".join(wrong))
    values.setdefault("pod_name", socket.gethostname())
    return Settings(**values)
