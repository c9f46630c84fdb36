"""Which Incidents get alerts now, and when each one's status was stored last: `core.incident.pacing` judges by it."""

from datetime import datetime, timedelta

from opsloop.core.incident.pacing import LONGEST
from opsloop.shell.ports import NamespacedName

LATELY = timedelta(seconds=10)


class Activity:
    """What this process wrote of late; a new one knows nothing, and then nothing waits."""

    def __init__(self) -> None:
        self._filed: dict[NamespacedName, datetime] = {}  # by time
        self._stored: dict[NamespacedName, datetime] = {}  # by time

    def filed(self, namespace: str, incident: str, now: datetime) -> None:
        """Notes that alerts were filed to its ledger."""
        _note(self._filed, (namespace, incident), now, LATELY)

    def stored(self, namespace: str, incident: str, now: datetime) -> None:
        """Notes that its status was stored."""
        _note(self._stored, (namespace, incident), now, LONGEST)

    def stored_at(self, namespace: str, incident: str) -> datetime | None:
        """When its status was stored; None where that is long ago, or was not by this process."""
        return self._stored.get((namespace, incident))

    def filed_of(self, namespace: str, now: datetime) -> dict[str, datetime]:
        """Incident → when its ledger was written, of those of the namespace that got alerts lately."""
        _drop(self._filed, now - LATELY)
        return {name: at for (where, name), at in self._filed.items() if where == namespace}

    def busy(self, now: datetime) -> int:
        """Number of Incidents that got alerts lately, in all namespaces."""
        _drop(self._filed, now - LATELY)
        return len(self._filed)


def _note(memory: dict[NamespacedName, datetime], key: NamespacedName, now: datetime, kept: timedelta) -> None:
    memory.pop(key, None)
    memory[key] = now
    _drop(memory, now - kept)


def _drop(memory: dict[NamespacedName, datetime], before: datetime) -> None:
    while memory and next(iter(memory.values())) < before:
        del memory[next(iter(memory))]
