"""The storm that is sent: who fails, with which alerts, in which bodies, and what must be filed in the end.

Three streams run beside each other. *Many*: ten thousand alerts on fifty services. *One*: thirty-five thousand distinct alerts on
one service, of which some are repeated and some end. *Others*: single alerts on services that have nothing to do with it; how long
one of them takes to be filed says whether the storm keeps anybody waiting.

Every service is called by a quiet one and calls nobody, so that no alert waits in the inbox for what others may say (`filing.SETTLE`).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from opsloop.core.incident.pacing import LONGEST_FILING, RATE
from opsloop.shell.intake.inbox import WINDOW

ONE, OTHER, MANY = "checkout", "other", "svc"
PROSE = (
    "The pod has answered more than five percent of its requests with an error for longer than five minutes. "
    "Look at the dashboard of the service and at the changes of the last hour before you restart anything. "
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is sent, and for how long (seconds)."""

    many: int = 10_000
    one: int = 35_000
    services: int = 50
    others: int = 20
    seconds: float = 60.0  # for each of the two storms
    body: int = 64  # alerts in one body of the many
    big: int = 500  # in one of the one
    repeated: int = 5_000  # of the one, sent again
    ended: int = 5_000  # of the one, that end


@dataclass(frozen=True, slots=True)
class Body:
    """One notification: when it is sent (seconds from the beginning), its bytes, and the fingerprints in it."""

    at: float
    raw: bytes = field(repr=False)
    fingerprints: tuple[str, ...] = field(repr=False)
    other: str = ""  # fingerprint of the one alert on another service


def releases(size: Size, namespace: str) -> list[dict[str, Any]]:
    """The application: quiet callers above everything that the storm is about."""
    leaves = [
        ONE,
        *(f"{MANY}-{n:02d}" for n in range(size.services)),
        *(f"{OTHER}-{n:02d}" for n in range(size.others)),
    ]
    needs: dict[str, list[str]] = {name: [] for name in leaves}
    for start in range(0, len(leaves), 16):
        needs[f"front-{start // 16}"] = leaves[start : start + 16]
    return [
        {
            "apiVersion": "opsloop.dev/v1alpha1",
            "kind": "Release",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "workloadRef": {"name": name},
                "version": "v1",
                "images": {"app": f"{name}:v1"},
                "dependsOn": below,
            },
        }
        for name, below in needs.items()
    ]


def bodies(size: Size, began: datetime) -> Iterator[Body]:
    """All bodies by their time."""
    streams = [*_many(size, began), *_one(size, began), *_others(size, began)]
    return iter(sorted(streams, key=lambda b: b.at))


def expected(size: Size) -> dict[str, int]:
    """Stream → number of its distinct alerts."""
    return {MANY: size.many, ONE: size.one, OTHER: sum(1 for _ in _times(size))}


def most_writes(size: Size) -> int:
    """What the operator may write at most while the many fail: it does not grow with the number of their alerts.

    A second: `pacing.RATE` ledgers, or as many as let none wait longer than `pacing.LONGEST_FILING`, `RATE` statuses of which only
    counts changed, and for the alert on another service an inbox entry, its deletion, a ledger and a status. Besides: an entry and
    its deletion for each body, or for those that arrived within `inbox.WINDOW`, and for each Incident its creation, six statuses and
    four ledgers, as it is opened and as its first ten alerts are named.
    """
    entries, incidents = min(-(-size.many // size.body), size.seconds / WINDOW), size.services + size.others
    ledgers = max(RATE, incidents / LONGEST_FILING.total_seconds())
    return round(size.seconds * (ledgers + RATE + 4) + 2 * entries + 11 * incidents)


def _many(size: Size, began: datetime) -> Iterator[Body]:
    count = -(-size.many // size.body)
    for number in range(count):
        numbers = range(number * size.body, min(size.many, (number + 1) * size.body))
        at = number * size.seconds / count
        alerts = [_alert("HighErrorRate", f"{MANY}-{n % size.services:02d}", n, began) for n in numbers]
        yield _body(at, alerts)


def _one(size: Size, began: datetime) -> Iterator[Body]:
    count = -(-size.one // size.big)
    for number in range(count):
        numbers = range(number * size.big, min(size.one, (number + 1) * size.big))
        at = size.seconds * (1 + number / count)
        yield _body(at, [_alert("HighErrorRate", ONE, n, began) for n in numbers])
    for at, numbers, ended in (
        (1.6, range(min(size.one, size.repeated)), False),
        (1.8, range(min(size.one, size.ended)), True),
    ):
        for first in range(0, len(numbers), size.big):
            some = numbers[first : first + size.big]
            when = size.seconds * at + first * size.seconds * 0.2 / max(1, len(numbers))
            yield _body(when, [_alert("HighErrorRate", ONE, n, began, ended) for n in some])


def _times(size: Size) -> Iterator[tuple[float, int]]:
    """(second, number) of each alert on another service: one a second."""
    yield from ((float(n), n) for n in range(1, int(2 * size.seconds)))


def _others(size: Size, began: datetime) -> Iterator[Body]:
    for at, number in _times(size):
        alert = _alert(f"QueueStuck{number}", f"{OTHER}-{number % size.others:02d}", number, began)
        yield _body(at, [alert], alert["fingerprint"])


def _body(at: float, alerts: list[dict[str, Any]], other: str = "") -> Body:
    raw = json.dumps({"version": "4", "status": "firing", "receiver": "opsloop", "alerts": alerts}).encode()
    return Body(at, raw, tuple(a["fingerprint"] for a in alerts), other)


def _alert(name: str, service: str, number: int, began: datetime, ended: bool = False) -> dict[str, Any]:
    pod = f"{service}-7c9d6b5f4-{number:05d}"
    starts = began + timedelta(seconds=number % 97)
    return {
        "status": "resolved" if ended else "firing",
        "fingerprint": hashlib.sha256(f"{name}/{pod}".encode()).hexdigest()[:16],
        "startsAt": _text(starts),
        "endsAt": _text(starts + timedelta(minutes=5)) if ended else "0001-01-01T00:00:00Z",
        "labels": {
            "alertname": name,
            "severity": "warning",
            "service": service,
            "pod": pod,
            "cluster": "eu-west-1",
            "team": f"team-{number % 7}",
        },
        "annotations": {"summary": f"{pod} fails", "description": PROSE, "runbook_url": f"https://wiki.example/{name}"},
        "generatorURL": "http://prometheus.example/graph?g0.expr=" + "x" * 80,
    }


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
