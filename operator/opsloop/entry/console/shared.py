"""Parts of pages that several viewers share: made once a second at most, in a thread, one at a time."""

import asyncio
from collections.abc import Callable, Hashable

from markupsafe import Markup

FRESH = 1.0  # seconds for which a part is shown again as it is
MOST = 2 * 1024 * 1024  # characters of all that are kept


class Shared:
    """`monotonic` in seconds. Without `threads` (fake time knows none) a part is made at once."""

    def __init__(self, monotonic: Callable[[], float], threads: bool) -> None:
        self._now, self._threads = monotonic, threads
        self._kept: dict[Hashable, tuple[float, Markup]] = {}
        self._lane = asyncio.Lock()

    async def part(self, key: Hashable, work: Callable[[], Markup]) -> Markup:
        """What `work` makes; `key` says all that it depends on, besides what changes with time. `work` is a function of immutable facts, or
        of single look-ups."""
        if (known := self._fresh(key)) is not None:
            return known
        async with self._lane:
            if (known := self._fresh(key)) is not None:
                return known
            made = await asyncio.to_thread(work) if self._threads else work()
        self._kept.pop(key, None)
        self._kept[key] = (self._now() + FRESH, made)
        while sum(len(text) for _, text in self._kept.values()) > MOST and len(self._kept) > 1:
            del self._kept[next(iter(self._kept))]
        return made

    def _fresh(self, key: Hashable) -> Markup | None:
        until, made = self._kept.get(key, (0.0, None))
        return made if until > self._now() else None
