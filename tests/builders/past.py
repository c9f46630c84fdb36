"""A service's history as a Prometheus holds it: pods of ReplicaSets that come and go, and their errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from opsloop.api.release import Release
from opsloop.core.backtest.deploys import LABEL
from opsloop.shell.ports import Clock, Sample, Series
from opsloop.simulator.prometheus.store import Store, milliseconds
from opsloop.simulator.prometheus.telemetry import ModelTelemetry

START = datetime(2026, 3, 2, tzinfo=UTC)
SCRAPE = 15
SLI = {"requests": {"counter": "http_requests_total", "bad": 'code=~"5.."'}}
HASHES = ("5d9f8c6b51", "6d9f8c6b52", "7d9f8c6b53", "8d9f8c6b54")


@dataclass(frozen=True, slots=True)
class Era:
    """A version is live from `begin` (minutes) on, with this share of bad requests."""

    begin: int
    version: str
    hash: str
    bad: float = 0.0


class Clocked:
    """A clock that stands still."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at


def history(
    eras: Sequence[Era],
    minutes: int,
    rps: float = 8.0,
    pods: int = 4,
    images: bool = True,
    outages: Sequence[tuple[int, int, float]] = (),
) -> list[tuple[dict[str, str], list[tuple[int, float]]]]:
    """Series with their samples (milliseconds, value). `outages`: (from, to, share of bad requests) in minutes, of every version."""
    first, found = milliseconds(START), []
    for number, era in enumerate(eras):
        end = eras[number + 1].begin if number + 1 < len(eras) else minutes
        for pod in range(pods):
            late = 15 * pod if number else 0
            good, bad, seen = 0.0, 0.0, list[tuple[int, float, float]]()
            for at in range(era.begin * 60 + late + pod * 3, end * 60 + 15 * pod, SCRAPE):
                share = next((s for a, b, s in outages if a * 60 <= at < b * 60), era.bad)
                good += rps / pods * SCRAPE * (1 - share)
                bad += rps / pods * SCRAPE * share
                seen.append((first + at * 1000, good, bad))
            labels = {"namespace": "shop", "pod": f"answers-{era.hash}-{'abcde'[pod % 5] * 5}", "job": "answers"}
            if number and eras[number].hash in [e.hash for e in eras[:number]]:
                labels["pod"] = labels["pod"][:-1] + "z"
            found.append(({**labels, "__name__": "http_requests_total", "code": "200"}, [(at, g) for at, g, _ in seen]))
            found.append(
                ({**labels, "__name__": "http_requests_total", "code": "500"}, [(at, round(b, 3)) for at, _, b in seen])
            )
            if images:
                info = {
                    "namespace": "shop",
                    "pod": labels["pod"],
                    "container": "answers",
                    "image": f"shop:{era.version}",
                }
                found.append(({**info, "__name__": "kube_pod_container_info"}, [(at, 1.0) for at, _, _ in seen]))
    return found


def telemetry(series: Sequence[tuple[dict[str, str], list[tuple[int, float]]]], minutes: int) -> ModelTelemetry:
    """The model of Prometheus with these series, at the end of the history."""
    store, end = Store(), START + timedelta(minutes=minutes)
    for labels, points in series:
        store.load(labels, points)
    store.advance(milliseconds(end))
    clock: Clock = Clocked(end)
    return ModelTelemetry(store, clock)


def release(objective: float = 0.99, **spec: object) -> Release:
    """A Release whose requests are counted."""
    body = {"workloadRef": {"name": "answers"}, "slo": {"objective": objective, "sli": SLI}, **spec}
    return Release.model_validate({"metadata": {"name": "answers", "namespace": "shop"}, "spec": body})


def seen(name: str, begin: int, end: int, number: float = 4.0, image: str = "", **labels: str) -> Series:
    """That so many pods of a ReplicaSet were there, minute by minute, both ends included."""
    more = {"image": image, "container": "answers"} if image else {}
    points = tuple((START + timedelta(minutes=at), number) for at in range(begin, end + 1))
    return Series({LABEL: name, **more, **labels}, points)


def sample(value: float, at: datetime) -> Sample:
    """One number."""
    return Sample({}, value, at)
