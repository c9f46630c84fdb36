"""`opsloop correlate`: replays recorded storms offline through the code that the operator runs, and says why.

Files: one Alertmanager webhook body (version 4) per line, in order of arrival. The setting OPSLOOP_CORRELATION names a JSON file with
other words, lags or prices (`core.correlation.method`).
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opsloop.core.correlation.facts import Reader
from opsloop.core.correlation.grouping import Group
from opsloop.core.correlation.replay import Replay, TicketPlace, place_tickets
from opsloop.core.correlation.search import Attribution
from opsloop.core.intake import parse_alerts, parse_json, parse_time
from opsloop.core.reported import Alert, Ticket
from opsloop.core.tickets.arriving import parse_ticket
from opsloop.core.topology import Graph
from opsloop.entry.cli.out import say, say_rendered
from opsloop.entry.settings import load_method, variable
from opsloop.errors import Invalid

SETTING = variable("correlation")
UNKNOWN_ARRIVAL = datetime.max.replace(tzinfo=UTC)


def correlate(arguments: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """Replays the files and prints groups, roots and tickets. Raises Invalid that names file, line and field."""
    method = load_method(environ.get(SETTING, ""))
    graph = topology(arguments.topology) if arguments.topology else None
    storms = [Path(name) for name in arguments.storms]
    if len({path.stem for path in storms}) < len(storms):
        raise Invalid("STORM.jsonl: two files have the same name without its ending, by which the answer names them")
    arrived = arrivals(arguments.arrivals) if arguments.arrivals else {}
    tickets = tickets_of(arguments.tickets, {path.stem for path in storms}) if arguments.tickets else None
    result: dict[str, Any] = {}
    for path in storms:
        reader = Reader(graph or Graph({}), method, strangers=graph is None)
        replay = replayed(path, reader, arrived.get(path.stem))
        own = None if tickets is None else tickets.get(path.stem, [])
        places = place_tickets(replay, own) if own is not None else None
        if arguments.output == "json":
            result[path.stem] = as_json(replay, places)
        else:
            for text in table(path.stem, replay, places, own or ()):
                say(text)
    if arguments.output == "json":
        say_rendered(json.dumps(result, indent=1))
    return 0


def replayed(path: Path, reader: Reader, arrived: Sequence[datetime] | None) -> Replay:
    """The whole storm, body by body."""
    replay = Replay(reader)
    bodies = list(_lines(path))
    if arrived is not None and len(arrived) != len(bodies):
        raise Invalid(f"--arrivals: {path.stem}: {len(arrived)} times for the {len(bodies)} bodies of {path}")
    times = arrived or [UNKNOWN_ARRIVAL] * len(bodies)
    for (number, line), at in sorted(zip(bodies, times, strict=True), key=lambda pair: (pair[1], pair[0][0])):
        replay.add(_alerts(line, at, f"{path}:{number}"))
    return replay


def _alerts(line: bytes, at: datetime, where: str) -> tuple[Alert, ...]:
    try:
        return parse_alerts(parse_json(line), at)
    except Invalid as error:
        raise Invalid(f"{where}: {error}") from error


def topology(path: str) -> Graph:
    """The graph of a file {"services": {NAME: {"namespace": …, "dependsOn": […]}}}. Raises Invalid."""
    where = f"--topology {path}"
    content = _read(Path(path), "--topology")
    services = content.get("services") if isinstance(content, dict) else None
    if not isinstance(services, dict):
        raise Invalid(f'{where}: services: not an object; write {{"services": {{"web": {{"dependsOn": ["cart"]}}}}}}')
    needs: dict[str, list[str]] = {}
    namespaces: dict[str, str] = {}
    for name, service in services.items():
        if not isinstance(service, dict):
            raise Invalid(f"{where}: services.{name}: not an object with namespace and dependsOn")
        needed = service.get("dependsOn", [])
        if not isinstance(needed, list) or not all(isinstance(n, str) and n for n in needed):
            raise Invalid(f"{where}: services.{name}.dependsOn: not a list of service names")
        namespace = service.get("namespace", "")
        if not isinstance(namespace, str):
            raise Invalid(f"{where}: services.{name}.namespace: not a name")
        needs[name] = needed
        namespaces |= {name: namespace} if namespace else {}
    return Graph(needs, namespaces)


def arrivals(path: str) -> dict[str, list[datetime]]:
    """Storm → times of arrival, one per line of its file. Raises Invalid."""
    content = _read(Path(path), "--arrivals")
    if not isinstance(content, dict):
        raise Invalid(f"--arrivals {path}: not an object of a list of times for each storm")
    times: dict[str, list[datetime]] = {}
    for storm, moments in content.items():
        if not isinstance(moments, list):
            raise Invalid(f"--arrivals {path}: {storm}: not a list of times")
        times[storm] = [
            parse_time(moment, f"--arrivals {path}: {storm}[{i}]") or UNKNOWN_ARRIVAL
            for i, moment in enumerate(moments)
        ]
    return times


def tickets_of(path: str, storms: set[str]) -> dict[str, list[Ticket]]:
    """Storm → its tickets; a file has one ticket per line, with `storm` where there are several. Raises Invalid."""
    tickets: dict[str, list[Ticket]] = {}
    only = next(iter(storms)) if len(storms) == 1 else ""
    for number, line in _lines(Path(path), "--tickets "):
        where = f"--tickets {path}:{number}"
        try:
            body = parse_json(line)
            ticket = parse_ticket(body, UNKNOWN_ARRIVAL)
        except Invalid as error:
            raise Invalid(f"{where}: {error}") from error
        storm = body.get("storm", only)
        if not isinstance(storm, str) or not storm:
            raise Invalid(f"{where}: storm: missing; name the file, without its ending, in whose time the ticket came")
        tickets.setdefault(storm, []).append(ticket)
    return tickets


def as_json(replay: Replay, places: Mapping[str, TicketPlace] | None) -> dict[str, Any]:
    """One storm: fingerprint → group or null, group → root, ticket → judgement."""
    of = replay.group_of()
    answer: dict[str, Any] = {
        "groups": {fingerprint: of.get(fingerprint) for fingerprint in sorted(replay.alerts)},
        "roots": {name: group.service.split("/")[-1] for name, group in replay.groups().items()},
    }
    if places is not None:
        answer["tickets"] = {
            name: {
                "category": place.triage.category,
                "severity": place.triage.severity,
                "incident": place.group or None,
            }
            for name, place in places.items()
        }
    return answer


def table(
    stem: str, replay: Replay, places: Mapping[str, TicketPlace] | None, tickets: Sequence[Ticket]
) -> Iterator[str]:
    """Every alert with the reason for its place: prices in nats, the least sum wins."""
    groups = replay.groups()
    loose = len(replay.alerts) - len(replay.group_of())
    yield f"{stem}: {len(replay.alerts)} alerts, {len(groups)} incidents, {loose} alerts belong to none"
    for name, group in groups.items():
        first = replay.first_roots[name]
        renamed = f" (at first {first})" if first != group.service else ""
        yield f"  {name}  {group.service}{renamed}  since {_clock(group.at)}{_found(group)}; a root for {group.prior:.2f}"
        yield from (line for a in group.attributions for line in _alerts_of(a, replay, group))
    loose_facts = replay.grouping.noise
    told = {r.key for a in loose_facts for r in a.fact.readings} | {k for g in groups.values() for k in g.keys}
    if loose_facts or loose:
        yield "  none"
        yield from (line for a in loose_facts for line in _alerts_of(a, replay, None))
        for alert in replay.alerts.values():
            reading = replay.reader(alert)
            if reading.key not in told:
                why = "hygiene" if reading.entity.kind != "outside" else "about nothing of the topology"
                yield f"    {reading.alertname}  {reading.entity.name or reading.entity.kind}  {why}"
    for ticket in tickets:
        place = (places or {})[ticket.id]
        judgement = f"{place.triage.category}, {place.triage.severity}"
        yield f"  ticket {ticket.id}  {judgement}  → {place.group or 'none'}  {ticket.subject}"


def _found(group: Group) -> str:
    return f" (the facts point to {group.root.service})" if group.service != group.root.service else ""


def _alerts_of(attribution: Attribution, replay: Replay, group: Group | None) -> Iterator[str]:
    fact = attribution.fact
    if group is None:
        why = f"as noise {attribution.noise:.2f}; no root explains it for less"
    else:
        after = fact.onset - group.at
        late = f" + {attribution.late:.2f} for {after:+.0f} s" if attribution.late else f", {after:+.0f} s"
        edge = " by an edge that nobody declared" if attribution.undeclared else ""
        why = f"{fact.kind} here {attribution.path:.2f}{edge}{late}; as noise {attribution.noise:.2f}"
    for reading in fact.readings:
        moves = replay.moves.get(reading.key[0], 0)
        moved = f"; moved {moves} time{'s' if moves > 1 else ''}" if moves else ""
        yield f"    {reading.alertname}  {fact.entity.name or fact.entity.kind}  {why}{moved}"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _read(path: Path, option: str) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise Invalid(f"{option} {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{option} {path}: not JSON ({error})") from error


def _lines(path: Path, option: str = "") -> Iterator[tuple[int, bytes]]:
    """(number, line) of all lines that are not empty."""
    try:
        with path.open("rb") as file:
            yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())
    except OSError as error:
        raise Invalid(f"{option}{path}: {error.strerror or error}") from error
