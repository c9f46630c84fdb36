"""A real Prometheus on this machine: found or fetched, started on loopback with data of its own, fed by remote write.

`python -m tests.contract.model.real` fetches Debian's package (2.53) into ~/.cache/opsloop; nothing is installed. Storage
and engine of Prometheus 3 are built by `cd tests/contract/model/go && CGO_ENABLED=0 go build -o SOMEWHERE .`, and named
in OPSLOOP_PROMETHEUS_BINARY.
"""

import http.client
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.cluster import debian, paths, store
from e2e.cluster.report import Step, step
from opsloop.simulator.prometheus.syntax import Dialect

PACKAGE = "prometheus"
BINARY_VARIABLE = "OPSLOOP_PROMETHEUS_BINARY"
REAL_WORLD_VARIABLE = "OPSLOOP_PROMETHEUS_URL"  # set where the contract suites run against the real world
READY = 60.0  # seconds until a server must answer
CONFIG = "storage: {tsdb: {out_of_order_time_window: 100000h}}\n"
Written = tuple[Mapping[str, str], Iterable[tuple[int, float]]]
"""(labels, samples of (milliseconds, value)); the value may be the staleness marker."""


def binary(name: str = PACKAGE, variable: str = BINARY_VARIABLE) -> Path | None:
    """The server's binary: named by the environment, fetched before, or on the PATH; None where there is none."""
    if named := os.environ.get(variable):
        return Path(named)
    if os.environ.get(REAL_WORLD_VARIABLE):
        return fetched(name, variable)
    cached = sorted((paths.CACHE / name).glob(f"*/{store.MARKER}"))
    if cached:
        return cached[-1].parent / "usr" / "bin" / name
    path = shutil.which(name)
    return None if path is None else Path(path)


def fetched(name: str = PACKAGE, variable: str = BINARY_VARIABLE) -> Path:
    """Program and package of Debian, unpacked in the cache; fetched where it is not there yet."""

    def unpack(current: Step, into: Path) -> None:
        for package in debian.Private().download(current, [name], into):
            current.run(["dpkg", "-x", package, into])
            package.unlink()

    with step(name, f"or name a binary in {variable}") as current:
        key = store.key_of(name, debian.SUITE, "1")
        entry, _ = store.ensure_entry(name, debian.SUITE, key, lambda into: unpack(current, into))
    return entry / "usr" / "bin" / name


def version(server: Path) -> str:
    """For example 2.53.3."""
    said = subprocess.run([server, "--version"], capture_output=True, text=True, check=True, timeout=30)
    found = re.search(r"version ([0-9.]+)", said.stdout + said.stderr)
    assert found, said
    return found[1]


def dialect(number: str) -> Dialect:
    """The dialect of a version."""
    return Dialect.V2_53 if number.startswith("2.") else Dialect.V3


class Server:
    """A running server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def write(self, series: Iterable[Written]) -> None:
        """Remote write. RuntimeError where the server refuses."""
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        for body in _requests(series):
            status, answer = self._send("/api/v1/write", snappy(body), headers)
            if status // 100 != 2:
                raise RuntimeError(f"remote write refused: {status} {answer[:500]!r}")

    def ask(self, path: str, parameters: Mapping[str, str]) -> Any:
        """The `data` of an answer; None where the server refuses the query."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, raw = self._send(path, urllib.parse.urlencode(parameters).encode(), headers)
        body = json.loads(raw)
        if status in (400, 422):
            return None
        if body["status"] != "success":
            raise RuntimeError(f"{path} {parameters}: {status} {raw[:500]!r}")
        return body["data"]

    def get(self, path: str) -> Any:
        """The `data` of an answer to a GET; None where the server has no such path, as one of engine and storage only."""
        status, raw = self._send(path, b"", {}, "GET")
        return None if status == 404 else json.loads(raw)["data"]

    def ready(self) -> bool:
        """Does it answer?"""
        try:
            self._connection.request("GET", "/-/ready")
            answer = self._connection.getresponse()
            answer.read()
        except OSError:
            self._connection.close()
            return False
        return answer.status == 200

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _send(self, path: str, body: bytes, headers: Mapping[str, str], method: str = "POST") -> tuple[int, bytes]:
        self._connection.request(method, path, body, dict(headers))
        answer = self._connection.getresponse()
        return answer.status, answer.read()


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def running(
    server: Path, rules: str = "", config: str = "", data: Path | None = None, web: Path | None = None
) -> Iterator[Server]:
    """Start a server with an empty database, stop it and delete its data at the end. `rules`: a file of rules, as YAML; `config`: more
    lines of its configuration; `data`: where its database is, else it is a folder of its own; `web`: file of its TLS and users."""
    with tempfile.TemporaryDirectory(prefix="opsloop-prometheus-") as folder:
        port = free_port()
        (Path(folder) / "rules.yml").write_text(rules)
        (Path(folder) / "prometheus.yml").write_text(CONFIG + config + ("rule_files: [rules.yml]\n" if rules else ""))
        command = [
            str(server),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={data or f'{folder}/data'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
            "--log.level=error",
            *([f"--web.config.file={web}"] if web else []),
        ]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        client = Server(port)
        try:
            _await(client, process, Path(folder) / "log", web is not None)
            yield client
        finally:
            client.close()
            process.terminate()
            process.wait(30)


def _await(client: Server, process: subprocess.Popen[bytes], log: Path, secured: bool) -> None:
    """Until it answers; of one that wants credentials, until it listens (it does that with its data read)."""
    deadline = time.monotonic() + READY
    while not (listens(client.port) if secured else client.ready()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"prometheus does not start: {log.read_text(errors='replace')[-1000:]}")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Does somebody listen at this port of loopback?"""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


# remote write: prometheus.WriteRequest, by hand
_MOST_SAMPLES = 50_000


def _requests(series: Iterable[Written]) -> Iterator[bytes]:
    parts, samples = list[bytes](), 0
    for labels, points in series:
        encoded = [_field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(at)) for at, value in points]
        names = [_field(1, _field(1, n.encode()) + _field(2, v.encode())) for n, v in sorted(labels.items())]
        parts.append(_field(1, b"".join(names + encoded)))
        samples += len(encoded)
        if samples > _MOST_SAMPLES:
            yield b"".join(parts)
            parts, samples = [], 0
    if parts:
        yield b"".join(parts)


def _field(number: int, body: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(body)) + body


def varint(number: int) -> bytes:
    """Protobuf's integer of at least 0."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def snappy(body: bytes) -> bytes:
    """Snappy's block format, all literals: nothing is compressed."""
    chunks = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    return varint(len(body)) + b"".join(b"\xf4" + struct.pack("<H", len(chunk) - 1) + chunk for chunk in chunks)


if __name__ == "__main__":
    print(fetched())
