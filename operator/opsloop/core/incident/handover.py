"""The page of an Incident that was merged goes on as that of the Incident that explains it: nobody is woken twice for one fault.

The heir calls in the same alert at the pager, so that people see the root there, and ends it. It does so only for what is
stored as merged into it, and only with its first call; the merged one ends its alert itself only where the heir cannot do so any
more. Each of both looks at what the other one has stored and will never take back, so in whatever order they decide, and
wherever one dies, the alert is neither ended under a heir that goes on with it nor left open.
"""

from typing import Literal

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.api.page import Page
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import thread
from opsloop.core.incident.merging import heirs

Fate = Literal["waits", "goes on", "ends"]


def fate_of(facts: IncidentFacts, status: IncidentStatus) -> tuple[Fate, str]:
    """What becomes of the page of an Incident that is merged, and the heir's name."""
    path = heirs(facts.incident.metadata.name, status.merged_into, facts.incidents)
    for heir in path:
        if heir.status.page is not None and heir.status.page.messages:
            carried = status.page is not None and heir.status.page.alert == status.page.alert
            return ("goes on" if carried else "ends"), heir.metadata.name
    if not path or not path[-1].is_open or path[-1].status.reopened:
        return "ends", status.merged_into
    if not same_people(facts.incident, path[-1]):
        return "ends", path[-1].metadata.name
    return "waits", path[-1].metadata.name


def continued(facts: IncidentFacts, status: IncidentStatus) -> Incident | None:
    """The Incident whose alert at the pager this one's first call goes on with: the first that called; None: none."""
    if thread.messages_of(status.page) or status.reopened:
        return None
    offers = [i for i in facts.incidents if i.status.merged_into and _offers(i, facts)]
    return min(offers, key=lambda i: (_called(i.status.page), i.metadata.name), default=None)


def _offers(merged: Incident, facts: IncidentFacts) -> bool:
    """True where the alert of this one is open at the pager and waits for the Incident of `facts`."""
    own, page = facts.incident, merged.status.page
    if page is None or not thread.calls(page, "") or not same_people(merged, own):
        return False
    path = heirs(merged.metadata.name, merged.status.merged_into, [*facts.incidents, own])
    if own.metadata.name not in {heir.metadata.name for heir in path}:
        return False
    return all(heir.status.page.alert == page.alert for heir in path if heir.status.page and heir.status.page.messages)


def same_people(merged: Incident, heir: Incident) -> bool:
    """False where different teams own them: the root's team has heard nothing yet, and the other one is relieved."""
    return not merged.spec.owner or not heir.spec.owner or merged.spec.owner == heir.spec.owner


def _called(page: Page | None) -> float:
    return page.decided_at.timestamp() if page is not None else 0.0
