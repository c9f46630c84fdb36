"""Runs inside the cluster (standard library only): the requests that services are said to have, and a tap on Prometheus.

    meter.py METRICS_PORT TAP_PORT PROMETHEUS

On METRICS_PORT: GET /metrics, `bench_requests_total{service,version,code}` that grow with the time, at the rates that were set;
POST /set {"rates": [[service, version, requests per second, share of bad ones], …]}; GET /answers?since=UNIX, what the tap saw:
[[Unix time at which an answer had been sent, the query], …]. On TAP_PORT everything is asked of PROMETHEUS.
So the instant is known at which whoever reads an SLI had read it: the clock is that of the node, as the API server's is.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEPT = 50_000  # answers
SECONDS = 20.0  # for one answer of Prometheus
Series = tuple[str, str]  # service, version


class Counters:
    """Requests by service, version and code, as functions of the time."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._rates: dict[Series, tuple[float, float]] = {}  # requests per second, share of bad ones
        self._counted: dict[Series, tuple[float, float, float]] = {}  # good and bad ones until then

    def set(self, service: str, version: str, rate: float, bad: float) -> None:
        """From now on; what was counted before stays counted."""
        with self._lock:
            key = service, version
            self._counted[key] = (*self._until(key), self._now())
            self._rates[key] = (rate, bad)

    def _until(self, key: Series) -> tuple[float, float]:
        good, bad, at = self._counted.get(key, (0.0, 0.0, self._now()))
        rate, share = self._rates.get(key, (0.0, 0.0))
        passed = (self._now() - at) * rate
        return good + passed * (1 - share), bad + passed * share

    def exposition(self) -> str:
        """In the text format; each series from 0 on."""
        lines = ["# TYPE bench_requests_total counter"]
        with self._lock:
            for service, version in sorted(self._rates):
                for code, value in zip(("200", "500"), self._until((service, version)), strict=True):
                    labels = f'service="{service}",version="{version}",code="{code}"'
                    lines.append(f"bench_requests_total{{{labels}}} {value:.0f}")
        return "\n".join(lines) + "\n"


class Tap:
    """Asks Prometheus in place of whoever asks, and keeps when each answer was sent."""

    def __init__(self, prometheus: str, now: Callable[[], float] = time.time) -> None:
        self._prometheus, self._now = prometheus, now
        self._sent: deque[tuple[float, str]] = deque(maxlen=KEPT)

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        """(status, body, content type) of Prometheus' answer; 502 where it gives none."""
        request = urllib.request.Request(self._prometheus + path, data=body or None, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return answer.status, answer.read(), answer.headers.get("Content-Type", "")
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers.get("Content-Type", "")
        except OSError as error:
            return 502, str(error).encode(), "text/plain"

    def sent(self, path: str, body: bytes) -> None:
        """An answer to this has been sent."""
        query = urllib.parse.parse_qs(body.decode(errors="replace") or urllib.parse.urlsplit(path).query).get("query")
        if query:
            self._sent.append((self._now(), query[0]))

    def answers(self, since: float) -> list[tuple[float, str]]:
        """Those that were sent since then."""
        return [(at, query) for at, query in list(self._sent) if at >= since]


def control(counters: Counters, tap: Tap) -> type[BaseHTTPRequestHandler]:
    """The handler of METRICS_PORT."""

    class Handler(_Quiet):
        def do_GET(self) -> None:
            path = urllib.parse.urlsplit(self.path)
            if path.path == "/metrics":
                self.reply(200, counters.exposition().encode(), "text/plain; version=0.0.4")
            elif path.path == "/answers":
                since = float(urllib.parse.parse_qs(path.query).get("since", ["0"])[0])
                self.reply(200, json.dumps(tap.answers(since)).encode())
            else:
                self.reply(200, b"{}")

        def do_POST(self) -> None:
            rates = json.loads(self.content())["rates"]
            for service, version, rate, bad in rates:
                counters.set(service, version, float(rate), float(bad))
            self.reply(200, json.dumps({"set": len(rates)}).encode())

    return Handler


def tapped(tap: Tap) -> type[BaseHTTPRequestHandler]:
    """The handler of TAP_PORT."""

    class Handler(_Quiet):
        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            self._pass_on(self.content())

        def _pass_on(self, body: bytes) -> None:
            kept = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
            status, answer, kind = tap.ask(self.command, self.path, body, kept)
            self.reply(status, answer, kind)
            tap.sent(self.path, body)

    return Handler


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def content(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind or "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: thousands of lines say nothing."""


def main(metrics: str, port: str, prometheus: str) -> None:
    """See above."""
    counters, tap = Counters(), Tap(prometheus)
    tapping = ThreadingHTTPServer(("", int(port)), tapped(tap))
    threading.Thread(target=tapping.serve_forever, daemon=True).start()
    ThreadingHTTPServer(("", int(metrics)), control(counters, tap)).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
