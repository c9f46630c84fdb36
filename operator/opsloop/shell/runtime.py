"""All ports and memories that reconcilers use, in one place, so that tests and the composition root build the same thing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from opsloop.core.decision import Event
from opsloop.core.facts import Ledger
from opsloop.shell.evals.runner import EvalRunner
from opsloop.shell.notify.pages import PageSender
from opsloop.shell.ports import Access, Clock, Object, Reader, Writer
from opsloop.shell.slo.poller import ReadingStore
from opsloop.shell.watch.cache import Cache
from opsloop.shell.watch.workqueue import Key

Name = tuple[str, str]  # (namespace, name)


class Events(Protocol):
    """Posts Kubernetes Events; never raises."""

    async def post(self, obj: Object, event: Event) -> None:
        """One Event on this object."""
        ...


@dataclass
class Memory:
    """What was read once and changes only by our own hand. Lost with the process, and then read again."""

    templates: dict[Name, dict[str, Mapping[str, Any]]] = field(default_factory=dict)  # of a Release: digest → template
    ledgers: dict[Name, Ledger] = field(default_factory=dict)  # of an Incident
    postmortems: dict[Name, str | None] = field(default_factory=dict)  # of an Incident

    def forget(self, kind: str, namespace: str, name: str) -> None:
        """The object is gone."""
        if kind == "Release":
            self.templates.pop((namespace, name), None)
        if kind == "Incident":
            self.ledgers.pop((namespace, name), None)
            self.postmortems.pop((namespace, name), None)


@dataclass
class World:
    """The outside world and what was learnt of it. `wake` enqueues a name."""

    reader: Reader
    writer: Writer
    access: Access
    clock: Clock
    cache: Cache
    readings: ReadingStore
    evals: EvalRunner
    pages: PageSender
    events: Events
    wake: Callable[[Key], None]
    grace_seconds: float = 1800.0
    memory: Memory = field(default_factory=Memory)

    def now(self) -> datetime:
        """Wall time, UTC."""
        return self.clock.now()
