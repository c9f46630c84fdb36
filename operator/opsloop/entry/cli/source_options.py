"""Which Prometheus a command asks, and how: options, or the operator's own file of sources."""

import argparse
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp
from pydantic import ValidationError

from opsloop.adapters.prometheus import Prometheus
from opsloop.api.meta import parse_duration
from opsloop.entry.settings import Settings, load
from opsloop.entry.sources import SourceConfig, connect_sources, fault, load_sources
from opsloop.errors import Invalid
from opsloop.shell.evidence.sources import Address, Raw
from opsloop.shell.ports import Source

SLOW = 60.0  # seconds of one answer through the API server's proxy
SERVICE = re.compile(r"([a-z0-9][-a-z0-9.]*/)?[a-z0-9][-a-z0-9]*:\d+")


def duration(text: str) -> timedelta:
    """A duration above 0, for argparse."""
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not found:
        raise argparse.ArgumentTypeError("must be longer than 0s")
    return found


def header(text: str) -> tuple[str, str]:
    """NAME=VALUE, for argparse."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=VALUE, for example X-Scope-OrgID=shop")
    return name, value


def add_to(command: argparse.ArgumentParser) -> None:
    """The options."""
    group = command.add_argument_group("Prometheus")
    add = group.add_argument
    where = "URL, or [NS/]SVC:PORT of a Service, asked through the API server; default: OPSLOOP_PROMETHEUS_URL"
    add("--prometheus", default="", metavar="URL|SVC:PORT", help=where)
    add("--sources", default="", metavar="FILE",
        help="the operator's file of sources, of which the Release names one; default: OPSLOOP_PROMETHEUS_FILE")  # fmt: skip
    add(
        "--bearer-token-file",
        default="",
        metavar="FILE",
        help="token to send; as in prometheus.sources, so are the next ones",
    )
    add("--username", default="", metavar="NAME", help="of basic auth, with --password-file")
    add("--password-file", default="", metavar="FILE", help="its password")
    add("--ca-file", default="", metavar="FILE", help="CA to trust")
    add("--cert-file", default="", metavar="FILE", help="client certificate, with --key-file")
    add("--key-file", default="", metavar="FILE", help="its key")
    add("--server-name", default="", metavar="NAME", help="name in the server's certificate")
    add("--insecure-skip-verify", action="store_true", help="trust any certificate")
    add(
        "--header",
        action="append",
        default=[],
        type=header,
        metavar="NAME=VALUE",
        help="for example X-Scope-OrgID=shop",
    )
    add(
        "--resolution",
        type=duration,
        default=None,
        metavar="TIME",
        help="scrape interval; default: 15s, or as the file says",
    )
    add(
        "--delay",
        type=parse_duration,
        default=None,
        metavar="TIME",
        help="how late samples arrive; default: 0s, or as the file says",
    )


def through_api_server(arguments: argparse.Namespace) -> bool:
    """True where Prometheus is named as a Service."""
    return bool(SERVICE.fullmatch(arguments.prometheus))


@asynccontextmanager
async def opened(arguments: argparse.Namespace, name: str, cluster: Raw | None) -> AsyncIterator[Source]:
    """The source of this name, with resolution and delay as the options, the file or the settings say. Raises Invalid."""
    settings = load(os.environ)
    if through_api_server(arguments):
        if cluster is None:
            raise Invalid(f"--prometheus {arguments.prometheus}: there is no cluster to ask it through")
        yield _timed(_proxied(arguments, cluster), arguments, settings)
        return
    configs = _configs(arguments, settings, name)
    if name not in configs:
        raise Invalid(f"spec.slo.source: there is no {name!r} in --sources; there are {', '.join(configs)}")
    if not configs[name].url:
        raise Invalid(
            "which Prometheus? give --prometheus URL, for example http://prometheus.monitoring:9090, or --sources FILE"
        )
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        yield _timed(connect_sources({name: configs[name]}, session)[name], arguments, settings)


def _timed(source: Source, arguments: argparse.Namespace, settings: Settings) -> Source:
    resolution = arguments.resolution or source.resolution or settings.prometheus_resolution
    delay = next(d for d in (arguments.delay, source.delay, settings.prometheus_delay) if d is not None)
    return replace(source, resolution=resolution, delay=delay)


def _proxied(arguments: argparse.Namespace, cluster: Raw) -> Source:
    if _given(arguments):
        raise Invalid(
            "the API server's proxy passes no credentials on; give --prometheus as a URL, for example of a port-forward"
        )
    address = Address.parse(arguments.prometheus, arguments.namespace)

    async def ask(path: str, parameters: Mapping[str, str]) -> tuple[int, bytes]:
        return await cluster.raw("GET", address.base + path, parameters, timeout=SLOW)

    one = Prometheus(ask, f"Prometheus {address}")
    return Source(one, one)


def _configs(arguments: argparse.Namespace, settings: Settings, name: str) -> Mapping[str, SourceConfig]:
    """The sources by name. One that options describe is the one that is asked for."""
    given = _given(arguments)
    if arguments.prometheus:
        if arguments.sources:
            raise Invalid("give --prometheus, or --sources, not both")
        try:
            one = SourceConfig.model_validate({"url": arguments.prometheus, **given})
        except ValidationError as error:
            raise Invalid(f"--prometheus: {'; '.join(map(fault, error.errors(include_input=False)))}") from None
        return {name: one}
    if given:
        raise Invalid("credentials are for --prometheus URL; those of --sources are in its file")
    return load_sources(replace(settings, prometheus_file=arguments.sources or settings.prometheus_file))


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the options say of one source, with the names of the file's fields."""
    tls = {
        "caFile": arguments.ca_file, "certFile": arguments.cert_file, "keyFile": arguments.key_file,
        "serverName": arguments.server_name, "insecureSkipVerify": arguments.insecure_skip_verify,
    }  # fmt: skip
    given: dict[str, Any] = {"bearerTokenFile": arguments.bearer_token_file, "headers": dict(arguments.header)}
    given["tls"] = {field: value for field, value in tls.items() if value}
    if arguments.username or arguments.password_file:
        given["basicAuth"] = {"username": arguments.username, "passwordFile": arguments.password_file}
    return {field: value for field, value in given.items() if value}
