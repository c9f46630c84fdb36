"""What `kubectl wait`, CI and GitOps tools wait for: Progressing, Promoted, Rejected, Healthy and Ready.

They are about the spec (and the `retry`) as this look sees it: a version that was promoted before is none that the spec of now
asks for. `status.observedGeneration` is written with them, and kubectl counts no condition of an older generation.
"""

from dataclasses import dataclass

from opsloop.api.release import ReleaseStatus
from opsloop.api.target import Target
from opsloop.core import conditions
from opsloop.core.facts import ReleaseFacts
from opsloop.core.readings import Verdict
from opsloop.core.release import ReleaseBuilder, compared
from opsloop.core.release.asked import asked
from opsloop.core.release.compared import Finding
from opsloop.core.release.spared import NOT_THE_CANARY
from opsloop.core.release.target import BASE_CHANGED, NEW_TARGET, ROLLED_BACK, TRAFFIC_CHANGED, UNDONE, asked_retry
from opsloop.core.slo import burn_rate

# Named reasons
ROLLING_BACK = "RollingBack"  # live is being replaced by an earlier revision
BURNING = "Burning"  # the error budget burns as fast as a tier that pages
BURNING_SLOWLY = "BurningSlowly"  # the error budget burns, and no tier that pages fires
NOT_BURNING = "NotBurning"  # the error budget does not burn

STARTS_AGAIN = (
    BASE_CHANGED,
    ROLLED_BACK,
    NOT_THE_CANARY,
    NEW_TARGET,
    TRAFFIC_CHANGED,
)  # a target that was cancelled for these is tried again by itself


def tell(builder: ReleaseBuilder) -> None:
    """Sets the five conditions, from the facts and from the status as this look leaves it."""
    facts = builder.facts
    rollout = _rollout(facts, builder.status)
    builder.condition("Progressing", rollout.progressing, rollout.reason, rollout.message)
    builder.condition("Promoted", rollout.promoted, rollout.reason, rollout.message)
    builder.condition("Rejected", rollout.rejected, rollout.reason, rollout.message)
    healthy, reason, message = _healthy(facts, builder.status)
    builder.condition("Healthy", healthy, reason, message)
    ready, reason, message = _ready(facts, builder.status, (healthy, reason, message))
    builder.condition("Ready", ready, reason, message)


@dataclass(frozen=True, slots=True)
class _Rollout:
    """How the spec's version fares; at most one of `promoted` and `rejected` is true. None: nobody can say."""

    reason: str
    message: str
    promoted: bool = False
    rejected: bool = False
    progressing: bool | None = False


def _rollout(facts: ReleaseFacts, status: ReleaseStatus) -> _Rollout:
    version = asked(facts, status).version
    if owner := compared.taken_by(facts):
        text = f"Release {owner} manages the Deployment; this one does nothing"
        return _Rollout(compared.WORKLOAD_TAKEN, text, rejected=True)
    if facts.workload is None:
        return _Rollout(compared.WORKLOAD_MISSING, "the Deployment does not exist", progressing=None)
    target = answered(facts, status)
    if target is None or target.is_active or _starts_again(target):
        return _Rollout(*_on_its_way(facts, status, target), progressing=True)
    if status.rollback is not None and status.rollback.is_active:
        rejected = target.digest != status.rollback.to_digest
        text = "live is being replaced by an earlier revision"
        return _Rollout(ROLLING_BACK, text, rejected=rejected, progressing=True)
    if target.digest == status.live and target.state == "Promoted":
        return _Rollout("Promoted", f"{version} is live", promoted=True)
    if target.state == "Promoted":
        found = compared.drift(facts, status) or (None, compared.NOT_SHIPPED, f"{version} is not live")
        return _Rollout(found[1], found[2], rejected=found[1] in (ROLLED_BACK, UNDONE))
    return _Rollout(target.reason, target.message or f"{version} was {target.state.lower()}", rejected=True)


def answered(facts: ReleaseFacts, status: ReleaseStatus) -> Target | None:
    """The target that answers the spec and the retry as they are now; None while there is none yet."""
    target, retry = compared.wanted(facts, status), asked_retry(facts.release.metadata.annotations)
    return None if target is None or (retry and target.retry != retry) else target


def _starts_again(target: Target) -> bool:
    return target.state == "Cancelled" and target.reason in STARTS_AGAIN


def _on_its_way(facts: ReleaseFacts, status: ReleaseStatus, target: Target | None) -> tuple[str, str]:
    """Reason and sentence of a rollout that is not over: what holds it, else how far it is."""
    version, held = asked(facts, status).version, conditions.get(status.conditions, "Held")
    if facts.stop is not None:
        return facts.stop.named_reason, facts.stop.sentence
    frozen = conditions.get(status.conditions, "Frozen")
    if target is None and frozen is not None and frozen.status == "True":
        return frozen.reason, frozen.message
    if target is None:
        return compared.SHIPPING, f"{version} is waited for"
    if not target.is_active:
        return target.reason, target.message
    if held is not None and held.status == "True":
        return held.reason, held.message
    return target.state, f"{version} is at {target.step_words}"


def _healthy(facts: ReleaseFacts, status: ReleaseStatus) -> Finding:
    """Whether live serves its users: pods are available, and the error budget does not burn as fast as what pages."""
    available, verdict = conditions.get(status.conditions, "Available"), facts.readings.verdict
    if available is None:
        return None, compared.WORKLOAD_MISSING, "the Deployment does not exist"
    if available.status == "False":
        return False, available.reason, available.message
    if verdict is not None and verdict.band == "fast":
        return False, BURNING, "the error budget burns as fast as what pages"
    if available.status != "True":
        return None, available.reason, available.message
    return _by_slo(verdict) if facts.release.spec.slo is not None else (True, available.reason, available.message)


def _by_slo(verdict: Verdict | None) -> Finding:
    if verdict is None:
        return None, burn_rate.NOT_READ, "the SLI has not been read yet"
    if verdict.band == "unknown":
        return None, verdict.reason, "the SLI is unknown: the condition TelemetryKnown says why"
    if verdict.band == "slow":
        return True, BURNING_SLOWLY, "the error budget burns, slower than what pages"
    return True, NOT_BURNING, "the error budget does not burn"


def _ready(facts: ReleaseFacts, status: ReleaseStatus, healthy: Finding) -> Finding:
    """Whether the version of the spec is live and rolled out, and nothing says that it harms."""
    shipped = conditions.get(status.conditions, "Shipped")
    if compared.taken_by(facts) or shipped is None:
        return False, compared.WORKLOAD_TAKEN, "another Release manages the Deployment"
    if shipped.status != "True" or answered(facts, status) is None:
        return False, shipped.reason, shipped.message
    return (False, *healthy[1:]) if healthy[0] is False else (True, "Ready", shipped.message)
