"""Addresses of the pods that serve users now."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from opsloop.core.evalcase.addresses import may_ask, own_ports
from opsloop.errors import OpsloopError
from opsloop.names import CANARY, WARM
from opsloop.shell.ports import PODS, Object, Reader

log = logging.getLogger(__name__)

TRIES = 3
FRESH = 2.0  # seconds for which a list is used again: many cases of one Release ask at the same time


@dataclass
class _Listing:
    at: float
    asked: "asyncio.Task[tuple[Object, ...]]"


class LivePods:
    """Lists live pods, once for all who ask within FRESH seconds."""

    def __init__(self, reader: Reader, pause: float) -> None:
        """`pause`: seconds between tries."""
        self._reader = reader
        self._pause = pause
        self._listings: dict[tuple[str, frozenset[tuple[str, str]]], _Listing] = {}

    async def addresses(
        self, namespace: str, selector: Mapping[str, str], port: int, anew: bool = False
    ) -> tuple[str, ...]:
        """Sorted addresses of those that may be asked on this port. Without a selector none: it would match every pod.

        `anew`: as they are now, not as they were a moment ago.
        """
        pods = (
            (await self._list(namespace, selector) if anew else await self._pods(namespace, selector))
            if selector
            else ()
        )
        return tuple(
            sorted(str(pod["status"]["podIP"]) for pod in pods if may_ask(own_ports(pod.get("spec") or {}), port))
        )

    async def _pods(self, namespace: str, selector: Mapping[str, str]) -> tuple[Object, ...]:
        now, key = asyncio.get_running_loop().time(), (namespace, frozenset(selector.items()))
        self._listings = {k: v for k, v in self._listings.items() if now - v.at < FRESH or not v.asked.done()}
        if key not in self._listings:
            self._listings[key] = _Listing(now, asyncio.create_task(self._list(namespace, selector)))
        return await asyncio.shield(self._listings[key].asked)

    async def _list(self, namespace: str, selector: Mapping[str, str]) -> tuple[Object, ...]:
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._pause)
            try:
                pods = await self._reader.list(PODS, namespace, selector)
            except OpsloopError as error:
                log.warning("live pods of %s could not be listed: %s", namespace, error)
            else:
                return tuple(pod for pod in pods if is_live(pod))
        return ()

    async def close(self) -> None:
        """Cancels lists under way."""
        tasks = [one.asked for one in self._listings.values()]
        self._listings.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def is_live(pod: Object) -> bool:
    """True for a Ready pod of the user's Deployment: no canary, none that is kept warm, not on its way out, with an address."""
    metadata, status = pod.get("metadata") or {}, pod.get("status") or {}
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or [])
    labelled = not {CANARY, WARM}.isdisjoint(metadata.get("labels") or {})
    return ready and bool(status.get("podIP")) and not labelled and not metadata.get("deletionTimestamp")
