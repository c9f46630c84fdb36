"""What the API server wrote down of who asked it for what (level Metadata: times, verbs, names and codes, no bodies).

Stories count here, and not in the operator's own numbers, what it did. `e2e.harness.gates` judges its gate openings by it.
"""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

from e2e.cluster import paths

PROBE_BYTES = 256 * 1024  # a span of the log that is read rather than searched
MARGIN = 60.0  # seconds by which a line (or a rotated file's mtime) may lie before a request that it holds began
Table = dict[tuple[str, str], int]  # (verb, resource/subresource) → requests


class BrokenLog(Exception):
    """A line that is not an audit event, not at the end of the log: evidence is missing, so nothing may be concluded."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Times are Unix seconds by the API server's clock, which on kind is this machine's."""

    time: float  # received
    done: float  # answered (for a watch: its answer began)
    user: str
    verb: str
    resource: str  # "" for what is not an object: /version, /apis ...
    subresource: str
    namespace: str
    name: str
    code: int  # 0 where the log has none
    user_agent: str
    field_manager: str  # of the query
    dry_run: bool = False  # answered as a write would be, and nothing stored

    @property
    def target(self) -> str:
        """`pods/status`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource or "(not an object)"

    @property
    def ok(self) -> bool:
        """It took effect (or was answered)."""
        return 200 <= self.code < 300


def operator_user(ops: str, account: str = "opsloop") -> str:
    """User name of the operator that the chart installed in namespace `ops` (its fullname is the account's name)."""
    return f"system:serviceaccount:{ops}:{account}"


def requests(user: str = "", since: float = 0.0, until: float = math.inf, log: Path = paths.AUDIT_LOG) -> list[Request]:
    """Requests received from `since` to `until` (Unix seconds) by this user ("" = by anybody), oldest first, each once.

    Reads what was rotated as well. A half-written last line is left for the next reading; FileNotFoundError where there
    is no log, BrokenLog where another line is broken.
    """
    by_id: dict[str, Request] = {}
    for path in _files(log, since):
        for line in _lines(path, since, newest=path == log):
            if user.encode() not in line:  # cheaper than to parse the nine of ten lines that are somebody else's
                continue
            event = _parsed(line, path)
            request = _request(event)
            if user in ("", request.user) and since <= request.time <= until:
                by_id.setdefault(event["auditID"], request)  # a watch has two lines: when it began and when it ended
    return sorted(by_id.values(), key=lambda r: r.time)


def _files(log: Path, since: float) -> list[Path]:
    """Rotated ones first: NAME-2026-11-23T14-38-25.123.log, perhaps with .gz."""
    if not log.is_file():
        raise FileNotFoundError(f"{log}: no audit log; make cluster writes one")
    rotated = sorted(log.parent.glob(f"{log.stem}-*{log.suffix}*"))
    return [*(p for p in rotated if p.stat().st_mtime + MARGIN >= since), log]


def _lines(path: Path, since: float, newest: bool) -> Iterator[bytes]:
    """The lines from `since` on, and perhaps some before; without a half-written last one of the newest file."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as stream:
        if path.suffix != ".gz":
            stream.seek(_offset(stream, path.stat().st_size, since - MARGIN))
        for line in stream:
            if newest and not line.endswith(b"\n"):
                return
            if line.strip():
                yield line


def _offset(stream: BinaryIO, size: int, instant: float) -> int:
    """Where a line begins before which all were written before this instant. 0 where a line on the way is broken.

    A log of hours has 100 MB, of which a shift's end is looked at several times. Lines are written when a request is
    answered, so all that were received later come after.
    """
    begin, end = 0, size
    while end - begin > PROBE_BYTES:
        stream.seek((begin + end) // 2)
        stream.readline()  # the rest of a line
        middle = stream.tell()
        try:
            written = _seconds(json.loads(stream.readline())["stageTimestamp"])
        except (ValueError, KeyError, TypeError):
            return 0
        if middle >= end or written >= instant:
            end = (begin + end) // 2
        else:
            begin = middle
    return begin


def _parsed(line: bytes, path: Path) -> dict[str, Any]:
    try:
        event = dict(json.loads(line))
        _seconds(event["requestReceivedTimestamp"])
        # of a request that was answered with 401, such as those of a killed pod's last moments, nobody knows the user
        if not isinstance(event["auditID"] + event["user"].setdefault("username", ""), str):
            raise ValueError("auditID and user.username must be text")
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise BrokenLog(f"{path}: not an audit event ({error}): {line[:200]!r}") from error
    return event


def _request(event: dict[str, Any]) -> Request:
    about = event.get("objectRef") or {}
    query = parse_qs(urlsplit(event.get("requestURI", "")).query)
    received = event["requestReceivedTimestamp"]
    return Request(
        time=_seconds(received),
        done=_seconds(event.get("stageTimestamp", received)),
        user=event["user"]["username"],
        verb=event.get("verb", ""),
        resource=about.get("resource", ""),
        subresource=about.get("subresource", ""),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=int((event.get("responseStatus") or {}).get("code", 0)),
        user_agent=event.get("userAgent", ""),
        field_manager=query.get("fieldManager", [""])[0],
        dry_run="dryRun" in query,
    )


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


# what stories ask


def table(requests: Iterable[Request]) -> Table:
    """How many of each (verb, resource/subresource), the most frequent first."""
    return dict(Counter((r.verb, r.target) for r in requests).most_common())


def select(requests: Iterable[Request], verb: str, target: str, namespace: str = "", name: str = "") -> list[Request]:
    """Successful requests of this verb on this `resource/subresource`; "" = any namespace, any name."""
    return [
        r
        for r in requests
        if r.ok and r.verb == verb and r.target == target and namespace in ("", r.namespace) and name in ("", r.name)
    ]


def rollbacks(requests: Iterable[Request], namespace: str, deployment: str) -> list[Request]:
    """Template writes: successful PATCHes of the user's Deployment itself, which the operator makes for nothing else.

    Dry runs, by which it asks what would be stored, write nothing.
    A promotion is such a write too: count between the instants (`since`, `until`) at which only rollbacks may happen.
    """
    return [r for r in select(requests, "patch", "deployments", namespace, deployment) if not r.dry_run]


def gate_patches(requests: Iterable[Request], namespace: str = "") -> list[Request]:
    """Successful PATCHes of pods/status: readiness gates opened or closed (`field_manager` says which)."""
    return select(requests, "patch", "pods/status", namespace)


def forbidden(requests: Iterable[Request]) -> list[Request]:
    """What the API server refused for want of a right: the chart's RBAC is too narrow, or the code asks too much."""
    return [r for r in requests if r.code == 403]


def lines(counts: Table) -> list[str]:
    """The table for people."""
    width = max((len(f"{verb} {target}") for verb, target in counts), default=0)
    return [f"{f'{verb} {target}':{width}}  {number:5}" for (verb, target), number in counts.items()]
