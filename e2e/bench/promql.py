"""CPU time per query over 10 pods × 3 series scraped every 15 s: `python -m e2e.bench.promql`.

`first` includes parsing, compiling and 120 points of coverage; then the clock goes on by 5 s per query, as between ticks.
"""

from datetime import timedelta
from random import Random
from time import process_time

from opsloop.api.slo import Sli
from opsloop.core.slo import promql
from opsloop.simulator.prometheus.engine import Engine
from opsloop.simulator.prometheus.store import Store

BEGIN, HOURS, SCRAPE, TICK = 1_704_067_200_000, 14, 15_000, 5_000
SLI = Sli(
    good='sum(increase(requests_total{code!~"5..",version=~"{{version}}"}[{{window}}]))',
    total='sum(increase(requests_total{version=~"{{version}}"}[{{window}}]))',
)
TICKS = 100


def filled() -> Store:
    """The counters of ten pods."""
    store, random = Store(), Random(1)
    for pod in range(10):
        for code in ("200", "404", "500"):
            labels = {
                "__name__": "requests_total",
                "pod": f"p{pod}",
                "code": code,
                "version": "v2" if pod > 7 else "v1",
            }
            offset, total = random.randrange(SCRAPE), 0
            samples = list[tuple[int, float]]()
            for scrape in range(HOURS * 3_600_000 // SCRAPE):
                total += random.randrange(30)
                samples.append((BEGIN + offset + scrape * SCRAPE, float(total)))
            store.load(labels, samples)
    store.advance(BEGIN + HOURS * 3_600_000)
    return store


def window_query(*hours: float, versions: bool = False) -> str:
    """A poller's query for these windows."""
    asked = {name: promql.Split(name, timedelta(minutes=1)) for name in ("v1", "v2")} if versions else {}
    return promql.window_query(SLI, [timedelta(hours=number) for number in hours], asked, timedelta(seconds=15))


QUERIES = {
    "sum(increase([1h]))": "sum(increase(requests_total[1h]))",
    "sum by (pod) (increase([1h]))": "sum by (pod) (increase(requests_total[1h]))",
    "tick: 1h": window_query(1),
    "tick: 1h, 5m, two versions": window_query(1, 1 / 12, versions=True),
    "tick: 5m, 30m, 1h, 6h, two versions": window_query(1 / 12, 0.5, 1, 6, versions=True),
}


def main() -> None:
    """Print microseconds per query."""
    started = process_time()
    store = filled()
    print(f"{30 * HOURS * 3_600_000 // SCRAPE} samples taken in: {(process_time() - started) * 1000:.0f} ms")
    for name, query in QUERIES.items():
        engine, at = Engine(store), BEGIN + (HOURS - 1) * 3_600_000
        started = process_time()
        engine.instant(query, at)
        first, started = process_time() - started, process_time()
        for tick in range(1, TICKS + 1):
            engine.instant(query, at + tick * TICK)
        print(f"{name:40} first {first * 1e6:7.0f} µs, then {(process_time() - started) / TICKS * 1e6:6.0f} µs")


if __name__ == "__main__":
    main()
