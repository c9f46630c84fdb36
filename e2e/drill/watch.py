"""`kubectl get incidents -w` beside the shift: what a person at a second terminal would have seen."""

from __future__ import annotations

import subprocess
import threading

from e2e.api import environment
from e2e.cluster import paths


class Watch:
    """Starts at once; `lines` grows while it runs."""

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
        """End it; the lines that it printed."""
        self._process.terminate()
        self._process.wait(timeout=10)
        self._thread.join(timeout=5)
        return self.lines

    def phases(self, incident: str) -> list[str]:
        """`severity phase` of this Incident in the order printed, repeats folded."""
        found: list[str] = []
        for line in self.lines:
            columns = line.split()
            if columns and columns[0] == incident and len(columns) > 2:
                said = f"{columns[1]} {columns[2]}"
                if not found or found[-1] != said:
                    found.append(said)
        return found
