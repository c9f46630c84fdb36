"""What the operator files is what the offline replay groups: the same code, streamed, with ledgers and moves in between."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from opsloop.core.intake import parse_alerts, parse_json, parse_time
from opsloop.core.reported import Alert
from opsloop.core.topology import Graph
from opsloop.entry.cli.correlate import topology
from tests.correlation.loop import at_home, offline, streamed
from tests.correlation.storms import a_storm

RECORDED = Path("/work/shared/data/correlation")  # not in a clone: its licence travels with it


def agree(graph: Graph, bodies: Sequence[tuple[datetime, Sequence[Alert]]]) -> None:
    """Each group is one Incident, no two groups share one, and what belongs to no group shares none with them."""
    groups, homes = offline(graph, [body for _, body in bodies]), streamed(graph, bodies).homes()
    incidents: dict[str, set[str]] = {}
    for fingerprint, group in groups.items():
        incidents.setdefault(group, set()).add(homes[fingerprint])
    assert all(len(names) == 1 for names in incidents.values()), incidents
    taken = [name for names in incidents.values() for name in names]
    assert len(taken) == len(set(taken)), incidents
    strays = {fp: home for fp, home in homes.items() if fp not in groups and home in taken}
    assert not strays


def arrived(alerts: Sequence[Alert], size: int) -> list[tuple[datetime, Sequence[Alert]]]:
    """Bodies of so many alerts, by their beginning."""
    ordered = sorted(alerts, key=lambda a: (a.starts_at, a.fingerprint))
    cut = [ordered[n : n + size] for n in range(0, len(ordered), size)]
    return [(body[-1].starts_at, body) for body in cut]


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("seed", range(12))
def test_a_fresh_storm_is_filed_as_it_is_replayed(seed: int, size: int) -> None:
    storm = a_storm(9000 + seed)
    agree(storm.graph, arrived([at_home(alert) for alert in storm.alerts], size))


@pytest.mark.simulation
@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded storms are not on this machine")
def test_a_recorded_storm_is_filed_as_it_is_replayed() -> None:
    graph, times = topology(str(RECORDED / "topology.json")), json.loads((RECORDED / "arrivals.json").read_text())
    for path in sorted((RECORDED / "storms").glob("*.jsonl")):
        moments = [parse_time(moment, "arrivals") for moment in times[path.stem]]
        bodies = [
            (at, [at_home(alert) for alert in parse_alerts(parse_json(line), at)])
            for line, at in zip(path.read_bytes().splitlines(), moments, strict=True)
            if at is not None
        ]
        agree(graph, sorted(bodies, key=lambda body: body[0]))
