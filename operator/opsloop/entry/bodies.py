"""Bodies of requests: read with a limit, a deadline and a place in memory, and undone of their Content-Encoding within the same limit."""

import asyncio
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from opsloop.core.intake import MAX_BODY
from opsloop.entry.senders import Refused
from opsloop.errors import OpsloopError, Unavailable

SECONDS = 30.0  # for the whole body
ROOM = 3 * MAX_BODY  # bytes of all bodies that are in work
SMALL = 64 * 1024  # bytes of a body that always finds room: connections are bounded
QUICK = 4 * 1024  # bytes that are inflated at once, also where each of them becomes a thousand
CHUNK = 64 * 1024
_INFLATE = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Room:
    """The memory for bodies that are being read, parsed or stored. One namespace has no more of it than one body needs, as it
    was sent and undone of its coding."""

    def __init__(self, total: int = ROOM, each: int = 2 * MAX_BODY) -> None:
        self._total, self._each = total, each
        self._used: Counter[str] = Counter()

    @property
    def used(self) -> int:
        """Bytes that are taken."""
        return self._used.total()

    @contextmanager
    def place(self, namespace: str) -> Iterator["Place"]:
        """A place that grows with its body, and is free again at the end."""
        place = Place(self, namespace)
        try:
            yield place
        finally:
            self._used[namespace] -= place.taken
            if self._used[namespace] <= 0:
                del self._used[namespace]

    def take(self, namespace: str, size: int) -> None:
        """Takes so many bytes more, or gives some back. Raises Unavailable where there is no room."""
        if size > 0 and (self.used + size > self._total or self._used[namespace] + size > self._each):
            raise Unavailable("the bodies that are in work fill the memory for them; try again soon", after=2.0)
        self._used[namespace] += size


class Place:
    """The room of one body."""

    def __init__(self, room: Room, namespace: str) -> None:
        self._room, self._namespace = room, namespace
        self.taken = 0

    def hold(self, size: int) -> None:
        """Takes room for a body of so many bytes; a small one needs none. Raises Unavailable where there is none."""
        needed = size if size > SMALL else 0
        self._room.take(self._namespace, needed - self.taken)
        self.taken = needed


async def read_body(request: web.Request, place: Place) -> bytes:
    """The body as its sender meant it. Raises Refused (400, 408, 413), or Unavailable where there is no room."""
    coding = _coding(request.headers.get("Content-Encoding", ""))
    try:
        async with asyncio.timeout(SECONDS):
            raw = await _read(request, place)
    except TimeoutError:
        raise Refused(408, f"body: it did not arrive within {SECONDS:.0f} s") from None
    except (web.HTTPException, Refused, OpsloopError):
        raise
    except Exception as error:  # aiohttp has several for a body that is no HTTP, or whose sender has gone
        raise Refused(400, f"body: it did not arrive whole ({type(error).__name__})") from error
    if not coding:
        return raw
    place.hold(len(raw) + MAX_BODY)
    body = inflate(raw, coding) if len(raw) <= QUICK else await asyncio.to_thread(inflate, raw, coding)
    place.hold(len(body))
    return body


async def _read(request: web.Request, place: Place) -> bytes:
    parts, size = [], 0
    async for part in request.content.iter_chunked(CHUNK):
        size += len(part)
        if size > MAX_BODY:
            raise _too_long()
        place.hold(size)
        parts.append(part)
    return b"".join(parts)


def _coding(header: str) -> str:
    """The one coding of the header that is supported, "" for none. Raises Refused."""
    coding = header.strip().lower()
    if coding in ("", "identity"):
        return ""
    if coding not in _INFLATE:
        raise Refused(400, f"Content-Encoding: {header[:80]!r} is not supported; send gzip, deflate or none")
    return coding


def inflate(raw: bytes, coding: str) -> bytes:
    """Undoes the coding, never beyond MAX_BODY bytes. Raises Refused (400, 413), which names the header."""
    wrong = Refused(400, f"Content-Encoding: the body is not {coding}; leave the header out, or compress the body")
    parts: list[bytes] = []
    size, rest = 0, raw
    inflater = zlib.decompressobj(_INFLATE[coding])
    try:
        while rest:
            part = inflater.decompress(rest, CHUNK)
            size += len(part)
            if size > MAX_BODY:
                raise _too_long()
            parts.append(part)
            rest = inflater.unconsumed_tail
            if inflater.eof:
                rest = inflater.unused_data
                if rest:  # several members of gzip are one body
                    inflater = zlib.decompressobj(_INFLATE[coding])
    except zlib.error:
        raise wrong from None
    if not inflater.eof:
        raise wrong
    return b"".join(parts)


def _too_long() -> Refused:
    return Refused(413, f"body: more than {MAX_BODY} bytes; send fewer alerts at once (max_alerts in Alertmanager)")
