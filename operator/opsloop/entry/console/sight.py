"""What this process knows of the objects on a page: the watch cache, the latest readings, and of a postmortem one GET. No page lists."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core.postmortem import stored
from opsloop.core.postmortem.curve import Curve
from opsloop.core.postmortem.document import Document
from opsloop.core.readings import Verdict
from opsloop.core.slo.budget import Spent
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.standing import Standing, standings
from opsloop.core.stop import Stop
from opsloop.entry.bounds import bound
from opsloop.errors import NotFound
from opsloop.shell.ports import CONFIGMAPS, Clock, NamespacedName, Reader
from opsloop.shell.watch.cache import Cache

SPANS = {1: timedelta(minutes=1), 6: timedelta(minutes=2), 24: timedelta(minutes=6)}  # hours → time between two reads
PATIENCE = 3.0  # seconds that a page waits for a curve; after that it shows the one before, or none yet
KEPT = timedelta(seconds=20)  # for which a postmortem is not read again
MOST = 64  # curves, and postmortems, that are kept
AT_ONCE = 10  # objects that are parsed before the loop goes on with other things

log = logging.getLogger("opsloop.console")
ReadCurve = Callable[[NamespacedName, str, tuple[datetime, datetime], bool], Awaitable[Curve | None]]


@dataclass(frozen=True, slots=True)
class Parts:
    """Of one Operator: what the console looks at."""

    cache: Cache
    reader: Reader
    clock: Clock
    leads: Callable[[], bool]
    verdict: Callable[[NamespacedName], Verdict | None]
    budget: Callable[[NamespacedName, str], Spent | None]
    curve: ReadCurve
    stops: Callable[[], tuple[Stop, ...]]


class Sight:
    """Reads for the pages."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._curves: dict[tuple[NamespacedName, str, int], tuple[datetime, Curve | None]] = {}
        self._reading: dict[tuple[NamespacedName, str, int], asyncio.Task[None]] = {}
        self._one = asyncio.Lock()  # one question to Prometheus at a time, whoever looks
        self._documents: dict[tuple[str, str], tuple[datetime, Document | None]] = {}

    async def settled(self) -> None:
        """Parses what the watch brought and nobody asked for yet, a few at a time: a replica that does not lead has parsed nothing, and
        the loop that shows pages also renews the Lease and opens gates."""
        more = True
        while more:
            more = self.parts.cache.parse_some((Release, Incident), AT_ONCE)
            await asyncio.sleep(0)

    def namespaces(self) -> set[str]:
        """Those with a Release or an Incident."""
        return {one.metadata.namespace for one in (*self.parts.cache.releases(), *self.parts.cache.incidents())}

    def standings(self, release: Release) -> tuple[Standing, ...]:
        """How it stands to each objective; unknown on a replica that does not lead, since that one reads no SLI."""
        if not self.parts.leads():
            return standings(release, None, lambda _: None)
        return standings(release, self.parts.verdict(release.key), lambda name: self.parts.budget(release.key, name))

    def release(self, namespace: str, name: str) -> Release | None:
        """One Release."""
        return self.parts.cache.model(Release, namespace, name)

    def incident(self, namespace: str, name: str) -> tuple[Incident, Release | None, EvalCase | None] | None:
        """One Incident with its root and its regression case."""
        cache = self.parts.cache
        incident = cache.model(Incident, namespace, name)
        if incident is None:
            return None
        root = cache.model(Release, namespace, incident.spec.release) if incident.spec.release else None
        case = cache.model(EvalCase, namespace, incident.status.eval_case) if incident.status.eval_case else None
        return incident, root, case

    async def curves(self, release: Release, hours: int) -> dict[str, Curve | None]:
        """Objective → its SLI over the last hours. A first look waits a little; what is old is read again meanwhile."""
        if release.spec.slo is None or not self.parts.leads():
            return {}
        now, keys = self.parts.clock.now(), [(release.key, one.name, hours) for one in objectives(release.spec.slo)]
        due = [k for k in keys if k not in self._curves or now - self._curves[k][0] >= SPANS[hours]]
        tasks = [self._begin(key) for key in due]
        if fresh := [task for key, task in zip(due, tasks, strict=True) if key not in self._curves]:
            await asyncio.wait(fresh, timeout=PATIENCE)
        return {key[1]: self._curves[key][1] for key in keys if key in self._curves}

    async def postmortem(self, namespace: str, name: str) -> Document | None:
        """What the ConfigMap of this name holds."""
        now, key = self.parts.clock.now(), (namespace, name)
        known = self._documents.get(key)
        if known is None or now - known[0] >= KEPT:
            try:
                found = stored.read(await self.parts.reader.get(CONFIGMAPS, namespace, name)).document
            except NotFound:
                found = None
            known = self._documents[key] = (now, found)
            bound(self._documents, MOST)
        return known[1]

    async def close(self) -> None:
        """Ends what is being read."""
        for task in list(self._reading.values()):
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)

    def _begin(self, key: tuple[NamespacedName, str, int]) -> asyncio.Task[None]:
        if key not in self._reading:
            self._reading[key] = asyncio.create_task(self._read(key))
        return self._reading[key]

    async def _read(self, key: tuple[NamespacedName, str, int]) -> None:
        release, objective, hours = key
        try:
            async with self._one:
                now = self.parts.clock.now()
                curve = await self.parts.curve(release, objective, (now - timedelta(hours=hours), now), False)
            self._curves.pop(key, None)
            self._curves[key] = (now, curve)
            bound(self._curves, MOST)
        except Exception:
            log.exception("the SLI of %s/%s (%s) could not be read for the console", *release, objective)
        finally:
            self._reading.pop(key, None)
