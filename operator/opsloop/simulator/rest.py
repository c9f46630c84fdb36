"""Is everything at rest, or does it wait for a reason that a person can act on?"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.core.release.outcome import HOLDING
from opsloop.shell.ports import DEPLOYMENTS, INCIDENTS, RELEASES
from opsloop.simulator.burn import Counts
from opsloop.simulator.owed import can_ship, fired_within, seen
from opsloop.simulator.weather import Weather
from opsloop.simulator.world import NS, World

MACHINES = frozenset({"WaitingForPods", "WaitingForEvals", "WaitingForChecks", "Holding", ""})
"""Reasons of a hold that name what opsloop waits for, and nothing that a person can do."""

RESOLVES: Final = 720.0
"""Seconds from when no tier fires any more until an Incident is resolved: the short window of five minutes drains below the
budget, `resolveAfter` is as long again, and there are scrapes and looks."""


def unrest(world: World, weather: Weather) -> list[str]:
    """A sentence for each object that is neither at rest nor says what it needs."""
    releases = [Release.model_validate(o) for o in world.cluster.all(RELEASES.plural)]
    incidents = [Incident.model_validate(o) for o in world.cluster.all(INCIDENTS.plural)]
    now = weather.start + timedelta(seconds=world.now())
    found = [text for release in releases if (text := of_release(release, weather, now))]
    users = {s.name: seen(weather, s, world.traffic[s.name].tallies) for s in weather.services}
    found += [text for i in incidents if (text := of_incident(i, weather, users.get(i.spec.service, []), world.now()))]
    canaries = {r.spec.workload_ref.name for r in releases if not (r.status.target and r.status.target.is_active)}
    for name in canaries:
        if world.cluster.find(DEPLOYMENTS, NS, f"{name}-canary") is not None:
            found.append(f"the canary Deployment of {name} is left over")
    return found


def of_release(release: Release, weather: Weather, now: datetime) -> str:
    """Why a Release is not at rest; empty where it is."""
    status, name = release.status, release.metadata.name
    if status.rollback is not None and status.rollback.is_active:
        return f"Release {name}: the rollback of {status.rollback.incident} is {status.rollback.state}"
    if status.target is None or not status.target.is_active:
        return ""
    held = conditions.get(status.conditions, "Held")
    if held is not None and held.status == "True" and held.reason not in MACHINES:
        return ""
    if held is not None and held.reason == HOLDING and _is_in_hold(release, now) and not can_ship(weather):
        return ""  # users gave its first step too few events for it to be through by now
    reason = held.reason if held else "no condition"
    return f"Release {name}: {status.target.version} is {status.target.state} ({reason})"


def _is_in_hold(release: Release, now: datetime) -> bool:
    """Its weight was reached and its hold is not over: it goes on at a time that is known."""
    target = release.status.target
    if target is None or target.reached_at is None:
        return False
    return now < target.reached_at + release.spec.strategy.steps[target.step].hold


def of_incident(incident: Incident, weather: Weather, users: Sequence[tuple[Counts, float]], now: float) -> str:
    """Why an Incident is not at rest, `now` seconds after the beginning; empty where it is.

    `users`: what they saw of its service, with the budget of each objective. Where that was harm until just now, the windows
    cannot have drained: at an objective of 0.95 a tier that pages fires no sooner than 43 minutes after a push.
    """
    status = incident.status
    if status.phase == "Resolved" or status.merged_into:
        return ""
    if weather.stuck and status.burn is None:
        return ""  # its alerts still fire
    acting = conditions.get(status.conditions, "Acting")
    if acting is not None and acting.status == "False" and acting.reason not in MACHINES | {"SliBack"}:
        return ""
    if status.phase == "Mitigated" and fired_within(users, now, RESOLVES):
        return ""
    return f"Incident {incident.metadata.name} is {status.phase} ({acting.reason if acting else 'no condition'})"
