"""The cause of an outage that no SLI shows: a change since which no pod is available, where pods had been before it.

Only the time and the workload tell, so only that change is blamed. Pods that served and died later are no evidence against a
revision, and where services that have nothing to do with this one are out as well, something common is the cause.
"""

from dataclasses import replace
from datetime import timedelta
from math import exp, log

from opsloop.api.cause import Cause, Evidence
from opsloop.api.incident import IncidentStatus
from opsloop.api.release import Release
from opsloop.api.revision import Revision
from opsloop.core import conditions
from opsloop.core.facts import ReleaseView
from opsloop.core.incident import cause as causes
from opsloop.core.incident import timeline
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.incident.weights import WEIGHTS
from opsloop.core.release import revisions
from opsloop.core.release.outages import NO_POD_AVAILABLE, outage_since
from opsloop.core.topology import Topology

# From a change until the last old pod is gone; what serves for a minute and then dies had been available.
AT_ONCE = timedelta(seconds=45)


def is_explained(status: IncidentStatus) -> bool:
    """True where a revision since which no pod is available is blamed for the outage."""
    return status.outage_at is not None and status.cause is not None and status.cause.kind == "bad_release"


def explain(decision: IncidentBuilder, topology: Topology) -> None:
    """Blames the change with which the root's pods went away."""
    status, root = decision.status, decision.facts.root
    if root is None or status.outage_at is None or status.rollback is not None:
        return
    live = never_available(root.release)
    if live is None or _others_out(root, topology):
        return
    blamed = causes.explain(
        replace(root, readings=replace(root.readings, harm=None)), topology, status.outage_at, (), status.exonerated
    )
    if blamed.kind != "bad_release" or blamed.revision != live.digest:
        return
    cause = surer(
        blamed, f"no pod is available since {live.version} became live, those of the revision before had been"
    )
    if not causes.replaces(status, cause):
        return
    decision.set(cause=cause)
    text = f"{live.version} became live, and no pod is available since"
    timeline.record(decision, f"change-{live.digest}", live.live_since or decision.now, "Change", text)


def never_available(release: Release) -> Revision | None:
    """The live revision, where the outage began with its rollout: its pods had no time to serve. None otherwise."""
    available = conditions.get(release.status.conditions, "Available")
    live = revisions.find(release.status.revisions, release.status.live)
    if live is None or live.live_since is None or available is None:
        return None
    if (available.status, available.reason) != ("False", NO_POD_AVAILABLE):
        return None
    return live if -AT_ONCE <= available.last_transition_time - live.live_since <= AT_ONCE else None


def surer(cause: Cause, text: str) -> Cause:
    """The cause with the weight of a revision that alone is harmed: log odds add up."""
    odds = log(max(cause.confidence, 1e-9) / max(1 - cause.confidence, 1e-9)) + WEIGHTS.split
    term = Evidence(name="no pod since", value=f"{text} (+{WEIGHTS.split:.1f})"[:512], source="Deployment")
    return cause.model_copy(
        update={"confidence": round(1 / (1 + exp(-odds)), 2), "evidence": [term, *cause.evidence][:20]}
    )


def _others_out(root: ReleaseView, topology: Topology) -> bool:
    others = topology.strangers(root.release.metadata.name)
    return any(outage_since(view.release) is not None for view in others.values())
