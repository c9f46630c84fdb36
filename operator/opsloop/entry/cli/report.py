"""`opsloop report`: what happened over weeks in a namespace or in all, from what is stored and from Prometheus."""

import argparse
from collections.abc import Mapping
from datetime import timedelta

from opsloop.adapters.clock import SystemClock
from opsloop.adapters.prometheus import Prometheus
from opsloop.api.meta import parse_duration
from opsloop.core.report.forms import FORMS
from opsloop.core.report.report import report as made
from opsloop.entry.cli.options import Commands, command, output
from opsloop.entry.cli.out import say_rendered
from opsloop.shell.evidence.reported import gather, window_until
from opsloop.shell.evidence.sources import Address, Cluster
from opsloop.shell.ports import Telemetry

SLOW = 60.0  # seconds; a month is asked for in one query
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=3660)


def add(commands: Commands) -> None:
    """Adds the command."""
    what = (
        "report over weeks: incidents, times to detect, mitigate and resolve, changes (DORA's four), budgets, cases that caught"
        " something"
    )
    made = command(commands, "report", report, what)
    made.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    made.add_argument(
        "--since",
        type=window,
        default=timedelta(days=30),
        metavar="DURATION",
        help="how far back, until now; default: 30d",
    )
    made.add_argument(
        "--prometheus",
        default="prometheus:9090",
        metavar="[NS/]SVC:PORT",
        help="Prometheus with the SLIs, for the budgets; without NS each namespace's own; default: %(default)s",
    )
    output(made, tuple(FORMS))


def window(text: str) -> timedelta:
    """A duration, for argparse."""
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not SHORTEST <= found <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text} is not between 1m and 3660d")
    return found


async def report(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Prints the report. What is not known is called unknown in it, and is no failure."""
    namespace = "" if arguments.all_namespaces else arguments.namespace

    def telemetry(of: str) -> Telemetry:
        address = Address.parse(arguments.prometheus, of)

        async def query(path: str, parameters: Mapping[str, str]) -> tuple[int, bytes]:
            return await cluster.raw("GET", address.base + path, parameters, timeout=SLOW)

        return Prometheus(query, f"Prometheus {address}")

    Address.parse(arguments.prometheus, "any")  # a wrong one is said before anything is read
    facts = await gather(cluster, telemetry, namespace, window_until(SystemClock().now(), arguments.since))
    say_rendered(FORMS[arguments.output](made(facts), namespace))
    return 0
