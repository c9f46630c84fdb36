"""A canary whose events nobody can tell from live's: its steps advance by hold, eval cases and the SLI of the whole service."""

from opsloop.core.readings import Told
from opsloop.core.release.outcome import Hold, Outcome, Reject, Rollout
from opsloop.core.slo import burn_rate as slo


def told_apart(rollout: Rollout) -> bool:
    """False where the SLI was seen not to tell revisions apart; True also where that is not known yet."""
    told: Told | None = rollout.facts.readings.told
    return told is None or told.apart is not False


def service_unwell(rollout: Rollout) -> Outcome | None:
    """Hold, or Reject as spec.unknownTelemetry says, unless the service as a whole is known to burn nothing."""
    verdict, policy = rollout.facts.readings.verdict, rollout.facts.release.spec.unknown_telemetry
    if rollout.facts.release.spec.slo is None:
        return None
    if verdict is not None and verdict.band in ("slow", "fast"):
        return Hold(
            slo.TELEMETRY_UNKNOWN, "the service burns its budget, and its SLI does not tell the canary from live"
        )
    if (verdict is not None and verdict.band == "ok") or policy == "continue":
        return None
    message = f"the SLI of the service is unknown: {slo.unknown_because(verdict) if verdict else 'not read yet'}"
    if policy == "abort":
        return Reject(slo.TELEMETRY_UNKNOWN, message, block=False)
    return Hold(slo.TELEMETRY_UNKNOWN, message)
