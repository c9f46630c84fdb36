"""The cluster as the drill sees it: kubectl for what a person would type, `kubectl proxy` for what is polled.

Polling through one proxy process costs a fraction of starting kubectl each second, on a machine with two cores.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e.cluster import paths

Object = dict[str, Any]
KINDS = {"releases": "opsloop.dev/v1alpha1", "incidents": "opsloop.dev/v1alpha1", "evalcases": "opsloop.dev/v1alpha1",
         "runbooks": "opsloop.dev/v1alpha1", "deployments": "apps/v1", "replicasets": "apps/v1"}  # fmt: skip


def environment() -> dict[str, str]:
    """For child processes: our kubeconfig, never the user's."""
    return {**os.environ, "KUBECONFIG": str(paths.KUBECONFIG)}


def kubectl(*arguments: str, text: str | None = None, check: bool = True, seconds: float = 60) -> str:
    """Run kubectl; its output. Raises RuntimeError with what it printed."""
    command = [str(paths.KUBECTL), *arguments]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, env=environment(), timeout=seconds, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Api:
    """GET through `kubectl proxy`; use as a context manager."""

    def __init__(self) -> None:
        self._proxy = subprocess.Popen(
            [str(paths.KUBECTL), "proxy", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )
        assert self._proxy.stdout is not None
        line = self._proxy.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if not found:
            self._proxy.kill()
            raise RuntimeError(f"kubectl proxy did not start: {line.strip()!r}")
        self.base = f"http://127.0.0.1:{found.group(1)}"

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.terminate()
        self._proxy.wait(timeout=10)

    def call(self, path: str, method: str = "GET", seconds: float = 10) -> bytes | None:
        """The body; None where there is nothing (404) or nobody answers yet (503, refused)."""
        request = urllib.request.Request(self.base + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code in (404, 500, 502, 503, 504):
                return None
            raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:300]!r}") from error
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return None

    def json(self, path: str) -> Any:
        """Parsed body, or None."""
        body = self.call(path)
        return None if body is None else json.loads(body)

    def get(self, plural: str, namespace: str, name: str) -> Object | None:
        """One object."""
        found: Object | None = self.json(f"{_prefix(plural)}/namespaces/{namespace}/{plural}/{name}")
        return found

    def items(self, plural: str, namespace: str, selector: str = "") -> list[Object]:
        """All of a namespace."""
        query = f"?labelSelector={urllib.parse.quote(selector)}" if selector else ""
        found = self.json(f"{_prefix(plural)}/namespaces/{namespace}/{plural}{query}")
        return list(found["items"]) if found else []

    def service(self, namespace: str, service: str, path: str, method: str = "GET") -> Any:
        """A Service's HTTP answer as JSON, through the API server's proxy; None where nobody answers."""
        body = self.call(f"/api/v1/namespaces/{namespace}/services/{service}/proxy{path}", method)
        if body is None:
            return None
        try:
            return json.loads(body)
        except ValueError:
            return body.decode(errors="replace")

    def instant(self, namespace: str, query: str) -> list[Object]:
        """Prometheus' instant vector, [] where there is none."""
        found = self.service(namespace, "prometheus:9090", f"/api/v1/query?query={urllib.parse.quote(query)}")
        return list(found["data"]["result"]) if isinstance(found, dict) and found.get("status") == "success" else []

    def span(self, namespace: str, query: str, start: float, end: float, step: float) -> list[Object]:
        """Prometheus' range vector; times in Unix seconds."""
        text = urllib.parse.urlencode({"query": query, "start": start, "end": end, "step": step})
        found = self.service(namespace, "prometheus:9090", f"/api/v1/query_range?{text}")
        return list(found["data"]["result"]) if isinstance(found, dict) and found.get("status") == "success" else []


def _prefix(plural: str) -> str:
    version = KINDS.get(plural, "v1")
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


@contextmanager
def port_forward(namespace: str, target: str, port: int) -> Iterator[str]:
    """http://127.0.0.1:PORT to a Service, with our own Authorization header (the API server's proxy would drop it)."""
    command = [str(paths.KUBECTL), "-n", namespace, "port-forward", target, f":{port}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if not found:
            raise RuntimeError(f"port-forward to {namespace}/{target}: {line.strip()}")
        yield f"http://127.0.0.1:{found.group(1)}"
    finally:
        process.terminate()
        process.wait(timeout=10)
