"""Real servers that answer as Prometheus does: VictoriaMetrics (single), and Thanos Query over a sidecar of a real Prometheus.

`python -m tests.contract.model.backends` builds both from their Go modules (e2e/cluster/go/victoriametrics, …/thanos; some 8 CPU-minutes);
tests run where that was done. Grafana Mimir is not among them: it is under the AGPL, and its module is not to be had here.
"""

import http.client
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster import golang, paths, store
from tests.contract.model import real

NAMES = ("victoriametrics", "thanos")


def binary(name: str) -> Path | None:
    """Where it was built before, from the modules that are pinned now; None where it was not."""
    entry = paths.CACHE / "go" / f"{name}-{golang.key(name)}"
    return entry / name if (entry / store.MARKER).is_file() else None


@contextmanager
def victoria_metrics(program: Path) -> Iterator[real.Server]:
    """An empty one; `written` makes what was written visible."""
    with tempfile.TemporaryDirectory(prefix="opsloop-victoria-") as folder:
        port = real.free_port()
        command = [program, f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y", "-loggerLevel=ERROR"]  # fmt: skip
        with _started(Path(folder), command, port, "/health"):
            server = real.Server(port)
            yield server
            server.close()


def visible(server: real.Server) -> None:
    """VictoriaMetrics shows samples a moment after it took them; this ends the moment."""
    answered(server.port, "/internal/force_flush")


@contextmanager
def thanos(program: Path, prometheus: Path) -> Iterator[tuple[real.Server, real.Server]]:
    """(Prometheus to write to, Query to ask), with a sidecar between them."""
    with tempfile.TemporaryDirectory(prefix="opsloop-thanos-") as folder:
        where, data = Path(folder), Path(folder) / "data"
        labels = "global: {external_labels: {prometheus: one}}\n"
        with real.running(prometheus, config=labels, data=data) as server:
            grpc, http, query = (real.free_port() for _ in range(3))
            sidecar = [program, "sidecar", f"--prometheus.url=http://127.0.0.1:{server.port}", f"--tsdb.path={data}", f"--grpc-address=127.0.0.1:{grpc}", f"--http-address=127.0.0.1:{http}", "--log.level=warn"]  # fmt: skip
            asks = [program, "query", f"--endpoint=127.0.0.1:{grpc}", f"--http-address=127.0.0.1:{query}", f"--grpc-address=127.0.0.1:{real.free_port()}", "--log.level=warn"]  # fmt: skip
            with (
                _started(where, sidecar, http, "/-/ready"),
                _started(where, asks, query, "/-/ready"),
            ):
                one = real.Server(query)
                _await_store(query)
                yield server, one
                one.close()


def _await_store(port: int) -> None:
    """Query is ready before it knows a store."""
    deadline = time.monotonic() + real.READY
    while b'"sidecar":[' not in answered(port, "/api/v1/stores"):
        if time.monotonic() > deadline:
            raise RuntimeError(f"Thanos Query finds no sidecar: {answered(port, '/api/v1/stores')[:500]!r}")
        time.sleep(0.1)


def answered(port: int, path: str) -> bytes:
    """The body of an answer; empty where it is no 2xx or nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except OSError:
        return b""
    finally:
        connection.close()
    return body or b"ok" if answer.status // 100 == 2 else b""


@contextmanager
def _started(folder: Path, command: Sequence[str | Path], port: int, ready: str) -> Iterator[None]:
    log = folder / f"{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out)
    deadline = time.monotonic() + real.READY
    try:
        while not answered(port, ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not start: {log.read_text(errors='replace')[-1000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    for each in NAMES:
        print(golang.build(each) / each)
