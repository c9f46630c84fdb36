"""What watches show beside a shift: every stored version of some objects, and the table that a person would see.

The audit log has no bodies and cannot say either.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any

from e2e.cluster import paths
from e2e.harness.client import KINDS, end, environment


@dataclass(frozen=True, slots=True)
class Version:
    """An object as stored, and when the watch showed it (Unix seconds, a little after it was stored)."""

    at: float
    name: str
    obj: dict[str, Any]

    @property
    def status(self) -> dict[str, Any]:
        """Its status, {} before the first write."""
        return self.obj.get("status") or {}


class Recorder:
    """Records from its creation until `stop`; a watch delivers each stored version, in order."""

    def __init__(self, plural: str, namespace: str) -> None:
        path = f"/apis/{KINDS[plural]}/namespaces/{namespace}/{plural}?watch=1&timeoutSeconds=7200"
        self._process = subprocess.Popen(
            [str(paths.KUBECTL), "get", "--raw", path],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        self._stopped = False
        self.versions: list[Version] = []
        self.complete = True  # False: the watch ended before `stop`, so versions are missing
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def of(self, name: str) -> list[Version]:
        """Versions of one object, oldest first."""
        return [v for v in self.versions if v.name == name]

    def stop(self) -> list[Version]:
        """Ends it; returns what it recorded."""
        self._stopped = True
        end(self._process)
        self._thread.join(timeout=5)
        return self.versions

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith(b"\n"):
                break
            event = json.loads(line)
            if event["type"] in ("ADDED", "MODIFIED"):
                self.versions.append(Version(time.time(), event["object"]["metadata"]["name"], event["object"]))
            elif event["type"] == "ERROR":
                break
        self.complete = self._stopped


class Table:
    """`kubectl get incidents -w`: what a person at a second terminal sees; runs from its creation until `stop`."""

    def __init__(self, namespace: str) -> None:
        command = [str(paths.KUBECTL), "-n", namespace, "get", "incidents", "-w"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
        )
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())

    def stop(self) -> list[str]:
        """Ends it; returns the lines that it printed."""
        end(self._process)
        self._thread.join(timeout=5)
        return self.lines

    def phases(self, incident: str) -> list[str]:
        """`severity phase` of this Incident in the order printed, repeats folded."""
        phases: list[str] = []
        for line in self.lines:
            columns = line.split()
            if columns and columns[0] == incident and len(columns) > 2:
                phase = f"{columns[1]} {columns[2]}"
                if not phases or phases[-1] != phase:
                    phases.append(phase)
        return phases
