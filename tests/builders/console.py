"""A console over a cache of objects, with an API server that knows a few viewers; every foreign text in it tries to break out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from opsloop.api.incident import Incident
from opsloop.api.records import Command
from opsloop.api.release import Release
from opsloop.api.target import CaseResult
from opsloop.core import conditions
from opsloop.core.postmortem import stored
from opsloop.core.postmortem.curve import Curve, Point
from opsloop.core.runbook.rights import Identity
from opsloop.core.slo.budget import Spent
from opsloop.core.stop import Stop
from opsloop.entry.console.http import Console, Elsewhere, nowhere
from opsloop.entry.console.sight import Parts, Sight
from opsloop.entry.http_server import Listening, listen
from opsloop.errors import Forbidden, NotFound, Unavailable
from opsloop.shell.ports import CONFIGMAPS, NamespacedName, Object, Resource
from opsloop.shell.watch.cache import Cache
from tests.builders import postmortems
from tests.builders.evalcases import BAD as BAD_DIGEST
from tests.builders.evalcases import revision
from tests.builders.objects import T0, release, verdict
from tests.builders.rollouts import ADOPTED, BAD, BLOCK, TRIED, status_with, target

NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>\" onmouseover='alert(3)'"
NOW = T0 + timedelta(minutes=5)


def answers(namespace: str = "shop", name: str = "answers", **changes: Any) -> Release:
    """A canary in traffic that is held, with an eval that failed."""
    failed = CaseResult(case="greets", must_pass=True, asked=3, canary_passed=1, canary_runs=3, live_passed=3, live_runs=3, message=NASTY)  # fmt: skip
    passed = failed.model_copy(update={"case": "hours", "canary_passed": 3, "message": ""})
    held = conditions.put([], "Held", "True", "WaitingForApproval", NASTY, NOW)
    blocked = BAD.model_copy(update={"blocked": revision(BAD_DIGEST, 2, "v2", blocked={"reason": "RolledBack", "message": NASTY, "at": T0}).blocked})  # fmt: skip
    state = status_with(target("Stepping", version="v4", evals=[failed, passed]), ADOPTED, blocked, TRIED, phase="Held", version="v1", burn_band="slow", incident="answers-1", conditions=held)  # fmt: skip
    state.commands.append(Command(name="promote", value="x", reason="Obeyed", message=NASTY, at=T0))
    item = release(name, version="v4", status=state, **changes)
    return item.model_copy(update={"metadata": item.metadata.model_copy(update={"namespace": namespace})})


def hostile(namespace: str = "shop") -> Incident:
    """An open Incident whose alerts, tickets, timeline and people write HTML."""
    episode = postmortems.hostile().incident
    status = episode.status.model_copy(
        update={
            "title": NASTY, "phase": "Open", "severity": "sev1", "postmortem": "answers-1-postmortem",
            "alerts": episode.status.alerts.model_validate({"count": 38, "firing": 3, "by_service": {"web": 18, NASTY[:100]: 20}}),
        }
    )  # fmt: skip
    spec = episode.spec.model_copy(update={"release": "answers", "owner": NASTY, "assignee": NASTY[:100]})
    meta = episode.metadata.model_copy(update={"name": "answers-1", "namespace": namespace, "uid": f"uid-{namespace}"})
    return Incident(metadata=meta, spec=spec, status=status)


def postmortem() -> Object:
    """The ConfigMap of a whole episode, with its curve."""
    episode = postmortems.closed_loop()
    document = episode.document.model_copy(update={"curve": curve(T0, T0 + timedelta(hours=1))})
    made = stored.contents(stored.Stored(), stored.Edits({}), document, "# x")
    meta = {"name": "answers-1-postmortem", "namespace": "shop", "annotations": {}, "resourceVersion": "1"}
    return {"metadata": meta, "data": made["data"], "binaryData": made["binaryData"]}


def curve(start: datetime, end: datetime, points: int = 120) -> Curve:
    """A burn in the middle third."""
    step = (end - start) / points
    counts = [(20.0 if points / 3 < n < points * 2 / 3 else 0.2, 100.0) for n in range(points)]
    return Curve(
        slo="sli", objective=0.99, period=timedelta(days=28).total_seconds(), step=step.total_seconds(), since=start, until=end,
        points=tuple(Point(at=start + step * (n + 1), bad=bad, total=total) for n, (bad, total) in enumerate(counts)),
    )  # fmt: skip


@dataclass
class ApiServer:
    """Access and reader ports. `rights`: user → what they may, as (verb, plural, namespace); namespace "" = all."""

    tokens: dict[str, str] = field(default_factory=lambda: {"ann-token": "ann", "bob-token": "bob", "eve-token": "eve"})
    rights: dict[str, set[tuple[str, str, str]]] = field(
        default_factory=lambda: {
            "ann": {("list", "releases", ""), ("list", "incidents", ""), ("get", "configmaps", "shop")},
            "bob": {("list", "releases", "shop"), ("list", "incidents", "shop")},
            "eve": set(),
        }
    )
    objects: dict[str, Object] = field(default_factory=lambda: {"answers-1-postmortem": postmortem()})
    error: Exception | None = None
    knows_all: bool = True  # may it ask about all namespaces?
    reviewed: list[str] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    pause: asyncio.Event | None = None  # answers about rights wait for it
    asked_by: Counter[str] = field(default_factory=Counter)  # user → questions since there is a pause
    pending_of: Counter[str] = field(default_factory=Counter)  # user → those that are not answered

    async def review_token(self, token: str, audience: str) -> Identity | None:
        self.reviewed.append(token)
        if self.error:
            raise self.error
        user = self.tokens.get(token)
        return Identity(user) if user else None

    async def allowed(self, who: Identity, verb: str, group: str, plural: str, namespace: str, name: str = "") -> bool:
        self.asked.append((verb, plural, namespace))
        if self.pause is not None:
            self.asked_by[who.name] += 1
            self.pending_of[who.name] += 1
            await self.pause.wait()
            self.pending_of[who.name] -= 1
        if not namespace and not self.knows_all:
            raise Unavailable("the operator may not create subjectaccessreviews") from Forbidden("403")
        given = self.rights[who.name]
        return (verb, plural, namespace) in given or (verb, plural, "") in given

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        assert resource == CONFIGMAPS
        self.read.append(name)
        if name not in self.objects:
            raise NotFound(name)
        return self.objects[name]


@dataclass
class Clock:
    """Stands still."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at


@dataclass
class World:
    """All that a console looks at."""

    api: ApiServer = field(default_factory=ApiServer)
    cache: Cache = field(default_factory=Cache)
    clock: Clock = field(default_factory=Clock)
    leads: bool = True
    stops: tuple[Stop, ...] = ()
    curves: list[tuple[NamespacedName, str]] = field(default_factory=list)
    ticks: list[float] = field(default_factory=lambda: [0.0])
    version: int = 0

    def put(self, item: Release | Incident) -> None:
        """Stores an object as a watch would."""
        self.version += 1
        obj = item.model_dump(by_alias=True, mode="json", exclude_none=True)
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.cache.put(type(item).__name__, obj)

    async def curve(self, key: NamespacedName, name: str, span: tuple[datetime, datetime], usual: bool) -> Curve | None:
        assert not usual, "the whole period is the costliest question"
        self.curves.append((key, name))
        return curve(*span)

    def parts(self) -> Parts:
        return Parts(
            cache=self.cache,
            reader=self.api,  # type: ignore[arg-type]  # of a reader only get is asked for
            clock=self.clock,
            leads=lambda: self.leads,
            verdict=lambda _: verdict(0.03, self.clock.at),
            budget=lambda _key, _name: Spent(0.38, 0.9),
            curve=self.curve,
            stops=lambda: self.stops,
        )

    def console(self, elsewhere: Elsewhere = nowhere, threads: bool = False) -> Console:
        return Console(
            self.api, Sight(self.parts()), "opsloop-console", elsewhere, lambda: self.ticks[0], threads=threads
        )


def shop() -> World:
    """Two namespaces: shop with a canary and an open Incident, bank with a Release at rest."""
    world = World()
    world.put(answers())
    world.put(hostile())
    world.put(answers("bank", "ledger"))
    return world


def calm() -> World:
    """A shop as the drill leaves it in mid-shift, for pictures: a canary in traffic, an Incident that is mitigated, two services at rest."""
    world = World()
    status = status_with(target("Stepping", version="v4", step=1, weight=50, pods=2), ADOPTED, BAD.model_copy(update={"blocked": BLOCK}), TRIED, phase="Stepping", version="v1", burn_band="slow", incident="answers-1", weight={"wanted": 50, "actual": 50})  # fmt: skip
    world.put(release("answers", version="v4", status=status))
    for name in ("catalog", "web"):
        world.put(release(name, status=status_with(None, ADOPTED, phase="Healthy", version="v1", burn_band="ok")))
    episode = postmortems.closed_loop().incident
    open_still = {
        "phase": "Mitigated",
        "resolved_at": None,
        "title": "answers: wrong answers",
        "postmortem": "answers-1-postmortem",
    }
    world.put(episode.model_copy(update={"status": episode.status.model_copy(update=open_still)}))
    return world


@asynccontextmanager
async def served(
    world: World, elsewhere: Elsewhere = nowhere, console: Console | None = None
) -> AsyncIterator[tuple[Listening, str]]:
    """The console on a free port, and its address."""
    listening = await listen((console or world.console(elsewhere)).app(), 0, "127.0.0.1")
    try:
        yield listening, f"http://127.0.0.1:{listening.port}"
    finally:
        await listening.cleanup()
