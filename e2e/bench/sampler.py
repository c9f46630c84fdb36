"""The operator's memory and CPU, sampled from its own /metrics through the API server's proxy, once a second."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass

from e2e.harness.client import Client

EVERY = 1.0
_GAUGE = re.compile(
    r"^(process_resident_memory_bytes|process_cpu_seconds_total|process_start_time_seconds) (\S+)$", re.M
)
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One look; `started` tells processes apart. Unix seconds, bytes, CPU seconds since the start of the process."""

    at: float
    rss: float
    cpu: float
    started: float


def parse(text: str, at: float) -> Sample | None:
    """A sample of an exposition; None where it is not the operator's."""
    gauges = {name: float(value) for name, value in _GAUGE.findall(text)}
    if len(gauges) < 3:
        return None
    return Sample(
        at,
        gauges["process_resident_memory_bytes"],
        gauges["process_cpu_seconds_total"],
        gauges["process_start_time_seconds"],
    )


def peak(samples: list[Sample]) -> float:
    """Highest resident memory in MiB; 0 where nothing was sampled."""
    return max((s.rss for s in samples), default=0.0) / MIB


def cpu_seconds(samples: list[Sample], since: float, until: float) -> float:
    """CPU used between two instants; a process that started anew in between counts from its start."""
    used, last = 0.0, None
    for sample in samples:
        if sample.at > until:
            break
        if last is not None and sample.at >= since:
            used += sample.cpu - (last.cpu if last.started == sample.started else 0.0)
        last = sample
    return used


class Sampler:
    """Samples from `start` to `stop`; a look that nobody answers is left out."""

    def __init__(self, api: Client, ops: str) -> None:
        self._api, self._ops = api, ops
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples: list[Sample] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._end.set()
        self._thread.join(timeout=15)

    def _run(self) -> None:
        path = f"/api/v1/namespaces/{self._ops}/services/opsloop-metrics:8081/proxy/metrics"
        while not self._end.wait(EVERY):
            try:
                body = self._api.call(path, seconds=5)
            except RuntimeError:
                body = None
            text = body.decode() if body else ""
            sample = parse(text, time.time())
            if sample:
                self.samples.append(sample)
                self.looked(text)

    def looked(self, text: str) -> None:
        """What else an exposition tells; nothing here."""
