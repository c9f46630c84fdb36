"""Is everything at rest, or does it wait for a reason that a person can act on?"""

from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.shell.ports import DEPLOYMENTS, INCIDENTS, RELEASES
from opsloop.simulator.weather import Weather
from opsloop.simulator.world import NS, World

MACHINES = frozenset({"WaitingForPods", "WaitingForEvals", "Holding", ""})
"""Reasons of a hold that name what opsloop waits for, and nothing that a person can do."""


def unrest(world: World, weather: Weather) -> list[str]:
    """A sentence for each object that is neither at rest nor says what it needs."""
    releases = [Release.model_validate(o) for o in world.cluster.all(RELEASES.plural)]
    incidents = [Incident.model_validate(o) for o in world.cluster.all(INCIDENTS.plural)]
    found = [text for release in releases if (text := _release(release))]
    found += [text for incident in incidents if (text := _incident(incident, weather))]
    canaries = {r.spec.workload_ref.name for r in releases if not (r.status.target and r.status.target.is_active)}
    for name in canaries:
        if world.cluster.find(DEPLOYMENTS, NS, f"{name}-canary") is not None:
            found.append(f"the canary Deployment of {name} is left over")
    return found


def _release(release: Release) -> str:
    status, name = release.status, release.metadata.name
    if status.rollback is not None and status.rollback.is_active:
        return f"Release {name}: the rollback of {status.rollback.incident} is {status.rollback.state}"
    if status.target is None or not status.target.is_active:
        return ""
    held = conditions.get(status.conditions, "Held")
    if held is not None and held.status == "True" and held.reason not in MACHINES:
        return ""
    reason = held.reason if held else "no condition"
    return f"Release {name}: {status.target.version} is {status.target.state} ({reason})"


def _incident(incident: Incident, weather: Weather) -> str:
    status = incident.status
    if status.phase == "Resolved" or status.merged_into:
        return ""
    if weather.stuck and status.burn is None:
        return ""  # its alerts still fire
    acting = conditions.get(status.conditions, "Acting")
    if acting is not None and acting.status == "False" and acting.reason not in MACHINES | {"SliBack"}:
        return ""
    return f"Incident {incident.metadata.name} is {status.phase} ({acting.reason if acting else 'no condition'})"
