"""The cluster as the drill sees it: kubectl for what a person would type, `kubectl proxy` for what is polled.

Polling through one proxy process costs a fraction of starting kubectl each second, on a machine with two cores.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.cluster import paths
from e2e.harness.pace import Pace

Object = dict[str, Any]
KINDS = {"releases": "opsloop.dev/v1alpha1", "incidents": "opsloop.dev/v1alpha1", "evalcases": "opsloop.dev/v1alpha1",
         "runbooks": "opsloop.dev/v1alpha1", "deployments": "apps/v1", "replicasets": "apps/v1", "jobs": "batch/v1",
         "endpointslices": "discovery.k8s.io/v1", "poddisruptionbudgets": "policy/v1"}  # fmt: skip
MARK = "OPSLOOP_E2E"  # in the environment of child processes: the run that started them
ANSWER_SECONDS = 20.0  # that the API server (and Prometheus, looked at afterwards) may take to answer at all
START_SECONDS = 20.0  # until a proxy or a port-forward listens
NOBODY = (404, 500, 502, 503, 504)  # there is nothing, or nobody answers yet


class NoAnswer(RuntimeError):
    """Nobody answered within the deadline."""


def environment() -> dict[str, str]:
    """For child processes: our kubeconfig, never the user's, and the mark by which a later run knows what was left."""
    return {**os.environ, "KUBECONFIG": str(paths.KUBECONFIG), MARK: str(os.getpid())}


def listening(process: subprocess.Popen[str], what: str, seconds: float) -> str:
    """http://127.0.0.1:PORT of a kubectl that prints where it listens. Ends it and raises NoAnswer where it does not."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    line = process.stdout.readline() if ready else ""
    port = re.search(r"127\.0\.0\.1:(\d+)", line)
    if not port:
        end(process)
        raise NoAnswer(f"{what} did not listen within {seconds:.0f} s; it printed {line.strip()!r}")
    return f"http://127.0.0.1:{port.group(1)}"


def end(process: subprocess.Popen[Any]) -> None:
    """Ends a child process, the hard way after 10 s."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Client:
    """One `kubectl proxy`; use as a context manager. All time-outs are stretched by the pace."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._proxy = subprocess.Popen(
            [str(paths.KUBECTL), "proxy", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )
        self.base = listening(self._proxy, "kubectl proxy", pace.seconds(START_SECONDS))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        end(self._proxy)

    # what a person would type

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True, seconds: float = 60) -> str:
        """Runs kubectl; its output. Raises RuntimeError with what it printed, also for what took too long."""
        return self.run(str(paths.KUBECTL), *arguments, text=text, check=check, seconds=seconds)

    def helm(self, *arguments: str, text: str | None = None, check: bool = True, seconds: float = 60) -> str:
        """Runs helm; its output. Raises RuntimeError with what it printed, also for what took too long."""
        return self.run(str(paths.HELM), *arguments, text=text, check=check, seconds=seconds)

    def said(self, *arguments: str, seconds: float = 90) -> str:
        """All that kubectl printed, warnings and errors included, whatever it ended with."""
        command = [str(paths.KUBECTL), *arguments]
        limit = self.pace.seconds(seconds)
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=limit, check=False)
        return done.stdout + done.stderr

    def run(self, *command: str, text: str | None, check: bool, seconds: float) -> str:
        """Runs a tool with our kubeconfig; what it printed on stdout."""
        name = f"{Path(command[0]).name} {' '.join(command[1:])}"
        limit = self.pace.seconds(seconds)
        try:
            done = subprocess.run(
                command, input=text, capture_output=True, text=True, env=environment(), timeout=limit, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise NoAnswer(f"{name}: took longer than {limit:.0f} s") from error
        if check and done.returncode:
            raise RuntimeError(f"{name}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    @contextmanager
    def port_forward(self, namespace: str, target: str, port: int) -> Iterator[str]:
        """http://127.0.0.1:PORT to a Service, for our own Authorization header: the API server's proxy would drop it."""
        command = [str(paths.KUBECTL), "-n", namespace, "port-forward", target, f":{port}"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
        )
        address = listening(process, f"port-forward to {namespace}/{target}", self.pace.seconds(START_SECONDS))
        try:
            yield address
        finally:
            end(process)

    # what is polled

    def call(self, path: str, method: str = "GET", body: Object | None = None, seconds: float = 10) -> bytes | None:
        """The answer's body; None where there is nothing (404) or nobody answers yet (503, refused, too late)."""
        answered, content = self._once(path, method, body, seconds)
        return content if answered else None

    def json(self, path: str) -> Any:
        """A parsed object of the API server, or None where it does not exist. Raises NoAnswer."""
        deadline = time.monotonic() + self.pace.seconds(ANSWER_SECONDS)
        while True:
            answered, content = self._once(path, "GET", None, 10)
            if answered:
                return None if content is None else json.loads(content)
            if time.monotonic() > deadline:
                raise NoAnswer(
                    f"GET {path}: the API server did not answer for {self.pace.seconds(ANSWER_SECONDS):.0f} s"
                )
            time.sleep(0.5)

    def _once(self, path: str, method: str, body: Object | None, seconds: float) -> tuple[bool, bytes | None]:
        """(somebody answered, body or None for a 404)."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=self.pace.seconds(seconds)) as answer:
                return True, bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code in NOBODY:
                return error.code == 404, None
            raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:300]!r}") from error
        except OSError:  # refused, reset, timed out
            return False, None

    def get(self, plural: str, namespace: str, name: str) -> Object | None:
        """One object."""
        obj: Object | None = self.json(f"{_prefix(plural)}/namespaces/{namespace}/{plural}/{name}")
        return obj

    def items(self, plural: str, namespace: str = "", selector: str = "") -> list[Object]:
        """All of a namespace, or of all namespaces."""
        query = f"?labelSelector={urllib.parse.quote(selector)}" if selector else ""
        scope = f"/namespaces/{namespace}" if namespace else ""
        answer = self.json(f"{_prefix(plural)}{scope}/{plural}{query}")
        return list(answer["items"]) if answer else []

    def service(self, namespace: str, service: str, path: str, method: str = "GET") -> Any:
        """A Service's HTTP answer as JSON, through the API server's proxy; None where nobody answers."""
        body = self.call(f"/api/v1/namespaces/{namespace}/services/{service}/proxy{path}", method)
        if body is None:
            return None
        try:
            return json.loads(body)
        except ValueError:
            return body.decode(errors="replace")

    def instant(self, namespace: str, query: str) -> list[Object] | None:
        """Prometheus' instant vector; None where it does not answer."""
        return self._prometheus(namespace, "query", {"query": query})

    def span(self, namespace: str, query: str, start: float, end: float, step: float) -> list[Object]:
        """Prometheus' range vector; times in Unix seconds. Raises NoAnswer."""
        deadline = time.monotonic() + self.pace.seconds(ANSWER_SECONDS)
        parameters = {"query": query, "start": start, "end": end, "step": step}
        while (matrix := self._prometheus(namespace, "query_range", parameters)) is None:
            if time.monotonic() > deadline:
                raise NoAnswer(f"Prometheus in {namespace} did not answer: {query}")
            time.sleep(0.5)
        return matrix

    def _prometheus(self, namespace: str, call: str, parameters: dict[str, Any]) -> list[Object] | None:
        answer = self.service(namespace, "prometheus:9090", f"/api/v1/{call}?{urllib.parse.urlencode(parameters)}")
        good = isinstance(answer, dict) and answer.get("status") == "success"
        return list(answer["data"]["result"]) if good else None


def _prefix(plural: str) -> str:
    version = KINDS.get(plural, "v1")
    return f"/apis/{version}" if "/" in version else f"/api/{version}"
