"""Availability: whether pods of the live Deployment serve, as Kubernetes counts them. The SLI is silent when none does."""

from datetime import datetime, timedelta

from opsloop.api.meta import Condition
from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.core.facts import WorkloadFacts
from opsloop.core.release import ReleaseBuilder

# Named reasons
PODS_AVAILABLE = "PodsAvailable"  # as many pods are available as the Deployment's strategy asks for
BELOW_MINIMUM = "BelowMinimum"  # pods are available, but fewer than the Deployment's strategy allows
NO_POD_AVAILABLE = "NoPodAvailable"  # pods are wanted and had been available, and none is now: an outage
WORKLOAD_GONE = "WorkloadGone"  # the Deployment, whose pods had been available, was deleted
NOT_AVAILABLE_YET = "NotAvailableYet"  # no pod has been available since pods are wanted: it has served nobody yet
SCALED_TO_ZERO = "ScaledToZero"  # no pod is wanted

# Time without an available pod until that is an Incident: longer than a pod of most services takes to be replaced by
# itself (eviction, node upgrade, strategy Recreate), short for an outage.
OUTAGE_AFTER = timedelta(seconds=60)


def watch(builder: ReleaseBuilder, workload: WorkloadFacts | None) -> None:
    """Condition Available. It remembers that pods had been available: one that never was is no outage of its users."""
    before = conditions.get(builder.status.conditions, "Available")
    served = before is not None and before.status != "Unknown"
    if workload is not None:
        value, reason, message = _availability(workload, served)
        builder.condition("Available", value, reason, message)
    elif served:
        name = builder.facts.release.spec.workload_ref.name
        builder.condition("Available", False, WORKLOAD_GONE, f"Deployment {name} is gone")
    _say(builder, before)


def _availability(workload: WorkloadFacts, served: bool) -> tuple[bool | None, str, str]:
    """Value, reason and message; `served`: pods had been available since they were wanted."""
    counts = f"{workload.available} of {workload.replicas} pods of Deployment {workload.name} are available"
    if workload.replicas == 0:
        return None, SCALED_TO_ZERO, f"Deployment {workload.name} is scaled to 0"
    if workload.available == 0 and not workload.ready:  # a ready pod serves, also within its minReadySeconds
        return (False, NO_POD_AVAILABLE, counts) if served else (None, NOT_AVAILABLE_YET, counts)
    if workload.below_minimum:
        return True, BELOW_MINIMUM, f"{counts}, fewer than its strategy allows"
    return True, PODS_AVAILABLE, f"Deployment {workload.name} serves"


def _say(builder: ReleaseBuilder, before: Condition | None) -> None:
    """An Event where pods went missing, and where they came back."""
    after = conditions.get(builder.status.conditions, "Available")
    if after is None or before is None or before.reason == after.reason:
        return
    if after.reason in (NO_POD_AVAILABLE, WORKLOAD_GONE, BELOW_MINIMUM):
        builder.event(after.reason, after.message, "Warning")
    elif after.reason == PODS_AVAILABLE:
        builder.event(PODS_AVAILABLE, after.message)


def outage_since(release: Release) -> datetime | None:
    """Time since which no pod of the Release is available though pods had been; None where pods are, or never were."""
    condition = conditions.get(release.status.conditions, "Available")
    return condition.last_transition_time if condition is not None and condition.status == "False" else None


def outage_lasts(release: Release, now: datetime) -> bool:
    """True if the outage has lasted long enough to be an Incident."""
    since = outage_since(release)
    return since is not None and now - since >= OUTAGE_AFTER
