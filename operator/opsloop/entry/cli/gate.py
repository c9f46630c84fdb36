"""`opsloop gate`: connects the ports through the API server's proxies, gathers evidence, judges it and prints it."""

import argparse
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from opsloop.adapters.clock import SystemClock
from opsloop.adapters.prober import Fetched, ProxyProber
from opsloop.adapters.prometheus import Prometheus
from opsloop.core.gate import SHORT, judge
from opsloop.core.gate.evidence import Options, SentTicket
from opsloop.core.gate.report import GateReport
from opsloop.entry.cli import table as cli_table
from opsloop.entry.cli.options import Commands, command
from opsloop.entry.cli.out import say_rendered
from opsloop.errors import Invalid
from opsloop.shell.evidence import Address, Sources, gather
from opsloop.shell.evidence.sources import Cluster

FORMS: Mapping[str, Callable[[GateReport, str], str]] = {
    "table": cli_table.table,
    "json": cli_table.as_json,
    "junit": cli_table.as_junit,
}
EXPECTED = ("expect_link", "expectLink")  # in a ticket of --tickets: whether it belongs to the Incident
SLOW = 30.0  # seconds; a range query covers a whole shift


def add_to(commands: Commands) -> None:
    """The command and its options."""
    made = command(commands, "gate", gate, "verify a shift: seven rows, each recomputed from its source")
    help_ = "Incident to judge; default: the newest of the highest severity"
    made.add_argument("--incident", default="", metavar="NAME", help=help_)
    add_options(made)


def add_options(made: argparse.ArgumentParser) -> None:
    """The options of whoever runs the gate, once the Incident is known."""
    add = made.add_argument
    add(
        "--prometheus",
        default="prometheus:9090",
        metavar="[NS/]SVC:PORT",
        help="the Prometheus that spec.slo.source names; default: %(default)s",
    )
    add(
        "--alertmanager",
        default="alertmanager:9093",
        metavar="[NS/]SVC:PORT",
        help="Alertmanager; default: %(default)s",
    )
    add(
        "--pager",
        default="",
        metavar="[NS/]SVC:PORT",
        help="receiver that keeps its pages; default: receiver:8080 where there is one, else what each receiver answered",
    )
    add("--tickets", metavar="FILE", help="JSON list of the tickets that were sent; each must be linked or queued")
    add(
        "--min-alerts",
        type=count,
        default=Options().min_alerts,
        metavar="N",
        help="distinct alerts that must have fired at least; 0 for a service without alert rules; default: %(default)s",
    )
    add(
        "--severity",
        choices=("sev1", "sev2"),
        default="sev1",
        help="that it must have been paged with; default: %(default)s",
    )
    add(
        "--waive",
        action="append",
        default=[],
        choices=tuple(SHORT),
        metavar="ROW",
        help=f"row that need not pass, which the report says; may be repeated: {', '.join(SHORT)}",
    )
    add(
        "--tick",
        type=seconds,
        default=5.0,
        metavar="SECONDS",
        help="tick of the operator; default: %(default)s",
    )
    add(
        "--rejected",
        action="append",
        default=[],
        metavar="VERSION",
        help="version that must have served no request; may be repeated",
    )
    add(
        "--served-metric",
        default="",
        metavar="SELECTOR",
        help="counter of served requests, with {{version}}; default: the one in the SLI",
    )
    add("-o", "--output", choices=tuple(FORMS), default="table", help="default: %(default)s")
    add("--json", action="store_true", help="the same as --output json")


async def gate(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Judges one shift, prints the seven rows and returns the exit code of the verdict."""
    sent = sent_tickets(arguments.tickets) if arguments.tickets else None
    sources = sources_of(arguments, cluster)
    evidence = await gather(sources, arguments.incident, sent, arguments.rejected, arguments.served_metric)
    report = judge(evidence, arguments.waive)
    form = "json" if arguments.json else arguments.output
    say_rendered(FORMS[form](report, arguments.namespace))
    return report.exit_code


def sources_of(arguments: argparse.Namespace, cluster: Cluster) -> Sources:
    """Builds the sources of evidence over one connection to the API server, with the caller's permissions."""
    namespace = arguments.namespace
    prometheus = Address.parse(arguments.prometheus, namespace)

    async def query(path: str, parameters: Mapping[str, str]) -> tuple[int, bytes]:
        return await cluster.raw("GET", prometheus.base + path, parameters, timeout=SLOW)

    async def pod(method: str, path: str, headers: dict[str, str], body: bytes, timeout: float) -> Fetched:  # noqa: ASYNC109
        return await cluster.exchange(method, path, *encodable(headers, body), timeout)

    telemetry = Prometheus(query)
    return Sources(
        cluster=cluster,
        telemetry=telemetry,
        rules=telemetry,
        prober=ProxyProber(pod, namespace, lambda name, port: cluster.forward(namespace, name, port)),
        clock=SystemClock(),
        namespace=namespace,
        alertmanager=Address.parse(arguments.alertmanager, namespace),
        pager=Address.parse(arguments.pager, namespace) if arguments.pager else None,
        options=Options(arguments.min_alerts, arguments.severity, timedelta(seconds=arguments.tick)),
    )


def encodable(headers: dict[str, str], body: bytes) -> tuple[dict[str, str], Any]:
    """Decodes a JSON body, because the Kubernetes client encodes a body of that content type itself."""
    if not body:
        return headers, None
    declared = next((v for k, v in headers.items() if k.lower() == "content-type"), "")
    if "json" not in declared.lower():
        return headers, body
    try:
        return headers, json.loads(body)
    except ValueError:
        others = {k: v for k, v in headers.items() if k.lower() != "content-type"}
        return {**others, "Content-Type": "text/plain"}, body


def sent_tickets(path: str) -> tuple[SentTicket, ...]:
    """Tickets of a JSON file, as the gate compares them. Raises Invalid that names the faulty item."""
    return tuple(_sent(item, f"--tickets {path}: [{i}]") for i, item in enumerate(_tickets(path)))


def ticket_bodies(path: str) -> tuple[dict[str, Any], ...]:
    """The same as the intake takes them: without what is said to the gate."""
    sent_tickets(path)
    return tuple({k: v for k, v in item.items() if k not in EXPECTED} for item in _tickets(path))


def _tickets(path: str) -> list[dict[str, Any]]:
    """A list, or an object with `tickets`. Raises Invalid."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"--tickets {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise Invalid(f"--tickets {path}: not JSON ({error})") from error
    items = content.get("tickets") if isinstance(content, dict) else content
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Invalid(f"--tickets {path}: not a list of tickets")
    return items


def _sent(item: Mapping[str, Any], where: str) -> SentTicket:
    expect = item.get("expect_link", item.get("expectLink"))
    if not (item.get("id") or item.get("subject")):
        raise Invalid(f"{where} has neither id nor subject")
    if expect is not None and not isinstance(expect, bool):
        raise Invalid(f"{where}.expect_link: {expect!r} is not true or false")
    return SentTicket(str(item.get("id", "")), str(item.get("subject", "")), expect)


def count(text: str) -> int:
    """Parses a number of at least 0, for argparse."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not at least 0")
    return value


def seconds(text: str) -> float:
    """Parses a time in seconds, above 0 and below 3600, for argparse."""
    value = float(text)
    if not 0 < value < 3600:
        raise argparse.ArgumentTypeError(f"{text} is not a time in seconds between 0 and 3600")
    return value
