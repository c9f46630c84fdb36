"""Time of the last minutes in which an SLI did not say whether to page: telemetry that flaps is never silent for long."""

from collections import deque
from datetime import datetime, timedelta

SPAN = timedelta(minutes=2)


class Silence:
    """Remembers the last SPAN of the verdicts on one objective; a restart begins anew."""

    def __init__(self) -> None:
        self._spells: deque[tuple[datetime, datetime]] = deque()  # from, to: unknown between two reads
        self._last: datetime | None = None

    def note(self, at: datetime, unknown: bool) -> timedelta:
        """Notes the verdict of one read, which stands for the time since the read before; the unknown time within SPAN."""
        if unknown and self._last is not None:
            self._spells.append((self._last, at))
        self._last, begin = at, at - SPAN
        while self._spells and self._spells[0][1] <= begin:
            self._spells.popleft()
        return sum((end - max(start, begin) for start, end in self._spells), timedelta(0))
