"""`python -m e2e.bench.storms`: CPU seconds to place a storm, by its alerts and by the size of the application. No cluster needed.

A storm comes in bodies of 64 alerts, as Alertmanager sends them, and is regrouped after each; the last column is one
regrouping of the whole storm.
"""

import random
import sys
import time
from datetime import UTC, datetime

from opsloop.core.correlation.facts import Reader
from opsloop.core.correlation.grouping import group
from opsloop.core.correlation.method import Method
from opsloop.core.correlation.replay import Replay
from opsloop.core.reported import Alert
from opsloop.core.topology import Graph

GOAL = 0.2  # seconds of CPU for 1,000 alerts
BODY = 64
FAULTS = 5
RULES = (("RequestErrors", 270), ("RequestLatency", 300), ("NoRequests", 730), ("PodNotReady", 990))
START = 1_780_000_000.0


def shop(services: int, rng: random.Random) -> Graph:
    """Layers, each service calling up to three of the next."""
    names = [f"s{number}" for number in range(services)]
    needs: dict[str, list[str]] = {name: [] for name in names}
    for number, name in enumerate(names[1:], 1):
        for caller in rng.sample(range(max(0, number // 3 - 3), max(1, number // 2)), k=1):
            needs[names[caller]].append(name)
    return Graph(needs)


def storm(graph: Graph, alerts: int, rng: random.Random) -> list[Alert]:
    """So many alerts of FAULTS faults within half an hour: of pods of all services that the faults reach."""
    names = sorted(graph.nodes, key=lambda n: (-len(graph.dependents(n)), n))
    spoken: list[tuple[str, str, float]] = []
    for root in rng.sample(names[: len(names) // 2], FAULTS):
        began = START + rng.uniform(0, 1800)
        for service in [root, *graph.dependents(root), *list(graph.dependencies(root))[:10]]:
            spoken += [(rule, service, began + lag) for rule, lag in RULES]
    found = []
    for number in range(alerts):
        rule, service, starts = spoken[number % len(spoken)]
        at = datetime.fromtimestamp(starts + rng.gauss(0, 30), UTC)
        labels = {"alertname": rule, "severity": "critical", "service": service, "pod": f"{service}-{number}"}
        found.append(Alert(f"{rule}-{service}-{number}", "firing", at, labels, {}, at))
    rng.shuffle(found)
    return found


def main() -> int:
    """Prints the table; 1 where 1,000 alerts take longer than the goal."""
    print("| services | alerts | facts | groups | streamed, CPU s | at once, CPU s |")
    print("|---|---|---|---|---|---|")
    missed = False
    for services in (30, 100):
        for alerts in (34, 340, 1000, 3400):
            rng = random.Random(7)
            graph = shop(services, rng)
            found = storm(graph, alerts, rng)
            began = time.process_time()
            replay = Replay(Reader(graph, Method()))
            for first in range(0, len(found), BODY):
                replay.add(found[first : first + BODY])
            streamed = time.process_time() - began
            began = time.process_time()
            grouping = group(found, Reader(graph, Method()))
            once = time.process_time() - began
            facts = sum(len(g.attributions) for g in grouping.groups) + len(grouping.noise)
            print(
                f"| {services} | {alerts} | {facts} | {len(grouping.groups)} | {streamed:.2f} | {once:.3f} |",
                flush=True,
            )
            missed |= alerts == 1000 and once > GOAL
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
