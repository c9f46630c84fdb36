"""Runtime: the ports and caches of one process, as reconcilers use them. `entry.wiring` builds it, in tests too."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from opsloop.core.alerts.ledger import REPEATS
from opsloop.core.correlation.method import Method
from opsloop.core.facts import AdmissionAnswer, Experience, LivePod, ObjectChanges, PodFacts, ReleaseView, TemplateWrite
from opsloop.core.notify.routing import Routing
from opsloop.core.postmortem.curve import Curve
from opsloop.core.reported import HouseWords, Looked, Taught
from opsloop.shell.apart import Apart
from opsloop.shell.evals.runner import EvalRunner
from opsloop.shell.intake.activity import Activity
from opsloop.shell.intake.experience_store import LearntStore
from opsloop.shell.intake.inbox import InboxReader
from opsloop.shell.intake.ledger_store import LedgerStore
from opsloop.shell.intake.rules import RuleReader
from opsloop.shell.notify.pages import PageSender
from opsloop.shell.ports import Clock, Events, Instruments, NamespacedName, Object, ObjectKey, Reader, Reviews, Writer
from opsloop.shell.reconcile.errands import Errands
from opsloop.shell.reconcile.refusals import Refusals
from opsloop.shell.slo.poller import ReadingStore
from opsloop.shell.watch.cache import Cache
from opsloop.shell.watch.stops import Stops


@dataclass
class OwnedObjects:
    """Contents of objects that only opsloop writes, or nobody: read once per process, then kept current by its own writes."""

    templates: dict[NamespacedName, dict[str, Mapping[str, Any]]] = field(default_factory=dict)  # Release: by digest
    postmortems: dict[NamespacedName, str | None] = field(default_factory=dict)  # by Incident
    written: dict[NamespacedName, TemplateWrite] = field(default_factory=dict)  # Release: last write to its Deployment
    answers: dict[NamespacedName, dict[str, tuple[datetime, AdmissionAnswer]]] = field(default_factory=dict)
    """Release: what the API server would store, by digest of what was asked, with the time of the answer."""
    beside: dict[str, tuple[datetime, tuple[list[Object], list[Object]] | None]] = field(default_factory=dict)
    """Services and PodDisruptionBudgets by namespace, with the time at which they were listed."""
    features: dict[NamespacedName, tuple[datetime, frozenset[str] | None]] = field(default_factory=dict)
    """Gateway: what its class says that it can do, with the time at which it was read."""
    objects: dict[NamespacedName, tuple[datetime, ObjectChanges]] = field(default_factory=dict)
    """Incident: the last writes of what the root's pods use, with the time at which they were read."""
    trouble: dict[NamespacedName, tuple[datetime, tuple[str, str]]] = field(default_factory=dict)
    """Release: what keeps its Deployment's pods from starting, with the time at which they were listed."""
    claims: dict[NamespacedName, tuple[str, ...]] = field(
        default_factory=dict
    )  # access modes of claims, which never change
    rights: dict[NamespacedName, tuple[Any, datetime, tuple[dict[str, bool], bool | None, bool]]] = field(
        default_factory=dict
    )  # Release: what was asked of the account of its checks, when, and the answer

    def forget(self, kind: str, namespace: str, name: str) -> None:
        """Drops everything that belongs to this object, which was deleted."""
        if kind == "Release":
            self.templates.pop((namespace, name), None)
            self.written.pop((namespace, name), None)
            self.answers.pop((namespace, name), None)
            self.rights.pop((namespace, name), None)
            self.trouble.pop((namespace, name), None)
        if kind == "Incident":
            self.postmortems.pop((namespace, name), None)
            self.objects.pop((namespace, name), None)


ReadCurve = Callable[[NamespacedName, str, tuple[datetime, datetime]], Awaitable[Curve | None]]


async def _no_curve(release: NamespacedName, slo: str, span: tuple[datetime, datetime]) -> Curve | None:
    return None


@dataclass
class Runtime:
    """Ports, caches and background work of one process. `enqueue` requests a reconcile of one object."""

    reader: Reader
    writer: Writer
    access: Reviews
    clock: Clock
    cache: Cache
    readings: ReadingStore
    inbox: InboxReader
    ledgers: LedgerStore
    rules: RuleReader
    experience: LearntStore[Experience]
    taught: LearntStore[Taught]
    apart: Apart
    evals: EvalRunner
    errands: Errands
    pages: PageSender
    routing: Routing
    events: Events
    stops: Stops
    enqueue: Callable[[ObjectKey], None]
    instruments: Instruments
    reopen_grace: timedelta
    repeat_interval: timedelta  # at which Alertmanager repeats what goes on
    started: datetime
    incident_retention: timedelta
    method: Method = field(default_factory=Method)  # words, lags and prices of grouping
    house: HouseWords = field(default_factory=HouseWords)  # what it says of its tickets
    looked: dict[str, Looked] = field(default_factory=dict)  # by namespace: tickets that need no other comparison
    curve: ReadCurve = _no_curve
    """Reads an objective of a Release between two times, for a postmortem; None where nothing answers."""
    owned: OwnedObjects = field(default_factory=OwnedObjects)
    refusals: Refusals = field(default_factory=Refusals)
    intake_due_in: Callable[[ObjectKey], float] = lambda _key: 0.0
    """Seconds until the inbox of a namespace, given as the correlator's key, may be looked at again (`shell.watch.throttle`)."""
    activity: Activity = field(default_factory=Activity)
    views: dict[NamespacedName, ReleaseView] = field(default_factory=dict)
    """By Release: its view, while it and its readings are the same (`shell.reconcile.observe.view`)."""
    addresses: dict[NamespacedName, tuple[object, Mapping[str, tuple[str, ...]]]] = field(default_factory=dict)
    """By Release: what they were listed for, and addresses of living pods by digest (`shell.reconcile.addresses`)."""
    guarded: dict[NamespacedName, tuple[str, tuple[Object, ...]]] = field(default_factory=dict)
    """By Release: its guarded Deployment's ReplicaSets, with the version of the Deployment that they were listed for."""
    own_pods: dict[NamespacedName, tuple[object, datetime, tuple[PodFacts, ...]]] = field(default_factory=dict)
    """By Release: its canary's pods while all of them serve: what they were listed for, and when (`shell.reconcile.own_pods`)."""
    live_pods: dict[NamespacedName, tuple[tuple[str, str], datetime, tuple[LivePod, ...]]] = field(default_factory=dict)
    """By Release: what its live pods were listed for, and when, while they may be marked (`shell.reconcile.live_pods`)."""
    replica_sets: dict[NamespacedName, tuple[object, Mapping[str, tuple[str, ...]]]] = field(default_factory=dict)
    """By Release: what they were listed for, and their names by digest (`shell.reconcile.replica_sets`)."""

    granting: dict[str, asyncio.Lock] = field(default_factory=dict)
    """By namespace: held while a Runbook is decided on and stored, so that two of them keep one limit."""

    def one_at_a_time(self, kind: str, namespace: str) -> AbstractAsyncContextManager[object]:
        """What a reconcile of this kind holds from its observation to its writes; nothing for most kinds."""
        return self.granting.setdefault(namespace, asyncio.Lock()) if kind == "Runbook" else nullcontext()

    def now(self) -> datetime:
        """Wall time, UTC."""
        return self.clock.now()

    def heard_since(self) -> datetime | None:
        """Alerts of which nobody spoke since then are stale.

        None while this process has not heard for a whole repeat interval: opsloop may have been away, and deaf.
        """
        now = self.now()
        return None if now - self.started < self.repeat_interval else now - REPEATS * self.repeat_interval
