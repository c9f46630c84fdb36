"""Live compared with what the spec asks for now: drifted, blocked, shipped, rolled out. True at this very look, whatever came before."""

from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.api.target import Target
from opsloop.core.facts import ReleaseFacts, WorkloadFacts
from opsloop.core.release import patched, revisions, rollout_state
from opsloop.core.release.asked import answers, asked
from opsloop.core.release.target import BLOCKED, ROLLED_BACK, UNDONE, blocked_message
from opsloop.core.stop import STOPPED

# Named reasons
WORKLOAD_MISSING = "WorkloadMissing"  # the Deployment that workloadRef names does not exist
WORKLOAD_TAKEN = "WorkloadTaken"  # an older Release manages the Deployment; this one does nothing
DEPENDENCY_MISSING = "DependencyMissing"  # spec.dependsOn names a Release that does not exist
DEPENDS_ON_ITSELF = "DependsOnItself"  # spec.dependsOn names this Release, which admission refuses at creation
CONTAINER_MISSING = "ContainerMissing"  # spec.images names a container that the Deployment does not have
LIVE_AS_WANTED = "LiveAsWanted"  # live is what the spec asks for
CHANGED_BY_HAND = "ChangedByHand"  # somebody other than opsloop wrote the live template
SHIPPING = "Shipping"  # live is not what the spec asks for yet: its canary is on its way
NOT_SHIPPED = "NotShipped"  # live is not what the spec asks for: the target was rejected, refused or cancelled
SHIPPED = "Shipped"  # live is what the spec asks for, and it is rolled out

Finding = tuple[bool | None, str, str]  # value, reason and message of a condition


def wanted(facts: ReleaseFacts, status: ReleaseStatus) -> Target | None:
    """The target that answers the spec as it is now; None while there is none yet."""
    target = status.target
    return target if target is not None and answers(target, asked(facts, status)) else None


def drift(facts: ReleaseFacts, status: ReleaseStatus) -> Finding | None:
    """Whether live is another revision than the spec asks for, and why; None before anything is live."""
    if facts.workload is None:
        return None, WORKLOAD_MISSING, "the Deployment does not exist"
    live, target = revisions.find(status.revisions, status.live), wanted(facts, status)
    if live is None:
        return None
    if target is not None and target.digest == live.digest:
        return False, LIVE_AS_WANTED, f"live is {live.version}"
    by_hand = f"{live.version} was put on the Deployment by {live.manager or 'an unknown manager'}, without a canary"
    if target is None or target.is_active:
        if live.reason == "Drifted":
            return True, CHANGED_BY_HAND, by_hand
        return False, SHIPPING, f"live is {live.version}; {asked(facts, status).version} is on its way"
    return True, *_why_not(facts, status, live, target, by_hand)


def _why_not(
    facts: ReleaseFacts, status: ReleaseStatus, live: Revision, target: Target, by_hand: str
) -> tuple[str, str]:
    """(reason, message): why live is another revision than an ended target."""
    both = f"live is {live.version}, the spec asks for {target.version}"
    record = status.rollback
    if record and (record.from_digest, record.to_digest) == (target.digest, live.digest):
        if record.case:
            return ROLLED_BACK, f"{both}, which was rolled back because {record.case} fails on it"
        if not record.incident:
            again = "write its template again" if facts.release.spec.guard else "opsloop.dev/retry"
            return UNDONE, f"{both}, from which a person went back; to try it again, as a canary: {again}"
        return ROLLED_BACK, f"{both}, which was rolled back for {record.incident}"
    if live.reason == "Drifted":
        return CHANGED_BY_HAND, by_hand
    if target.state == "Promoted":
        return CHANGED_BY_HAND, f"{both}; {live.version} was put back by {live.manager or 'an unknown manager'}"
    return NOT_SHIPPED, f"{both}, which was {target.state.lower()}: {target.reason}"


def blocked(facts: ReleaseFacts, status: ReleaseStatus) -> Finding:
    """Whether the revision that the spec asks for is refused as a target now."""
    target = wanted(facts, status)
    if target is None:
        return False, "Allowed", f"{asked(facts, status).version} may be tried"
    if (target.state, target.reason) == ("Refused", BLOCKED):
        return True, BLOCKED, target.message
    revision = revisions.find(status.revisions, target.digest)
    if revision is not None and revision.blocked is not None:
        return True, BLOCKED, blocked_message(status, target, revision)
    return False, "Allowed", f"{target.version} may be tried"


def rolled_out(facts: ReleaseFacts, status: ReleaseStatus) -> Finding:
    """Whether the Deployment runs the template that it has, or that a promotion or a rollback gives it; if not, why."""
    workload = facts.workload
    if workload is None:
        return None, WORKLOAD_MISSING, "the Deployment does not exist"
    digest = _due(status, workload)
    revision = revisions.find(status.revisions, digest)
    version = revision.version if revision else digest
    if hindered := rollout_state.obstacle(facts, workload, digest):
        return False, hindered.reason, hindered.message
    if workload.digest == digest and (workload.settled or workload.rollout.completed):
        return True, rollout_state.ROLLED_OUT, f"{version} runs"
    return False, rollout_state.ROLLING_OUT, rollout_state.with_trouble(workload, f"{version} is being rolled out")


def _due(status: ReleaseStatus, workload: WorkloadFacts) -> str:
    """Digest of the template that the Deployment has, or is about to get."""
    if status.target and status.target.state == "Promoting":
        return status.target.digest
    if status.rollback and status.rollback.is_active:
        return status.rollback.to_digest
    return workload.digest


def shipped(facts: ReleaseFacts, status: ReleaseStatus) -> Finding:
    """Whether the version of the spec serves users; False has the reason why it does not (yet), for who waits for the end."""
    if facts.workload is None:
        return False, WORKLOAD_MISSING, "the Deployment does not exist"
    target, version = wanted(facts, status), asked(facts, status).version
    if target is None and facts.stop is not None:
        return False, STOPPED, f"{version} is not tried: {facts.stop.sentence}"
    if target is None:
        return False, SHIPPING, f"{version} is waited for"
    if target.is_active:
        return False, SHIPPING, f"{version} is on its way: {target.state}"
    if target.digest != status.live:
        drifted = drift(facts, status)
        reason, message = (drifted[1], drifted[2]) if drifted else (NOT_SHIPPED, f"{version} is not live")
        ended = reason == NOT_SHIPPED and target.reason
        return False, target.reason if ended else reason, target.message if ended else message
    runs, reason, message = rolled_out(facts, status)
    return (True, SHIPPED, f"{version} is live") if runs else (False, reason, message)


def resolved(facts: ReleaseFacts) -> Finding:
    """Whether everything that the spec names exists, and the Deployment is this Release's alone."""
    spec, workload = facts.release.spec, facts.workload
    if owner := taken_by(facts):
        return (
            False,
            WORKLOAD_TAKEN,
            f"Release {owner} manages Deployment {spec.workload_ref.name}; delete one of the two",
        )
    if refused := patched.refused_now(facts, facts.release.status):
        return False, *refused
    containers = revisions.images_of(workload.template) if workload else spec.images
    if unknown := sorted(set(spec.images) - set(containers) - patched.containers(patched.patch_of(spec))):
        there = ", ".join(sorted(containers))
        return (
            False,
            CONTAINER_MISSING,
            f"spec.images: the Deployment has no container {', '.join(unknown)}, but {there}",
        )
    known = {neighbour.name for neighbour in facts.neighbours}
    if facts.release.metadata.name in spec.depends_on:
        return False, DEPENDS_ON_ITSELF, "spec.dependsOn names this Release itself; it names the Releases that it calls"
    if missing := sorted(set(spec.depends_on) - known):
        return False, DEPENDENCY_MISSING, f"spec.dependsOn: there is no Release {', '.join(missing)} in this namespace"
    return True, "Resolved", "everything that the spec names is there"


def taken_by(facts: ReleaseFacts) -> str:
    """The name of an older Release on the same Deployment; empty where this one has it alone or is the oldest."""
    meta, deployment = facts.release.metadata, facts.release.spec.workload_ref.name
    same = [n for n in facts.neighbours if n.workload == deployment and n.name != meta.name]
    oldest = min(same, key=lambda n: (n.created_at is None, n.created_at, n.name), default=None)
    if oldest is None or oldest.created_at is None or meta.creation_timestamp is None:
        return oldest.name if oldest and oldest.name < meta.name else ""
    return oldest.name if (oldest.created_at, oldest.name) < (meta.creation_timestamp, meta.name) else ""
