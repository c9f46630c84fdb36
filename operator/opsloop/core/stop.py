"""The emergency stop: while one is in effect, opsloop watches, tells and lowers, and does nothing else.

Stopped are rollbacks, promotions, rising weights, new canaries, eval runs, plays and quarantined pods. What goes on: weight 0,
the deletion of a canary, detection, Incidents and pages. What was under way is neither lost nor done late: an act that was
not written is withdrawn, and after the stop opsloop decides by what is true then.
"""

from dataclasses import dataclass
from datetime import datetime

# Named reasons
STOPPED = "Stopped"  # a Stop is in effect: nothing is done but lowering, telling and watching
STOP_UNREADABLE = "StopUnreadable"  # this process could not read yet whether a Stop exists, so it does not act
RESUMED = "Resumed"  # no Stop is in effect any more


@dataclass(frozen=True, slots=True)
class Stop:
    """The Stop that is in effect for a namespace. Without a name: it cannot be read whether there is one."""

    namespace: str = ""
    name: str = ""
    reason: str = ""
    since: datetime | None = None
    everywhere: bool = False

    @property
    def named_reason(self) -> str:
        """STOPPED, or STOP_UNREADABLE."""
        return STOPPED if self.name else STOP_UNREADABLE

    @property
    def sentence(self) -> str:
        """Where, why and since when opsloop is stopped."""
        if not self.name:
            return f"it cannot be read whether opsloop is stopped: {self.reason}"
        where = "in all namespaces" if self.everywhere else "in this namespace"
        since = f" since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        return f"opsloop is stopped {where} by Stop {self.namespace}/{self.name}{since}: {self.reason}"
