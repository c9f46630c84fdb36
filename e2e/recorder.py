"""Every stored version of some objects, as a watch shows them: what the audit log, which has no bodies, cannot say."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any

from e2e.api import KINDS, environment
from e2e.cluster import paths


@dataclass(frozen=True, slots=True)
class Version:
    """An object as stored, and when the watch showed it (Unix seconds, a little after it was stored)."""

    seen: float
    name: str
    obj: dict[str, Any]

    @property
    def status(self) -> dict[str, Any]:
        """Its status, {} before the first write."""
        return self.obj.get("status") or {}


class Recorder:
    """Records at once and until `stop`; a watch delivers each stored version, in order."""

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
        """End it; what it recorded."""
        self._stopped = True
        self._process.terminate()
        self._process.wait(timeout=10)
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
