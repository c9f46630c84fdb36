"""`python -m e2e.bench.past`: `opsloop backtest` over 30 days of a real Prometheus, by the command line, as a person runs it.

Five pods scraped every 15 s, ten deploys, two of them bad, an outage; with kube_pod_container_info 2.6 million samples, written to Debian's
Prometheus. Prints the seconds, the queries, the samples of the largest query (by Prometheus' own query log) and the memory of the process.
Ends with exit 1 where a query loads more than Prometheus allows by default, or where the backtest misses a bad deploy.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from e2e.cluster import paths
from tests.builders.past import START, Era, history
from tests.contract.model import real

DAYS = 30
MOST_SAMPLES = 50_000_000  # --query.max-samples of Prometheus
RELEASE = """
kind: Release
apiVersion: opsloop.dev/v1alpha1
metadata: {name: answers, namespace: shop}
spec:
  workloadRef: {name: answers}
  slo:
    objective: 0.99
    sli: {requests: {counter: http_requests_total, bad: 'code=~"5.."'}}
"""
GOOD, BAD = 0.0005, 0.3
BAD_DEPLOYS = {4: "v4", 8: "v8"}


def eras() -> list[Era]:
    """A deploy each third day; two are bad, and were undone half an hour later."""
    found = []
    for number in range(DAYS // 3):
        begin, hash_ = number * 3 * 24 * 60, f"{number}d9f8c6b5{number}"
        if number in BAD_DEPLOYS:
            found.append(Era(begin, BAD_DEPLOYS[number], hash_, BAD))
            begin, hash_ = begin + 30, f"{number}e9f8c6b5{number}"
        found.append(
            Era(begin, f"v{number}", hash_ if number not in BAD_DEPLOYS else f"{number}f9f8c6b5{number}", GOOD)
        )
    return found


def main() -> int:
    """0 where all goals are met."""
    minutes = DAYS * 24 * 60
    with tempfile.TemporaryDirectory(prefix="opsloop-past-") as folder:
        queries, file = Path(folder) / "queries.log", Path(folder) / "release.yaml"
        file.write_text(RELEASE)
        config = f"global: {{scrape_interval: 15s, query_log_file: {queries}}}\n"
        with real.running(real.fetched(), config=config) as server:
            began = time.monotonic()
            series = history(eras(), minutes, rps=40, pods=5, outages=((20 * 24 * 60 + 600, 20 * 24 * 60 + 640, 0.2),))
            samples = sum(len(points) for _, points in series)
            server.write(series)
            print(
                f"{samples:,} samples of {len(series)} series written in {time.monotonic() - began:.0f} s", flush=True
            )
            del series
            failed = False
            for more in ([], ["--objective", "0.99,0.995,0.999"]):
                failed |= _one(f"http://127.0.0.1:{server.port}", file, queries, more)
    return 1 if failed else 0


def _one(url: str, file: Path, queries: Path, more: list[str]) -> bool:
    """One backtest and its figures; True where a goal is missed."""
    queries.write_text("")
    until = (START + timedelta(days=DAYS)).isoformat()
    command = [sys.executable, "-m", "opsloop", "backtest", "-f", str(file), "--since", "30d", "--until", until, "--prometheus", url, "-o", "json", *more]  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, cwd=paths.REPO, check=False)
    seconds = time.monotonic() - began
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # MiB; the largest child so far
    if done.returncode:
        print(f"opsloop backtest ended with {done.returncode}: {done.stderr[-2000:]}")
        return True
    stats = [json.loads(line)["stats"] for line in queries.read_text().splitlines()]
    peaks = [one["samples"]["peakSamples"] for one in stats]
    spent = sum(one["timings"]["execTotalTime"] for one in stats)
    found = json.loads(done.stdout)
    strict = found["objectives"][0]
    stopped = {
        one["version"] for one in found["deploys"] if "stopped" in {r["outcome"] for r in one["outcomes"].values()}
    }
    wrong = [
        *([f"a query loads {max(peaks):,} samples"] if max(peaks) > MOST_SAMPLES else []),
        *([f"{set(BAD_DEPLOYS.values()) - stopped} were not stopped"] if set(BAD_DEPLOYS.values()) - stopped else []),
        *([f"{strict['pages']} pages, not 3"] if strict["pages"] != 3 else []),
    ]
    print(
        f"{' '.join(more) or 'one objective'}: {seconds:.0f} s ({spent:.0f} s of them in Prometheus), {len(stats)} queries,"
        f" at most {max(peaks):,} samples in one, {memory:.0f} MiB; {strict['pages']} pages, {len(found['deploys'])} deploys, stopped {sorted(stopped)}"
        f"{''.join(f'  MISSED: {one}' for one in wrong)}",
        flush=True,
    )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
