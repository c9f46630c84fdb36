"""A real VictoriaMetrics (single), which answers nearly as Prometheus does.

`python -m tests.contract.model.backends` builds it from its Go module (e2e/cluster/go/victoriametrics, a minute); tests run where that was
done. Not here: Grafana Mimir, which is under the AGPL; Thanos, whose modules (0.40.1, 0.42.4) build with Go 1.26, but whose sidecar panics at
its first answer.
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

NAME = "victoriametrics"


def binary() -> Path | None:
    """Where it was built before, from the modules that are pinned now; None where it was not."""
    entry = paths.CACHE / "go" / f"{NAME}-{golang.key(NAME)}"
    return entry / NAME if (entry / store.MARKER).is_file() else None


@contextmanager
def victoria_metrics(program: Path) -> Iterator[real.Server]:
    """An empty one; `written` makes what was written visible."""
    with tempfile.TemporaryDirectory(prefix="opsloop-victoria-") as folder:
        port = real.free_port()
        command: list[str | Path] = [program, f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y", "-loggerLevel=ERROR"]  # fmt: skip
        with _started(Path(folder), command, port, "/health"):
            server = real.Server(port)
            yield server
            server.close()


def visible(server: real.Server) -> None:
    """VictoriaMetrics shows samples a moment after it took them; this ends the moment."""
    answered(server.port, "/internal/force_flush")


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
    print(golang.build(NAME) / NAME)
