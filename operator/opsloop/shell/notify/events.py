"""Kubernetes Events: one Event per (object, reason), counted up on repeat. A failure is logged and stops nothing."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from opsloop.core.decision import Event
from opsloop.errors import AlreadyExists, NotFound
from opsloop.shell.ports import EVENTS, Object, Writer

BURST = 40.0  # more than an object posts from adoption over drift, rollback and a rejected canary to a promotion
REFILL = 1 / 60  # tokens per second and object
MOST_KEPT = 2048  # buckets and counts; the oldest are dropped
log = logging.getLogger("opsloop.events")


def _now() -> datetime:
    return datetime.now(UTC)


class EventPoster:
    """Events port on a Writer, with a token bucket per object. `post` raises nothing but cancellation."""

    def __init__(self, writer: Writer, component: str = "opsloop", now: Callable[[], datetime] = _now) -> None:
        self._writer, self._component, self._now = writer, component, now
        self._buckets: dict[str, tuple[float, datetime]] = {}  # uid, or kind and name -> (tokens, as of)
        self._counts: dict[str, int] = {}  # name of the Event -> count

    async def post(self, obj: Object, event: Event) -> None:
        """Posts the Event, or counts up the one that is there; drops it where the object's bucket is empty."""
        meta = obj["metadata"]
        if not self._take(meta.get("uid") or f"{obj.get('kind')}/{meta.get('namespace')}/{meta['name']}"):
            return
        try:
            await self._post(obj, event)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("event %s on %s/%s not posted: %s", event.reason, meta.get("namespace"), meta["name"], error)

    def _take(self, uid: str) -> bool:
        now = self._now()
        tokens, since = self._buckets.pop(uid, (BURST, now))
        tokens = min(BURST, tokens + (now - since).total_seconds() * REFILL)
        self._buckets[uid] = (tokens - 1 if tokens >= 1 else tokens, now)
        _limit(self._buckets)
        return tokens >= 1

    async def _post(self, obj: Object, event: Event) -> None:
        meta = obj["metadata"]
        namespace, name = meta.get("namespace") or "default", event_name(obj, event.reason)
        if name in self._counts and await self._repeat(namespace, name, event, self._counts[name]):
            return
        try:
            await self._writer.create(EVENTS, namespace, self._body(obj, event, name))
            self._count(name, 1)
        except AlreadyExists:  # of an earlier process: a patch with nothing but a test returns the stored one
            stored = await self._writer.json_patch(
                EVENTS, namespace, name, [{"op": "test", "path": "/reason", "value": event.reason}]
            )
            await self._repeat(namespace, name, event, int(stored.get("count") or 1))

    async def _repeat(self, namespace: str, name: str, event: Event, count: int) -> bool:
        """Counts up a stored Event; False where it has expired (after an hour)."""
        new = {"count": count + 1, "lastTimestamp": self._stamp(), "message": event.message[:1024], "type": event.type}
        try:
            await self._writer.json_patch(
                EVENTS, namespace, name, [{"op": "add", "path": f"/{k}", "value": v} for k, v in new.items()]
            )
        except NotFound:
            return False
        self._count(name, count + 1)
        return True

    def _count(self, name: str, count: int) -> None:
        self._counts.pop(name, None)
        self._counts[name] = count
        _limit(self._counts)

    def _stamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _body(self, obj: Object, event: Event, name: str) -> Object:
        meta, now = obj["metadata"], self._stamp()
        involved = {k: meta[k] for k in ("namespace", "name", "uid", "resourceVersion") if meta.get(k)}
        return {
            "metadata": {"name": name, "namespace": meta.get("namespace") or "default"},
            "involvedObject": {"apiVersion": obj.get("apiVersion", ""), "kind": obj.get("kind", ""), **involved},
            "reason": event.reason,
            "message": event.message[:1024],
            "type": event.type,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._component,
        }


def event_name(obj: Object, reason: str) -> str:
    """Name of the Event of this object and reason."""
    meta = obj["metadata"]
    digest = hashlib.sha256(f"{meta.get('uid', '')}/{reason}".encode()).hexdigest()[:16]
    return f"{meta['name'][:200]}.{digest}"


def _limit(memory: dict[str, Any]) -> None:
    while len(memory) > MOST_KEPT:
        del memory[next(iter(memory))]
